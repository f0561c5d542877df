//! Which sets of nodes may become one region: convexity, also among the regions themselves.
//!
//! A region takes all its inputs before it gives any output. So no input may depend on an output
//! through anything outside; and once a region is accepted, all its outputs depend on all its
//! inputs for every later question. Both are reachability in one graph: the def-use edges, plus
//! for every accepted region a vertex between its inputs and its outputs.
//!
//! Node ids are topological, so a search need not look past the last input, except through an
//! accepted region some output of which stands before some input. Such regions span intervals of
//! ids; a bound inside one is moved to its end.

use fixedbitset::FixedBitSet;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, NodeFiltered, VisitMap};
use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId};

/// The def-use graph with the accepted regions contracted.
pub(crate) struct Dependences {
    uses: DiGraph<(), ()>,
    /// Vertices of nodes come first, vertices of regions after them.
    nodes: usize,
    /// Disjoint intervals of ids that regions span backwards: first output to last input.
    backwards: BTreeMap<usize, usize>,
    dfs: Dfs<NodeIndex, FixedBitSet>,
}

fn vertex(node: NodeId) -> NodeIndex {
    NodeIndex::new(node.as_u32() as usize)
}

impl Dependences {
    /// The def-use edges of a graph.
    pub(crate) fn of(graph: &Graph) -> Self {
        let edges = graph
            .nodes
            .iter()
            .map(|(_, node)| node.operands.len())
            .sum();
        let mut uses = DiGraph::with_capacity(graph.len(), edges);
        for _ in graph.nodes.keys() {
            uses.add_node(());
        }
        for (id, node) in graph.nodes.iter() {
            for &operand in &node.operands {
                uses.add_edge(vertex(operand), vertex(id), ());
            }
        }
        let dfs = Dfs::empty(&uses);
        Dependences {
            uses,
            nodes: graph.len(),
            backwards: BTreeMap::new(),
            dfs,
        }
    }

    /// The last id from which an id up to `last` may be reached.
    fn bound(&self, last: usize) -> usize {
        match self.backwards.range(..=last).next_back() {
            Some((_, &end)) => end.max(last),
            None => last,
        }
    }

    /// Whether a region with these inputs and outputs can run as one operation.
    pub(crate) fn is_convex(&mut self, inputs: &[NodeId], outputs: &[NodeId]) -> bool {
        let Some(last) = inputs.iter().max() else {
            return true;
        };
        let bound = self.bound(vertex(*last).index());
        let mut starts = outputs
            .iter()
            .map(|&node| vertex(node))
            .filter(|v| v.index() <= bound)
            .peekable();
        if starts.peek().is_none() {
            return true;
        }
        let nodes = self.nodes;
        let within = NodeFiltered::from_fn(&self.uses, |v: NodeIndex| {
            v.index() <= bound || v.index() >= nodes
        });
        self.dfs.reset(&within);
        self.dfs.stack.extend(starts);
        while self.dfs.next(&within).is_some() {}
        !inputs
            .iter()
            .any(|&input| self.dfs.discovered.is_visited(&vertex(input)))
    }

    /// Makes every output of an accepted region depend on every input.
    pub(crate) fn contract(&mut self, inputs: &[NodeId], outputs: &[NodeId]) {
        let region = self.uses.add_node(());
        for &input in inputs {
            self.uses.add_edge(vertex(input), region, ());
        }
        for &output in outputs {
            self.uses.add_edge(region, vertex(output), ());
        }
        let (Some(first), Some(last)) = (outputs.iter().min(), inputs.iter().max()) else {
            return;
        };
        let (mut first, mut last) = (vertex(*first).index(), vertex(*last).index());
        if first > last {
            return;
        }
        // Merge with the intervals that it meets.
        while let Some((&start, &end)) = self.backwards.range(..=last).next_back() {
            if end < first {
                break;
            }
            self.backwards.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.backwards.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Effects;
    use hlo2dae_hlo::parse_module;

    /// `a -> b -> c -> d -> e`, and `f` beside them.
    fn chain() -> (Dependences, Vec<NodeId>) {
        let module = parse_module(
            "HloModule m

ENTRY main {
  a = f32[2] parameter(0)
  b = f32[2] negate(a)
  c = f32[2] negate(b)
  d = f32[2] negate(c)
  e = f32[2] negate(d)
  f = f32[2] negate(a)
  ROOT out = (f32[2], f32[2]) tuple(e, f)
}
",
        )
        .expect("a module");
        let graph =
            Graph::build(&module, &Effects::of(&module), module.entry, 100).expect("a graph");
        let nodes = graph.nodes.keys().collect();
        (Dependences::of(&graph), nodes)
    }

    #[test]
    fn a_region_with_a_hole_is_not_convex() {
        let (mut dependences, n) = chain();
        // {b, d} without c.
        assert!(!dependences.is_convex(&[n[0], n[2]], &[n[1], n[3]]));
        assert!(dependences.is_convex(&[n[0]], &[n[3]]));
    }

    #[test]
    fn regions_do_not_wait_for_each_other() {
        let (mut dependences, n) = chain();
        // {b, e} is fine on its own only with c and d; {b, f} takes a and gives b and f.
        assert!(dependences.is_convex(&[n[0]], &[n[1], n[5]]));
        // Once a region takes d and gives f, b and whatever needs f may not be one region with d after it.
        dependences.contract(&[n[3]], &[n[5]]);
        assert!(!dependences.is_convex(&[n[0], n[5]], &[n[1]]));
        assert!(dependences.is_convex(&[n[0]], &[n[1]]));
    }
}
