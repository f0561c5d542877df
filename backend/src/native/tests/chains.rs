//! Rows that pass through several steps before they are added to others, or taken from them.

use super::*;

/// An update of rows, as a program: how they are combined, and what is done to an element `%v0` first. `%s` and `%t` are values of the update.
fn update(combiner: &str, steps: &[(&str, &str)], rows: u64, updates: u64, size: usize) -> String {
    let lines: String = steps
        .iter()
        .enumerate()
        .map(|(k, (op, by))| {
            let of = format!("%v{k}");
            let operands = match *op {
                "neg" => of,
                // The other way round where it is the same.
                "mul" | "add" if k % 2 == 1 => format!("{by}, {of}"),
                _ => format!("{of}, {by}"),
            };
            format!("    %v{} = {op} {operands}\n", k + 1)
        })
        .collect();
    let (last, result) = (rows - 1, steps.len());
    format!(
        "region @update {{
  input %ids: s32[{updates}]
  input %x: f32[{updates},{size}]
  input %a: f32[{updates}]
  input %b: f32[{updates}]
  input %start: f32[{rows},{size}]
  output %out: f32[{rows},{size}] = %start
  nest (%k = {updates}, %d = {size}) {{
    %id = read %ids[%k]
    %row = index %id {{drop 0..{last}}}
    %s = read %a[%k]
    %t = read %b[%k]
    %third = constant 0.3: f32
    %twenty = constant 20.0: f32
    %v0 = read %x[%k, %d]
{lines}    combine {combiner} %out[%row, %d], %v{result}
  }}
}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_through_steps_are_what_the_steps_say(
        combiner in prop::sample::select(&["add", "sub"][..]),
        steps in prop::collection::vec((
            prop::sample::select(&["mul", "div", "add", "sub", "neg"][..]),
            prop::sample::select(&["%s", "%t", "%third", "%twenty"][..]),
        ), 0..6),
        rows in 1u64..9,
        updates in 0u64..60,
        size in sizes(),
        seed: u64,
    ) {
        check(&update(combiner, &steps, rows, updates, size), seed, rows as i64 + 1, false)?;
    }
}

#[test]
fn an_update_by_a_scaled_mean_has_a_kernel_of_its_own() {
    for (combiner, steps) in [
        ("sub", &[][..]),
        ("sub", &[("mul", "%s")]),
        ("sub", &[("div", "%twenty"), ("mul", "%third")]),
        ("sub", &[("div", "%s"), ("mul", "%t"), ("mul", "%third")]),
        ("add", &[("div", "%twenty")]),
        ("add", &[("mul", "%s"), ("add", "%t"), ("neg", "")]),
    ] {
        let text = update(combiner, steps, 5, 9, 64);
        let plan = Plan::new(&program(&text)).unwrap().describe();
        assert!(plan.contains("accumulate"), "{text}{plan}");
    }
}
