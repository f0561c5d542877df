//! Threads that have rows of their own, and sums.

use super::*;

/// Many rows added to few, in no order.
const TEXT: &str = "region @scatter {
  input %ids: s32[3000]
  input %x: f32[3000,20]
  output %out: f32[7,20] = 0.25
  nest (%k = 3000, %d = 20) {
    %id = read %ids[%k]
    %row = index %id {drop 0..6}
    %v = read %x[%k, %d]
    combine COMBINER %out[%row, %d], %v
  }
}
";

fn found(combiner: &str, threads: usize, deterministic: bool) -> Vec<Vec<u8>> {
    let program = program(&TEXT.replace("COMBINER", combiner));
    let plan = Plan::new(&program).unwrap();
    let options = Options {
        grain: 1,
        deterministic,
        ..Options::default()
    };
    let inputs = inputs(&program, 5, 8);
    let first = run(
        &plan,
        &program,
        &inputs,
        0,
        &Simultaneous(threads),
        &options,
    )
    .unwrap();
    // Whatever their order in time, and what the memory of the sums held before.
    let second = run(&plan, &program, &inputs, 4, &Backwards(threads), &options).unwrap();
    assert_eq!(first, second);
    first
}

#[test]
fn results_depend_on_the_number_of_threads_unless_they_must_not() {
    let one = found("add", 1, false);
    assert_eq!(found("add", 1, true), one);
    for threads in [2, 3, 5] {
        assert_eq!(found("add", threads, true), one, "{threads} threads");
        assert_ne!(found("add", threads, false), one, "{threads} threads");
        for combiner in ["min", "max"] {
            assert_eq!(found(combiner, threads, false), found(combiner, 1, false));
        }
    }
}

#[test]
fn a_row_that_goes_on_from_part_to_part_has_one_owner() {
    // 3000 lookups in order: a short row, then one through several parts, then a short one again.
    let text = "region @segments {
  input %ids: s32[3000] {sorted}
  input %x: f32[3000,4]
  output %out: f32[3,4] = 0.0
  nest (%k = 3000, %d = 4) {
    %id = read %ids[%k]
    %row = index %id {drop 0..2}
    %v = read %x[%k, %d]
    combine replace %out[%row, %d], %v
  }
}
";
    let program = program(text);
    let plan = Plan::new(&program).unwrap();
    let mut inputs = inputs(&program, 7, 3);
    for k in 0..3000 {
        let row = i32::from(k >= 20) + i32::from(k >= 2990);
        inputs[0].set(k, Scalar::S32(row)).unwrap();
    }
    let expected = program.evaluate(&inputs, &Limits::default()).unwrap();
    let options = Options {
        grain: 1,
        ..Options::default()
    };
    let found = run(&plan, &program, &inputs, 0, &Backwards(4), &options).unwrap();
    assert_eq!(found, [expected[0].data.clone()]);
}
