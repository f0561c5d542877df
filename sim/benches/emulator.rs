//! Elements streamed per second by the emulator, for an embedding bag without optimisation (a token and three
//! operands for each element), an embedding bag of random rows of a table that no cache holds.
//!
//! `cargo bench -p hlo2dae-sim`

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may fail"
)]

use std::time::Instant;

use hlo2dae_backend::{Machine, compile};
use hlo2dae_ir::core::Array;
use hlo2dae_ir::dlc::Program;
use hlo2dae_sim::{Config, Emulator};

const ROWS: u64 = 200_000;
const BAGS: u64 = 256;
const LOOKUPS: u64 = 32;
const SIZE: u64 = 64;
/// The best of so many runs counts: what else the machine does only makes them slower.
const RUNS: usize = 9;

fn main() {
    let text = include_str!("../../ir/tests/dlc/embedding_bag.dlc")
        .replace("f32[10,4]", &format!("f32[{ROWS},{SIZE}]"))
        .replace("s32[3,2]", &format!("s32[{BAGS},{LOOKUPS}]"))
        .replace("f32[3,4]", &format!("f32[{BAGS},{SIZE}]"))
        .replace("to 3 step", &format!("to {BAGS} step"))
        .replace("to 2 step", &format!("to {LOOKUPS} step"))
        .replace("to 4 step", &format!("to {SIZE} step"))
        .replace("constant 9", &format!("constant {}", ROWS - 1));
    let program: Program = text.parse().unwrap();
    let table: Vec<f32> = (0..ROWS * SIZE).map(|n| (n % 17) as f32).collect();
    let ids: Vec<i32> = (0..BAGS * LOOKUPS)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as i32 % ROWS as i32)
        .map(i32::abs)
        .collect();
    let inputs = [
        Array::from_elements(&[ROWS, SIZE], &table).unwrap(),
        Array::from_elements(&[BAGS, LOOKUPS], &ids).unwrap(),
    ];
    let emulator = Emulator::new(
        &compile(&program, &Machine::default()).unwrap(),
        Config::default(),
    )
    .unwrap();
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let (_, stats) = emulator.run(&inputs).unwrap();
        assert_eq!(stats.tokens, BAGS * LOOKUPS * SIZE);
        best = best.min(start.elapsed().as_secs_f64());
    }
    let elements = (BAGS * LOOKUPS * SIZE) as f64;
    println!(
        "embedding bag, O0: {:.1} million elements per second, {:.1} ns each",
        elements / best / 1e6,
        best / elements * 1e9
    );
}
