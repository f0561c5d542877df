//! Feeding: which values are computed from looked-up rows, and which nodes combine them.

use hashbrown::HashMap;

use hlo2dae_hlo::Opcode;

use super::Grower;
use crate::graph::NodeId;
use crate::op_maps::Map;

/// Longest chain of operations between a lookup and its sink.
const MAX_CHAIN: u32 = 48;

impl<'a> Grower<'a, '_> {
    /// Marks what is computed from looked-up rows by views and arithmetic.
    pub(super) fn feed(&mut self) {
        let mut hops: HashMap<NodeId, u32> = HashMap::new();
        for node in self.graph.nodes.keys() {
            if self.gathers.contains(&node) {
                hops.insert(node, 0);
                self.fed.insert(node);
                continue;
            }
            // A round of a loop takes rows one by one, and puts some into its state.
            let updates = self.graph.nodes[node].within.is_some()
                && self.graph.opcode(node) == Opcode::DynamicUpdateSlice;
            let passes = updates || self.maps.is(node, |map| self.passes_rows(node, map));
            if !self.graph.is_live[node] || !passes {
                continue;
            }
            let chain = self.operands(node).iter().filter_map(|o| hops.get(o)).max();
            if let Some(&chain) = chain
                && chain < MAX_CHAIN
            {
                hops.insert(node, chain + 1);
                self.fed.insert(node);
            }
        }
    }

    fn passes_rows(&self, node: NodeId, map: &Map) -> bool {
        match map {
            Map::Dot(_) => self.is_scaling(node),
            Map::DynamicSlice => self.graph.nodes[node].within.is_some(),
            Map::Concatenate(_) => self.operands(node).len() <= 2 && self.joins_units(node, map),
            map => map.is_view() || map.is_elementwise(),
        }
    }

    /// Whether a concatenation interleaves: its operands have size 1 along its dimension.
    fn joins_units(&self, node: NodeId, map: &Map) -> bool {
        let Map::Concatenate(d) = map else {
            return false;
        };
        self.operands(node).iter().all(|&operand| {
            self.graph
                .array(operand)
                .is_some_and(|array| array.dims[*d] == 1)
        })
    }

    /// Whether a dot only multiplies: nothing is summed, and neither operand is used repeatedly.
    fn is_scaling(&self, node: NodeId) -> bool {
        let products = self
            .operands(node)
            .iter()
            .map(|&o| self.graph.elements(o))
            .max();
        self.summed_elements(node) == Some(1) && products == Some(self.graph.elements(node))
    }

    /// Products that one element of a dot's result sums.
    fn summed_elements(&self, node: NodeId) -> Option<i64> {
        let Ok(Map::Dot(dims)) = self.maps.get(node) else {
            return None;
        };
        let lhs = self.graph.array(*self.operands(node).first()?)?;
        Some(
            dims.lhs_contracting
                .iter()
                .map(|&d| lhs.dims[d as usize])
                .product(),
        )
    }

    /// The operands of a sink that are combined, if the node is one.
    pub(super) fn sink_data(&self, node: NodeId) -> Option<&'a [NodeId]> {
        let operands = self.operands(node);
        let data = match self.maps.get(node).ok()? {
            Map::Reduce(..) => operands.get(..1)?,
            Map::Scatter(..) if self.scatters.contains(&node) => operands.get(2..3)?,
            Map::Rounds(..) => operands.get(3..4)?,
            Map::Dot(dims) if !self.fed.contains(&node) => {
                // The elements that are used more than once are those of the operand that the
                // other has free dimensions beside.
                let result = self.graph.elements(node);
                let summed = self.summed_elements(node)?.unsigned_abs();
                let uses =
                    |operand: NodeId| (result * summed) / self.graph.elements(operand).max(1);
                let (lhs, rhs) = (*operands.first()?, *operands.get(1)?);
                let fed = |operand| self.fed.contains(&operand);
                let once = (fed(lhs) && uses(lhs) == 1) || (fed(rhs) && uses(rhs) == 1);
                (once && !dims.lhs_contracting.is_empty()).then_some(operands)?
            }
            _ => return None,
        };
        data.iter()
            .any(|operand| self.fed.contains(operand))
            .then_some(data)
    }
}
