//! What this machine's memory gives: plain loops to hold kernels against.
//!
//! They do no work but to load: no indices to be decoded, no bags, no results. Whoever measures tries all
//! distances and takes the best.

use super::accumulate::fetch;
use super::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

/// The sum of all elements, read from the first to the last.
pub fn sequential(isa: Isa, table: &[f32]) -> f32 {
    let rows = Rows {
        table,
        size: 256,
        rows: None,
        prefetch: Prefetch::default(),
    };
    run(isa, &rows)
}

/// The sum of the elements of rows of `size` elements, in the order of `rows`; rows that are not in the table count nothing.
pub fn random(isa: Isa, table: &[f32], rows: &[u32], size: usize, prefetch: Prefetch) -> f32 {
    let rows = Rows {
        table,
        size: size.max(1),
        rows: Some(rows),
        prefetch,
    };
    run(isa, &rows)
}

struct Rows<'a> {
    table: &'a [f32],
    size: usize,
    rows: Option<&'a [u32]>,
    prefetch: Prefetch,
}

fn run(isa: Isa, rows: &Rows<'_>) -> f32 {
    // SAFETY: an `Isa` beyond the portable one is used where the CPU has it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if isa.is_available() => avx512(rows),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if isa.is_available() => avx2(rows),
            _ => sum::<Portable>(rows),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c")]
fn avx512(rows: &Rows<'_>) -> f32 {
    // SAFETY: here the CPU has what is named.
    unsafe { sum::<Avx512>(rows) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn avx2(rows: &Rows<'_>) -> f32 {
    // SAFETY: here the CPU has what is named.
    unsafe { sum::<Avx2>(rows) }
}

/// # Safety
/// The CPU has what `S` names.
#[inline(always)]
unsafe fn sum<S: Simd>(rows: &Rows<'_>) -> f32 {
    let (size, count) = (rows.size, rows.table.len() / rows.size);
    let lines = (size * 4).div_ceil(64);
    // SAFETY: the caller's promise; rows are below `count`, and all of their vectors inside of the table.
    unsafe {
        let mut sums = [S::splat(0.0); 4];
        match rows.rows {
            None => {
                for row in 0..count {
                    add::<S>(&mut sums, rows.table.as_ptr().add(row * size), size);
                }
            }
            Some(order) => {
                let at = |k: usize| {
                    let row = order.get(k).map_or(0, |&row| row as usize);
                    rows.table.as_ptr().wrapping_add(row * size).cast::<u8>()
                };
                let Prefetch { l2, l1 } = rows.prefetch;
                for (k, &row) in order.iter().enumerate() {
                    if l2 > 0 {
                        fetch::<false>(at(k + l2), lines);
                    }
                    if l1 > 0 {
                        fetch::<true>(at(k + l1), lines);
                    }
                    if (row as usize) < count {
                        add::<S>(
                            &mut sums,
                            rows.table.as_ptr().add(row as usize * size),
                            size,
                        );
                    }
                }
            }
        }
        let [a, b, c, d] = sums;
        S::sum(S::add(S::add(a, b), S::add(c, d)))
    }
}

/// Adds a row, four vectors at a time.
///
/// # Safety
/// The row has `size` elements; the CPU has what `S` names.
#[inline(always)]
unsafe fn add<S: Simd>(sums: &mut [S::V; 4], row: *const f32, size: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = 0;
        while at + 4 * S::LANES <= size {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, S::load(row.add(at + v * S::LANES)));
            }
            at += 4 * S::LANES;
        }
        let [first, ..] = sums;
        while at + S::LANES <= size {
            *first = S::add(*first, S::load(row.add(at)));
            at += S::LANES;
        }
        if at < size {
            *first = S::add(*first, S::load_part(row.add(at), size - at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_adds_up_the_rows() {
        for size in [1, 5, 16, 64, 100, 130] {
            let table: Vec<f32> = (0..20 * size).map(|k| (k % 97) as f32).collect();
            let order = [3, 0, 19, 3, 77];
            let expected: f32 = [3, 0, 19, 3]
                .iter()
                .map(|row| table[row * size..][..size].iter().sum::<f32>())
                .sum();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let prefetch = Prefetch { l2: 3, l1: 1 };
                assert_eq!(random(isa, &table, &order, size, prefetch), expected);
            }
        }
        let table = vec![1.0; 512];
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            assert_eq!(sequential(isa, &table), 512.0);
        }
    }
}
