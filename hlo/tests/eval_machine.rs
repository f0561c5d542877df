//! The evaluator's machine: what it reports, where it stops, what it refuses, and laws that hold
//! for any input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use hlo2dae_hlo::eval::{EvalError, EvalOptions, Limit, evaluate};
use hlo2dae_hlo::{InstructionId, Literal, Module, parse_module};
use proptest::prelude::*;

fn parse(text: &str) -> Module {
    parse_module(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn run(text: &str, arguments: &[Literal], options: &EvalOptions) -> Result<Literal, EvalError> {
    evaluate(&parse(text), arguments, options, &mut ())
}

/// Everything that is reported, as `call path > instruction = first element`.
fn reports(text: &str, arguments: &[Literal]) -> Vec<String> {
    let module = parse(text);
    let name = |id: InstructionId| module.instructions[id].name.to_string();
    let mut lines = Vec::new();
    evaluate(
        &module,
        arguments,
        &EvalOptions::default(),
        &mut |path: &[InstructionId], id: InstructionId, value: &Literal| {
            if let Some(elements) = value.elements::<i32>() {
                let path: Vec<String> = path.iter().map(|&id| name(id)).collect();
                lines.push(format!(
                    "{} > {} = {}",
                    path.join("/"),
                    name(id),
                    elements[0]
                ));
            }
        },
    )
    .unwrap();
    lines
}

const LOOP: &str = "HloModule test
     inner { a = s32[] parameter(0)  b = s32[] parameter(1)  ROOT s = s32[] add(a, b) }
     going { i = s32[] parameter(0)
             n = s32[] constant(2)
             ROOT c = pred[] compare(i, n), direction=LT }
     step { i = s32[] parameter(0)
            one = s32[] constant(1)
            ROOT j = s32[] call(i, one), to_apply=inner }
     ENTRY main {
       i = s32[] parameter(0)
       ROOT w = s32[] while(i), condition=going, body=step
     }";

#[test]
fn every_value_is_reported_with_its_call_path() {
    let lines = reports(LOOP, &[Literal::scalar(1i32)]);
    assert_eq!(
        lines,
        [
            " > i = 1",
            "w > i = 1",
            "w > n = 2",
            "w > i = 1",
            "w > one = 1",
            "w/j > a = 1",
            "w/j > b = 1",
            "w/j > s = 2",
            "w > j = 2",
            "w > i = 2",
            "w > n = 2",
            " > w = 2",
        ]
    );
}

#[test]
fn combiners_are_not_reported() {
    let text = "HloModule test
         f { a = s32[] parameter(0)  b = s32[] parameter(1)
             c = s32[] multiply(a, b)  ROOT d = s32[] subtract(c, a) }
         ENTRY main {
           x = s32[3] constant({1, 2, 3})
           z = s32[] constant(1)
           ROOT r = s32[] reduce(x, z), dimensions={0}, to_apply=f
         }";
    assert_eq!(reports(text, &[]), [" > x = 1", " > z = 1", " > r = 0"]);
}

fn limit(result: Result<Literal, EvalError>) -> Limit {
    match result {
        Err(EvalError::Limit { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endless_loop_ends() {
    let text = "HloModule test
         going { i = s32[] parameter(0)  ROOT c = pred[] constant(true) }
         step { i = s32[] parameter(0)  ROOT j = s32[] add(i, i) }
         ENTRY main { i = s32[] constant(1)
           ROOT w = s32[] while(i), condition=going, body=step }";
    let options = EvalOptions {
        instructions: 10_000,
        ..EvalOptions::default()
    };
    assert_eq!(limit(run(text, &[], &options)), Limit::Instructions);
}

#[test]
fn a_huge_value_is_refused_before_it_is_made() {
    let text = "HloModule test
         ENTRY main { z = f32[] constant(0)
           ROOT b = f32[1000000,1000000] broadcast(z), dimensions={} }";
    assert_eq!(
        limit(run(text, &[], &EvalOptions::default())),
        Limit::LiveBytes
    );
}

/// Found by fuzzing: an array without elements may have a dimension that nobody can walk along.
#[test]
fn long_dimensions_of_empty_arrays_take_no_time() {
    let none = |dims: &[i64]| Literal::from_elements::<f32>(dims, &[]).unwrap();
    let iota = "ENTRY e { ROOT i = f32[1000000000000,0] iota(), iota_dimension=0 }";
    let value = run(iota, &[], &EvalOptions::default()).unwrap();
    assert!(value == none(&[1_000_000_000_000, 0]));

    let scatter = "second { a = f32[] parameter(0)  ROOT b = f32[] parameter(1) }
        ENTRY e {
          x = f32[8,0] parameter(0)
          i = s64[1000000000000,0] parameter(1)
          u = f32[1000000000000,1,0] parameter(2)
          ROOT s = f32[8,0] scatter(x, i, u), update_window_dims={1,2}, inserted_window_dims={},
            scatter_dims_to_operand_dims={}, index_vector_dim=1, to_apply=second
        }";
    let indices = Literal::from_elements::<i64>([1_000_000_000_000, 0], &[]).unwrap();
    let arguments = [none(&[8, 0]), indices, none(&[1_000_000_000_000, 1, 0])];
    let value = run(scatter, &arguments, &EvalOptions::default()).unwrap();
    assert!(value == none(&[8, 0]));
}

/// Found by fuzzing: the padding under a window is not walked through.
#[test]
fn a_window_as_long_as_the_padded_array_is_linear_work() {
    let text = "add { a = f32[] parameter(0)  b = f32[] parameter(1)  ROOT c = f32[] add(a, b) }
        ENTRY e {
          x = f32[500000] parameter(0)
          z = f32[] constant(0)
          ROOT s = f32[500000] reduce-window(x, z), window={size=500000 pad=499999_0}, to_apply=add
        }";
    let ones = Literal::from_elements([500_000], &vec![1f32; 500_000]).unwrap();
    let value = run(text, &[ones], &EvalOptions::default()).unwrap();
    let counts: Vec<f32> = (1..=500_000).map(|n| n as f32).collect();
    assert_eq!(value.elements::<f32>().unwrap(), counts);
}

#[test]
fn only_values_that_live_count() {
    let line = |i: usize| format!("x{i} = f32[1000] add(x{}, x{})\n", i - 1, i - 1);
    let chain: String = (1..100).map(line).collect();
    let text = format!(
        "HloModule test
         ENTRY main {{ x0 = f32[1000] parameter(0)
           {chain} ROOT r = f32[1000] negate(x99) }}"
    );
    let argument = Literal::from_elements([1000], &[1f32; 1000]).unwrap();
    let options = EvalOptions {
        live_bytes: 40_000,
        ..EvalOptions::default()
    };
    assert!(run(&text, std::slice::from_ref(&argument), &options).is_ok());
    let options = EvalOptions {
        live_bytes: 7_000,
        ..EvalOptions::default()
    };
    assert_eq!(limit(run(&text, &[argument], &options)), Limit::LiveBytes);
}

#[test]
fn a_huge_dot_is_refused_by_its_work() {
    let text = "HloModule test
         ENTRY main { z = f32[] constant(0)
           b = f32[1000,1000] broadcast(z), dimensions={}
           ROOT d = f32[1000,1000] dot(b, b), lhs_contracting_dims={1}, rhs_contracting_dims={0} }";
    let options = EvalOptions {
        element_operations: 100_000_000,
        ..EvalOptions::default()
    };
    assert_eq!(limit(run(text, &[], &options)), Limit::ElementOperations);
}

#[test]
fn deep_calls_need_no_stack() {
    let mut text = String::from("HloModule test\nlevel0 { ROOT x = s32[] parameter(0) }\n");
    for i in 1..9_000 {
        let previous = i - 1;
        text += &format!(
            "level{i} {{ x = s32[] parameter(0)
               ROOT y = s32[] call(x), to_apply=level{previous} }}\n"
        );
    }
    text += "ENTRY main { x = s32[] parameter(0)  ROOT y = s32[] call(x), to_apply=level8999 }";
    let arguments = [Literal::scalar(7i32)];
    let value = run(&text, &arguments, &EvalOptions::default()).unwrap();
    assert_eq!(value, arguments[0]);
    let options = EvalOptions {
        call_depth: 100,
        ..EvalOptions::default()
    };
    assert_eq!(limit(run(&text, &arguments, &options)), Limit::CallDepth);
}

#[test]
fn arguments_must_be_as_declared() {
    let text = "HloModule test
         ENTRY main { x = f32[2] parameter(0)  ROOT y = f32[2] negate(x) }";
    let options = EvalOptions::default();
    let error = run(text, &[], &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the computation takes 1 arguments, found 0"
    );
    let wrong = Literal::from_elements([3], &[1f32; 3]).unwrap();
    let error = run(text, &[wrong], &options).unwrap_err();
    assert_eq!(error.to_string(), "argument 0 is f32[2], found f32[3]");
}

#[test]
fn elided_constants_are_an_error() {
    let text = "HloModule test
         ENTRY main { x = f32[9] constant({...})  ROOT y = f32[9] negate(x) }";
    let error = run(text, &[], &EvalOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "main/x: the values of this constant were elided"
    );
}

/// Modules that parse but do not verify: each must end in an error, none in a panic.
#[test]
fn malformed_instructions_are_errors() {
    let wrong = [
        "ROOT r = f32[2] add(x, i)",
        "ROOT r = f32[3] add(x, x)",
        "ROOT r = f32[2] select(x, x, x)",
        "ROOT r = f32[2,2] broadcast(x), dimensions={2}",
        "ROOT r = f32[3,2] broadcast(x), dimensions={0}",
        "ROOT r = f32[3] reshape(x)",
        "ROOT r = f32[2] transpose(x), dimensions={1}",
        "ROOT r = f32[2] slice(x), slice={[1:5:1]}",
        "ROOT r = f32[2] slice(x), slice={[0:2:0]}",
        "ROOT r = f32[2] reverse(x), dimensions={0,0}",
        "ROOT r = f32[2] concatenate(x, i), dimensions={0}",
        "ROOT r = f32[2] iota(), iota_dimension=7",
        "ROOT r = f32[3] dynamic-slice(x, s), dynamic_slice_sizes={3}",
        "ROOT r = f32[2] dynamic-slice(x, s, s), dynamic_slice_sizes={2}",
        "ROOT r = f32[2] gather(x, i), offset_dims={5}, collapsed_slice_dims={}, \
         start_index_map={0}, index_vector_dim=0, slice_sizes={1}",
        "ROOT r = f32[2] gather(x, x), offset_dims={}, collapsed_slice_dims={0}, \
         start_index_map={0}, index_vector_dim=1, slice_sizes={1}",
        "ROOT r = f32[2] dot(x, w), lhs_contracting_dims={0}, rhs_contracting_dims={0}",
        "ROOT r = f32[2] dot(x, x), lhs_contracting_dims={3}, rhs_contracting_dims={0}",
        "ROOT r = f32[2] sort(x), dimensions={1}, to_apply=less",
        "ROOT r = f32[2] sort(i), dimensions={0}, to_apply=less",
        "ROOT r = f32[2] convolution(x, x), window={size=2}, dim_labels=b0f_0io->b0f",
        "ROOT r = f32[2] bitcast-convert(w)",
        "ROOT r = f32[2] parameter(9)",
    ];
    for instruction in wrong {
        let text = format!(
            "HloModule test
             less {{ a = f32[] parameter(0)  b = f32[] parameter(1)
                     ROOT c = pred[] compare(a, b), direction=LT }}
             ENTRY main {{
               x = f32[2] constant({{1, 2}})
               w = f32[3] constant({{1, 2, 3}})
               i = s32[2] constant({{0, 1}})
               s = s32[] constant(0)
               {instruction}
             }}"
        );
        // What the parser already refuses need not be evaluated.
        if let Ok(module) = parse_module(&text) {
            let result = evaluate(&module, &[], &EvalOptions::default(), &mut ());
            assert!(
                matches!(
                    result,
                    Err(EvalError::Malformed { .. } | EvalError::Unsupported { .. })
                ),
                "{instruction}: {result:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn transposing_there_and_back_changes_nothing(
        elements in proptest::collection::vec(any::<i32>(), 24),
        permutation in Just(vec![0i64, 1, 2, 3]).prop_shuffle(),
    ) {
        let dims = [2i64, 3, 1, 4];
        let there: Vec<i64> = permutation.iter().map(|&p| dims[p as usize]).collect();
        let mut back = [0; 4];
        permutation.iter().enumerate().for_each(|(i, &p)| back[p as usize] = i as i64);
        let list = |values: &[i64]| values.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let text = format!(
            "ENTRY main {{
               x = s32[2,3,1,4] parameter(0)
               t = s32[{}] transpose(x), dimensions={{{}}}
               ROOT b = s32[2,3,1,4] transpose(t), dimensions={{{}}} }}",
            list(&there), list(&permutation), list(&back),
        );
        let argument = Literal::from_elements(dims, &elements).unwrap();
        let value = run(&text, std::slice::from_ref(&argument), &EvalOptions::default()).unwrap();
        prop_assert_eq!(value, argument);
    }

    #[test]
    fn gather_is_a_dot_with_one_hot_rows(
        table in proptest::collection::vec(-100i32..100, 12),
        ids in proptest::collection::vec(-3i32..8, 5),
    ) {
        let text = "ENTRY main {
               table = s32[4,3] parameter(0)
               ids = s32[5] parameter(1)
               g = s32[5,3] gather(table, ids), offset_dims={1}, collapsed_slice_dims={0},
                 start_index_map={0}, index_vector_dim=1, slice_sizes={1,3}
               low = s32[] constant(0)
               high = s32[] constant(3)
               c = s32[5] clamp(low, ids, high)
               cb = s32[5,4] broadcast(c), dimensions={0}
               n = s32[5,4] iota(), iota_dimension=1
               hot = pred[5,4] compare(cb, n), direction=EQ
               one = s32[5,4] convert(hot)
               d = s32[5,3] dot(one, table), lhs_contracting_dims={1}, rhs_contracting_dims={0}
               ROOT t = (s32[5,3], s32[5,3]) tuple(g, d) }";
        let arguments = [
            Literal::from_elements([4, 3], &table).unwrap(),
            Literal::from_elements([5], &ids).unwrap(),
        ];
        let value = run(text, &arguments, &EvalOptions::default()).unwrap();
        let leaves = value.leaves();
        prop_assert_eq!(leaves[0], leaves[1]);
    }

    #[test]
    fn a_sum_is_a_scatter_into_one_place(elements in proptest::collection::vec(any::<i32>(), 1..40)) {
        let n = elements.len();
        let text = format!(
            "add {{ a = s32[] parameter(0)  b = s32[] parameter(1)  ROOT c = s32[] add(a, b) }}
             ENTRY main {{
               x = s32[{n}] parameter(0)
               z = s32[] constant(0)
               r = s32[] reduce(x, z), dimensions={{0}}, to_apply=add
               o = s32[1] constant({{0}})
               i = s32[{n}] broadcast(z), dimensions={{}}
               s = s32[1] scatter(o, i, x), update_window_dims={{}}, inserted_window_dims={{0}},
                 scatter_dims_to_operand_dims={{0}}, index_vector_dim=1, to_apply=add
               q = s32[] reshape(s)
               w = s32[{n}] reduce-window(x, z), window={{size={n} pad={}_0}}, to_apply=add
               l = s32[1] slice(w), slice={{[{}:{n}:1]}}
               m = s32[] reshape(l)
               ROOT t = (s32[], s32[], s32[]) tuple(r, q, m) }}",
            n - 1,
            n - 1,
        );
        let argument = Literal::from_elements([n as i64], &elements).unwrap();
        let value = run(&text, &[argument], &EvalOptions::default()).unwrap();
        let sum = elements.iter().fold(0i32, |a, b| a.wrapping_add(*b));
        for leaf in value.leaves() {
            prop_assert_eq!(leaf, &Literal::scalar(sum));
        }
    }

    #[test]
    fn sorting_agrees_with_a_stable_sort(elements in proptest::collection::vec(-5i32..5, 1..60)) {
        let n = elements.len();
        let text = format!(
            "less {{ a = s32[] parameter(0)  b = s32[] parameter(1)
                     i = s32[] parameter(2)  j = s32[] parameter(3)
                     ROOT c = pred[] compare(a, b), direction=LT }}
             ENTRY main {{
               x = s32[{n}] parameter(0)
               i = s32[{n}] iota(), iota_dimension=0
               s = (s32[{n}], s32[{n}]) sort(x, i), dimensions={{0}}, to_apply=less
               ROOT r = s32[{n}] get-tuple-element(s), index=1 }}"
        );
        let argument = Literal::from_elements([n as i64], &elements).unwrap();
        let value = run(&text, &[argument], &EvalOptions::default()).unwrap();
        let mut expected: Vec<i32> = (0..n as i32).collect();
        expected.sort_by_key(|&i| elements[i as usize]);
        prop_assert_eq!(value.elements::<i32>().unwrap(), expected);
    }
}
