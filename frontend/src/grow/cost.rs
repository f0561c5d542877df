//! Which sinks pay: what each combines along, and what its rows are needed for besides.

use hashbrown::HashSet;
use std::collections::BTreeSet;

use hlo2dae_ir::core::CombineOp;

use super::Grower;
use crate::compose::Composer;
use crate::graph::NodeId;
use crate::index_map::{Axis, Expr};
use crate::op_maps::Map;

/// What a sink combines along.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Combines {
    /// Looked-up axes: rows of a bag or of a segment.
    LookedUp,
    /// The row, in a way that is linear in it.
    LinearRow,
    /// The row.
    Row,
}

impl Grower<'_, '_> {
    /// The sinks that pay, by the cost model.
    pub(super) fn paying(&self, sinks: Vec<NodeId>) -> Vec<NodeId> {
        let mut kept: Vec<(NodeId, BTreeSet<NodeId>, Combines)> = Vec::new();
        for sink in sinks {
            let Some(closure) = self.closure(sink, |_| false) else {
                continue;
            };
            match self.combines_rows(sink, &closure) {
                Some(combines) => kept.push((sink, closure, combines)),
                None => continue,
            }
        }
        // A linear combine along the row pays only where the rows are needed for nothing else; leaving
        // one sink out may make rows needed that others counted on.
        loop {
            let inside: HashSet<NodeId> = kept
                .iter()
                .flat_map(|(sink, closure, _)| closure.iter().chain([sink]))
                .copied()
                .collect();
            // What is used outside, or leads to something that is, is computed in any case.
            let sinks: HashSet<NodeId> = kept.iter().map(|&(sink, ..)| sink).collect();
            let mut needed: HashSet<NodeId> = HashSet::new();
            let mut descending: Vec<NodeId> = inside.iter().copied().collect();
            descending.sort_unstable_by(|a, b| b.cmp(a));
            for node in descending {
                let leads_out = self.graph.users[node]
                    .iter()
                    .any(|user| needed.contains(user) && !sinks.contains(user));
                if leads_out || self.graph.escapes(node, &inside) {
                    needed.insert(node);
                }
            }
            let before = kept.len();
            kept.retain(|(_, closure, combines)| {
                *combines != Combines::LinearRow
                    || !closure.iter().any(|node| needed.contains(node))
            });
            if kept.len() == before {
                return kept.into_iter().map(|(sink, ..)| sink).collect();
            }
        }
    }

    /// What a sink combines along; `None` if along rows and looked-up axes both, or if that cannot be told.
    fn combines_rows(&self, sink: NodeId, closure: &BTreeSet<NodeId>) -> Option<Combines> {
        let mut inline: HashSet<NodeId> = closure.iter().copied().collect();
        for &node in closure {
            if self.gathers.contains(&node) {
                self.puller()
                    .indices(*self.operands(node).get(1)?, &mut inline);
            }
        }
        let mut composer = Composer::new(self.graph, self.maps, &inline);
        let looked_up = |composer: &Composer, roots: &[crate::index_map::ExprId]| {
            let arena = &composer.arena;
            let mut indices = Vec::new();
            arena.postorder(roots, |id| {
                if let Expr::Index(_) = arena.expr(id) {
                    indices.push(id);
                }
            });
            let mut axes: HashSet<Axis> = HashSet::new();
            arena.postorder(&indices, |id| {
                if let Expr::Axis(axis) = arena.expr(id) {
                    axes.insert(*axis);
                }
            });
            axes
        };
        let (combined, found, is_linear) = match self.maps.get(sink).ok()? {
            Map::Scatter(..) | Map::Rounds(..) => return Some(Combines::LookedUp),
            Map::Reduce(over, op) => {
                let sizes = composer.operand_dims(sink, 0).ok()?;
                let axes: Vec<_> = sizes
                    .iter()
                    .map(|&n| composer.arena.axis(n as u64))
                    .collect();
                let o: Vec<_> = axes.iter().map(|&(_, position)| position).collect();
                let value = composer.operand(sink, 0, &o).ok()?;
                let combined: Vec<Axis> = over.iter().map(|&d| axes[d].0).collect();
                let is_linear =
                    *op == CombineOp::Add && composer.arena.linear_in_lookups(value).is_some();
                (combined, looked_up(&composer, &[value]), is_linear)
            }
            Map::Dot(_) => {
                let (positions, summed) = composer.dot_axes(sink).ok()?;
                let result = &self.graph.array(sink)?.dims;
                let kept: Vec<_> = result
                    .iter()
                    .map(|&n| composer.arena.axis(n as u64).1)
                    .collect();
                let summed: Vec<_> = summed
                    .iter()
                    .map(|&n| composer.arena.axis(n as u64))
                    .collect();
                let over: Vec<_> = summed.iter().map(|&(_, position)| position).collect();
                let (lhs, rhs) = positions.place(&kept, &over);
                let a = composer.operand(sink, 0, &lhs).ok()?;
                let b = composer.operand(sink, 1, &rhs).ok()?;
                let combined = summed.into_iter().map(|(axis, _)| axis).collect();
                let product = [a, b].map(|side| composer.arena.linear_in_lookups(side));
                let is_linear = matches!(product, [Some(a), Some(b)] if !(a && b));
                (combined, looked_up(&composer, &[a, b]), is_linear)
            }
            _ => return None,
        };
        let combined: Vec<Axis> = combined
            .into_iter()
            .filter(|&axis| composer.arena.count(axis) != Some(1))
            .collect();
        if combined.iter().all(|axis| found.contains(axis)) {
            Some(Combines::LookedUp)
        } else if combined.iter().any(|axis| found.contains(axis)) {
            None
        } else if is_linear {
            Some(Combines::LinearRow)
        } else {
            Some(Combines::Row)
        }
    }
}
