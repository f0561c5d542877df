//! The emulated machine against the DLC evaluator: the same results for every capacity and schedule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "../../ir/tests/support/dlc_programs.rs"]
mod programs;
mod support;

use std::path::{Path, PathBuf};

use hlo2dae_ir::core::{Array, EvalError, Ir, Limits, Scalar, ScalarType};
use hlo2dae_ir::dlc::Program;
use hlo2dae_sim::{Config, Emulator, Schedule, SimError, Stats, stream_text};
use proptest::prelude::*;
use support::{check, compiled, config, run};

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

#[test]
fn every_capacity_and_schedule_gives_what_the_evaluator_gives() {
    for (name, inputs) in cases() {
        check(&program(name), &inputs);
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
        let artifact = compiled(&program(name));
        let stream = stream_text(&artifact, &inputs, 40).unwrap();
        let texts = [("tmu", artifact.to_string()), ("stream", stream)];
        for (kind, text) in texts {
            let path = folder.join(format!("{name}.{kind}"));
            check_golden(&path, &text);
            expected.push(path);
        }
    }
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
}

#[test]
fn counts_of_an_embedding_bag_are_the_products_of_its_sizes() {
    let (_, inputs) = cases().swap_remove(0);
    let artifact = compiled(&program("embedding_bag"));
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
    let artifact = compiled(&program("message_passing"));
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
    let artifact = compiled(&program("embedding_bag"));
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

/// A program that could deadlock does not come to run: what a case pops is what is pushed for it.
#[test]
fn cases_that_pop_something_else_are_refused() {
    let text = compiled(&program("embedding_bag")).to_string();
    let errors = [
        (
            "    1: r1 %d: index = pop\n",
            "    1: r1 %d: index = constant 0: index\n",
        ),
        (
            "push iterate @accumulate(s0, ",
            "push iterate @accumulate(s0, s0, ",
        ),
        ("r2 %x: f32 = pop", "r2 %x: s32 = pop"),
    ]
    .map(|(from, to)| {
        assert!(text.contains(from), "{text}");
        let artifact = text.replace(from, to).parse().unwrap();
        match Emulator::new(&artifact, Config::default()) {
            Err(SimError::Malformed(errors)) => errors.errors[0].to_string(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(
        errors,
        [
            "3 operands are pushed for @accumulate, which pops 2",
            "4 operands are pushed for @accumulate, which pops 3",
            "`add` does not take f32 and s32",
        ]
    );
}

#[test]
fn memory_of_the_caller_is_used_in_place() {
    let (_, inputs) = cases().swap_remove(0);
    let artifact = compiled(&program("embedding_bag"));
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
    let emulator = Emulator::new(&compiled(&program), Config::default()).unwrap();
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
    let emulator = Emulator::new(&compiled(&program), Config::default()).unwrap();
    assert_eq!(emulator.run(&inputs), Err(SimError::Run(expected)));
}

#[test]
fn a_run_ends_at_its_limit_of_steps() {
    let (_, inputs) = cases().swap_remove(0);
    let mut config = Config::default();
    config.limits.steps = 100;
    let emulator = Emulator::new(&compiled(&program("embedding_bag")), config).unwrap();
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
    let artifact = compiled(&program("embedding_bag"));
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
        let artifact = compiled(&program);
        let (outputs, stats, text) = run(&artifact, Config::default(), &inputs);
        prop_assert_eq!(&outputs, &expected);
        let other = config(control, data, Schedule::Shuffled(seed));
        prop_assert_eq!(run(&artifact, other, &inputs), (outputs, stats, text));
    }

    /// Whatever bytes an artifact has, it is refused, or it runs to an end; never a panic.
    #[test]
    fn broken_artifacts_are_errors(
        choices in prop::collection::vec(any::<u32>(), 20..120),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (program, inputs) = programs::program(&choices);
        let mut bytes = compiled(&program).encode();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut config = config(1, 1, Schedule::RunAhead);
        config.limits.steps = 100_000;
        config.limits.bytes = 1 << 20;
        if let Ok(emulator) = Emulator::load(&bytes, config) {
            let _ = emulator.run(&inputs);
        }
    }
}
