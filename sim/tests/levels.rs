//! What the passes make, on the emulated machine: at every level, with every number of lanes, a random program gives what it
//! means, to the bit; small machines, several cores and look-ups in flight change nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../ir/tests/support/scf_programs.rs"]
mod loops;
#[path = "../../ir/tests/support/mod.rs"]
mod regions;
#[allow(dead_code, reason = "others use the rest of it")]
mod support;

use hlo2dae_backend::{BackendError, Machine, compile};
use hlo2dae_ir::core::{Array, Ir, LANES, Limits};
use hlo2dae_ir::lower::{LowerError, region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{MAX_LEVEL, Options, optimise};
use hlo2dae_ir::scf;
use hlo2dae_sim::{Config, Emulator, Schedule};
use proptest::prelude::*;
use support::config;

/// How a program is compiled and run.
#[derive(Clone, Copy, Debug)]
struct Way {
    level: u8,
    lanes: u32,
    layers: u32,
    cores: u32,
    /// Bytes of queues in a lane, as the passes know them.
    queue_bytes: u64,
    tokens: usize,
    operands: usize,
    seed: u64,
}

fn ways() -> impl Strategy<Value = Way> {
    let lanes = prop::sample::select((*LANES.start()..=*LANES.end()).collect::<Vec<u32>>());
    let queues = (1usize..6, 1usize..6, any::<u64>());
    let machine = (1u32..6, 1u32..5, 64u64..4096);
    (0..=MAX_LEVEL, lanes, machine, queues).prop_map(|(level, lanes, machine, queues)| Way {
        level,
        lanes,
        layers: machine.0,
        cores: machine.1,
        queue_bytes: machine.2,
        tokens: queues.0,
        operands: queues.1,
        seed: queues.2,
    })
}

/// The machine gives what the loops mean, and fails where they fail.
fn agree(loops: &scf::Func, inputs: &[Array], way: Way) -> Result<(), TestCaseError> {
    let slc = match scf_to_slc(loops) {
        Ok(slc) => slc,
        // Bounds that depend on what the execute unit writes.
        Err(LowerError::Obstacles(_)) => return Err(TestCaseError::reject("not decoupled")),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    let mut machine = Machine {
        cores: way.cores,
        ..Machine::default()
    };
    machine.access_unit.layers = way.layers;
    machine.access_unit.queue_bytes = way.queue_bytes;
    let options = Options {
        lanes: way.lanes,
        resources: machine.resources(),
        ..Options::default()
    };
    let lower =
        |options: &Options| slc_to_dlc(&optimise(way.level, &slc, options).unwrap()).unwrap();
    let program = lower(&options);
    let artifact = compile(&program, &machine).or_else(|error| match error {
        // Too many streams at a time for the queues; so there are with one look-up in flight.
        BackendError::Unsupported { .. } => {
            let one = lower(&Options {
                in_flight: Some(1),
                ..options
            });
            assert!(compile(&one, &machine).is_err(), "{program}");
            machine.access_unit.queue_bytes = u64::MAX;
            compile(&program, &machine)
        }
        BackendError::Invalid(_) => Err(error),
    });
    let artifact = artifact.unwrap();
    let config = Config {
        limits: Limits::default(),
        ..config(way.tokens, way.operands, Schedule::Shuffled(way.seed))
    };
    let found = Emulator::load(&artifact.encode(), config)
        .unwrap()
        .run(inputs);
    match (loops.evaluate(inputs, &Limits::default()), found) {
        (Ok(expected), Ok((found, _))) => {
            prop_assert!(regions::same(&found, &expected), "{program}");
        }
        (Err(_), Err(_)) => {}
        (expected, found) => prop_assert!(false, "{expected:?}\n{found:?}\n{program}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_loops_run_as_they_mean(
        choices in prop::collection::vec(any::<u32>(), 0..200),
        way in ways(),
    ) {
        let (text, inputs) = loops::program(&choices);
        agree(&text.parse().unwrap(), &inputs, way)?;
    }

    #[test]
    fn random_regions_run_as_they_mean(
        choices in prop::collection::vec(any::<u16>(), 0..200),
        data in prop::collection::vec(any::<u16>(), 1..40),
        way in ways(),
    ) {
        let regions::Case { region, inputs } = regions::case(&choices, &data);
        agree(&region_to_scf(&region).unwrap(), &inputs, way)?;
    }
}
