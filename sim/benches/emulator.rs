//! Elements streamed per second by the emulator, one core, for a bag of random rows of a table that no cache holds, at every
//! level: 2048 bags of 64 rows of 64 elements. Time is that of the processor where the system tells it, so that what else runs
//! there does not count.
//!
//! `cargo bench -p hlo2dae-sim`

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and may fail"
)]

use std::time::Instant;

use hlo2dae_backend::{Machine, compile};
use hlo2dae_ir::core::{Array, Ir};
use hlo2dae_ir::lower::{scf_to_slc, slc_to_dlc};
use hlo2dae_ir::passes::{MAX_LEVEL, Options, optimise};
use hlo2dae_ir::scf::Func;
use hlo2dae_sim::{Config, Emulator};

const ROWS: u64 = 400_000;
const BAGS: u64 = 2048;
const LOOKUPS: u64 = 64;
const SIZE: u64 = 64;
/// The best of so many runs counts: what else the machine does only makes them slower.
const RUNS: usize = 5;

fn main() {
    let text = include_str!("../../integration/handwritten/embedding_bag.scf")
        .replace("f32[64,20]", &format!("f32[{ROWS},{SIZE}]"))
        .replace("s32[40]", &format!("s32[{}]", BAGS * LOOKUPS))
        .replace("s32[9]", &format!("s32[{}]", BAGS + 1))
        .replace("f32[8,20]", &format!("f32[{BAGS},{SIZE}]"))
        .replace("0 to 8 step", &format!("0 to {BAGS} step"))
        .replace("0 to 20 step", &format!("0 to {SIZE} step"));
    let loops: Func = text.parse().unwrap();
    loops.verify().unwrap();
    let table: Vec<f32> = (0..ROWS * SIZE).map(|n| (n % 17) as f32).collect();
    let ids: Vec<i32> = (0..BAGS * LOOKUPS)
        .map(|n| ((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % ROWS) as i32)
        .collect();
    let offsets: Vec<i32> = (0..=BAGS).map(|bag| (bag * LOOKUPS) as i32).collect();
    let inputs = [
        Array::from_elements(&[ROWS, SIZE], &table).unwrap(),
        Array::from_elements(&[BAGS * LOOKUPS], &ids).unwrap(),
        Array::from_elements(&[BAGS + 1], &offsets).unwrap(),
    ];
    for level in 0..=MAX_LEVEL {
        measure(level, &loops, &inputs);
    }
}

fn measure(level: u8, loops: &Func, inputs: &[Array]) {
    let streams = optimise(level, &scf_to_slc(loops).unwrap(), &Options::default()).unwrap();
    let artifact = compile(&slc_to_dlc(&streams).unwrap(), &Machine::default()).unwrap();
    let emulator = Emulator::new(&artifact, Config::default()).unwrap();
    let elements = BAGS * LOOKUPS * SIZE;
    let mut best = f64::INFINITY;
    let mut tokens = 0;
    for _ in 0..RUNS {
        let (start, processor) = (Instant::now(), processor_seconds());
        let (_, stats) = emulator.run(inputs).unwrap();
        let seconds = match (processor, processor_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => start.elapsed().as_secs_f64(),
        };
        best = best.min(seconds);
        assert_eq!(stats.buffers[0].streamed, elements);
        tokens = stats.tokens;
    }
    let elements = elements as f64;
    println!(
        "O{level}: {best:.2} s, {:.1} million elements per second, {:.1} ns each; {tokens} tokens",
        elements / best / 1e6,
        best / elements * 1e9
    );
}

/// For how long this thread has been on a processor.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 * 1e-9)
}
