//! What follows a sink: its epilogue, or the update of an array.
//!
//! A step of gradient descent is `table - rate * scatter(zeros, ids, gradients)`: behind the scatter and what scales its sums stands one addition
//! to, or subtraction from, an array that the region has no part in. The result then starts as a copy of that array, which may lie where the
//! array lay, and an engine is free to visit only the rows that were scattered to.
//!
//! That pays where a scatter writes few of its rows. A pass over all of them, which an epilogue is, does not: XLA makes it one with what
//! follows.

use hlo2dae_ir::core::{BinaryOp, CombineOp, Scalar};

use super::{Grower, Growing};
use crate::extract::{constant_of, updated};
use crate::graph::NodeId;
use crate::op_maps::Map;

/// Most operations between a scatter and the update.
const MAX_BETWEEN: usize = 16;

impl Grower<'_, '_> {
    /// Adds what follows a sink.
    pub(super) fn with_end(&mut self, growing: Growing, sink: NodeId) -> Growing {
        let scaled = self.with_epilogue(growing.clone(), sink);
        // A count that comes along is another pass over the lookups.
        let counts = scaled.plan.combines.len() > growing.plan.combines.len();
        match counts || !self.writes_few(sink) {
            true => scaled,
            false => self.with_update(&scaled, sink).unwrap_or(growing),
        }
    }

    /// Whether a sink is a scatter of less than half as much as there is.
    fn writes_few(&self, sink: NodeId) -> bool {
        let written = self.operands(sink).get(2);
        self.maps.is(sink, |map| matches!(map, Map::Scatter(..)))
            && written.is_some_and(|&written| {
                self.graph.elements(written).saturating_mul(2) < self.graph.elements(sink)
            })
    }

    /// The region with the update that the sums of a scatter are for, if they are for nothing else.
    fn with_update(&mut self, growing: &Growing, scatter: NodeId) -> Option<Growing> {
        let start = constant_of(self.graph, self.maps, *self.operands(scatter).first()?)?;
        let sums = |map: &Map| matches!(map, Map::Scatter(_, CombineOp::Add));
        if !self.maps.is(scatter, sums) || start != Scalar::zero(start.ty()) {
            return None;
        }
        let mut next = growing.clone();
        let mut at = scatter;
        for _ in 0..MAX_BETWEEN {
            let &[user] = self.graph.users[at].as_slice() else {
                return None;
            };
            if self.graph.is_result[at] {
                return None;
            }
            let map = self.maps.get(user).ok()?;
            if !growing.owned.contains(&user) {
                next.owned.insert(user);
                if self.updates(growing, at, user, map) {
                    next.plan.combines.insert(user);
                    let done = self.complete(&mut next);
                    let mut combines = next.plan.combines.iter();
                    // What completed the region may have taken in what an update starts from.
                    let start_outside = combines.all(|&node| {
                        !self.maps.is(node, |map| matches!(map, Map::Binary(_)))
                            || updated(self.graph, self.maps, &next.plan, node).is_ok()
                    });
                    return (done && start_outside).then_some(next);
                }
                let same_size = self.graph.elements(user) == self.graph.elements(at);
                let carried = matches!(map, Map::Unary(_) | Map::Convert(_)) && !map.is_expensive();
                if !(carried || same_size && map.is_view()) {
                    return None;
                }
                next.plan.inline.insert(user);
            }
            at = user;
        }
        None
    }

    /// Whether a user of a value adds it to, or subtracts it from, an array of floats from outside.
    fn updates(&self, growing: &Growing, value: NodeId, user: NodeId, map: &Map) -> bool {
        let &[left, right] = self.operands(user) else {
            return false;
        };
        let array = match map {
            Map::Binary(BinaryOp::Add) if right == value => left,
            Map::Binary(BinaryOp::Add) => right,
            Map::Binary(BinaryOp::Sub) if right == value => left,
            _ => return false,
        };
        let plan = &growing.plan;
        let is_float = |node| {
            self.graph
                .array(node)
                .is_some_and(|array| array.element.is_float())
        };
        array != value
            && !plan.inline.contains(&array)
            && !plan.combines.contains(&array)
            && constant_of(self.graph, self.maps, array).is_none()
            && self.graph.nodes[array].within.is_none()
            && is_float(value)
            && is_float(user)
    }
}
