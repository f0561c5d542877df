//! The exponential of `f32`, and what is made of it.
//!
//! `exp(x) = 2^k * exp(y)` with the integer `k` nearest to `x * log2(e)` and `|y| <= ln(2) / 2`, all of it in `f64`: the power
//! series up to `y^9` is off by less than `1e-11`, and one rounding makes the result, which is the nearest `f32` or, hardly
//! ever, a neighbour of it. There is neither a branch nor a table nor a call: a loop over it becomes vector instructions, and
//! every CPU gives the same bits.

use std::f64::consts::{LN_2, LOG2_E};

/// `1 / n!` for `n` from 9 down to 1.
const SERIES: [f64; 9] = {
    let mut series = [1.0; 9];
    let mut n = 1;
    let mut factorial = 1.0;
    while n < 10 {
        factorial *= n as f64;
        series[9 - n] = 1.0 / factorial;
        n += 1;
    }
    series
};

/// `exp(y) - 1` and `2^k`. Of the largest and the smallest numbers, those of numbers whose results are infinity and 0.
#[inline(always)]
fn parts(x: f32) -> (f64, f64) {
    // A NaN is in no order, and stays.
    let x = if x < -110.0 { -110.0 } else { x };
    let x = f64::from(if x > 90.0 { 90.0 } else { x });
    // Added to a small number this leaves its nearest integer in the lowest bits.
    const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
    let shifted = x * LOG2_E + SHIFT;
    let y = x - (shifted - SHIFT) * LN_2;
    let mut sum = 0.0;
    for factor in SERIES {
        sum = sum * y + factor;
    }
    let power = (shifted.to_bits() << 52).wrapping_add(1f64.to_bits());
    (sum * y, f64::from_bits(power))
}

/// `e^x`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (less, power) = parts(x);
    ((less + 1.0) * power) as f32
}

/// `e^x - 1`, as exact near 0 as elsewhere.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let (less, power) = parts(x);
    let result = less * power + (power - 1.0);
    // A zero keeps its sign.
    if x == 0.0 { x } else { result as f32 }
}

/// `tanh x = (e^2x - 1) / (e^2x + 1)`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (less, power) = parts(2.0 * x);
    let less = less * power + (power - 1.0);
    if x == 0.0 {
        x
    } else {
        (less / (less + 2.0)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_values_are_those_of_the_limit() {
        assert_eq!(exp(0.0).to_bits(), 1f32.to_bits());
        assert_eq!(exp(-0.0).to_bits(), 1f32.to_bits());
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0f32.to_bits());
        assert_eq!(exp(f32::MIN).to_bits(), 0f32.to_bits());
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::MAX), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan() && exp(-f32::NAN).is_nan());
        assert_eq!(exp(f32::MIN_POSITIVE), 1.0);
        // The last that are finite, normal, and not zero.
        assert!(exp(88.722_83).is_finite() && exp(88.722_85) == f32::INFINITY);
        assert!(exp(-87.3).is_normal() && exp(-87.4).is_subnormal());
        assert!(exp(-103.97) > 0.0 && exp(-103.98) == 0.0);
    }

    #[test]
    fn special_values_of_what_is_made_of_it_are_those_of_the_limit() {
        for f in [expm1, tanh] {
            assert_eq!(f(0.0).to_bits(), 0f32.to_bits());
            assert_eq!(f(-0.0).to_bits(), (-0f32).to_bits());
            assert_eq!(f(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
            assert_eq!(f(f32::from_bits(1)), f32::from_bits(1));
            assert_eq!(f(f32::NEG_INFINITY), -1.0);
            assert_eq!(f(f32::MIN), -1.0);
            assert!(f(f32::NAN).is_nan() && f(-f32::NAN).is_nan());
        }
        assert_eq!(expm1(f32::INFINITY), f32::INFINITY);
        assert_eq!(expm1(f32::MAX), f32::INFINITY);
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::MAX), 1.0);
    }

    /// Holds a function against the one of `f64`, rounded once.
    fn nearest_or_beside_it(f: fn(f32) -> f32, exact: fn(f64) -> f64) {
        let (mut values, mut beside) = (0u32, 0u32);
        for bits in (0..=u32::MAX).step_by(997) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                continue;
            }
            let (expected, found) = (exact(f64::from(x)) as f32, f(x));
            let apart = expected.to_bits().abs_diff(found.to_bits());
            assert!(apart <= 1, "of {x:?}: {found:?}, expected {expected:?}");
            values += 1;
            beside += apart;
        }
        assert!(beside * 1000 < values, "{beside} of {values}");
    }

    #[test]
    fn results_are_nearest_or_beside_it() {
        nearest_or_beside_it(exp, f64::exp);
        nearest_or_beside_it(expm1, f64::exp_m1);
        nearest_or_beside_it(tanh, f64::tanh);
    }

    #[test]
    fn order_is_kept() {
        let mut before = 0f32;
        for n in 0..2_000_000 {
            let found = exp(n as f32 * 1e-4 - 105.0);
            assert!(before <= found);
            before = found;
        }
    }
}
