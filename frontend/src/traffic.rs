//! Bytes that a region moves, beside the bytes that its operations move each for itself.
//!
//! The model is written down in `docs/cost.md`; this is its arithmetic. Memory is what the machine and XLA both see: arrays.
//! What flows between the statements of a nest costs nothing.

use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{Buffer, BufferId, Init, Role};
use hlo2dae_ir::region::{Expr, Extent, Nest, Region, Statement, Value};

use crate::classify::inputs;
use crate::extract::constant_of;
use crate::graph::{Graph, LoopId, NodeId};
use crate::op_maps::{Map, Maps};

/// Bytes read and written in one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From arrays.
    pub read: u64,
    /// To arrays.
    pub written: u64,
}

impl Bytes {
    /// All bytes moved.
    pub fn total(self) -> u64 {
        self.read.saturating_add(self.written)
    }

    fn add(&mut self, read: u64, written: u64) {
        self.read = self.read.saturating_add(read);
        self.written = self.written.saturating_add(written);
    }
}

/// What a region moves, and what it replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By the region.
    pub region: Bytes,
    /// By the operations that it replaces, each for itself.
    pub separate: Bytes,
}

impl Traffic {
    /// Bytes that need not be moved any more; negative where the region moves more.
    pub fn saved(&self) -> i64 {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        signed(self.separate.total()).saturating_sub(signed(self.region.total()))
    }
}

/// What the statements of a region move.
pub(crate) fn of_region(region: &Region) -> Bytes {
    let mut bytes = Bytes::default();
    for buffer in region.buffers.values() {
        if let Role::Output(Init::Copy(_)) | Role::Temp(Init::Copy(_)) = buffer.role {
            let all = size(buffer);
            bytes.add(all, all);
        }
    }
    for nest in &region.nests {
        Counter::of(region, nest).add_to(&mut bytes);
    }
    bytes
}

fn size(buffer: &Buffer) -> u64 {
    let elements = buffer.dims.iter().product::<u64>();
    elements.saturating_mul(buffer.element.bytes() as u64)
}

/// How often the statements of a nest run.
struct Counter<'r> {
    region: &'r Region,
    nest: &'r Nest,
    definitions: HashMap<Value, &'r Expr>,
    /// The axes that a value depends on.
    axes: HashMap<Value, HashSet<Value>>,
    extents: HashMap<Value, Extent>,
}

impl<'r> Counter<'r> {
    fn of(region: &'r Region, nest: &'r Nest) -> Self {
        let mut counter = Counter {
            region,
            nest,
            definitions: HashMap::new(),
            axes: HashMap::new(),
            extents: HashMap::new(),
        };
        for statement in &nest.body {
            match statement {
                Statement::Axis(value, extent) => {
                    let mut axes = HashSet::from([*value]);
                    if let Extent::Range(begin, end) = extent {
                        axes.extend(counter.below(*begin));
                        axes.extend(counter.below(*end));
                    }
                    counter.axes.insert(*value, axes);
                    counter.extents.insert(*value, extent.clone());
                }
                Statement::Let(value, expr) => {
                    let axes = inputs(expr)
                        .iter()
                        .flat_map(|&input| counter.below(input))
                        .collect();
                    counter.axes.insert(*value, axes);
                    counter.definitions.insert(*value, expr);
                }
                Statement::Combine { .. } => {}
            }
        }
        counter
    }

    fn below(&self, value: Value) -> HashSet<Value> {
        self.axes.get(&value).cloned().unwrap_or_default()
    }

    /// Points of the space of some axes. The ranges of an axis over all points of the axes that its bounds depend on are
    /// parts of one array: together they have as many points as that has entries.
    fn points(&self, axes: &HashSet<Value>) -> u64 {
        let mut covered: HashSet<Value> = HashSet::new();
        let mut points = 1u64;
        for &axis in axes {
            if let Some(Extent::Range(..)) = self.extents.get(&axis) {
                covered.extend(self.below(axis));
                points = points.saturating_mul(self.entries(axis));
            }
        }
        for axis in axes.difference(&covered) {
            if let Some(Extent::Dense(n)) = self.extents.get(axis) {
                points = points.saturating_mul(*n);
            }
        }
        points
    }

    /// The entries of the array that an axis of ranges runs through.
    fn entries(&self, axis: Value) -> u64 {
        let sizes = self.definitions.values().filter_map(|expr| match expr {
            Expr::Read {
                buffer, indices, ..
            } => {
                let d = indices.iter().position(|&index| index == axis)?;
                self.region.buffers[*buffer].dims.get(d).copied()
            }
            Expr::Index { .. } | Expr::Arith(_) => None,
        });
        sizes.min().unwrap_or(1)
    }

    fn element(&self, buffer: BufferId) -> u64 {
        self.region.buffers[buffer].element.bytes() as u64
    }

    fn add_to(&self, bytes: &mut Bytes) {
        for statement in &self.nest.body {
            match statement {
                // A value is read once at every point of the axes that it depends on.
                Statement::Let(value, Expr::Read { buffer, .. }) => {
                    let times = self.points(&self.below(*value));
                    bytes.add(times.saturating_mul(self.element(*buffer)), 0);
                }
                Statement::Combine {
                    buffer, indices, ..
                } => {
                    let place: HashSet<Value> =
                        indices.iter().flat_map(|&i| self.below(i)).collect();
                    let one = self.element(*buffer);
                    let declared = &self.region.buffers[*buffer];
                    if self.is_looked_up(indices) {
                        // Every place is read, changed and written; before that, all get their initial value.
                        let times = self.points(&place).saturating_mul(one);
                        bytes.add(times, times);
                        if let Role::Output(Init::Splat(_)) | Role::Temp(Init::Splat(_)) =
                            declared.role
                        {
                            bytes.add(0, size(declared));
                        }
                    } else {
                        // Accumulated beside memory, written once.
                        bytes.add(0, self.points(&place).saturating_mul(one));
                    }
                }
                Statement::Axis(..) | Statement::Let(..) => {}
            }
        }
    }

    /// Whether a place is looked up rather than counted.
    fn is_looked_up(&self, indices: &[Value]) -> bool {
        let mut stack = indices.to_vec();
        let mut seen = HashSet::new();
        while let Some(at) = stack.pop() {
            if seen.insert(at)
                && let Some(expr) = self.definitions.get(&at)
            {
                if let Expr::Index { .. } = expr {
                    return true;
                }
                stack.extend(inputs(expr));
            }
        }
        false
    }
}

/// What operations move, each for itself: those of `nodes` that nobody else needs, and `outputs`.
pub(crate) fn of_operations(
    graph: &Graph,
    maps: &Maps,
    nodes: &HashSet<NodeId>,
    outputs: &[NodeId],
) -> Bytes {
    let mut bytes = Bytes::default();
    let mut ordered: Vec<NodeId> = nodes.iter().copied().collect();
    ordered.sort_unstable();
    for node in ordered {
        if graph.escapes(node, nodes) && !outputs.contains(&node) {
            continue;
        }
        let rounds = match graph.nodes[node].within {
            Some(of) => rounds(graph, maps, of),
            None => 1,
        };
        let one = of_operation(graph, maps, node);
        bytes.add(
            one.read.saturating_mul(rounds),
            one.written.saturating_mul(rounds),
        );
    }
    bytes
}

/// Rounds of a loop; one where that shows only when it runs.
fn rounds(graph: &Graph, maps: &Maps, of: LoopId) -> u64 {
    let bound = |node| constant_of(graph, maps, node)?.as_integer();
    match graph.loops[of]
        .bounds
        .map(|(begin, end)| (bound(begin), bound(end)))
    {
        Some((Some(begin), Some(end))) => u64::try_from(end.saturating_sub(begin)).unwrap_or(1),
        _ => 1,
    }
}

fn of_operation(graph: &Graph, maps: &Maps, node: NodeId) -> Bytes {
    let result = graph.bytes(node);
    let operands = &graph.nodes[node].operands;
    let operand = |k: usize| operands.get(k).map_or(0, |&operand| graph.bytes(operand));
    let all = || operands.iter().map(|&operand| graph.bytes(operand)).sum();
    let (read, written) = match maps.get(node) {
        // Another name, or made on the way.
        Ok(Map::Constant(_) | Map::Iota(_) | Map::Reshape | Map::Bitcast(..) | Map::LoopIndex) => {
            (0, 0)
        }
        // As much of the operand as the result has.
        Ok(Map::Gather(_)) => (result.saturating_add(operand(1)), result),
        Ok(Map::DynamicSlice | Map::Slice(_)) => (result, result),
        // The operand is copied; then places are read, changed and written.
        Ok(Map::Scatter(..)) => {
            let (array, indices, updates) = (operand(0), operand(1), operand(2));
            let is_splat = operands
                .first()
                .is_some_and(|&node| constant_of(graph, maps, node).is_some());
            let copied = if is_splat { 0 } else { array };
            let read = [copied, indices, updates, updates];
            (
                read.iter().fold(0, |sum, &n| u64::saturating_add(sum, n)),
                array.saturating_add(updates),
            )
        }
        // What a round takes and gives is counted with the round.
        Ok(Map::Rounds(..)) => (0, 0),
        Ok(Map::SparseDense) => {
            let entries = operands.first().map_or(0, |&values| graph.elements(values));
            let row = graph.bytes(node) / rows(graph, node).max(1);
            let rest: u64 = (0..3).map(operand).sum();
            (rest.saturating_add(entries.saturating_mul(row)), result)
        }
        Ok(
            Map::Unary(_)
            | Map::Binary(_)
            | Map::Compare(_)
            | Map::Select
            | Map::Clamp
            | Map::Convert(_)
            | Map::Broadcast(_)
            | Map::Transpose(_)
            | Map::Pad(_)
            | Map::Concatenate(_)
            | Map::Reverse(_)
            | Map::Reduce(..)
            | Map::Dot(_),
        ) => (all(), result),
        // In a round, a window is overwritten in place.
        Err(_) if graph.opcode(node) == hlo2dae_hlo::Opcode::DynamicUpdateSlice => {
            (operand(1), operand(1))
        }
        Err(_) => (all(), result),
    };
    Bytes { read, written }
}

fn rows(graph: &Graph, node: NodeId) -> u64 {
    let dims = graph.array(node).and_then(|array| array.dims.first());
    dims.map_or(1, |n| n.unsigned_abs())
}
