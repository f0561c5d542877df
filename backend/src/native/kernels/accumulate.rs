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

use super::ahead::{Ahead, LINE};
use super::memory::{Memory, Outside, span};
use super::simd::{Bf16, F16, F32, Portable, S8, Simd, Source, U8};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

/// How a row meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Min,
    Max,
}

/// What is done to a row's elements first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Post {
    /// Nothing.
    Plain,
    /// `s * x`.
    Scale,
    /// `s * x + b`.
    ScaleBias,
    /// `(x + b) * s`.
    BiasScale,
    /// Steps one after the other, each of them rounded.
    Chain([Option<Step>; LONGEST]),
}

/// Steps of the longest chain.
pub(crate) const LONGEST: usize = 4;

/// A step of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub op: StepOp,
    pub by: By,
}

/// What a step does to an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepOp {
    Mul,
    Div,
    Add,
}

/// The other operand of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Constant(f32),
    /// The lookup's [`Lookups::scale`].
    Scale,
    /// The lookup's [`Lookups::bias`].
    Bias,
}

impl Post {
    /// Whether it reads `scale`, and `bias`.
    fn reads(self) -> (bool, bool) {
        match self {
            Post::Plain => (false, false),
            Post::Scale => (true, false),
            Post::ScaleBias | Post::BiasScale => (true, true),
            Post::Chain(steps) => {
                let by = |by: By| steps.iter().flatten().any(|step| step.by == by);
                (by(By::Scale), by(By::Bias))
            }
        }
    }
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
    /// Elements of a row.
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

/// Accumulates all lookups.
pub(crate) fn accumulate(
    isa: Isa,
    memory: &Memory<'_>,
    op: Op,
    post: Post,
    lookups: &Lookups<'_>,
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
    let table = memory.read(
        lookups.table,
        low,
        high.max(low),
        if high < 0 { 0 } else { lookups.size },
    )?;
    let (low, high) = span(lookups.dst.get(..n).ok_or(Outside)?);
    let out = memory.write(lookups.out, low, high, lookups.size)?;
    let (scaled, biased) = post.reads();
    if out.element() != ElementType::F32
        || !covers(element, op, post)
        || (scaled && lookups.scale.len() < n)
        || (biased && lookups.bias.len() < n)
    {
        return Err(Outside);
    }
    let rows = Rows {
        table: table.data(),
        src: lookups.src,
        n,
        fill: lookups.fill.as_ptr(),
        out: out.data().cast(),
        dst: lookups.dst,
        size: lookups.size,
        scale: lookups.scale,
        bias: lookups.bias,
        chain: match post {
            Post::Chain(steps) => steps,
            Post::Plain | Post::Scale | Post::ScaleBias | Post::BiasScale => [None; LONGEST],
        },
        // Ahead of what was checked, offsets are only prefetched, which reads nothing.
        ahead: Ahead::new(
            table.data(),
            lookups.src,
            row_bytes,
            lookups.size,
            lookups.prefetch,
        ),
        ahead_out: Ahead::new(
            out.data(),
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
            Isa::Avx512 => choose_avx512(element, op, post, &rows),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => choose_avx2(element, op, post, &rows),
            _ => choose_portable(element, op, post, &rows),
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

/// [`Post::Chain`], as a parameter; the other posts are numbered in their order.
const CHAIN: u8 = 4;

#[inline(always)]
unsafe fn post<S: Simd, const POST: u8>(x: S::V, s: S::V, b: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match POST {
            1 => S::mul(x, s),
            2 => S::add(S::mul(x, s), b),
            3 => S::mul(S::add(x, b), s),
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
        let ahead = rows.ahead.staged::<L2, L1>(X::BYTES);
        let bytes = S::LANES * X::BYTES;
        let lines = (V * bytes).div_ceil(LINE);
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
                let s = S::splat(if matches!(POST, 1..=3) {
                    *rows.scale.get_unchecked(k)
                } else {
                    0.0
                });
                let b = S::splat(if matches!(POST, 2 | 3) {
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

/// Columns `first..` of a group, `V` vectors, the last of which has `tail` lanes. `ahead` says whether rows are fetched ahead.
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
    ahead: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let out = out.add(first);
        let mut sums = [S::splat(0.0); V];
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = vector::<S, F32>(out.cast(), v, v + 1 == V, tail);
        }
        let mut start = group.start;
        if ahead {
            let (second_end, first_end) = rows.ahead.stages(&group);
            let both_end = second_end.min(first_end);
            add::<S, X, OP, POST, V, true, true>(rows, start..both_end, first, tail, &mut sums);
            add::<S, X, OP, POST, V, true, false>(
                rows,
                both_end..second_end,
                first,
                tail,
                &mut sums,
            );
            start = both_end.max(second_end);
            add::<S, X, OP, POST, V, false, true>(rows, start..first_end, first, tail, &mut sums);
            start = start.max(first_end);
        }
        add::<S, X, OP, POST, V, false, false>(rows, start..group.end, first, tail, &mut sums);
        for (v, sum) in sums.into_iter().enumerate() {
            let p = out.add(v * S::LANES);
            if v + 1 == V && tail < S::LANES {
                S::store_part(p, sum, tail);
            } else {
                S::store(p, sum);
            }
        }
    }
}

/// How many of the first values are the same.
#[inline(always)]
fn alike(values: &[i64]) -> usize {
    let Some((&first, _)) = values.split_first() else {
        return 0;
    };
    let mut alike = 1;
    // Many at a time; where they end at once, that is seen at the first of them.
    let many = |chunk: &&[i64; 8]| chunk.iter().fold(0, |odd, &value| odd | (value ^ first)) == 0;
    if values.get(1) == Some(&first) {
        let chunks = values.as_chunks::<8>().0;
        alike = (8 * chunks.iter().take_while(many).count()).max(1);
    }
    let rest = values.iter().skip(alike);
    alike + rest.take_while(|&&value| value == first).count()
}

/// All groups.
///
/// # Safety
/// All rows lie in their buffers; `V` vectors, the last of them perhaps in part, are what is left of a row behind
/// the blocks of eight; the CPU has what `S` names.
#[inline(always)]
unsafe fn groups<S: Simd, X: Source, const OP: u8, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
) {
    // A copy that nothing else points to: its fields stay in registers.
    let rows = &{ *rows };
    let block = 8 * S::LANES;
    let blocks = (rows.size - 1) / block;
    let tail = rows.size - blocks * block - (V - 1) * S::LANES;
    let n = rows.n;
    let mut k = 0;
    while k < n {
        // SAFETY: `k` and what follows are below `n`.
        unsafe {
            let at = *rows.dst.get_unchecked(k);
            let end = k + alike(rows.dst.get_unchecked(k..n));
            let out = rows.out.wrapping_add(at as usize);
            if blocks == 0 {
                rows.ahead_out
                    .fetch_behind(k, end, (V * S::LANES * 4).div_ceil(LINE));
                columns::<S, X, OP, POST, V>(rows, k..end, out, 0, tail, true);
            } else if S::MANY && V == 8 && blocks % 2 == 1 {
                // Sixteen at a time, and the last eight with the block before them.
                rows.ahead_out.fetch_behind(k, end, 0);
                for b in (0..=blocks).step_by(2) {
                    let tail = if b + 1 == blocks { tail } else { S::LANES };
                    columns::<S, X, OP, POST, 16>(rows, k..end, out, b * block, tail, b == 0);
                }
            } else {
                rows.ahead_out.fetch_behind(k, end, 0);
                columns::<S, X, OP, POST, 8>(rows, k..end, out, 0, S::LANES, true);
                for b in 1..blocks {
                    columns::<S, X, OP, POST, 8>(rows, k..end, out, b * block, S::LANES, false);
                }
                columns::<S, X, OP, POST, V>(rows, k..end, out, blocks * block, tail, false);
            }
            k = end;
        }
    }
}

/// One function for each number of vectors of a row.
macro_rules! choices {
    ($choose:ident, $sized:ident, $simd:ty, $(#[$feature:meta])?) => {
        /// # Safety
        /// As for [`groups`].
        $(#[$feature])?
        unsafe fn $sized<X: Source, const OP: u8, const POST: u8>(rows: &Rows<'_>) {
            let lanes = <$simd as Simd>::LANES;
            let rest = rows.size - (rows.size - 1) / (8 * lanes) * (8 * lanes);
            // SAFETY: the caller's promise, and the number of vectors that is left.
            unsafe {
                match rest.div_ceil(lanes) {
                    1 => groups::<$simd, X, OP, POST, 1>(rows),
                    2 => groups::<$simd, X, OP, POST, 2>(rows),
                    3 => groups::<$simd, X, OP, POST, 3>(rows),
                    4 => groups::<$simd, X, OP, POST, 4>(rows),
                    5 => groups::<$simd, X, OP, POST, 5>(rows),
                    6 => groups::<$simd, X, OP, POST, 6>(rows),
                    7 => groups::<$simd, X, OP, POST, 7>(rows),
                    _ => groups::<$simd, X, OP, POST, 8>(rows),
                }
            }
        }

        /// # Safety
        /// As for [`groups`]; [`covers`] says yes.
        unsafe fn $choose(element: ElementType, op: Op, post: Post, rows: &Rows<'_>) {
            // SAFETY: the caller's promise.
            unsafe {
                match (op, post, element) {
                    (Op::Min, _, _) => $sized::<F32, 1, 0>(rows),
                    (Op::Max, _, _) => $sized::<F32, 2, 0>(rows),
                    (Op::Add, Post::Plain, ElementType::S8) => $sized::<S8, 0, 0>(rows),
                    (Op::Add, Post::Plain, ElementType::U8) => $sized::<U8, 0, 0>(rows),
                    (Op::Add, Post::Plain, ElementType::F16) => $sized::<F16, 0, 0>(rows),
                    (Op::Add, Post::Plain, ElementType::BF16) => $sized::<Bf16, 0, 0>(rows),
                    (Op::Add, Post::Plain, _) => $sized::<F32, 0, 0>(rows),
                    (Op::Add, Post::Scale, ElementType::S8) => $sized::<S8, 0, 1>(rows),
                    (Op::Add, Post::Scale, ElementType::U8) => $sized::<U8, 0, 1>(rows),
                    (Op::Add, Post::Scale, ElementType::F16) => $sized::<F16, 0, 1>(rows),
                    (Op::Add, Post::Scale, ElementType::BF16) => $sized::<Bf16, 0, 1>(rows),
                    (Op::Add, Post::Scale, _) => $sized::<F32, 0, 1>(rows),
                    (Op::Add, Post::ScaleBias, ElementType::S8) => $sized::<S8, 0, 2>(rows),
                    (Op::Add, Post::ScaleBias, _) => $sized::<U8, 0, 2>(rows),
                    (Op::Add, Post::BiasScale, ElementType::S8) => $sized::<S8, 0, 3>(rows),
                    (Op::Add, Post::BiasScale, _) => $sized::<U8, 0, 3>(rows),
                    (Op::Add, Post::Chain(_), _) => $sized::<F32, 0, CHAIN>(rows),
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

#[cfg(test)]
mod tests;
