//! Rows that one region looks up and stores, and others read.

use hashbrown::{HashMap, HashSet};

use super::Lookup;
use crate::graph::{Graph, NodeId};
use crate::op_maps::{Map, Maps};

/// Most operations between where rows are stored and where they are read.
const MAX_STEPS: usize = 64;

/// The lookups whose rows values hold, one for each row.
#[derive(Default)]
pub(crate) struct Stored(HashMap<NodeId, Vec<Lookup>>);

impl Stored {
    /// Says what an output of a region holds.
    pub(crate) fn insert(&mut self, output: NodeId, rows: Vec<Lookup>) {
        self.0.insert(output, rows);
    }

    /// The lookups whose rows a value is computed from, by views and arithmetic.
    pub(crate) fn rows(&self, graph: &Graph, maps: &Maps, value: NodeId) -> Vec<Lookup> {
        let mut rows: Vec<Lookup> = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = match self.0.is_empty() {
            true => Vec::new(),
            false => vec![value],
        };
        while let Some(node) = stack.pop() {
            if seen.len() > MAX_STEPS || !seen.insert(node) {
                continue;
            }
            match self.0.get(&node) {
                Some(stored) => {
                    for row in stored {
                        if !rows.contains(row) {
                            rows.push(row.clone());
                        }
                    }
                }
                None if maps.is(node, |map: &Map| map.is_view() || map.is_elementwise()) => {
                    stack.extend(&graph.nodes[node].operands);
                }
                None => {}
            }
        }
        rows
    }
}
