//! Finding regions, in modules of 1,000 to 50,000 instructions: made up, and grown from dumps of frameworks.
//!
//! ```text
//! cargo bench -p hlo2dae-frontend
//! ```
//!
//! `search` is the search alone, `whole` reads and verifies the text first. 50,000 instructions must take less than two
//! seconds, and ten times as many instructions no more than about ten times as long.
#![allow(
    clippy::unwrap_used,
    reason = "a bench fails by panicking; its texts are its own"
)]

mod modules;

use divan::Bencher;
use divan::counter::ItemsCount;
use hlo2dae_frontend::{Options, find_regions};
use hlo2dae_hlo::{Module, parse_module, verify};

fn main() {
    divan::main();
}

const SIZES: [usize; 4] = [1_000, 5_000, 20_000, 50_000];

/// What modules are made of.
#[divan::bench_group(sample_count = 10, sample_size = 1)]
mod made_up {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn search(bencher: Bencher<'_, '_>, instructions: usize) {
        super::search(bencher, &modules::made_up(instructions));
    }

    #[divan::bench(args = SIZES)]
    fn whole(bencher: Bencher<'_, '_>, instructions: usize) {
        super::whole(bencher, &modules::made_up(instructions));
    }
}

/// Copies of real modules, one after the other.
#[divan::bench_group(sample_count = 10, sample_size = 1)]
mod dumps {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn search(bencher: Bencher<'_, '_>, instructions: usize) {
        super::search(bencher, &modules::dumps(instructions));
    }

    #[divan::bench(args = SIZES)]
    fn whole(bencher: Bencher<'_, '_>, instructions: usize) {
        super::whole(bencher, &modules::dumps(instructions));
    }
}

fn search(bencher: Bencher<'_, '_>, text: &str) {
    let module = parse_module(text).unwrap();
    bencher
        .counter(ItemsCount::new(module.instructions.len()))
        .bench(|| found(&module));
}

fn whole(bencher: Bencher<'_, '_>, text: &str) {
    let count = parse_module(text).unwrap().instructions.len();
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let module = parse_module(divan::black_box(text)).unwrap();
        verify(&module).unwrap();
        found(&module)
    });
}

/// The number of regions; there are some.
fn found(module: &Module) -> usize {
    let matches = find_regions(divan::black_box(module), &Options::default()).unwrap();
    assert!(!matches.regions.is_empty());
    matches.regions.len()
}
