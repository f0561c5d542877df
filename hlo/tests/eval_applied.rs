//! Computations that an instruction applies to parts of its operands: combiners and comparators that
//! loop, branch and call, and `scan`. Values are those that XLA compiles for the CPU.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use hlo2dae_hlo::Literal;
use hlo2dae_hlo::eval::{EvalError, EvalOptions, Limit, evaluate};
use hlo2dae_hlo::parse_module;
use support::{array, elements, run};

/// `branching(a, b) = b + (if a < b then -a else 2 a)`.
const BRANCHING: &str = "HloModule test
     minus { x = s32[] parameter(0)  ROOT y = s32[] negate(x) }
     twice { x = s32[] parameter(0)  ROOT y = s32[] add(x, x) }
     branching { x = s32[] parameter(0)  y = s32[] parameter(1)
       p = pred[] compare(x, y), direction=LT
       z = s32[] conditional(p, x, x), true_computation=minus, false_computation=twice
       ROOT w = s32[] add(z, y) }\n";

fn branching(a: i32, b: i32) -> i32 {
    b + if a < b { -a } else { 2 * a }
}

#[test]
fn a_combiner_may_branch() {
    let text = format!(
        "{BRANCHING} ENTRY main {{ x = s32[2,4] parameter(0)  z = s32[] constant(1)
           ROOT r = s32[2] reduce(x, z), dimensions={{1}}, to_apply=branching }}"
    );
    let rows = [[3, 1, 2, 5], [0, -4, 9, 9]];
    let expected = rows.map(|row| row.into_iter().fold(1, branching));
    assert_eq!(
        elements::<i32>(&text, &[array(&[2, 4], &rows.concat())]),
        expected
    );
}

#[test]
fn a_scatter_may_branch() {
    let text = format!(
        "{BRANCHING} ENTRY main {{ o = s32[3] constant({{5, 6, 7}})  i = s32[4] constant({{2, 0, 2, 9}})
           u = s32[4] constant({{1, 10, 3, 100}})
           ROOT s = s32[3] scatter(o, i, u), update_window_dims={{}}, inserted_window_dims={{0}},
             scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=branching }}"
    );
    let expected = [branching(5, 10), 6, branching(branching(7, 1), 3)];
    assert_eq!(elements::<i32>(&text, &[]), expected);
}

#[test]
fn a_window_may_branch() {
    let text = format!(
        "{BRANCHING} ENTRY main {{ x = s32[4] constant({{4, 1, 6, 2}})  z = s32[] constant(0)
           ROOT r = s32[2] reduce-window(x, z), window={{size=2 stride=2}}, to_apply=branching }}"
    );
    let pair = |a, b| branching(0, branching(a, b));
    assert_eq!(elements::<i32>(&text, &[]), [pair(4, 1), pair(6, 2)]);
}

/// Greatest common divisor by a loop.
const GCD: &str = "HloModule test
     going { s = (s32[], s32[]) parameter(0)  b = s32[] get-tuple-element(s), index=1
       z = s32[] constant(0)  ROOT p = pred[] compare(b, z), direction=NE }
     step { s = (s32[], s32[]) parameter(0)
       a = s32[] get-tuple-element(s), index=0  b = s32[] get-tuple-element(s), index=1
       r = s32[] remainder(a, b)  ROOT t = (s32[], s32[]) tuple(b, r) }
     gcd { x = s32[] parameter(0)  y = s32[] parameter(1)  s = (s32[], s32[]) tuple(x, y)
       w = (s32[], s32[]) while(s), condition=going, body=step
       ROOT g = s32[] get-tuple-element(w), index=0 }\n";

#[test]
fn a_combiner_may_loop() {
    let text = format!(
        "{GCD} ENTRY main {{ x = s32[3] parameter(0)  z = s32[] constant(0)
           ROOT r = s32[] reduce(x, z), dimensions={{0}}, to_apply=gcd }}"
    );
    assert_eq!(elements::<i32>(&text, &[array(&[3], &[84, 36, 120])]), [12]);
}

#[test]
fn a_mapped_computation_may_loop() {
    let text = format!(
        "{GCD} ENTRY main {{ x = s32[3] constant({{84, 7, 0}})  y = s32[3] constant({{36, 5, 9}})
           ROOT r = s32[3] map(x, y), dimensions={{0}}, to_apply=gcd }}"
    );
    assert_eq!(elements::<i32>(&text, &[]), [12, 1, 9]);
}

#[test]
fn a_comparator_may_reduce_arrays() {
    // Sorts by the number's distance to the nearest of two constants.
    let text = "HloModule test
         least { a = s32[] parameter(0)  b = s32[] parameter(1)  ROOT m = s32[] minimum(a, b) }
         key { x = s32[] parameter(0)  c = s32[2] constant({10, 100})
           b = s32[2] broadcast(x), dimensions={}  d = s32[2] subtract(b, c)  a = s32[2] abs(d)
           h = s32[] constant(2147483647)
           ROOT r = s32[] reduce(a, h), dimensions={0}, to_apply=least }
         less { x = s32[] parameter(0)  y = s32[] parameter(1)
           kx = s32[] call(x), to_apply=key  ky = s32[] call(y), to_apply=key
           ROOT p = pred[] compare(kx, ky), direction=LT }
         ENTRY main { x = s32[4] constant({60, 95, 12, 0})
           ROOT s = s32[4] sort(x), dimensions={0}, to_apply=less }";
    assert_eq!(elements::<i32>(text, &[]), [12, 95, 0, 60]);
}

#[test]
fn a_failure_inside_is_told_where_it_is() {
    let text = "HloModule test
         f { x = s32[] parameter(0)  y = s32[] parameter(1)
           ROOT c = s32[] custom-call(x, y), custom_call_target=\"launch\" }
         ENTRY main { x = s32[2] constant({1, 2})  z = s32[] constant(0)
           ROOT r = s32[] reduce(x, z), dimensions={0}, to_apply=f }";
    assert_eq!(
        run(text, &[]).unwrap_err().to_string(),
        "f/c: the custom call \"launch\""
    );
}

#[test]
fn an_endless_combiner_ends() {
    let text = "HloModule test
         going { x = s32[] parameter(0)  ROOT p = pred[] constant(true) }
         step { x = s32[] parameter(0)  ROOT y = s32[] add(x, x) }
         f { x = s32[] parameter(0)  y = s32[] parameter(1)
           ROOT w = s32[] while(x), condition=going, body=step }
         ENTRY main { x = s32[2] constant({1, 2})  z = s32[] constant(0)
           ROOT r = s32[] reduce(x, z), dimensions={0}, to_apply=f }";
    let options = EvalOptions {
        instructions: 10_000,
        ..EvalOptions::default()
    };
    let result = evaluate(&parse_module(text).unwrap(), &[], &options, &mut ());
    assert!(
        matches!(
            result,
            Err(EvalError::Limit {
                limit: Limit::Instructions,
                ..
            })
        ),
        "{result:?}"
    );
}

/// A reduction in a combiner in a combiner, and so on: each level takes the machine's own stack.
#[test]
fn reductions_inside_one_another_end_in_an_error() {
    let mut text = String::from(
        "HloModule test\nlevel0 { a = s32[] parameter(0)  b = s32[] parameter(1)  ROOT c = s32[] add(a, b) }\n",
    );
    for level in 1..200 {
        text += &format!(
            "level{level} {{ a = s32[] parameter(0)  b = s32[] parameter(1)
               v = s32[2] broadcast(a), dimensions={{}}
               ROOT c = s32[] reduce(v, b), dimensions={{0}}, to_apply=level{} }}\n",
            level - 1
        );
    }
    let entry = |level: usize| {
        format!(
            "{text} ENTRY main {{ x = s32[2] constant({{1, 2}})  z = s32[] constant(0)
               ROOT r = s32[] reduce(x, z), dimensions={{0}}, to_apply=level{level} }}"
        )
    };
    // Twice the element a level: one level adds 2 a to b, the next 2 (2 a + b), ...
    assert_eq!(elements::<i32>(&entry(1), &[]), {
        let f = |a: i32, b: i32| b + 2 * a;
        [f(f(0, 1), 2)]
    });
    let error = run(&entry(199), &[]).unwrap_err();
    assert!(matches!(error, EvalError::Unsupported { .. }), "{error}");
}

#[test]
fn a_scan_carries_values_along() {
    let text = |attributes: &str| {
        format!(
            "HloModule test
             f {{ x = f32[2,2] parameter(0)  c = f32[2,2] parameter(1)  s = f32[2,2] add(x, c)
               ROOT t = (f32[2,2], f32[2,2]) tuple(s, s) }}
             ENTRY main {{ x = f32[2,2,2] parameter(0)  z = f32[2,2] constant({{{{0, 0}}, {{0, 0}}}})
               ROOT s = (f32[2,2,2], f32[2,2]) scan(x, z), dimensions={{1}}, num_carries=1{attributes},
                 to_apply=f }}"
        )
    };
    let x = array(&[2, 2, 2], &[0f32, 1., 2., 3., 4., 5., 6., 7.]);
    assert_eq!(
        elements::<f32>(&text(""), std::slice::from_ref(&x)),
        [0., 1., 2., 4., 4., 5., 10., 12., 2., 4., 10., 12.]
    );
    assert_eq!(
        elements::<f32>(&text(", is_reverse=true"), &[x]),
        [2., 4., 2., 3., 10., 12., 6., 7., 2., 4., 10., 12.]
    );
}

#[test]
fn a_scan_may_have_several_inputs_outputs_and_carries() {
    let text = "HloModule test
         f { x = s32[] parameter(0)  v = s32[2] parameter(1)
           n = s64[] parameter(2)  c = s32[2] parameter(3)
           xb = s32[2] broadcast(x), dimensions={}  p = s32[2] multiply(xb, v)
           d = s32[2] add(c, p)  one = s64[] constant(1)  m = s64[] add(n, one)
           ROOT t = (s32[2], s64[], s64[], s32[2]) tuple(p, n, m, d) }
         ENTRY main { x = s32[3] constant({1, 2, 3})  v = s32[3,2] constant({{1, 2}, {3, 4}, {5, 6}})
           n = s64[] constant(0)  c = s32[2] constant({0, 100})
           s = (s32[3,2], s64[3], s64[], s32[2]) scan(x, v, n, c), dimensions={0}, num_carries=2,
             to_apply=f
           p = s32[3,2] get-tuple-element(s), index=0  i = s64[3] get-tuple-element(s), index=1
           k = s32[3] convert(i)  e = s64[] get-tuple-element(s), index=2  l = s32[] convert(e)
           d = s32[2] get-tuple-element(s), index=3
           ROOT t = (s32[3,2], s32[3], s32[], s32[2]) tuple(p, k, l, d) }";
    assert_eq!(
        elements::<i32>(text, &[]),
        [1, 2, 6, 8, 15, 18, 0, 1, 2, 3, 22, 128]
    );
}

#[test]
fn a_scan_over_nothing_returns_its_carries() {
    let text = "HloModule test
         f { x = s32[] parameter(0)  c = s32[] parameter(1)  ROOT s = s32[] add(x, c) }
         ENTRY main { x = s32[0] constant({})  z = s32[] constant(7)
           ROOT s = s32[] scan(x, z), dimensions={0}, num_carries=1, to_apply=f }";
    match run(text, &[]) {
        Ok(value) => assert_eq!(value, Literal::scalar(7i32)),
        Err(error) => panic!("{error}"),
    }
}
