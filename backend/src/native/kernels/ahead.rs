//! Rows that are fetched ahead of their use.

use std::ops::Range;

use crate::native::prefetch::Prefetch;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// The rows of one operand, and how far ahead they are fetched.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    table: *const u8,
    offsets: &'a [i64],
    /// Elements of a row, and bytes of each.
    size: usize,
    width: usize,
    /// Cache lines that a row may touch.
    lines: usize,
    plan: Prefetch,
}

impl<'a> Ahead<'a> {
    /// Rows of `bytes` bytes, `size` elements, at `offsets` elements from the start of a table. Nothing is read: offsets may be any.
    pub fn new(
        table: *const u8,
        offsets: &'a [i64],
        bytes: usize,
        size: usize,
        plan: Prefetch,
    ) -> Ahead<'a> {
        Ahead {
            table,
            offsets,
            size,
            width: bytes / size.max(1),
            lines: lines(table, bytes),
            plan: if offsets.is_empty() {
                Prefetch::default()
            } else {
                plan
            },
        }
    }

    /// Where in `group` the lookups end for which a row ahead is known that is fetched into the second cache, and into the first.
    #[inline(always)]
    pub fn stages(&self, group: &Range<usize>) -> (usize, usize) {
        let known = |distance: usize| match distance {
            0 => group.start,
            _ => self
                .offsets
                .len()
                .saturating_sub(distance)
                .clamp(group.start, group.end),
        };
        (known(self.plan.l2), known(self.plan.l1))
    }

    /// What is fetched for the lookups before the ends that [`Self::stages`] gives: of each row the elements from `start` on, to its end if that
    /// is `end`. The elements of the table have `width` bytes: a constant there makes products go.
    #[inline(always)]
    pub fn staged<const L2: bool, const L1: bool>(
        &self,
        width: usize,
        start: usize,
        end: usize,
    ) -> Staged<L2, L1> {
        let lines = match end == self.size {
            true => self.lines - start * width / LINE,
            false => (end - start) * width / LINE,
        };
        Staged {
            table: self.table.wrapping_add(start * width),
            second: self.offsets.as_ptr().wrapping_add(self.plan.l2),
            first: self.offsets.as_ptr().wrapping_add(self.plan.l1),
            width,
            lines,
        }
    }

    /// Fetches when lookup `k` is done: rows whose turn comes later.
    #[inline(always)]
    pub fn fetch(&self, k: usize) {
        let Prefetch { l2, l1 } = self.plan;
        if l2 > 0 {
            self.row::<false>(k + l2, 0);
        }
        if l1 > 0 {
            self.row::<true>(k + l1, 0);
        }
    }

    /// The same for rows that are done once for a group of lookups `k..end`: what comes behind the group at least. They have `known` lines at
    /// least; a constant there makes the loop over them go, 0 is not known.
    #[inline(always)]
    pub fn fetch_behind(&self, k: usize, end: usize, known: usize) {
        let Prefetch { l2, l1 } = self.plan;
        if l2 > 0 {
            self.row::<false>(end.max(k + l2), known);
        }
        if l1 > 0 {
            self.row::<true>(end.max(k + l1), known);
        }
    }

    /// Fetches the row of lookup `k`, or the last.
    #[inline(always)]
    fn row<const FIRST: bool>(&self, k: usize, known: usize) {
        let last = self.offsets.len() - 1;
        // SAFETY: there is a last offset where there is a plan.
        let offset = unsafe { *self.offsets.get_unchecked(k.min(last)) };
        let row = at(self.table, offset, self.width);
        if known == 0 {
            return fetch::<FIRST>(row, self.lines);
        }
        for k in 0..known {
            line::<FIRST>(row, k);
        }
        for k in known..self.lines {
            line::<FIRST>(row, k);
        }
    }
}

/// The row at an offset, in elements of `width` bytes; there need be none.
#[inline(always)]
fn at(table: *const u8, offset: i64, width: usize) -> *const u8 {
    table.wrapping_add((offset as usize).wrapping_mul(width))
}

/// See [`Ahead::staged`].
#[derive(Clone, Copy)]
pub(super) struct Staged<const L2: bool, const L1: bool> {
    table: *const u8,
    second: *const i64,
    first: *const i64,
    width: usize,
    lines: usize,
}

impl<const L2: bool, const L1: bool> Staged<L2, L1> {
    /// The rows that come so much later than that of lookup `k`.
    ///
    /// # Safety
    /// The offsets are still there, and `k` comes before the ends of the stages.
    #[inline(always)]
    pub unsafe fn rows(&self, k: usize) -> Later<L2, L1> {
        let row = |fetched: bool, offsets: *const i64| {
            if !fetched {
                return self.table;
            }
            // SAFETY: the caller's promise.
            at(self.table, unsafe { *offsets.add(k) }, self.width)
        };
        Later {
            second: row(L2, self.second),
            first: row(L1, self.first),
            lines: self.lines,
        }
    }
}

/// Rows to be fetched. A line after each that is loaded of another row keeps the queue of misses from running full, which stops the loads.
#[derive(Clone, Copy)]
pub(super) struct Later<const L2: bool, const L1: bool> {
    /// The row that is fetched into the second cache, and the one into the first.
    pub second: *const u8,
    pub first: *const u8,
    /// Of each row.
    pub lines: usize,
}

impl<const L2: bool, const L1: bool> Later<L2, L1> {
    /// Fetches line `k`.
    #[inline(always)]
    pub fn line(&self, k: usize) {
        if L2 {
            line::<false>(self.second, k);
        }
        if L1 {
            line::<true>(self.first, k);
        }
    }

    /// Fetches all lines.
    #[inline(always)]
    pub fn all(&self) {
        if L2 {
            fetch::<false>(self.second, self.lines);
        }
        if L1 {
            fetch::<true>(self.first, self.lines);
        }
    }

    /// Fetches the lines from `k` on.
    #[inline(always)]
    pub fn rest(&self, k: usize) {
        for k in k..self.lines {
            self.line(k);
        }
    }
}

/// Fetches the lines of a row into the second cache, or the first.
#[inline(always)]
pub(super) fn fetch<const FIRST: bool>(row: *const u8, lines: usize) {
    #[inline(always)]
    fn known<const FIRST: bool, const LINES: usize>(row: *const u8) {
        for k in 0..LINES {
            line::<FIRST>(row, k);
        }
    }
    // A loop over as few lines as rows have costs more than the lines.
    match lines {
        1 => known::<FIRST, 1>(row),
        2 => known::<FIRST, 2>(row),
        4 => known::<FIRST, 4>(row),
        8 => known::<FIRST, 8>(row),
        lines => (0..lines).for_each(|k| line::<FIRST>(row, k)),
    }
}

/// Fetches one line of a row into the first cache, or the second.
#[inline(always)]
fn line<const FIRST: bool>(row: *const u8, line: usize) {
    let p = row.wrapping_add(line * LINE);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program could see, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if FIRST {
            _mm_prefetch::<_MM_HINT_T0>(p.cast());
        } else {
            _mm_prefetch::<_MM_HINT_T1>(p.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Cache lines that a row of `bytes` bytes may touch.
pub(super) fn lines(table: *const u8, bytes: usize) -> usize {
    if table.addr().is_multiple_of(LINE) && bytes.is_multiple_of(LINE) {
        bytes / LINE
    } else {
        bytes.div_ceil(LINE)
            + usize::from(!LINE.is_multiple_of(bytes) || !table.addr().is_multiple_of(bytes))
    }
}
