//! From a set of nodes to a region: iteration spaces, expressions, statements.
//!
//! 1. Every combine of the set, and every other node whose value leaves it, becomes a task: over
//!    which space it runs, which expression it combines, into which place. What lies between is
//!    inlined into the expressions by composition.
//! 2. An axis that occurs only cut into quotient and remainder becomes two axes.
//! 3. Tasks over the same space that read through the same indices share a nest.
//! 4. Within a nest the axes on which looked-up positions depend come first, and the axis along
//!    which a looked-up row is contiguous comes last.
//! 5. Expressions become statements, each once.
//!
//! Sums and products of `f16` and `bf16` accumulate in `f32` and are rounded once.

use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;

use hlo2dae_ir::core::{
    Arith, BinaryOp, Buffer, BufferId, CombineOp, ElementType, Init, Role, Scalar, ScalarType, Span,
};
use hlo2dae_ir::region::{
    Expr as RegionExpr, Extent, IndexMode, Nest, Region, Statement, Value, ValueData,
};

use crate::compose::{Composer, Refusal, SliceIndices, Start};
use crate::graph::{Graph, NodeId};
use crate::index_map::{Axis, Expr, ExprId};
use crate::names::Names;
use crate::op_maps::{Map, Maps, NoMap, buffer_shape};

/// The nodes of a region, by part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Computed where they are used.
    pub(crate) inline: HashSet<NodeId>,
    /// Accumulated in buffers of their own.
    pub(crate) combines: BTreeSet<NodeId>,
    /// Whose values leave the region.
    pub(crate) outputs: BTreeSet<NodeId>,
}

/// A region and the nodes that its buffers stand for, in the order of their declarations.
pub(crate) struct Extracted {
    pub(crate) region: Region,
    pub(crate) inputs: Vec<NodeId>,
    pub(crate) outputs: Vec<NodeId>,
}

/// What a nest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// The node's own buffer.
    Node(NodeId),
    /// The `f32` sums that are rounded into the node's buffer later.
    Wide(NodeId),
}

/// A combine into one buffer, at every point of a space.
#[derive(Clone, Debug)]
struct Task {
    target: Target,
    op: CombineOp,
    place: Vec<ExprId>,
    value: ExprId,
    axes: Vec<Axis>,
    /// The order of the axes matters: later values replace earlier ones.
    is_ordered: bool,
}

/// Tasks over one space.
struct Group {
    axes: Vec<Axis>,
    tasks: Vec<Task>,
}

/// Builds the region of a plan.
pub(crate) fn extract(
    graph: &Graph,
    maps: &Maps,
    plan: &Plan,
    name: &str,
) -> Result<Extracted, Refusal> {
    let mut spaces = Spaces {
        composer: Composer::new(graph, maps, &plan.inline),
        shared: HashMap::new(),
    };
    let mut tasks = Vec::new();
    let stored: BTreeSet<_> = plan.combines.union(&plan.outputs).copied().collect();
    for &node in &stored {
        if plan.combines.contains(&node) {
            spaces.combine(node, &mut tasks)?;
        } else {
            tasks.push(spaces.output(node)?);
        }
    }
    let groups = group(&spaces.composer, tasks);
    let emitter = Emitter {
        composer: &spaces.composer,
        plan,
        region: Region {
            name: name.to_owned(),
            buffers: Default::default(),
            nests: Vec::new(),
        },
        names: Names::default(),
        inputs: Vec::new(),
        buffers: HashMap::new(),
    };
    emitter.region(&stored, groups)
}

/// Whether sums of the type are accumulated in `f32`.
fn is_narrow(element: ElementType) -> bool {
    matches!(element, ElementType::F16 | ElementType::BF16)
}

/// Positions of the dimensions of a space, and its axes.
struct Space {
    positions: Vec<ExprId>,
    axes: Vec<Axis>,
}

struct Spaces<'a, 'm> {
    composer: Composer<'a, 'm>,
    /// Axes by their extents: spaces of equal extents share them, so that equal reads are equal.
    shared: HashMap<Vec<u64>, Vec<(Axis, ExprId)>>,
}

impl Spaces<'_, '_> {
    /// A space whose dimension `d` has the product of `factors[d]` positions, an axis each.
    fn space(&mut self, factors: &[Vec<u64>]) -> Space {
        let extents: Vec<u64> = factors.iter().flatten().copied().collect();
        let arena = &mut self.composer.arena;
        let axes = self
            .shared
            .entry(extents.clone())
            .or_insert_with(|| extents.iter().map(|&n| arena.axis(n)).collect());
        let mut rest = axes.iter();
        let mut positions = Vec::with_capacity(factors.len());
        for dims in factors {
            let (mut terms, mut stride) = (Vec::new(), 1i64);
            for (&(_, position), &n) in rest.by_ref().take(dims.len()).zip(dims) {
                for (_, factor) in &mut terms {
                    *factor *= n as i64;
                }
                terms.push((position, 1));
                stride = stride.saturating_mul(n as i64);
            }
            positions.push(arena.linear(&terms, 0));
        }
        Space {
            positions,
            axes: axes.iter().map(|&(axis, _)| axis).collect(),
        }
    }

    /// Builds a task over dimensions of the given sizes, splitting axes until none is cut.
    fn over(
        &mut self,
        sizes: &[i64],
        build: impl Fn(&mut Composer, &Space) -> Result<Task, Refusal>,
    ) -> Result<Task, Refusal> {
        let mut factors: Vec<Vec<u64>> = sizes.iter().map(|&n| vec![n as u64]).collect();
        loop {
            let space = self.space(&factors);
            let task = build(&mut self.composer, &space)?;
            // Bounded: every split adds a factor above 1, and a size has at most 63 of them.
            let Some((axis, cut)) = self.cut_axis(&task) else {
                return Ok(task);
            };
            let Some(flat) = space.axes.iter().position(|&a| a == axis) else {
                return Ok(task);
            };
            let mut seen = 0;
            for dims in &mut factors {
                if flat < seen + dims.len() {
                    let n = dims[flat - seen];
                    dims.splice(flat - seen..=flat - seen, [n / cut, cut]);
                    break;
                }
                seen += dims.len();
            }
        }
    }

    /// An axis that occurs under a `div` or `mod` by a proper divisor of its extent, and the divisor.
    fn cut_axis(&self, task: &Task) -> Option<(Axis, u64)> {
        let arena = &self.composer.arena;
        let mut roots = task.place.clone();
        roots.push(task.value);
        let mut found: Option<(Axis, u64)> = None;
        arena.postorder(&roots, |id| {
            let (Expr::Div(x, c) | Expr::Rem(x, c)) = *arena.expr(id) else {
                return;
            };
            if let Expr::Axis(axis) = *arena.expr(x) {
                let (extent, c) = (arena.extent(axis), c as u64);
                let is_cut = c > 1 && c < extent && extent.is_multiple_of(c);
                if is_cut && found.is_none_or(|(a, smallest)| a == axis && c < smallest) {
                    found = Some((axis, c));
                }
            }
        });
        found
    }

    fn sizes(&self, node: NodeId) -> Result<(ElementType, Vec<i64>), Refusal> {
        buffer_shape(self.composer.graph, node).map_err(|why| Refusal { node, why })
    }

    /// A value that leaves the region without being a combine.
    fn output(&mut self, node: NodeId) -> Result<Task, Refusal> {
        let (_, sizes) = self.sizes(node)?;
        self.over(&sizes, |composer, space| {
            Ok(Task {
                target: Target::Node(node),
                op: CombineOp::Replace,
                place: space.positions.clone(),
                value: composer.element(node, &space.positions)?,
                axes: space.axes.clone(),
                is_ordered: false,
            })
        })
    }

    /// The tasks of a reduce, dot or scatter.
    fn combine(&mut self, node: NodeId, tasks: &mut Vec<Task>) -> Result<(), Refusal> {
        let maps = self.composer.maps;
        let (element, result) = self.sizes(node)?;
        let map = maps.get(node).map_err(|why| Refusal { node, why })?;
        let wide = is_narrow(element)
            && matches!(
                map,
                Map::Dot(_) | Map::Reduce(_, CombineOp::Add | CombineOp::Mul)
            );
        let target = if wide {
            Target::Wide(node)
        } else {
            Target::Node(node)
        };
        let task = match map {
            Map::Reduce(over, op) => {
                let sizes = self.composer.operand_dims(node, 0)?;
                self.over(&sizes, |composer, space| {
                    let mut value = composer.operand(node, 0, &space.positions)?;
                    if wide {
                        value = composer.arena.convert(value, ElementType::F32);
                    }
                    let place = (0..sizes.len()).filter(|d| !over.contains(d));
                    Ok(Task {
                        target,
                        op: *op,
                        place: place.map(|d| space.positions[d]).collect(),
                        value,
                        axes: space.axes.clone(),
                        is_ordered: false,
                    })
                })?
            }
            Map::Dot(_) => {
                let (positions, contracting) = self.composer.dot_axes(node)?;
                // The contracting dimensions stand before the last dimension of the result, so
                // that the row of the result is the innermost axis.
                let last = result.len().saturating_sub(1);
                let sizes: Vec<_> = [&result[..last], &contracting, &result[last..]].concat();
                let contracted: Vec<_> = (last..last + contracting.len()).collect();
                self.over(&sizes, |composer, space| {
                    let kept: Vec<_> = (0..sizes.len())
                        .filter(|d| !contracted.contains(d))
                        .map(|d| space.positions[d])
                        .collect();
                    let summed: Vec<_> = contracted.iter().map(|&d| space.positions[d]).collect();
                    let (lhs, rhs) = positions.place(&kept, &summed);
                    let mut a = composer.operand(node, 0, &lhs)?;
                    let mut b = composer.operand(node, 1, &rhs)?;
                    let to = if wide { ElementType::F32 } else { element };
                    a = composer.arena.convert(a, to);
                    b = composer.arena.convert(b, to);
                    Ok(Task {
                        target,
                        op: CombineOp::Add,
                        place: kept,
                        value: composer.arena.binary(BinaryOp::Mul, a, b),
                        axes: space.axes.clone(),
                        is_ordered: false,
                    })
                })?
            }
            Map::Scatter(dims, op) => {
                let unique = dims.unique_indices;
                let starts = SliceIndices {
                    window_dims: &dims.update_window_dims,
                    missing_dims: &dims.inserted_window_dims,
                    operand_batching: &dims.input_batching_dims,
                    indices_batching: &dims.scatter_indices_batching_dims,
                    index_map: &dims.scatter_dims_to_operand_dims,
                    index_vector_dim: dims.index_vector_dim as usize,
                };
                let sizes = self.composer.operand_dims(node, 2)?;
                let mut windows = dims.update_window_dims.iter();
                let window_sizes: Vec<i64> = (0..result.len() as i64)
                    .map(|d| {
                        let missing = dims.inserted_window_dims.contains(&d)
                            || dims.input_batching_dims.contains(&d);
                        if missing {
                            1
                        } else {
                            windows.next().map_or(1, |&w| sizes[w as usize])
                        }
                    })
                    .collect();
                self.over(&sizes, |composer, space| {
                    let parts =
                        composer.slice_parts(node, 1, &starts, result.len(), &space.positions)?;
                    let mut place = Vec::with_capacity(result.len());
                    for (d, part) in parts.into_iter().enumerate() {
                        let hi = result[d] - window_sizes[d];
                        place.push(match part.start {
                            Start::Element(value) => {
                                let start = composer.arena.index(value, IndexMode::Drop, 0, hi);
                                let marked = is_marked(composer, start);
                                if marked && window_sizes[d] > 1 {
                                    let value =
                                        composer.arena.window_value(value, 0, hi, part.window);
                                    composer
                                        .arena
                                        .index(value, IndexMode::Drop, 0, result[d] - 1)
                                } else {
                                    composer.arena.linear(&[(start, 1), (part.window, 1)], 0)
                                }
                            }
                            Start::Position(position) => position,
                            Start::Zero => part.window,
                        });
                    }
                    Ok(Task {
                        target,
                        op: *op,
                        place,
                        value: composer.operand(node, 2, &space.positions)?,
                        axes: space.axes.clone(),
                        is_ordered: *op == CombineOp::Replace && !unique,
                    })
                })?
            }
            _ => {
                return Err(Refusal {
                    node,
                    why: NoMap("it is not a combine"),
                });
            }
        };
        tasks.push(task);
        if wide {
            // Round the sums.
            let task = self.over(&result, |composer, space| {
                let sum = composer.arena.read_wide(node, space.positions.clone());
                Ok(Task {
                    target: Target::Node(node),
                    op: CombineOp::Replace,
                    place: space.positions.clone(),
                    value: composer.arena.convert(sum, element),
                    axes: space.axes.clone(),
                    is_ordered: false,
                })
            })?;
            tasks.push(task);
        }
        Ok(())
    }
}

/// Whether a position may be marked as outside.
fn is_marked(composer: &Composer, position: ExprId) -> bool {
    matches!(composer.arena.expr(position), Expr::Index(index)
        if matches!(index.mode, IndexMode::Drop | IndexMode::Fill))
}

impl Task {
    fn roots(&self) -> Vec<ExprId> {
        let mut roots = self.place.clone();
        roots.push(self.value);
        roots
    }

    /// The buffers that it reads, and the reads among its expressions that go through an index.
    fn reads(&self, composer: &Composer) -> (HashSet<Target>, HashSet<ExprId>) {
        let arena = &composer.arena;
        let (mut read, mut lookups) = (HashSet::new(), HashSet::new());
        arena.postorder(&self.roots(), |id| {
            if let Expr::Read(r) = arena.expr(id) {
                read.insert(match r.wide {
                    true => Target::Wide(r.node),
                    false => Target::Node(r.node),
                });
            }
            if let Expr::Index(_) = arena.expr(id) {
                lookups.insert(id);
            }
        });
        (read, lookups)
    }
}

/// Puts tasks over equal spaces that look up by equal indices into one group, each after the
/// groups that it reads from.
fn group(composer: &Composer, tasks: Vec<Task>) -> Vec<Group> {
    let mut groups: Vec<(Group, HashSet<ExprId>)> = Vec::new();
    for task in tasks {
        let (read, lookups) = task.reads(composer);
        let after = groups
            .iter()
            .rposition(|(group, _)| group.tasks.iter().any(|t| read.contains(&t.target)))
            .map_or(0, |last| last + 1);
        let joined = groups[after..]
            .iter_mut()
            .find(|(group, shared)| group.axes == task.axes && !shared.is_disjoint(&lookups));
        match joined {
            Some((group, shared)) => {
                shared.extend(lookups);
                group.tasks.push(task);
            }
            None => groups.push((
                Group {
                    axes: task.axes.clone(),
                    tasks: vec![task],
                },
                lookups,
            )),
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

impl Group {
    /// The axes in nesting order, and whether looked-up positions depend on each.
    fn ordered_axes(&self, composer: &Composer) -> Vec<(Axis, bool)> {
        let arena = &composer.arena;
        let roots: Vec<_> = self.tasks.iter().flat_map(Task::roots).collect();
        // Axes below each expression, and those below any index.
        let mut below: HashMap<ExprId, HashSet<Axis>> = HashMap::new();
        let mut looked_up: HashSet<Axis> = HashSet::new();
        let mut contiguous = Vec::new();
        arena.postorder(&roots, |id| {
            let mut axes: HashSet<Axis> = HashSet::new();
            for operand in arena.operands(id) {
                if let Some(inner) = below.get(&operand) {
                    axes.extend(inner);
                }
            }
            match arena.expr(id) {
                Expr::Axis(axis) => {
                    axes.insert(*axis);
                }
                Expr::Index(_) => looked_up.extend(&axes),
                Expr::Read(read) => {
                    let through = read.indices.iter().any(|&i| has_index(composer, i));
                    if let (true, Some(&last)) = (through, read.indices.last()) {
                        contiguous.extend(unit_axis(composer, last));
                    }
                }
                _ => {}
            }
            below.insert(id, axes);
        });
        let dense: Vec<_> = self
            .axes
            .iter()
            .copied()
            .filter(|&a| arena.extent(a) > 1)
            .collect();
        let is_ordered = self.tasks.iter().any(|t| t.is_ordered);
        let (mut outer, mut inner): (Vec<Axis>, Vec<Axis>) = match is_ordered {
            true => (dense, Vec::new()),
            false => dense.into_iter().partition(|a| looked_up.contains(a)),
        };
        if outer.is_empty() {
            // Nothing is looked up: the places written decide.
            contiguous = self
                .tasks
                .iter()
                .filter_map(|t| unit_axis(composer, *t.place.last()?))
                .collect();
        }
        if let Some(at) = inner.iter().rposition(|a| contiguous.contains(a)) {
            let axis = inner.remove(at);
            inner.push(axis);
        }
        outer.append(&mut inner);
        outer
            .into_iter()
            .map(|a| (a, looked_up.contains(&a)))
            .collect()
    }
}

/// Whether a position is, or contains as a summand, an element used as an index.
fn has_index(composer: &Composer, position: ExprId) -> bool {
    match composer.arena.expr(position) {
        Expr::Index(_) => true,
        Expr::Linear(terms, _) => terms
            .iter()
            .any(|&(term, _)| matches!(composer.arena.expr(term), Expr::Index(_))),
        _ => false,
    }
}

/// The axis along which a position grows by one.
fn unit_axis(composer: &Composer, position: ExprId) -> Option<Axis> {
    match composer.arena.expr(position) {
        Expr::Axis(axis) => Some(*axis),
        Expr::Linear(terms, _) => {
            terms
                .iter()
                .find_map(|&(term, factor)| match *composer.arena.expr(term) {
                    Expr::Axis(axis) if factor == 1 => Some(axis),
                    _ => None,
                })
        }
        _ => None,
    }
}

struct Emitter<'e, 'a, 'm> {
    composer: &'e Composer<'a, 'm>,
    plan: &'e Plan,
    region: Region,
    names: Names,
    inputs: Vec<NodeId>,
    buffers: HashMap<Target, BufferId>,
}

impl Emitter<'_, '_, '_> {
    fn region(
        mut self,
        stored: &BTreeSet<NodeId>,
        groups: Vec<Group>,
    ) -> Result<Extracted, Refusal> {
        let arena = &self.composer.arena;
        // Inputs, in the order of their first use.
        let tasks: Vec<_> = groups.iter().flat_map(|g| &g.tasks).collect();
        let roots: Vec<_> = tasks.iter().flat_map(|t| t.roots()).collect();
        let mut read = Vec::new();
        arena.postorder(&roots, |id| {
            if let Expr::Read(r) = arena.expr(id)
                && !stored.contains(&r.node)
                && !read.contains(&r.node)
            {
                read.push(r.node);
            }
        });
        let sorted: HashSet<NodeId> = tasks
            .iter()
            .filter_map(|t| self.sorted_segments(t))
            .collect();
        for node in read {
            self.input(node, sorted.contains(&node))?;
        }
        let mut outputs = Vec::new();
        for &node in stored {
            let init = self.init(node, stored)?;
            let is_output = self.plan.outputs.contains(&node);
            if is_output {
                outputs.push(node);
            }
            let is_wide = tasks.iter().any(|t| t.target == Target::Wide(node));
            let own = if is_wide {
                Init::Undefined
            } else {
                init.clone()
            };
            let role = if is_output {
                Role::Output(own)
            } else {
                Role::Temp(own)
            };
            self.buffer(Target::Node(node), role, false)?;
            if is_wide {
                self.buffer(Target::Wide(node), Role::Temp(widened(init)), false)?;
            }
        }
        for group in groups {
            let nest = self.nest(&group)?;
            self.region.nests.push(nest);
        }
        Ok(Extracted {
            region: self.region,
            inputs: self.inputs,
            outputs,
        })
    }

    fn input(&mut self, node: NodeId, sorted: bool) -> Result<BufferId, Refusal> {
        let buffer = self.buffer(Target::Node(node), Role::Input, sorted)?;
        self.inputs.push(node);
        Ok(buffer)
    }

    fn buffer(&mut self, target: Target, role: Role, sorted: bool) -> Result<BufferId, Refusal> {
        if let Some(&buffer) = self.buffers.get(&target) {
            return Ok(buffer);
        }
        let (Target::Node(node) | Target::Wide(node)) = target;
        let graph = self.composer.graph;
        let (element, dims) = buffer_shape(graph, node).map_err(|why| Refusal { node, why })?;
        let wanted = &graph.instruction(node).name;
        let (wanted, element) = match target {
            Target::Node(_) => (wanted.to_string(), element),
            Target::Wide(_) => (format!("wide_{wanted}"), ElementType::F32),
        };
        let buffer = self.region.buffers.push(Buffer {
            name: self.names.fresh(&wanted),
            element,
            dims: dims.iter().map(|&n| n as u64).collect(),
            role,
            sorted,
            span: span(graph, node),
        });
        self.buffers.insert(target, buffer);
        Ok(buffer)
    }

    /// What a stored node's buffer holds before the first step.
    fn init(&mut self, node: NodeId, stored: &BTreeSet<NodeId>) -> Result<Init, Refusal> {
        let graph = self.composer.graph;
        if !self.plan.combines.contains(&node) {
            return Ok(Init::Undefined);
        }
        let (element, _) = buffer_shape(graph, node).map_err(|why| Refusal { node, why })?;
        let operand = match self.composer.maps.get(node) {
            Ok(Map::Dot(_)) => {
                return Ok(Init::Splat(Scalar::zero(ScalarType::Element(element))));
            }
            Ok(Map::Reduce(..)) => graph.nodes[node].operands[1],
            _ => graph.nodes[node].operands[0],
        };
        if let Some(scalar) = constant_of(graph, self.composer.maps, operand) {
            return Ok(Init::Splat(scalar));
        }
        if matches!(self.composer.maps.get(node), Ok(Map::Reduce(..))) {
            return Err(Refusal {
                node,
                why: NoMap("its initial value is not a constant"),
            });
        }
        if stored.contains(&operand) || self.plan.inline.contains(&operand) {
            return Err(Refusal {
                node,
                why: NoMap("it updates an array that the region itself computes"),
            });
        }
        let buffer = match self.buffers.get(&Target::Node(operand)) {
            Some(&buffer) => buffer,
            None => self.input(operand, false)?,
        };
        Ok(Init::Copy(buffer))
    }

    /// The segment ids of a scatter that promises them sorted, if it uses them as they come.
    fn sorted_segments(&self, task: &Task) -> Option<NodeId> {
        let Target::Node(node) = task.target else {
            return None;
        };
        let sorted = match self.composer.maps.get(node) {
            Ok(Map::Scatter(dims, _)) => dims.indices_are_sorted,
            _ => false,
        };
        let arena = &self.composer.arena;
        let &[position, ..] = task.place.as_slice() else {
            return None;
        };
        let Expr::Index(index) = arena.expr(position) else {
            return None;
        };
        let Expr::Read(read) = arena.expr(index.value) else {
            return None;
        };
        // One component, read along the first axis of its array.
        let direct = match read.indices.split_first() {
            Some((first, rest)) => {
                matches!(arena.expr(*first), Expr::Axis(axis)
                    if Some(arena.extent(*axis)) == first_size(self.composer.graph, read.node))
                    && rest.iter().all(|&r| arena.as_position(r) == Some(0))
                    && self.composer.graph.elements(read.node)
                        == first_size(self.composer.graph, read.node)?
            }
            None => false,
        };
        (sorted && direct && index.wrap.is_none()).then_some(read.node)
    }

    fn nest(&mut self, group: &Group) -> Result<Nest, Refusal> {
        let composer = self.composer;
        let arena = &composer.arena;
        let graph = composer.graph;
        let mut nest = Nest::default();
        let mut names = Names::default();
        for buffer in self.region.buffers.values() {
            names.fresh(&buffer.name);
        }
        let mut axes = group.ordered_axes(composer);
        let mut values: HashMap<ExprId, Value> = HashMap::new();
        if axes.is_empty() {
            axes.extend(group.axes.first().map(|&a| (a, false)));
        }
        let kept: HashSet<Axis> = group
            .tasks
            .iter()
            .flat_map(|t| &t.place)
            .flat_map(|&p| axes_of(composer, p))
            .collect();
        let mut by_axis: HashMap<Axis, Value> = HashMap::new();
        let looks_up = axes.iter().any(|&(_, is_looked_up)| is_looked_up);
        for (k, &(axis, is_looked_up)) in axes.iter().enumerate() {
            let name = match (is_looked_up, kept.contains(&axis)) {
                (true, true) => "b",
                (true, false) => "l",
                (false, true) if !looks_up && k + 1 < axes.len() => "b",
                (false, _) => "d",
            };
            let value = nest.values.push(ValueData {
                name: names.fresh(name),
                ty: ScalarType::Index,
                span: Span::default(),
            });
            by_axis.insert(axis, value);
            nest.body
                .push(Statement::Axis(value, Extent::Dense(arena.extent(axis))));
        }
        let roots: Vec<_> = group.tasks.iter().flat_map(Task::roots).collect();
        let mut order = Vec::new();
        arena.postorder(&roots, |id| order.push(id));
        let roles = roles(composer, &order, group);
        for id in order {
            if let Expr::Axis(axis) = arena.expr(id) {
                if let Some(&value) = by_axis.get(axis) {
                    values.insert(id, value);
                }
                continue;
            }
            let origin = arena.origin(id);
            let span = origin.map_or_else(Span::default, |node| span(graph, node));
            let role = roles.get(&id).copied();
            let value = self.statement(&mut nest, &mut names, &values, id, role, span)?;
            values.insert(id, value);
        }
        for task in &group.tasks {
            let (Target::Node(node) | Target::Wide(node)) = task.target;
            let missing = Refusal {
                node,
                why: NoMap("its place has no value"),
            };
            nest.body.push(Statement::Combine {
                span: span(graph, node),
                op: task.op,
                buffer: *self.buffers.get(&task.target).ok_or(missing)?,
                indices: task
                    .place
                    .iter()
                    .map(|id| values.get(id).copied())
                    .collect::<Option<_>>()
                    .ok_or(missing)?,
                value: *values.get(&task.value).ok_or(missing)?,
            });
        }
        Ok(nest)
    }

    /// Emits one expression whose operands are emitted, and gives its value.
    fn statement(
        &self,
        nest: &mut Nest,
        names: &mut Names,
        values: &HashMap<ExprId, Value>,
        id: ExprId,
        role: Option<&'static str>,
        span: Span,
    ) -> Result<Value, Refusal> {
        let arena = &self.composer.arena;
        let origin = arena.origin(id);
        let refuse = |why| Refusal {
            node: origin
                .or_else(|| self.plan.outputs.first().copied())
                .unwrap_or(NodeId::from_u32(0)),
            why: NoMap(why),
        };
        let value = |operand: &ExprId| {
            values
                .get(operand)
                .copied()
                .ok_or(refuse("an operand has no value"))
        };
        // Marked positions take part in nothing but the access that they are for.
        let unmarked = |operand: &ExprId| match is_marked(self.composer, *operand) {
            true => Err(refuse(
                "a position that may be outside takes part in arithmetic",
            )),
            false => value(operand),
        };
        let mut define = |nest: &mut Nest, name: &str, ty, expr| {
            let value = nest.values.push(ValueData {
                name: names.fresh(name),
                ty,
                span,
            });
            nest.body.push(Statement::Let(value, expr));
            value
        };
        let index = ScalarType::Index;
        let arith = RegionExpr::Arith;
        let number = |c| arith(Arith::Constant(Scalar::Index(c)));
        let ty = arena.ty(id);
        Ok(match arena.expr(id) {
            Expr::Axis(_) => return Err(refuse("an axis has no loop")),
            Expr::Linear(terms, constant) => {
                let mut sum: Option<Value> = None;
                for (term, factor) in terms {
                    let mut value = unmarked(term)?;
                    if *factor != 1 {
                        let by = define(nest, "c", index, number(*factor));
                        value = define(
                            nest,
                            "mul",
                            index,
                            arith(Arith::Binary(BinaryOp::Mul, value, by)),
                        );
                    }
                    sum = Some(match sum {
                        None => value,
                        Some(sum) => define(
                            nest,
                            "pos",
                            index,
                            arith(Arith::Binary(BinaryOp::Add, sum, value)),
                        ),
                    });
                }
                match sum {
                    None => define(nest, "c", index, number(*constant)),
                    Some(sum) if *constant == 0 => sum,
                    Some(sum) => {
                        let by = define(nest, "c", index, number(*constant));
                        define(
                            nest,
                            "pos",
                            index,
                            arith(Arith::Binary(BinaryOp::Add, sum, by)),
                        )
                    }
                }
            }
            Expr::Div(x, c) | Expr::Rem(x, c) => {
                let (op, name) = match arena.expr(id) {
                    Expr::Div(..) => (BinaryOp::Div, "quotient"),
                    _ => (BinaryOp::Rem, "remainder"),
                };
                let x = unmarked(x)?;
                let by = define(nest, "c", index, number(*c));
                define(nest, name, index, arith(Arith::Binary(op, x, by)))
            }
            Expr::Index(i) => define(
                nest,
                role.unwrap_or("row"),
                index,
                RegionExpr::Index {
                    value: value(&i.value)?,
                    wrap: i.wrap,
                    mode: i.mode,
                    lo: i.lo,
                    hi: i.hi,
                },
            ),
            Expr::Constant(constant) => {
                define(nest, "k", ty, arith(Arith::Constant(constant.scalar())))
            }
            Expr::Read(read) => {
                let target = match read.wide {
                    true => Target::Wide(read.node),
                    false => Target::Node(read.node),
                };
                let buffer = *self
                    .buffers
                    .get(&target)
                    .ok_or(refuse("a read has no buffer"))?;
                let indices = match read.fill {
                    Some(_) => read.indices.iter().map(value).collect::<Result<_, _>>()?,
                    None => read
                        .indices
                        .iter()
                        .map(unmarked)
                        .collect::<Result<_, _>>()?,
                };
                let fill = read.fill.map(|fill| fill.scalar());
                define(
                    nest,
                    role.unwrap_or("x"),
                    ty,
                    RegionExpr::Read {
                        buffer,
                        indices,
                        fill,
                    },
                )
            }
            Expr::Unary(op, a) => define(nest, op.name(), ty, arith(Arith::Unary(*op, value(a)?))),
            Expr::Binary(op, a, b) => define(
                nest,
                op.name(),
                ty,
                arith(Arith::Binary(*op, value(a)?, value(b)?)),
            ),
            Expr::Compare(op, a, b) => define(
                nest,
                op.name(),
                ty,
                arith(Arith::Compare(*op, unmarked(a)?, unmarked(b)?)),
            ),
            Expr::Select(c, a, b) => define(
                nest,
                "select",
                ty,
                arith(Arith::Select(value(c)?, value(a)?, value(b)?)),
            ),
            Expr::Convert(a, _) => {
                define(nest, "convert", ty, arith(Arith::Convert(unmarked(a)?, ty)))
            }
        })
    }
}

/// Names for what expressions are for: ids, rows, segments.
fn roles(composer: &Composer, order: &[ExprId], group: &Group) -> HashMap<ExprId, &'static str> {
    let arena = &composer.arena;
    let looks_up = order.iter().any(|&id| match arena.expr(id) {
        Expr::Read(read) => read.indices.iter().any(|&i| has_index(composer, i)),
        _ => false,
    });
    let mut roles = HashMap::new();
    for task in &group.tasks {
        for &place in &task.place {
            if let Expr::Index(index) = arena.expr(place) {
                roles.insert(place, "segment");
                roles.insert(index.value, "segment_id");
            }
        }
    }
    for &id in order {
        if let Expr::Index(index) = arena.expr(id) {
            roles.entry(index.value).or_insert("id");
        }
        // Beside looked-up rows, what is read plainly weighs or masks them.
        if let Expr::Read(read) = arena.expr(id)
            && !read.indices.iter().any(|&i| has_index(composer, i))
            && looks_up
        {
            roles.entry(id).or_insert("w");
        }
    }
    roles
}

/// All axes below an expression.
fn axes_of(composer: &Composer, id: ExprId) -> Vec<Axis> {
    let mut axes = Vec::new();
    composer.arena.postorder(&[id], |id| {
        if let Expr::Axis(axis) = composer.arena.expr(id) {
            axes.push(*axis);
        }
    });
    axes
}

fn span(graph: &Graph, node: NodeId) -> Span {
    let span = graph.span(node);
    Span {
        start: span.start,
        end: span.end,
    }
}

fn first_size(graph: &Graph, node: NodeId) -> Option<u64> {
    let first = *graph.array(node)?.dims.first()?;
    u64::try_from(first).ok()
}

fn widened(init: Init) -> Init {
    match init {
        Init::Splat(scalar) => Init::Splat(scalar.convert(ScalarType::Element(ElementType::F32))),
        Init::Undefined | Init::Copy(_) => Init::Undefined,
    }
}

/// The value of a node all of whose elements are one constant: a literal, seen through broadcasts,
/// reshapes and conversions.
pub(crate) fn constant_of(graph: &Graph, maps: &Maps, node: NodeId) -> Option<Scalar> {
    let mut conversions = Vec::new();
    let mut at = node;
    loop {
        match maps.get(at).ok()? {
            Map::Constant(splat) => {
                let scalar = (*splat)?;
                return Some(
                    conversions
                        .iter()
                        .rev()
                        .fold(scalar, |s: Scalar, &to| s.convert(to)),
                );
            }
            Map::Convert(to) => conversions.push(ScalarType::Element(*to)),
            map if map.is_view() => {}
            _ => return None,
        }
        at = *graph.nodes[at].operands.first()?;
    }
}
