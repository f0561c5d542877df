//! Tasks: which combine runs over which space.

use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{BinaryOp, CombineOp, ElementType, UnaryOp};
use hlo2dae_ir::region::IndexMode;

use super::emit::axes_of;
use super::{Plan, updated};
use crate::compose::{Composer, Refusal, SliceIndices, Start};
use crate::graph::{Graph, NodeId};
use crate::index_map::{Axis, Expr, ExprId};
use crate::op_maps::{Map, Maps, NoMap, buffer_shape};

/// What a nest writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// The node's own buffer.
    Node(NodeId),
    /// The `f32` sums that are rounded into the node's buffer later.
    Wide(NodeId),
}

/// A combine into one buffer, at every point of a space.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) target: Target,
    pub(super) op: CombineOp,
    pub(super) place: Vec<ExprId>,
    pub(super) value: ExprId,
    pub(super) axes: Vec<Axis>,
    /// The order of the axes matters: later values replace earlier ones.
    pub(super) is_ordered: bool,
}

/// Whether sums of the type are accumulated in `f32`.
fn is_narrow(element: ElementType) -> bool {
    matches!(element, ElementType::F16 | ElementType::BF16)
}

/// Positions of the dimensions of a space, and its axes.
pub(super) struct Space {
    pub(super) positions: Vec<ExprId>,
    pub(super) axes: Vec<Axis>,
}

/// The combines of a region, as tasks.
pub(super) struct Spaces<'a, 'm> {
    pub(super) composer: Composer<'a, 'm>,
    plan: &'a Plan,
    /// Axes by their extents: spaces of equal extents share them, so that equal reads are equal.
    shared: HashMap<Vec<u64>, Vec<(Axis, ExprId)>>,
}

impl<'a, 'm> Spaces<'a, 'm> {
    /// No spaces yet.
    pub(super) fn new(graph: &'a Graph<'m>, maps: &'a Maps, plan: &'a Plan) -> Self {
        Spaces {
            composer: Composer::new(graph, maps, &plan.inline),
            plan,
            shared: HashMap::new(),
        }
    }

    /// A space whose dimension `d` has the product of `factors[d]` positions, an axis each.
    pub(super) fn space(&mut self, factors: &[Vec<u64>]) -> Space {
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
    pub(super) fn over(
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
                let c = c as u64;
                let is_cut = arena
                    .count(axis)
                    .is_some_and(|extent| c > 1 && c < extent && extent.is_multiple_of(c));
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
    pub(super) fn output(&mut self, node: NodeId) -> Result<Task, Refusal> {
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

    /// An array that something is added to, or subtracted from: the negative is added then, which is the same to the bit.
    fn update(&mut self, node: NodeId, op: BinaryOp, result: &[i64]) -> Result<Task, Refusal> {
        let (graph, maps) = (self.composer.graph, self.composer.maps);
        let (_, added) = updated(graph, maps, self.plan, node)?;
        self.over(result, |composer, space| {
            let value = composer.operand(node, added, &space.positions)?;
            Ok(Task {
                target: Target::Node(node),
                op: CombineOp::Add,
                place: space.positions.clone(),
                value: match op {
                    BinaryOp::Sub => composer.arena.unary(UnaryOp::Neg, value),
                    _ => value,
                },
                axes: space.axes.clone(),
                is_ordered: false,
            })
        })
    }

    /// The tasks of a reduce, dot, scatter or update.
    pub(super) fn combine(&mut self, node: NodeId, tasks: &mut Vec<Task>) -> Result<(), Refusal> {
        let maps = self.composer.maps;
        let (element, result) = self.sizes(node)?;
        let map = maps.get(node).map_err(|why| Refusal { node, why })?;
        let wide = is_narrow(element)
            && matches!(
                map,
                Map::Dot(_) | Map::SparseDense | Map::Reduce(_, CombineOp::Add | CombineOp::Mul)
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
                // Rows are contiguous: where a row is summed, the contracting dimensions stand last; where rows are,
                // they stand before the last dimension of the result. So the space is that in which rows are stored.
                let lhs = self.composer.operand_dims(node, 0)?;
                let sums_row = matches!(map, Map::Dot(dims)
                    if dims.lhs_contracting.contains(&(lhs.len() as i64 - 1)));
                let last = match sums_row {
                    true => result.len(),
                    false => result.len().saturating_sub(1),
                };
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
                    let is_ordered = *op == CombineOp::Replace && !unique;
                    let mut axes = space.axes.clone();
                    if is_ordered {
                        // One window after the other: a later one replaces where they overlap.
                        let windows = dims.update_window_dims.iter();
                        let windows: HashSet<Axis> = windows
                            .filter_map(|&d| space.positions.get(usize::try_from(d).ok()?))
                            .flat_map(|&position| axes_of(composer, position))
                            .collect();
                        axes.sort_by_key(|axis| windows.contains(axis));
                    }
                    Ok(Task {
                        target,
                        op: *op,
                        place,
                        value: composer.operand(node, 2, &space.positions)?,
                        axes,
                        is_ordered,
                    })
                })?
            }
            Map::Binary(op) => self.update(node, *op, &result)?,
            Map::Rounds(of, state) => self.rounds(node, *of, *state, &result)?,
            Map::SparseDense => self.sparse_dense(node, target, wide, &result)?,
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
pub(super) fn is_marked(composer: &Composer, position: ExprId) -> bool {
    matches!(composer.arena.expr(position), Expr::Index(index)
        if matches!(index.mode, IndexMode::Drop | IndexMode::Fill))
}

impl Task {
    pub(super) fn roots(&self) -> Vec<ExprId> {
        let mut roots = self.place.clone();
        roots.push(self.value);
        roots
    }

    /// The buffers that it reads, and the reads among its expressions that go through an index.
    pub(super) fn reads(&self, composer: &Composer) -> (HashSet<Target>, HashSet<ExprId>) {
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
