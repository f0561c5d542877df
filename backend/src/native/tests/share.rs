//! What several nests compute is computed once, and is the same.

use super::*;

/// The temporaries that nests share.
fn kept(text: &str) -> usize {
    let program = program(text);
    let plan = Plan::new(&program).unwrap();
    plan.source.buffers.len() - program.buffers.len()
}

/// Message passing: a score of each edge, its maximum in each segment, the sum of exponentials, and rows weighted by them.
fn attention(
    (edges, heads, size): (u64, u64, u64),
    (sorted, mode): (&str, &str),
    score: &[&str],
    stored: &str,
    between: &str,
) -> String {
    let score = format!(
        "    %to = read %dst[%k]
    %row = index %to {{{mode} 0..19}}
    %at = index %to {{clamp 0..19}}
    %from = read %src[%k]
    %col = index %from {{wrap 20, clamp 0..19}}
    %a = read %es[%col, %h]
    %b = read %ed[%at, %h]
    %slope = constant 0.2: f32
    {}
",
        score.join("\n    ")
    );
    let exponential = format!(
        "{score}    %max = read %largest[%at, %h]
    %off = sub %s, %max
    %e = exp %off
"
    );
    format!(
        "region @attention {{
  input %dst: s32[{edges}]{sorted}
  input %src: s32[{edges}]
  input %start: f32[20,{heads}]
  input %ed: f32[20,{heads}]
  input %x: f32[20,{heads},{size}]
  output %es: f32[20,{heads}] = %start
  temp %largest: f32[20,{heads}] = -inf
  temp %sum: f32[20,{heads}] = 0.0
  output %scores: f32[{edges},{heads}] = 0.0
  output %out: f32[20,{heads},{size}] = 0.0
  nest (%k = {edges}, %h = {heads}) {{
{score}{stored}    combine max %largest[%row, %h], %s
  }}
{between}
  nest (%k = {edges}, %h = {heads}) {{
{exponential}    combine add %sum[%row, %h], %e
  }}
  nest (%k = {edges}, %h = {heads}, %d = {size}) {{
{exponential}    %all = read %sum[%at, %h]
    %w = div %e, %all
    %f = read %x[%col, %h, %d]
    %y = mul %f, %w
    combine add %out[%row, %h, %d], %y
  }}
}}
"
    )
}

/// What keeps scores anyway.
const STORES: &str = "    combine replace %scores[%k, %h], %s\n";

/// A nest that writes what scores are made of.
const WRITES: &str = "  nest (%n = 20) {
    %h = constant 0: index
    %one = constant 1.0: f32
    combine add %es[%n, %h], %one
  }
";

const LEAKY: [&str; 5] = [
    "%t = add %a, %b",
    "%zero = constant 0.0: f32",
    "%is = ge %t, %zero",
    "%less = mul %slope, %t",
    "%s = select %is, %t, %less",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn message_passing(
        edges in prop_oneof![0u64..40, 200u64..700],
        heads in prop_oneof![Just(1u64), 2u64..4],
        size in prop_oneof![Just(1u64), Just(8), Just(40)],
        sorted in prop::sample::select(&["", " {sorted}"][..]),
        mode in prop::sample::select(&["drop", "clamp"][..]),
        score in prop_oneof![
            Just(LEAKY.to_vec()),
            Just(vec!["%t = mul %a, %b", "%s = tanh %t"]),
            Just(vec!["%t = sub %a, %b", "%u = logistic %t", "%s = mul %u, %slope"]),
            Just(vec!["%s = div %a, %slope"]),
        ],
        stored in prop::sample::select(&["", STORES][..]),
        between in prop::sample::select(&["", WRITES][..]),
        seed: u64,
    ) {
        let text = attention((edges, heads, size), (sorted, mode), &score, stored, between);
        check(&text, seed, 22, false)?;
    }
}

#[test]
fn scores_and_exponentials_are_kept() {
    let sizes = (100, 1, 8);
    assert_eq!(kept(&attention(sizes, ("", "drop"), &LEAKY, "", "")), 2);
    // Scores are where they are stored.
    assert_eq!(kept(&attention(sizes, ("", "drop"), &LEAKY, STORES, "")), 1);
}

#[test]
fn a_value_is_not_kept_beyond_a_nest_that_writes_what_it_is_made_of() {
    let sizes = (100, 1, 8);
    // Scores differ from those before; exponentials are the same in the two last nests.
    for stored in ["", STORES] {
        assert_eq!(
            kept(&attention(sizes, ("", "drop"), &LEAKY, stored, WRITES)),
            1
        );
    }
}

#[test]
fn an_index_outside_is_an_error_though_the_value_is_kept() {
    let text =
        attention((100, 1, 8), ("", "drop"), &LEAKY, "", "").replace("wrap 20, clamp", "promise");
    assert_eq!(kept(&text), 2);
    check(&text, 1, 22, false).unwrap();
    let program = program(&text);
    let inputs = inputs(&program, 1, 22);
    let plan = Plan::new(&program).unwrap();
    let found = run(
        &plan,
        &program,
        &inputs,
        0,
        &Simultaneous(2),
        &Options::default(),
    );
    assert!(matches!(found, Err(RunError::OutOfBounds { .. })));
}
