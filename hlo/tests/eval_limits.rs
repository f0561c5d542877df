//! Hostile modules: each ends with an error, soon and within the memory that it is allowed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use hlo2dae_hlo::eval::{EvalError, EvalOptions, Limit, evaluate};
use hlo2dae_hlo::{Literal, parse_module};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What an evaluation may take here; on any machine less than [`PATIENCE`].
const OPTIONS: EvalOptions = EvalOptions {
    live_bytes: 32 << 20,
    element_operations: 20_000_000,
    instructions: 200_000,
    call_depth: 1_000,
    tuple_depth: 100,
};
const PATIENCE: Duration = Duration::from_secs(20);

/// What each module is about, and its text.
fn hostile() -> Vec<(&'static str, String)> {
    let combiners = "HloModule hostile
         add { a = f32[] parameter(0)  b = f32[] parameter(1)  ROOT c = f32[] add(a, b) }
         last { a = f32[] parameter(0)  b = f32[] parameter(1)
           c = f32[] subtract(a, a)  ROOT d = f32[] add(b, c) }
         less { a = f32[] parameter(0)  b = f32[] parameter(1)
           ROOT c = pred[] compare(a, b), direction=LT }
         step { x = f32[] parameter(0)  c = f32[] parameter(1)  s = f32[] add(x, c)
           ROOT t = (f32[], f32[]) tuple(s, s) }
         forever { x = f32[] parameter(0)  ROOT p = pred[] constant(true) }
         more { x = f32[] parameter(0)  ROOT y = f32[] add(x, x) }\n";
    let entry = |instructions: &str| {
        format!(
            "{combiners}ENTRY main {{ z = f32[] constant(0)  i = s32[] constant(0)\n{instructions} }}"
        )
    };
    let vector = "v = f32[1000000] broadcast(z), dimensions={}\n";
    let with_vector = |instructions: &str| entry(&format!("{vector}{instructions}"));
    let mut modules = vec![
        ("a broadcast", entry("ROOT r = f32[1000000,1000000] broadcast(z), dimensions={}")),
        ("sizes that overflow", entry("ROOT r = f32[4611686018427387904,4611686018427387904] broadcast(z), dimensions={}")),
        ("an iota", entry("ROOT r = s64[99999999999] iota(), iota_dimension=0")),
        ("random numbers", entry("ROOT r = f32[99999999999] rng(z, z), distribution=rng_uniform")),
        ("padding", with_vector("ROOT r = f32[1000000000000] pad(v, z), padding=0_999999000000")),
        ("padding inside", with_vector("ROOT r = f32[999999000001] pad(v, z), padding=0_0_999999")),
        ("a gather of nothing much", with_vector("s = s32[500000,1] broadcast(i), dimensions={}
           ROOT r = f32[500000,1000000] gather(v, s), offset_dims={1}, collapsed_slice_dims={},
             start_index_map={0}, index_vector_dim=1, slice_sizes={1000000}")),
        ("an outer product", with_vector("ROOT r = f32[1000000,1000000] dot(v, v)")),
        ("a long dot", with_vector("m = f32[1000,1000] reshape(v)
           ROOT r = f32[1000,1000] dot(m, m), lhs_contracting_dims={1}, rhs_contracting_dims={0}")),
        ("a long sort", with_vector("ROOT r = f32[1000000] sort(v), dimensions={0}, to_apply=less")),
        ("a convolution", with_vector("a = f32[1,1,1000000] reshape(v)
           ROOT r = f32[1,1,1000000] convolution(a, a), window={size=1000000 pad=500000_499999}, dim_labels=bf0_io0->bf0")),
        ("a convolution's padding", with_vector("a = f32[1,1,1000000] reshape(v)  k = f32[1,1,1] reshape(z)
           ROOT r = f32[1,1,99999000001] convolution(a, k), window={size=1 lhs_dilate=99999 pad=99000_0}, dim_labels=bf0_io0->bf0")),
        ("windows of an ordered combiner", with_vector("m = f32[1000,1000] reshape(v)
           ROOT r = f32[501,501] reduce-window(m, z), window={size=500x500}, to_apply=last")),
        ("a window's padding", with_vector("ROOT r = f32[100000000000] reduce-window(v, z), window={size=1 pad=99999000000_0}, to_apply=add")),
        ("select and scatter", with_vector("m = f32[1000,1000] reshape(v)
           s = f32[501,501] broadcast(z), dimensions={}
           ROOT r = f32[1000,1000] select-and-scatter(m, s, z), window={size=500x500}, select=less, scatter=add")),
        ("a long scan", with_vector("ROOT r = (f32[1000000], f32[]) scan(v, z), dimensions={0}, num_carries=1, to_apply=step")),
        ("a Fourier transform", entry("c = c64[] complex(z, z)
           v = c64[1000000000] broadcast(c), dimensions={}
           ROOT r = c64[1000000000] fft(v), fft_type=FFT, fft_length={1000000000}")),
        ("a solve", with_vector("m = f32[1000,1000] reshape(v)
           ROOT r = f32[1000,1000] cholesky(m), lower=true")),
        ("an endless loop", entry("ROOT r = f32[] while(z), condition=forever, body=more")),
    ];
    let wide = format!("({})", vec!["f32[]"; 5_000].join(", "));
    modules.push((
        "an endless loop over a wide tuple",
        format!(
            "HloModule hostile
             forever {{ s = {wide} parameter(0)  ROOT p = pred[] constant(true) }}
             same {{ ROOT s = {wide} parameter(0) }}
             ENTRY main {{ s = {wide} parameter(0)  ROOT w = {wide} while(s), condition=forever, body=same }}"
        ),
    ));
    let mut doubling = entry("x0 = f32[1] reshape(z)\n");
    doubling.truncate(doubling.len() - 2);
    for i in 1..40 {
        let _ = writeln!(
            doubling,
            "x{i} = f32[{}] concatenate(x{}, x{}), dimensions={{0}}",
            1u64 << i,
            i - 1,
            i - 1
        );
    }
    modules.push(("arrays that double", doubling + "}"));
    for (what, first) in [
        ("calls that double", "ROOT r = f32[] add(a, a)"),
        (
            "calls that double and do nothing",
            "ROOT r = f32[] bitcast(a)",
        ),
    ] {
        let mut text = format!("HloModule hostile\nlevel0 {{ a = f32[] parameter(0)  {first} }}\n");
        for i in 1..60 {
            let _ = writeln!(
                text,
                "level{i} {{ a = f32[] parameter(0)  b = f32[] call(a), to_apply=level{}
                   ROOT c = f32[] call(b), to_apply=level{} }}",
                i - 1,
                i - 1
            );
        }
        let chain = text.clone();
        modules.push((
            what,
            text + "ENTRY main { z = f32[] constant(0)  ROOT r = f32[] call(z), to_apply=level59 }",
        ));
        modules.push((what, chain + "f { a = f32[] parameter(0)  b = f32[] parameter(1)  c = f32[] call(a), to_apply=level59
              ROOT d = f32[] add(b, c) }
            ENTRY main { z = f32[] constant(0)  v = f32[9] broadcast(z), dimensions={}
              ROOT r = f32[] reduce(v, z), dimensions={0}, to_apply=f }"));
    }
    modules
}

/// One test, because the allocator counts for the whole process.
#[test]
fn hostile_modules_end_with_an_error() {
    let mut failures = Vec::new();
    for (what, text) in hostile() {
        let module = parse_module(&text).unwrap_or_else(|e| panic!("{what}: {e}\n{text}"));
        let parameters = module.entry().parameters.iter();
        let zeros = |_| Literal::Tuple(vec![Literal::scalar(0f32); 5_000]);
        let arguments: Vec<Literal> = parameters.map(zeros).collect();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let start = Instant::now();
        let result = evaluate(&module, &arguments, &OPTIONS, &mut ());
        let (took, peak) = (start.elapsed(), MEMORY.peak_usage() - before);
        let ended = matches!(
            result,
            Err(EvalError::Limit { .. } | EvalError::Malformed { .. })
        );
        if !ended || took > PATIENCE || peak > 2 * OPTIONS.live_bytes as usize {
            let verdict = result.map_or_else(|e| e.to_string(), |_| "a value".into());
            failures.push(format!("{what}: {verdict}, {took:?}, {peak} bytes"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    // Shapes that the text leaves out are limited as well, in depth and in number.
    for (what, line) in [("doubling", "x, x"), ("deep", "x"), ("wide", "w")] {
        let mut text = String::from("ENTRY main {\n  p = f32[] parameter(0)\n  t0 = tuple(p)\n");
        let _ = writeln!(text, "  w0 = tuple({})", vec!["p"; 30_000].join(", "));
        for i in 1..3_000 {
            let operands = line.replace('x', &format!("t{}", i - 1)).replace('w', "w0");
            let _ = writeln!(text, "  t{i} = tuple({operands})");
        }
        text += "}\n";
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        assert!(parse_module(&text).is_err(), "{what}");
        let peak = MEMORY.peak_usage() - before;
        assert!(peak < 1 << 29, "{what}: {peak} bytes");
    }
}

/// With the limits that hold when nobody states others, what does not fit is refused before it is made.
#[test]
fn the_default_limits_refuse_what_no_machine_holds() {
    let text = "HloModule hostile
         ENTRY main { z = f32[] constant(0)
           ROOT r = f32[1000000,1000000] broadcast(z), dimensions={} }";
    let result = evaluate(
        &parse_module(text).unwrap(),
        &[],
        &EvalOptions::default(),
        &mut (),
    );
    assert!(
        matches!(
            result,
            Err(EvalError::Limit {
                limit: Limit::LiveBytes,
                ..
            })
        ),
        "{result:?}"
    );
}
