//! Bags whose indices lie in memory in order: rows are added as indices are read.
//!
//! ```text
//! for each bag, for k < n:  out[dst..] += post(f32(table[decode(ids[first + k])..]))
//! ```
//!
//! Nothing is decoded beforehand: a row costs a few instructions more, which cores do while they wait for memory, and the indices of all rows that come
//! next are there, across the borders of bags and of calls. Rows have at most eight vectors. Posts are as in [`super`] but for chains.

use hlo2dae_ir::core::ElementType;

use super::super::ahead::{LINE, Later, fetch, lines};
use super::super::column::index::{Bounds, Decode, Numbers};
use super::super::memory::{Memory, Outside};
use super::super::simd::{Bf16, F16, F32, Portable, S8, Simd, Source, U8};
#[cfg(target_arch = "x86_64")]
use super::super::x86::{Avx2, Avx512};
use super::{
    BIAS_SCALE, Met, Op, PLAIN, Post, SCALE, SCALE_BIAS, SCALE_BY_ROW, Start, covers, post, vector,
};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

#[cfg(test)]
mod tests;

/// Lookups that are added to one row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bag {
    /// The first index, in elements of `ids`.
    pub first: i64,
    pub n: usize,
    /// The first factor, if each position or lookup has one.
    pub factor: i64,
    /// Where the row starts, in elements of `out`.
    pub dst: i64,
}

/// The buffer of a factor, or its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Factor<'a> {
    /// One for each index, beside it.
    Position(usize),
    /// One for each row.
    Row(usize),
    /// One for each lookup.
    Each(&'a [f32]),
}

/// Bags of rows of one table; buffers by number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bags<'a> {
    pub table: usize,
    /// Of `s32`.
    pub ids: usize,
    /// Clamps; the scale is the number of elements from a row of the table to the next.
    pub decode: Decode,
    /// Those that rows are scaled by, and that are added to them; of `f32`.
    pub factors: [Option<Factor<'a>>; 2],
    /// Of `f32`.
    pub out: usize,
    /// Elements of a row.
    pub size: usize,
    pub bags: &'a [Bag],
    /// How far ahead rows of the table are fetched.
    pub prefetch: Prefetch,
    /// The index behind the last one whose row was fetched, if it was.
    pub fetched: Option<i64>,
}

impl Bags<'_> {
    /// Whether there is a kernel for them, whatever the bags.
    pub fn covered(&self, isa: Isa, memory: &Memory<'_>, post: Post) -> bool {
        self.checked(isa, memory, post).is_ok()
    }

    /// All but the bags checked, with the kernel's element type and parameter.
    fn checked<'a>(
        &'a self,
        isa: Isa,
        memory: &'a Memory<'_>,
        post: Post,
    ) -> Result<(ElementType, u8, Rows<'a>), Outside> {
        let lanes = match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::LANES,
            _ => Portable::LANES,
        };
        let element = memory.raw(self.table).ok_or(Outside)?.element();
        let post = self.parameter(element, post).ok_or(Outside)?;
        let out = memory.raw(self.out).ok_or(Outside)?;
        let fits = (1..=8 * lanes).contains(&self.size);
        if !fits || out.element() != ElementType::F32 {
            return Err(Outside);
        }
        let (table, numbers) = self.table(memory)?;
        let rows = Rows {
            table,
            ids: self.ids(memory)?,
            numbers,
            stride: numbers.scale as usize * element.bytes(),
            factors: [self.factor(memory, 0)?, self.factor(memory, 1)?],
            out: out.data().cast(),
            size: self.size,
            bags: self.bags,
            lines: lines(table, self.size * element.bytes()),
            prefetch: self.prefetch,
        };
        Ok((element, post, rows))
    }

    /// The first element of the table, and the numbers that indices are decoded with: every row that they can give lies in the table.
    fn table(&self, memory: &Memory<'_>) -> Result<(*const u8, Numbers<i32>), Outside> {
        let numbers = Numbers::narrow(self.decode).ok_or(Outside)?;
        let Bounds::Clamp { scale } = self.decode.bounds else {
            return Err(Outside);
        };
        if numbers.low < 0 || numbers.high < numbers.low || scale < 0 {
            return Err(Outside);
        }
        let at = |index: i32| i64::from(index).checked_mul(scale).ok_or(Outside);
        let (low, high) = (at(numbers.low)?, at(numbers.high)?);
        let table = memory.read(self.table, low, high, self.size)?;
        Ok((table.data(), numbers))
    }

    /// The indices.
    fn ids<'a>(&self, memory: &'a Memory<'_>) -> Result<&'a [i32], Outside> {
        memory.indices(self.ids, 0, memory.bytes(self.ids) / 4)
    }

    /// The post as a parameter, if there is a kernel: factors are one for each lookup, or, of rows of 8 bits, one for each row.
    fn parameter(&self, element: ElementType, post: Post) -> Option<u8> {
        let bytes = matches!(element, ElementType::S8 | ElementType::U8);
        let [scale, bias] = self.factors;
        let by_row = |factor: Option<Factor<'_>>| matches!(factor, Some(Factor::Row(_)));
        let each = matches!(scale, Some(Factor::Position(_) | Factor::Each(_)));
        match post {
            Post::Plain => Some(PLAIN),
            Post::Scale if each => Some(SCALE),
            Post::Scale => (bytes && by_row(scale)).then_some(SCALE_BY_ROW),
            Post::ScaleBias => (by_row(scale) && by_row(bias)).then_some(SCALE_BIAS),
            Post::BiasScale => (by_row(scale) && by_row(bias)).then_some(BIAS_SCALE),
            Post::Chain(_) => None,
        }
        .filter(|_| covers(element, Op::Add, post))
    }

    /// The values of a factor, with one for each row if that is what they are for.
    fn factor(&self, memory: &Memory<'_>, number: usize) -> Result<*const f32, Outside> {
        let Decode { low, high, .. } = self.decode;
        let raw = match self.factors.get(number).copied().flatten() {
            None => return Ok(std::ptr::null()),
            Some(Factor::Each(values)) => return Ok(values.as_ptr()),
            Some(Factor::Position(buffer)) => memory.raw(buffer).ok_or(Outside)?,
            Some(Factor::Row(buffer)) => memory.read(buffer, low, high, 1)?,
        };
        match raw.element() {
            ElementType::F32 => Ok(raw.data().cast()),
            _ => Err(Outside),
        }
    }

    /// Whether all that the bags take lies in the buffers.
    fn fit(&self, memory: &Memory<'_>) -> Result<(), Outside> {
        let filled = || self.bags.iter().filter(|bag| bag.n > 0);
        let inside = |buffer: usize, first: &dyn Fn(&Bag) -> i64| {
            let (mut low, mut high) = (i64::MAX, 0i64);
            for bag in filled() {
                let first = first(bag);
                low = low.min(first);
                high = high.max(first.saturating_add_unsigned(bag.n as u64));
            }
            let n = usize::try_from(high.saturating_sub(low)).map_err(|_| Outside)?;
            memory.read(buffer, low, low, n)
        };
        inside(self.ids, &|bag| bag.first)?;
        match self.factors {
            [Some(Factor::Position(buffer)), _] => {
                inside(buffer, &|bag| bag.factor)?;
            }
            [Some(Factor::Each(values)), _] => {
                let fits = |bag: &Bag| {
                    let first = usize::try_from(bag.factor).ok();
                    let end = first.and_then(|first| first.checked_add(bag.n));
                    end.is_some_and(|end| end <= values.len())
                };
                if !filled().all(fits) {
                    return Err(Outside);
                }
            }
            [Some(Factor::Row(_)) | None, _] => {}
        }
        let low = filled().map(|bag| bag.dst).min().unwrap_or(0);
        let high = filled().map(|bag| bag.dst).max().unwrap_or(-1);
        memory.write(self.out, low, high, self.size)?;
        Ok(())
    }
}

/// Adds up all bags, those that come to rows from `start` on starting them; returns [`Bags::fetched`] for the next ones.
pub(crate) fn bags(
    isa: Isa,
    memory: &Memory<'_>,
    post: Post,
    bags: &Bags<'_>,
    start: &mut Start,
) -> Result<Option<i64>, Outside> {
    let (element, post, rows) = bags.checked(isa, memory, post)?;
    let mut filled = bags.bags.iter().filter(|bag| bag.n > 0);
    let (Some(first), last) = (filled.next(), filled.next_back()) else {
        return Ok(bags.fetched);
    };
    let last = last.unwrap_or(first);
    bags.fit(memory)?;
    if start.next < 0 {
        return Err(Outside);
    }
    if bags.fetched != Some(first.first) {
        rows.fetch_first(first.first as usize);
    }
    // SAFETY: all rows lie in their buffers, and the CPU has what `isa` names.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => choose_avx512(element, post, &rows, start),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => choose_avx2(element, post, &rows, start),
            _ => choose_portable(element, post, &rows, start),
        }
    }
    Ok(Some(last.first + last.n as i64))
}

/// [`Bags`] that were checked.
#[derive(Clone, Copy)]
struct Rows<'a> {
    table: *const u8,
    ids: &'a [i32],
    numbers: Numbers<i32>,
    /// Bytes from a row of the table to the next.
    stride: usize,
    factors: [*const f32; 2],
    out: *mut f32,
    size: usize,
    bags: &'a [Bag],
    /// Cache lines that a row may touch.
    lines: usize,
    prefetch: Prefetch,
}

impl Rows<'_> {
    /// Where the row of an index is.
    #[inline(always)]
    fn decoded(&self, id: i32) -> usize {
        let Numbers {
            wrap, low, high, ..
        } = self.numbers;
        // The sum does not leave 32 bits: what is added to a negative one is not negative.
        let id = id.wrapping_add((id >> 31) & wrap);
        id.max(low).min(high) as usize
    }

    /// Where the row of an index in bounds is; for another one there need be none. To be fetched, which reads nothing.
    #[inline(always)]
    fn guessed(&self, id: i32) -> *const u8 {
        (self.table).wrapping_add((id as isize as usize).wrapping_mul(self.stride))
    }

    /// Fetches the rows that nothing comes before.
    fn fetch_first(&self, first: usize) {
        let n = self.bags.iter().map(|bag| bag.n).sum::<usize>();
        let n = n.min(self.prefetch.farthest());
        for &id in self.ids.iter().skip(first).take(n) {
            fetch::<false>(self.guessed(id), self.lines);
        }
    }

    /// How many of the `n` lookups from index `first` on there is a row for that comes so many later; none if none is fetched.
    #[inline(always)]
    fn known(&self, first: usize, n: usize, distance: usize) -> usize {
        match distance {
            0 => 0,
            _ => (self.ids.len() - first).saturating_sub(distance).min(n),
        }
    }
}

/// Adds rows of one bag: those of the indices `at..end`; the number of a position's factor is larger by `scale`.
///
/// # Safety
/// They are lookups of a bag; there are indices as far behind them as is fetched; the CPU has what `S` names.
#[inline(always)]
unsafe fn add<
    S: Simd,
    X: Source,
    const POST: u8,
    const V: usize,
    const L2: bool,
    const L1: bool,
>(
    rows: &Rows<'_>,
    (at, end): (usize, usize),
    scale: usize,
    tail: usize,
    sums: &mut [S::V; V],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = S::LANES * X::BYTES;
        let known = (V * bytes).div_ceil(LINE);
        let ids = rows.ids.as_ptr();
        let second = ids.wrapping_add(rows.prefetch.l2);
        let first = ids.wrapping_add(rows.prefetch.l1);
        let [scales, biases] = rows.factors;
        for k in at..end {
            let row = rows.decoded(*ids.add(k));
            let data = rows.table.wrapping_add(row * rows.stride);
            let later = Later::<L2, L1> {
                second: match L2 {
                    true => rows.guessed(*second.add(k)),
                    false => rows.table,
                },
                first: match L1 {
                    true => rows.guessed(*first.add(k)),
                    false => rows.table,
                },
                lines: rows.lines,
            };
            let mut values = [S::splat(0.0); 2];
            if POST == SCALE {
                values[0] = S::splat(*scales.wrapping_add(k.wrapping_add(scale)));
            }
            if POST > SCALE {
                values[0] = S::splat(*scales.add(row));
            }
            if matches!(POST, SCALE_BIAS | BIAS_SCALE) {
                values[1] = S::splat(*biases.add(row));
            }
            if POST > SCALE && L1 {
                let id = *first.add(k) as isize;
                fetch::<true>(scales.wrapping_offset(id).cast(), 1);
                if POST != SCALE_BY_ROW {
                    fetch::<true>(biases.wrapping_offset(id).cast(), 1);
                }
            }
            for (v, sum) in sums.iter_mut().enumerate() {
                if (v * bytes).is_multiple_of(LINE) {
                    later.line(v * bytes / LINE);
                }
                let x = vector::<S, X>(data, v, v + 1 == V, tail);
                *sum = S::add(*sum, post::<S, POST>(x, values[0], values[1]));
            }
            later.rest(known);
        }
    }
}

/// All bags; rows have `V` vectors, the last of them perhaps in part.
///
/// # Safety
/// All rows lie in their buffers; the CPU has what `S` names.
#[inline(always)]
unsafe fn all<S: Simd, X: Source, const POST: u8, const V: usize>(
    rows: &Rows<'_>,
    start: &mut Start,
) {
    // A copy that nothing else points to: its fields stay in registers.
    let rows = &{ *rows };
    let tail = rows.size - (V - 1) * S::LANES;
    let Prefetch { l2, l1 } = rows.prefetch;
    for (number, bag) in rows.bags.iter().enumerate() {
        if bag.n == 0 {
            continue;
        }
        let (at, n) = (bag.first as usize, bag.n);
        let scale = (bag.factor as usize).wrapping_sub(at);
        let first = rows.known(at, n, l1);
        let both = rows.known(at, n, l2).min(first);
        let ends = number + 1 < rows.bags.len();
        // SAFETY: the caller's promise; what is fetched ahead is known.
        unsafe {
            let met: Met = start.meet(rows.out, rows.size, bag.dst, ends);
            let out = rows.out.wrapping_add(bag.dst as usize);
            let mut sums = met.begin::<S, V>(out, tail);
            let part = |from: usize, to: usize| (at + from, at + to);
            add::<S, X, POST, V, true, true>(rows, part(0, both), scale, tail, &mut sums);
            add::<S, X, POST, V, false, true>(rows, part(both, first), scale, tail, &mut sums);
            add::<S, X, POST, V, false, false>(rows, part(first, n), scale, tail, &mut sums);
            met.end::<S, V>(out, tail, sums);
        }
    }
    if start.stream {
        // SAFETY: the caller's promise.
        unsafe { S::fence() }
    }
}

/// One function for each number of vectors of a row.
macro_rules! choices {
    ($choose:ident, $sized:ident, $simd:ty, $(#[$feature:meta])?) => {
        /// # Safety
        /// As for [`all`]; rows have no more than eight vectors.
        $(#[$feature])?
        unsafe fn $sized<X: Source, const POST: u8>(rows: &Rows<'_>, start: &mut Start) {
            // SAFETY: the caller's promise, and the number of vectors.
            unsafe {
                match rows.size.div_ceil(<$simd as Simd>::LANES) {
                    1 => all::<$simd, X, POST, 1>(rows, start),
                    2 => all::<$simd, X, POST, 2>(rows, start),
                    3 => all::<$simd, X, POST, 3>(rows, start),
                    4 => all::<$simd, X, POST, 4>(rows, start),
                    5 => all::<$simd, X, POST, 5>(rows, start),
                    6 => all::<$simd, X, POST, 6>(rows, start),
                    7 => all::<$simd, X, POST, 7>(rows, start),
                    _ => all::<$simd, X, POST, 8>(rows, start),
                }
            }
        }

        /// # Safety
        /// As for [`all`]; [`Bags::covered`] says yes.
        unsafe fn $choose(element: ElementType, post: u8, rows: &Rows<'_>, start: &mut Start) {
            // SAFETY: the caller's promise.
            unsafe {
                match (post, element) {
                    (PLAIN, ElementType::S8) => $sized::<S8, PLAIN>(rows, start),
                    (PLAIN, ElementType::U8) => $sized::<U8, PLAIN>(rows, start),
                    (PLAIN, ElementType::F16) => $sized::<F16, PLAIN>(rows, start),
                    (PLAIN, ElementType::BF16) => $sized::<Bf16, PLAIN>(rows, start),
                    (PLAIN, _) => $sized::<F32, PLAIN>(rows, start),
                    (SCALE, ElementType::S8) => $sized::<S8, SCALE>(rows, start),
                    (SCALE, ElementType::U8) => $sized::<U8, SCALE>(rows, start),
                    (SCALE, ElementType::F16) => $sized::<F16, SCALE>(rows, start),
                    (SCALE, ElementType::BF16) => $sized::<Bf16, SCALE>(rows, start),
                    (SCALE, _) => $sized::<F32, SCALE>(rows, start),
                    (SCALE_BIAS, ElementType::S8) => $sized::<S8, SCALE_BIAS>(rows, start),
                    (SCALE_BIAS, _) => $sized::<U8, SCALE_BIAS>(rows, start),
                    (BIAS_SCALE, ElementType::S8) => $sized::<S8, BIAS_SCALE>(rows, start),
                    (BIAS_SCALE, _) => $sized::<U8, BIAS_SCALE>(rows, start),
                    (_, ElementType::S8) => $sized::<S8, SCALE_BY_ROW>(rows, start),
                    (_, _) => $sized::<U8, SCALE_BY_ROW>(rows, start),
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
