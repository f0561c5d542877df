//! Outputs that hold already what they start with.

use super::*;

const UPDATE: &str = "region @scatter_update {
  input %ids: s32[6]
  input %x: f32[6,5]
  input %table: f32[4,5]
  output %out: f32[4,5] = %table
  nest (%k = 6, %d = 5) {
    %id = read %ids[%k]
    %row = index %id {drop 0..3}
    %v = read %x[%k, %d]
    combine add %out[%row, %d], %v
  }
}
";

#[test]
fn an_output_in_place_is_what_a_copy_would_be() {
    let program = program(UPDATE);
    let plan = Plan::new(&program).unwrap();
    let arrays = inputs(&program, 3, 6);
    let [ids, x, table] = arrays.as_slice() else {
        panic!("three inputs");
    };
    let mut copied = vec![0xa5; table.data.len()];
    let mut updated = table.data.clone();
    let options = Options::default();
    for (table, out) in [(table.data.as_slice(), &mut copied), (&[], &mut updated)] {
        let inputs = [ids.data.as_slice(), &x.data, table];
        plan.run(&inputs, &mut [out], &Caller, &options).unwrap();
    }
    assert_eq!(copied, updated);
}

#[test]
fn only_what_outputs_start_with_may_be_left_empty() {
    let program = program(UPDATE);
    let plan = Plan::new(&program).unwrap();
    let arrays = inputs(&program, 3, 6);
    let mut out = vec![0; 80];
    for missing in 0..2 {
        let mut inputs: Vec<&[u8]> = arrays.iter().map(|array| array.data.as_slice()).collect();
        inputs[missing] = &[];
        let ran = plan.run(&inputs, &mut [&mut out], &Caller, &Options::default());
        assert!(matches!(ran, Err(RunError::Size { .. })), "{missing}");
    }
    let reads = UPDATE
        .replace("%v = read %x[%k, %d]", "%v = read %table[%k, %d]")
        .replace("input %table: f32[4,5]", "input %table: f32[6,5]");
    let reads = reads.replace("output %out: f32[4,5]", "output %out: f32[6,5]");
    let program = super::program(&reads);
    let plan = Plan::new(&program).unwrap();
    let arrays = inputs(&program, 3, 6);
    let mut inputs: Vec<&[u8]> = arrays.iter().map(|array| array.data.as_slice()).collect();
    inputs[2] = &[];
    let mut out = vec![0; 120];
    let ran = plan.run(&inputs, &mut [&mut out], &Caller, &Options::default());
    assert!(
        matches!(ran, Err(RunError::Size { .. })),
        "a table that is read"
    );
}
