//! Reading and printing, in bytes of text a second.

mod dumps;

use divan::Bencher;
use divan::counter::BytesCount;
use dumps::{SIZES, dump};
use hlo2dae_hlo::{parse_module, verify};

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn parse(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = dump(bytes);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| parse_module(divan::black_box(&text)));
}

#[divan::bench(args = [1_000_000, 10_000_000], sample_count = 10)]
fn print(bencher: Bencher<'_, '_>, bytes: usize) {
    let Ok(module) = parse_module(&dump(bytes)) else {
        return;
    };
    bencher
        .counter(BytesCount::of_str(&module.to_string()))
        .bench(|| divan::black_box(&module).to_string());
}

#[divan::bench(args = [1_000_000, 10_000_000], sample_count = 10)]
fn check(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = dump(bytes);
    let Ok(module) = parse_module(&text) else {
        return;
    };
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| verify(divan::black_box(&module)).is_ok());
}

/// Constants: `{1.5, -2.25e-07, ...}`.
#[divan::bench(args = [1_000_000, 10_000_000], sample_count = 10)]
fn parse_literal(bencher: Bencher<'_, '_>, bytes: usize) {
    let values: Vec<String> = (0..bytes / 12)
        .map(|i| format!("{}", (i as f32 - 1000.0) * 0.37))
        .collect();
    let text = format!(
        "ENTRY main {{\n  ROOT c = f32[{}] constant({{{}}})\n}}",
        values.len(),
        values.join(", ")
    );
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| parse_module(divan::black_box(&text)));
}
