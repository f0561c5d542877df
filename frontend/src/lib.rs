//! From an HLO graph to embedding regions, and reasons for what did not become one.
//!
//! ```text
//! hlo::Module -> graph -> grow (through op_maps) -> extract -> classify -> Matches
//!                                             '-> miss
//! ```
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

pub use classify::{Facts, Kind, Lookup, Mode, Operation, Pooling, Table};
pub use error::FrontendError;
pub use matches::{Match, Matches, Options, ValueRef};
pub use miss::{Miss, MissReason};
pub use outline::{CUSTOM_CALL_TARGET, outline};

use hashbrown::HashSet;
use hlo2dae_hlo::Module;

/// Finds the embedding operations of a module.
///
/// The entry computation and the bodies of its loops and conditionals are searched; calls and
/// fusions are seen through. Every gather, scatter, dynamic slice and one-hot dot ends either in
/// exactly one region or in a [`Miss`].
pub fn find_regions(module: &Module, options: &Options) -> Result<Matches, FrontendError> {
    let mut matches = Matches::default();
    let mut names = names::Names::default();
    for computation in graph::computations(module) {
        let graph = graph::Graph::build(module, computation, options.max_nodes)?;
        let maps = op_maps::Maps::of(&graph);
        let candidates = candidates::Candidates::of(&graph, &maps);
        let gradients = candidates.gradients.clone();
        let (mut grown, refused) = grow::Grower::run(&graph, &maps, candidates, options.max_region);
        grown.sort_by_key(|grown| grown.plan.outputs.first().copied());
        for grown in grown {
            matches
                .regions
                .push(named(&graph, &maps, &gradients, grown, &mut names));
        }
        for (node, reason) in refused {
            matches.misses.push(Miss {
                value: graph.value_ref(node),
                computation,
                opcode: graph.opcode(node),
                reason,
                span: graph.span(node),
            });
        }
    }
    Ok(matches)
}

/// The match for a grown region: its form, with the name and the facts read off it.
fn named(
    graph: &graph::Graph,
    maps: &op_maps::Maps,
    gradients: &HashSet<graph::NodeId>,
    grown: grow::Grown,
    names: &mut names::Names,
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
    let mut region = extracted.region;
    let inputs = refs(&extracted.inputs);
    let outputs = refs(&extracted.outputs);
    let is_gradient = |(node, _): &&(graph::NodeId, _)| gradients.contains(node);
    let context = classify::Context {
        inputs: &inputs,
        outputs: &outputs,
        gradients: extracted
            .combines
            .iter()
            .filter(is_gradient)
            .map(|&(_, buffer)| buffer)
            .collect(),
        direct: accesses
            .iter()
            .filter_map(|&access| classify::direct(graph, maps, access))
            .collect(),
    };
    let (kind, facts) = classify::classify(&region, context);
    region.name = names.fresh(kind.name());
    let mut instructions: Vec<_> = plan.inline.iter().chain(&owned).copied().collect();
    instructions.sort_unstable();
    instructions.dedup();
    Match {
        region,
        kind,
        facts,
        computation: graph.computation,
        inputs,
        outputs,
        instructions: refs(&instructions),
        accesses: refs(&accesses),
    }
}
