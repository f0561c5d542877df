//! Groups of lookups, and how the row of each is begun and ended.

use std::ops::{BitOr, BitXor, Range};

use super::super::memory::set;
use super::super::simd::{F32, Simd};
use super::{Rows, vector};

/// Rows of `out` that start as lookups come to them: those from a watermark on have not been touched. A row is neither filled nor read before
/// its first group, which begins in registers; what is passed over is filled. Rows in order are written once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    /// What rows start as.
    pub value: f32,
    /// The first element that has not been started. Nothing is left to be started where it is [`i64::MAX`].
    pub next: i64,
    /// Whether rows that are done go past the caches.
    pub stream: bool,
}

impl Default for Start {
    fn default() -> Start {
        Start::DONE
    }
}

impl Start {
    /// Everything was started.
    pub const DONE: Start = Start {
        value: 0.0,
        next: i64::MAX,
        stream: false,
    };
}

/// How many of the first values are the same.
#[inline(always)]
pub(crate) fn alike<T>(values: &[T]) -> usize
where
    T: Copy + Default + PartialEq + BitXor<Output = T> + BitOr<Output = T>,
{
    let Some((&first, _)) = values.split_first() else {
        return 0;
    };
    let mut alike = 1;
    // Many at a time; where they end at once, that is seen at the first of them.
    let odd = |odd: T, &value: &T| odd | (value ^ first);
    let many = |chunk: &&[T; 8]| chunk.iter().fold(T::default(), odd) == T::default();
    if values.get(1) == Some(&first) {
        let chunks = values.as_chunks::<8>().0;
        alike = (8 * chunks.iter().take_while(many).count()).max(1);
    }
    let rest = values.iter().skip(alike);
    alike + rest.take_while(|&&value| value == first).count()
}

/// The groups of lookups that are left, each with its `dst`.
pub(super) struct Groups<'a> {
    dst: &'a [i64],
    next: usize,
}

impl<'a> Groups<'a> {
    /// Those of all lookups.
    #[inline(always)]
    pub fn of(rows: &Rows<'a>) -> Groups<'a> {
        Groups {
            dst: rows.dst.get(..rows.n).unwrap_or(&[]),
            next: 0,
        }
    }
}

impl Iterator for Groups<'_> {
    type Item = (Range<usize>, i64);

    // What takes rows is compiled for a CPU, and has to be one function with this.
    #[inline(always)]
    fn next(&mut self) -> Option<(Range<usize>, i64)> {
        let left = self.dst.get(self.next..)?;
        let (&at, start) = (left.first()?, self.next);
        self.next += alike(left);
        Some((start..self.next, at))
    }
}

/// How a row of `out` is met.
#[derive(Clone, Copy)]
pub(super) struct Met {
    /// What it is begun with, if that is not what is there.
    pub start: Option<f32>,
    /// Whether it goes past the caches.
    pub stream: bool,
}

impl Met {
    const KEPT: Met = Met {
        start: None,
        stream: false,
    };

    /// The vectors of a row, from its first element or that of a block of it; the last one has `tail` lanes.
    ///
    /// # Safety
    /// The row has them; the CPU has what `S` names.
    #[inline(always)]
    pub unsafe fn begin<S: Simd, const V: usize>(self, out: *mut f32, tail: usize) -> [S::V; V] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [S::splat(self.start.unwrap_or(0.0)); V];
            if self.start.is_none() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = vector::<S, F32>(out.cast(), v, v + 1 == V, tail);
                }
            }
            sums
        }
    }

    /// Stores them.
    ///
    /// # Safety
    /// As for [`Met::begin`].
    #[inline(always)]
    pub unsafe fn end<S: Simd, const V: usize>(self, out: *mut f32, tail: usize, sums: [S::V; V]) {
        let stream = self.stream && out.addr().is_multiple_of(4 * S::LANES);
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let p = out.add(v * S::LANES);
                if v + 1 == V && tail < S::LANES {
                    S::store_part(p, sum, tail);
                } else if stream {
                    S::stream(p, sum);
                } else {
                    S::store(p, sum);
                }
            }
        }
    }
}

impl Start {
    /// How the row of `size` elements at `at` is met, by lookups that are not to be followed by others of the same row if it `ends` with them.
    ///
    /// # Safety
    /// The row lies in the buffer that begins at `out`, and `next` is not negative.
    #[inline(always)]
    pub(super) unsafe fn meet(&mut self, out: *mut f32, size: usize, at: i64, ends: bool) -> Met {
        if at < self.next {
            return Met::KEPT;
        }
        if at > self.next {
            let passed = out.wrapping_add(self.next as usize).cast();
            // SAFETY: up to a row of the buffer, from an element on that is none before it.
            unsafe {
                set(
                    passed,
                    (at - self.next) as usize,
                    4,
                    self.value.to_bits().into(),
                )
            };
        }
        self.next = at + size as i64;
        Met {
            start: Some(self.value),
            stream: self.stream && ends,
        }
    }
}
