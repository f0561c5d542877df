//! Rows of a table added, or their minimum or maximum taken, into rows of `f32`.
//!
//! ```text
//! for k:  dst[k] = op(dst[k], post(f32(src[k])))        post(x) = x | s[k] * x | s[k] * x + b[k] | (x + b[k]) * s[k] | chain(x)
//! chain(x) = x then up to four of:  * y | / y | + y     y = s[k] | b[k] | constant
//! ```
//!
//! Lookups one after the other with the same `dst` form a group (a bag): its row stays in registers, eight or sixteen vectors
//! at a time, from the first lookup to the last, so that it is read and written once. Each element is combined in the order of
//! the lookups.

use std::ops::Range;

use hlo2dae_ir::core::ElementType;

use groups::{Groups, Met};

use super::ahead::{Ahead, LINE};
use super::memory::{Memory, Outside, span};
use super::simd::{Bf16, F16, F32, Portable, S8, Simd, Source, U8};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

pub(crate) mod bags;
mod groups;
mod post;
#[cfg(test)]
mod tests;

pub(crate) use groups::{Start, alike};
pub(crate) use post::{By, LONGEST, Post, Step, StepOp};

/// How a row meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Min,
    Max,
}

/// Lookups to be accumulated.
#[derive(Clone, Copy)]
pub(crate) struct Lookups<'a> {
    /// The table.
    pub table: usize,
    /// How many; what columns hold behind them is known ahead, for prefetching.
    pub n: usize,
    /// Where the rows start, in elements. Negative: the row is `fill`.
    pub src: &'a [i64],
    /// What stands for a row that is not in the table, in bytes; as long as a row, or empty.
    pub fill: &'a [u8],
    /// The buffer that is written, of `f32`.
    pub out: usize,
    /// Where its rows start.
    pub dst: &'a [i64],
    /// The first column that is done, and how many are.
    pub column: usize,
    pub size: usize,
    /// For each lookup, the first value that its post reads.
    pub scale: &'a [f32],
    /// The second one.
    pub bias: &'a [f32],
    /// How far ahead rows of the table are fetched.
    pub prefetch: Prefetch,
    /// How far ahead rows of `out` are fetched.
    pub prefetch_out: Prefetch,
}

/// Whether there is a kernel for rows of this type.
pub(crate) fn covers(element: ElementType, op: Op, post: Post) -> bool {
    let eight_bits = matches!(element, ElementType::S8 | ElementType::U8);
    let sixteen_bits = matches!(element, ElementType::F16 | ElementType::BF16);
    match (op, post) {
        (Op::Add, Post::Plain | Post::Scale) => {
            eight_bits || sixteen_bits || element == ElementType::F32
        }
        (Op::Add, Post::ScaleBias | Post::BiasScale) => eight_bits,
        (Op::Add, Post::Chain(_)) | (Op::Min | Op::Max, Post::Plain) => element == ElementType::F32,
        (Op::Min | Op::Max, Post::Scale | Post::ScaleBias | Post::BiasScale | Post::Chain(_)) => {
            false
        }
    }
}

/// Accumulates all lookups; those that come to rows from `start` on start them, which takes whole rows.
pub(crate) fn accumulate(
    isa: Isa,
    memory: &Memory<'_>,
    op: Op,
    post: Post,
    lookups: &Lookups<'_>,
    start: &mut Start,
) -> Result<(), Outside> {
    let n = lookups.n;
    if n == 0 || lookups.size == 0 {
        return Ok(());
    }
    let src = lookups.src.get(..n).ok_or(Outside)?;
    let (low, high) = span(src);
    let element = memory.raw(lookups.table).ok_or(Outside)?.element();
    let row_bytes = lookups.size * element.bytes();
    let low = if lookups.fill.len() == row_bytes {
        low.max(0)
    } else {
        low
    };
    let end = lookups.column.checked_add(lookups.size).ok_or(Outside)?;
    let rows = if high < 0 { 0 } else { end };
    let table = memory.read(lookups.table, low, high.max(low), rows)?;
    let (low, high) = span(lookups.dst.get(..n).ok_or(Outside)?);
    let out = memory.write(lookups.out, low, high, end)?;
    let (scaled, biased) = post.reads();
    if out.element() != ElementType::F32
        || !covers(element, op, post)
        || (scaled && lookups.scale.len() < n)
        || (biased && lookups.bias.len() < n)
        || start.next < 0
        || (*start != Start::DONE && lookups.column > 0)
    {
        return Err(Outside);
    }
    let from = table.data().wrapping_add(lookups.column * element.bytes());
    let to = out.data().wrapping_add(lookups.column * 4);
    let rows = Rows {
        table: from,
        src: lookups.src,
        n,
        fill: lookups.fill.as_ptr(),
        out: to.cast(),
        dst: lookups.dst,
        size: lookups.size,
        scale: lookups.scale,
        bias: lookups.bias,
        chain: match post {
            Post::Chain(steps) => steps,
            Post::Plain | Post::Scale | Post::ScaleBias | Post::BiasScale => [None; LONGEST],
        },
        // Ahead of what was checked, offsets are only prefetched, which reads nothing.
        ahead: Ahead::new(from, lookups.src, row_bytes, lookups.size, lookups.prefetch),
        ahead_out: Ahead::new(
            to,
            lookups.dst,
            lookups.size * 4,
            lookups.size,
            lookups.prefetch_out,
        ),
    };
    // SAFETY: all rows lie in their buffers, and the CPU has what `isa` names.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => choose_avx512(element, op, post, &rows, start),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => choose_avx2(element, op, post, &rows, start),
            _ => choose_portable(element, op, post, &rows, start),
        }
    }
    Ok(())
}

/// [`Lookups`] whose rows were checked.
#[derive(Clone, Copy)]
struct Rows<'a> {
    table: *const u8,
    n: usize,
    src: &'a [i64],
    fill: *const u8,
    out: *mut f32,
    dst: &'a [i64],
    size: usize,
    scale: &'a [f32],
    bias: &'a [f32],
    chain: [Option<Step>; LONGEST],
    ahead: Ahead<'a>,
    ahead_out: Ahead<'a>,
}

impl Rows<'_> {
    /// Whether most of the first lookups have another `dst` than the one before them.
    fn are_scattered(&self) -> bool {
        let first = self.dst.get(..self.n.min(64)).unwrap_or(&[]);
        let pairs = first.iter().zip(first.iter().skip(1));
        2 * pairs.filter(|(before, dst)| before != dst).count() > first.len()
    }

    /// The chain of lookup `k` on some vectors of its row.
    ///
    /// # Safety
    /// `k` is a lookup; the CPU has what `S` names.
    #[inline(always)]
    unsafe fn chained<S: Simd, const V: usize>(&self, k: usize, mut xs: [S::V; V]) -> [S::V; V] {
        for step in self.chain.iter().map_while(|step| *step) {
            // SAFETY: the caller's promise; what the chain reads has a value for every lookup.
            unsafe {
                let by = S::splat(match step.by {
                    By::Constant(value) => value,
                    By::Scale => *self.scale.get_unchecked(k),
                    By::Bias => *self.bias.get_unchecked(k),
                });
                match step.op {
                    StepOp::Mul => {
                        for x in &mut xs {
                            *x = S::mul(*x, by);
                        }
                    }
                    StepOp::Div => {
                        for x in &mut xs {
                            *x = S::div(*x, by);
                        }
                    }
                    StepOp::Add => {
                        for x in &mut xs {
                            *x = S::add(*x, by);
                        }
                    }
                }
            }
        }
        xs
    }
}

#[inline(always)]
unsafe fn combine<S: Simd, const OP: u8>(a: S::V, b: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match OP {
            0 => S::add(a, b),
            1 => S::min(a, b),
            _ => S::max(a, b),
        }
    }
}

/// Posts, as parameters; [`SCALE_BY_ROW`] is [`Post::Scale`] with a factor that is found as the row is.
const PLAIN: u8 = 0;
const SCALE: u8 = 1;
const SCALE_BIAS: u8 = 2;
const BIAS_SCALE: u8 = 3;
const CHAIN: u8 = 4;
const SCALE_BY_ROW: u8 = 5;

#[inline(always)]
unsafe fn post<S: Simd, const POST: u8>(x: S::V, s: S::V, b: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match POST {
            SCALE | SCALE_BY_ROW => S::mul(x, s),
            SCALE_BIAS => S::add(S::mul(x, s), b),
            BIAS_SCALE => S::mul(S::add(x, b), s),
            _ => x,
        }
    }
}

/// Vector `v` of a row; the `last` one has `tail` lanes.
///
/// # Safety
/// The row has them; the CPU has what `S` names.
#[inline(always)]
unsafe fn vector<S: Simd, X: Source>(row: *const u8, v: usize, last: bool, tail: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        let p = row.add(v * S::LANES * X::BYTES);
        if last && (S::PARTS && X::PARTS || tail < S::LANES) {
            X::load_part::<S>(p, tail)
        } else {
            X::load::<S>(p)
        }
    }
}

/// The part of [`columns`] in between: rows `group` into `sums`. `L2` and `L1` say what is fetched ahead.
///
/// # Safety
/// As for [`columns`]; what is fetched ahead is known.
#[inline(always)]
unsafe fn add<
    S: Simd,
    X: Source,
    const OP: u8,
    const POST: u8,
    const V: usize,
    const L2: bool,
    const L1: bool,
>(
    rows: &Rows<'_>,
    group: Range<usize>,
    first: usize,
    tail: usize,
    sums: &mut [S::V; V],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = S::LANES * X::BYTES;
        let lines = (V * bytes).div_ceil(LINE);
        let end = first + (V - 1) * S::LANES + tail;
        let ahead = rows.ahead.staged::<L2, L1>(X::BYTES, first, end);
        let table = rows.table.wrapping_add(first * X::BYTES);
        let fill = rows.fill.wrapping_add(first * X::BYTES);
        let src = rows.src.as_ptr();
        for k in group {
            let offset = *src.add(k);
            let row = match offset < 0 {
                true => fill,
                false => table.wrapping_add(offset as usize * X::BYTES),
            };
            let later = ahead.rows(k);
            let load = |v: usize| {
                if (v * bytes).is_multiple_of(LINE) {
                    later.line(v * bytes / LINE);
                }
                vector::<S, X>(row, v, v + 1 == V, tail)
            };
            if POST == CHAIN {
                let mut xs = [S::splat(0.0); V];
                for (v, x) in xs.iter_mut().enumerate() {
                    *x = load(v);
                }
                let xs = rows.chained::<S, V>(k, xs);
                for (sum, x) in sums.iter_mut().zip(xs) {
                    *sum = combine::<S, OP>(*sum, x);
                }
            } else {
                let s = S::splat(if matches!(POST, SCALE | SCALE_BIAS | BIAS_SCALE) {
                    *rows.scale.get_unchecked(k)
                } else {
                    0.0
                });
                let b = S::splat(if matches!(POST, SCALE_BIAS | BIAS_SCALE) {
                    *rows.bias.get_unchecked(k)
                } else {
                    0.0
                });
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = combine::<S, OP>(*sum, post::<S, POST>(load(v), s, b));
                }
            }
            later.rest(lines);
        }
    }
}

/// Columns `first..` of a group, `V` vectors, the last of which has `tail` lanes.
///
/// # Safety
/// The lookups `k..end` exist and have one `dst`; rows have all of these columns; the CPU has what `S` names.
#[inline(always)]
unsafe fn columns<S: Simd, X: Source, const OP: u8, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
    group: Range<usize>,
    out: *mut f32,
    first: usize,
    tail: usize,
    met: Met,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let out = out.add(first);
        let mut sums = met.begin::<S, V>(out, tail);
        let (second_end, first_end) = rows.ahead.stages(&group);
        let both_end = second_end.min(first_end);
        let both = group.start..both_end;
        add::<S, X, OP, POST, V, true, true>(rows, both, first, tail, &mut sums);
        let second = both_end..second_end;
        add::<S, X, OP, POST, V, true, false>(rows, second, first, tail, &mut sums);
        let start = both_end.max(second_end);
        add::<S, X, OP, POST, V, false, true>(rows, start..first_end, first, tail, &mut sums);
        let start = start.max(first_end);
        add::<S, X, OP, POST, V, false, false>(rows, start..group.end, first, tail, &mut sums);
        met.end::<S, V>(out, tail, sums);
    }
}

/// All groups of rows of `V` vectors, the last of them perhaps in part.
///
/// # Safety
/// All rows lie in their buffers; the CPU has what `S` names.
#[inline(always)]
unsafe fn groups<S: Simd, X: Source, const OP: u8, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
    start: &mut Start,
) {
    // A copy that nothing else points to: its fields stay in registers.
    let rows = &{ *rows };
    let tail = rows.size - (V - 1) * S::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if rows.are_scattered() {
            scattered::<S, X, OP, POST, V>(rows, start, tail);
        } else {
            grouped::<S, X, OP, POST, V>(rows, start, tail);
        }
        if start.stream {
            S::fence();
        }
    }
}

/// Lookups that have a `dst` each, most of them: nothing is done for a group.
///
/// # Safety
/// As for [`groups`].
#[inline(always)]
unsafe fn scattered<S: Simd, X: Source, const OP: u8, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
    start: &mut Start,
    tail: usize,
) {
    let lines = |width: usize| (V * S::LANES * width).div_ceil(LINE);
    for k in 0..rows.n {
        rows.ahead.fetch_behind(k, k + 1, lines(X::BYTES));
        rows.ahead_out.fetch_behind(k, k + 1, lines(4));
        // SAFETY: the caller's promise; `k` is a lookup.
        unsafe {
            let at = *rows.dst.get_unchecked(k);
            let met = start.meet(rows.out, rows.size, at, k + 1 < rows.n);
            let out = rows.out.wrapping_add(at as usize);
            let mut sums = met.begin::<S, V>(out, tail);
            add::<S, X, OP, POST, V, false, false>(rows, k..k + 1, 0, tail, &mut sums);
            met.end::<S, V>(out, tail, sums);
        }
    }
}

/// Lookups that come in groups.
///
/// # Safety
/// As for [`groups`].
#[inline(always)]
unsafe fn grouped<S: Simd, X: Source, const OP: u8, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
    start: &mut Start,
    tail: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for (group, at) in Groups::of(rows) {
            rows.ahead_out
                .fetch_behind(group.start, group.end, (V * S::LANES * 4).div_ceil(LINE));
            let met = start.meet(rows.out, rows.size, at, group.end < rows.n);
            let out = rows.out.wrapping_add(at as usize);
            columns::<S, X, OP, POST, V>(rows, group, out, 0, tail, met);
        }
    }
}

/// Bytes of rows that are added block by block before the next ones are: the first cache keeps them, and what is fetched in between comes evenly.
const TURN: usize = 8 << 10;

/// All groups of rows of more than eight vectors: a few rows at a time, block by block of eight, or of sixteen where so many stay in registers.
///
/// # Safety
/// As for [`groups`].
#[inline(always)]
unsafe fn wide_groups<S: Simd, X: Source, const OP: u8, const POST: u8>(
    rows: &Rows<'_>,
    started: &mut Start,
) {
    // A copy that nothing else points to: its fields stay in registers.
    let rows = &{ *rows };
    let (lanes, eight) = (S::LANES, 8 * S::LANES);
    let turn = (TURN / (rows.size * X::BYTES)).max(1);
    // SAFETY: the caller's promise; blocks end where rows end.
    unsafe {
        for (group, at) in Groups::of(rows) {
            rows.ahead_out.fetch_behind(group.start, group.end, 0);
            let met = started.meet(rows.out, rows.size, at, group.end < rows.n);
            let out = rows.out.wrapping_add(at as usize);
            for start in group.clone().step_by(turn) {
                let turn = start..group.end.min(start + turn);
                let met = Met {
                    start: met.start.filter(|_| start == group.start),
                    stream: met.stream && turn.end == group.end,
                };
                let mut at = 0;
                while at < rows.size {
                    let left = rows.size - at;
                    let turn = turn.clone();
                    let tail = |vectors: usize| (left - (vectors - 1) * lanes).min(lanes);
                    if S::MANY && left > eight + 7 * lanes {
                        columns::<S, X, OP, POST, 16>(rows, turn, out, at, tail(16), met);
                        at += 2 * eight;
                        continue;
                    }
                    match left.div_ceil(lanes) {
                        1 => columns::<S, X, OP, POST, 1>(rows, turn, out, at, tail(1), met),
                        2 => columns::<S, X, OP, POST, 2>(rows, turn, out, at, tail(2), met),
                        3 => columns::<S, X, OP, POST, 3>(rows, turn, out, at, tail(3), met),
                        4 => columns::<S, X, OP, POST, 4>(rows, turn, out, at, tail(4), met),
                        5 => columns::<S, X, OP, POST, 5>(rows, turn, out, at, tail(5), met),
                        6 => columns::<S, X, OP, POST, 6>(rows, turn, out, at, tail(6), met),
                        7 => columns::<S, X, OP, POST, 7>(rows, turn, out, at, tail(7), met),
                        _ => columns::<S, X, OP, POST, 8>(rows, turn, out, at, tail(8), met),
                    }
                    at += eight;
                }
            }
        }
        if started.stream {
            S::fence();
        }
    }
}

/// One function for each number of vectors of a row.
macro_rules! choices {
    ($choose:ident, $sized:ident, $simd:ty, $(#[$feature:meta])?) => {
        /// # Safety
        /// As for [`groups`].
        $(#[$feature])?
        unsafe fn $sized<X: Source, const OP: u8, const POST: u8>(
            rows: &Rows<'_>,
            start: &mut Start,
        ) {
            // SAFETY: the caller's promise, and the number of vectors.
            unsafe {
                match rows.size.div_ceil(<$simd as Simd>::LANES) {
                    1 => groups::<$simd, X, OP, POST, 1>(rows, start),
                    2 => groups::<$simd, X, OP, POST, 2>(rows, start),
                    3 => groups::<$simd, X, OP, POST, 3>(rows, start),
                    4 => groups::<$simd, X, OP, POST, 4>(rows, start),
                    5 => groups::<$simd, X, OP, POST, 5>(rows, start),
                    6 => groups::<$simd, X, OP, POST, 6>(rows, start),
                    7 => groups::<$simd, X, OP, POST, 7>(rows, start),
                    8 => groups::<$simd, X, OP, POST, 8>(rows, start),
                    _ => wide_groups::<$simd, X, OP, POST>(rows, start),
                }
            }
        }

        /// # Safety
        /// As for [`groups`]; [`covers`] says yes.
        unsafe fn $choose(
            element: ElementType,
            op: Op,
            post: Post,
            rows: &Rows<'_>,
            start: &mut Start,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                match (op, post, element) {
                    (Op::Min, _, _) => $sized::<F32, 1, PLAIN>(rows, start),
                    (Op::Max, _, _) => $sized::<F32, 2, PLAIN>(rows, start),
                    (Op::Add, Post::Plain, ElementType::S8) => $sized::<S8, 0, PLAIN>(rows, start),
                    (Op::Add, Post::Plain, ElementType::U8) => $sized::<U8, 0, PLAIN>(rows, start),
                    (Op::Add, Post::Plain, ElementType::F16) => $sized::<F16, 0, PLAIN>(rows, start),
                    (Op::Add, Post::Plain, ElementType::BF16) => $sized::<Bf16, 0, PLAIN>(rows, start),
                    (Op::Add, Post::Plain, _) => $sized::<F32, 0, PLAIN>(rows, start),
                    (Op::Add, Post::Scale, ElementType::S8) => $sized::<S8, 0, SCALE>(rows, start),
                    (Op::Add, Post::Scale, ElementType::U8) => $sized::<U8, 0, SCALE>(rows, start),
                    (Op::Add, Post::Scale, ElementType::F16) => $sized::<F16, 0, SCALE>(rows, start),
                    (Op::Add, Post::Scale, ElementType::BF16) => $sized::<Bf16, 0, SCALE>(rows, start),
                    (Op::Add, Post::Scale, _) => $sized::<F32, 0, SCALE>(rows, start),
                    (Op::Add, Post::ScaleBias, ElementType::S8) => $sized::<S8, 0, SCALE_BIAS>(rows, start),
                    (Op::Add, Post::ScaleBias, _) => $sized::<U8, 0, SCALE_BIAS>(rows, start),
                    (Op::Add, Post::BiasScale, ElementType::S8) => $sized::<S8, 0, BIAS_SCALE>(rows, start),
                    (Op::Add, Post::BiasScale, _) => $sized::<U8, 0, BIAS_SCALE>(rows, start),
                    (Op::Add, Post::Chain(_), _) => $sized::<F32, 0, CHAIN>(rows, start),
                }
            }
        }
    };
}

choices! { choose_portable, sized_portable, Portable, }
#[cfg(target_arch = "x86_64")]
choices! { choose_avx2, sized_avx2, Avx2, #[target_feature(enable = "avx2,f16c,fma,bmi1,bmi2")] }
#[cfg(target_arch = "x86_64")]
choices! { choose_avx512, sized_avx512, Avx512, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c,fma,bmi1,bmi2")] }
