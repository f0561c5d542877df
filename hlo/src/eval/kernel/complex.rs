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

            /// `log |x + yi|` where `rest` is `x - 1`, without cancellation around magnitude 1.
            fn log_magnitude(rest: $float, x: $float, y: $float) -> $float {
                let magnitude = x.hypot(y);
                if (0.5..2.0).contains(&magnitude) {
                    // The square of the magnitude less 1, from the side that is nearer to 1.
                    let squares = if y.abs() > x.abs() {
                        (y.abs() - 1.0) * (y.abs() + 1.0) + x * x
                    } else {
                        rest * (x + 1.0) + y * y
                    };
                    squares.ln_1p() / 2.0
                } else {
                    magnitude.ln()
                }
            }

            fn ln(a: C) -> C {
                C::new(log_magnitude(a.re - 1.0, a.re, a.im), a.im.atan2(a.re))
            }

            /// The square root in the right half plane, without cancellation near the axes.
            fn sqrt(a: C) -> C {
                let larger = ((a.re.abs() + a.re.hypot(a.im)) / 2.0).sqrt();
                if larger == 0.0 || !larger.is_finite() {
                    a.sqrt()
                } else if a.re >= 0.0 {
                    C::new(larger, a.im / (2.0 * larger))
                } else {
                    C::new(a.im.abs() / (2.0 * larger), larger.copysign(a.im))
                }
            }

            /// `log(1 + a)` without cancellation around 0.
            fn ln_1p(a: C) -> C {
                let one = a.re + 1.0;
                C::new(log_magnitude(a.re, one, a.im), a.im.atan2(one))
            }

            /// The quotient; by zero infinite, and infinities count as the larger side.
            fn divide(a: C, b: C) -> C {
                let sign = |x: $float| {
                    let one: $float = if x.is_infinite() { 1.0 } else { 0.0 };
                    one.copysign(x)
                };
                let infinite = |z: C| z.re.is_infinite() || z.im.is_infinite();
                let finite = |z: C| z.re.is_finite() && z.im.is_finite();
                if b == C::default() && !(a.re.is_nan() && a.im.is_nan()) {
                    let infinity = <$float>::INFINITY.copysign(b.re);
                    C::new(infinity * a.re, infinity * a.im)
                } else if infinite(a) && finite(b) {
                    let (x, y) = (sign(a.re), sign(a.im));
                    C::new(
                        <$float>::INFINITY * (x * b.re + y * b.im),
                        <$float>::INFINITY * (y * b.re - x * b.im),
                    )
                } else if finite(a) && infinite(b) {
                    let (x, y) = (sign(b.re), sign(b.im));
                    C::new(0.0 * (a.re * x + a.im * y), 0.0 * (a.im * x - a.re * y))
                } else {
                    a / b
                }
            }

            fn power(a: C, b: C) -> C {
                if b == C::default() {
                    C::new(1.0, 0.0)
                } else if a == C::default() && b.re > 0.0 && b.im == 0.0 {
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
                    Opcode::Log => unary!(|a, _| ln(a)),
                    Opcode::LogPlusOne => unary!(|a, _| ln_1p(a)),
                    Opcode::Logistic => unary!(|a: C, _| (C::from(1.0) + (-a).exp()).inv()),
                    Opcode::Sqrt => unary!(|a: C, _| sqrt(a)),
                    Opcode::Rsqrt => unary!(|a: C, _| sqrt(a).inv()),
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
                    Opcode::Divide => binary!(|a, b, _| divide(a, b)),
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
