//! Passes: each does what its documentation shows; none changes what a program means; every level of every program of
//! `tests/passes` is in a file beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/documentation.rs"]
mod documentation;
#[path = "support/scf_programs.rs"]
mod programs;
mod support;
#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::core::{Array, Ir, LANES, Limits, Role, Scalar};
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{self, MAX_LEVEL, Options, PASSES, Pass, PassError};
use hlo2dae_ir::{dlc, scf, slc};
use proptest::prelude::*;
use support::{case, same};

const LIMITS: Limits = Limits {
    steps: 1_000_000,
    bytes: 1 << 24,
};

fn with_lanes(lanes: u32) -> Options {
    Options {
        lanes,
        ..Options::default()
    }
}

/// A program is its own text read back, and does the same when it is decoupled; its results.
fn results(func: &slc::Func, inputs: &[Array]) -> Option<Vec<Array>> {
    let text = func.to_string();
    let again: slc::Func = text.parse().unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(again, *func, "{text}");
    let decoupled = slc_to_dlc(func).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    decoupled
        .verify()
        .unwrap_or_else(|e| panic!("{e:?}\n{decoupled}"));
    let text = decoupled.to_string();
    let again: dlc::Program = text.parse().unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(again, decoupled, "{text}");
    let streams = func.evaluate(inputs, &LIMITS);
    let queues = decoupled.evaluate(inputs, &LIMITS);
    match (streams, queues) {
        (Ok(streams), Ok(queues)) => {
            assert!(same(&streams, &queues), "{func}\n{text}");
            Some(streams)
        }
        (Err(_), Err(_)) => None,
        (one, other) => panic!("{one:?}\n{other:?}\n{func}"),
    }
}

/// Runs passes one after the other; after each the program means the same.
fn check<'n>(
    func: &slc::Func,
    inputs: &[Array],
    names: impl IntoIterator<Item = &'n str>,
    options: &Options,
) {
    let expected = results(func, inputs);
    let mut before = func.clone();
    let after = |pass: &Pass, after: &slc::Func| {
        // What runs without an error runs without one and gives the same.
        if let Some(expected) = &expected {
            let found = results(after, inputs);
            let same = found.is_some_and(|found| same(expected, &found));
            let found = after.evaluate(inputs, &LIMITS);
            assert!(same, "{}\n{before}\n{after}\n{found:?}", pass.name);
        }
        before = after.clone();
    };
    let options = Options {
        verify_each: true,
        ..*options
    };
    passes::run(names, func, &options, after).unwrap_or_else(|e| panic!("{e:?}\n{func}"));
}

fn run(name: &str, func: &slc::Func, options: &Options) -> Result<slc::Func, PassError> {
    passes::run([name], func, options, |_, _| ())
}

fn names_of(level: u8) -> impl Iterator<Item = &'static str> {
    passes::pipeline(level)
        .unwrap()
        .iter()
        .map(|step| step.pass)
}

/// Arrays for a program's inputs: small whole numbers, so that those that are indices lie inside.
fn inputs(func: &slc::Func) -> Vec<Array> {
    let mut n = 0u64;
    let mut arrays = Vec::new();
    for buffer in func.buffers.values() {
        if buffer.role != Role::Input {
            continue;
        }
        let elements: u64 = buffer.dims.iter().product();
        let mut array = Array::zeros(buffer.element, &buffer.dims).unwrap();
        for at in 0..elements {
            n = (n * 5 + 3) % 16;
            let scalar = Scalar::S64((n % 4) as i64).convert(buffer.element.into());
            array.set(at as usize, scalar).unwrap();
        }
        arrays.push(array);
    }
    arrays
}

#[test]
fn passes_do_what_their_documentation_shows() {
    for pass in PASSES {
        let file = format!("passes/{}.rs", pass.name);
        let programs = documentation::programs(&file, "slc.func");
        let [before, after] = programs.as_slice() else {
            panic!("{file} shows {} programs", programs.len())
        };
        let func: slc::Func = before.parse().unwrap_or_else(|e| panic!("{file}: {e:?}"));
        assert_eq!(func.to_string(), *before, "{file}");
        let found = run(pass.name, &func, &Options::default()).unwrap();
        assert_eq!(found.to_string(), *after, "{file}:\n{found}");
        assert!(results(&func, &inputs(&func)).is_some(), "{file}");
        check(&func, &inputs(&func), [pass.name], &Options::default());
    }
}

#[test]
fn levels_are_made_of_passes_that_there_are() {
    for level in 0..=MAX_LEVEL {
        for step in passes::pipeline(level).unwrap() {
            assert!(PASSES.iter().any(|pass| pass.name == step.pass));
            assert!(!step.reason.is_empty());
        }
    }
    assert!(passes::pipeline(MAX_LEVEL + 1).is_none());
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let func: slc::Func = "slc.func @f {\n}\n".parse().unwrap();
    let options = Options::default();
    let unknown = run("vectorize", &func, &options).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no pass `vectorize`");
    let level = passes::optimise(9, &func, &options).unwrap_err();
    assert_eq!(level, PassError::Level { level: 9 });
    for lanes in [0, 1, LANES.end() + 1] {
        let error = run("vectorise", &func, &with_lanes(lanes)).unwrap_err();
        assert_eq!(error, PassError::Lanes { lanes });
    }
}

#[test]
fn levels_become_what_the_files_say() {
    let folder = texts::folder("passes");
    texts::assert_closed(&folder, &["scf", "o1", "o2", "o3", "o4"]);
    for path in texts::files(&folder, "scf") {
        let func: scf::Func = texts::program(&path).parse().unwrap();
        let streams = scf_to_slc(&func).unwrap();
        for level in 1..=MAX_LEVEL {
            let options = Options::default();
            let optimised = passes::optimise(level, &streams, &options).unwrap();
            texts::compare(&path, &format!("o{level}"), &optimised.to_string());
            check(&streams, &inputs(&streams), names_of(level), &options);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn levels_of_a_random_region_mean_the_same(
        choices in prop::collection::vec(0u16..720, 0..240),
        data in prop::collection::vec(0u16..720, 1..40),
        lanes in prop::sample::select(vec![2u32, 3, 4, 8]),
    ) {
        let case = case(&choices, &data);
        let Ok(func) = region_to_scf(&case.region) else { return Ok(()) };
        let Ok(streams) = scf_to_slc(&func) else { return Ok(()) };
        for level in [3, MAX_LEVEL] {
            check(&streams, &case.inputs, names_of(level), &with_lanes(lanes));
        }
    }

    #[test]
    fn passes_in_any_order_mean_the_same(
        choices in prop::collection::vec(any::<u32>(), 0..400),
        order in prop::collection::vec(prop::sample::select(PASSES), 1..8),
        lanes in prop::sample::select(vec![2u32, 3, 8]),
    ) {
        let (text, inputs) = programs::program(&choices);
        let func: scf::Func = text.parse().unwrap();
        let streams = scf_to_slc(&func).unwrap();
        check(&streams, &inputs, order.iter().map(|pass| pass.name), &with_lanes(lanes));
    }
}
