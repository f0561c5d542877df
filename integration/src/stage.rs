//! The stages of the pipeline, each with the file that holds its result.

use std::collections::BTreeMap;
use std::fmt::Write;

use hlo2dae::check::{check as against_reference, sample};
use hlo2dae::compile::{Compilation, Options, compile};
use hlo2dae::emit;
use hlo2dae::engine::stream_text;
use hlo2dae::report::{MissReport, explain};
use hlo2dae_hlo::{Module, parse_module};
use hlo2dae_ir::passes;
use miette::{IntoDiagnostic, Report, Result, miette};

use crate::case::{Case, DECLARED, INPUT};
use crate::{engines, golden, programs};

/// One stage: what it reads, what it writes.
pub struct Stage {
    /// The file that holds the result.
    pub file: &'static str,
    /// The file that it is made from.
    pub source: &'static str,
    /// Whether the result stays readable for a large model.
    pub summary: bool,
    /// The result, from the source's text.
    pub make: fn(&Case, &str) -> Result<String>,
}

const GRAPH: &str = "10-graph.hlo";
const REGIONS: &str = "20-regions.region";
const LOOPS: &str = "30-loops.scf";
const STREAMS: &str = "40-streams.slc";
const OPTIMISED: &str = "50-optimised.slc";
const DECOUPLED: &str = "60-decoupled.dlc";
const DECOUPLED_OPTIMISED: &str = "61-decoupled.dlc";

/// The level of the optimised stages: the last one that sends everything that it reads.
const LEVEL: u8 = 3;

/// All stages, in the order of the pipeline.
pub const STAGES: &[Stage] = &[
    Stage {
        file: GRAPH,
        source: INPUT,
        summary: false,
        make: |_, text| Ok(module(text)?.to_string()),
    },
    Stage {
        file: REGIONS,
        source: GRAPH,
        summary: true,
        make: |_, text| {
            let regions = compiled(text)?.regions.into_iter();
            let texts: Vec<String> = regions.map(|r| r.found.region.to_string()).collect();
            round_trip(texts.join("\n"))
        },
    },
    Stage {
        file: "21-misses.txt",
        source: GRAPH,
        summary: true,
        make: misses,
    },
    Stage {
        file: LOOPS,
        source: REGIONS,
        summary: false,
        make: |_, text| round_trip(programs::emit(text, emit::Stage::Scf)?),
    },
    Stage {
        file: STREAMS,
        source: LOOPS,
        summary: false,
        make: |_, text| round_trip(programs::emit(text, emit::Stage::Slc)?),
    },
    Stage {
        file: OPTIMISED,
        source: STREAMS,
        summary: false,
        make: |_, text| {
            let optimised = programs::ladders(text)?.into_iter().map(|ladder| {
                let ladder = ladder.at(LEVEL, &passes::Options::default())?;
                Ok(emit::emit_ladder(&ladder, emit::Stage::Slcv)?)
            });
            round_trip(optimised.collect::<Result<Vec<_>>>()?.join("\n"))
        },
    },
    Stage {
        file: DECOUPLED,
        source: STREAMS,
        summary: false,
        make: |_, text| round_trip(programs::emit(text, emit::Stage::Dlc)?),
    },
    Stage {
        file: DECOUPLED_OPTIMISED,
        source: OPTIMISED,
        summary: false,
        make: |_, text| round_trip(programs::emit(text, emit::Stage::Dlc)?),
    },
    Stage {
        file: "70-access.tmu",
        source: DECOUPLED,
        summary: false,
        make: |_, text| programs::emit(text, emit::Stage::Tmu),
    },
    Stage {
        file: "71-execute.tmu",
        source: DECOUPLED,
        summary: false,
        make: |_, text| programs::emit(text, emit::Stage::Execute),
    },
    Stage {
        file: "75-stream.txt",
        source: DECOUPLED,
        summary: false,
        make: stream,
    },
    Stage {
        file: "76-stream.txt",
        source: DECOUPLED_OPTIMISED,
        summary: false,
        make: stream,
    },
    Stage {
        file: "90-verify.txt",
        source: GRAPH,
        summary: true,
        make: verify,
    },
];

/// Checks, or rewrites, all stage files of a case, and that it holds no others; gathers what is wrong.
pub fn check(case: &Case) -> Vec<Report> {
    let command = format!(
        "cargo test -p hlo2dae-integration --test cases -- {}",
        case.name
    );
    let mut errors = Vec::new();
    for stage in case.stages() {
        let checked = source_text(case, stage)
            .and_then(|source| (stage.make)(case, &source))
            .and_then(|text| golden::check(&case.folder.join(stage.file), &text, &command));
        errors.extend(
            checked
                .err()
                .map(|error| error.wrap_err(format!("{} from {}", stage.file, stage.source))),
        );
    }
    match case.orphans() {
        Ok(orphans) => {
            errors.extend(orphans.iter().map(|file| {
                miette!("{file}: no stage makes this file; remove it, or list its stage")
            }))
        }
        Err(error) => errors.push(error),
    }
    errors
}

/// The text that a stage reads: the file, or what it would hold where the case keeps no such file.
fn source_text(case: &Case, stage: &Stage) -> Result<String> {
    match STAGES.iter().find(|other| other.file == stage.source) {
        Some(source) if !case.stages().any(|kept| kept.file == source.file) => {
            (source.make)(case, &source_text(case, source)?)
        }
        _ => case.text(stage.source),
    }
}

/// Reads a module; errors show the text.
pub fn module(text: &str) -> Result<Module> {
    parse_module(text).map_err(|errors| Report::new(errors).with_source_code(text.to_string()))
}

/// Compiles a module; errors show the text.
pub fn compiled(text: &str) -> Result<Compilation> {
    compile(text, &Options::default())
        .map_err(|error| Report::new(error).with_source_code(text.to_string()))
}

/// The text of a stage, unless it is read back as something else.
fn round_trip(text: String) -> Result<String> {
    programs::check_round_trip(&text)?;
    Ok(text)
}

/// One paragraph for each candidate that is no region.
fn misses(_: &Case, text: &str) -> Result<String> {
    let misses = explain(&compiled(text)?, text)?.misses;
    let mut out = format!("{} missed\n", misses.len());
    for miss in &misses {
        let MissReport {
            instruction,
            opcode,
            reason,
            help,
            line,
        } = miss;
        writeln!(
            out,
            "\nline {line}: {instruction} ({opcode})\n  {reason}\n  {help}"
        )
        .into_diagnostic()?;
    }
    Ok(out)
}

/// What the access unit sends for the declared inputs, program by program.
fn stream(case: &Case, text: &str) -> Result<String> {
    let compilation = compiled(&case.text(GRAPH)?)?;
    let arguments = case.arguments(&compilation.module, DECLARED, case.spec.seed)?;
    let samples = sample(&compilation, &arguments)?;
    let ladders = programs::ladders(text)?;
    miette::ensure!(
        ladders.len() == samples.len(),
        "{} programs for {} regions",
        ladders.len(),
        samples.len()
    );
    let mut texts = Vec::new();
    for (ladder, sample) in ladders.iter().zip(samples) {
        let sample = sample.ok_or_else(|| miette!("@{} is never entered", ladder.name()))?;
        texts.push(stream_text(ladder, &sample.inputs)?);
    }
    Ok(texts.join("\n"))
}

/// What was found, and what every engine makes of it: for each region its facts, for each set of inputs one line.
fn verify(case: &Case, text: &str) -> Result<String> {
    let compilation = compiled(text)?;
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for set in case.input_sets() {
        let arguments = case.arguments(&compilation.module, set, case.spec.seed)?;
        let samples = sample(&compilation, &arguments)?;
        let checks = against_reference(
            &compilation,
            &samples,
            &passes::Options::default(),
            |_, _, _| (),
        );
        for found in &compilation.regions {
            let name = &found.found.region.name;
            // Levels do not differ: the engines of all levels agree in every bit.
            let mut results: Vec<(&str, &str)> = Vec::new();
            for check in checks.iter().filter(|check| check.region == *name) {
                // An expectation must not record that an engine is wrong.
                miette::ensure!(check.ok, "inputs {set}: {}", engines::describe(check));
                let verdict = if check.max_abs_error == 0.0 {
                    "equal"
                } else {
                    "within"
                };
                if !results.contains(&(check.engine, verdict)) {
                    results.push((check.engine, verdict));
                }
            }
            miette::ensure!(
                !results.is_empty(),
                "inputs {set}: @{name} is never entered"
            );
            let results: Vec<String> = results.iter().map(|(e, v)| format!("{e} {v}")).collect();
            let line = format!("  inputs {set}: {}\n", results.join(", "));
            lines.entry(name.clone()).or_default().push_str(&line);
        }
    }
    let mut out = format!("{} found\n", compilation.regions.len());
    for region in explain(&compilation, text)?.regions {
        let lines = lines.remove(&region.name).unwrap_or_default();
        write!(out, "\n{}{lines}", region.text()).into_diagnostic()?;
    }
    Ok(out)
}
