//! Whole models with their regions cut out, run by XLA, against the same models as they are.
//!
//! With HLO2DAE_CORPUS set, every text of its folder `models` is run, unoptimised and optimised, by `python/rewritten.py`, each in
//! a process of its own since XLA may end it. What came of each is compared with `rewritten.txt`. A module that this XLA itself refuses is listed
//! with its reason. Without the variable there is nothing to run: the cases are run by `python/test_rewritten.py`.
#![allow(
    clippy::print_stdout,
    reason = "the table of what came of the models is the result of a run"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hlo2dae_integration::{golden, harness, python, workspace};
use libtest_mimic::{Arguments, Trial};
use miette::{IntoDiagnostic, Result, miette};

/// Longest run of one text.
const LIMIT: Duration = Duration::from_secs(300);

/// `target/tmp`, which cargo keeps for tests; its parent is the build folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// What the script prints before it runs a text as it is.
const BEFORE: &str = "the module";

type Lines = Arc<Mutex<Vec<String>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let lines: Lines = Arc::default();
    let trials = match trials(&lines) {
        Ok(trials) => trials,
        Err(error) => vec![Trial::test("rewritten", || harness::outcome(vec![error]))],
    };
    let any = !trials.is_empty();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let complete = any && conclusion.num_filtered_out == 0 && !conclusion.has_failed();
    if arguments.list || !complete {
        return conclusion.exit_code();
    }
    let mut lines = lines.lock().map(|lines| lines.clone()).unwrap_or_default();
    lines.sort();
    let table: String = lines.iter().map(|line| format!("{line}\n")).collect();
    println!("{table}");
    let path = workspace::root().join("integration/rewritten.txt");
    let command = "HLO2DAE_CORPUS=... cargo test -p hlo2dae-integration --test rewritten";
    match golden::check(&path, &table, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn trials(lines: &Lines) -> Result<Vec<Trial>> {
    let Some(corpus) = std::env::var_os("HLO2DAE_CORPUS") else {
        return Ok(Vec::new());
    };
    let mut texts = workspace::entries(&Path::new(&corpus).join("models"))?;
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "hlo"));
    if texts.is_empty() {
        return Err(miette!("the corpus has no models"));
    }
    let scratch = Path::new(SCRATCH);
    let interpreter = Arc::new(python::environment(scratch.parent().unwrap_or(scratch))?);
    let library = Arc::new(workspace::library()?);
    let trial = |path: PathBuf| {
        let (lines, interpreter, library) = (lines.clone(), interpreter.clone(), library.clone());
        Trial::test(workspace::file_name(&path), move || {
            harness::outcome(match run(&path, &interpreter, &library) {
                Ok(line) => {
                    if let Ok(mut lines) = lines.lock() {
                        lines.push(line);
                    }
                    Vec::new()
                }
                Err(error) => vec![error],
            })
        })
    };
    Ok(texts.into_iter().map(trial).collect())
}

/// The line for one text.
fn run(path: &Path, interpreter: &Path, library: &Path) -> Result<String> {
    let root = workspace::root();
    let name = workspace::file_name(path);
    let models = path
        .parent()
        .ok_or_else(|| miette!("{name} is in no folder"))?;
    let packages = [root.join("plugin/python"), root.join("integration/python")];
    let output = python::run(
        Command::new(interpreter)
            .arg(root.join("integration/python/rewritten.py"))
            .arg(models)
            .arg(&name)
            .env(
                "PYTHONPATH",
                std::env::join_paths(packages).into_diagnostic()?,
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HLO2DAE_LIBRARY", library),
        LIMIT,
    )?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let result = match python::expect_success(&output, "rewritten.py fails") {
        Ok(()) => last.to_owned(),
        Err(error) if last != BEFORE => return Err(error),
        Err(error) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let reason = errors
                .lines()
                .find_map(|line| line.split_once("Check failed: "));
            let (_, reason) = reason.ok_or(error)?;
            format!("XLA ends itself over the module: {reason}")
        }
    };
    if result.contains("DIFFERENT") {
        return Err(miette!("{result}"));
    }
    Ok(format!("{name}: {result}"))
}
