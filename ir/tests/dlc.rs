//! DLC as text: programs in `tests/dlc`, invalid ones with their diagnostics in `tests/dlc/errors`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/documentation.rs"]
mod documentation;
#[path = "support/dlc_programs.rs"]
mod programs;
#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::core::{Array, EvalError, Ir, Limits};
use hlo2dae_ir::dlc::Program;
use proptest::prelude::*;

fn text(name: &str) -> String {
    std::fs::read_to_string(texts::folder("dlc").join(name)).unwrap()
}

fn run(name: &str, inputs: &[Array]) -> Vec<Array> {
    let program: Program = text(name).parse().unwrap();
    program.evaluate(inputs, &Limits::default()).unwrap()
}

fn f32s(dims: &[u64], elements: &[f32]) -> Array {
    Array::from_elements(dims, elements).unwrap()
}

fn s32s(dims: &[u64], elements: &[i32]) -> Array {
    Array::from_elements(dims, elements).unwrap()
}

#[test]
fn programs_print_as_they_were_written() {
    for path in texts::files(&texts::folder("dlc"), "dlc") {
        let text = texts::program(&path);
        let program: Program = text.parse().unwrap();
        program.verify().unwrap();
        assert_eq!(program.to_string(), text, "{}", path.display());
    }
}

#[test]
fn the_documented_program_is_one() {
    for text in documentation::programs("dlc/mod.rs", "dlc.program") {
        let program: Program = text.parse().unwrap();
        program.verify().unwrap();
        assert_eq!(program.to_string(), text);
    }
}

#[test]
fn embedding_bag_sums_clamped_rows() {
    let table: Vec<f32> = (0..40).map(|n| n as f32).collect();
    let ids = s32s(&[3, 2], &[0, 1, 9, 100, -5, 2]);
    let out = run("embedding_bag.dlc", &[f32s(&[10, 4], &table), ids]);
    let row = |r: usize| &table[r * 4..r * 4 + 4];
    let bag = |a, b| row(a).iter().zip(row(b)).map(|(x, y)| x + y);
    let expected: Vec<f32> = bag(0, 1).chain(bag(9, 9)).chain(bag(0, 2)).collect();
    assert_eq!(out, [f32s(&[3, 4], &expected)]);
}

#[test]
fn weighted_bag_follows_offsets_and_empty_bags_are_zero() {
    let table: Vec<f32> = (0..18).map(|n| n as f32).collect();
    let inputs = [
        f32s(&[6, 3], &table),
        Array::from_elements(&[7], &[5i64, 0, 1, 1, 4, 3, 2]).unwrap(),
        f32s(&[7], &[1.0, 2.0, -1.0, 0.5, 0.25, 8.0, 3.0]),
        s32s(&[6], &[0, 2, 2, 6, 7, 7]),
    ];
    let [out] = run("weighted_csr_bag.dlc", &inputs).try_into().unwrap();
    let mut expected = [[0.0f32; 3]; 5];
    for (d, column) in (0..3).map(|d| (d, d as f32)) {
        let row = |r: usize| 3.0 * r as f32 + column;
        expected[0][d] = row(5) + 2.0 * row(0);
        expected[2][d] = -row(1) + 0.5 * row(1) + 0.25 * row(4) + 8.0 * row(3);
        expected[3][d] = 3.0 * row(2);
    }
    assert_eq!(out, f32s(&[5, 3], expected.as_flattened()));
}

#[test]
fn message_passing_has_a_workspace_between_two_inner_units() {
    let (x, y) = (
        [[1.0f32, 2.0], [0.5, -1.0], [3.0, 0.0]],
        [[1.0f32, 1.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 4.0]],
    );
    let (neighbours, offsets) = ([3i32, 0, 1, 2, 2], [0i32, 2, 2, 5]);
    let inputs = [
        f32s(&[3, 2], x.as_flattened()),
        f32s(&[4, 2], y.as_flattened()),
        s32s(&[5], &neighbours),
        s32s(&[4], &offsets),
    ];
    let out = run("message_passing.dlc", &inputs);
    let mut z = [[0.0f32; 2]; 3];
    for v in 0..3 {
        for p in offsets[v]..offsets[v + 1] {
            let y = y[neighbours[p as usize] as usize];
            let dot = x[v][0] * y[0] + x[v][1] * y[1];
            let h = 1.0 / (1.0 + (-dot).exp());
            z[v][0] += h * y[0];
            z[v][1] += h * y[1];
        }
    }
    let found: Vec<f32> = out[0].elements().unwrap();
    for (found, expected) in found.iter().zip(z.as_flattened()) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn rows_outside_are_dropped() {
    let rows = s32s(&[6, 2], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let segments = s32s(&[6], &[0, -1, 3, 4, 0, 2]);
    let out = run("segment_sum_drop.dlc", &[rows, segments]);
    assert_eq!(out, [s32s(&[4, 2], &[10, 12, 0, 0, 11, 12, 5, 6])]);
}

#[test]
fn events_happen_in_the_documented_order() {
    let out = run("event_order.dlc", &[f32s(&[0], &[])]);
    let mut expected = vec![
        10, 11, 20, 22, 20, 0, 2, 0, 11, 20, 21, 22, 20, 0, 2, 1, 12, 10, 12, 22,
    ];
    expected.resize(32, -1);
    assert_eq!(out, [s32s(&[32], &expected)]);
}

#[test]
fn a_stream_outside_its_buffer_is_an_error_at_its_line() {
    let source = text("weighted_csr_bag.dlc");
    let program: Program = source.parse().unwrap();
    let inputs = [
        f32s(&[6, 3], &[0.0; 18]),
        Array::from_elements(&[7], &[6i64; 7]).unwrap(),
        f32s(&[7], &[0.0; 7]),
        s32s(&[6], &[0, 7, 7, 7, 7, 7]),
    ];
    match program.evaluate(&inputs, &Limits::default()) {
        Err(EvalError::OutOfBounds { indices, span, .. }) => {
            assert_eq!(indices, [6, 0]);
            assert_eq!(
                &source[span.range()],
                "%x = mem_stream %table[%row, %d] in %tu_d"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_ends_at_its_limit_of_steps() {
    let text = text("event_order.dlc")
        .replace("dense 5 to 5", "dense 5 to 9000000000000000000")
        .replace("    register_callback %tu_d iterate @log_11 {}\n", "");
    let program: Program = text.parse().unwrap();
    let limits = Limits {
        steps: 1000,
        ..Limits::default()
    };
    let result = program.evaluate(&[f32s(&[0], &[])], &limits);
    assert!(
        matches!(result, Err(EvalError::Steps { limit: 1000 })),
        "{result:?}"
    );
}

#[test]
fn invalid_programs_are_told_what_is_wrong() {
    let folder = texts::folder("dlc/errors");
    texts::assert_closed(&folder, &["dlc", "txt"]);
    for path in texts::files(&folder, "dlc") {
        let text = std::fs::read_to_string(&path).unwrap();
        let rendered = match text.parse::<Program>() {
            Err(error) => texts::render(error, &path, &text),
            Ok(program) => texts::render(program.verify().unwrap_err(), &path, &text),
        };
        texts::compare(&path, "txt", &rendered);
    }
}

proptest! {
    #[test]
    fn valid_programs_are_read_back_as_they_were(choices in prop::collection::vec(any::<u32>(), 0..150)) {
        let (program, inputs) = programs::program(&choices);
        prop_assert_eq!(program.verify(), Ok(()));
        let text = program.to_string();
        let again: Program = text.parse().unwrap();
        prop_assert_eq!(&again, &program);
        prop_assert_eq!(again.to_string(), text);
        prop_assert!(program.evaluate(&inputs, &Limits::default()).is_ok());
    }

    /// A text with a few bytes changed is a program, or an error; never a panic.
    #[test]
    fn broken_texts_are_errors(
        choices in prop::collection::vec(any::<u32>(), 0..80),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let (program, inputs) = programs::program(&choices);
        let mut words: Vec<String> = program.to_string().split_inclusive(' ').map(str::to_owned).collect();
        for (from, to) in edits {
            let word = from.get(&words).clone();
            *to.get_mut(&mut words) = word;
        }
        if let Ok(program) = words.concat().parse::<Program>() {
            let limits = Limits { steps: 10_000, bytes: 1 << 20 };
            if program.verify().is_ok() {
                let again: Program = program.to_string().parse().unwrap();
                prop_assert_eq!(&again, &program);
            }
            let _ = program.evaluate(&inputs, &limits);
        }
    }
}
