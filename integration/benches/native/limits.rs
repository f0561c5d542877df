//! What the memory of this machine gives for a class, by plain loops with the best prefetch distances that are found.

use std::hint::black_box;

use hlo2dae_backend::native::kernels::{limit, pages};
use hlo2dae_backend::native::machine::Caches;
use hlo2dae_backend::native::prefetch::Prefetch;
use hlo2dae_backend::native::{Isa, Pool, Threads};

use crate::array::Bytes;
use crate::classes::Work;
use crate::clock::{Times, timed};

/// How often a limit is measured in a round.
pub const RUNS: usize = 14;

/// Distances that are tried, into the second cache and into the first, and whether lines are fetched between those that are loaded.
const PLANS: [(usize, usize, bool); RUNS] = [
    (0, 0, false),
    (0, 8, true),
    (0, 16, false),
    (0, 16, true),
    (16, 0, true),
    (32, 0, false),
    (64, 0, false),
    (64, 0, true),
    (32, 8, false),
    (32, 8, true),
    (64, 8, false),
    (64, 8, true),
    (96, 4, false),
    (96, 4, true),
];

/// Sets of lookups that take turns, where each touches so many bytes: all of them are more than the caches hold.
pub fn sets(bytes: usize) -> usize {
    (2 * Caches::get().last)
        .div_ceil(bytes.max(1))
        .clamp(5, 2000)
}

/// One part of a class's work, ready to be measured.
pub struct Limit {
    work: Work,
    table: Bytes,
    /// Sets of rows, which take turns: no cache holds what is looked up.
    order: Vec<u32>,
    sets: usize,
    lookups: usize,
    next: usize,
    /// Rows in order: what is read, or written.
    rows: Bytes,
    /// For each plan.
    times: Vec<Times>,
    /// The best with fewer threads, in milliseconds: one may always be left idle.
    least: f64,
}

impl Limit {
    /// Makes the memory; tables lie in large pages.
    pub fn new(work: Work, random: &mut fastrand::Rng) -> Limit {
        let (table, (tables, below, lookups), rows) = match work {
            Work::Load {
                tables,
                rows,
                row,
                lookups,
            } => (tables * rows * row / 4, (tables, rows, lookups), 0),
            Work::Copy { rows, row, lookups } | Work::Add { rows, row, lookups } => {
                (rows * row / 4, (1, rows, lookups), lookups * row / 4)
            }
            Work::Read { bytes } => (bytes / 4, (0, 0, 0), 0),
            Work::Zero { .. } => (0, (0, 0, 0), 0),
        };
        let sets = sets(work.bytes());
        let mut order = Vec::with_capacity(sets * tables * lookups);
        for at in (0..sets).flat_map(|_| 0..tables) {
            let rows = at * below..(at + 1) * below;
            order.extend((0..lookups).map(|_| random.u32(rows.start as u32..rows.end as u32)));
        }
        Limit {
            work,
            table: Bytes::ones(table),
            order,
            sets,
            lookups: tables * lookups,
            next: 0,
            rows: Bytes::ones(rows),
            times: vec![Times::default(); PLANS.len()],
            least: f64::INFINITY,
        }
    }

    /// Goes on to a larger number of threads.
    pub fn clear(&mut self) {
        self.least = self.best();
        self.times = vec![Times::default(); PLANS.len()];
    }

    /// Measures once, with every plan that can matter.
    pub fn measure(&mut self, threads: usize) {
        let plain = matches!(self.work, Work::Read { .. } | Work::Zero { .. });
        let tried = if plain { 1 } else { RUNS };
        for (n, &plan) in PLANS.iter().take(tried).enumerate() {
            let time = self.once(threads, plan);
            if let Some(times) = self.times.get_mut(n) {
                times.push(time);
            }
        }
    }

    /// The median time with the best plan, in milliseconds.
    pub fn best(&self) -> f64 {
        let times = self.times.iter().filter_map(Times::median);
        times.fold(self.least, f64::min)
    }

    /// The median times with all plans.
    pub fn all(&self) -> String {
        let times = self.times.iter().zip(PLANS);
        let times = times
            .filter_map(|(times, plan)| Some(format!("{} {:.3}", named(plan), times.median()?)));
        times.collect::<Vec<_>>().join(", ")
    }

    /// The best plan.
    pub fn plan(&self) -> String {
        let times = self.times.iter().zip(PLANS);
        let best = times.filter_map(|(times, at)| Some((times.median()?, at)));
        best.min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(_, plan)| named(plan))
    }

    fn once(&mut self, threads: usize, (l2, l1, spread): (usize, usize, bool)) -> f64 {
        let prefetch = Prefetch { l2, l1 };
        let plan = limit::Plan { prefetch, spread };
        let pool = Threads::new(Some(threads));
        let isa = Isa::best();
        self.next = (self.next + 1) % self.sets;
        let Limit {
            table,
            rows,
            lookups,
            next,
            ..
        } = self;
        let order = part(&self.order, self.sets, *next, 1);
        let order = order.get(..*lookups).unwrap_or(&[]);
        let size = |row: usize| (row / 4).max(1);
        match self.work {
            Work::Load { row, .. } => timed(|| {
                pool.run(threads, &|task| {
                    let order = part(order, threads, task, 1);
                    black_box(limit::random(isa, table.f32(), order, size(row), plan));
                });
            }),
            Work::Copy { row, .. } => {
                // As the engine: what the caches do not hold goes past them.
                let stream = rows.get().len() >= Caches::get().last / 2;
                let parts = parts_mut(rows.f32_mut(), threads, size(row));
                timed(|| {
                    pool.run(threads, &|task| {
                        let order = part(order, threads, task, 1);
                        if let Some(Ok(mut out)) = parts.get(task).map(|out| out.lock()) {
                            limit::copy(isa, table.f32(), order, size(row), plan, stream, &mut out);
                        }
                    });
                })
            }
            Work::Add { row, .. } => {
                // Each thread has rows of its own: a part of the table, and lookups into it.
                let each = (table.f32().len() / size(row) / threads).max(1) as u32;
                let order: Vec<u32> = order.iter().map(|row| row % each).collect();
                let parts = parts_mut(table.f32_mut(), threads, size(row));
                timed(|| {
                    pool.run(threads, &|task| {
                        let order = part(&order, threads, task, 1);
                        let rows = part(rows.f32(), threads, task, size(row));
                        if let Some(Ok(mut table)) = parts.get(task).map(|table| table.lock()) {
                            limit::add(isa, &mut table, order, size(row), plan, rows);
                        }
                    });
                })
            }
            Work::Read { .. } => timed(|| {
                pool.run(threads, &|task| {
                    black_box(limit::sequential(
                        isa,
                        part(table.f32(), threads, task, 256),
                    ));
                });
            }),
            Work::Zero { bytes } => {
                let mut fresh: Vec<f32> = Vec::with_capacity(bytes / 4);
                let time = timed(|| {
                    pages::advise_large(fresh.spare_capacity_mut());
                    let parts = parts_mut(fresh.spare_capacity_mut(), threads, 1 << 19);
                    pool.run(threads, &|task| {
                        if let Some(Ok(mut part)) = parts.get(task).map(|part| part.lock()) {
                            part.iter_mut().for_each(|v| {
                                v.write(0.0);
                            });
                        }
                    });
                });
                black_box(fresh.spare_capacity_mut());
                time
            }
        }
    }
}

/// Distances, and `*` where lines are fetched one by one.
fn named((l2, l1, spread): (usize, usize, bool)) -> String {
    format!("{l2}/{l1}{}", if spread { "*" } else { "" })
}

/// The `task`-th part of rows of `size` elements.
fn part<T>(all: &[T], threads: usize, task: usize, size: usize) -> &[T] {
    let each = (all.len() / size).div_ceil(threads) * size;
    all.get((task * each).min(all.len())..((task + 1) * each).min(all.len()))
        .unwrap_or(&[])
}

fn parts_mut<T>(all: &mut [T], threads: usize, size: usize) -> Vec<std::sync::Mutex<&mut [T]>> {
    let each = (all.len() / size).div_ceil(threads).max(1) * size;
    all.chunks_mut(each).map(std::sync::Mutex::new).collect()
}
