//! Values of the scalar operations.
//!
//! They are XLA's:
//! * integers wrap; `x div 0` is all ones, `x rem 0` is `x`, `MIN div -1` is `MIN`, `MIN rem -1` is 0;
//!   `pow` to a negative exponent is 0 but for base 1, which gives 1;
//! * a shift amount is unsigned; from the width on, `shl` and `shrl` give 0, `shra` the sign everywhere;
//! * `min` and `max` give NaN when either operand is one; `-0.0` is below `0.0`;
//! * `f16` and `bf16` are computed in `f32` and rounded after every operation;
//! * `convert` of a float to an integer truncates, saturates, and takes NaN to 0; between
//!   integers it wraps; to `bool` it is "unequal to 0";
//! * `index` computes like `s64`.
//!
//! The types that each operation takes are in [`super::typing`]; anything else is a
//! [`TypeError`], never a panic.

use half::{bf16, f16};

use super::exp;
use super::op::{Arith, BinaryOp, CombineOp, CompareOp, UnaryOp};
use super::scalar::Scalar;
use super::types::{ElementType, ScalarType};
use super::typing::TypeError;

/// What the operations do on one Rust type; `None` where the type is not taken.
pub trait Operand: Copy + PartialOrd {
    /// One operand, all operations but `is_finite`.
    fn unary(op: UnaryOp, a: Self) -> Option<Self>;
    /// Two operands.
    fn binary(op: BinaryOp, a: Self, b: Self) -> Option<Self>;
}

macro_rules! integers {
    ($($t:ident $signed:ident $unsigned:ident $negative:expr,)*) => {$(
        impl Operand for $t {
            #[inline(always)]
            fn unary(op: UnaryOp, a: $t) -> Option<$t> {
                let negative: fn($t) -> bool = $negative;
                Some(match op {
                    UnaryOp::Abs => if negative(a) { a.wrapping_neg() } else { a },
                    UnaryOp::Neg => a.wrapping_neg(),
                    UnaryOp::Not => !a,
                    UnaryOp::Sign => if negative(a) { (1 as $t).wrapping_neg() } else { $t::from(a != 0) },
                    UnaryOp::Popcnt => a.count_ones() as $t,
                    UnaryOp::Clz => a.leading_zeros() as $t,
                    UnaryOp::Ceil | UnaryOp::Floor | UnaryOp::RoundNearestEven | UnaryOp::RoundNearestAfz
                    | UnaryOp::Sqrt | UnaryOp::Rsqrt | UnaryOp::Cbrt | UnaryOp::Exp | UnaryOp::Expm1
                    | UnaryOp::Log | UnaryOp::Log1p | UnaryOp::Logistic | UnaryOp::Tanh | UnaryOp::Erf
                    | UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan | UnaryOp::IsFinite => return None,
                })
            }

            #[inline(always)]
            fn binary(op: BinaryOp, a: $t, b: $t) -> Option<$t> {
                let negative: fn($t) -> bool = $negative;
                // As an unsigned number, so that a negative amount is beyond every width.
                let amount = u32::try_from(b as $unsigned).unwrap_or(u32::MAX);
                Some(match op {
                    BinaryOp::Add => a.wrapping_add(b),
                    BinaryOp::Sub => a.wrapping_sub(b),
                    BinaryOp::Mul => a.wrapping_mul(b),
                    BinaryOp::Div => if b == 0 { !0 } else { a.wrapping_div(b) },
                    BinaryOp::Rem => if b == 0 { a } else { a.wrapping_rem(b) },
                    BinaryOp::Min => a.min(b),
                    BinaryOp::Max => a.max(b),
                    BinaryOp::Pow if negative(b) => $t::from(a == 1),
                    BinaryOp::Pow => {
                        let (mut result, mut base, mut exponent) = (1 as $t, a, b);
                        while exponent != 0 {
                            if exponent & 1 == 1 {
                                result = result.wrapping_mul(base);
                            }
                            base = base.wrapping_mul(base);
                            exponent >>= 1;
                        }
                        result
                    }
                    BinaryOp::And => a & b,
                    BinaryOp::Or => a | b,
                    BinaryOp::Xor => a ^ b,
                    BinaryOp::Shl => a.checked_shl(amount).unwrap_or(0),
                    BinaryOp::ShrLogical => (a as $unsigned).checked_shr(amount).unwrap_or(0) as $t,
                    BinaryOp::ShrArithmetic => ((a as $signed) >> amount.min($t::BITS - 1)) as $t,
                    BinaryOp::Atan2 => return None,
                })
            }
        }
    )*};
}

integers! {
    i8 i8 u8 |a| a < 0,
    i16 i16 u16 |a| a < 0,
    i32 i32 u32 |a| a < 0,
    i64 i64 u64 |a| a < 0,
    u8 i8 u8 |_| false,
    u16 i16 u16 |_| false,
    u32 i32 u32 |_| false,
    u64 i64 u64 |_| false,
}

macro_rules! floats {
    ($($t:ident $exp:path, $expm1:path, $tanh:path, $erf:path;)*) => {$(
        impl Operand for $t {
            #[inline(always)]
            fn unary(op: UnaryOp, a: $t) -> Option<$t> {
                Some(match op {
                    UnaryOp::Abs => a.abs(),
                    UnaryOp::Neg => -a,
                    UnaryOp::Sign => if a == 0.0 || a.is_nan() { a } else { (1.0 as $t).copysign(a) },
                    UnaryOp::Ceil => a.ceil(),
                    UnaryOp::Floor => a.floor(),
                    UnaryOp::RoundNearestEven => a.round_ties_even(),
                    UnaryOp::RoundNearestAfz => a.round(),
                    UnaryOp::Sqrt => a.sqrt(),
                    UnaryOp::Rsqrt => a.sqrt().recip(),
                    UnaryOp::Cbrt => a.cbrt(),
                    UnaryOp::Exp => $exp(a),
                    UnaryOp::Expm1 => $expm1(a),
                    UnaryOp::Log => a.ln(),
                    UnaryOp::Log1p => a.ln_1p(),
                    UnaryOp::Logistic => (1.0 + $exp(-a)).recip(),
                    UnaryOp::Tanh => $tanh(a),
                    UnaryOp::Erf => $erf(a),
                    UnaryOp::Sin => a.sin(),
                    UnaryOp::Cos => a.cos(),
                    UnaryOp::Tan => a.tan(),
                    UnaryOp::Not | UnaryOp::Popcnt | UnaryOp::Clz | UnaryOp::IsFinite => return None,
                })
            }

            #[inline(always)]
            fn binary(op: BinaryOp, a: $t, b: $t) -> Option<$t> {
                // Without a branch, which running maxima would miss again and again. Of equal operands only the two zeros differ: the bits decide.
                let ordered = |other: bool, equal| {
                    let b_only = b.is_nan() & !a.is_nan();
                    let unequal = if other | b_only { b } else { a };
                    if a == b { $t::from_bits(equal) } else { unequal }
                };
                Some(match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div => a / b,
                    BinaryOp::Rem => a % b,
                    BinaryOp::Min => ordered(b < a, a.to_bits() | b.to_bits()),
                    BinaryOp::Max => ordered(a < b, a.to_bits() & b.to_bits()),
                    BinaryOp::Pow => a.powf(b),
                    BinaryOp::Atan2 => a.atan2(b),
                    BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::Shl
                    | BinaryOp::ShrArithmetic | BinaryOp::ShrLogical => return None,
                })
            }
        }
    )*};
}

floats! {
    f32 exp::exp, exp::expm1, exp::tanh, libm::erff;
    f64 f64::exp, f64::exp_m1, f64::tanh, libm::erf;
}

macro_rules! halves {
    ($($t:ident,)*) => {$(
        impl Operand for $t {
            #[inline(always)]
            fn unary(op: UnaryOp, a: $t) -> Option<$t> {
                f32::unary(op, a.to_f32()).map($t::from_f32)
            }

            #[inline(always)]
            fn binary(op: BinaryOp, a: $t, b: $t) -> Option<$t> {
                f32::binary(op, a.to_f32(), b.to_f32()).map($t::from_f32)
            }
        }
    )*};
}

halves! { f16, bf16, }

impl Operand for bool {
    #[inline(always)]
    fn unary(op: UnaryOp, a: bool) -> Option<bool> {
        (op == UnaryOp::Not).then_some(!a)
    }

    #[inline(always)]
    fn binary(op: BinaryOp, a: bool, b: bool) -> Option<bool> {
        match op {
            BinaryOp::Add | BinaryOp::Max | BinaryOp::Or => Some(a | b),
            BinaryOp::Mul | BinaryOp::Min | BinaryOp::And => Some(a & b),
            BinaryOp::Xor => Some(a ^ b),
            BinaryOp::Sub
            | BinaryOp::Div
            | BinaryOp::Rem
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::Shl
            | BinaryOp::ShrArithmetic
            | BinaryOp::ShrLogical => None,
        }
    }
}

/// Applies `$body` to the payloads of two scalars of one variant, else `$otherwise`.
macro_rules! pairwise {
    ($lhs:expr, $rhs:expr, |$wrap:ident, $a:ident, $b:ident| $body:expr, $otherwise:expr) => {
        pairwise!(@ $lhs, $rhs, $wrap, $a, $b, $body, $otherwise,
            Index Bool S8 S16 S32 S64 U8 U16 U32 U64 F16 BF16 F32 F64)
    };
    (@ $lhs:expr, $rhs:expr, $wrap:ident, $a:ident, $b:ident, $body:expr, $otherwise:expr, $($v:ident)*) => {
        match ($lhs, $rhs) {
            $((Scalar::$v($a), Scalar::$v($b)) => { let $wrap = Scalar::$v; let _ = $wrap; $body })*
            _ => $otherwise,
        }
    };
}

impl UnaryOp {
    /// The result of the operation.
    pub fn apply(self, a: Scalar) -> Result<Scalar, TypeError> {
        let error = || TypeError::Unary {
            op: self.name(),
            operand: a.ty(),
        };
        if self == UnaryOp::IsFinite {
            return match a {
                Scalar::F16(v) => Ok(Scalar::Bool(v.is_finite())),
                Scalar::BF16(v) => Ok(Scalar::Bool(v.is_finite())),
                Scalar::F32(v) => Ok(Scalar::Bool(v.is_finite())),
                Scalar::F64(v) => Ok(Scalar::Bool(v.is_finite())),
                Scalar::Index(_)
                | Scalar::Bool(_)
                | Scalar::S8(_)
                | Scalar::S16(_)
                | Scalar::S32(_)
                | Scalar::S64(_)
                | Scalar::U8(_)
                | Scalar::U16(_)
                | Scalar::U32(_)
                | Scalar::U64(_) => Err(error()),
            };
        }
        pairwise!(
            a,
            a,
            |wrap, v, _w| Operand::unary(self, v).map(wrap).ok_or_else(error),
            Err(error())
        )
    }
}

impl BinaryOp {
    /// The result of the operation.
    pub fn apply(self, a: Scalar, b: Scalar) -> Result<Scalar, TypeError> {
        let error = || TypeError::Binary {
            op: self.name(),
            lhs: a.ty(),
            rhs: b.ty(),
        };
        pairwise!(
            a,
            b,
            |wrap, v, w| Operand::binary(self, v, w).map(wrap).ok_or_else(error),
            Err(error())
        )
    }
}

impl CompareOp {
    /// The result of the comparison.
    pub fn apply(self, a: Scalar, b: Scalar) -> Result<bool, TypeError> {
        fn compare<T: PartialOrd>(op: CompareOp, a: T, b: T) -> bool {
            match op {
                CompareOp::Eq => a == b,
                CompareOp::Ne => a != b,
                CompareOp::Lt => a < b,
                CompareOp::Le => a <= b,
                CompareOp::Gt => a > b,
                CompareOp::Ge => a >= b,
            }
        }
        pairwise!(
            a,
            b,
            |_wrap, v, w| Ok(compare(self, v, w)),
            Err(TypeError::Binary {
                op: self.name(),
                lhs: a.ty(),
                rhs: b.ty(),
            })
        )
    }
}

impl CombineOp {
    /// What stands in place of `element` once `value` has met it.
    pub fn apply(self, element: Scalar, value: Scalar) -> Result<Scalar, TypeError> {
        match self.binary() {
            Some(op) => op.apply(element, value),
            None => Ok(value),
        }
    }

    /// The value that leaves every element as it is, to the bit (so `-0.0` for `add` on floats);
    /// `None` for `replace`, which has none, and for types that the operation does not take.
    pub fn identity(self, element: ElementType) -> Option<Scalar> {
        self.check(element, ScalarType::Element(element)).ok()?;
        let ty = ScalarType::Element(element);
        let number = |v: f64| Scalar::F64(v).convert(ty);
        let (min, max) = Scalar::range(ty);
        match self {
            CombineOp::Add if element.is_float() => Some(number(-0.0)),
            CombineOp::Add | CombineOp::Sub | CombineOp::Or | CombineOp::Xor => Some(number(0.0)),
            CombineOp::Mul => Some(number(1.0)),
            CombineOp::Min => Some(max),
            CombineOp::Max => Some(min),
            CombineOp::And => Some(Scalar::from_bits(ty, u64::MAX)),
            CombineOp::Replace => None,
        }
    }
}

impl Arith<Scalar> {
    /// The result of the operation; get here by mapping each operand to its value.
    pub fn evaluate(&self) -> Result<Scalar, TypeError> {
        match *self {
            Arith::Constant(scalar) => Ok(scalar),
            Arith::Unary(op, a) => op.apply(a),
            Arith::Binary(op, a, b) => op.apply(a, b),
            Arith::Compare(op, a, b) => op.apply(a, b).map(Scalar::Bool),
            Arith::Select(condition, on_true, on_false) => match condition {
                Scalar::Bool(condition) if on_true.ty() == on_false.ty() => {
                    Ok(if condition { on_true } else { on_false })
                }
                _ => Err(TypeError::Select {
                    condition: condition.ty(),
                    on_true: on_true.ty(),
                    on_false: on_false.ty(),
                }),
            },
            Arith::Convert(a, to) => Ok(a.convert(to)),
        }
    }
}

impl Scalar {
    /// XLA's conversion; `index` as `s64`.
    pub fn convert(self, to: ScalarType) -> Scalar {
        // Both directions of every pair go through the widest type of their kind, which is exact.
        match self {
            Scalar::Index(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::Bool(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::S8(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::S16(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::S32(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::S64(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::U8(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::U16(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::U32(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::U64(v) => Scalar::from_integer(i128::from(v), to),
            Scalar::F16(v) => Scalar::from_float(v.to_f64(), to),
            Scalar::BF16(v) => Scalar::from_float(v.to_f64(), to),
            Scalar::F32(v) => Scalar::from_float(f64::from(v), to),
            Scalar::F64(v) => Scalar::from_float(v, to),
        }
    }

    /// The integer as a value of type `to`: wrapped, or rounded (to `f16` and `bf16` by way of `f32`).
    fn from_integer(v: i128, to: ScalarType) -> Scalar {
        match to {
            ScalarType::Index => Scalar::Index(v as i64),
            ScalarType::Element(element) => match element {
                ElementType::Bool => Scalar::Bool(v != 0),
                ElementType::S8 => Scalar::S8(v as i8),
                ElementType::S16 => Scalar::S16(v as i16),
                ElementType::S32 => Scalar::S32(v as i32),
                ElementType::S64 => Scalar::S64(v as i64),
                ElementType::U8 => Scalar::U8(v as u8),
                ElementType::U16 => Scalar::U16(v as u16),
                ElementType::U32 => Scalar::U32(v as u32),
                ElementType::U64 => Scalar::U64(v as u64),
                ElementType::F16 => Scalar::F16(f16::from_f32(v as f32)),
                ElementType::BF16 => Scalar::BF16(bf16::from_f32(v as f32)),
                ElementType::F32 => Scalar::F32(v as f32),
                ElementType::F64 => Scalar::F64(v as f64),
            },
        }
    }

    /// The float as a value of type `to`: saturated, or rounded (to `f16` and `bf16` by way of `f32`, as XLA does).
    fn from_float(v: f64, to: ScalarType) -> Scalar {
        match to {
            ScalarType::Index => Scalar::Index(v as i64),
            ScalarType::Element(element) => match element {
                ElementType::Bool => Scalar::Bool(v != 0.0),
                ElementType::S8 => Scalar::S8(v as i8),
                ElementType::S16 => Scalar::S16(v as i16),
                ElementType::S32 => Scalar::S32(v as i32),
                ElementType::S64 => Scalar::S64(v as i64),
                ElementType::U8 => Scalar::U8(v as u8),
                ElementType::U16 => Scalar::U16(v as u16),
                ElementType::U32 => Scalar::U32(v as u32),
                ElementType::U64 => Scalar::U64(v as u64),
                ElementType::F16 => Scalar::F16(f16::from_f32(v as f32)),
                ElementType::BF16 => Scalar::BF16(bf16::from_f32(v as f32)),
                ElementType::F32 => Scalar::F32(v as f32),
                ElementType::F64 => Scalar::F64(v),
            },
        }
    }
}

#[cfg(test)]
mod tests;
