//! Memory and time that reading takes, in proportion to the text.

use std::fmt::Write;
use std::time::{Duration, Instant};

use hlo2dae_hlo::parse_module;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A module of `n` short lines in one computation: the worst case for tables and names.
fn short_lines(n: usize) -> String {
    let mut text = String::from("ENTRY main {\n  %p = f32[8]{0} parameter(0)\n");
    let mut last = "p".to_owned();
    for i in 0..n {
        let _ = writeln!(
            text,
            "  %multiply.{i} = f32[8]{{0}} multiply(%{last}, %p), metadata={{op_name=\"jit(f)/mul\"}}"
        );
        last = format!("multiply.{i}");
    }
    text + "}\n"
}

fn best_of(n: usize, mut run: impl FnMut()) -> Duration {
    (0..n)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// One test, because the allocator counts for the whole process.
#[test]
fn reading_is_linear_in_time_and_below_eight_times_the_text_in_memory() {
    let text = short_lines(100_000);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let module = parse_module(&text);
    let peak = MEMORY.peak_usage() - before;
    assert!(module.is_ok());
    drop(module);
    assert!(
        peak < 8 * text.len(),
        "{peak} bytes for a text of {}",
        text.len()
    );

    let small = short_lines(10_000);
    let short = best_of(5, || assert!(parse_module(&small).is_ok()));
    let long = best_of(3, || assert!(parse_module(&text).is_ok()));
    // Ten times the text; quadratic work would take a hundred times as long.
    assert!(
        long < short * 40,
        "{long:?} for ten times the text that takes {short:?}"
    );
}
