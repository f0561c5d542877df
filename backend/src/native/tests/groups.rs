//! Several nests at once, bags through many blocks, and scores of triples.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn scores_of_triples(
        terms in prop::sample::select(&[
            ["add %x, %y", "sub %s, %z", "abs %t"],
            ["mul %x, %y", "mul %z, %s", "neg %t"],
            ["sub %x, %y", "mul %s, %z", "mul %t, %t"],
            ["sub %x, %y", "sub %z, %s", "abs %t"],
        ][..]),
        triples in 0u64..300,
        size in sizes(),
        seed: u64,
    ) {
        let [s, t, e] = terms;
        let text = format!("region @kg_lookup {{
  input %h: s32[{triples}]
  input %r: s32[{triples}]
  input %a: f32[9,{size}]
  input %b: f32[5,{size}]
  output %out: f32[{triples}] = 0.5
  nest (%k = {triples}, %d = {size}) {{
    %p = read %h[%k]
    %pi = index %p {{clamp 0..8}}
    %q = read %r[%k]
    %qi = index %q {{clamp 0..4}}
    %x = read %a[%pi, %d]
    %y = read %b[%qi, %d]
    %z = read %a[%qi, %d]
    %s = {s}
    %t = {t}
    %e = {e}
    combine add %out[%k], %e
  }}
}}
");
        check(&text, seed, 11, true)?;
    }

    #[test]
    fn bags_of_many_lengths(
        giant in prop_oneof![Just(0u64), Just(255), Just(256), Just(257), Just(3000)],
        size in prop_oneof![Just(1usize), Just(20), Just(64)],
        seed: u64,
    ) {
        let text = format!("region @embedding_bag {{
  input %ids: s32[2,{giant}]
  input %table: f32[50,{size}]
  output %out: f32[2,{size}] = 0.0
  nest (%b = 2, %l = {giant}, %d = {size}) {{
    %id = read %ids[%b, %l]
    %row = index %id {{clamp 0..49}}
    %x = read %table[%row, %d]
    combine add %out[%b, %d], %x
  }}
}}
");
        check(&text, seed, 60, false)?;
    }
}

#[test]
fn nests_that_have_nothing_to_do_with_one_another_run_together() {
    let bag = |n: usize, bags: usize| {
        format!(
            "  nest (%b = {bags}, %l = 5, %d = 7) {{
    %id = read %ids{n}[%b, %l]
    %row = index %id {{clamp 0..49}}
    %x = read %table{n}[%row, %d]
    combine add %out{n}[%b, %d], %x
  }}
"
        )
    };
    let inputs = |n: usize, bags: usize| {
        format!("  input %ids{n}: s32[{bags},5]\n  input %table{n}: f32[50,7]\n")
    };
    let outputs = |n: usize, bags: usize| format!("  output %out{n}: f32[{bags},7] = 0.0\n");
    let bags = [30, 1, 200];
    let all = |f: &dyn Fn(usize, usize) -> String| -> String {
        bags.iter()
            .enumerate()
            .map(|(n, &bags)| f(n, bags))
            .collect()
    };
    let text = format!(
        "region @embedding_bag {{
{}{}  output %sums: f32[30] = 0.0
{}  nest (%b = 30, %d = 7) {{
    %x = read %out0[%b, %d]
    combine add %sums[%b], %x
  }}
}}
",
        all(&inputs),
        all(&outputs),
        all(&bag)
    );
    check(&text, 5, 60, true).unwrap();
    let plan = Plan::new(&program(&text)).unwrap();
    let sizes: Vec<usize> = plan.nodes.iter().map(|node| node.flats().len()).collect();
    assert_eq!(sizes, [3, 1], "the last reads what the first writes");
}
