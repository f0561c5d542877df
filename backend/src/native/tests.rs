//! Runs against the evaluator of DLC: all instruction sets, several numbers of threads, memory that starts anywhere.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hlo2dae_ir::core::{Array, ElementType, Ir, Limits, Role, Scalar, ScalarType};
use hlo2dae_ir::dlc;
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::region::Region;
use proptest::prelude::*;

use super::kernels::testing::Placed;
use super::*;
use pools::{Backwards, Simultaneous};

mod chains;
mod claims;
mod direct;
mod groups;
mod in_place;
mod pools;
mod reached;
mod rows;
mod share;
mod sums;

fn program(text: &str) -> dlc::Program {
    let region: Region = text
        .parse()
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let scf = region_to_scf(&region).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    slc_to_dlc(&scf_to_slc(&scf).unwrap()).unwrap()
}

/// Random elements: small integers, and floats among which are zeros of both signs.
fn random(random: &mut fastrand::Rng, element: ElementType, dims: &[u64], below: i64) -> Array {
    let mut array = Array::zeros(element, dims).unwrap();
    for k in 0..array.len() {
        let value = if element.is_float() {
            let value = [0.0, -0.0, 1.0].get(random.usize(..50)).copied();
            Scalar::F64(value.unwrap_or_else(|| random.f64() * 4.0 - 2.0))
        } else {
            Scalar::S64(random.i64(-2..below))
        };
        array.set(k, value.convert(element.into())).unwrap();
    }
    array
}

fn inputs(program: &dlc::Program, seed: u64, below: i64) -> Vec<Array> {
    let mut rng = fastrand::Rng::with_seed(seed);
    program
        .buffers
        .values()
        .filter(|buffer| buffer.role == Role::Input)
        .map(|buffer| {
            let mut array = random(&mut rng, buffer.element, &buffer.dims, below);
            if buffer.sorted {
                let mut values: Vec<Scalar> =
                    (0..array.len()).map(|k| array.get(k).unwrap()).collect();
                values.sort_by_key(|value| value.as_integer());
                for (k, value) in values.into_iter().enumerate() {
                    array.set(k, value).unwrap();
                }
            }
            array
        })
        .collect()
}

/// The outputs of a run whose arrays start `shift` bytes and multiples of it behind cache lines, and end where their allocations end.
fn run(
    plan: &Plan,
    program: &dlc::Program,
    inputs: &[Array],
    shift: usize,
    pool: &dyn Pool,
    options: &Options,
) -> Result<Vec<Vec<u8>>, RunError> {
    let place = |(number, bytes): (usize, &[u8])| Placed::new((number + 1) * shift % 64, bytes);
    let placed = inputs.iter().map(|array| array.data.as_slice());
    let placed: Vec<Placed> = placed.enumerate().map(place).collect();
    let inputs: Vec<&[u8]> = placed.iter().map(Placed::bytes).collect();
    let mut results: Vec<Placed> = program
        .buffers
        .values()
        .filter(|buffer| matches!(buffer.role, Role::Output(_)))
        .map(|buffer| vec![0xa5; Array::byte_size(buffer.element, &buffer.dims).unwrap()])
        .enumerate()
        .map(|(number, bytes)| place((number, &bytes)))
        .collect();
    let mut outputs: Vec<&mut [u8]> = results.iter_mut().map(Placed::bytes_mut).collect();
    let done = plan.run(&inputs, &mut outputs, pool, options);
    assert!(results.iter_mut().all(Placed::is_intact));
    done?;
    Ok(results
        .iter()
        .map(|placed| placed.bytes().to_vec())
        .collect())
}

/// Whether two elements are the same, or near enough when rows were added up in another order.
fn same(ty: ScalarType, expected: Scalar, found: Scalar, folded: bool) -> bool {
    let float = |value: Scalar| match value.convert(ElementType::F64.into()) {
        Scalar::F64(value) => value,
        _ => 0.0,
    };
    let (a, b) = (float(expected), float(found));
    if ty.is_float() && (a.is_nan() || b.is_nan()) {
        return a.is_nan() && b.is_nan();
    }
    let rounding = match ty {
        ScalarType::Element(ElementType::BF16) => 0.1,
        ScalarType::Element(ElementType::F16) => 0.02,
        _ => 1e-4,
    };
    expected == found
        || (folded
            && ty.is_float()
            && (a - b).abs() <= rounding * (1.0 + a.abs().max(b.abs())) * 8.0)
}

/// Whether results are the same, or sums of `f32` that may have been rounded elsewhere: beside the largest of them little.
fn are_near(expected: &Array, one: &[u8], other: &[u8]) -> bool {
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let values = bytes.as_chunks::<4>().0.iter();
        values.map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    let (one_floats, other_floats) = (floats(one), floats(other));
    let most = one_floats
        .iter()
        .fold(1.0, |most: f32, v| most.max(v.abs()));
    let near =
        |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 * most;
    one == other
        || (expected.element == ElementType::F32 && one_floats.iter().zip(&other_floats).all(near))
}

/// Holds every way to run a program against the evaluator.
fn check(text: &str, seed: u64, below: i64, folded: bool) -> Result<(), TestCaseError> {
    let program = program(text);
    let inputs = inputs(&program, seed, below);
    check_arrays(&program, &inputs, folded, text)
}

/// The same on these arrays.
fn check_arrays(
    program: &dlc::Program,
    inputs: &[Array],
    folded: bool,
    text: &str,
) -> Result<(), TestCaseError> {
    let plan = Plan::new(program).unwrap();
    let expected = program.evaluate(inputs, &Limits::default());
    let mut first: Option<Vec<Vec<u8>>> = None;
    for isa in Isa::available() {
        let pools: [(&dyn Pool, usize, usize); 5] = [
            (&Simultaneous(1), 1, 0),
            (&Simultaneous(2), 1, 1),
            (&Simultaneous(5), 1, 13),
            (&Simultaneous(3), 64, 8),
            (&Backwards(3), 1, 31),
        ];
        for (pool, grain, shift) in pools {
            let threads = pool.threads();
            let options = Options {
                isa,
                grain,
                deterministic: true,
            };
            let found = run(&plan, program, inputs, shift, pool, &options);
            let (expected, found) = match (&expected, found) {
                (Ok(expected), Ok(found)) => (expected, found),
                (Err(_), Err(RunError::OutOfBounds { .. })) => continue,
                (expected, found) => {
                    return Err(TestCaseError::fail(format!(
                        "{expected:?}\n{found:?}\n{text}"
                    )));
                }
            };
            for (expected, found) in expected.iter().zip(&found) {
                let found = Array {
                    data: found.clone(),
                    ..expected.clone()
                };
                for k in 0..expected.len() {
                    let (e, f) = (expected.get(k).unwrap(), found.get(k).unwrap());
                    prop_assert!(
                        same(expected.element.into(), e, f, folded),
                        "{isa:?}, {threads} threads: element {k} is {f}, expected {e}\n{text}{}",
                        plan.describe()
                    );
                }
            }
            // What one way gives, all give.
            let known = first.get_or_insert_with(|| found.clone());
            prop_assert!(*known == found, "{isa:?}, {threads} threads\n{text}");
            let options = Options {
                deterministic: false,
                ..options
            };
            let summed = run(&plan, program, inputs, shift, pool, &options).unwrap();
            for ((expected, found), summed) in expected.iter().zip(&found).zip(&summed) {
                prop_assert!(
                    are_near(expected, found, summed),
                    "{threads} threads\n{text}"
                );
            }
        }
    }
    Ok(())
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(1),
        Just(3),
        2usize..40,
        Just(64),
        Just(100),
        Just(1000)
    ]
}

fn elements() -> impl Strategy<Value = ElementType> {
    prop::sample::select(ElementType::ALL)
}

fn ids() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64"][..])
}

fn combiner(element: ElementType) -> impl Strategy<Value = &'static str> {
    prop::sample::select(match element {
        ElementType::Bool => &["or", "and", "replace", "add"][..],
        _ if element.is_integer() => {
            &["add", "mul", "min", "max", "and", "or", "xor", "replace"][..]
        }
        _ => &["add", "mul", "min", "max", "replace"][..],
    })
}

fn identity(element: ElementType) -> Scalar {
    Scalar::F64(1.0).convert(element.into())
}

fn modes() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(
        &[
            ("clamp 0..6", ""),
            ("wrap 7, clamp 0..6", ""),
            ("fill 0..6", " {fill CONSTANT}"),
            ("wrap 7, fill 0..6", " {fill CONSTANT}"),
        ][..],
    )
}

fn tables() -> impl Strategy<Value = (ElementType, &'static str)> {
    elements()
        .prop_flat_map(|element| combiner(element).prop_map(move |combiner| (element, combiner)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bags_of_every_type(
        (element, combiner) in tables(),
        ids in ids(),
        (mode, fill) in modes(),
        bags in 0u64..9,
        pooling in prop_oneof![0u64..12, Just(70)],
        size in sizes(),
        seed: u64,
    ) {
        let one = identity(element);
        let fill = fill.replace("CONSTANT", &one.to_string());
        let text = format!("region @bag {{
  input %ids: {ids}[{bags},{pooling}]
  input %table: {element}[7,{size}]
  output %out: {element}[{bags},{size}] = {one}
  nest (%b = {bags}, %l = {pooling}, %d = {size}) {{
    %id = read %ids[%b, %l]
    %row = index %id {{{mode}}}
    %x = read %table[%row, %d]{fill}
    combine {combiner} %out[%b, %d], %x
  }}
}}
");
        check(&text, seed, 9, false)?;
    }

    #[test]
    fn bags_of_narrow_rows_scaled_and_shifted(
        element in prop::sample::select(&[ElementType::S8, ElementType::U8, ElementType::F16, ElementType::BF16, ElementType::F32][..]),
        form in 0usize..5,
        bags in 1u64..5,
        pooling in 0u64..20,
        size in sizes(),
        seed: u64,
    ) {
        let convert = if element == ElementType::F32 { ("%x", String::new()) } else { ("%c", "    %c = convert %x to f32\n".to_owned()) };
        let (x, convert) = convert;
        let (scaled, value) = [
            (String::new(), x),
            (format!("    %y = mul %s, {x}\n"), "%y"),
            (format!("    %p = mul {x}, %s\n    %y = add %p, %z\n"), "%y"),
            (format!("    %p = add {x}, %z\n    %y = mul %p, %s\n"), "%y"),
            (format!("    %p = sub {x}, %z\n    %y = mul %p, %s\n"), "%y"),
        ][form].clone();
        let text = format!("region @bag {{
  input %ids: s32[{bags},{pooling}]
  input %table: {element}[7,{size}]
  input %scales: f32[7]
  input %zeros: f32[7]
  output %out: f32[{bags},{size}] = 0.0
  nest (%b = {bags}, %l = {pooling}, %d = {size}) {{
    %id = read %ids[%b, %l]
    %row = index %id {{clamp 0..6}}
    %x = read %table[%row, %d]
    %s = read %scales[%row]
    %z = read %zeros[%row]
{convert}{scaled}    combine add %out[%b, %d], {value}
  }}
}}
");
        check(&text, seed, 9, false)?;
    }

    #[test]
    fn scatters_into_every_type(
        (element, combiner) in tables(),
        ids in ids(),
        lookups in 0u64..700,
        rows in 1u64..40,
        size in prop_oneof![Just(1usize), 2usize..20, Just(100)],
        sorted: bool,
        copy: bool,
        seed: u64,
    ) {
        let sorted = if sorted { " {sorted}" } else { "" };
        let (table, init) = if copy {
            (format!("  input %start: {element}[{rows},{size}]\n"), "%start".to_owned())
        } else {
            (String::new(), identity(element).to_string())
        };
        let last = rows - 1;
        let text = format!("region @scatter {{
  input %ids: {ids}[{lookups}]{sorted}
  input %x: {element}[{lookups},{size}]
{table}  output %out: {element}[{rows},{size}] = {init}
  nest (%k = {lookups}, %d = {size}) {{
    %id = read %ids[%k]
    %row = index %id {{drop 0..{last}}}
    %v = read %x[%k, %d]
    combine {combiner} %out[%row, %d], %v
  }}
}}
");
        check(&text, seed, rows as i64 + 2, false)?;
    }

    #[test]
    fn segments_between_offsets(
        bags in 1u64..80,
        size in prop_oneof![Just(1usize), Just(33), Just(64), Just(100)],
        giant: bool,
        seed: u64,
    ) {
        // Offsets that grow, the last bag perhaps with most lookups.
        let lookups = 5 * bags + if giant { 10_000 } else { 0 };
        let (last, ends) = (bags - 1, lookups);
        let text = format!("region @csr {{
  input %ids: s32[{lookups}]
  input %w: f32[{lookups}]
  input %table: f32[9,{size}]
  output %out: f32[{bags},{size}] = 0.0
  nest (%b = {bags}) {{
    %five = constant 5: index
    %begin = mul %b, %five
    %last = constant {last}: index
    %more = add %begin, %five
    %all = constant {ends}: index
    %is = eq %b, %last
    %end = select %is, %all, %more
    axis %k = %begin..%end
    axis %d = {size}
    %id = read %ids[%k]
    %row = index %id {{clamp 0..8}}
    %s = read %w[%k]
    %x = read %table[%row, %d]
    %y = mul %x, %s
    combine add %out[%b, %d], %y
  }}
}}
");
        check(&text, seed, 11, false)?;
    }

    #[test]
    fn products_and_distances(
        element in prop::sample::select(&[ElementType::F32, ElementType::F64, ElementType::BF16, ElementType::S32][..]),
        combiner in prop::sample::select(&["add", "max", "min"][..]),
        pairs in 0u64..300,
        size in sizes(),
        seed: u64,
    ) {
        let zero = Scalar::zero(element.into());
        let text = format!("region @sddmm {{
  input %i: s32[{pairs}]
  input %j: s64[{pairs}]
  input %a: {element}[9,{size}]
  input %b: {element}[9,{size}]
  output %out: {element}[{pairs}] = {zero}
  nest (%k = {pairs}, %d = {size}) {{
    %p = read %i[%k]
    %pi = index %p {{clamp 0..8}}
    %q = read %j[%k]
    %qi = index %q {{fill 0..8}}
    %x = read %a[%pi, %d]
    %y = read %b[%qi, %d] {{fill {zero}}}
    %s = sub %x, %y
    %t = mul %s, %s
    combine {combiner} %out[%k], %t
  }}
}}
");
        check(&text, seed, 11, true)?;
    }

    #[test]
    fn attention_over_edges(edges in 0u64..400, heads in 1u64..4, size in prop_oneof![Just(1usize), Just(8), Just(40)], seed: u64) {
        let text = format!("region @attention {{
  input %dst: s32[{edges}]
  input %src: s32[{edges}]
  input %score: f32[{edges},{heads}]
  input %x: f32[20,{heads},{size}]
  temp %sum: f32[20,{heads}] = 0.0
  output %out: f32[20,{heads},{size}] = 0.0
  nest (%k = {edges}, %h = {heads}) {{
    %to = read %dst[%k]
    %row = index %to {{drop 0..19}}
    %s = read %score[%k, %h]
    %e = exp %s
    combine add %sum[%row, %h], %e
  }}
  nest (%k = {edges}, %h = {heads}, %d = {size}) {{
    %to = read %dst[%k]
    %row = index %to {{drop 0..19}}
    %at = index %to {{clamp 0..19}}
    %from = read %src[%k]
    %col = index %from {{clamp 0..19}}
    %s = read %score[%k, %h]
    %e = exp %s
    %all = read %sum[%at, %h]
    %a = div %e, %all
    %f = read %x[%col, %h, %d]
    %y = mul %f, %a
    combine add %out[%row, %h, %d], %y
  }}
}}
");
        check(&text, seed, 22, false)?;
    }

    #[test]
    fn elementwise_nests_of_several_axes(a in 1u64..5, b in 1u64..6, c in 1u64..50, seed: u64) {
        let text = format!("region @mean {{
  input %x: f32[{a},{b},{c}]
  input %n: s32[{a}]
  output %out: f32[{a},{b},{c}]
  output %flat: f32[{all}]
  nest (%i = {a}, %j = {b}, %k = {c}) {{
    %v = read %x[%i, %j, %k]
    %n_i = read %n[%i]
    %f = convert %n_i to f32
    %q = div %v, %f
    combine replace %out[%i, %j, %k], %q
  }}
  nest (%i = {a}, %j = {b}, %k = {c}) {{
    %v = read %x[%i, %j, %k]
    %size = constant {c}: index
    %rows = constant {bc}: index
    %p = mul %i, %rows
    %q = mul %j, %size
    %r = add %p, %q
    %at = add %r, %k
    %position = convert %k to f32
    %y = add %v, %position
    combine replace %flat[%at], %y
  }}
}}
", all = a * b * c, bc = b * c);
        check(&text, seed, 5, false)?;
    }
}

#[test]
fn an_index_outside_is_an_error_whoever_finds_it() {
    for (rows, fails) in [(7u64, false), (3, true)] {
        let text = format!(
            "region @promise {{
  input %ids: u8[300]
  input %table: f32[{rows},5]
  output %out: f32[300,5]
  nest (%k = 300, %d = 5) {{
    %id = read %ids[%k]
    %row = index %id {{promise 0..{}}}
    %x = read %table[%row, %d]
    combine replace %out[%k, %d], %x
  }}
}}
",
            rows - 1
        );
        let program = program(&text);
        let plan = Plan::new(&program).unwrap();
        let mut inputs = inputs(&program, 1, 2);
        for k in 0..300 {
            inputs[0].set(k, Scalar::U8((k % 7) as u8)).unwrap();
        }
        for threads in [1, 4] {
            let options = Options {
                grain: 1,
                ..Options::default()
            };
            let outcome = run(
                &plan,
                &program,
                &inputs,
                0,
                &Simultaneous(threads),
                &options,
            );
            assert_eq!(outcome.is_err(), fails, "{rows} rows");
        }
    }
}

#[test]
fn arrays_of_other_sizes_are_refused() {
    let program = program(
        "region @copy {
  input %x: f32[2]
  output %out: f32[2]
  nest (%k = 2) {
    %v = read %x[%k]
    combine replace %out[%k], %v
  }
}
",
    );
    let plan = Plan::new(&program).unwrap();
    let mut out = [0u8; 8];
    let options = Options::default();
    let few = plan.run(&[], &mut [&mut out[..]], &Caller, &options);
    assert!(matches!(
        few,
        Err(RunError::Count {
            expected: 1,
            found: 0,
            ..
        })
    ));
    let short = plan.run(&[&[0; 7]], &mut [&mut out[..]], &Caller, &options);
    assert!(matches!(
        short,
        Err(RunError::Size {
            expected: 8,
            found: 7,
            ..
        })
    ));
}

#[test]
fn what_no_columns_fit_runs_as_loops() {
    // Two combines into one buffer, of which each sees what the other did.
    let text = "region @fibonacci {
  input %ids: s32[40]
  output %out: s64[9] = 1
  nest (%k = 40) {
    %id = read %ids[%k]
    %row = index %id {clamp 0..8}
    %one = constant 1: s64
    %two = constant 2: s64
    combine add %out[%row], %one
    combine mul %out[%row], %two
  }
}
";
    let plan = Plan::new(&program(text)).unwrap();
    assert!(plan.describe().starts_with("loop"), "{}", plan.describe());
    check(text, 3, 11, false).unwrap();
}
