//! What an instruction exchanges with others: collectives among one participant, custom calls, the
//! host.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use hlo2dae_hlo::eval::EvalError;
use support::{elements, entry, run, with_operation};

#[test]
fn a_single_participant_hears_itself() {
    let text = with_operation(
        "add",
        "f32",
        "x = f32[2] constant({1, 2})
         r = f32[2] all-reduce(x), replica_groups={{0}}, to_apply=f
         g = f32[2] all-gather(r), replica_groups={}, dimensions={0}
         ROOT p = f32[2] collective-permute(g), source_target_pairs={{0,0}}",
    );
    assert_eq!(elements::<f32>(&text, &[]), [1.0, 2.0]);
}

#[test]
fn custom_calls_are_annotations_or_unsupported() {
    let text = entry(
        "x = f32[2] constant({1, 2})
         ROOT c = f32[2] custom-call(x), custom_call_target=\"Sharding\"",
    );
    assert_eq!(elements::<f32>(&text, &[]), [1.0, 2.0]);
    let text = entry(
        "x = f32[2] constant({1, 2})
         ROOT c = f32[2] custom-call(x), custom_call_target=\"launch\"",
    );
    assert!(matches!(
        run(&text, &[]),
        Err(EvalError::Unsupported { .. })
    ));
}

#[test]
fn a_ragged_all_to_all_with_oneself_moves_rows() {
    // As XLA compiles it for one device.
    let text = entry(
        "i = f32[4] constant({0, 1, 2, 3})  o = f32[6] constant({-1, -1, -1, -1, -1, -1})
         f = s32[2] constant({0, 3})  s = s32[2] constant({2, 1})  t = s32[2] constant({1, 4})
         ROOT r = f32[6] ragged-all-to-all(i, o, f, s, t, s), replica_groups={{0}}",
    );
    assert_eq!(elements::<f32>(&text, &[]), [-1., 0., 1., -1., 3., -1.]);
    let outside = text.replace("t = s32[2] constant({1, 4})", "t = s32[2] constant({5, 4})");
    assert!(matches!(
        run(&outside, &[]),
        Err(EvalError::Malformed { .. })
    ));
    let others = text
        .replace("{{0}}", "{{0,1}}")
        .replace("test\n", "test, replica_count=2\n");
    assert!(matches!(
        run(&others, &[]),
        Err(EvalError::Unsupported { .. })
    ));
}

#[test]
fn what_comes_from_the_host_is_refused_and_what_goes_there_is_seen() {
    let text = entry("t = token[] after-all()  ROOT i = (f32[2], token[]) infeed(t)");
    assert_eq!(
        run(&text, &[]).unwrap_err().to_string(),
        "main/i: infeed: an evaluation has no host and no other device to exchange data with"
    );
    let text = entry(
        "t = token[] after-all()  x = f32[2] constant({1, 2})
         o = token[] outfeed(x, t), outfeed_shape=f32[2]{0}  ROOT y = f32[2] negate(x)",
    );
    assert_eq!(elements::<f32>(&text, &[]), [-1., -2.]);
}

#[test]
fn threefry_calls_give_the_ciphers_words() {
    let text = entry(
        "k = u32[2] constant({0, 4294967295})
         ROOT c = (u32[2], u32[2]) custom-call(k, k, k, k), custom_call_target=\"cu_threefry2x32_ffi\"",
    );
    assert_eq!(
        elements::<u32>(&text, &[]),
        [0x6b20_0159, 0x1cb9_96fc, 0x99ba_4efe, 0xbb00_2be7]
    );
}

/// A `custom-call` to oneDNN of `operands`, with this configuration.
fn onednn(target: &str, shape: &str, operands: &str, config: &str) -> String {
    format!(
        "ROOT call = {shape} custom-call({operands}), custom_call_target=\"__onednn${target}\",
           backend_config={{\"outer_dimension_partitions\":[],{config}}}"
    )
}

#[test]
fn onednn_multiplies_and_applies_what_is_fused() {
    let matrices = "a = f32[1,2,3] constant({{{1, 2, 3}, {4, 5, 6}}})
         b = f32[1,2,3] constant({{{1, 0, 1}, {0, -1, 0}}})  c = f32[2] constant({100, 1})\n";
    let half = 0.5f32.to_bits();
    let call = onednn(
        "matmul",
        "(f32[1,2,2], u8[64])",
        "a, b, c",
        &format!(
            "\"onednn_matmul_config\":{{\"transpose_a\":false,\"transpose_b\":true,
             \"fused_ops\":[\"LINEAR\",\"BINARY_ADD\",\"RELU\"],\"alpha_typecast\":{half}}}"
        ),
    );
    let value = run(&entry(&format!("{matrices}{call}")), &[]).unwrap();
    let product = value.leaves()[0].elements::<f32>().unwrap();
    assert_eq!(product, [102., 0., 105., 0.]);

    let call = onednn(
        "matmul",
        "f32[1,2,2]",
        "a, b",
        "\"onednn_matmul_config\":{\"transpose_b\":true,\"fused_ops\":[\"FANCY\"]}",
    );
    assert_eq!(
        run(&entry(&format!("{matrices}{call}")), &[])
            .unwrap_err()
            .to_string(),
        "main/call: the custom call \"__onednn$matmul\" with FANCY"
    );
}

#[test]
fn onednn_normalises() {
    let x = "x = f32[2,2] constant({{0, 1}, {2, 2}})\n";
    let call = onednn(
        "softmax",
        "f32[2,2]",
        "x",
        "\"onednn_softmax_config\":{\"softmax_axis\":1}",
    );
    let e = std::f32::consts::E;
    assert_eq!(
        elements::<f32>(&entry(&format!("{x}{call}")), &[]),
        [1. / (1. + e), e / (1. + e), 0.5, 0.5]
    );
    let call = onednn(
        "layernorm",
        "f32[2,2]",
        "x, s, t",
        &format!(
            "\"onednn_layer_norm_config\":{{\"fused_ops\":\"SCALE_AND_SHIFT\",\"epsilon_typecast\":{}}}",
            0.75f32.to_bits()
        ),
    );
    let text = format!("{x} s = f32[2] constant({{2, 4}})  t = f32[2] constant({{0, 1}})\n{call}");
    assert_eq!(elements::<f32>(&entry(&text), &[]), [-1., 3., 0., 1.]);
}
