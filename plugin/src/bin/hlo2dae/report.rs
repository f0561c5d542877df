//! `hlo2dae report`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hlo2dae::check::{Check, sample};
use hlo2dae::compile::compile;
use hlo2dae::engine::{Engine, emulate};
use hlo2dae::report::{Explanation, count, explain};
use hlo2dae_sim::Stats;
use serde::Serialize;

use crate::Outcome;
use crate::input::{Failure, Format, Level, Values, about, read, write, write_json};
use crate::verify::check_all;

/// Do the whole job: regions, misses, the check of every engine, sizes of the streams.
#[derive(Args)]
pub struct Arguments {
    /// HLO text; `-` is standard input.
    model: PathBuf,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    values: Values,
    /// For people or for tools.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    ok: bool,
    level: u8,
    checks: &'a [Check],
    streams: Vec<Stream<'a>>,
}

#[derive(Serialize)]
struct Stream<'a> {
    region: &'a str,
    #[serde(flatten)]
    stats: Stats,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let text = read(&arguments.model)?;
    let options = arguments.level.options()?;
    let compilation = about(&arguments.model, &text, compile(&text, &options))?;
    let explanation = explain(&compilation, &text)?;
    let samples = sample(&compilation, &arguments.values.arguments(&compilation)?)?;
    let checks = check_all(&compilation, &samples, &options.passes);
    let mut streams = Vec::new();
    for (compiled, sample) in compilation.regions.iter().zip(&samples) {
        let Some(sample) = sample else { continue };
        let (_, stats) = emulate(&compiled.ladder, &sample.inputs)?;
        streams.push(Stream {
            region: &compiled.found.region.name,
            stats,
        });
    }
    let ok = checks.iter().all(|check| check.ok);
    let report = Report {
        explanation: &explanation,
        ok,
        level: options.level,
        checks: &checks,
        streams,
    };
    match arguments.format {
        Format::Text => write(None, &report.text(compilation.module.instructions.len()))?,
        Format::Json => write_json(&report)?,
    }
    Ok(if ok {
        Outcome::Done
    } else {
        Outcome::CheckFailed
    })
}

impl Report<'_> {
    fn text(&self, instructions: usize) -> String {
        let mut out = format!("{}\n\n", count(instructions, "HLO instruction"));
        out.push_str(&self.explanation.text());
        out.push_str("\nchecks against the reference evaluator\n");
        for region in &self.explanation.regions {
            let _ = write!(out, "  @{:<24}", region.name);
            for engine in Engine::ALL {
                let checks = self.checks.iter();
                let checks: Vec<_> = checks
                    .filter(|c| c.region == region.name && c.engine == engine.name())
                    .collect();
                let verdict = match checks.as_slice() {
                    [] => "not reached",
                    checks if checks.iter().all(|check| check.ok) => "ok",
                    _ => "WRONG",
                };
                let _ = write!(out, "  {engine} {verdict}");
            }
            out.push('\n');
        }
        let _ = writeln!(
            out,
            "\nstreams at O{}: what the access unit sends",
            self.level
        );
        for stream in &self.streams {
            let stats = &stream.stats;
            let _ = writeln!(
                out,
                "  @{:<24}  {} tokens, {} operands ({} bytes); {} reads of memory ({} bytes)",
                stream.region,
                stats.tokens,
                stats.operands,
                stats.operand_bytes,
                stats.access_requests(),
                stats.access_bytes(),
            );
        }
        for check in self.checks.iter().filter(|check| !check.ok) {
            let problem = check.problem.as_deref().unwrap_or("the values differ");
            let _ = writeln!(
                out,
                "\nWRONG @{} {} O{}: {problem}",
                check.region, check.engine, check.level
            );
        }
        out
    }
}
