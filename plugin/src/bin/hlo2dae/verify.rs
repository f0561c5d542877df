//! `hlo2dae verify`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hlo2dae::check::{Check, Sample, check, sample};
use hlo2dae::compile::{Compilation, Options};
use hlo2dae::engine::Engine;
use hlo2dae_ir::passes::{self, MAX_LEVEL};
use serde::Serialize;

use crate::Outcome;
use crate::input::{
    Failure, Format, MachineName, PassOptions, Values, compile_file, progress, write, write_json,
};

/// Hold every engine and level against the reference; exit status 1 on a mismatch.
#[derive(Args)]
pub struct Arguments {
    /// HLO text; `-` is standard input.
    model: PathBuf,
    #[command(flatten)]
    values: Values,
    #[command(flatten)]
    passes: PassOptions,
    #[command(flatten)]
    machine: MachineName,
    /// For people or for tools.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Verification<'a> {
    module: &'a str,
    ok: bool,
    checks: &'a [Check],
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = Options {
        machine: arguments.machine.get()?,
        ..Options::default()
    };
    let compilation = compile_file(&arguments.model, &options)?;
    let samples = sample(&compilation, &arguments.values.arguments(&compilation)?)?;
    let checks = check_all(&compilation, &samples, &arguments.passes.get());
    let ok = checks.iter().all(|check| check.ok);
    match arguments.format {
        Format::Text => write(None, &text(&compilation, &checks))?,
        Format::Json => write_json(&Verification {
            module: &compilation.module.name,
            ok,
            checks: &checks,
        })?,
    }
    Ok(if ok {
        Outcome::Done
    } else {
        Outcome::CheckFailed
    })
}

/// Checks every region, with a bar while it takes.
pub fn check_all(
    compilation: &Compilation,
    samples: &[Option<Sample>],
    passes: &passes::Options,
) -> Vec<Check> {
    let each: usize = (0..=MAX_LEVEL).map(|level| Engine::at(level).count()).sum();
    let bar = progress(compilation.regions.len() * each);
    let checks = check(compilation, samples, passes, |compiled, engine, level| {
        let name = &compiled.found.region.name;
        bar.set_message(format!("@{name} {engine} O{level}"));
        bar.inc(1);
    });
    bar.finish_and_clear();
    checks
}

/// One line a region, level and engine.
pub fn text(compilation: &Compilation, checks: &[Check]) -> String {
    let mut out = String::new();
    for compiled in &compilation.regions {
        let name = &compiled.found.region.name;
        let mut any = false;
        for check in checks.iter().filter(|check| check.region == *name) {
            any = true;
            let verdict = if check.ok { "ok" } else { "WRONG" };
            let _ = write!(
                out,
                "@{name:<24} {:<9} O{} {verdict:<6} max error {:.3e} absolute, {:.3e} relative ({})",
                check.engine,
                check.level,
                check.max_abs_error,
                check.max_rel_error,
                check.tolerance.name(),
            );
            let problem = check.problem.iter().map(|problem| format!(": {problem}"));
            let _ = writeln!(out, "{}", problem.collect::<String>());
        }
        if !any {
            let _ = writeln!(out, "@{name:<24} not reached with these arguments");
        }
    }
    let failed = checks.iter().filter(|check| !check.ok).count();
    let _ = writeln!(out, "{} checks, {failed} failed", checks.len());
    out
}
