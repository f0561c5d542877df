//! Operations read off the HLO: of accesses all of whose positions are known when compiling.

use hlo2dae_ir::core::ElementType;

use super::{Kind, Lookup, Mode, Operation, Pooling};
use crate::graph::{Graph, NodeId};
use crate::op_maps::{Map, Maps, element_type};

/// What a gather or scatter does on its own.
pub(crate) fn direct(graph: &Graph, maps: &Maps, access: NodeId) -> Option<Operation> {
    let operands = &graph.nodes[access].operands;
    let (&operand, &indices) = (operands.first()?, operands.get(1)?);
    let view = |mut node| {
        while maps.is(node, Map::is_view) {
            node = *graph.nodes[node].operands.first()?;
        }
        Some(node)
    };
    let (kind, table, slices, row, mode) = match maps.get(access).ok()? {
        Map::Gather(dims) => {
            let table = view(operand)?;
            // A window of several rows, perhaps of an array whose rows a reshape counts by the window.
            let (rows, blocks) = (&graph.array(table)?.dims, &graph.array(operand)?.dims);
            let is_block = dims.start_index_map.iter().any(|&d| {
                let window = dims.slice_sizes[d as usize..].iter().find(|&&n| n > 1);
                let is_split = |&n: &i64| Some(n) == window.map(|w| w * blocks[d as usize]);
                dims.slice_sizes[d as usize] > 1
                    || (!rows.contains(&blocks[d as usize]) && rows.iter().any(is_split))
            });
            let kind = if is_block {
                Kind::BlockGather
            } else {
                Kind::Gather
            };
            let row: i64 = dims.slice_sizes.iter().product();
            (kind, table, access, row, Mode::Promise)
        }
        Map::Scatter(dims, _) => {
            let updates = *operands.get(2)?;
            let sizes = &graph.array(updates)?.dims;
            let row = dims.update_window_dims.iter().map(|&d| sizes[d as usize]);
            let kind = Kind::ScatterUpdate;
            (kind, access, updates, row.product(), Mode::Drop)
        }
        _ => return None,
    };
    let array = graph.array(table)?;
    let row = u64::try_from(row).ok()?.max(1);
    let lookup = Lookup {
        table: Some(graph.value_ref(table)),
        dims: array.dims.iter().map(|&n| n.unsigned_abs()).collect(),
        element: element_type(array.element)?,
        rows: graph.elements(slices) / row,
        row,
        mode,
        index_dtype: element_type(graph.array(indices)?.element).unwrap_or(ElementType::S32),
        is_stored: false,
    };
    let (lookups, into) = match kind {
        Kind::ScatterUpdate => (Vec::new(), Some(lookup)),
        _ => (vec![lookup], None),
    };
    Some(Operation {
        kind,
        pooling: Pooling::None,
        weighted: false,
        lookups,
        into,
    })
}
