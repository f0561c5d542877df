//! Complex numbers, in `f32` or `f64`. Operations to and from their real parts are in
//! [`super::super::elementwise`].

use num_complex::Complex;

use super::{Binary, Compare, Unary, binary, unary};
use crate::opcode::Opcode;

macro_rules! complex_kernels {
    ($module:ident, $float:ident) => {
        pub(in crate::eval) mod $module {
            use super::*;

            type C = Complex<$float>;

            /// The number over its magnitude.
            fn sign(a: C) -> C {
                if a == C::default() { a } else { a / a.norm() }
            }

            /// `exp(a) - 1` without cancellation around 0.
            fn exp_m1(a: C) -> C {
                let (sine, cosine) = a.im.sin_cos();
                let half_sine = (a.im / 2.0).sin();
                let real = a.re.exp_m1() * cosine - 2.0 * half_sine * half_sine;
                C::new(real, a.re.exp() * sine)
            }

            /// `log(1 + a)` without cancellation around 0.
            fn ln_1p(a: C) -> C {
                let one = a.re + 1.0;
                let square = a.re * (2.0 + a.re) + a.im * a.im;
                C::new(square.ln_1p() / 2.0, a.im.atan2(one))
            }

            fn power(a: C, b: C) -> C {
                if b == C::default() {
                    C::new(1.0, 0.0)
                } else if a == C::default() && b.re > 0.0 {
                    C::default()
                } else {
                    a.powc(b)
                }
            }

            pub(in crate::eval) fn unary(opcode: &Opcode) -> Option<Unary<C>> {
                Some(match opcode {
                    Opcode::Negate => unary!(|a: C, _| -a),
                    Opcode::Sign => unary!(|a, _| sign(a)),
                    Opcode::Exponential => unary!(|a: C, _| a.exp()),
                    Opcode::ExponentialMinusOne => unary!(|a, _| exp_m1(a)),
                    Opcode::Log => unary!(|a: C, _| a.ln()),
                    Opcode::LogPlusOne => unary!(|a, _| ln_1p(a)),
                    Opcode::Logistic => unary!(|a: C, _| (C::from(1.0) + (-a).exp()).inv()),
                    Opcode::Sqrt => unary!(|a: C, _| a.sqrt()),
                    Opcode::Rsqrt => unary!(|a: C, _| a.sqrt().inv()),
                    Opcode::Cbrt => unary!(|a: C, _| a.powf(1.0 / 3.0)),
                    Opcode::Sine => unary!(|a: C, _| a.sin()),
                    Opcode::Cosine => unary!(|a: C, _| a.cos()),
                    Opcode::Tan => unary!(|a: C, _| a.tan()),
                    Opcode::Tanh => unary!(|a: C, _| a.tanh()),
                    Opcode::Sinh => unary!(|a: C, _| a.sinh()),
                    Opcode::Cosh => unary!(|a: C, _| a.cosh()),
                    Opcode::Asin => unary!(|a: C, _| a.asin()),
                    Opcode::Acos => unary!(|a: C, _| a.acos()),
                    Opcode::Asinh => unary!(|a: C, _| a.asinh()),
                    Opcode::Acosh => unary!(|a: C, _| a.acosh()),
                    Opcode::Atanh => unary!(|a: C, _| a.atanh()),
                    _ => return None,
                })
            }

            pub(in crate::eval) fn binary(opcode: &Opcode) -> Option<Binary<C>> {
                Some(match opcode {
                    Opcode::Add => binary!(|a: C, b: C, _| a + b),
                    Opcode::Subtract => binary!(|a: C, b: C, _| a - b),
                    Opcode::Multiply => binary!(|a: C, b: C, _| a * b),
                    Opcode::Divide => binary!(|a: C, b: C, _| a / b),
                    Opcode::Power => binary!(|a, b, _| power(a, b)),
                    _ => return None,
                })
            }

            pub(in crate::eval) fn compare(direction: &str) -> Option<Compare<C>> {
                Some(match direction {
                    "EQ" => binary!(|a: C, b: C, _| a == b),
                    "NE" => binary!(|a: C, b: C, _| a != b),
                    _ => return None,
                })
            }
        }
    };
}

complex_kernels!(single, f32);
complex_kernels!(double, f64);
