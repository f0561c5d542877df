//! Indices decoded: wrapped, bounded and scaled in one pass.

use hlo2dae_ir::core::TypeError;

use super::{Column, versions};
use crate::native::machine::Isa;

/// What is made of an index `x`: with `w = if x < 0 { x + wrap } else { x }`, see [`Bounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decode {
    /// What is added to a negative index: the size of the dimension where indices count from its end, or 0.
    pub wrap: i64,
    pub low: i64,
    pub high: i64,
    pub bounds: Bounds,
}

/// What the bounds are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// `scale * min(max(w, low), high)`.
    Clamp { scale: i64 },
    /// `scale * w` within the bounds, `elsewhere` outside of them.
    Select { scale: i64, elsewhere: i64 },
    /// Whether `w` is within the bounds.
    Inside,
}

impl Decode {
    /// The index as it is.
    pub const AS_IT_IS: Decode = Decode {
        wrap: 0,
        low: i64::MIN,
        high: i64::MAX,
        bounds: Bounds::Clamp { scale: 1 },
    };

    fn wrapped(self, x: i64) -> i64 {
        x.wrapping_add(if x < 0 { self.wrap } else { 0 })
    }

    fn holds(self, w: i64) -> bool {
        (self.low <= w) & (w <= self.high)
    }
}

/// Decodes the first `n` values of a column of integers into one of `index`, or of `bool` for [`Bounds::Inside`].
pub(crate) fn decode(
    isa: Isa,
    decode: Decode,
    column: &Column,
    out: &mut Column,
    n: usize,
) -> Result<(), TypeError> {
    let done = match column {
        Column::S32(x) => into(isa, decode, x, out, n),
        Column::U32(x) => into(isa, decode, x, out, n),
        Column::S64(x) => into(isa, decode, x, out, n),
        _ => None,
    };
    done.ok_or(TypeError::Unary {
        op: "decode",
        operand: super::ty(&super::Operands::Each(column)),
    })
}

/// None if the columns do not fit.
fn into<T: IntoIndex>(isa: Isa, decode: Decode, x: &[T], out: &mut Column, n: usize) -> Option<()> {
    let x = x.get(..n)?;
    match (decode.bounds, out) {
        (Bounds::Clamp { scale }, Column::S64(out)) => {
            clamp(isa, decode, scale, x, out.get_mut(..n)?)
        }
        (Bounds::Select { scale, elsewhere }, Column::S64(out)) => {
            select(isa, decode, scale, elsewhere, x, out.get_mut(..n)?);
        }
        (Bounds::Inside, Column::Bool(out)) => inside(isa, decode, x, out.get_mut(..n)?),
        _ => return None,
    }
    Some(())
}

versions! {
    clamp = clamp_body <T: IntoIndex> (decode: Decode, scale: i64, x: &[T], out: &mut [i64])
}

#[inline(always)]
fn clamp_body<T: IntoIndex>(decode: Decode, scale: i64, x: &[T], out: &mut [i64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = decode
            .wrapped(x.into())
            .max(decode.low)
            .min(decode.high)
            .wrapping_mul(scale);
    }
}

versions! {
    select = select_body <T: IntoIndex> (decode: Decode, scale: i64, elsewhere: i64, x: &[T], out: &mut [i64])
}

#[inline(always)]
fn select_body<T: IntoIndex>(decode: Decode, scale: i64, elsewhere: i64, x: &[T], out: &mut [i64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        let w = decode.wrapped(x.into());
        let offset = w.wrapping_mul(scale);
        *out = if decode.holds(w) { offset } else { elsewhere };
    }
}

versions! {
    inside = inside_body <T: IntoIndex> (decode: Decode, x: &[T], out: &mut [bool])
}

#[inline(always)]
fn inside_body<T: IntoIndex>(decode: Decode, x: &[T], out: &mut [bool]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = decode.holds(decode.wrapped(x.into()));
    }
}

/// An integer that is an `index` without loss.
trait IntoIndex: Copy + Into<i64> {}
impl<T: Copy + Into<i64>> IntoIndex for T {}
