//! Which accesses are worth a region, before anything grows.
//!
//! A candidate is a gather, scatter or dynamic slice. It is refused here if
//!
//! * its indices are known at compile time and it takes single elements: XLA turns it into a copy
//!   (whole rows at known positions are accepted: there the indices cost little and the rows much);
//! * it takes single elements, each from a row of its own (a label from its logits): no row is
//!   shared, nothing is streamed;
//! * it moves single integers that only serve as further indices: sorting and counting, not data;
//! * it takes one window in one execution, or the same window again and again: there is nothing to
//!   run ahead of.

use hashbrown::{HashMap, HashSet};

use hlo2dae_hlo::{Opcode, PrimitiveType};

use crate::compose::{Composer, SliceIndices, Start};
use crate::graph::{Graph, NodeId};
use crate::index_map::{Axis, Expr, ExprId};
use crate::miss::MissReason;
use crate::op_maps::{Map, Maps};
use crate::pull::Puller;

/// Most nodes looked at to learn what a value is for.
const MAX_LOOKAHEAD: usize = 400;
/// How many rounds a loop is taken to have where it makes no difference.
const MANY_ROUNDS: u64 = 1 << 20;

/// The accesses of a graph, each accepted or refused.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Accepted gathers, ascending.
    pub(crate) gathers: Vec<NodeId>,
    /// Accepted scatters and sparse products, ascending.
    pub(crate) scatters: Vec<NodeId>,
    /// Results of loops, ascending. Whether they look anything up shows only once they are written down.
    pub(crate) loops: Vec<NodeId>,
    /// Scatters into arrays that start equal everywhere, by the indices with which an array of the same shape was looked
    /// up before: the gradient of that lookup.
    pub(crate) gradients: HashSet<NodeId>,
    /// The others, and why.
    pub(crate) refused: Vec<(NodeId, MissReason)>,
}

impl Candidates {
    /// Looks at every access.
    pub(crate) fn of(graph: &Graph, maps: &Maps) -> Self {
        let mut candidates = Candidates::default();
        for node in graph.nodes.keys() {
            let opcode = graph.opcode(node);
            // What a round of a loop accesses is looked at with the loop's result, and in the graph of the loop's body.
            if graph.nodes[node].within.is_some() {
                if opcode == Opcode::Gather && screen(graph, maps, node).is_none() {
                    candidates.gathers.push(node);
                }
                continue;
            }
            if maps.is(node, |map| matches!(map, Map::Rounds(..))) && graph.is_live[node] {
                candidates.loops.push(node);
                continue;
            }
            let refusal = match opcode {
                Opcode::CustomCall if maps.is(node, |map| matches!(map, Map::SparseDense)) => {
                    (!graph.is_live[node]).then_some(MissReason::Unused)
                }
                Opcode::Gather | Opcode::Scatter => screen(graph, maps, node),
                Opcode::DynamicSlice => screen_slice(graph, maps, node),
                Opcode::Dot if is_one_hot_dot(graph, maps, node) => Some(MissReason::OneHot),
                _ => continue,
            };
            match (refusal, opcode) {
                (Some(reason), _) => candidates.refused.push((node, reason)),
                (None, Opcode::Gather) => candidates.gathers.push(node),
                (None, Opcode::Scatter | Opcode::CustomCall) => candidates.scatters.push(node),
                (None, _) => {}
            }
        }
        candidates.gradients = gradients(graph, maps, &candidates);
        candidates
    }
}

/// The scatters that are the gradient of a lookup in an argument: rows that are computed pass between nodes rather than
/// being learned.
fn gradients(graph: &Graph, maps: &Maps, candidates: &Candidates) -> HashSet<NodeId> {
    // By what, in an array of which shape.
    let key = |node: NodeId| {
        let operands = &graph.nodes[node].operands;
        let indices = match maps.get(node) {
            Ok(Map::Rounds(..)) => round_indices(graph, node),
            _ => vec![*operands.get(1)?],
        };
        let sources = index_sources(graph, maps, &indices);
        Some((sources, graph.array(*operands.first()?)?.dims.clone()))
    };
    let mut looked_up: HashMap<_, NodeId> = HashMap::new();
    let is_argument = |gather: NodeId| {
        let mut table = gather;
        while let Some(&operand) = graph.nodes[table].operands.first() {
            let is_access = table == gather;
            let passes = |map: &Map| map.is_view() || matches!(map, Map::Convert(_));
            if !is_access && !maps.is(table, passes) {
                return false;
            }
            table = operand;
        }
        matches!(
            graph.opcode(table),
            Opcode::Parameter | Opcode::GetTupleElement
        )
    };
    for &gather in candidates
        .gathers
        .iter()
        .filter(|&&gather| is_argument(gather))
    {
        if let Some(key) = key(gather) {
            looked_up.entry(key).or_insert(gather);
        }
    }
    let is_gradient = |&scatter: &NodeId| {
        key(scatter)
            .and_then(|key| looked_up.get(&key))
            .is_some_and(|&gather| gather < scatter)
    };
    let scatters = candidates.scatters.iter().chain(&candidates.loops).copied();
    scatters.filter(is_gradient).collect()
}

/// The arrays outside a loop that its rounds read the places from that they update.
fn round_indices(graph: &Graph, result: NodeId) -> Vec<NodeId> {
    let round = graph.round(result);
    let updates = round
        .iter()
        .filter(|&&node| graph.opcode(node) == Opcode::DynamicUpdateSlice);
    let mut stack: Vec<NodeId> = updates
        .flat_map(|&node| graph.nodes[node].operands.iter().skip(2))
        .copied()
        .collect();
    let mut indices = Vec::new();
    let mut seen = HashSet::new();
    while let Some(node) = stack.pop() {
        if !seen.insert(node) {
            continue;
        }
        match round.binary_search(&node) {
            Ok(_) => stack.extend(&graph.nodes[node].operands),
            Err(_) => indices.push(node),
        }
    }
    indices
}

/// The arrays that indices are computed from, ascending.
fn index_sources(graph: &Graph, maps: &Maps, indices: &[NodeId]) -> Vec<NodeId> {
    let mut inline = HashSet::new();
    let puller = Puller {
        graph,
        maps,
        fed: &HashSet::new(),
    };
    for &indices in indices {
        puller.indices(indices, &mut inline);
    }
    let mut sources: Vec<NodeId> = inline
        .iter()
        .flat_map(|&node| &graph.nodes[node].operands)
        .chain(indices)
        .filter(|node| !inline.contains(*node))
        .copied()
        .collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// Why a gather or scatter is refused; `None` if it is accepted.
fn screen(graph: &Graph, maps: &Maps, node: NodeId) -> Option<MissReason> {
    let opcode = graph.opcode(node);
    if !graph.is_live[node] {
        return Some(MissReason::Unused);
    }
    let map = match maps.get(node) {
        Ok(map) => map,
        Err(why) => return Some(MissReason::NoMap { opcode, why: why.0 }),
    };
    let (starts, slices) = match map {
        Map::Gather(dims) => (
            SliceIndices {
                window_dims: &dims.offset_dims,
                missing_dims: &dims.collapsed_slice_dims,
                operand_batching: &dims.operand_batching_dims,
                indices_batching: &dims.start_indices_batching_dims,
                index_map: &dims.start_index_map,
                index_vector_dim: dims.index_vector_dim as usize,
            },
            node,
        ),
        Map::Scatter(dims, _) => (
            SliceIndices {
                window_dims: &dims.update_window_dims,
                missing_dims: &dims.inserted_window_dims,
                operand_batching: &dims.input_batching_dims,
                indices_batching: &dims.scatter_indices_batching_dims,
                index_map: &dims.scatter_dims_to_operand_dims,
                index_vector_dim: dims.index_vector_dim as usize,
            },
            *graph.nodes[node].operands.get(2)?,
        ),
        _ => return None,
    };
    let operand_rank = graph.array(*graph.nodes[node].operands.first()?)?.rank();
    let slice_dims = &graph.array(slices)?.dims;
    let window_dims: Vec<i64> = starts
        .window_dims
        .iter()
        .map(|&d| slice_dims[d as usize])
        .collect();
    let window: i64 = window_dims.iter().product();
    // Elements that follow each other in memory: the window along the operand's last dimension.
    let operand_dims = &graph.array(*graph.nodes[node].operands.first()?)?.dims;
    let last = operand_dims.iter().rposition(|&n| n > 1).unwrap_or(0) as i64;
    let is_kept =
        |d: &i64| !starts.missing_dims.contains(d) && !starts.operand_batching.contains(d);
    let run = match is_kept(&last) {
        true => window_dims[(0..last).filter(is_kept).count()],
        false => 1,
    };

    let mut inline = HashSet::new();
    let puller = Puller {
        graph,
        maps,
        fed: &HashSet::new(),
    };
    puller.indices(*graph.nodes[node].operands.get(1)?, &mut inline);
    let mut composer = Composer::new(graph, maps, &inline);
    // A loop around it has many rounds.
    let within = graph.nodes[node].within;
    if let Some(of) = within {
        let (_, position) = composer.arena.axis(MANY_ROUNDS);
        let begin = composer.arena.position(0);
        if let Err(refusal) = composer.enter(of, begin, position) {
            return Some(MissReason::NoMap {
                opcode: graph.opcode(refusal.node),
                why: refusal.why.0,
            });
        }
    }
    let axes: Vec<(Axis, ExprId)> = slice_dims
        .iter()
        .map(|&n| composer.arena.axis(n as u64))
        .collect();
    let o: Vec<_> = axes.iter().map(|&(_, position)| position).collect();
    let parts = match composer.slice_parts(node, 1, &starts, operand_rank, &o) {
        Ok(parts) => parts,
        Err(refusal) => {
            return Some(MissReason::NoMap {
                opcode: graph.opcode(refusal.node),
                why: refusal.why.0,
            });
        }
    };
    // Along which axes do indices read from memory vary, and along which the place itself?
    let (mut read, mut varying, mut direct) = (false, HashSet::new(), HashSet::new());
    let mut looked_up_dims = Vec::new();
    for (d, part) in parts.iter().enumerate() {
        let element = match part.start {
            Start::Element(element) => element,
            Start::Position(position) => {
                direct.extend(axes_below(&composer, position));
                continue;
            }
            Start::Zero => continue,
        };
        match composer.arena.as_converted_position(element) {
            Some(position) => direct.extend(axes_below(&composer, position)),
            None => {
                read |= reads_memory(&composer, element);
                if composer.arena.as_constant(element).is_none() {
                    looked_up_dims.push(d as i64);
                }
                varying.extend(axes_below(&composer, element));
            }
        }
    }
    if !read && run == 1 {
        return Some(MissReason::ConstantIndices);
    }
    let varies: HashSet<Axis> = varying
        .into_iter()
        .filter(|&axis| composer.arena.count(axis) != Some(1))
        .collect();
    let is_one_window = slice_dims.iter().product::<i64>() == window;
    if is_one_window || (read && varies.is_empty()) {
        return Some(MissReason::OneWindow);
    }
    let own_rows = varies.is_subset(&direct) || looked_up_dims.iter().all(|&d| d == last);
    if window == 1 && !direct.is_empty() && own_rows {
        return Some(MissReason::OneElementPerRow);
    }
    if window == 1 && is_bookkeeping(graph, node) {
        return Some(MissReason::Bookkeeping);
    }
    None
}

fn axes_below(composer: &Composer, id: ExprId) -> Vec<Axis> {
    let mut axes = Vec::new();
    composer.arena.postorder(&[id], |id| {
        if let Expr::Axis(axis) = composer.arena.expr(id) {
            axes.push(*axis);
        }
    });
    axes
}

/// Whether an element depends on more than literals and axes.
fn reads_memory(composer: &Composer, id: ExprId) -> bool {
    let mut reads = false;
    composer.arena.postorder(&[id], |id| {
        if let Expr::Read(read) = composer.arena.expr(id) {
            reads |= !composer
                .maps
                .is(read.node, |map| matches!(map, Map::Constant(_)));
        }
    });
    reads
}

/// Whether an integer value serves only as, or on the way to, further indices.
fn is_bookkeeping(graph: &Graph, node: NodeId) -> bool {
    let is_integer = |node| {
        graph
            .array(node)
            .is_none_or(|array| array.element.is_integer() || array.element == PrimitiveType::Pred)
    };
    if !is_integer(node) {
        return false;
    }
    let mut seen: HashMap<NodeId, ()> = HashMap::new();
    let mut stack = vec![node];
    let mut reached_indices = false;
    while let Some(at) = stack.pop() {
        if seen.insert(at, ()).is_some() {
            continue;
        }
        if seen.len() > MAX_LOOKAHEAD {
            return false;
        }
        if graph.is_result[at] {
            // The state of a loop may become an index in the next round; the result of the
            // module is somebody's data.
            if graph.computation == graph.module.entry {
                return false;
            }
            reached_indices = true;
        }
        for &user in &graph.users[at] {
            let operands = &graph.nodes[user].operands;
            let is_index = match graph.opcode(user) {
                Opcode::Gather | Opcode::Scatter => operands.get(1) == Some(&at),
                Opcode::DynamicSlice | Opcode::DynamicUpdateSlice => {
                    operands.first() != Some(&at) && is_scalar(graph, at)
                }
                _ => false,
            };
            if is_index {
                reached_indices = true;
            } else if is_integer(user) {
                stack.push(user);
            } else if graph.opcode(user) != Opcode::Select {
                return false;
            }
        }
    }
    reached_indices
}

fn is_scalar(graph: &Graph, node: NodeId) -> bool {
    graph.array(node).is_some_and(|array| array.rank() == 0)
}

/// Why a dynamic slice is refused: always, but for different reasons.
fn screen_slice(graph: &Graph, maps: &Maps, node: NodeId) -> Option<MissReason> {
    if !graph.is_live[node] {
        return Some(MissReason::Unused);
    }
    let mut inline = HashSet::new();
    let puller = Puller {
        graph,
        maps,
        fed: &HashSet::new(),
    };
    for &start in graph.nodes[node].operands.iter().skip(1) {
        puller.indices(start, &mut inline);
    }
    let mut composer = Composer::new(graph, maps, &inline);
    let known = graph.nodes[node].operands.iter().skip(1).all(|&start| {
        composer
            .element(start, &[])
            .is_ok_and(|element| composer.arena.as_constant(element).is_some())
    });
    Some(if known {
        MissReason::ConstantIndices
    } else {
        MissReason::OneWindow
    })
}

/// Whether an operand of a dot is a comparison with an `iota`, as numbers.
fn is_one_hot_dot(graph: &Graph, maps: &Maps, node: NodeId) -> bool {
    let through = |mut node: NodeId, skip: &dyn Fn(&Map) -> bool| {
        for _ in 0..16 {
            match (maps.is(node, skip), graph.nodes[node].operands.first()) {
                (true, Some(&operand)) => node = operand,
                _ => break,
            }
        }
        node
    };
    graph.nodes[node].operands.iter().any(|&operand| {
        let compare = through(operand, &|map| {
            map.is_view() || matches!(map, Map::Convert(_) | Map::Select)
        });
        graph.opcode(compare) == Opcode::Compare
            && graph.nodes[compare].operands.iter().any(|&side| {
                graph.opcode(through(side, &|map| {
                    map.is_view() || matches!(map, Map::Convert(_))
                })) == Opcode::Iota
            })
    })
}
