//! What the search gives back.

use hlo2dae_hlo::{ComputationId, InstructionId};
use hlo2dae_ir::region::Region;

use crate::classify::{Facts, Kind};
use crate::miss::Miss;
use crate::traffic::Traffic;

/// Limits of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most instructions of one computation once calls and fusions are inlined.
    pub max_nodes: usize,
    /// Most instructions that one region may cover.
    pub max_region: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_nodes: 1 << 20,
            max_region: 1 << 10,
        }
    }
}

/// One instruction at one place of the flattened computation.
///
/// It names the value that the instruction has when reached through these calls, counted from
/// the computation that the region stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueRef {
    /// The `call` and `fusion` instructions entered, outermost first.
    pub call_path: Vec<InstructionId>,
    /// The instruction, of array shape.
    pub instruction: InstructionId,
}

/// All regions and misses of a module.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// In the order of their first root in the module.
    pub regions: Vec<Match>,
    /// In the order of the module.
    pub misses: Vec<Miss>,
}

/// A region with its place in the HLO.
#[derive(Clone, Debug)]
pub struct Match {
    /// The operation itself.
    pub region: Region,
    /// What it is called.
    pub kind: Kind,
    /// What reports say about it.
    pub facts: Facts,
    /// What it moves, and what it need not move any more.
    pub traffic: Traffic,
    /// The computation that it stands in: the entry, or the body of a loop or conditional.
    pub computation: ComputationId,
    /// The values that the region's input buffers take, in the order of their declarations.
    pub inputs: Vec<ValueRef>,
    /// The values that the region's output buffers replace, in the order of their declarations.
    pub outputs: Vec<ValueRef>,
    /// Every instruction that the region computes, outputs included, inputs not.
    pub instructions: Vec<ValueRef>,
    /// The gathers, scatters and dynamic slices among `instructions`.
    pub accesses: Vec<ValueRef>,
}
