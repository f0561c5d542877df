//! From a set of nodes to a region: iteration spaces, expressions, statements.
//!
//! 1. Every combine of the set, and every other node whose value leaves it, becomes a task: over
//!    which space it runs, which expression it combines, into which place. What lies between is
//!    inlined into the expressions by composition.
//! 2. An axis that occurs only cut into quotient and remainder becomes two axes.
//! 3. Tasks over the same space that read through the same indices share a nest.
//! 4. Within a nest the axes on which looked-up positions depend come first, then an axis whose bounds
//!    are read, and the axis along which a looked-up row is contiguous comes last.
//! 5. Expressions become statements, each once.
//!
//! Sums and products of `f16` and `bf16` accumulate in `f32` and are rounded once.

mod emit;
mod group;
mod ranges;
mod task;

use hashbrown::HashSet;
use std::collections::BTreeSet;

use hlo2dae_ir::core::{BinaryOp, BufferId, Scalar, ScalarType};
use hlo2dae_ir::region::Region;

use crate::compose::Refusal;
use crate::graph::{Graph, NodeId};
use crate::op_maps::{Map, Maps, NoMap};

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

/// Of a combine that adds to an array, or subtracts from it: the operand that is the array, which the region does not compute, and the other one.
pub(crate) fn updated(
    graph: &Graph,
    maps: &Maps,
    plan: &Plan,
    node: NodeId,
) -> Result<(usize, usize), Refusal> {
    let outside =
        |operand: &NodeId| !plan.inline.contains(operand) && !plan.combines.contains(operand);
    match (maps.get(node), graph.nodes[node].operands.as_slice()) {
        (Ok(Map::Binary(BinaryOp::Sub | BinaryOp::Add)), [array, _]) if outside(array) => {
            Ok((0, 1))
        }
        (Ok(Map::Binary(BinaryOp::Add)), [_, array]) if outside(array) => Ok((1, 0)),
        _ => Err(computed_here(node)),
    }
}

/// The refusal of an update of what is no input.
fn computed_here(node: NodeId) -> Refusal {
    Refusal {
        node,
        why: NoMap("it updates an array that the region itself computes"),
    }
}

/// A region and the nodes that its buffers stand for, in the order of their declarations.
pub(crate) struct Extracted {
    pub(crate) region: Region,
    pub(crate) inputs: Vec<NodeId>,
    pub(crate) outputs: Vec<NodeId>,
    /// The buffers that nodes are combined in.
    pub(crate) combines: Vec<(NodeId, BufferId)>,
}

/// Builds the region of a plan.
pub(crate) fn extract(
    graph: &Graph,
    maps: &Maps,
    plan: &Plan,
    name: &str,
) -> Result<Extracted, Refusal> {
    let mut spaces = task::Spaces::new(graph, maps, plan);
    let stored: BTreeSet<_> = plan.combines.union(&plan.outputs).copied().collect();
    let mut tasks = Vec::new();
    for &node in &stored {
        if plan.combines.contains(&node) {
            spaces.combine(node, &mut tasks)?;
        } else {
            tasks.push(spaces.output(node)?);
        }
    }
    let groups = group::group(&spaces.composer, tasks);
    emit::Emitter::new(&spaces.composer, plan, name).region(&stored, groups)
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
