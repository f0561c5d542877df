//! The stages of the pipeline, each with the file that holds its result.

use std::fmt::Write;

use hlo2dae_frontend::{Matches, Options, ValueRef, find_regions};
use hlo2dae_hlo::{Module, parse_module};
use hlo2dae_ir::core::Ir;
use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
use hlo2dae_ir::{dlc, region, scf, slc};
use hlo2dae_sim::stream_text;
use miette::{Diagnostic, IntoDiagnostic, Report, Result, miette};

use crate::case::{Case, DECLARED, INPUT};
use crate::instance::{Instance, instances};
use crate::{compare, engines, golden, programs};

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
const DECOUPLED: &str = "60-decoupled.dlc";

/// Tokens that a stream text shows; all of them, in a model that is small enough to be read.
const STREAM_TOKENS: u64 = 1000;

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
        make: regions,
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
        make: |_, text| lowered::<region::Region, scf::Func, _>(text, region_to_scf),
    },
    Stage {
        file: STREAMS,
        source: LOOPS,
        summary: false,
        make: |_, text| lowered::<scf::Func, slc::Func, _>(text, scf_to_slc),
    },
    Stage {
        file: DECOUPLED,
        source: STREAMS,
        summary: false,
        make: |_, text| lowered::<slc::Func, dlc::Program, _>(text, slc_to_dlc),
    },
    Stage {
        file: "70-access.txt",
        source: DECOUPLED,
        summary: false,
        make: |_, text| each_artifact(text, |artifact| artifact.access_text().to_string()),
    },
    Stage {
        file: "71-execute.txt",
        source: DECOUPLED,
        summary: false,
        make: |_, text| each_artifact(text, |artifact| artifact.execute_text().to_string()),
    },
    Stage {
        file: "75-stream.txt",
        source: DECOUPLED,
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
    parse_module(text).map_err(|errors| shown(errors, text))
}

/// Finds the regions of a module that was read from `text`.
pub fn matches(module: &Module, text: &str) -> Result<Matches> {
    find_regions(module, &Options::default()).map_err(|error| shown(error, text))
}

/// An error with the text that its labels are about.
fn shown(error: impl Diagnostic + Send + Sync + 'static, text: &str) -> Report {
    Report::new(error).with_source_code(text.to_string())
}

fn regions(_: &Case, text: &str) -> Result<String> {
    let matches = matches(&module(text)?, text)?;
    let regions: Vec<_> = matches.regions.into_iter().map(|m| m.region).collect();
    programs::print(&regions)
}

/// One paragraph for each candidate that is no region.
fn misses(_: &Case, text: &str) -> Result<String> {
    let module = module(text)?;
    let misses = matches(&module, text)?.misses;
    let mut out = format!("{} missed\n", misses.len());
    for miss in &misses {
        let path = module.path(miss.value.instruction);
        let (reason, help) = (&miss.reason, miss.reason.help());
        writeln!(out, "\n{path} ({}): {reason}\n  {help}", miss.opcode).into_diagnostic()?;
    }
    Ok(out)
}

/// All programs of a text, each lowered by `lower`.
fn lowered<From: Ir, To: Ir, E>(text: &str, lower: fn(&From) -> Result<To, E>) -> Result<String>
where
    E: Diagnostic + Send + Sync + 'static,
{
    let lowered = programs::read::<From>(text)?
        .iter()
        .map(|program| engines::lowered(program, lower))
        .collect::<Result<Vec<To>>>()?;
    programs::print(&lowered)
}

fn artifacts(text: &str) -> Result<Vec<hlo2dae_backend::Artifact>> {
    programs::read::<dlc::Program>(text)?
        .iter()
        .map(|program| engines::lowered(program, hlo2dae_backend::compile))
        .collect()
}

fn each_artifact(text: &str, print: fn(&hlo2dae_backend::Artifact) -> String) -> Result<String> {
    let texts: Vec<String> = artifacts(text)?
        .iter()
        .map(|artifact| print(artifact).trim_end().to_string() + "\n")
        .collect();
    Ok(texts.join("\n"))
}

/// What the access unit sends for the declared inputs, program by program.
fn stream(case: &Case, text: &str) -> Result<String> {
    let graph = case.text(GRAPH)?;
    let module = module(&graph)?;
    let found = matches(&module, &graph)?.regions;
    let arguments = case.arguments(&module, DECLARED, case.spec.seed)?;
    let instances = instances(&module, &found, &arguments)?;
    let artifacts = artifacts(text)?;
    miette::ensure!(
        artifacts.len() == instances.len(),
        "{} programs for {} regions",
        artifacts.len(),
        instances.len()
    );
    let mut texts = Vec::new();
    for (artifact, instance) in artifacts.iter().zip(instances) {
        let Instance { inputs, .. } =
            instance.ok_or_else(|| miette!("@{} is never entered", artifact.name))?;
        texts.push(stream_text(artifact, &inputs, STREAM_TOKENS)?);
    }
    Ok(texts.join("\n"))
}

/// What was found, and what every engine makes of it: for each region its facts, for each set of inputs one line.
fn verify(case: &Case, text: &str) -> Result<String> {
    let module = module(text)?;
    let found = matches(&module, text)?.regions;
    let mut out = format!("{} found\n", found.len());
    let mut lines = vec![String::new(); found.len()];
    for set in case.input_sets() {
        let arguments = case.arguments(&module, set, case.spec.seed)?;
        for (lines, checks) in lines
            .iter_mut()
            .zip(engines::checks(&module, &found, &arguments)?)
        {
            if let Some(wrong) = checks.iter().find(|check| !check.ok()) {
                // An expectation must not record that an engine is wrong.
                return Err(miette!("inputs {set}: {wrong}"));
            }
            let results: Vec<String> = checks
                .iter()
                .map(|check| format!("{} {}", check.engine, check.verdict()))
                .collect();
            let results = match results.is_empty() {
                true => "never entered".to_string(),
                false => results.join(", "),
            };
            writeln!(lines, "  inputs {set}: {results}").into_diagnostic()?;
        }
    }
    for (found, lines) in found.iter().zip(lines) {
        let facts = &found.facts;
        let paths = |values: &[ValueRef]| {
            let paths: Vec<String> = values.iter().map(|v| module.path(v.instruction)).collect();
            paths.join(", ")
        };
        write!(
            out,
            "\n@{}: {}, pooling {}, {}weighted, {} lookups, mode {}, indices {}\n  \
             looks up {}\n  gives {}\n  tolerance {}\n{lines}",
            found.region.name,
            found.kind.name(),
            facts.pooling.name(),
            if facts.weighted { "" } else { "not " },
            facts.lookups,
            facts.mode.name(),
            facts.index_dtype,
            paths(&found.accesses),
            paths(&found.outputs),
            compare::tolerance(&found.region),
        )
        .into_diagnostic()?;
    }
    Ok(out)
}
