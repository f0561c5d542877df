//! Rows that are fetched ahead of their use.

use crate::native::prefetch::Prefetch;

/// The rows of one operand, and how far ahead they are fetched.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a> {
    table: *const u8,
    offsets: &'a [i64],
    /// Bytes of an element.
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
            width: bytes / size.max(1),
            lines: lines(table, bytes),
            plan: if offsets.is_empty() {
                Prefetch::default()
            } else {
                plan
            },
        }
    }

    /// Fetches when lookup `k` is done: rows whose turn comes later. They have `known` lines at least; a constant there makes the loop
    /// over them go, 0 is not known.
    #[inline(always)]
    pub fn fetch(&self, k: usize, known: usize) {
        let Prefetch { l2, l1 } = self.plan;
        if l2 > 0 {
            self.row::<false>(k + l2, known);
        }
        if l1 > 0 {
            self.row::<true>(k + l1, known);
        }
    }

    /// The same for rows that are done once for a group of lookups `k..end`: what comes behind the group at least.
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
        let row = self
            .table
            .wrapping_add((offset as usize).wrapping_mul(self.width));
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
    let p = row.wrapping_add(line * 64);
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
fn lines(table: *const u8, bytes: usize) -> usize {
    if table.addr().is_multiple_of(64) && bytes.is_multiple_of(64) {
        bytes / 64
    } else {
        bytes.div_ceil(64)
            + usize::from(!64usize.is_multiple_of(bytes) || !table.addr().is_multiple_of(bytes))
    }
}
