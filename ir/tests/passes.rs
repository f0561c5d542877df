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
use hlo2dae_ir::passes::{self, MAX_LEVEL, Options, PASSES, Pass, PassError, Resources};
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
        let call = documentation::call(&file, pass.name);
        let found = run(&call, &func, &Options::default()).unwrap();
        assert_eq!(found.to_string(), *after, "{file}:\n{found}");
        assert!(results(&func, &inputs(&func)).is_some(), "{file}");
        check(&func, &inputs(&func), [call.as_str()], &Options::default());
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
    for (call, message) in [
        (
            "bufferise{row_bytes=8",
            "`bufferise{row_bytes=8` does not end: expected `}`",
        ),
        (
            "bufferise{rows=8}",
            "the pass `bufferise` has no parameter `rows`",
        ),
        (
            "simplify{lanes=8}",
            "the pass `simplify` has no parameter `lanes`",
        ),
        (
            "vectorise{lanes=65}",
            "`vectorise{lanes}` is `65`, expected a number from 2 to 64",
        ),
        (
            "read_hints{reuse}",
            "`read_hints{reuse}` is ``, expected a number from 1 to 1024",
        ),
        (
            "prefetch{distance=99999999999}",
            "`prefetch{distance}` is `99999999999`, expected a number from 1 to 1024",
        ),
    ] {
        let error = run(call, &func, &options).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
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

#[test]
fn a_list_of_passes_is_split_outside_of_braces() {
    let list = "simplify, vectorise{lanes=4} ,x{a=1,b=2}";
    let split = passes::split(list);
    assert_eq!(split, ["simplify", "vectorise{lanes=4}", "x{a=1,b=2}"]);
    assert_eq!(passes::split(""), [""]);
    assert_eq!(passes::split("a},b"), ["a}", "b"]);
}

/// A program with one long loop, its output indexed by its position unless something else is said.
fn split_of(body: &str) -> Option<u32> {
    let text = format!(
        "slc.func @f {{\n  input %x: f32[16,2]\n  input %ids: s32[16]\n  output %out: f32[16,2] = 0.0\n  \
         output %all: f32[2] = 0.0\n  temp %t: f32[] = 0.0\n  temp %r: f32[2] = 0.0\n{body}}}\n"
    );
    let func: slc::Func = text.parse().unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    let split = run("split_cores{cores=4}", &func, &Options::default()).unwrap();
    let root = split.body.loops().next().unwrap();
    root.hints.cores
}

#[test]
fn positions_that_cores_share_are_not_counted() {
    let path = texts::folder("passes").join("embedding_bag.scf");
    let func: scf::Func = texts::program(&path).parse().unwrap();
    let streams = scf_to_slc(&func).unwrap();
    let alone = passes::optimise(MAX_LEVEL, &streams, &Options::default()).unwrap();
    let options = Options {
        resources: Resources {
            cores: 2,
            ..Resources::default()
        },
        ..Options::default()
    };
    let shared = passes::optimise(MAX_LEVEL, &streams, &options).unwrap();
    let counters = |func: &slc::Func| func.to_string().matches("temp %b_count").count();
    assert_eq!((counters(&alone), counters(&shared)), (1, 0), "{shared}");
    assert!(shared.to_string().contains("from_stream %b\n"), "{shared}");
}

#[test]
fn only_positions_that_need_nothing_of_one_another_are_dealt_to_cores() {
    let nest = |code: &str| {
        format!(
            "  slc.for %b = 0 to 16 step 1 {{\n    slc.for %d = 0 to 2 step 1 {{\n      %e = slc.mem_stream %x[%b, %d]\n      \
             slc.callback {{\n        %b_0 = slc.from_stream %b\n        %d_0 = slc.from_stream %d\n        \
             %v = slc.from_stream %e\n{code}      }}\n    }}\n  }}\n"
        )
    };
    let own = nest("        store %v, %out[%b_0, %d_0]\n");
    assert_eq!(split_of(&own), Some(4));
    // An element that all positions add to.
    let shared = "        %old = load %all[%d_0]\n        %new = add %old, %v\n        store %new, %all[%d_0]\n";
    assert_eq!(split_of(&nest(shared)), None);
    // A row that another position may have stored.
    let other = "        %c = constant 3: index\n        %old = load %out[%c, %d_0]\n        store %old, %out[%b_0, %d_0]\n";
    assert_eq!(split_of(&nest(other)), None);
    // A temporary that is stored to first, and two that carry something on.
    let fresh =
        "        store %v, %t[]\n        %w = load %t[]\n        store %w, %out[%b_0, %d_0]\n";
    assert_eq!(split_of(&nest(fresh)), Some(4));
    let carried =
        "        %w = load %t[]\n        store %v, %t[]\n        store %w, %out[%b_0, %d_0]\n";
    assert_eq!(split_of(&nest(carried)), None);
    let row = "        store %v, %r[%d_0]\n        %w = load %r[%d_0]\n        store %w, %out[%b_0, %d_0]\n";
    assert_eq!(split_of(&nest(row)), None);
    // What fires once.
    let once = "  slc.callback {\n    %c = constant 0: index\n    %v = load %all[%c]\n    store %v, %all[%c]\n  }\n";
    assert_eq!(split_of(&format!("{own}{once}")), None);
    // Another loop reads the temporary.
    let read = "        store %v, %t[]\n        store %v, %out[%b_0, %d_0]\n";
    let reader = nest("        %w = load %t[]\n        store %w, %out[%b_0, %d_0]\n")
        .replace("%d ", "%d_1 ");
    let reader = reader
        .replace("%b ", "%b_1 ")
        .replace("[%b, %d]", "[%b_1, %d_1]");
    let reader = reader
        .replace("from_stream %b\n", "from_stream %b_1\n")
        .replace("from_stream %d\n", "from_stream %d_1\n");
    let reader = reader
        .replace("%e ", "%e_1 ")
        .replace("from_stream %e\n", "from_stream %e_1\n");
    assert_eq!(split_of(&format!("{}{reader}", nest(read))), None);
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
