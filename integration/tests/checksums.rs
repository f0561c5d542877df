//! The reference evaluator against the values that XLA computed for whole models.
//!
//! With HLO2DAE_CORPUS set, every text of its folder `models` is run, unoptimised and optimised. Inputs are made, and outputs
//! checked, by the corpus's own `corpus.py`, in the environment of the framework tests. Without it there is nothing to run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hlo2dae::npz;
use hlo2dae_hlo::eval::{EvalError, EvalOptions, evaluate};
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

/// Why a model has no value here that its checksums could be compared with, if so.
fn exempt(name: &str, text: &str) -> bool {
    let header = text.lines().next().unwrap_or_default();
    // Models for several machines take the inputs of one of them.
    let several =
        header.contains("num_partitions=8") || text.contains("xla.sdy.GlobalToLocalShape");
    // One output of this model is zero up to rounding, and its norm is compared with that rounding.
    several || name == "jax_nnx_sasrec"
}

fn run(path: &Path) -> Result<()> {
    let file = workspace::file_name(path);
    let name = file.trim_end_matches(".hlo").trim_end_matches(".opt");
    let text = workspace::read(path)?;
    if exempt(name, &text) {
        return Ok(());
    }
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
    let arguments = npz::read_arguments(&inputs, &shapes)?;
    let value = match evaluate(&module, &arguments, &EvalOptions::default(), &mut ()) {
        // Fused calls of one vendor's library, of one old version.
        Err(EvalError::Unsupported { message, .. }) if message.contains("onednn") => return Ok(()),
        value => value?,
    };
    let arrays: Vec<_> = value.leaves().into_iter().cloned().collect();
    npz::write_outputs(&outputs, &arrays)?;
    corpus_script(&script, "check", name, &outputs)?;
    std::fs::remove_dir_all(&folder).into_diagnostic()
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
