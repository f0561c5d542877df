//! Random numbers: what `rng` promises (distribution, bounds, repeatability), XLA's hidden state, and
//! rounding by random bits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use half::bf16;
use hlo2dae_hlo::Literal;
use hlo2dae_hlo::eval::EvalError;
use hlo2dae_hlo::literal::Native;
use proptest::prelude::*;
use support::{array, elements, entry, run};

/// `count` numbers of a distribution.
fn numbers<T: Native>(distribution: &str, bounds: [Literal; 2], count: usize) -> Vec<T> {
    let t = T::ELEMENT;
    let text = entry(&format!(
        "a = {t}[] parameter(0)  b = {t}[] parameter(1)
         ROOT r = {t}[{count}] rng(a, b), distribution={distribution}"
    ));
    elements(&text, &bounds)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

#[test]
fn uniform_numbers_fill_their_interval() {
    let values: Vec<f32> = numbers(
        "rng_uniform",
        [Literal::scalar(2f32), Literal::scalar(3f32)],
        20_000,
    );
    assert!(values.iter().all(|v| (2.0..3.0).contains(v)));
    assert!((mean(&values) - 2.5).abs() < 0.01);
    for tenth in 0..10 {
        let low = 2.0 + tenth as f32 / 10.0;
        let inside = values
            .iter()
            .filter(|&&v| v >= low && v < low + 0.1)
            .count();
        assert!(
            (1_800..2_200).contains(&inside),
            "{inside} in tenth {tenth}"
        );
    }
}

#[test]
fn uniform_integers_take_every_value_equally_often() {
    let values: Vec<i8> = numbers(
        "rng_uniform",
        [Literal::scalar(-3i8), Literal::scalar(4i8)],
        14_000,
    );
    for value in -3..4 {
        let count = values.iter().filter(|&&v| v == value).count();
        assert!((1_800..2_200).contains(&count), "{count} times {value}");
    }
    assert!(values.iter().all(|v| (-3..4).contains(v)));
}

#[test]
fn normal_numbers_have_mean_and_deviation() {
    let values: Vec<f32> = numbers(
        "rng_normal",
        [Literal::scalar(5f32), Literal::scalar(2f32)],
        40_000,
    );
    assert!((mean(&values) - 5.0).abs() < 0.05);
    let squares: Vec<f32> = values.iter().map(|v| (v - 5.0).powi(2)).collect();
    assert!((mean(&squares) - 4.0).abs() < 0.1);
    let within = values.iter().filter(|v| (*v - 5.0).abs() < 2.0).count() as f64;
    assert!((within / 40_000.0 - 0.6827).abs() < 0.01);
}

#[test]
fn each_instruction_and_iteration_draws_other_numbers_and_each_evaluation_the_same() {
    let text = "HloModule test
         going { s = (s32[], f32[4]) parameter(0)  i = s32[] get-tuple-element(s), index=0
           n = s32[] constant(2)  ROOT p = pred[] compare(i, n), direction=LT }
         step { s = (s32[], f32[4]) parameter(0)  i = s32[] get-tuple-element(s), index=0
           x = f32[4] get-tuple-element(s), index=1  one = s32[] constant(1)  j = s32[] add(i, one)
           a = f32[] constant(0)  b = f32[] constant(1)
           r = f32[2] rng(a, b), distribution=rng_uniform
           t = f32[2] slice(x), slice={[0:2]}  y = f32[4] concatenate(r, t), dimensions={0}
           ROOT u = (s32[], f32[4]) tuple(j, y) }
         ENTRY main { i = s32[] constant(0)  x = f32[4] constant({9, 9, 9, 9})
           s = (s32[], f32[4]) tuple(i, x)
           w = (s32[], f32[4]) while(s), condition=going, body=step
           ROOT y = f32[4] get-tuple-element(w), index=1 }";
    let values = elements::<f32>(text, &[]);
    let mut distinct = values.clone();
    distinct.sort_by(f32::total_cmp);
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "{values:?}");
    assert_eq!(elements::<f32>(text, &[]), values);
}

proptest! {
    /// However narrow the interval, and however coarse the type.
    #[test]
    fn uniform_numbers_stay_below_their_bound(low in -100f32..100.0, width in 0f32..4.0) {
        let (low, high) = (bf16::from_f32(low), bf16::from_f32(low + width));
        let values: Vec<bf16> =
            numbers("rng_uniform", [Literal::scalar(low), Literal::scalar(high)], 50);
        prop_assert!(values.iter().all(|&v| v >= low && (v < high || low >= high)));
    }

    #[test]
    fn uniform_integers_stay_inside(low: i64, high: i64) {
        let values: Vec<i64> =
            numbers("rng_uniform", [Literal::scalar(low), Literal::scalar(high)], 20);
        prop_assert!(values.iter().all(|&v| v >= low && (v < high || low >= high && v == low)));
    }
}

#[test]
fn the_hidden_state_begins_as_that_of_xla_and_moves_on() {
    let text = entry(
        "a = u64[2] rng-get-and-update-state(), delta=4
         b = u64[2] rng-get-and-update-state(), delta=7
         ROOT t = (u64[2], u64[2]) tuple(a, b)",
    );
    assert_eq!(
        elements::<u64>(&text, &[]),
        [117_515_157, 0, 117_515_161, 0]
    );
}

#[test]
fn random_bits_decide_how_a_float_is_rounded() {
    // Values that XLA compiles for the CPU.
    let text = entry(
        "a = f32[4] parameter(0)  b = u32[4] parameter(1)
         ROOT r = s8[4] stochastic-convert(a, b)",
    );
    let arguments = [
        array(&[4], &[1.3f32, -1.3, 1e9, f32::NAN]),
        array(&[4], &[0u32, 1 << 31, 3, 4]),
    ];
    assert_eq!(elements::<i8>(&text, &arguments), [2, -1, 127, 0]);
    let text = entry(
        "a = bf16[4] parameter(0)  b = u16[4] parameter(1)
         ROOT r = s32[4] stochastic-convert(a, b)",
    );
    let arguments = [
        array(&[4], &[1.5, -1.5, 1e9, f32::NAN].map(bf16::from_f32)),
        array(&[4], &[0u16, 1 << 14, 3, 4]),
    ];
    assert_eq!(elements::<i32>(&text, &arguments), [2, -2, 998_244_352, 0]);
}

#[test]
fn random_bits_round_in_proportion() {
    let text = entry(
        "a = f32[] constant(0.25)  v = f32[256] broadcast(a), dimensions={}
         i = u32[256] iota(), iota_dimension=0  s = u32[] constant(24)
         t = u32[256] broadcast(s), dimensions={}  b = u32[256] shift-left(i, t)
         ROOT r = s32[256] stochastic-convert(v, b)",
    );
    assert_eq!(elements::<i32>(&text, &[]).iter().sum::<i32>(), 64);
}

#[test]
fn what_has_no_distribution_is_refused() {
    let text = entry(
        "a = s32[] constant(0)  b = s32[] constant(1)
         ROOT r = s32[4] rng(a, b), distribution=rng_normal",
    );
    assert!(matches!(
        run(&text, &[]),
        Err(EvalError::Unsupported { .. })
    ));
}
