//! The reference evaluator against the values that XLA computed for whole models.
//!
//! With HLO2DAE_CORPUS set, every text of its folder `models` is run, unoptimised and optimised. Inputs are made, and outputs
//! checked, by the corpus's own `corpus.py`, in the environment of the framework tests. Without it there is nothing to run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hlo2dae::npz::{self, NpzError};
use hlo2dae_hlo::eval::{EvalError, EvalOptions, evaluate};
use hlo2dae_hlo::{AttributeValue, Module};
use hlo2dae_integration::{harness, python, stage, workspace};
use libtest_mimic::{Arguments, Trial};
use miette::{IntoDiagnostic, Result, miette};

/// Longest run of the script.
const LIMIT: Duration = Duration::from_secs(120);

/// `target/tmp`, which cargo keeps for tests.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// The interpreter, made once for all models that ask for it, or why there is none.
static PYTHON: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();

fn main() -> ExitCode {
    let trials = match texts() {
        Ok(texts) => texts.into_iter().map(trial).collect(),
        Err(error) => vec![Trial::test("corpus", || harness::outcome(vec![error]))],
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn texts() -> Result<Vec<PathBuf>> {
    let Some(corpus) = std::env::var_os("HLO2DAE_CORPUS") else {
        return Ok(Vec::new());
    };
    let mut texts = workspace::entries(&Path::new(&corpus).join("models"))?;
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "hlo"));
    if texts.is_empty() {
        return Err(miette!("the corpus has no models"));
    }
    Ok(texts)
}

fn trial(path: PathBuf) -> Trial {
    let path = Arc::new(path);
    let name = workspace::file_name(&path);
    Trial::test(name, move || {
        harness::outcome(run(&path).err().into_iter().collect())
    })
}

fn run(path: &Path) -> Result<()> {
    let file = workspace::file_name(path);
    let name = file.trim_end_matches(".hlo").trim_end_matches(".opt");
    let text = workspace::read(path)?;
    let folder = Path::new(SCRATCH).join("checksums").join(&file);
    std::fs::create_dir_all(&folder).into_diagnostic()?;
    let (inputs, outputs) = (folder.join("inputs.npz"), folder.join("outputs.npz"));

    let script = path.with_file_name("corpus.py");
    corpus_script(&script, "inputs", name, &inputs)?;
    let module = stage::module(&text)?;
    let shapes: Vec<_> = module
        .entry()
        .parameters
        .iter()
        .map(|&parameter| &*module.instructions[parameter].shape)
        .collect();
    let arguments = match npz::read_arguments(&inputs, &shapes) {
        // The program of one of several partitions takes slices of the model's arrays.
        Err(NpzError::Mismatch { .. }) if partitions(&module) > 1 => return Ok(()),
        arguments => arguments?,
    };
    let value = match evaluate(&module, &arguments, &EvalOptions::default(), &mut ()) {
        // What takes several devices is refused, and nothing else is.
        Err(EvalError::Unsupported { message, .. }) if message.contains("partitions") => {
            return Ok(());
        }
        value => value?,
    };
    let arrays: Vec<_> = value.leaves().into_iter().cloned().collect();
    npz::write_outputs(&outputs, &arrays)?;
    if let Err(difference) = corpus_script(&script, "check", name, &outputs) {
        only_rounding(&difference.to_string())
            .then_some(())
            .ok_or(difference)?;
    }
    std::fs::remove_dir_all(&folder).into_diagnostic()
}

/// How many partitions the module is one of.
fn partitions(module: &Module) -> i64 {
    let stated = module
        .attributes
        .iter()
        .find(|a| a.name == "num_partitions");
    stated.map_or(1, |attribute| match attribute.value {
        AttributeValue::Integer(count) => count,
        _ => 1,
    })
}

/// Whether all differences that `corpus.py` found are between values that are zero up to rounding: both norms, which it
/// prints behind `l2`, are below what `f32` resolves at 1.
fn only_rounding(differences: &str) -> bool {
    let norms = |line: &str| -> Vec<f64> {
        let words: Vec<&str> = line
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .collect();
        words
            .windows(2)
            .filter(|pair| pair[0] == "l2")
            .filter_map(|pair| pair[1].parse().ok())
            .collect()
    };
    let lines: Vec<&str> = differences
        .lines()
        .filter(|line| line.starts_with("out"))
        .collect();
    let is_noise = |norm: &f64| *norm < f64::from(f32::EPSILON);
    !lines.is_empty()
        && lines
            .iter()
            .all(|line| norms(line).len() == 2 && norms(line).iter().all(is_noise))
}

/// Runs `corpus.py`; its output when it fails.
fn corpus_script(script: &Path, verb: &str, name: &str, arrays: &Path) -> Result<()> {
    let scratch = Path::new(SCRATCH);
    let python = PYTHON.get_or_init(|| {
        python::environment(scratch.parent().unwrap_or(scratch)).map_err(|e| format!("{e:?}"))
    });
    let python = python.as_ref().map_err(|error| miette!("{error}"))?;
    let output = python::run(
        Command::new(python)
            .arg(script)
            .args([verb, name])
            .arg(arrays),
        LIMIT,
    )?;
    python::expect_success(&output, "corpus.py fails")
}
