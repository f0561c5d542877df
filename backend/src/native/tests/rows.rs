//! Rows that are computed in tiles, and bags of any length between offsets.

use super::*;

/// Operations of two operands that a type takes, and that no two engines may do differently.
fn arithmetic(element: ElementType) -> &'static [&'static str] {
    match element {
        ElementType::Bool => &["and", "or", "xor"],
        _ if element.is_integer() => &["add", "sub", "mul", "min", "max", "and", "or", "xor"],
        _ => &["add", "sub", "mul", "div", "min", "max"],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_of_every_type_are_computed_before_they_are_combined(
        ((element, combiner), first, second) in tables().prop_flat_map(|(element, combiner)| {
            let op = || prop::sample::select(arithmetic(element));
            (Just((element, combiner)), op(), op())
        }),
        lookups in 0u64..100,
        size in prop_oneof![4 => sizes(), 1 => Just(1030usize), 1 => Just(2500)],
        (mode, fill) in modes(),
        seed: u64,
    ) {
        let one = identity(element);
        let fill = fill.replace("CONSTANT", &one.to_string());
        let text = format!("region @scatter {{
  input %from: s32[{lookups}]
  input %to: s32[{lookups}]
  input %factor: {element}[{lookups}]
  input %column: {element}[{size}]
  input %table: {element}[7,{size}]
  output %out: {element}[5,{size}] = {one}
  nest (%k = {lookups}, %d = {size}) {{
    %id = read %from[%k]
    %row = index %id {{{mode}}}
    %at = read %to[%k]
    %bag = index %at {{drop 0..4}}
    %x = read %table[%row, %d]{fill}
    %f = read %factor[%k]
    %c = read %column[%d]
    %less = lt %x, %c
    %y = {first} %x, %f
    %z = {second} %y, %c
    %w = select %less, %z, %x
    combine {combiner} %out[%bag, %d], %w
  }}
}}
");
        check(&text, seed, 9, false)?;
    }

    #[test]
    fn rows_of_every_type_are_folded(
        ((element, combiner), op) in tables().prop_flat_map(|(element, combiner)| {
            (Just((element, combiner)), prop::sample::select(arithmetic(element)))
        }),
        lookups in 0u64..40,
        size in prop_oneof![4 => sizes(), 1 => Just(1030usize), 1 => Just(2500)],
        seed: u64,
    ) {
        // Not products: of so many floats they are infinite or nothing.
        let combiner = if combiner == "mul" && element.is_float() { "add" } else { combiner };
        // Nor long sums in 16 bits: of what is added to them later little is left, so that their order is all that counts.
        let narrow = matches!(element, ElementType::F16 | ElementType::BF16);
        let size = if narrow { size.min(70) } else { size };
        let one = identity(element);
        let text = format!("region @sddmm {{
  input %i: s64[{lookups}]
  input %a: {element}[9,{size}]
  input %b: {element}[{lookups},{size}]
  output %out: {element}[{lookups}] = {one}
  nest (%k = {lookups}, %d = {size}) {{
    %p = read %i[%k]
    %row = index %p {{clamp 0..8}}
    %x = read %a[%row, %d]
    %y = read %b[%k, %d]
    %z = {op} %x, %y
    combine {combiner} %out[%k], %z
  }}
}}
");
        check(&text, seed, 11, true)?;
    }

    #[test]
    fn bags_between_offsets_may_be_empty_or_huge(
        element in elements(),
        lengths in prop::collection::vec(prop_oneof![3 => Just(0usize), 3 => 1usize..9, 1 => 250usize..260, 1 => Just(3000)], 1..12),
        size in prop_oneof![Just(1usize), 2usize..20, Just(65)],
        seed: u64,
    ) {
        check_bags(element, &lengths, size, seed)?;
    }
}

/// Bags of these lengths, whose ids lie one behind the other, held to the evaluator.
fn check_bags(
    element: ElementType,
    lengths: &[usize],
    size: usize,
    seed: u64,
) -> Result<(), TestCaseError> {
    let (bags, all) = (lengths.len(), lengths.iter().sum::<usize>());
    let combiner = if element == ElementType::Bool {
        "or"
    } else {
        "add"
    };
    let zero = Scalar::zero(element.into());
    let text = format!(
        "region @csr {{
  input %ids: s32[{all}]
  input %offsets: s32[{}]
  input %table: {element}[9,{size}]
  output %out: {element}[{bags},{size}] = {zero}
  nest (%b = {bags}) {{
    %one = constant 1: index
    %next = add %b, %one
    %first = read %offsets[%b]
    %last = read %offsets[%next]
    %begin = index %first {{clamp 0..{all}}}
    %end = index %last {{clamp 0..{all}}}
    axis %k = %begin..%end
    axis %d = {size}
    %id = read %ids[%k]
    %row = index %id {{clamp 0..8}}
    %x = read %table[%row, %d]
    combine {combiner} %out[%b, %d], %x
  }}
}}
",
        bags + 1
    );
    let program = program(&text);
    let mut arrays = inputs(&program, seed, 11);
    let mut end = 0;
    for (bag, length) in [&0].into_iter().chain(lengths).enumerate() {
        end += length;
        arrays[1].set(bag, Scalar::S32(end as i32)).unwrap();
    }
    check_arrays(&program, &arrays, false, &text)
}

#[test]
fn a_bag_of_a_hundred_thousand_lookups_is_one_row() {
    for (element, size) in [(ElementType::F32, 3), (ElementType::S16, 1)] {
        check_bags(element, &[0, 2, 100_000, 0, 1], size, 5).unwrap();
    }
}
