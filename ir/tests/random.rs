//! Laws that hold for every region, tried on random ones.

mod support;

use hlo2dae_ir::core::{Ir, Limits};
use hlo2dae_ir::lower::region_to_scf;
use hlo2dae_ir::region::Region;
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
