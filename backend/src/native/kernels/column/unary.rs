//! Operations of one operand on columns.
//!
//! Each is what the evaluators compute, in a loop of its own: those that are arithmetic alone (the exponential of `f32` and what is made of it are) become
//! vector instructions, the others call a function for each value.

use hlo2dae_ir::core::{Scalar, TypeError, UnaryOp};

use super::{Column, Of, Operands, of, ty, versions, with_column};
use crate::native::kernels::element::Element;
use crate::native::machine::Isa;

/// `out = op(a)` for the first `n` values.
pub(super) fn unary(
    isa: Isa,
    op: UnaryOp,
    a: &Operands<'_>,
    out: &mut Column,
    n: usize,
) -> Result<(), TypeError> {
    let wrong = || TypeError::Unary {
        op: op.name(),
        operand: ty(a),
    };
    if op == UnaryOp::IsFinite {
        let Column::Bool(out) = out else {
            return Err(wrong());
        };
        let out = out.get_mut(..n).ok_or_else(wrong)?;
        match a {
            Operands::All(value) => out.fill(op.apply(*value)? == Scalar::Bool(true)),
            Operands::Each(column) => match column {
                Column::F16(a) => is_finite(isa, a, out, |a| a.is_finite()),
                Column::BF16(a) => is_finite(isa, a, out, |a| a.is_finite()),
                Column::F32(a) => is_finite(isa, a, out, |a| a.is_finite()),
                Column::F64(a) => is_finite(isa, a, out, |a| a.is_finite()),
                _ => return Err(wrong()),
            },
        }
        return Ok(());
    }
    with_column!(out, |out| {
        let a = of(a, n).ok_or_else(wrong)?;
        map(isa, op, a, out.get_mut(..n).ok_or_else(wrong)?);
    });
    Ok(())
}

versions! {
    /// `out = f(a)`.
    is_finite = is_finite_body <T: Element> (a: &[T], out: &mut [bool], f: fn(T) -> bool)
}

#[inline(always)]
fn is_finite_body<T: Element>(a: &[T], out: &mut [bool], f: fn(T) -> bool) {
    for (out, &a) in out.iter_mut().zip(a) {
        *out = f(a);
    }
}

versions! {
    /// `out = op(a)`.
    map = map_body <T: Element> (op: UnaryOp, a: Of<'_, T>, out: &mut [T])
}

#[inline(always)]
fn map_body<T: Element>(op: UnaryOp, a: Of<'_, T>, out: &mut [T]) {
    // A loop for each operation that is a few instructions; one for all others.
    macro_rules! each {
        ($($few:ident)*) => {
            match op {
                $(UnaryOp::$few => apply(UnaryOp::$few, a, out),)*
                UnaryOp::Cbrt
                | UnaryOp::Log
                | UnaryOp::Log1p
                | UnaryOp::Erf
                | UnaryOp::Sin
                | UnaryOp::Cos
                | UnaryOp::Tan
                | UnaryOp::Popcnt
                | UnaryOp::Clz
                | UnaryOp::IsFinite => apply(op, a, out),
            }
        };
    }
    each! { Abs Neg Not Sign Ceil Floor RoundNearestEven RoundNearestAfz Sqrt Rsqrt Exp Expm1 Logistic Tanh }
}

#[inline(always)]
fn apply<T: Element>(op: UnaryOp, a: Of<'_, T>, out: &mut [T]) {
    let f = |a: T| T::unary(op, a).unwrap_or(a);
    match a {
        // A closure for each value would be compiled for every CPU alike.
        Of::Each(a) => {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = f(a);
            }
        }
        Of::All(a) => out.fill(f(a)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use hlo2dae_ir::core::{Arith, ElementType, ScalarType};

    use super::super::compute;
    use super::*;

    /// Every 997th pattern of bits of `f32`, and those around the special ones.
    fn patterns() -> Vec<f32> {
        let special = [0u32, 0x7f80_0000, 0x8000_0000, 0xff80_0000, 0x7fff_ffff];
        let near = special
            .iter()
            .flat_map(|&s| (-3..=3).map(move |d| s.wrapping_add_signed(d)));
        let sample = (0..=u32::MAX).step_by(997);
        sample.chain(near).map(f32::from_bits).collect()
    }

    #[test]
    fn columns_are_what_one_value_gives() {
        let values = patterns();
        for &op in UnaryOp::ALL {
            let n = match op {
                UnaryOp::Exp | UnaryOp::Expm1 | UnaryOp::Logistic | UnaryOp::Tanh => values.len(),
                _ => 10_000,
            };
            // From the end, where the special ones are.
            let values: Vec<f32> = values.iter().rev().take(n).copied().collect();
            let Ok(first) = op.apply(Scalar::F32(1.0)) else {
                continue;
            };
            let column = Column::F32(values.clone());
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut out = Column::new(first.ty(), n);
                let arith = Arith::Unary(op, Operands::Each(&column));
                compute(isa, &arith, &mut out, n).unwrap();
                for (k, &value) in values.iter().enumerate() {
                    let expected = op.apply(Scalar::F32(value)).unwrap();
                    let found = out.get(k).unwrap();
                    let nan = |v: Scalar| matches!(v, Scalar::F32(v) if v.is_nan());
                    assert!(
                        expected == found || (nan(expected) && nan(found)),
                        "{isa:?}: {} {value:?} is {found}, expected {expected}",
                        op.name()
                    );
                }
            }
        }
    }

    #[test]
    fn all_types_that_an_operation_takes_have_columns() {
        for &op in UnaryOp::ALL {
            for &element in ElementType::ALL {
                let one = Scalar::F64(1.0).convert(element.into());
                let Ok(expected) = op.apply(one) else {
                    continue;
                };
                let mut ones = Column::new(ScalarType::Element(element), 5);
                ones.fill(5, one);
                let mut out = Column::new(expected.ty(), 5);
                let arith = Arith::Unary(op, Operands::Each(&ones));
                compute(Isa::best(), &arith, &mut out, 5).unwrap();
                assert_eq!(out.get(4), Some(expected), "{} of {element}", op.name());
            }
        }
    }
}
