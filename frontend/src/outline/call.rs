//! The custom calls that regions become.

use hlo2dae_hlo::{ComputationId, Module};
use hlo2dae_ir::region::Region;

use super::batch::Batcher;
use super::flat::{Flat, Order};
use crate::error::FrontendError;
use crate::graph::Effects;
use crate::matches::{Match, ValueRef};

/// Which regions share a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether any do.
    pub batch: bool,
    /// Most arrays that a call of several regions takes and gives.
    pub max_arrays: usize,
    /// Most bytes that a call of several regions gives.
    pub max_result_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            batch: true,
            max_arrays: 256,
            max_result_bytes: 64 << 20,
        }
    }
}

/// A custom call in the place of regions.
#[derive(Clone, Debug)]
pub struct Call {
    /// The numbers of the regions, ascending.
    pub members: Vec<usize>,
    /// Its program.
    pub region: Region,
    /// The computation that it stands in.
    pub computation: ComputationId,
    /// The values that the program's input buffers take, in the order of their declarations.
    pub inputs: Vec<ValueRef>,
    /// The values that the program's output buffers replace, in the order of their declarations.
    pub outputs: Vec<ValueRef>,
    /// Every instruction that the program computes.
    pub instructions: Vec<ValueRef>,
}

impl Call {
    /// The call of one region.
    fn of(number: usize, found: &Match) -> Call {
        Call {
            members: vec![number],
            region: found.region.clone(),
            computation: found.computation,
            inputs: found.inputs.clone(),
            outputs: found.outputs.clone(),
            instructions: found.instructions.clone(),
        }
    }
}

/// The calls that the regions of a module become, in the order of their first members. A region whose call would have to wait for
/// itself is in none.
///
/// # Errors
///
/// Your input: an instruction that depends on itself.
pub fn calls(
    module: &Module,
    regions: &[Match],
    options: &Options,
) -> Result<Vec<Call>, FrontendError> {
    let effects = Effects::of(module);
    let mut batcher = Batcher::new(module, regions, options);
    let mut all = Vec::new();
    for (id, computation) in &module.computations {
        let inside = regions.iter().enumerate();
        let inside = inside.filter(|(_, found)| found.computation == id);
        let mut calls: Vec<Call> = inside
            .map(|(number, found)| Call::of(number, found))
            .collect();
        while !calls.is_empty() {
            let flat = Flat::build(module, id, &calls.iter().collect::<Vec<_>>());
            match flat.order(module, computation, &effects)? {
                Order::Ordered(order) => {
                    let calls = std::mem::take(&mut calls);
                    all.append(&mut batcher.batched(calls, &flat, &order));
                }
                Order::Circular(call) => {
                    calls.remove(call);
                }
            }
        }
    }
    all.sort_by_key(|call| call.members.first().copied());
    Ok(all)
}
