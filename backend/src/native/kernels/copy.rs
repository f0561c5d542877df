//! Rows of a table copied to rows of a buffer: `for k: dst[k] = src[k]`.
//!
//! Rows that go past the caches are written with non-temporal stores: a large result that nobody reads at once
//! costs one pass over memory instead of two.

use super::ahead::Ahead;
use super::memory::{Memory, Outside, span};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

/// Rows to be copied.
#[derive(Clone, Copy)]
pub(crate) struct Copies<'a> {
    /// The table.
    pub table: usize,
    /// Where the rows start, in elements; those behind the first `dst.len()` are known ahead. Negative: the row is `fill`.
    pub src: &'a [i64],
    /// What stands for a row that is not in the table, in bytes; as long as a row, or empty.
    pub fill: &'a [u8],
    /// The buffer that is written, of the table's type.
    pub out: usize,
    /// Where its rows start.
    pub dst: &'a [i64],
    /// The first column that is copied, and how many are.
    pub column: usize,
    pub size: usize,
    /// Whether stores go past the caches.
    pub stream: bool,
    /// How far ahead.
    pub prefetch: Prefetch,
}

/// Copies all rows.
pub(crate) fn copy(isa: Isa, memory: &Memory<'_>, copies: &Copies<'_>) -> Result<(), Outside> {
    let n = copies.dst.len();
    if n == 0 || copies.size == 0 {
        return Ok(());
    }
    let src = copies.src.get(..n).ok_or(Outside)?;
    let (low, high) = span(src);
    let element = memory.raw(copies.table).ok_or(Outside)?.element();
    let bytes = copies.size * element.bytes();
    let low = if copies.fill.len() == bytes {
        low.max(0)
    } else {
        low
    };
    let end = copies.column.checked_add(copies.size).ok_or(Outside)?;
    let rows = if high < 0 { 0 } else { end };
    let table = memory.read(copies.table, low, high.max(low), rows)?;
    let (low, high) = span(copies.dst);
    let out = memory.write(copies.out, low, high, end)?;
    if out.element() != element || copies.out == copies.table {
        return Err(Outside);
    }
    let skipped = copies.column * element.bytes();
    let from = table.data().wrapping_add(skipped);
    let rows = Rows {
        copies,
        table: from,
        out: out.data().wrapping_add(skipped),
        element: element.bytes(),
        bytes,
        ahead: Ahead::new(from, copies.src, bytes, copies.size, copies.prefetch),
    };
    // SAFETY: all rows lie in their buffers, which are two; the CPU has what `isa` names.
    unsafe {
        match bytes {
            1 => rows.each(|from, to| copy_array::<1>(from, to)),
            2 => rows.each(|from, to| copy_array::<2>(from, to)),
            4 => rows.each(|from, to| copy_array::<4>(from, to)),
            8 => rows.each(|from, to| copy_array::<8>(from, to)),
            12 => rows.each(|from, to| copy_array::<12>(from, to)),
            16 => rows.each(|from, to| copy_array::<16>(from, to)),
            _ => match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => x86::avx512(&rows),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => x86::avx2(&rows),
                _ => rows.each(|from, to| std::ptr::copy_nonoverlapping(from, to, bytes)),
            },
        }
    }
    Ok(())
}

/// [`Copies`] whose rows were checked.
#[derive(Clone, Copy)]
struct Rows<'a> {
    copies: &'a Copies<'a>,
    table: *const u8,
    out: *mut u8,
    element: usize,
    bytes: usize,
    ahead: Ahead<'a>,
}

impl Rows<'_> {
    /// Calls `f` with every row and its place.
    #[inline(always)]
    fn each(self, f: impl Fn(*const u8, *mut u8)) {
        let at = |offset: i64| {
            self.table
                .wrapping_add((offset as usize).wrapping_mul(self.element))
        };
        for (k, (&src, &dst)) in self.copies.src.iter().zip(self.copies.dst).enumerate() {
            self.ahead.fetch(k);
            let from = if src < 0 {
                self.copies.fill.as_ptr()
            } else {
                at(src)
            };
            f(from, self.out.wrapping_add(dst as usize * self.element));
        }
    }
}

/// Copies a row of a known length.
///
/// # Safety
/// Both places have so many bytes.
#[inline(always)]
unsafe fn copy_array<const N: usize>(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<[u8; N]>()
            .write_unaligned(from.cast::<[u8; N]>().read_unaligned())
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Rows;

    macro_rules! version {
        ($name:ident, $feature:literal, $width:literal, $load:ident, $store:ident, $stream:ident, $vector:ty) => {
            /// # Safety
            /// All rows lie in their buffers.
            #[target_feature(enable = $feature)]
            pub unsafe fn $name(rows: &Rows<'_>) {
                let (bytes, stream) = (rows.bytes, rows.copies.stream);
                rows.each(|from, to| {
                    // SAFETY: the row has `bytes` bytes in both places; what is streamed to is aligned.
                    unsafe {
                        let mut at = 0;
                        if stream && to.addr().is_multiple_of($width) {
                            while at + $width <= bytes {
                                let v = $load(from.add(at).cast::<$vector>());
                                $stream(to.add(at).cast::<$vector>(), v);
                                at += $width;
                            }
                        } else {
                            while at + $width <= bytes {
                                let v = $load(from.add(at).cast::<$vector>());
                                $store(to.add(at).cast::<$vector>(), v);
                                at += $width;
                            }
                        }
                        std::ptr::copy_nonoverlapping(from.add(at), to.add(at), bytes - at);
                    }
                });
                if stream {
                    _mm_sfence();
                }
            }
        };
    }

    version! { avx2, "avx2", 32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_stream_si256, __m256i }
    version! { avx512, "avx512f", 64, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_stream_si512, __m512i }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use hlo2dae_ir::core::ElementType;
    use proptest::prelude::*;

    use super::super::memory::Bytes;
    use super::super::testing::*;
    use super::*;

    proptest! {
        #[test]
        fn every_version_copies_the_rows(
            element in prop::sample::select(ElementType::ALL),
            size in sizes(),
            rows in prop::collection::vec((-1i64..6, 0i64..8), 0..40),
            shifts in [shifts(), shifts(), shifts()],
            stream: bool,
            l2 in 0usize..50,
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let (table, table_bytes) = values(&mut random, element, 6 * size);
            let (fill, fill_bytes) = values(&mut random, element, size);
            let (mut expected, start) = values(&mut random, element, 8 * size);
            for &(from, to) in &rows {
                let row = match from {
                    ..0 => &fill[..],
                    _ => &table[from as usize * size..][..size],
                };
                expected[to as usize * size..][..size].copy_from_slice(row);
            }
            let (src, dst): (Vec<i64>, Vec<i64>) =
                rows.iter().map(|(from, to)| (from * size as i64, to * size as i64)).unzip();
            let table = Placed::new(shifts[0], &table_bytes);
            let fill = Placed::new(shifts[1], &fill_bytes);
            for isa in Isa::available() {
                let mut out = Placed::new(shifts[2], &start);
                let memory = Memory::new([
                    (element, Bytes::Read(table.bytes())),
                    (element, Bytes::Write(out.bytes_mut())),
                ].into_iter());
                for columns in [0..size / 3, size / 3..size] {
                    let bytes = columns.start * element.bytes()..columns.end * element.bytes();
                    copy(isa, &memory, &Copies {
                        table: 0, src: &src, fill: &fill.bytes()[bytes], out: 1, dst: &dst,
                        column: columns.start, size: columns.len(), stream,
                        prefetch: Prefetch { l2, l1: l2 / 4 },
                    }).unwrap();
                }
                drop(memory);
                let differs = difference(&expected, &elements(out.bytes(), element));
                prop_assert!(differs.is_none(), "{isa:?} {element}: {differs:?}");
                prop_assert!(out.is_intact());
            }
        }

        #[test]
        fn rows_outside_are_refused_and_no_others(
            element in prop::sample::select(ElementType::ALL),
            (size, rows, src, dst) in rows_about(),
            filled: bool,
            stream: bool,
        ) {
            let bytes = vec![0; rows * size * element.bytes()];
            let (table, mut out) = (Placed::new(0, &bytes), Placed::new(0, &bytes));
            let fill = vec![0; if filled { size * element.bytes() } else { 0 }];
            let is_row = |&at: &i64| lies_inside(at, size, rows * size);
            let inside = src.iter().all(|at| is_row(at) || (filled && *at < 0)) && dst.iter().all(is_row);
            for isa in Isa::available() {
                let memory = Memory::new([
                    (element, Bytes::Read(table.bytes())),
                    (element, Bytes::Write(out.bytes_mut())),
                    (ElementType::U8, Bytes::Read(&[])),
                ].into_iter());
                let copies = Copies {
                    table: 0, src: &src, fill: &fill, out: 1, dst: &dst, column: 0, size, stream,
                    prefetch: Prefetch { l2: 3, l1: 1 },
                };
                let expected = if inside { Ok(()) } else { Err(Outside) };
                prop_assert_eq!(copy(isa, &memory, &copies), expected);
                // Columns that are too short, buffers that are none, are not to be written, or are the table.
                if let Some(n) = src.len().checked_sub(1) {
                    let wrong = [
                        Copies { src: &src[..n], ..copies },
                        Copies { table: 3, ..copies },
                        Copies { out: 2, ..copies },
                        Copies { table: 1, ..copies },
                    ];
                    for copies in wrong {
                        prop_assert_eq!(copy(isa, &memory, &copies), Err(Outside));
                    }
                }
            }
        }
    }
}
