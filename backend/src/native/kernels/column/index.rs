//! Indices decoded: wrapped, bounded and scaled in one pass.

use hlo2dae_ir::core::TypeError;

use super::{Column, versions};
use crate::native::kernels::element::Element;
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
    /// What is made of one index; whether it is inside as 0 or 1.
    pub fn of(self, x: i64) -> i64 {
        let numbers = Numbers::of(self);
        let w = numbers.wrapped(x);
        match self.bounds {
            Bounds::Clamp { .. } => w.max(numbers.low).min(numbers.high).times(numbers.scale),
            Bounds::Select { .. } if numbers.holds(w) => w.times(numbers.scale),
            Bounds::Select { elsewhere, .. } => elsewhere,
            Bounds::Inside => i64::from(numbers.holds(w)),
        }
    }

    /// The index as it is.
    pub const AS_IT_IS: Decode = Decode {
        wrap: 0,
        low: i64::MIN,
        high: i64::MAX,
        bounds: Bounds::Clamp { scale: 1 },
    };
}

/// Where decoded indices go.
pub(crate) enum Decoded<'a> {
    Index(&'a mut [i64]),
    /// For [`Bounds::Inside`].
    Inside(&'a mut [bool]),
}

impl<'a> Decoded<'a> {
    /// The values of a column of `index` or `bool`.
    pub fn of(column: &'a mut Column) -> Option<Decoded<'a>> {
        match column {
            Column::S64(out) => Some(Decoded::Index(out)),
            Column::Bool(out) => Some(Decoded::Inside(out)),
            _ => None,
        }
    }

    /// The first `n` places, which are taken off.
    pub fn take(&mut self, n: usize) -> Option<Decoded<'a>> {
        fn first<'a, T>(out: &mut &'a mut [T], n: usize) -> Option<&'a mut [T]> {
            let (first, rest) = std::mem::take(out).split_at_mut_checked(n)?;
            *out = rest;
            Some(first)
        }
        match self {
            Decoded::Index(out) => first(out, n).map(Decoded::Index),
            Decoded::Inside(out) => first(out, n).map(Decoded::Inside),
        }
    }
}

/// An integer that indices are decoded from.
pub(crate) trait Coded: Element {
    /// Decodes all of `x`; none if it does not fit `out`.
    fn decode(isa: Isa, decode: Decode, x: &[Self], out: Decoded<'_>) -> Option<()>;
}

impl Coded for i32 {
    fn decode(isa: Isa, decode: Decode, x: &[i32], out: Decoded<'_>) -> Option<()> {
        match Numbers::<i32>::narrow(decode) {
            Some(narrow) => into(isa, narrow, decode.bounds, x, out),
            None => into(isa, Numbers::of(decode), decode.bounds, x, out),
        }
    }
}

impl Coded for u32 {
    fn decode(isa: Isa, decode: Decode, x: &[u32], out: Decoded<'_>) -> Option<()> {
        into(isa, Numbers::of(decode), decode.bounds, x, out)
    }
}

impl Coded for i64 {
    fn decode(isa: Isa, decode: Decode, x: &[i64], out: Decoded<'_>) -> Option<()> {
        into(isa, Numbers::of(decode), decode.bounds, x, out)
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
    let out = Decoded::of(out).and_then(|mut out| out.take(n));
    let done = out.and_then(|out| match column {
        Column::S32(x) => i32::decode(isa, decode, x.get(..n)?, out),
        Column::U32(x) => u32::decode(isa, decode, x.get(..n)?, out),
        Column::S64(x) => i64::decode(isa, decode, x.get(..n)?, out),
        _ => None,
    });
    done.ok_or(TypeError::Unary {
        op: "decode",
        operand: super::ty(&super::Operands::Each(column)),
    })
}

/// None if there are not as many places, or of another kind.
fn into<T: In<L>, L: Lane>(
    isa: Isa,
    numbers: Numbers<L>,
    bounds: Bounds,
    x: &[T],
    out: Decoded<'_>,
) -> Option<()> {
    let n = x.len();
    match (bounds, out) {
        (Bounds::Clamp { .. }, Decoded::Index(out)) => clamp(isa, numbers, x, out.get_mut(..n)?),
        (Bounds::Select { elsewhere, .. }, Decoded::Index(out)) => {
            select(isa, numbers, elsewhere, x, out.get_mut(..n)?);
        }
        (Bounds::Inside, Decoded::Inside(out)) => inside(isa, numbers, x, out.get_mut(..n)?),
        (Bounds::Clamp { .. } | Bounds::Select { .. } | Bounds::Inside, _) => return None,
    }
    Some(())
}

/// The numbers of a [`Decode`], as wide as it is computed.
#[derive(Clone, Copy)]
pub(crate) struct Numbers<L> {
    pub wrap: L,
    pub low: L,
    pub high: L,
    pub scale: L,
}

impl Numbers<i64> {
    fn of(decode: Decode) -> Numbers<i64> {
        let Decode {
            wrap,
            low,
            high,
            bounds,
        } = decode;
        let scale = match bounds {
            Bounds::Clamp { scale } | Bounds::Select { scale, .. } => scale,
            Bounds::Inside => 1,
        };
        Numbers {
            wrap,
            low,
            high,
            scale,
        }
    }
}

impl Numbers<i32> {
    /// The same in 32 bits, in which a vector has twice the lanes, and in which every CPU compares and multiplies, if an index of that width is
    /// decoded so: what is added to a negative one is not, so that no sum leaves them.
    pub fn narrow(decode: Decode) -> Option<Numbers<i32>> {
        let wide = Numbers::of(decode);
        let numbers = Numbers {
            wrap: wide.wrap.try_into().ok().filter(|&wrap: &i32| wrap >= 0)?,
            low: wide.low.max(i32::MIN.into()).try_into().ok()?,
            high: wide.high.min(i32::MAX.into()).try_into().ok()?,
            scale: wide.scale.try_into().ok()?,
        };
        Some(numbers)
    }
}

impl<L: Lane> Numbers<L> {
    #[inline(always)]
    fn wrapped(self, x: L) -> L {
        x.plus(if x < L::default() {
            self.wrap
        } else {
            L::default()
        })
    }

    #[inline(always)]
    fn holds(self, w: L) -> bool {
        (self.low <= w) & (w <= self.high)
    }
}

/// An integer that becomes one of type `L` without loss.
trait In<L>: Copy + Into<L> {}
impl<T: Copy + Into<L>, L> In<L> for T {}

/// An integer that indices are computed in.
pub(crate) trait Lane: Copy + Ord + Default {
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> i64;
}

impl Lane for i32 {
    #[inline(always)]
    fn plus(self, other: i32) -> i32 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn times(self, other: i32) -> i64 {
        i64::from(self) * i64::from(other)
    }
}

impl Lane for i64 {
    #[inline(always)]
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn times(self, other: i64) -> i64 {
        self.wrapping_mul(other)
    }
}

versions! {
    clamp = clamp_body <T: In<L>, L: Lane> (numbers: Numbers<L>, x: &[T], out: &mut [i64])
}

#[inline(always)]
fn clamp_body<T: In<L>, L: Lane>(numbers: Numbers<L>, x: &[T], out: &mut [i64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        let w = numbers.wrapped(x.into());
        *out = w.max(numbers.low).min(numbers.high).times(numbers.scale);
    }
}

versions! {
    select = select_body <T: In<L>, L: Lane> (numbers: Numbers<L>, elsewhere: i64, x: &[T], out: &mut [i64])
}

#[inline(always)]
fn select_body<T: In<L>, L: Lane>(numbers: Numbers<L>, elsewhere: i64, x: &[T], out: &mut [i64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        let w = numbers.wrapped(x.into());
        let offset = w.times(numbers.scale);
        *out = if numbers.holds(w) { offset } else { elsewhere };
    }
}

versions! {
    inside = inside_body <T: In<L>, L: Lane> (numbers: Numbers<L>, x: &[T], out: &mut [bool])
}

#[inline(always)]
fn inside_body<T: In<L>, L: Lane>(numbers: Numbers<L>, x: &[T], out: &mut [bool]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = numbers.holds(numbers.wrapped(x.into()));
    }
}
