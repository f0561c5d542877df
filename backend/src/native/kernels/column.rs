//! Columns: many values of one type, and the scalar operations on all of them at once.
//!
//! A column is a block of lookups, or a tile of rows; the operations are the same. The loops are compiled for each [`Isa`].

use half::{bf16, f16};
use hlo2dae_ir::core::{Arith, BinaryOp, CompareOp, ElementType, Scalar, ScalarType, TypeError};

use super::element::Element;
use crate::native::machine::Isa;
use convert::convert;
use unary::unary;

pub(crate) mod choose;
mod convert;
pub(crate) mod index;
#[cfg(test)]
mod tests;
mod unary;

/// Values of a block of lookups: so many that what is done once for a block is little, and columns stay in the first cache.
pub(crate) const BLOCK: usize = 512;

/// The number of a value in a block.
pub(crate) type Slot = u16;

/// Values of one type; `index` is as `s64`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Bool(Vec<bool>),
    S8(Vec<i8>),
    S16(Vec<i16>),
    S32(Vec<i32>),
    S64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the vector of a column, whatever its type.
macro_rules! with_column {
    ($column:expr, |$v:ident| $body:expr) => {
        match $column {
            Column::Bool($v) => $body,
            Column::S8($v) => $body,
            Column::S16($v) => $body,
            Column::S32($v) => $body,
            Column::S64($v) => $body,
            Column::U8($v) => $body,
            Column::U16($v) => $body,
            Column::U32($v) => $body,
            Column::U64($v) => $body,
            Column::F16($v) => $body,
            Column::BF16($v) => $body,
            Column::F32($v) => $body,
            Column::F64($v) => $body,
        }
    };
}
pub(crate) use with_column;

/// Runs `$body` with the vectors of two columns of one type; `$otherwise` when their types differ.
macro_rules! with_columns {
    ($a:expr, $b:expr, |$v:ident, $w:ident| $body:expr, $otherwise:expr) => {
        match ($a, $b) {
            (Column::Bool($v), Column::Bool($w)) => $body,
            (Column::S8($v), Column::S8($w)) => $body,
            (Column::S16($v), Column::S16($w)) => $body,
            (Column::S32($v), Column::S32($w)) => $body,
            (Column::S64($v), Column::S64($w)) => $body,
            (Column::U8($v), Column::U8($w)) => $body,
            (Column::U16($v), Column::U16($w)) => $body,
            (Column::U32($v), Column::U32($w)) => $body,
            (Column::U64($v), Column::U64($w)) => $body,
            (Column::F16($v), Column::F16($w)) => $body,
            (Column::BF16($v), Column::BF16($w)) => $body,
            (Column::F32($v), Column::F32($w)) => $body,
            (Column::F64($v), Column::F64($w)) => $body,
            _ => $otherwise,
        }
    };
}

impl Column {
    /// `n` zeros.
    pub fn new(ty: ScalarType, n: usize) -> Column {
        match ty {
            ScalarType::Index => Column::S64(vec![0; n]),
            ScalarType::Element(element) => match element {
                ElementType::Bool => Column::Bool(vec![false; n]),
                ElementType::S8 => Column::S8(vec![0; n]),
                ElementType::S16 => Column::S16(vec![0; n]),
                ElementType::S32 => Column::S32(vec![0; n]),
                ElementType::S64 => Column::S64(vec![0; n]),
                ElementType::U8 => Column::U8(vec![0; n]),
                ElementType::U16 => Column::U16(vec![0; n]),
                ElementType::U32 => Column::U32(vec![0; n]),
                ElementType::U64 => Column::U64(vec![0; n]),
                ElementType::F16 => Column::F16(vec![f16::ZERO; n]),
                ElementType::BF16 => Column::BF16(vec![bf16::ZERO; n]),
                ElementType::F32 => Column::F32(vec![0.0; n]),
                ElementType::F64 => Column::F64(vec![0.0; n]),
            },
        }
    }

    /// No values of type `bool`: what stands in for a column that is worked on.
    pub const fn none() -> Column {
        Column::Bool(Vec::new())
    }

    /// Values that it holds.
    pub fn len(&self) -> usize {
        with_column!(self, |v| v.len())
    }

    /// The value at a position.
    pub fn get(&self, k: usize) -> Option<Scalar> {
        use hlo2dae_ir::core::Native;
        with_column!(self, |v| v.get(k).map(|v| v.scalar()))
    }

    /// Makes the first `n` values this one (an `index` in a column of `s64`).
    pub fn fill(&mut self, n: usize, value: Scalar) {
        use hlo2dae_ir::core::Native;
        fn set<T: Native>(v: &mut [T], n: usize, value: Scalar) {
            if let Some(value) = T::from_scalar(value) {
                v.iter_mut().take(n).for_each(|v| *v = value);
            }
        }
        let value = match value {
            Scalar::Index(v) => Scalar::S64(v),
            other => other,
        };
        with_column!(self, |v| set(v, n, value));
    }

    /// The values of a column of `index` or `s64`.
    pub fn as_index(&self) -> &[i64] {
        match self {
            Column::S64(v) => v,
            _ => &[],
        }
    }

    /// The values of a column of `bool`.
    pub fn as_bool(&self) -> &[bool] {
        match self {
            Column::Bool(v) => v,
            _ => &[],
        }
    }

    /// The values of a column of `f32`.
    pub fn as_f32(&self) -> &[f32] {
        match self {
            Column::F32(v) => v,
            _ => &[],
        }
    }

    /// The first values become `from[which[k]]`; `from` is a block.
    pub fn pick(&mut self, from: &Column, which: &[Slot]) {
        with_columns!(
            self,
            from,
            |v, w| if let Some(w) = w.first_chunk::<BLOCK>() {
                for (v, &k) in v.iter_mut().zip(which) {
                    *v = w[usize::from(k) % BLOCK];
                }
            },
            ()
        );
    }

    /// The same by runs: `count` copies of `from[which]`, one behind the other.
    pub fn pick_runs(&mut self, from: &Column, runs: impl IntoIterator<Item = (Slot, usize)>) {
        with_columns!(
            self,
            from,
            |v, w| {
                let mut rest = v.as_mut_slice();
                for (which, count) in runs {
                    let Some((run, behind)) = rest.split_at_mut_checked(count) else {
                        return;
                    };
                    if let Some(&value) = w.get(usize::from(which)) {
                        run.fill(value);
                    }
                    rest = behind;
                }
            },
            ()
        );
    }

    /// `size` copies of each of the first `n` values of `from`, one behind the other.
    pub fn spread(&mut self, from: &Column, first: usize, n: usize, size: usize) {
        with_columns!(
            self,
            from,
            |v, w| for (row, &value) in v
                .chunks_exact_mut(size.max(1))
                .zip(w.iter().skip(first).take(n))
            {
                row.fill(value);
            },
            ()
        );
    }

    /// The values of these numbers, in their order, instead of all that it holds.
    pub fn take_from(&mut self, from: &Column, which: &[u32]) {
        with_columns!(
            self,
            from,
            |v, w| {
                let picked = which.iter().map(|&k| w.get(k as usize).copied());
                v.clear();
                v.extend(picked.map(Option::unwrap_or_default));
            },
            ()
        );
    }

    /// Appends the values of `from`, a block, at the positions `which`, or all of the first `n`.
    pub fn append(&mut self, from: &Column, n: usize, which: Option<&[Slot]>) {
        with_columns!(
            self,
            from,
            |v, w| match which {
                Some(which) =>
                    if let Some(w) = w.first_chunk::<BLOCK>() {
                        v.extend(which.iter().map(|&k| w[usize::from(k) % BLOCK]));
                    },
                None => v.extend_from_slice(w.get(..n).unwrap_or(w)),
            },
            ()
        );
    }

    /// Appends `n` times a value.
    pub fn append_value(&mut self, n: usize, value: Scalar) {
        use hlo2dae_ir::core::Native;
        fn push<T: Native>(v: &mut Vec<T>, n: usize, value: Scalar) {
            if let Some(value) = T::from_scalar(value) {
                v.extend(std::iter::repeat_n(value, n));
            }
        }
        let value = match value {
            Scalar::Index(v) => Scalar::S64(v),
            other => other,
        };
        with_column!(self, |v| push(v, n, value));
    }

    /// Forgets the first `n` values.
    pub fn drop_front(&mut self, n: usize) {
        with_column!(self, |v| {
            let n = n.min(v.len());
            v.drain(..n);
        });
    }
}

/// An operand: a column, or one value everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operands<'a> {
    /// A value for each position.
    Each(&'a Column),
    /// One for all.
    All(Scalar),
}

/// One operand of a type.
#[derive(Clone, Copy)]
enum Of<'a, T> {
    Each(&'a [T]),
    All(T),
}

/// Computes the first `n` values of `out`, a column of the result's type.
pub(crate) fn compute(
    isa: Isa,
    arith: &Arith<Operands<'_>>,
    out: &mut Column,
    n: usize,
) -> Result<(), TypeError> {
    match arith {
        Arith::Constant(value) => {
            out.fill(n, *value);
            Ok(())
        }
        Arith::Unary(op, a) => unary(isa, *op, a, out, n),
        Arith::Binary(op, a, b) => {
            let wrong = || TypeError::Binary {
                op: op.name(),
                lhs: ty(a),
                rhs: ty(b),
            };
            with_column!(out, |out| {
                let (Some(a), Some(b)) = (of(a, n), of(b, n)) else {
                    return Err(wrong());
                };
                let out = out.get_mut(..n).ok_or_else(wrong)?;
                binary(isa, *op, a, b, out);
            });
            Ok(())
        }
        Arith::Compare(op, a, b) => compare(isa, *op, a, b, out, n),
        Arith::Select(condition, a, b) => {
            let wrong = || TypeError::Select {
                condition: ty(condition),
                on_true: ty(a),
                on_false: ty(b),
            };
            let condition = of::<bool>(condition, n).ok_or_else(wrong)?;
            with_column!(out, |out| {
                let (Some(a), Some(b)) = (of(a, n), of(b, n)) else {
                    return Err(wrong());
                };
                let out = out.get_mut(..n).ok_or_else(wrong)?;
                select(isa, condition, a, b, out);
            });
            Ok(())
        }
        Arith::Convert(a, to) => {
            convert(isa, a, *to, out, n);
            Ok(())
        }
    }
}

fn ty(operand: &Operands<'_>) -> ScalarType {
    match operand {
        Operands::All(value) => value.ty(),
        Operands::Each(column) => column.get(0).map_or(ScalarType::BOOL, Scalar::ty),
    }
}

/// The operand as one of type `T`.
fn of<'a, T: Element>(operand: &Operands<'a>, n: usize) -> Option<Of<'a, T>> {
    match operand {
        Operands::All(Scalar::Index(v)) => T::from_scalar(Scalar::S64(*v)).map(Of::All),
        Operands::All(value) => T::from_scalar(*value).map(Of::All),
        Operands::Each(column) => slice::<T>(column)?.get(..n).map(Of::Each),
    }
}

/// The values of a column of type `T`.
fn slice<T: Element>(column: &Column) -> Option<&[T]> {
    with_column!(column, |v| (v as &dyn std::any::Any)
        .downcast_ref::<Vec<T>>()
        .map(Vec::as_slice))
}

/// Makes a function that runs `$body` as it was compiled for the CPU.
macro_rules! versions {
    ($(#[$doc:meta])* $name:ident = $body:ident $(<$($t:ident: $bound:path),+>)? ($($arg:ident: $ty:ty),*) $(-> $result:ty)?) => {
        $(#[$doc])*
        fn $name $(<$($t: $bound),+>)? (isa: Isa, $($arg: $ty),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2")]
            fn avx2 $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $result)? {
                $body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2")]
            fn avx512 $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $result)? {
                $body($($arg),*)
            }
            // SAFETY: an `Isa` beyond the portable one is used where the CPU has it.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2($($arg),*),
                    _ => $body($($arg),*),
                }
            }
        }
    };
}
use versions;

versions! {
    /// `out = op(a, b)`.
    binary = binary_body <T: Element> (op: BinaryOp, a: Of<'_, T>, b: Of<'_, T>, out: &mut [T])
}

#[inline(always)]
fn binary_body<T: Element>(op: BinaryOp, a: Of<'_, T>, b: Of<'_, T>, out: &mut [T]) {
    match op {
        BinaryOp::Add => zip(a, b, out, |a, b| T::apply(BinaryOp::Add, a, b)),
        BinaryOp::Sub => zip(a, b, out, |a, b| T::apply(BinaryOp::Sub, a, b)),
        BinaryOp::Mul => zip(a, b, out, |a, b| T::apply(BinaryOp::Mul, a, b)),
        BinaryOp::Min => zip(a, b, out, |a, b| T::apply(BinaryOp::Min, a, b)),
        BinaryOp::Max => zip(a, b, out, |a, b| T::apply(BinaryOp::Max, a, b)),
        BinaryOp::And => zip(a, b, out, |a, b| T::apply(BinaryOp::And, a, b)),
        BinaryOp::Or => zip(a, b, out, |a, b| T::apply(BinaryOp::Or, a, b)),
        BinaryOp::Div => zip(a, b, out, |a, b| T::apply(BinaryOp::Div, a, b)),
        BinaryOp::Rem
        | BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::Xor
        | BinaryOp::Shl
        | BinaryOp::ShrArithmetic
        | BinaryOp::ShrLogical => zip(a, b, out, |a, b| T::apply(op, a, b)),
    }
}

#[inline(always)]
fn zip<T: Copy, U>(a: Of<'_, T>, b: Of<'_, T>, out: &mut [U], f: impl Fn(T, T) -> U) {
    match (a, b) {
        (Of::Each(a), Of::Each(b)) => {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(a, b);
            }
        }
        (Of::Each(a), Of::All(b)) => {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = f(a, b);
            }
        }
        (Of::All(a), Of::Each(b)) => {
            for (out, &b) in out.iter_mut().zip(b) {
                *out = f(a, b);
            }
        }
        (Of::All(a), Of::All(b)) => {
            for out in out {
                *out = f(a, b);
            }
        }
    }
}

versions! {
    /// `out = if condition { a } else { b }`.
    select = select_body <T: Element> (condition: Of<'_, bool>, a: Of<'_, T>, b: Of<'_, T>, out: &mut [T])
}

#[inline(always)]
fn select_body<T: Element>(condition: Of<'_, bool>, a: Of<'_, T>, b: Of<'_, T>, out: &mut [T]) {
    let condition = match condition {
        Of::Each(condition) => condition,
        Of::All(condition) => {
            return zip(a, b, out, |a, b| if condition { a } else { b });
        }
    };
    match (a, b) {
        (Of::Each(a), Of::Each(b)) => {
            for (((out, &c), &a), &b) in out.iter_mut().zip(condition).zip(a).zip(b) {
                *out = if c { a } else { b };
            }
        }
        (Of::Each(a), Of::All(b)) => {
            for ((out, &c), &a) in out.iter_mut().zip(condition).zip(a) {
                *out = if c { a } else { b };
            }
        }
        (Of::All(a), Of::Each(b)) => {
            for ((out, &c), &b) in out.iter_mut().zip(condition).zip(b) {
                *out = if c { a } else { b };
            }
        }
        (Of::All(a), Of::All(b)) => {
            for (out, &c) in out.iter_mut().zip(condition) {
                *out = if c { a } else { b };
            }
        }
    }
}

versions! {
    /// `out = op(a, b)`.
    compare_of = compare_body <T: Element> (op: CompareOp, a: Of<'_, T>, b: Of<'_, T>, out: &mut [bool])
}

#[inline(always)]
fn compare_body<T: Element>(op: CompareOp, a: Of<'_, T>, b: Of<'_, T>, out: &mut [bool]) {
    match op {
        CompareOp::Eq => zip(a, b, out, |a, b| a == b),
        CompareOp::Ne => zip(a, b, out, |a, b| a != b),
        CompareOp::Lt => zip(a, b, out, |a, b| a < b),
        CompareOp::Le => zip(a, b, out, |a, b| a <= b),
        CompareOp::Gt => zip(a, b, out, |a, b| a > b),
        CompareOp::Ge => zip(a, b, out, |a, b| a >= b),
    }
}

fn compare(
    isa: Isa,
    op: CompareOp,
    a: &Operands<'_>,
    b: &Operands<'_>,
    out: &mut Column,
    n: usize,
) -> Result<(), TypeError> {
    let wrong = || TypeError::Binary {
        op: op.name(),
        lhs: ty(a),
        rhs: ty(b),
    };
    let Column::Bool(out) = out else {
        return Err(wrong());
    };
    let out = out.get_mut(..n).ok_or_else(wrong)?;
    macro_rules! on {
        ($($t:ty)*) => {$(
            if let (Some(a), Some(b)) = (of::<$t>(a, n), of::<$t>(b, n)) {
                compare_of(isa, op, a, b, out);
                return Ok(());
            }
        )*};
    }
    on!(i64 i32 u32 f32 bool i8 i16 u8 u16 u64 f16 bf16 f64);
    Err(wrong())
}
