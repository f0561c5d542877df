//! Tasks over the rounds of a loop, and over the entries of a sparse matrix: one axis from a begin to an end.
//!
//! A round of a loop changes a state `s`, all of it or a window of it. Let `n(o)` be the state after a round at `o`, as an
//! expression of the state before:
//!
//! | `n(o)` | task |
//! |---|---|
//! | `op(s(o), v)` | `combine op s[o], v`, where neither `v` nor `o` reads a state |
//! | `v` | `combine replace s[o], v` |
//! | `select(c, n', s(o))` | that of `n'`, at a place that is dropped where `c` does not hold |
//!
//! A `dynamic-update-slice` clamps its start; where `c` says that the start is inside, that is a start that is dropped.

use hlo2dae_ir::core::{BinaryOp, CombineOp, ElementType};
use hlo2dae_ir::region::IndexMode;

use hlo2dae_hlo::Opcode;

use super::task::{Space, Spaces, Target, Task};
use crate::compose::{Composer, Refusal};
use crate::graph::{LoopId, NodeId, Role};
use crate::index_map::{Axis, Expr, ExprId};
use crate::op_maps::{Map, NoMap};

/// What a round does to the state at one place.
struct Step {
    op: CombineOp,
    value: ExprId,
    /// Only where this holds.
    condition: Option<ExprId>,
}

impl Spaces<'_, '_> {
    /// The task of a loop's result.
    pub(super) fn rounds(
        &mut self,
        node: NodeId,
        of: LoopId,
        state: NodeId,
        result: &[i64],
    ) -> Result<Task, Refusal> {
        let graph = self.composer.graph;
        let refuse = |why| Refusal {
            node,
            why: NoMap(why),
        };
        let &[_, begin, end, after] = graph.nodes[node].operands.as_slice() else {
            return Err(refuse("it lacks an operand"));
        };
        let (begin, end) = (self.composer.scalar(begin)?, self.composer.scalar(end)?);
        let arena = &mut self.composer.arena;
        let (axis, position) = match (arena.as_position(begin), arena.as_position(end)) {
            (Some(begin), Some(end)) if begin >= end => {
                return Err(refuse("it runs no round"));
            }
            (Some(begin), Some(end)) => {
                let (axis, position) = arena.axis(begin.abs_diff(end));
                (axis, arena.offset(position, begin))
            }
            _ => arena.range_axis(begin, end),
        };
        self.composer.enter(of, begin, position)?;
        let after = self.uncopied(after);
        let task = if graph.opcode(after) == Opcode::DynamicUpdateSlice {
            let operands = graph.nodes[after].operands.as_slice();
            let (&[updated, window], starts) = operands
                .split_first_chunk()
                .ok_or(refuse("it lacks an operand"))?;
            if self.uncopied(updated) != state {
                return Err(refuse("a round updates something else than the state"));
            }
            let sizes = self.composer.operand_dims(after, 1)?;
            self.over(&sizes, |composer, space| {
                window_update(composer, node, state, window, starts, result, &sizes, space)
            })?
        } else {
            self.over(result, |composer, space| {
                let value = composer.element(after, &space.positions)?;
                let step = step(composer, node, value, state, &space.positions)?;
                match step.condition {
                    Some(_) => Err(refuse("a round changes its state only sometimes")),
                    None => Ok((step, space.positions.clone())),
                }
                .map(|(step, place)| task(node, step, place, space))
            })?
        };
        Ok(with_axis(task, axis))
    }

    /// The task of a sparse product.
    pub(super) fn sparse_dense(
        &mut self,
        node: NodeId,
        target: Target,
        wide: bool,
        result: &[i64],
    ) -> Result<Task, Refusal> {
        let entries = self.composer.operand_dims(node, 0)?;
        let dense = self.composer.operand_dims(node, 3)?;
        let (count, rows) = match (entries.as_slice(), dense.as_slice()) {
            (&[count], [rows, ..]) => (count, *rows),
            _ => {
                return Err(Refusal {
                    node,
                    why: NoMap("it is no product of a matrix"),
                });
            }
        };
        let (&row_count, width) = result.split_first().ok_or(Refusal {
            node,
            why: NoMap("it is no product of a matrix"),
        })?;
        let row = self.space(&[vec![row_count.unsigned_abs()]]);
        let (row_axes, at) = (row.axes, row.positions);
        let offset = |composer: &mut Composer, at: ExprId| {
            let element = composer.operand(node, 1, &[at])?;
            Ok(composer.arena.index(element, IndexMode::Clamp, 0, count))
        };
        let (composer, here) = (&mut self.composer, at[0]);
        let next = composer.arena.offset(here, 1);
        let (begin, end) = (offset(composer, here)?, offset(composer, next)?);
        let (axis, entry) = composer.arena.range_axis(begin, end);
        let task = self.over(width, |composer, space| {
            let value = composer.operand(node, 0, &[entry])?;
            let column = composer.operand(node, 2, &[entry])?;
            let column = composer.arena.index(column, IndexMode::Clamp, 0, rows - 1);
            let dense =
                composer.operand(node, 3, &[&[column], space.positions.as_slice()].concat())?;
            let (value, dense) = match wide {
                true => (
                    composer.arena.convert(value, ElementType::F32),
                    composer.arena.convert(dense, ElementType::F32),
                ),
                false => (value, dense),
            };
            Ok(Task {
                target,
                op: CombineOp::Add,
                place: [&[here], space.positions.as_slice()].concat(),
                value: composer.arena.binary(BinaryOp::Mul, value, dense),
                axes: space.axes.clone(),
                is_ordered: false,
            })
        })?;
        let mut task = with_axis(task, axis);
        task.axes.splice(0..0, row_axes);
        Ok(task)
    }

    /// What a node is a copy of.
    fn uncopied(&self, node: NodeId) -> NodeId {
        let graph = self.composer.graph;
        let mut at = node;
        for _ in 0..8 {
            let same = self.composer.maps.is(at, |map| matches!(map, Map::Reshape));
            match graph.nodes[at].operands.first() {
                Some(&operand) if same && dims(graph.array(operand)) == dims(graph.array(at)) => {
                    at = operand;
                }
                _ => break,
            }
        }
        at
    }
}

fn dims(array: Option<&hlo2dae_hlo::ArrayShape>) -> Option<&[i64]> {
    array.map(|array| array.dims.as_slice())
}

fn task(node: NodeId, step: Step, place: Vec<ExprId>, space: &Space) -> Task {
    Task {
        target: Target::Node(node),
        op: step.op,
        place,
        value: step.value,
        axes: space.axes.clone(),
        is_ordered: step.op == CombineOp::Replace,
    }
}

/// The task with one more axis, outside the others.
fn with_axis(mut task: Task, axis: Axis) -> Task {
    task.axes.insert(0, axis);
    task
}

/// The update of a window of the state.
#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one instruction, and where it stands"
)]
fn window_update(
    composer: &mut Composer,
    node: NodeId,
    state: NodeId,
    window: NodeId,
    starts: &[NodeId],
    dims: &[i64],
    sizes: &[i64],
    space: &Space,
) -> Result<Task, Refusal> {
    let refuse = |why| Refusal {
        node,
        why: NoMap(why),
    };
    if starts.len() != dims.len() || sizes.len() != dims.len() {
        return Err(refuse("its operands and its shape do not fit"));
    }
    let mut place = Vec::with_capacity(dims.len());
    let mut elements = Vec::with_capacity(dims.len());
    for d in 0..dims.len() {
        let element = composer.element(starts[d], &[])?;
        let hi = dims[d] - sizes[d];
        let start = composer.arena.index(element, IndexMode::Clamp, 0, hi);
        place.push(
            composer
                .arena
                .linear(&[(start, 1), (space.positions[d], 1)], 0),
        );
        elements.push((element, start));
    }
    let value = composer.element(window, &space.positions)?;
    let step = step(composer, node, value, state, &place)?;
    if let Some(condition) = step.condition {
        // The first place that is looked up is dropped where the condition does not hold.
        let looked_up =
            |&(_, start): &(ExprId, ExprId)| matches!(composer.arena.expr(start), Expr::Index(_));
        let d = elements
            .iter()
            .position(looked_up)
            .ok_or(refuse("a round changes its state only sometimes"))?;
        let (element, start) = elements[d];
        let hi = dims[d] - sizes[d];
        let arena = &mut composer.arena;
        let checked = match arena.dropped(condition, element, 0, hi) {
            Some(start) if sizes[d] == 1 => Some(start),
            _ => None,
        };
        place[d] = match checked {
            Some(start) => start,
            None => {
                let outside = arena.integer(-1, ElementType::S64);
                let at = arena.linear(&[(start, 1), (space.positions[d], 1)], 0);
                let at = arena.convert(at, ElementType::S64);
                let value = arena.select(condition, at, outside);
                arena.index(value, IndexMode::Drop, 0, dims[d] - 1)
            }
        };
    }
    Ok(task(node, step, place, space))
}

/// What a round does to the state at a place, if its value after the round is `value`.
fn step(
    composer: &mut Composer,
    node: NodeId,
    value: ExprId,
    state: NodeId,
    place: &[ExprId],
) -> Result<Step, Refusal> {
    let refuse = |why| Refusal {
        node,
        why: NoMap(why),
    };
    let arena = &mut composer.arena;
    let is_before = |arena: &crate::index_map::Arena, id: ExprId| {
        matches!(arena.expr(id), Expr::Read(read)
            if read.node == state && read.indices == place && read.fill.is_none())
    };
    let (mut value, mut condition) = (value, None);
    if let Expr::Select(holds, changed, kept) = *arena.expr(value) {
        if is_before(arena, kept) {
            (value, condition) = (changed, Some(holds));
        } else if is_before(arena, changed) {
            let holds = arena.unary(hlo2dae_ir::core::UnaryOp::Not, holds);
            (value, condition) = (kept, Some(holds));
        }
    }
    let (op, value) = match *arena.expr(value) {
        Expr::Binary(op, before, value) if is_before(arena, before) => (combine_op(op), value),
        Expr::Binary(op, value, before) if is_before(arena, before) && op != BinaryOp::Sub => {
            (combine_op(op), value)
        }
        _ => (Some(CombineOp::Replace), value),
    };
    let op = op.ok_or(refuse("what a round makes of its state is no combine"))?;
    let mut roots = place.to_vec();
    roots.push(value);
    roots.extend(condition);
    let mut reads_state = false;
    let nodes = &composer.graph.nodes;
    let arena = &composer.arena;
    arena.postorder(&roots, |id| {
        reads_state |=
            matches!(arena.expr(id), Expr::Read(read) if nodes[read.node].role == Role::State);
    });
    match reads_state {
        true => Err(refuse("a round reads a state elsewhere than it changes it")),
        false => Ok(Step {
            op,
            value,
            condition,
        }),
    }
}

/// The combine that a state meets a value by.
fn combine_op(op: BinaryOp) -> Option<CombineOp> {
    match op {
        BinaryOp::Add => Some(CombineOp::Add),
        BinaryOp::Sub => Some(CombineOp::Sub),
        BinaryOp::Mul => Some(CombineOp::Mul),
        BinaryOp::Min => Some(CombineOp::Min),
        BinaryOp::Max => Some(CombineOp::Max),
        BinaryOp::And => Some(CombineOp::And),
        BinaryOp::Or => Some(CombineOp::Or),
        BinaryOp::Xor => Some(CombineOp::Xor),
        BinaryOp::Div
        | BinaryOp::Rem
        | BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::Shl
        | BinaryOp::ShrArithmetic
        | BinaryOp::ShrLogical => None,
    }
}
