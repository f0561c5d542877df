//! Nests whose lookups need no columns.

use super::*;

/// The nests of a plan whose lookups are done so.
fn direct(text: &str) -> usize {
    let plan = Plan::new(&program(text)).unwrap();
    let nests = plan.nodes.iter().flat_map(Node::flats);
    nests.filter(|flat| flat.direct.is_some()).count()
}

/// The factors of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weights {
    None,
    /// One beside each index.
    Each,
    /// Computed of that, and of one that the row has and one that the bag has.
    Computed,
}

/// Rows of a table, scaled, added to those that another index says.
fn segments(element: ElementType, lookups: usize, size: usize, weights: Weights) -> String {
    let convert = match element {
        ElementType::F32 => String::new(),
        _ => "    %x = convert %r to f32\n".to_owned(),
    };
    let read = if element == ElementType::F32 {
        "x"
    } else {
        "r"
    };
    let (weight, value) = match weights {
        Weights::None => ("", "%x"),
        Weights::Each => ("    %f = read %w[%k]\n    %y = mul %x, %f\n", "%y"),
        Weights::Computed => (
            "    %e = read %w[%k]
    %in = read %by_row[%row]
    %other = index %s {clamp 0..8}
    %of = read %by_row[%other]
    %g = mul %e, %in
    %f = div %g, %of
    %y = mul %x, %f
",
            "%y",
        ),
    };
    format!(
        "region @spmm {{
  input %rows: s32[{lookups}]
  input %ids: s32[{lookups}]
  input %w: f32[{lookups}]
  input %by_row: f32[9]
  input %table: {element}[9,{size}]
  output %out: f32[30,{size}] = 0.5
  nest (%k = {lookups}, %d = {size}) {{
    %s = read %rows[%k]
    %bag = index %s {{drop 0..29}}
    %id = read %ids[%k]
    %row = index %id {{clamp 0..8}}
    %{read} = read %table[%row, %d]
{convert}{weight}    combine add %out[%bag, %d], {value}
  }}
}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn segments_in_order_and_in_none(
        element in prop::sample::select(&[ElementType::F32, ElementType::BF16, ElementType::F16, ElementType::S8, ElementType::U8][..]),
        size in prop_oneof![Just(2usize), 3usize..40, Just(64), Just(100)],
        // Also more at once than are looked at together, and bags outside.
        lengths in prop::collection::vec((-3i32..33, prop_oneof![6 => 0usize..9, 1 => 250usize..260, 1 => Just(5000)]), 1..30),
        sorted: bool,
        weights in prop::sample::select(&[Weights::None, Weights::Each, Weights::Computed][..]),
        seed: u64,
    ) {
        let mut rows: Vec<i32> = lengths.iter().flat_map(|&(row, n)| vec![row; n]).collect();
        if sorted {
            rows.sort_unstable();
        }
        let text = segments(element, rows.len(), size, weights);
        // One lookup is no loop, and none is nothing.
        prop_assert_eq!(direct(&text), usize::from(rows.len() > 1));
        let program = program(&text);
        let mut arrays = inputs(&program, seed, 11);
        for (k, row) in rows.into_iter().enumerate() {
            arrays[0].set(k, Scalar::S32(row)).unwrap();
        }
        check_arrays(&program, &arrays, false, &text)?;
    }
}

#[test]
fn what_reads_more_than_indices_takes_columns() {
    let text = segments(ElementType::F32, 50, 8, Weights::Each);
    assert_eq!(direct(&text), 1);
    for (from, to) in [
        ("%ids: s32", "%ids: s64"),
        ("%rows: s32", "%rows: s64"),
        ("combine add", "combine max"),
        ("%y = mul %x, %f", "%y = sub %x, %f"),
    ] {
        let other = text.replace(from, to);
        assert_ne!(other, text);
        assert_eq!(direct(&other), 0, "{to}");
        check(&other, 3, 11, false).unwrap();
    }
}
