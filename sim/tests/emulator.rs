//! The emulated machine against the DLC evaluator: the same results for every capacity and schedule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "../../ir/tests/support/dlc_programs.rs"]
mod programs;
#[path = "../../ir/tests/support/mod.rs"]
mod regions;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use hlo2dae_backend::execute::Instruction;
use hlo2dae_backend::{Artifact, compile};
use hlo2dae_ir::core::{Array, EvalError, Ir, Limits, Scalar, ScalarType};
use hlo2dae_ir::dlc::Program;
use hlo2dae_ir::lower::{LowerError, region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_sim::{Config, Emulator, Schedule, SimError, Stats, StreamText, stream_text};
use proptest::prelude::*;

fn f32s(dims: &[u64], elements: &[f32]) -> Array {
    Array::from_elements(dims, elements).unwrap()
}

fn s32s(dims: &[u64], elements: &[i32]) -> Array {
    Array::from_elements(dims, elements).unwrap()
}

fn ramp(dims: &[u64]) -> Array {
    let n: u64 = dims.iter().product();
    let elements: Vec<f32> = (0..n).map(|v| v as f32 * 0.25 - 1.0).collect();
    f32s(dims, &elements)
}

/// The programs of the DLC tests, with inputs.
fn cases() -> Vec<(&'static str, Vec<Array>)> {
    vec![
        (
            "embedding_bag",
            vec![ramp(&[10, 4]), s32s(&[3, 2], &[0, 1, 9, 100, -5, 2])],
        ),
        ("event_order", vec![f32s(&[0], &[])]),
        (
            "message_passing",
            vec![
                ramp(&[3, 2]),
                ramp(&[4, 2]),
                s32s(&[5], &[3, 0, 1, 2, 2]),
                s32s(&[4], &[0, 2, 2, 5]),
            ],
        ),
        (
            "segment_sum_drop",
            vec![
                s32s(&[6, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
                s32s(&[6], &[0, -1, 3, 4, 0, 2]),
            ],
        ),
        (
            "weighted_csr_bag",
            vec![
                ramp(&[6, 3]),
                Array::from_elements(&[7], &[5i64, 0, 1, 1, 4, 3, 2]).unwrap(),
                ramp(&[7]),
                s32s(&[6], &[0, 2, 2, 6, 7, 7]),
            ],
        ),
    ]
}

fn program(name: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ir/tests/dlc");
    let text = std::fs::read_to_string(folder.join(format!("{name}.dlc"))).unwrap();
    text.parse().unwrap()
}

fn config(control: usize, data: usize, schedule: Schedule) -> Config {
    Config {
        control_capacity: NonZeroUsize::new(control).unwrap(),
        data_capacity: NonZeroUsize::new(data).unwrap(),
        schedule,
        limits: Limits::default(),
    }
}

fn schedules() -> [Schedule; 5] {
    let alternate = |access, execute| Schedule::Alternate {
        access: NonZeroU32::new(access).unwrap(),
        execute: NonZeroU32::new(execute).unwrap(),
    };
    [
        Schedule::RunAhead,
        alternate(1, 1),
        alternate(7, 1),
        alternate(1, 50),
        Schedule::Shuffled(1),
    ]
}

/// Outputs, counts and stream text of a run.
fn run(artifact: &Artifact, config: Config, inputs: &[Array]) -> (Vec<Array>, Stats, String) {
    let emulator = Emulator::new(artifact, config).unwrap();
    let mut text = StreamText::new(&artifact.name, u64::MAX);
    let (traced, stats) = emulator.run_traced(inputs, &mut text).unwrap();
    assert_eq!(
        emulator.run(inputs).unwrap(),
        (traced.clone(), stats.clone())
    );
    (traced, stats, text.finish())
}

#[test]
fn every_capacity_and_schedule_gives_what_the_evaluator_gives() {
    for (name, inputs) in cases() {
        let program = program(name);
        let expected = program.evaluate(&inputs, &Limits::default()).unwrap();
        let artifact = compile(&program).unwrap();
        let (outputs, stats, text) = run(&artifact, Config::default(), &inputs);
        assert_eq!(outputs, expected, "{name}");
        for capacity in [(1, 1), (1, 2), (2, 1), (3, 7), (usize::MAX, usize::MAX)] {
            for schedule in schedules() {
                let found = run(&artifact, config(capacity.0, capacity.1, schedule), &inputs);
                assert_eq!(found.0, outputs, "{name} {capacity:?} {schedule:?}");
                assert_eq!(found.1, stats, "{name} {capacity:?} {schedule:?}");
                assert_eq!(found.2, text, "{name} {capacity:?} {schedule:?}");
            }
        }
    }
}

fn check_golden(path: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{}: BLESS=1 rewrites it", path.display());
}

#[test]
fn programs_and_streams_read_as_their_golden_texts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stream");
    let mut expected: Vec<PathBuf> = Vec::new();
    for (name, inputs) in cases() {
        let artifact = compile(&program(name)).unwrap();
        let stream = stream_text(&artifact, &inputs, 40).unwrap();
        let texts = [
            ("access", artifact.access_text().to_string()),
            ("execute", artifact.execute_text().to_string()),
            ("stream", stream),
        ];
        for (kind, text) in texts {
            let path = folder.join(format!("{name}.{kind}"));
            check_golden(&path, &text);
            expected.push(path);
        }
    }
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files, expected);
}

#[test]
fn counts_of_an_embedding_bag_are_the_products_of_its_sizes() {
    let (_, inputs) = cases().swap_remove(0);
    let artifact = compile(&program("embedding_bag")).unwrap();
    let (_, stats, _) = run(&artifact, Config::default(), &inputs);
    let (bags, lookups, elements) = (3, 2, 4);
    let all = bags * lookups * elements;
    assert_eq!(stats.tokens, all);
    assert_eq!(stats.operands, 3 * all);
    assert_eq!(stats.operand_bytes, (8 + 8 + 4) * all);
    let counts: Vec<(u64, u64)> = stats
        .units
        .iter()
        .map(|unit| (unit.activations, unit.iterations))
        .collect();
    assert_eq!(
        counts,
        [(1, bags), (bags, bags * lookups), (bags * lookups, all)]
    );
    let requests: Vec<(u64, u64, u64)> = stats
        .buffers
        .iter()
        .map(|buffer| (buffer.streamed, buffer.loaded, buffer.stored))
        .collect();
    assert_eq!(
        requests,
        [(all, 0, 0), (bags * lookups, 0, 0), (0, all, all)]
    );
    assert_eq!(stats.cases[0].activations, all);
    assert_eq!(stats.access_bytes(), 4 * (all + bags * lookups));
    assert_eq!(stats.execute_requests(), 2 * all);
}

#[test]
fn counts_subtract_and_survive_json() {
    let (_, inputs) = cases().swap_remove(2);
    let artifact = compile(&program("message_passing")).unwrap();
    let (_, stats, _) = run(&artifact, Config::default(), &inputs);
    let nothing = &stats - &stats;
    assert_eq!((nothing.tokens, nothing.access_requests()), (0, 0));
    assert_eq!(&stats - &nothing, stats);
    let json = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&json).unwrap(), stats);
}

#[test]
fn long_streams_are_cut_and_counted() {
    let (_, inputs) = cases().swap_remove(0);
    let artifact = compile(&program("embedding_bag")).unwrap();
    let text = stream_text(&artifact, &inputs, 1).unwrap();
    assert_eq!(
        text,
        "stream @embedding_bag\n\
         token @accumulate  iterate %tu_d  %b=0 %l=0 %d=0\n  \
         operand %b = 0: index\n  \
         operand %d = 0: index\n  \
         operand %x = -1.0: f32\n\
         ... 23 tokens, 69 operands more\n\
         done\n\
         summary: 24 tokens, 72 operands, 480 bytes\n"
    );
}

/// An embedding bag whose case pops one operand more than its callback pushes.
fn starving() -> Artifact {
    let mut artifact = compile(&program("embedding_bag")).unwrap();
    for case in artifact.execute.cases.values_mut() {
        let to = case.registers.push(hlo2dae_backend::execute::RegData {
            name: "missing".to_owned(),
            ty: ScalarType::Index,
            span: Default::default(),
        });
        // What is popped is of other types than it was pushed as: nothing may use it.
        case.code.truncate(3);
        case.code.push(Instruction::Pop { to });
    }
    artifact
}

#[test]
fn a_case_that_pops_too_much_is_explained() {
    let (_, inputs) = cases().swap_remove(0);
    // Each run takes the first operand of the next one, until the tokens that are waiting fill their queue.
    let emulator = Emulator::new(&starving(), config(4, 5, Schedule::RunAhead)).unwrap();
    let error = emulator.run(&inputs).unwrap_err();
    let SimError::Deadlock(deadlock) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(deadlock.data.entries, Vec::<String>::new());
    assert_eq!(
        error.to_string(),
        "deadlock: neither unit can go on\n  \
         access unit: iterate of %tu_d %b=2 %l=0 %d=1: waits to push the token of @accumulate, \
         the control queue is full\n  \
         execute unit: @accumulate: waits to pop %missing: index after 3 operands, the data queue is empty\n  \
         control queue: 4 of 4: @accumulate, @accumulate, @accumulate, @accumulate\n  \
         data queue: 0 of 5"
    );
}

#[test]
fn a_callback_that_pushes_too_much_is_explained() {
    let (_, inputs) = cases().swap_remove(0);
    let mut artifact = compile(&program("embedding_bag")).unwrap();
    for case in artifact.execute.cases.values_mut() {
        // Nothing but the first pop is left.
        case.code.truncate(1);
    }
    let emulator = Emulator::new(&artifact, config(1, 2, Schedule::RunAhead)).unwrap();
    assert_eq!(
        emulator.run(&inputs).unwrap_err().to_string(),
        "deadlock: neither unit can go on\n  \
         access unit: iterate of %tu_d %b=0 %l=0 %d=1: waits to push operand %d (2 of 3) of @accumulate, \
         the data queue is full\n  \
         execute unit: waits for a token, the control queue is empty\n  \
         control queue: 0 of 1\n  \
         data queue: 2 of 2: %x = -1.0: f32, %b = 0: index"
    );
}

#[test]
fn operands_that_nobody_pops_are_an_error() {
    let (_, inputs) = cases().swap_remove(0);
    let mut artifact = compile(&program("embedding_bag")).unwrap();
    for case in artifact.execute.cases.values_mut() {
        case.code.clear();
    }
    let emulator = Emulator::new(&artifact, Config::default()).unwrap();
    match emulator.run(&inputs) {
        Err(SimError::LeftOver(operands)) => {
            assert_eq!(operands.len(), 72);
            assert_eq!(operands[0], "%b = 0: index");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn memory_of_the_caller_is_used_in_place() {
    let (_, inputs) = cases().swap_remove(0);
    let artifact = compile(&program("embedding_bag")).unwrap();
    let emulator = Emulator::new(&artifact, Config::default()).unwrap();
    let (expected, stats) = emulator.run(&inputs).unwrap();
    let inputs: Vec<&[u8]> = inputs.iter().map(|array| array.data.as_slice()).collect();
    let mut out = vec![0xee; expected[0].data.len()];
    let found = emulator.run_in_place(&inputs, vec![&mut out]).unwrap();
    assert_eq!((out, found), (expected[0].data.clone(), stats));
    let mut short = vec![0; 3];
    let result = emulator.run_in_place(&inputs, vec![&mut short]);
    assert!(
        matches!(result, Err(SimError::Run(EvalError::Input { .. }))),
        "{result:?}"
    );
}

#[test]
fn runs_fail_as_the_evaluator_fails() {
    let program = program("weighted_csr_bag");
    let (_, good) = cases().swap_remove(4);
    let mut outside = good.clone();
    outside[1] = Array::from_elements(&[7], &[5i64, 0, 1, 1, -4, 3, 2]).unwrap();
    let mut beyond = good.clone();
    beyond[3] = s32s(&[6], &[0, 2, 2, 6, 9, 9]);
    let mut shape = good.clone();
    shape[2] = ramp(&[8]);
    let too_few = good[..3].to_vec();
    let emulator = Emulator::new(&compile(&program).unwrap(), Config::default()).unwrap();
    for inputs in [outside, beyond, shape, too_few] {
        let expected = program.evaluate(&inputs, &Limits::default()).unwrap_err();
        assert_eq!(emulator.run(&inputs), Err(SimError::Run(expected)));
    }
}

#[test]
fn reading_what_was_never_written_fails_as_in_the_evaluator() {
    let text = program("embedding_bag").to_string().replace(" = 0.0", "");
    let program: Program = text.parse().unwrap();
    let (_, inputs) = cases().swap_remove(0);
    let expected = program.evaluate(&inputs, &Limits::default()).unwrap_err();
    let emulator = Emulator::new(&compile(&program).unwrap(), Config::default()).unwrap();
    assert_eq!(emulator.run(&inputs), Err(SimError::Run(expected)));
}

#[test]
fn a_run_ends_at_its_limit_of_steps() {
    let (_, inputs) = cases().swap_remove(0);
    let mut config = Config::default();
    config.limits.steps = 100;
    let emulator = Emulator::new(&compile(&program("embedding_bag")).unwrap(), config).unwrap();
    assert_eq!(
        emulator.run(&inputs),
        Err(SimError::Run(EvalError::Steps { limit: 100 }))
    );
}

#[test]
fn stream_values_are_read_back_as_the_same_bits() {
    let (_, mut inputs) = cases().swap_remove(0);
    let odd = [f32::NAN, -0.0, f32::MIN_POSITIVE, 0.1, f32::INFINITY, 1e30];
    let odd: Vec<f32> = odd.iter().copied().cycle().take(40).collect();
    inputs[0] = f32s(&[10, 4], &odd);
    let artifact = compile(&program("embedding_bag")).unwrap();
    let text = stream_text(&artifact, &inputs, u64::MAX).unwrap();
    let values = text.lines().filter_map(|line| {
        let (_, value) = line.strip_prefix("  operand %x = ")?.split_at(0);
        let value = value.strip_suffix(": f32")?;
        Scalar::parse(value, ScalarType::from_name("f32")?)
    });
    let rows = [0usize, 1, 9, 9, 0, 2];
    let expected = rows
        .iter()
        .flat_map(|row| &odd[row * 4..row * 4 + 4])
        .map(|&v| Scalar::F32(v));
    assert!(values.eq(expected));
}

proptest! {
    #[test]
    fn random_programs_do_not_see_capacities_or_turns(
        choices in prop::collection::vec(any::<u32>(), 0..150),
        control in 1usize..6,
        data in 1usize..6,
        seed in any::<u64>(),
    ) {
        let (program, inputs) = programs::program(&choices);
        let expected = program.evaluate(&inputs, &Limits::default()).unwrap();
        let artifact = compile(&program).unwrap();
        let (outputs, stats, text) = run(&artifact, Config::default(), &inputs);
        prop_assert_eq!(&outputs, &expected);
        let other = config(control, data, Schedule::Shuffled(seed));
        prop_assert_eq!(run(&artifact, other, &inputs), (outputs, stats, text));
    }

    #[test]
    fn random_regions_run_as_they_mean(
        choices in prop::collection::vec(any::<u16>(), 0..200),
        data in prop::collection::vec(any::<u16>(), 1..40),
        control in 1usize..6,
        data_capacity in 1usize..6,
        seed in any::<u64>(),
    ) {
        let regions::Case { region, inputs } = regions::case(&choices, &data);
        let scf = region_to_scf(&region).unwrap();
        let slc = match scf_to_slc(&scf) {
            Ok(slc) => slc,
            // Bounds that depend on what the execute unit writes: such a region is not decoupled.
            Err(LowerError::Obstacles(_)) => return Err(TestCaseError::reject("not decoupled")),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let artifact = compile(&slc_to_dlc(&slc).unwrap()).unwrap();
        let expected = region.evaluate(&inputs, &Limits::default()).unwrap();
        let config = config(control, data_capacity, Schedule::Shuffled(seed));
        let (outputs, _) = Emulator::new(&artifact, config).unwrap().run(&inputs).unwrap();
        prop_assert!(regions::same(&outputs, &expected));
    }

    /// Whatever numbers an artifact has, it is refused, or it runs to an end; never a panic.
    #[test]
    fn broken_artifacts_are_errors(
        choices in prop::collection::vec(any::<u32>(), 20..120),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        what in 0..8,
    ) {
        let (program, inputs) = programs::program(&choices);
        let mut artifact = compile(&program).unwrap();
        let access = &mut artifact.access;
        let units: Vec<_> = access.units.keys().collect();
        let (a, b) = (*from.get(&units), *to.get(&units));
        match what {
            0 => access.roots.push(a),
            1 => {
                let children = access.units[b].children.clone();
                access.units[a].children.extend(children);
            }
            2 => access.units[a].parent = Some(b),
            3 => {
                let streams = access.units[b].streams.clone();
                access.units[a].streams = streams;
            }
            4 => {
                let callbacks = access.units[b].callbacks.clone();
                access.units[a].callbacks.extend(callbacks);
            }
            5 => access.units[a].step = 0,
            6 => artifact.execute.cases = artifact
                .execute
                .cases
                .values()
                .skip(1)
                .cloned()
                .collect(),
            _ => {
                for case in artifact.execute.cases.values_mut() {
                    case.code.reverse();
                }
            }
        }
        let mut config = config(1, 1, Schedule::RunAhead);
        config.limits.steps = 100_000;
        if let Ok(emulator) = Emulator::new(&artifact, config) {
            let _ = emulator.run(&inputs);
        }
    }
}
