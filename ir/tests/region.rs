//! Regions: programs in `tests/region`, each with the loops that it becomes beside it; invalid ones with
//! their diagnostics in `tests/region/errors`; and laws that hold for every region, tried on random ones.
//! The running example of the documentation is in `tests/ladder`, in every IR.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;
#[path = "support/texts.rs"]
mod texts;

use hlo2dae_ir::core::{EvalError, Ir, Limits, Problem, ScalarType, Span, ValueData};
use hlo2dae_ir::lower::{LowerError, region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::region::{Extent, Nest, Region, Statement, Value};
use hlo2dae_ir::scf;
use proptest::prelude::*;
use support::{Case, case, same};

const LIMITS: Limits = Limits {
    steps: 1_000_000,
    bytes: 1 << 24,
};

fn cases() -> impl Strategy<Value = Case> {
    let choices = prop::collection::vec(0u16..720, 0..240);
    let data = prop::collection::vec(0u16..720, 1..40);
    (choices, data).prop_map(|(choices, data)| case(&choices, &data))
}

#[test]
fn programs_become_the_loops_in_the_files() {
    let folder = texts::folder("region");
    texts::assert_closed(&folder, &["region", "scf"]);
    for path in texts::files(&folder, "region") {
        let text = texts::program(&path);
        let region: Region = text.parse().unwrap();
        assert_eq!(region.to_string(), text, "{}", path.display());
        let func = region_to_scf(&region).unwrap();
        texts::compare(&path, "scf", &func.to_string());
        let again: scf::Func = func.to_string().parse().unwrap();
        assert_eq!(again, func, "{}", path.display());
    }
}

#[test]
fn the_running_example_goes_down_the_ladder() {
    let folder = texts::folder("ladder");
    texts::assert_closed(&folder, &["region", "scf", "slc", "dlc"]);
    for path in texts::files(&folder, "region") {
        let text = texts::program(&path);
        let region: Region = text.parse().unwrap();
        assert_eq!(region.to_string(), text);
        let func = region_to_scf(&region).unwrap();
        texts::compare(&path, "scf", &func.to_string());
        let streams = scf_to_slc(&func).unwrap();
        texts::compare(&path, "slc", &streams.to_string());
        let decoupled = slc_to_dlc(&streams).unwrap();
        texts::compare(&path, "dlc", &decoupled.to_string());
    }
}

#[test]
fn programs_and_their_loops_compute_the_same() {
    for path in texts::files(&texts::folder("region"), "region") {
        let region: Region = texts::program(&path).parse().unwrap();
        let func = region_to_scf(&region).unwrap();
        for seed in 0..20u16 {
            let data: Vec<u16> = (1..50).map(|n| n * (2 * seed + 1) % 720).collect();
            let inputs = support::inputs(&region, &data);
            let expected = region.evaluate(&inputs, &Limits::default()).unwrap();
            let found = func.evaluate(&inputs, &Limits::default()).unwrap();
            assert!(same(&expected, &found), "{}", path.display());
        }
    }
}

#[test]
fn invalid_programs_are_told_what_is_wrong() {
    let folder = texts::folder("region/errors");
    texts::assert_closed(&folder, &["region", "txt"]);
    for path in texts::files(&folder, "region") {
        let text = texts::program(&path);
        let rendered = match text.parse::<Region>() {
            Ok(region) => texts::render(region.verify().unwrap_err(), &path, &text),
            Err(error) => texts::render(error, &path, &text),
        };
        texts::compare(&path, "txt", &rendered);
    }
}

fn index(name: &str) -> ValueData {
    ValueData {
        name: name.to_owned(),
        ty: ScalarType::Index,
        span: Span::default(),
    }
}

/// The rules that a region breaks, each with the problem.
fn broken(region: &Region) -> Vec<(u32, Problem)> {
    let errors = region.verify().unwrap_err().errors;
    errors
        .into_iter()
        .map(|error| (error.rule.number, error.problem))
        .collect()
}

#[test]
fn faults_that_no_text_has_are_found_too() {
    let mut nest = Nest::default();
    let i = nest.values.push(index("i"));
    let again = nest.values.push(index("i"));
    let bad = nest.values.push(index("a b"));
    let ghost = Value::from_u32(4_000_000_000);
    nest.body = vec![
        Statement::Axis(i, Extent::Range(bad, ghost)),
        Statement::Axis(again, Extent::Dense(1)),
        Statement::Axis(bad, Extent::Dense(1)),
        Statement::Axis(bad, Extent::Dense(1)),
    ];
    let region = Region {
        name: "no name".to_owned(),
        buffers: Default::default(),
        nests: vec![nest],
    };
    assert_eq!(
        broken(&region),
        [
            (1, Problem::BadName("no name".to_owned())),
            (3, Problem::NotDefined("a b".to_owned())),
            (3, Problem::Dangling(format!("%{ghost}"))),
            (1, Problem::DuplicateName("i".to_owned())),
            (1, Problem::BadName("a b".to_owned())),
            (1, Problem::BadName("a b".to_owned())),
            (3, Problem::DuplicateName("a b".to_owned())),
        ]
    );
    let run = region.evaluate(&[], &Limits::default());
    assert!(matches!(run, Err(EvalError::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_region_is_read_back_as_itself(case in cases()) {
        let region = case.region;
        let text = region.to_string();
        let again: Region = text.parse().map_err(|e| TestCaseError::fail(format!("{e:?}\n{text}")))?;
        prop_assert_eq!(&again, &region, "{}", text);
    }

    #[test]
    fn a_region_and_its_loops_compute_the_same(case in cases()) {
        let fail = |e: &dyn std::fmt::Debug, text: &str| TestCaseError::fail(format!("{e:?}\n{text}"));
        let text = case.region.to_string();
        let expected = case.region.evaluate(&case.inputs, &LIMITS).map_err(|e| fail(&e, &text))?;
        let func = region_to_scf(&case.region).map_err(|e| fail(&e, &text))?;
        let loops = func.to_string();
        let again: scf::Func = loops.parse().map_err(|e| fail(&e, &loops))?;
        prop_assert_eq!(&again, &func, "{}", loops);
        let found = func.evaluate(&case.inputs, &LIMITS).map_err(|e| fail(&e, &format!("{text}{loops}")))?;
        prop_assert!(same(&expected, &found), "{text}{loops}{expected:?}\n{found:?}");
    }

    #[test]
    fn what_can_be_decoupled_computes_the_same(case in cases()) {
        let fail = |e: &dyn std::fmt::Debug, text: &str| TestCaseError::fail(format!("{e:?}\n{text}"));
        let text = case.region.to_string();
        let expected = case.region.evaluate(&case.inputs, &LIMITS).map_err(|e| fail(&e, &text))?;
        let func = region_to_scf(&case.region).map_err(|e| fail(&e, &text))?;
        let streams = match scf_to_slc(&func) {
            // A bound that one nest computes and another one uses.
            Err(LowerError::Obstacles(_)) => return Ok(()),
            streams => streams.map_err(|e| fail(&e, &text))?,
        };
        let found = streams.evaluate(&case.inputs, &LIMITS).map_err(|e| fail(&e, &format!("{text}{func}{streams}")))?;
        prop_assert!(same(&expected, &found), "{text}{func}{streams}{expected:?}\n{found:?}");
        let decoupled = slc_to_dlc(&streams).map_err(|e| fail(&e, &text))?;
        let found = decoupled.evaluate(&case.inputs, &LIMITS).map_err(|e| fail(&e, &format!("{text}{func}{decoupled}")))?;
        prop_assert!(same(&expected, &found), "{text}{func}{decoupled}{expected:?}\n{found:?}");
    }

    #[test]
    fn a_damaged_text_never_panics(case in cases(), from in any::<prop::sample::Index>(), length in 0usize..12, with in "[%{}\\[\\]0-9a-z ,:=.-]{0,6}") {
        let region = &case.region;
        let loops = region_to_scf(region).map(|func| func.to_string()).unwrap_or_default();
        for mut text in [region.to_string(), loops] {
            let start = from.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &with);
            let limits = Limits { steps: 1000, bytes: 1 << 16 };
            if let Ok(region) = text.parse::<Region>() {
                let _ = region.evaluate(&case.inputs, &limits);
                let _ = region_to_scf(&region);
            }
            if let Ok(func) = text.parse::<scf::Func>() {
                let _ = func.evaluate(&case.inputs, &limits);
            }
        }
    }
}
