//! Updates of the rows that lookups reach.

use super::*;

/// Steps of gradient descent: rows of `size` elements of which lookups sum up some, and what is added to a table where `step` is what
/// is computed of a sum `%x`.
#[derive(Clone, Copy, Debug)]
struct Descent<'a> {
    element: ElementType,
    rows: usize,
    /// Elements of a row, and how many of them a lookup writes.
    size: [usize; 2],
    lookups: usize,
    combiner: &'a str,
    step: &'a str,
}

const RATE: &str = "    %rate = read %rates[%zero]
    %scaled = mul %x, %rate
    %step = neg %scaled
";

impl Descent<'_> {
    fn text(&self) -> String {
        let Descent {
            element,
            rows,
            size: [size, written],
            lookups,
            combiner,
            step,
        } = self;
        let (blocks, last) = (size / written, rows - 1);
        format!(
            "region @descent {{
  input %ids: s32[{lookups}]
  input %gradients: {element}[{lookups},{written}]
  input %rates: {element}[{rows}]
  temp %sums: {element}[{rows},{blocks},{written}] = 0.0
  input %table: {element}[{rows},{blocks},{written}]
  output %out: {element}[{rows},{blocks},{written}] = %table
  nest (%k = {lookups}, %d = {written}) {{
    %id = read %ids[%k]
    %row = index %id {{drop 0..{last}}}
    %block = constant {}: index
    %v = read %gradients[%k, %d]
    combine {combiner} %sums[%row, %block, %d], %v
  }}
  nest (%n = {rows}, %b = {blocks}, %d = {written}) {{
    %zero = constant 0: index
    %x = read %sums[%n, %b, %d]
{step}    combine add %out[%n, %b, %d], %step
  }}
}}
",
            blocks - 1
        )
    }

    fn is_one(&self) -> bool {
        let plan = Plan::new(&program(&self.text())).unwrap();
        is_one(&plan)
    }
}

/// Whether a plan is the two nests as one part, in a loop of one round if something is read before.
fn is_one(plan: &Plan) -> bool {
    match plan.nodes.as_slice() {
        [Node::Reached(_)] => true,
        [Node::Loop(_, children)] => matches!(children.as_slice(), [Node::Reached(_)]),
        _ => false,
    }
}

const FEW: Descent<'_> = Descent {
    element: ElementType::F32,
    rows: 300,
    size: [24, 24],
    lookups: 40,
    combiner: "add",
    step: RATE,
};

/// Runs of one plan with other lookups each, against the evaluator, to the bit.
fn check_bits(descent: &Descent<'_>) {
    let text = descent.text();
    let program = program(&text);
    let plan = Plan::new(&program).unwrap();
    let options = Options {
        grain: 1,
        deterministic: true,
        ..Options::default()
    };
    let pools: [&dyn Pool; 3] = [&Simultaneous(1), &Simultaneous(3), &Backwards(2)];
    for seed in 0..9 {
        let mut arrays = inputs(&program, seed, descent.rows as i64 + 9);
        if seed == 4 {
            // Nearly all of one row.
            for k in (0..descent.lookups).filter(|k| k % 10 != 0) {
                arrays[0].set(k, Scalar::S32(7)).unwrap();
            }
        }
        if seed == 3 {
            arrays[2].set(0, Scalar::F32(f32::INFINITY)).unwrap();
        }
        let expected = program.evaluate(&arrays, &Limits::default()).unwrap();
        for pool in pools {
            let found = run(&plan, &program, &arrays, seed as usize, pool, &options).unwrap();
            let nan = |bytes: &[u8]| {
                let words = bytes.chunks_exact(4).map(|word| word.try_into().unwrap());
                let words = words.map(f32::from_le_bytes);
                // What a NaN looks like is nobody's promise.
                words
                    .map(|v| if v.is_nan() { 1 } else { v.to_bits() })
                    .collect::<Vec<_>>()
            };
            let same = nan(&found[0]) == nan(&expected[0].data);
            assert!(same, "seed {seed}, {} threads\n{text}", pool.threads());
        }
    }
}

#[test]
fn rows_that_no_lookup_reaches_keep_what_they_have() {
    assert!(FEW.is_one());
    check_bits(&FEW);
    // Parts of rows, and single elements.
    let blocks = Descent {
        size: [24, 8],
        ..FEW
    };
    assert!(blocks.is_one());
    check_bits(&blocks);
    let narrow = Descent {
        size: [3, 1],
        ..FEW
    };
    check_bits(&narrow);
    check_bits(&Descent { lookups: 1, ..FEW });
    for combiner in ["max", "sub"] {
        let other = Descent { combiner, ..FEW };
        assert!(other.is_one());
        check_bits(&other);
    }
}

#[test]
fn many_lookups_go_range_by_range() {
    for size in [[8, 8], [6, 3], [3, 1]] {
        check_bits(&Descent {
            rows: 6000,
            lookups: 2500,
            size,
            ..FEW
        });
    }
}

#[test]
fn what_changes_where_no_lookup_was_changes_everywhere() {
    // A positive zero, something else, and what none would be with another rate.
    for step in [
        "    %rate = read %rates[%zero]\n    %step = mul %x, %rate\n",
        "    %k = constant 0.5: f32\n    %step = add %x, %k\n",
        "    %rate = read %rates[%zero]\n    %step = sub %rate, %x\n",
        "    %step = cos %x\n",
    ] {
        let everywhere = Descent { step, ..FEW };
        assert!(everywhere.is_one());
        check_bits(&everywhere);
    }
    // More lookups than rows.
    check_bits(&Descent {
        rows: 30,
        lookups: 500,
        ..FEW
    });
}

#[test]
fn rows_may_be_summed_up_to_one_element() {
    let combine = "combine add %sums[%row, %block, ";
    let one = format!("%col = constant 5: index\n    {combine}%col]");
    let text = FEW.text().replace(&format!("{combine}%d]"), &one);
    assert!(is_one(&Plan::new(&program(&text)).unwrap()));
    check(&text, 5, 310, true).unwrap();
}

#[test]
fn what_depends_on_the_row_is_done_for_all_rows() {
    let step =
        "    %rate = read %rates[%n]\n    %scaled = mul %x, %rate\n    %step = neg %scaled\n";
    let by_row = Descent { step, ..FEW };
    assert!(!by_row.is_one());
    check_bits(&by_row);
}

#[test]
fn a_sum_that_scales_all_others_is_known_when_it_is_there() {
    let step = "    %first = constant 0: index
    %rate = read %sums[%first, %first, %first]
    %scaled = mul %x, %rate
    %step = neg %scaled
";
    let by_first = Descent { step, ..FEW };
    assert!(!by_first.is_one());
    check_bits(&by_first);
}

#[test]
fn sums_that_others_read_are_all_there() {
    let text = FEW.text();
    let text = text.trim_end().trim_end_matches('}');
    let text = text.replace(
        "  output %out",
        "  output %all: f32[300,1,24] = 0.0\n  output %out",
    ) + "  nest (%n = 300, %b = 1, %d = 24) {
    %x = read %sums[%n, %b, %d]
    combine add %all[%n, %b, %d], %x
  }
}
";
    let plan = Plan::new(&program(&text)).unwrap();
    let told = plan.describe();
    assert!(!told.contains("rows that lookups reach"), "{told}");
    check(&text, 5, 310, true).unwrap();
}

#[test]
fn a_table_in_place_is_what_a_copy_would_be() {
    let program = program(&FEW.text());
    let plan = Plan::new(&program).unwrap();
    assert_eq!(plan.in_place(), [Some(3)]);
    let arrays = inputs(&program, 3, 300);
    let bytes: Vec<&[u8]> = arrays.iter().map(|array| array.data.as_slice()).collect();
    let mut copied = vec![0xa5; bytes[3].len()];
    let mut updated = bytes[3].to_vec();
    for (table, out) in [(bytes[3], &mut copied), (&[][..], &mut updated)] {
        let inputs = [bytes[0], bytes[1], bytes[2], table];
        plan.run(&inputs, &mut [out], &Caller, &Options::default())
            .unwrap();
    }
    assert_eq!(copied, updated);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn shapes_and_elements(
        rows in 1usize..200,
        written in 1usize..40,
        blocks in 1usize..3,
        lookups in 0usize..120,
        element in prop::sample::select(vec![ElementType::F32, ElementType::F64, ElementType::BF16, ElementType::F16]),
        seed: u64,
    ) {
        let descent = Descent {
            element,
            rows,
            size: [written * blocks, written],
            lookups: lookups.max(1),
            ..FEW
        };
        check(&descent.text(), seed, rows as i64 + 3, false)?;
    }
}
