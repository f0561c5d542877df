//! From an HLO graph to embedding regions, and reasons for what did not become one.
//!
//! ```text
//! hlo::Module -> graph -> grow (through op_maps) -> extract -> classify -> Matches
//!                                             '-> miss
//! ```
//!
//! `docs/opcodes.md` has the rule for each opcode, `docs/cost.md` what a region must save, `docs/misses.md` what is not found
//! in real models and why.
//!
//! No template of any framework's spelling is kept. Every opcode that can be part of a region
//! says how an index of its result maps to indices of its operands; a region grows from a lookup
//! through producers and consumers while those maps compose, and is written down as iteration
//! spaces, reads through maps and combines.

mod candidates;
pub mod classify;
mod compose;
pub mod error;
mod extract;
mod graph;
mod grow;
mod index_map;
mod legality;
pub mod matches;
pub mod miss;
mod names;
mod op_maps;
pub mod outline;
mod pull;
pub mod traffic;

pub use classify::{Facts, Kind, Lookup, Mode, Operation, Pooling, Table};
pub use error::FrontendError;
pub use matches::{Match, Matches, Options, ValueRef};
pub use miss::{Miss, MissReason};
pub use outline::{CUSTOM_CALL_TARGET, Call, calls, outline};
pub use traffic::{Bytes, Traffic};

use hashbrown::HashSet;
use hlo2dae_hlo::Module;
use hlo2dae_ir::core::Role;

/// Finds the embedding operations of a module.
///
/// The entry computation and the bodies of its loops and conditionals are searched; calls and
/// fusions are seen through. Every gather, scatter, dynamic slice and one-hot dot ends either in
/// exactly one region or in a [`Miss`].
pub fn find_regions(module: &Module, options: &Options) -> Result<Matches, FrontendError> {
    let mut found = Vec::new();
    let effects = graph::Effects::of(module);
    // Loops whose rounds a region computes; then nothing is left to find in their bodies.
    let mut computed = HashSet::new();
    // Callers first, so that it is known which loops remain.
    for &computation in graph::computations(module).iter().rev() {
        if computed.contains(&computation) {
            continue;
        }
        let graph = graph::Graph::build(module, &effects, computation, options.max_nodes)?;
        let maps = op_maps::Maps::of(&graph);
        let candidates = candidates::Candidates::of(&graph, &maps);
        let gradients = candidates.gradients.clone();
        let (mut grown, refused) = grow::Grower::run(&graph, &maps, candidates, options.max_region);
        // Those that store rows before those that read them.
        grown.sort_by_key(|grown| grown.plan.outputs.last().copied());
        let combined: HashSet<_> = grown
            .iter()
            .flat_map(|grown| grown.plan.combines.iter().copied())
            .collect();
        computed.extend(graph.computed_bodies(|node| combined.contains(&node)));
        let mut stored = classify::Stored::default();
        let mut regions: Vec<_> = grown
            .into_iter()
            .map(|grown| {
                let first = grown.plan.outputs.first().copied();
                (first, named(&graph, &maps, &gradients, &mut stored, grown))
            })
            .collect();
        regions.sort_by_key(|&(first, _)| first);
        let misses: Vec<_> = refused
            .into_iter()
            .map(|(node, reason)| Miss {
                value: graph.value_ref(node),
                computation,
                opcode: graph.opcode(node),
                reason,
                span: graph.span(node),
            })
            .collect();
        found.push((regions, misses));
    }
    let mut matches = Matches::default();
    let mut names = names::Names::default();
    for (regions, misses) in found.into_iter().rev() {
        for (_, mut region) in regions {
            region.region.name = names.fresh(region.kind.name());
            matches.regions.push(region);
        }
        matches.misses.extend(misses);
    }
    Ok(matches)
}

/// The match for a grown region: its form, with the kind and the facts read off it.
fn named(
    graph: &graph::Graph,
    maps: &op_maps::Maps,
    gradients: &HashSet<graph::NodeId>,
    stored: &mut classify::Stored,
    grown: grow::Grown,
) -> Match {
    let grow::Grown {
        plan,
        extracted,
        accesses,
        owned,
    } = grown;
    let refs = |nodes: &[graph::NodeId]| {
        nodes
            .iter()
            .map(|&n| graph.value_ref(n))
            .collect::<Vec<_>>()
    };
    let region = extracted.region;
    let inputs = refs(&extracted.inputs);
    let outputs = refs(&extracted.outputs);
    let buffers_of = |condition: &dyn Fn(graph::NodeId) -> bool| {
        let combines = extracted.combines.iter();
        let buffers = combines.filter(|&&(node, _)| condition(node));
        buffers.map(|&(_, buffer)| buffer).collect()
    };
    let declared = |wanted: fn(&Role) -> bool| {
        let buffers = region.buffers.iter();
        buffers
            .filter(move |(_, buffer)| wanted(&buffer.role))
            .map(|(id, _)| id)
    };
    let earlier = declared(|role| matches!(role, Role::Input)).zip(&extracted.inputs);
    let is = |node, map: fn(&op_maps::Map) -> bool| maps.is(node, map);
    let mut combines = plan.combines.iter();
    let updates = combines.any(|&node| is(node, |map| matches!(map, op_maps::Map::Binary(_))));
    let summed = |node| updates && is(node, |map| matches!(map, op_maps::Map::Scatter(..)));
    let context = classify::Context {
        inputs: &inputs,
        outputs: &outputs,
        gradients: buffers_of(&|node| gradients.contains(&node) || summed(node)),
        sparse: buffers_of(&|node| maps.is(node, |map| matches!(map, op_maps::Map::SparseDense))),
        stored: earlier
            .map(|(buffer, &node)| (buffer, stored.rows(graph, maps, node)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect(),
        direct: accesses
            .iter()
            .filter_map(|&access| classify::direct(graph, maps, access))
            .collect(),
    };
    let classify::Classified {
        kind,
        facts,
        stored: rows,
    } = classify::classify(&region, context);
    let outputs_of = declared(|role| matches!(role, Role::Output(_))).zip(&extracted.outputs);
    for (buffer, &node) in outputs_of {
        if let Some(rows) = rows.get(&buffer) {
            stored.insert(node, rows.clone());
        }
    }
    // What a round of a loop computes has a name there only.
    let is_outside = |node: &graph::NodeId| graph.nodes[*node].within.is_none();
    let everything: HashSet<_> = plan.inline.iter().chain(&owned).copied().collect();
    let traffic = Traffic {
        region: traffic::of_region(&region),
        separate: traffic::of_operations(graph, maps, &everything, &extracted.outputs),
    };
    let members = everything.into_iter();
    let mut instructions: Vec<_> = members.filter(is_outside).collect();
    instructions.sort_unstable();
    instructions.dedup();
    Match {
        region,
        kind,
        facts,
        traffic,
        computation: graph.computation,
        inputs,
        outputs,
        instructions: refs(&instructions),
        accesses: refs(&accesses),
    }
}
