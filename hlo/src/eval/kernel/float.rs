//! Real floats, in `f32` or `f64`.

use super::{Binary, Unary, binary, unary};
use crate::opcode::Opcode;

macro_rules! float_kernels {
    ($module:ident, $float:ident, $erf:path) => {
        pub(in crate::eval) mod $module {
            use super::super::Compare;
            use super::*;

            /// Of equal numbers the positive zero; NaN if either is.
            fn maximum(a: $float, b: $float) -> $float {
                if a.is_nan() || a > b || (a == b && b.is_sign_negative()) {
                    a
                } else {
                    b
                }
            }

            /// Of equal numbers the negative zero; NaN if either is.
            fn minimum(a: $float, b: $float) -> $float {
                if a.is_nan() || a < b || (a == b && a.is_sign_negative()) {
                    a
                } else {
                    b
                }
            }

            /// Zero keeps its sign, NaN stays.
            fn sign(a: $float) -> $float {
                if a == 0.0 || a.is_nan() {
                    a
                } else {
                    a.signum()
                }
            }

            pub(in crate::eval) fn unary(opcode: &Opcode) -> Option<Unary<$float>> {
                Some(match opcode {
                    Opcode::Abs => unary!(|a: $float, _| a.abs()),
                    Opcode::Negate => unary!(|a: $float, _| -a),
                    Opcode::Sign => unary!(|a, _| sign(a)),
                    Opcode::Ceil => unary!(|a: $float, _| a.ceil()),
                    Opcode::Floor => unary!(|a: $float, _| a.floor()),
                    Opcode::RoundNearestAfz => unary!(|a: $float, _| a.round()),
                    Opcode::RoundNearestEven => unary!(|a: $float, _| a.round_ties_even()),
                    Opcode::Exponential => unary!(|a: $float, _| a.exp()),
                    Opcode::ExponentialMinusOne => unary!(|a: $float, _| a.exp_m1()),
                    Opcode::Log => unary!(|a: $float, _| a.ln()),
                    Opcode::LogPlusOne => unary!(|a: $float, _| a.ln_1p()),
                    Opcode::Logistic => unary!(|a: $float, _| 1.0 / (1.0 + (-a).exp())),
                    Opcode::Sqrt => unary!(|a: $float, _| a.sqrt()),
                    Opcode::Rsqrt => unary!(|a: $float, _| 1.0 / a.sqrt()),
                    Opcode::Cbrt => unary!(|a: $float, _| a.cbrt()),
                    Opcode::Sine => unary!(|a: $float, _| a.sin()),
                    Opcode::Cosine => unary!(|a: $float, _| a.cos()),
                    Opcode::Tan => unary!(|a: $float, _| a.tan()),
                    Opcode::Tanh => unary!(|a: $float, _| a.tanh()),
                    Opcode::Sinh => unary!(|a: $float, _| a.sinh()),
                    Opcode::Cosh => unary!(|a: $float, _| a.cosh()),
                    Opcode::Asin => unary!(|a: $float, _| a.asin()),
                    Opcode::Acos => unary!(|a: $float, _| a.acos()),
                    Opcode::Asinh => unary!(|a: $float, _| a.asinh()),
                    Opcode::Acosh => unary!(|a: $float, _| a.acosh()),
                    Opcode::Atanh => unary!(|a: $float, _| a.atanh()),
                    Opcode::Erf => unary!(|a, _| $erf(a)),
                    Opcode::Real => unary!(|a: $float, _| a),
                    Opcode::Imag => unary!(|_: $float, _| 0.0),
                    _ => return None,
                })
            }

            pub(in crate::eval) fn binary(opcode: &Opcode) -> Option<Binary<$float>> {
                Some(match opcode {
                    Opcode::Add => binary!(|a: $float, b: $float, _| a + b),
                    Opcode::Subtract => binary!(|a: $float, b: $float, _| a - b),
                    Opcode::Multiply => binary!(|a: $float, b: $float, _| a * b),
                    Opcode::Divide => binary!(|a: $float, b: $float, _| a / b),
                    Opcode::Remainder => binary!(|a: $float, b: $float, _| a % b),
                    Opcode::Maximum => binary!(|a, b, _| maximum(a, b)),
                    Opcode::Minimum => binary!(|a, b, _| minimum(a, b)),
                    Opcode::Power => binary!(|a: $float, b: $float, _| a.powf(b)),
                    Opcode::Atan2 => binary!(|a: $float, b: $float, _| a.atan2(b)),
                    _ => return None,
                })
            }

            /// By the total order: -NaN, -infinity, ..., -0, +0, ..., infinity, NaN.
            pub(in crate::eval) fn total_compare(direction: &str) -> Option<Compare<$float>> {
                Some(match direction {
                    "EQ" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_eq()),
                    "NE" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_ne()),
                    "LT" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_lt()),
                    "LE" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_le()),
                    "GT" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_gt()),
                    "GE" => binary!(|a: $float, b: $float, _| a.total_cmp(&b).is_ge()),
                    _ => return None,
                })
            }
        }
    };
}

float_kernels!(single, f32, libm::erff);
float_kernels!(double, f64, libm::erf);
