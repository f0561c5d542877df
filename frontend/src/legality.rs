//! Which sets of nodes may become one region: convexity, also among the regions themselves.
//!
//! A region takes all its inputs before it gives any output. So no input may depend on an output
//! through anything outside; and once a region is accepted, all its outputs depend on all its
//! inputs for every later question. Both are reachability in one graph: the def-use edges, plus
//! for every accepted region a vertex between its inputs and its outputs.

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, VisitMap};

use crate::graph::{Graph, NodeId};

/// The def-use graph with the accepted regions contracted.
pub(crate) struct Dependences {
    uses: DiGraph<(), ()>,
    dfs: Dfs<NodeIndex, fixedbitset::FixedBitSet>,
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
        Dependences { uses, dfs }
    }

    /// Whether a region with these inputs and outputs can run as one operation.
    pub(crate) fn is_convex(&mut self, inputs: &[NodeId], outputs: &[NodeId]) -> bool {
        self.dfs.reset(&self.uses);
        self.dfs
            .stack
            .extend(outputs.iter().map(|&node| vertex(node)));
        // An output that is also an input is its own dependence: its mark counts only if reached
        // again, which marks on users would show; members are never inputs, so it cannot happen.
        while self.dfs.next(&self.uses).is_some() {}
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
    }
}
