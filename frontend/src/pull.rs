//! Growing backwards: which producers of a member become members too.
//!
//! | of | taken in | left outside |
//! |---|---|---|
//! | indices | integer and truth-value arithmetic, views, `concatenate` of components, reductions small enough to unroll, literals and lookups in them | everything else |
//! | tables | views: they cost nothing when read through | everything else |
//! | data | literals, `iota`, views, integer arithmetic, and cheap arithmetic that nothing outside uses | everything else |
//!
//! What is taken in here may be computed outside as well, where something else needs it: it is
//! cheap. Looked-up values are never taken in this way, so that no lookup is made twice.

use hashbrown::HashSet;
use std::collections::{BTreeSet, VecDeque};

use hlo2dae_hlo::PrimitiveType;

use crate::compose::MAX_UNROLL;
use crate::graph::{Graph, NodeId};
use crate::op_maps::{Map, Maps};

/// Most nodes taken in for one operand.
const MAX_PULLED: usize = 96;
/// Most concatenations among them: each reads its operands at indices of their own, so that a chain
/// of them (a prefix sum by doubling) would double the expression at every step.
const MAX_JOINS: usize = 3;
/// Largest size along which a concatenation joins the components of an index rather than lists of
/// indices. Joined lists are read faster than they are chosen between.
const MAX_COMPONENTS: i64 = 8;

/// What decides whether a producer is taken in.
pub(crate) struct Puller<'a, 'm> {
    pub(crate) graph: &'a Graph<'m>,
    pub(crate) maps: &'a Maps,
    /// Nodes whose value comes from a lookup.
    pub(crate) fed: &'a HashSet<NodeId>,
}

impl Puller<'_, '_> {
    /// Takes in what computes an index.
    pub(crate) fn indices(&self, root: NodeId, inline: &mut HashSet<NodeId>) {
        // Nearest first.
        let mut queue = VecDeque::from([root]);
        let (mut pulled, mut joins) = (0, 0);
        while let Some(node) = queue.pop_front() {
            if inline.contains(&node) || self.fed.contains(&node) || !self.is_index_arithmetic(node)
            {
                continue;
            }
            if self.is_join(node) {
                joins += 1;
                if joins > MAX_JOINS {
                    continue;
                }
            }
            pulled += 1;
            if pulled > MAX_PULLED {
                return;
            }
            inline.insert(node);
            queue.extend(&self.graph.nodes[node].operands);
        }
    }

    fn is_join(&self, node: NodeId) -> bool {
        self.maps.is(node, |map| matches!(map, Map::Concatenate(_)))
    }

    fn is_integer(&self, node: NodeId) -> bool {
        self.graph
            .array(node)
            .is_some_and(|array| array.element.is_integer() || array.element == PrimitiveType::Pred)
    }

    fn is_integer_arithmetic(&self, node: NodeId) -> bool {
        let operands = &self.graph.nodes[node].operands;
        self.is_integer(node)
            && operands.iter().all(|&operand| self.is_integer(operand))
            && self
                .maps
                .is(node, |map| map.is_elementwise() && !map.is_expensive())
    }

    fn is_index_arithmetic(&self, node: NodeId) -> bool {
        if self.is_integer_arithmetic(node) {
            return true;
        }
        let operands = &self.graph.nodes[node].operands;
        self.maps.is(node, |map| match map {
            Map::Constant(_) | Map::Iota(_) | Map::LoopIndex => true,
            Map::Concatenate(d) => {
                let size = self.graph.array(node).map(|array| array.dims[*d]);
                self.is_integer(node) && size.is_some_and(|size| size <= MAX_COMPONENTS)
            }
            Map::Reduce(over, _) => {
                let sizes = operands
                    .first()
                    .and_then(|&operand| self.graph.array(operand));
                let total = sizes.map(|array| over.iter().map(|&d| array.dims[d]).product::<i64>());
                self.is_integer(node) && total.is_some_and(|total| total <= MAX_UNROLL)
            }
            Map::Gather(_) => operands
                .first()
                .is_some_and(|&table| self.is_literal(table)),
            map => map.is_view(),
        })
    }

    fn is_literal(&self, node: NodeId) -> bool {
        self.maps.is(node, |map| matches!(map, Map::Constant(_)))
    }

    /// Takes in the views through which a table is read.
    pub(crate) fn table(&self, root: NodeId, inline: &mut HashSet<NodeId>) {
        let mut node = root;
        while !self.fed.contains(&node) && self.maps.is(node, Map::is_view) && inline.insert(node) {
            match self.graph.nodes[node].operands.first() {
                Some(&operand) => node = operand,
                None => return,
            }
        }
    }

    /// Takes in what computes data for a region that so far consists of `combines` and `inline`.
    pub(crate) fn data(
        &self,
        root: NodeId,
        combines: &BTreeSet<NodeId>,
        inline: &mut HashSet<NodeId>,
    ) {
        // Largest id first: when a node's turn comes, those of its users that are taken in are in.
        let mut work = BTreeSet::from([root]);
        let mut pulled = 0;
        while let Some(node) = work.pop_last() {
            let known =
                inline.contains(&node) || combines.contains(&node) || self.fed.contains(&node);
            if known || !self.is_cheap_data(node, combines, inline) {
                continue;
            }
            pulled += 1;
            if pulled > MAX_PULLED {
                return;
            }
            inline.insert(node);
            work.extend(&self.graph.nodes[node].operands);
        }
    }

    fn is_cheap_data(
        &self,
        node: NodeId,
        combines: &BTreeSet<NodeId>,
        inline: &HashSet<NodeId>,
    ) -> bool {
        let operands = &self.graph.nodes[node].operands;
        let is_lookup = self.maps.is(node, |map| match map {
            Map::Gather(_) => !operands
                .first()
                .is_some_and(|&table| self.is_literal(table)),
            map => matches!(map, Map::Constant(_)),
        });
        if !is_lookup && !self.is_join(node) && self.is_index_arithmetic(node) {
            return true;
        }
        self.maps.is(node, |map| match map {
            Map::Constant(splat) => {
                splat.is_some() || self.graph.elements(node) <= MAX_UNROLL as u64
            }
            map => {
                map.is_elementwise()
                    && !map.is_expensive()
                    && !self.graph.is_result[node]
                    && self.graph.users[node]
                        .iter()
                        .all(|user| combines.contains(user) || inline.contains(user))
            }
        })
    }
}
