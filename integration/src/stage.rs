//! The stages of the pipeline, each with the file that holds its result.

use hlo2dae_hlo::{Module, parse_module};
use miette::{Report, Result, miette};

use crate::case::{Case, INPUT};
use crate::golden;

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

/// All stages, in the order of the pipeline.
pub const STAGES: &[Stage] = &[Stage {
    file: "10-graph.hlo",
    source: INPUT,
    summary: false,
    make: graph,
}];

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

fn graph(_: &Case, text: &str) -> Result<String> {
    Ok(module(text)?.to_string())
}
