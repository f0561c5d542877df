//! Whole models with their regions cut out, run by XLA, against the same models as they are.
//!
//! With HLO2DAE_CORPUS set, every text of its folder `models` is run, unoptimised and optimised, by `python/rewritten.py`. A process
//! runs many texts; XLA may end it, which is what came of the text then, and another one goes on. What came of each is compared with `rewritten.txt`. A module that this XLA itself refuses is listed
//! with its reason. Without the variable there is nothing to run: the cases are run by `python/test_rewritten.py`.
#![allow(
    clippy::print_stdout,
    reason = "the table of what came of the models is the result of a run"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hlo2dae_integration::worker::{Answer, Worker};
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
    let interpreter = python::environment(scratch.parent().unwrap_or(scratch))?;
    let models = Path::new(&corpus).join("models");
    let script = Arc::new(Script {
        interpreter,
        library: workspace::library()?,
        models,
        idle: Mutex::default(),
    });
    let trial = |path: PathBuf| {
        let (lines, script) = (lines.clone(), script.clone());
        let name = workspace::file_name(&path);
        Trial::test(name.clone(), move || {
            harness::outcome(match script.run(&name) {
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

/// The script that runs texts.
struct Script {
    interpreter: PathBuf,
    library: PathBuf,
    models: PathBuf,
    /// Processes that wait for a text.
    idle: Mutex<Vec<Worker>>,
}

impl Script {
    fn idle(&self) -> MutexGuard<'_, Vec<Worker>> {
        let lock = self.idle.lock();
        lock.unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn start(&self) -> Result<Worker> {
        let root = workspace::root();
        let packages = [root.join("plugin/python"), root.join("integration/python")];
        Worker::start(
            Command::new(&self.interpreter)
                .arg(root.join("integration/python/rewritten.py"))
                .arg(&self.models)
                .env(
                    "PYTHONPATH",
                    std::env::join_paths(packages).into_diagnostic()?,
                )
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("HLO2DAE_LIBRARY", &self.library),
        )
    }

    /// The line for one text.
    fn run(&self, name: &str) -> Result<String> {
        let idle = self.idle().pop();
        let mut worker = idle.map_or_else(|| self.start(), Ok)?;
        let result = match worker.ask(name, LIMIT)? {
            Answer::Line(result) => {
                self.idle().push(worker);
                result
            }
            Answer::Ended {
                status,
                last,
                errors,
            } => {
                let reasons = errors.lines().rev();
                let mut reasons = reasons.filter_map(|line| line.split_once("Check failed: "));
                match reasons.next().filter(|_| last == BEFORE) {
                    Some((_, reason)) => format!("XLA ends itself over the module: {reason}"),
                    None => {
                        return Err(miette!(
                            "rewritten.py ended: {status}, after `{last}`\n{errors}"
                        ));
                    }
                }
            }
        };
        if result.contains("DIFFERENT") {
            return Err(miette!("{result}"));
        }
        Ok(format!("{name}: {result}"))
    }
}
