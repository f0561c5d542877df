//! What is found in real models, and whether every engine agrees on it.
//!
//! With HLO2DAE_CORPUS set, all models of its folder `models` are looked at: NAME.hlo with a description NAME.json, and
//! NAME.opt.hlo, which is what XLA makes of it. The counts are compared with `corpus.txt`. Without it, only the cases that
//! say what is to be found are. How well the descriptions are met, property by property, is for `recognition.rs`.
#![allow(
    clippy::print_stdout,
    reason = "the table of what was found is the result of a run"
)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use hlo2dae_integration::case::{Access, Case, ExpectedRegion};
use hlo2dae_integration::fill::Fill;
use hlo2dae_integration::survey::{Subject, Tally};
use hlo2dae_integration::{golden, harness, workspace};
use libtest_mimic::{Arguments, Trial};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Deserialize;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let corpus = std::env::var_os("HLO2DAE_CORPUS");
    let subjects = match &corpus {
        Some(folder) => models(&Path::new(folder).join("models")),
        None => cases(),
    };
    let tallies = Arc::new(Mutex::new(Vec::new()));
    let trials = match subjects {
        Ok(subjects) => subjects
            .into_iter()
            .map(|s| trial(s, tallies.clone()))
            .collect(),
        Err(error) => vec![Trial::test("corpus", || harness::outcome(vec![error]))],
    };
    let conclusion = libtest_mimic::run(&arguments, trials);

    let table = table(
        &tallies
            .lock()
            .map(|tallies| tallies.clone())
            .unwrap_or_default(),
    );
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    println!("{table}");
    let complete = corpus.is_some() && conclusion.num_filtered_out == 0 && !conclusion.has_failed();
    if complete {
        let path = workspace::root().join("integration/corpus.txt");
        let command = "HLO2DAE_CORPUS=... cargo test -p hlo2dae-integration --test corpus";
        if let Err(error) = golden::check(&path, &table, command) {
            println!("{error:?}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

type Tallies = Arc<Mutex<Vec<(String, Tally)>>>;

fn trial(subject: Subject, tallies: Tallies) -> Trial {
    Trial::test(subject.name.clone(), move || {
        harness::outcome(match subject.survey() {
            Ok(tally) => {
                if let Ok(mut tallies) = tallies.lock() {
                    tallies.push((subject.name, tally));
                }
                Vec::new()
            }
            Err(error) => vec![error],
        })
    })
}

/// One line for each model, and their sum: operations found of those expected, by name.
fn table(tallies: &[(String, Tally)]) -> String {
    let mut rows = tallies.to_vec();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let mut all = Tally::default();
    for (_, tally) in &rows {
        all.add(tally);
    }
    rows.push(("all".to_string(), all));
    let lines = rows
        .iter()
        .map(|(name, tally)| format!("{name}: {tally}\n"));
    lines.collect()
}

fn cases() -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for folder in Case::all()? {
        subjects.extend(Subject::from_case(&Case::load(&folder)?)?);
    }
    Ok(subjects)
}

fn models(folder: &Path) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for path in workspace::entries(folder)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let described = described(&path);
            let subject = described.wrap_err_with(|| format!("{} is malformed", path.display()))?;
            // The description names nothing of what XLA makes of the model; its arguments are the same.
            subjects.push(Subject {
                name: format!("{} optimised", subject.name),
                text: workspace::read(&path.with_extension("opt.hlo"))?,
                arguments: subject.arguments.clone(),
                expected: Vec::new(),
                decoys: Vec::new(),
            });
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

/// The part of a description that is used here; the rest is for people.
#[derive(Deserialize)]
struct Description {
    args: Vec<Argument>,
    regions: Vec<Operation>,
    #[serde(default)]
    decoys: Vec<Decoy>,
}

#[derive(Deserialize)]
struct Argument {
    dtype: String,
    low: f64,
    high: f64,
    transform: Option<String>,
}

#[derive(Deserialize)]
struct Operation {
    kind: String,
    count: u64,
    access_instructions: Vec<Touch>,
}

#[derive(Deserialize)]
struct Decoy {
    access_instructions: Vec<Touch>,
}

#[derive(Deserialize)]
struct Touch {
    computation: String,
    instruction: String,
    #[serde(default)]
    call_paths: Option<u64>,
}

impl Touch {
    fn path(&self) -> String {
        format!("{}/{}", self.computation, self.instruction)
    }
}

fn described(path: &Path) -> Result<Subject> {
    let description: Description =
        serde_json::from_str(&workspace::read(path)?).into_diagnostic()?;
    let arguments = description.args.iter().map(fill).collect::<Result<_>>()?;
    let expected = description
        .regions
        .into_iter()
        .map(|operation| ExpectedRegion {
            kind: operation.kind,
            count: operation.count,
            access: operation
                .access_instructions
                .iter()
                .map(|touch| Access {
                    path: touch.path(),
                    places: touch.call_paths.unwrap_or(1),
                })
                .collect(),
        });
    let decoys = description
        .decoys
        .iter()
        .flat_map(|decoy| &decoy.access_instructions);
    Ok(Subject {
        name: path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        text: workspace::read(&path.with_extension("hlo"))?,
        arguments,
        expected: expected.collect(),
        decoys: decoys.map(Touch::path).collect(),
    })
}

fn fill(argument: &Argument) -> Result<Fill> {
    let Argument {
        dtype,
        low,
        high,
        transform,
    } = argument;
    let (from, to) = (*low as i64, *high as i64);
    Ok(match transform.as_deref() {
        None if dtype == "pred" => Fill::Integers(0, 2),
        None if dtype.starts_with(['f', 'b']) => Fill::Uniform(*low, *high),
        None => Fill::Integers(from, to),
        Some("sort") => Fill::Sorted(from, to),
        Some("indptr") => Fill::Offsets(from, to),
        Some("perm" | "perm_rows") => Fill::Distinct(from, to),
        Some(other) => return Err(miette!("no fill for transform `{other}`")),
    })
}
