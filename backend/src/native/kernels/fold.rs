//! Rows reduced to one value: `buffer[dst[k]] += sum of term(x[d], y[d], z[d])`, for dot products, distances and scores of triples.
//!
//! ```text
//! term = last((x first y) second z)        first, second: + - *, or nothing        last: nothing, abs, square
//! ```
//!
//! A row is added up in eight interleaved parts, on every CPU: a vector of eight, whatever the instructions. Elements behind the
//! last eight are added one by one.

use hlo2dae_ir::core::ElementType;

use super::ahead::Ahead;
use super::memory::{Memory, Outside, span};
use super::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::x86::Avx2;
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

/// How two rows meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meet {
    Add,
    Sub,
    Mul,
}

impl Meet {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Meet; 3] = [Meet::Add, Meet::Sub, Meet::Mul];
}

/// What is done to a term at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Nothing,
    Abs,
    Square,
}

/// One of up to three rows of a term.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// A buffer of `f32`.
    pub table: usize,
    /// Where the rows start, in elements; what stands behind the lookups is known ahead, for prefetching.
    pub src: &'a [i64],
    /// The row, in bytes, that stands for those whose start is negative; empty if there are none.
    pub fill: &'a [u8],
    /// How far ahead.
    pub prefetch: Prefetch,
}

/// Rows to be reduced.
#[derive(Clone, Copy)]
pub(crate) struct Folds<'a> {
    /// The rows: of the first, then how each other meets what is before it.
    pub first: Operand<'a>,
    pub others: [Option<(Meet, Operand<'a>)>; 2],
    pub last: Last,
    /// The buffer that is written, of `f32`, and where.
    pub out: usize,
    pub dst: &'a [i64],
    /// Elements of a row.
    pub size: usize,
}

/// Reduces all rows.
pub(crate) fn fold<'a>(isa: Isa, memory: &Memory<'_>, folds: &Folds<'a>) -> Result<(), Outside> {
    let n = folds.dst.len();
    if n == 0 || folds.size == 0 {
        return Ok(());
    }
    let place = |operand: &Operand<'_>| {
        let (low, high) = span(operand.src.get(..n).ok_or(Outside)?);
        // A row that is filled needs no place.
        let (low, high) = match operand.fill.len() >= folds.size * 4 {
            true if high < 0 => return Ok(operand.fill.as_ptr().cast()),
            true => (low.max(0), high),
            false => (low, high),
        };
        let raw = memory.read(operand.table, low, high, folds.size)?;
        match raw.element() {
            ElementType::F32 => Ok(raw.data().cast_const().cast::<f32>()),
            _ => Err(Outside),
        }
    };
    let (low, high) = span(folds.dst);
    let out = memory.write(folds.out, low, high, 1)?;
    if out.element() != ElementType::F32 {
        return Err(Outside);
    }
    let first = place(&folds.first)?;
    let row = |operand: Operand<'a>| place(&operand).map(|table| (table, operand));
    let [second, third] = folds.others;
    let code = |meet: Meet| meet as u8 + 1;
    let (a, y) = match second {
        Some((meet, operand)) => (code(meet), row(operand)?),
        None => (0, (first, folds.first)),
    };
    let (b, z) = match third {
        Some((meet, operand)) => (code(meet), row(operand)?),
        None => (0, y),
    };
    let ahead = |(table, operand): (*const f32, Operand<'a>)| {
        let size = folds.size;
        Ahead::new(table.cast(), operand.src, size * 4, size, operand.prefetch)
    };
    let rows = Rows {
        tables: [first, y.0, z.0],
        operands: [folds.first, y.1, z.1],
        ahead: [ahead((first, folds.first)), ahead(y), ahead(z)],
        out: out.data().cast(),
        dst: folds.dst,
        size: folds.size,
    };
    // SAFETY: all rows lie in their buffers, and so does every `dst`; the CPU has what `isa` names.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => choose_avx2(a, b, folds.last, &rows),
            _ => choose_portable(a, b, folds.last, &rows),
        }
    }
    Ok(())
}

/// [`Folds`] whose rows were checked; what is not there is something that is.
#[derive(Clone, Copy)]
struct Rows<'a> {
    tables: [*const f32; 3],
    operands: [Operand<'a>; 3],
    ahead: [Ahead<'a>; 3],
    out: *mut f32,
    dst: &'a [i64],
    size: usize,
}

/// The term of one vector of the rows: all lanes, or the first `n` of them.
///
/// # Safety
/// As for [`each`]; the rows have these elements.
#[inline(always)]
unsafe fn term<S: Simd, const A: u8, const B: u8, const L: u8, const PART: bool>(
    [x, y, z]: [*const f32; 3],
    n: usize,
) -> S::V {
    #[inline(always)]
    unsafe fn load<S: Simd, const PART: bool>(p: *const f32, n: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { if PART { S::load_part(p, n) } else { S::load(p) } }
    }
    #[inline(always)]
    unsafe fn meet<S: Simd, const HOW: u8, const PART: bool>(
        a: S::V,
        p: *const f32,
        n: usize,
    ) -> S::V {
        // SAFETY: the caller's promise.
        unsafe {
            match HOW {
                0 => a,
                1 => S::add(a, load::<S, PART>(p, n)),
                2 => S::sub(a, load::<S, PART>(p, n)),
                _ => S::mul(a, load::<S, PART>(p, n)),
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        let v = load::<S, PART>(x, n);
        let v = meet::<S, A, PART>(v, y, n);
        let v = meet::<S, B, PART>(v, z, n);
        match L {
            0 => v,
            1 => S::abs(v),
            _ => S::mul(v, v),
        }
    }
}

/// All lookups.
///
/// # Safety
/// Rows and destinations lie in their buffers; the CPU has what `S` names; its vectors have eight elements.
#[inline(always)]
unsafe fn each<S: Simd, const A: u8, const B: u8, const L: u8>(rows: &Rows<'_>) {
    // A copy that nothing else points to: its fields stay in registers.
    let rows = &{ *rows };
    let whole = rows.size / S::LANES * S::LANES;
    let rest = rows.size - whole;
    for (k, &dst) in rows.dst.iter().enumerate() {
        let [first, second, third] = &rows.ahead;
        first.fetch(k);
        if A > 0 {
            second.fetch(k);
        }
        if B > 0 {
            third.fetch(k);
        }
        // SAFETY: the caller's promise.
        unsafe {
            let starts = [0, 1, 2].map(|n: usize| {
                let src = *rows.operands[n].src.get_unchecked(k);
                match src < 0 {
                    true => rows.operands[n].fill.as_ptr().cast(),
                    false => rows.tables[n].wrapping_add(src as usize),
                }
            });
            let at = |d: usize| starts.map(|row| row.wrapping_add(d));
            let out = rows.out.wrapping_add(dst as usize);
            let old = out.read_unaligned();
            // A row of less than a vector is added to what is there, one by one.
            let mut sum = old;
            if whole > 0 {
                let mut parts = term::<S, A, B, L, false>(starts, 0);
                let mut d = S::LANES;
                while d < whole {
                    parts = S::add(parts, term::<S, A, B, L, false>(at(d), 0));
                    d += S::LANES;
                }
                sum = S::sum(parts);
            }
            if rest > 0 {
                let mut last = [0.0; 8];
                S::store(last.as_mut_ptr(), term::<S, A, B, L, true>(at(whole), rest));
                sum = last.iter().take(rest).fold(sum, |sum, v| sum + v);
            }
            out.write_unaligned(if whole > 0 { old + sum } else { sum });
        }
    }
}

/// One function for each term.
macro_rules! choices {
    ($choose:ident, $one:ident, $simd:ty, $(#[$feature:meta])?) => {
        /// # Safety
        /// As for [`each`].
        $(#[$feature])?
        unsafe fn $one<const A: u8, const B: u8, const L: u8>(rows: &Rows<'_>) {
            // SAFETY: the caller's promise.
            unsafe { each::<$simd, A, B, L>(rows) }
        }

        /// # Safety
        /// As for [`each`].
        unsafe fn $choose(a: u8, b: u8, last: Last, rows: &Rows<'_>) {
            macro_rules! third {
                ($a:literal, $b:literal) => {
                    match last {
                        Last::Nothing => $one::<$a, $b, 0>(rows),
                        Last::Abs => $one::<$a, $b, 1>(rows),
                        Last::Square => $one::<$a, $b, 2>(rows),
                    }
                };
            }
            macro_rules! second {
                ($a:literal) => {
                    match b {
                        0 => third!($a, 0),
                        1 => third!($a, 1),
                        2 => third!($a, 2),
                        _ => third!($a, 3),
                    }
                };
            }
            // SAFETY: the caller's promise.
            unsafe {
                match a {
                    0 => third!(0, 0),
                    1 => second!(1),
                    2 => second!(2),
                    _ => second!(3),
                }
            }
        }
    };
}

choices! { choose_portable, one_portable, Portable, }
#[cfg(target_arch = "x86_64")]
choices! { choose_avx2, one_avx2, Avx2, #[target_feature(enable = "avx2,f16c,bmi1,bmi2")] }

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use hlo2dae_ir::core::{Native, Scalar};
    use proptest::prelude::*;

    use super::super::memory::Bytes;
    use super::super::testing::*;
    use super::*;

    /// The definition, one element at a time.
    fn defined(terms: &[f32], old: f32) -> f32 {
        let (rounds, rest) = terms.as_chunks::<8>();
        let Some((first, rounds)) = rounds.split_first() else {
            return terms.iter().fold(old, |a, b| a + b);
        };
        let mut parts = *first;
        for round in rounds {
            parts.iter_mut().zip(round).for_each(|(part, v)| *part += v);
        }
        let [a, b, c, d, e, f, g, h] = parts;
        let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
        old + rest.iter().fold(sum, |a, b| a + b)
    }

    proptest! {
        #[test]
        fn every_version_does_what_is_defined_to_the_bit(
            size in sizes(),
            picks in prop::collection::vec((-1i64..6, -1i64..6, -1i64..6, 0i64..4), 0..20),
            meets in prop::collection::vec(prop::sample::select(&Meet::ALL[..]), 0..3),
            last in prop::sample::select(&[Last::Nothing, Last::Abs, Last::Square][..]),
            shifts in [shifts(), shifts(), shifts()],
            l2 in 0usize..20,
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let float = |v: Scalar| f32::from_scalar(v).unwrap();
            let (table, bytes) = values(&mut random, ElementType::F32, 6 * size);
            let table: Vec<f32> = table.into_iter().map(float).collect();
            let (start, out_bytes) = values(&mut random, ElementType::F32, 4);
            let mut expected: Vec<f32> = start.into_iter().map(float).collect();
            let (fill, fill_bytes) = values(&mut random, ElementType::F32, size);
            let fill: Vec<f32> = fill.into_iter().map(float).collect();
            let at = |row: i64| row * size as i64;
            let src = [
                picks.iter().map(|p| at(p.0)).collect::<Vec<_>>(),
                picks.iter().map(|p| at(p.1)).collect(),
                picks.iter().map(|p| at(p.2)).collect(),
            ];
            let dst: Vec<i64> = picks.iter().map(|p| p.3).collect();
            for (k, &dst) in dst.iter().enumerate() {
                let terms: Vec<f32> = (0..size).map(|d| {
                    let load = |n: usize| match usize::try_from(src[n][k]) {
                        Ok(start) => table[start + d],
                        Err(_) => fill[d],
                    };
                    let v = meets.iter().enumerate().fold(load(0), |v, (n, meet)| match meet {
                        Meet::Add => v + load(n + 1),
                        Meet::Sub => v - load(n + 1),
                        Meet::Mul => v * load(n + 1),
                    });
                    match last {
                        Last::Nothing => v,
                        Last::Abs => v.abs(),
                        Last::Square => v * v,
                    }
                }).collect();
                expected[dst as usize] = defined(&terms, expected[dst as usize]);
            }
            let expected: Vec<Scalar> = expected.iter().map(|v| v.scalar()).collect();
            let table = Placed::new(shifts[0], &bytes);
            let fill = Placed::new(shifts[2], &fill_bytes);
            for isa in Isa::available() {
                let mut out = Placed::new(shifts[1], &out_bytes);
                let memory = Memory::new([
                    (ElementType::F32, Bytes::Read(table.bytes())),
                    (ElementType::F32, Bytes::Write(out.bytes_mut())),
                ].into_iter());
                let operand = |n: usize| Operand {
                    table: 0, src: &src[n], fill: fill.bytes(), prefetch: Prefetch { l2, l1: l2 / 3 },
                };
                let other = |n: usize| meets.get(n).map(|&meet| (meet, operand(n + 1)));
                let folds = Folds {
                    first: operand(0), others: [other(0), other(1)], last, out: 1, dst: &dst, size,
                };
                fold(isa, &memory, &folds).unwrap();
                drop(memory);
                let differs = difference(&expected, &elements(out.bytes(), ElementType::F32));
                prop_assert!(differs.is_none(), "{isa:?}: {differs:?}");
                prop_assert!(out.is_intact());
            }
        }

        #[test]
        fn rows_outside_are_refused_and_no_others(
            (size, rows, x, y) in rows_about(),
            to in prop_oneof![3 => Just(3i64), 1 => prop::sample::select(&[-1, 4, i64::MIN, i64::MAX][..])],
            several in 0usize..3,
            filled: bool,
        ) {
            let table = Placed::new(0, &vec![0; rows * size * 4]);
            let mut out = Placed::new(0, &[0; 16]);
            let n = x.len();
            let mut dst = vec![0; n];
            if let Some(last) = dst.last_mut() {
                *last = to;
            }
            let fill = vec![0; if filled { size * 4 } else { 0 }];
            let is_row = |&at: &i64| lies_inside(at, size, rows * size) || (filled && at < 0);
            let inside = x.iter().all(is_row)
                && (several == 0 || y.iter().all(is_row))
                && dst.iter().all(|&at| lies_inside(at, 1, 4));
            for isa in Isa::available() {
                let memory = Memory::new([
                    (ElementType::F32, Bytes::Read(table.bytes())),
                    (ElementType::F32, Bytes::Write(out.bytes_mut())),
                    (ElementType::F64, Bytes::Read(table.bytes())),
                ].into_iter());
                let prefetch = Prefetch { l2: 3, l1: 1 };
                let first = Operand { table: 0, src: &x, fill: &fill, prefetch };
                let other = Some((Meet::Mul, Operand { src: &y, ..first }));
                let others = [other.filter(|_| several > 0), other.filter(|_| several > 1)];
                let folds = Folds { first, others, last: Last::Nothing, out: 1, dst: &dst, size };
                prop_assert_eq!(fold(isa, &memory, &folds), if inside { Ok(()) } else { Err(Outside) });
                // Columns that are too short, buffers that are none, are not to be written, or are not of floats.
                if let Some(n) = n.checked_sub(1) {
                    let wrong = [
                        Folds { first: Operand { src: &x[..n], ..first }, ..folds },
                        Folds { first: Operand { table: 3, fill: &[], ..first }, ..folds },
                        Folds { first: Operand { table: 2, fill: &[], ..first }, ..folds },
                        Folds { out: 0, ..folds },
                    ];
                    for folds in wrong {
                        prop_assert_eq!(fold(isa, &memory, &folds), Err(Outside));
                    }
                }
            }
        }
    }
}
