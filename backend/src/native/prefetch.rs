//! The prefetch plan: how far ahead of their use rows are fetched, and into which cache.
//!
//! Most cores have few outstanding misses in their first cache and many in the second ([`Misses`]). Rows of a table that no
//! cache holds are therefore fetched into the second cache, dozens of rows ahead, across the borders of bags, and a
//! second time, into the first cache, a few rows ahead. Where the first cache has as many, rows of several lines are fetched there alone.

use super::machine::{Caches, Misses};

/// Distances in rows; 0 is no prefetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefetch {
    /// Into the second cache.
    pub l2: usize,
    /// Into the first cache.
    pub l1: usize,
}

impl Prefetch {
    /// The largest distance of any plan: how many rows must be decoded ahead.
    pub const FARTHEST: usize = 96;

    /// The plan for rows of `row` bytes out of a table of `table` bytes, where `all` tables that take turns have so many. Rows that are written, or
    /// copied, take the second cache's misses, whatever the core has.
    pub fn choose(
        caches: Caches,
        misses: Misses,
        table: usize,
        row: usize,
        all: usize,
    ) -> Prefetch {
        // Shared as it is, the last cache holds no more for sure.
        let kept = all.max(table) <= caches.last / 8;
        let small = table <= caches.l2 / 2;
        if table <= caches.l1 / 2 || (small && kept) {
            return Prefetch::default();
        }
        // What a near cache holds, at the first lookup or soon after it, comes soon enough for the first.
        if (small || kept) && row <= 1024 {
            return Prefetch { l2: 0, l1: 16 };
        }
        match row {
            // As many lines ahead.
            129..=512 if misses == Misses::First => Prefetch { l2: 0, l1: 16 },
            513..=1024 if misses == Misses::First => Prefetch { l2: 0, l1: 8 },
            0..=128 => Prefetch { l2: 96, l1: 4 },
            129..=1024 => Prefetch { l2: 64, l1: 8 },
            1025..=4096 => Prefetch { l2: 16, l1: 2 },
            4097..=8191 => Prefetch { l2: 4, l1: 0 },
            // Long rows are streams, which the hardware follows.
            _ => Prefetch::default(),
        }
    }

    /// The plan for rows of `row` bytes that are read one behind the other, out of `table` bytes. The hardware follows them, but stops at the
    /// end of each page of 4 KiB: they are fetched from beyond it.
    pub fn in_order(caches: Caches, table: usize, row: usize) -> Prefetch {
        const BEYOND: usize = 8 << 10;
        match table <= caches.l2 / 2 || row > BEYOND / 2 {
            true => Prefetch::default(),
            false => Prefetch {
                l2: (BEYOND / row.max(1)).min(64),
                l1: 0,
            },
        }
    }

    /// The plan for rows that come one after the other, each for a while: the next is there when its turn comes.
    pub fn following(caches: Caches, buffer: usize) -> Prefetch {
        match buffer <= caches.l1 {
            true => Prefetch::default(),
            false => Prefetch { l2: 0, l1: 16 },
        }
    }

    /// Rows that have to be known ahead.
    pub fn farthest(self) -> usize {
        self.l1.max(self.l2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_plan_looks_farther_than_the_farthest() {
        let caches = Caches {
            l1: 32 << 10,
            l2: 1 << 20,
            last: 32 << 20,
        };
        for misses in [Misses::First, Misses::Second] {
            for row in (1..10_000).step_by(7) {
                let plan = Prefetch::choose(caches, misses, 1 << 30, row, 0);
                assert!(plan.farthest() <= Prefetch::FARTHEST);
            }
        }
        let small = |all: usize| Prefetch::choose(caches, Misses::get(), 1 << 18, 64, all);
        assert_eq!(small(0).farthest(), 0, "the table stays in the cache");
        assert_ne!(small(1 << 30).farthest(), 0, "the others take its place");
    }
}
