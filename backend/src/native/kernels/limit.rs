//! What this machine's memory gives: plain loops to hold kernels against.
//!
//! They do nothing but load, copy or add rows: no indices to be decoded, no bags. Whoever measures tries many distances
//! and takes the best.

use super::ahead::{LINE, Later};
use super::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::native::machine::Isa;
use crate::native::prefetch::Prefetch;

/// How rows are fetched ahead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// How far.
    pub prefetch: Prefetch,
    /// Whether a line after each that is loaded, or all lines of a row at once.
    pub spread: bool,
}

/// The sum of all elements, read from the first to the last.
pub fn sequential(isa: Isa, table: &[f32]) -> f32 {
    let mut sum = 0.0;
    run(
        isa,
        &mut Job::Sequential {
            table,
            sum: &mut sum,
        },
    );
    sum
}

/// The sum of the elements of rows of `size` elements, in the order of `rows`; rows that are not in the table count nothing.
pub fn random(isa: Isa, table: &[f32], rows: &[u32], size: usize, plan: Plan) -> f32 {
    let mut sum = 0.0;
    let order = Order::new(rows, size, plan);
    run(
        isa,
        &mut Job::Random {
            table,
            order,
            sum: &mut sum,
        },
    );
    sum
}

/// Rows of `size` elements stored one behind the other, past the caches if `stream`; as many as there is space for.
pub fn copy(
    isa: Isa,
    table: &[f32],
    rows: &[u32],
    size: usize,
    plan: Plan,
    stream: bool,
    out: &mut [f32],
) {
    let order = Order::new(rows, size, plan);
    run(
        isa,
        &mut Job::Copy {
            table,
            order,
            stream,
            out,
        },
    );
}

/// The rows of `values`, one behind the other, added to those of a table in the order of `rows`.
pub fn add(isa: Isa, table: &mut [f32], rows: &[u32], size: usize, plan: Plan, values: &[f32]) {
    let order = Order::new(rows, size, plan);
    run(
        isa,
        &mut Job::Add {
            table,
            order,
            values,
        },
    );
}

/// Rows in an order.
#[derive(Clone, Copy)]
struct Order<'a> {
    rows: &'a [u32],
    size: usize,
    plan: Plan,
}

impl Order<'_> {
    fn new(rows: &[u32], size: usize, plan: Plan) -> Order<'_> {
        Order {
            rows,
            size: size.max(1),
            plan,
        }
    }

    /// Calls `f` with the number of each row that is among the `count` rows of a table, its place in the table, and what is to be fetched
    /// meanwhile.
    #[inline(always)]
    fn each<const L2: bool, const L1: bool, const SPREAD: bool>(
        &self,
        table: *const f32,
        count: usize,
        mut f: impl FnMut(usize, usize, Later<L2, L1>),
    ) {
        let Prefetch { l2, l1 } = self.plan.prefetch;
        let lines = (self.size * 4).div_ceil(LINE);
        let at = |k: usize| {
            let row = self.rows.get(k).map_or(0, |&row| row as usize);
            table.wrapping_add(row * self.size).cast::<u8>()
        };
        for (k, &row) in self.rows.iter().enumerate() {
            let later = Later {
                second: if L2 { at(k + l2) } else { table.cast() },
                first: if L1 { at(k + l1) } else { table.cast() },
                lines,
            };
            if !SPREAD {
                later.all();
            }
            if (row as usize) < count {
                f(k, row as usize * self.size, later);
            }
        }
    }
}

enum Job<'a> {
    Sequential {
        table: &'a [f32],
        sum: &'a mut f32,
    },
    Random {
        table: &'a [f32],
        order: Order<'a>,
        sum: &'a mut f32,
    },
    Copy {
        table: &'a [f32],
        order: Order<'a>,
        stream: bool,
        out: &'a mut [f32],
    },
    Add {
        table: &'a mut [f32],
        order: Order<'a>,
        values: &'a [f32],
    },
}

fn run(isa: Isa, job: &mut Job<'_>) {
    // SAFETY: an `Isa` beyond the portable one is used where the CPU has it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if isa.is_available() => avx512(job),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if isa.is_available() => avx2(job),
            _ => planned::<Portable>(job),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,f16c")]
fn avx512(job: &mut Job<'_>) {
    // SAFETY: here the CPU has what is named.
    unsafe { planned::<Avx512>(job) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn avx2(job: &mut Job<'_>) {
    // SAFETY: here the CPU has what is named.
    unsafe { planned::<Avx2>(job) }
}

/// # Safety
/// The CPU has what `S` names.
#[inline(always)]
unsafe fn planned<S: Simd>(job: &mut Job<'_>) {
    let Plan { prefetch, spread } = match job {
        Job::Sequential { .. } => Plan::default(),
        Job::Random { order, .. } | Job::Copy { order, .. } | Job::Add { order, .. } => order.plan,
    };
    // SAFETY: the caller's promise.
    unsafe {
        match (prefetch.l2 > 0, prefetch.l1 > 0, spread) {
            (false, false, _) => go::<S, false, false, false>(job),
            (false, true, false) => go::<S, false, true, false>(job),
            (false, true, true) => go::<S, false, true, true>(job),
            (true, false, false) => go::<S, true, false, false>(job),
            (true, false, true) => go::<S, true, false, true>(job),
            (true, true, false) => go::<S, true, true, false>(job),
            (true, true, true) => go::<S, true, true, true>(job),
        }
    }
}

/// # Safety
/// The CPU has what `S` names.
#[inline(always)]
unsafe fn go<S: Simd, const L2: bool, const L1: bool, const SPREAD: bool>(job: &mut Job<'_>) {
    // A line, where one begins with this element of a row.
    let fetch = |later: Later<L2, L1>| {
        move |at: usize| {
            if SPREAD && (4 * at).is_multiple_of(LINE) {
                later.line(4 * at / LINE);
            }
        }
    };
    // SAFETY: the caller's promise; rows are below the number of rows of their table, and all of their vectors inside.
    unsafe {
        let mut sums = [S::splat(0.0); 4];
        let total = |[a, b, c, d]: [S::V; 4]| S::sum(S::add(S::add(a, b), S::add(c, d)));
        match job {
            Job::Sequential { table, sum } => {
                add_up::<S>(&mut sums, table.as_ptr(), table.len(), |_| ());
                **sum = total(sums);
            }
            Job::Random { table, order, sum } => {
                let (p, size) = (table.as_ptr(), order.size);
                order.each::<L2, L1, SPREAD>(p, table.len() / size, |_, at, later| {
                    add_up::<S>(&mut sums, p.add(at), size, fetch(later));
                });
                **sum = total(sums);
            }
            Job::Copy {
                table,
                order,
                stream,
                out,
            } => {
                let (p, to, size) = (table.as_ptr(), out.as_mut_ptr(), order.size);
                let space = out.len() / size;
                order.each::<L2, L1, SPREAD>(p, table.len() / size, |k, at, later| {
                    if k < space {
                        let (from, to) = (p.add(at), to.add(k * size));
                        let stream = *stream && to.addr().is_multiple_of(4 * S::LANES);
                        each_vector::<S>(size, fetch(later), |d, n| match n {
                            Some(n) => S::store_part(to.add(d), S::load_part(from.add(d), n), n),
                            None if stream => S::stream(to.add(d), S::load(from.add(d))),
                            None => S::store(to.add(d), S::load(from.add(d))),
                        });
                    }
                });
                if *stream {
                    S::fence();
                }
            }
            Job::Add {
                table,
                order,
                values,
            } => {
                let (p, from, size) = (table.as_mut_ptr(), values.as_ptr(), order.size);
                let given = values.len() / size;
                order.each::<L2, L1, SPREAD>(p, table.len() / size, |k, at, later| {
                    if k < given {
                        let (from, to) = (from.add(k * size), p.add(at));
                        each_vector::<S>(size, fetch(later), |d, n| match n {
                            Some(n) => {
                                let sum = S::add(
                                    S::load_part(to.add(d), n),
                                    S::load_part(from.add(d), n),
                                );
                                S::store_part(to.add(d), sum, n);
                            }
                            None => S::store(
                                to.add(d),
                                S::add(S::load(to.add(d)), S::load(from.add(d))),
                            ),
                        });
                    }
                });
            }
        }
    }
}

/// Calls `fetch` and `f` with the first element of each vector of a row, and `f`, if the last one is not whole, with its elements.
#[inline(always)]
fn each_vector<S: Simd>(
    size: usize,
    fetch: impl Fn(usize),
    mut f: impl FnMut(usize, Option<usize>),
) {
    let mut at = 0;
    while at + S::LANES <= size {
        fetch(at);
        f(at, None);
        at += S::LANES;
    }
    if at < size {
        fetch(at);
        f(at, Some(size - at));
    }
}

/// Adds a row, four vectors at a time, and calls `fetch` with the first element of each.
///
/// # Safety
/// The row has `size` elements; the CPU has what `S` names.
#[inline(always)]
unsafe fn add_up<S: Simd>(
    sums: &mut [S::V; 4],
    row: *const f32,
    size: usize,
    fetch: impl Fn(usize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = 0;
        while at + 4 * S::LANES <= size {
            for (v, sum) in sums.iter_mut().enumerate() {
                fetch(at + v * S::LANES);
                *sum = S::add(*sum, S::load(row.add(at + v * S::LANES)));
            }
            at += 4 * S::LANES;
        }
        let [first, ..] = sums;
        while at + S::LANES <= size {
            fetch(at);
            *first = S::add(*first, S::load(row.add(at)));
            at += S::LANES;
        }
        if at < size {
            fetch(at);
            *first = S::add(*first, S::load_part(row.add(at), size - at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_does_its_rows() {
        for size in [1, 5, 16, 64, 100, 130] {
            let table: Vec<f32> = (0..20 * size).map(|k| (k % 97) as f32).collect();
            let order = [3, 0, 19, 3, 77];
            let expected: f32 = [3, 0, 19, 3]
                .iter()
                .map(|row| table[row * size..][..size].iter().sum::<f32>())
                .sum();
            for isa in Isa::available() {
                for (l2, l1) in [(0, 0), (0, 1), (3, 0), (3, 1)] {
                    for spread in [false, true] {
                        let prefetch = Prefetch { l2, l1 };
                        let plan = Plan { prefetch, spread };
                        assert_eq!(random(isa, &table, &order, size, plan), expected);
                    }
                }
            }
        }
        let table: Vec<f32> = (0..130).map(|k| k as f32).collect();
        for isa in Isa::available() {
            let prefetch = Prefetch { l2: 3, l1: 1 };
            for (stream, spread) in [(false, false), (false, true), (true, false), (true, true)] {
                let plan = Plan { prefetch, spread };
                let mut out = vec![0.0; 26];
                copy(isa, &table, &[4, 0, 1], 13, plan, stream, &mut out);
                assert_eq!(out[..13], table[52..65]);
                assert_eq!(out[13..], table[..13]);
                let mut sums = out.clone();
                add(isa, &mut sums, &[1, 1, 7], 13, plan, &table[..39]);
                assert_eq!(sums[..13], out[..13]);
                let expected: Vec<f32> = (0..13)
                    .map(|k| table[k] + table[k] + table[k + 13])
                    .collect();
                assert_eq!(sums[13..], expected);
            }
        }
        let table = vec![1.0; 512];
        for isa in Isa::available() {
            assert_eq!(sequential(isa, &table), 512.0);
        }
    }
}
