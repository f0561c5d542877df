//! Elements streamed per second by the emulator, one core, for an embedding bag of random rows of a table that no cache
//! holds: a token and three operands for each element; a row to a token, its vectors with masks; the same without masks.
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

const ROWS: u64 = 400_000;
const BAGS: u64 = 2048;
const LOOKUPS: u64 = 64;
const SIZE: u64 = 64;
/// The best of so many runs counts: what else the machine does only makes them slower.
const RUNS: usize = 5;

fn main() {
    let table: Vec<f32> = (0..ROWS * SIZE).map(|n| (n % 17) as f32).collect();
    let table = Array::from_elements(&[ROWS, SIZE], &table).unwrap();
    let ids: Vec<i32> = (0..BAGS * LOOKUPS)
        .map(|n| ((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % ROWS) as i32)
        .collect();
    let offsets: Vec<i32> = (0..=BAGS).map(|bag| (bag * LOOKUPS) as i32).collect();

    let elements = include_str!("../../ir/tests/dlc/embedding_bag.dlc")
        .replace("f32[10,4]", &format!("f32[{ROWS},{SIZE}]"))
        .replace("s32[3,2]", &format!("s32[{BAGS},{LOOKUPS}]"))
        .replace("f32[3,4]", &format!("f32[{BAGS},{SIZE}]"))
        .replace("to 3 step", &format!("to {BAGS} step"))
        .replace("to 2 step", &format!("to {LOOKUPS} step"))
        .replace("to 4 step", &format!("to {SIZE} step"))
        .replace("constant 9", &format!("constant {}", ROWS - 1));
    let ids_of_bags = Array::from_elements(&[BAGS, LOOKUPS], &ids).unwrap();
    measure(
        "a token to an element",
        &elements,
        &[table.clone(), ids_of_bags],
    );

    let masked = include_str!("../tests/vectors/bag.dlc")
        .replace("f32[64,20]", &format!("f32[{ROWS},{SIZE}]"))
        .replace("s32[40]", &format!("s32[{}]", BAGS * LOOKUPS))
        .replace("s32[9]", &format!("s32[{}]", BAGS + 1))
        .replace("f32[8,20]", &format!("f32[{BAGS},{SIZE}]"))
        .replace("f32[20]", &format!("f32[{SIZE}]"))
        .replace("[20 x f32]", &format!("[{SIZE} x f32]"))
        .replace("0 to 8 step", &format!("0 to {BAGS} step"))
        .replace("0 to 20 step", &format!("0 to {SIZE} step"));
    let whole = masked
        .replace("    %m = get_mask %tu_e\n", "")
        .replace(" mask %m", "");
    let inputs = [
        table,
        Array::from_elements(&[BAGS * LOOKUPS], &ids).unwrap(),
        Array::from_elements(&[BAGS + 1], &offsets).unwrap(),
    ];
    measure("a token to a row, masks", &masked, &inputs);
    measure("a token to a row", &whole, &inputs);
}

fn measure(name: &str, text: &str, inputs: &[Array]) {
    let program: Program = text.parse().unwrap();
    let artifact = compile(&program, &Machine::default()).unwrap();
    let emulator = Emulator::new(&artifact, Config::default()).unwrap();
    let elements = BAGS * LOOKUPS * SIZE;
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let (_, stats) = emulator.run(inputs).unwrap();
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(stats.buffers[0].streamed, elements);
    }
    let elements = elements as f64;
    println!(
        "{name}: {best:.2} s, {:.1} million elements per second, {:.1} ns each",
        elements / best / 1e6,
        best / elements * 1e9
    );
}
