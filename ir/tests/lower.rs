//! From SCF down: every `tests/lower/NAME.scf` has what it becomes beside it, `NAME.slc` and `NAME.dlc`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/documentation.rs"]
mod documentation;
#[path = "support/scf_programs.rs"]
mod programs;
#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::analysis::{Obstacle, Obstacles};
use hlo2dae_ir::core::{Array, EvalError, Ir, Limits, Native, StreamExpr};
use hlo2dae_ir::lower::{LowerError, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{MAX_LEVEL, Options, optimise};
use hlo2dae_ir::{dlc, scf, slc};
use proptest::prelude::*;

fn lower(func: &scf::Func) -> Result<(slc::Func, dlc::Program), LowerError> {
    let streams = scf_to_slc(func)?;
    let decoupled = slc_to_dlc(&streams)?;
    decoupled.verify()?;
    Ok((streams, decoupled))
}

/// The program is its own text read back.
fn assert_round_trip<I: Ir + std::fmt::Debug>(program: &I) {
    let read = I::from_str(&program.to_string()).unwrap();
    assert_eq!(read, *program, "{program}");
}

fn read(name: &str) -> scf::Func {
    texts::program(&texts::folder("lower").join(name))
        .parse()
        .unwrap()
}

/// Runs a program on every level; all must agree to the bit.
fn run(name: &str, inputs: &[Array]) -> Vec<Array> {
    let func = read(name);
    let (streams, decoupled) = lower(&func).unwrap();
    let limits = Limits::default();
    let outputs = func.evaluate(inputs, &limits).unwrap();
    assert_eq!(streams.evaluate(inputs, &limits).unwrap(), outputs, "slc");
    assert_eq!(decoupled.evaluate(inputs, &limits).unwrap(), outputs, "dlc");
    for level in 1..=MAX_LEVEL {
        let optimised = optimise(level, &streams, &Options::default()).unwrap();
        let decoupled = slc_to_dlc(&optimised).unwrap();
        let found = optimised.evaluate(inputs, &limits).unwrap();
        assert_eq!(found, outputs, "slc at O{level}");
        let found = decoupled.evaluate(inputs, &limits).unwrap();
        assert_eq!(found, outputs, "dlc at O{level}");
    }
    outputs
}

fn array<T: Native>(dims: &[u64], elements: &[T]) -> Array {
    Array::from_elements(dims, elements).unwrap()
}

fn counting(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

#[test]
fn programs_become_what_the_files_say() {
    let folder = texts::folder("lower");
    texts::assert_closed(&folder, &["scf", "slc", "dlc"]);
    for path in texts::files(&folder, "scf") {
        let func: scf::Func = texts::program(&path).parse().unwrap();
        let (streams, decoupled) = lower(&func).unwrap();
        texts::compare(&path, "slc", &streams.to_string());
        texts::compare(&path, "dlc", &decoupled.to_string());
        assert_round_trip(&streams);
        assert_round_trip(&decoupled);
    }
}

#[test]
fn lowerings_do_what_their_documentation_shows() {
    let [before, after] = ["scf.func", "slc.func"]
        .map(|keyword| documentation::programs("lower/scf_to_slc.rs", keyword).remove(0));
    let func: scf::Func = before.parse().unwrap();
    assert_eq!(scf_to_slc(&func).unwrap().to_string(), after);

    let [before, after] = ["slc.func", "dlc.program"]
        .map(|keyword| documentation::programs("lower/slc_to_dlc.rs", keyword).remove(0));
    let func: slc::Func = before.parse().unwrap();
    assert_eq!(slc_to_dlc(&func).unwrap().to_string(), after);
}

#[test]
fn too_deep_a_nest_is_an_obstacle() {
    let mut text = "scf.func @f {\n  output %y: f32[] = 0.0\n".to_owned();
    for i in 0..65 {
        text += &format!("scf.for %i{i} = 0 to 1 step 1 {{\n");
    }
    text += "%e = constant 1.0: f32\nstore %e, %y[]\n";
    text += &"}\n".repeat(66);
    let func: scf::Func = text.parse().unwrap();
    let error = scf_to_slc(&func).unwrap_err();
    let LowerError::Obstacles(Obstacles(obstacles)) = error else {
        panic!("{error}")
    };
    let [Obstacle::Depth { span }] = obstacles[..] else {
        panic!("{obstacles:?}")
    };
    assert!(text[span.range()].starts_with("scf.for %i64"));
}

#[test]
fn what_cannot_be_decoupled_is_said_at_its_place() {
    let folder = texts::folder("lower/errors");
    texts::assert_closed(&folder, &["scf", "txt"]);
    for path in texts::files(&folder, "scf") {
        let text = texts::program(&path);
        let func: scf::Func = text.parse().unwrap();
        let error = scf_to_slc(&func).unwrap_err();
        texts::compare(&path, "txt", &texts::render(error, &path, &text));
    }
}

#[test]
fn a_bag_sums_clamped_rows() {
    let table = counting(40);
    let ids = array(&[3, 2], &[0, 1, 9, 100, -5, 2]);
    let row = |r: usize| &table[r * 4..r * 4 + 4];
    let bag = |a, b| row(a).iter().zip(row(b)).map(|(x, y)| x + y);
    let expected: Vec<f32> = bag(0, 1).chain(bag(9, 9)).chain(bag(0, 2)).collect();
    let outputs = run("embedding_bag.scf", &[array(&[10, 4], &table), ids]);
    assert_eq!(outputs, [array(&[3, 4], &expected)]);
}

#[test]
fn a_row_outside_counts_as_the_fill_value() {
    let weights = [1.0, 0.5, 2.0, 4.0, -1.0, 8.0].map(half::bf16::from_f32);
    let inputs = [
        array(&[10, 4], &counting(40)),
        array(&[3, 2], &[0, 1, 9, 100, -5, -7]),
        array(&[3, 2], &weights),
    ];
    let expected = [
        2.0, 3.5, 5.0, 6.5, // row 0, and half of row 1
        68.0, 70.0, 72.0, 74.0, // twice row 9, and 4 * -1
        -7.0, -7.0, -7.0, -7.0, // 1 - 8
    ];
    let outputs = run("weighted_bag_fill.scf", &inputs);
    assert_eq!(outputs, [array::<f32>(&[3, 4], &expected)]);
}

#[test]
fn rows_of_segments_outside_are_dropped() {
    let inputs = [
        array(&[6, 2], &counting(12)),
        array(&[6], &[2, -1, 0, 2, 3, 0]),
    ];
    let outputs = run("segment_sum_drop.scf", &inputs);
    let expected: [f32; 6] = [14.0, 16.0, 0.0, 0.0, 6.0, 8.0];
    assert_eq!(outputs, [array(&[3, 2], &expected)]);
}

#[test]
fn empty_bags_of_a_csr_matrix_yield_zero() {
    let inputs = [
        array(&[6, 3], &counting(18)),
        array(&[7], &[5i64, 0, 1, 1, 4, 3, 2]),
        array(&[5], &[0, 2, 2, 6, 7]),
        array(&[7], &[1.0f32, 2.0, 3.0, 1.0, 0.5, 1.0, 1.0]),
    ];
    let outputs = run("weighted_csr_bag.scf", &inputs);
    let expected: [f32; 12] = [
        7.5, 9.0, 10.5, 0.0, 0.0, 0.0, 6.75, 8.125, 9.5, 6.0, 7.0, 8.0,
    ];
    assert_eq!(outputs, [array(&[4, 3], &expected)]);
}

#[test]
fn a_scalar_passes_from_one_loop_to_the_one_beside() {
    let x: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) / 8.0).collect();
    let y: Vec<f32> = (0..15).map(|i| (7.0 - i as f32) / 4.0).collect();
    let (sources, offsets) = ([4, 0, 2, 2, 1, 3], [0, 2, 3, 3, 6]);
    let inputs = [
        array(&[4, 3], &x),
        array(&[5, 3], &y),
        array(&[6], &sources),
        array(&[5], &offsets),
    ];
    let (mut z, mut norm) = ([0f32; 12], [0f32; 4]);
    for v in 0..4 {
        for p in offsets[v]..offsets[v + 1] {
            let u = sources[p as usize] as usize;
            let dot: f32 = (0..3).fold(0.0, |s, e| s + x[v * 3 + e] * y[u * 3 + e]);
            let h = libm::tanhf(dot);
            for e in 0..3 {
                z[v * 3 + e] += y[u * 3 + e] * h;
            }
            norm[v] += h;
        }
    }
    let outputs = run("message_passing.scf", &inputs);
    for (output, expected) in outputs.iter().zip([&z[..], &norm[..]]) {
        for (a, e) in output.elements::<f32>().unwrap().iter().zip(expected) {
            assert!((a - e).abs() < 1e-6, "{a} {e}");
        }
    }
}

#[test]
fn rows_under_a_guard_are_not_read() {
    let inputs = [array(&[3, 2], &counting(6)), array(&[4], &[1, 7, -1, 0])];
    let outputs = run("guarded_rows.scf", &inputs);
    let nan = f32::NAN;
    let expected = [2.0, 3.0, nan, nan, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(outputs, [array(&[4, 2], &expected), array(&[], &[1])]);
}

#[test]
fn a_load_is_not_ahead_of_its_guard() {
    let inputs = [
        array(&[3], &[1.0f32, 2.0, 4.0]),
        array(&[4], &[2, 3, -1, 0]),
    ];
    let expected: [f32; 4] = [6.0, -1.0, -1.0, 2.0];
    assert_eq!(run("guarded_load.scf", &inputs), [array(&[4], &expected)]);
}

#[test]
fn code_around_loops_runs_in_its_order() {
    let x: Vec<f64> = (0..8).map(f64::from).collect();
    for (length, sum, log) in [
        (8i64, 9.0, [10, 11, 13, -1]),
        (0, 0.0, [10, 11, 13, -1]),
        (-2, 0.0, [10, 12, 13, -1]),
    ] {
        let outputs = run(
            "dynamic_length.scf",
            &[array(&[], &[length]), array(&[8], &x)],
        );
        assert_eq!(outputs, [array(&[], &[sum]), array(&[4], &log)]);
    }
}

#[test]
fn a_program_without_loops_runs_once() {
    let outputs = run("no_loop.scf", &[array(&[2], &[3.0f32, 5.0])]);
    assert_eq!(outputs, [array(&[], &[5.0f32])]);
}

#[test]
fn loads_at_computed_addresses_follow_the_stores() {
    let inputs = [
        array(&[4], &[8.0f32, 6.0, 4.0, 2.0]),
        array(&[4], &[2.5f32, 3.5, 0.0, 1.0]),
    ];
    let outputs = run("dependent_address.scf", &inputs);
    let expected: [f32; 4] = [16.0, 10.0, 6.0, 0.0];
    assert_eq!(outputs, [array(&[4], &expected)]);
}

#[test]
fn no_load_of_the_access_unit_is_from_written_memory() {
    for path in texts::files(&texts::folder("lower"), "scf") {
        let func: scf::Func = texts::program(&path).parse().unwrap();
        let (_, decoupled) = lower(&func).unwrap();
        for stream in decoupled.access.streams.values() {
            if let dlc::StreamExpr::Made(StreamExpr::Mem { access, .. }) = &stream.expr {
                let written = func.buffers[access.buffer].is_written();
                assert!(!written, "{}", path.display());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_programs_mean_the_same_on_every_level(choices in prop::collection::vec(any::<u32>(), 0..400)) {
        let (text, inputs) = programs::program(&choices);
        let func: scf::Func = text.parse().unwrap();
        let limits = Limits::default();
        let outputs = match func.evaluate(&inputs, &limits) {
            Err(EvalError::Invalid(error)) => panic!("{error:?}\n{text}"),
            outputs => outputs.unwrap(),
        };
        let (streams, decoupled) = lower(&func).unwrap();
        assert_round_trip(&streams);
        assert_round_trip(&decoupled);
        prop_assert_eq!(&streams.evaluate(&inputs, &limits).unwrap(), &outputs, "{}\n{}", &text, &streams);
        prop_assert_eq!(&decoupled.evaluate(&inputs, &limits).unwrap(), &outputs, "{}\n{}", &text, &decoupled);
    }
}
