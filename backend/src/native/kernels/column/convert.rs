//! Conversions of columns.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use hlo2dae_ir::core::{Scalar, ScalarType};

use super::{Column, Operands, versions, with_column};
use crate::native::kernels::element::Element;
use crate::native::machine::Isa;

/// XLA's conversion of every value.
pub(super) fn convert(isa: Isa, a: &Operands<'_>, to: ScalarType, out: &mut Column, n: usize) {
    let column = match a {
        Operands::All(value) => return out.fill(n, value.convert(to)),
        Operands::Each(column) => *column,
    };
    if cast(isa, column, out, n) {
        return;
    }
    for k in 0..n {
        let Some(value) = column.get(k) else { return };
        let value = match value.convert(to) {
            Scalar::Index(v) => Scalar::S64(v),
            other => other,
        };
        with_column!(&mut *out, |v| set(v, k, value));
    }
}

versions! {
    /// Converts the first `n` values, if there is a loop for the two types.
    cast = cast_body (column: &Column, out: &mut Column, n: usize) -> bool
}

/// The pairs that address arithmetic and narrow tables have.
#[inline(always)]
fn cast_body(column: &Column, out: &mut Column, n: usize) -> bool {
    macro_rules! cast {
        ($($from:ident $to:ident $t:ty),* $(,)?) => {
            match (column, &mut *out) {
                $((Column::$from(a), Column::$to(out)) => {
                    for (out, &a) in out.iter_mut().zip(a).take(n) {
                        *out = a as $t;
                    }
                })*
                (Column::F16(a), Column::F32(out)) => {
                    if let (Some(a), Some(out)) = (a.get(..n), out.get_mut(..n)) {
                        a.convert_to_f32_slice(out);
                    }
                }
                (Column::BF16(a), Column::F32(out)) => {
                    for (out, a) in out.iter_mut().zip(a).take(n) {
                        *out = a.to_f32();
                    }
                }
                (Column::F32(a), Column::F16(out)) => {
                    if let (Some(a), Some(out)) = (a.get(..n), out.get_mut(..n)) {
                        out.convert_from_f32_slice(a);
                    }
                }
                (Column::F32(a), Column::BF16(out)) => {
                    for (out, &a) in out.iter_mut().zip(a).take(n) {
                        *out = bf16::from_f32(a);
                    }
                }
                _ => return false,
            }
        };
    }
    cast! {
        S32 S64 i64, S64 S64 i64, U32 S64 i64, S8 S64 i64, U8 S64 i64, S16 S64 i64, U16 S64 i64, U64 S64 i64,
        S64 S32 i32, S32 S32 i32, S8 S32 i32, U8 S32 i32, U32 S32 i32,
        S8 F32 f32, U8 F32 f32, S32 F32 f32, S64 F32 f32, U32 F32 f32,
        F32 F64 f64, F64 F32 f32, F32 F32 f32, F32 S32 i32, S32 F64 f64,
    }
    true
}

/// Sets one value.
fn set<T: Element>(v: &mut [T], k: usize, value: Scalar) {
    if let (Some(slot), Some(value)) = (v.get_mut(k), T::from_scalar(value)) {
        *slot = value;
    }
}
