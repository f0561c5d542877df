//! Epilogues: what normalises the value of a sink comes along.
//!
//! Taken are divisions by, and products with, what is smaller than the value or a count; conversions
//! to a smaller type; selects between the value and a constant. Views and conversions that change
//! nothing come along only if one of these follows.

use std::collections::BTreeSet;

use hlo2dae_ir::core::BinaryOp;

use super::{Grower, Growing};
use crate::extract::constant_of;
use crate::graph::NodeId;
use crate::op_maps::Map;

/// Most operations of an epilogue, and of one scale in it.
const MAX_EPILOGUE: usize = 48;

/// What an epilogue does with a user of its value.
enum Step {
    /// Comes along if something behind it does.
    Carry,
    /// Comes along with these factors.
    Take { scales: Vec<NodeId> },
}

impl Grower<'_, '_> {
    /// Adds what normalises the value of a sink.
    pub(super) fn with_epilogue(&mut self, growing: Growing, sink: NodeId) -> Growing {
        let mut growing = growing;
        // (last node taken, views and conversions since then)
        let mut work: Vec<(NodeId, Vec<NodeId>)> = vec![(sink, Vec::new())];
        let mut steps = 0;
        while let Some((at, pending)) = work.pop() {
            for &user in self.graph.users[at].iter() {
                steps += 1;
                if steps > MAX_EPILOGUE {
                    return growing;
                }
                if growing.owned.contains(&user) || self.fed.contains(&user) {
                    continue;
                }
                match self.epilogue_step(&growing, at, user) {
                    Some(Step::Carry) => {
                        let mut pending = pending.clone();
                        pending.push(user);
                        work.push((user, pending));
                    }
                    Some(Step::Take { scales }) => {
                        let mut next = growing.clone();
                        next.owned.extend(pending.iter().chain([&user]));
                        next.plan.inline.extend(pending.iter().chain([&user]));
                        for scale in scales {
                            if self.is_combine(scale) {
                                next.plan.combines.insert(scale);
                                next.owned.insert(scale);
                            } else {
                                next.plan.inline.insert(scale);
                            }
                        }
                        if self.complete(&mut next) {
                            growing = next;
                            work.push((user, Vec::new()));
                        }
                    }
                    None => {}
                }
            }
        }
        growing
    }

    fn is_combine(&self, node: NodeId) -> bool {
        self.maps.is(node, Map::is_combine)
    }

    /// What an epilogue does with a user of its value.
    fn epilogue_step(&self, growing: &Growing, value: NodeId, user: NodeId) -> Option<Step> {
        let map = self.maps.get(user).ok()?;
        let operands = self.operands(user);
        let bytes = |node| self.graph.bytes(node);
        match map {
            Map::Convert(_) if bytes(user) < bytes(value) => {
                Some(Step::Take { scales: Vec::new() })
            }
            Map::Convert(_) if bytes(user) == bytes(value) => Some(Step::Carry),
            Map::Broadcast(_) | Map::Slice(_) => None,
            map if map.is_view() => Some(Step::Carry),
            Map::Binary(BinaryOp::Div) if operands.first() == Some(&value) => {
                let scales = self.scale(growing, value, *operands.get(1)?)?;
                Some(Step::Take { scales })
            }
            Map::Binary(BinaryOp::Mul) => {
                let other = *operands.iter().find(|&&operand| operand != value)?;
                let scales = self.scale(growing, value, other)?;
                Some(Step::Take { scales })
            }
            Map::Select => {
                // One branch is the value, the other a constant, and the condition a scale.
                let (&condition, branches) = operands.split_first()?;
                let other = *branches.iter().find(|&&branch| branch != value)?;
                constant_of(self.graph, self.maps, other)?;
                let scales = self.scale(growing, value, condition)?;
                Some(Step::Take {
                    scales: [scales, vec![other]].concat(),
                })
            }
            _ => None,
        }
    }

    /// The nodes to take in for a factor of the epilogue: cheap arithmetic on constants, on arrays
    /// smaller than the value, and on combines that may come along. `None` if it is none of that.
    fn scale(&self, growing: &Growing, value: NodeId, root: NodeId) -> Option<Vec<NodeId>> {
        let mut taken = BTreeSet::new();
        let mut stack = vec![root];
        let limit = self.graph.elements(value);
        while let Some(node) = stack.pop() {
            if growing.owned.contains(&node) || taken.contains(&node) || node == value {
                continue;
            }
            let smaller = self.graph.elements(node) < limit;
            let map = self.maps.get(node).ok();
            let arithmetic = map
                .is_some_and(|map| (map.is_elementwise() || map.is_view()) && !map.is_expensive());
            if constant_of(self.graph, self.maps, node).is_some()
                || (arithmetic && !self.fed.contains(&node))
            {
                taken.insert(node);
                stack.extend(self.operands(node));
            } else if map.is_some_and(|map| self.is_count(node, map, limit)) {
                taken.insert(node);
            } else if !smaller {
                return None;
            }
            if taken.len() > MAX_EPILOGUE {
                return None;
            }
        }
        Some(taken.into_iter().collect())
    }

    /// Whether a combine may come along for an epilogue: it is nobody else's, it is no lookup, and
    /// what it combines is not larger than what the epilogue scales, or all the same.
    fn is_count(&self, node: NodeId, map: &Map, limit: u64) -> bool {
        if self.claimed.contains(&node) || self.graph.elements(node) > limit {
            return false;
        }
        let data = match map {
            Map::Reduce(..) => self.operands(node).first(),
            Map::Scatter(..) if self.scatters.contains(&node) => self.operands(node).get(2),
            _ => None,
        };
        data.is_some_and(|&data| {
            !self.fed.contains(&data)
                && (constant_of(self.graph, self.maps, data).is_some()
                    || self.graph.elements(data) <= limit)
        })
    }
}
