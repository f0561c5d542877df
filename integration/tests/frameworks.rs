//! TensorFlow and JAX agree with us: makes their environment, writes what they are to compare with, runs their tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae_integration::{case::Case, exchange, python, texts, workspace};
use miette::{IntoDiagnostic, Result};

/// Longest run of all framework tests.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// `target/tmp`, which cargo keeps for tests; its parent is the build folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

fn run() -> Result<()> {
    let scratch = Path::new(SCRATCH);
    let build = scratch.parent().unwrap_or(scratch);
    let python = python::environment(build)?;

    let compared = scratch.join("frameworks");
    if compared.exists() {
        std::fs::remove_dir_all(&compared).into_diagnostic()?;
    }
    for folder in Case::all()? {
        exchange::write(&Case::load(&folder)?, &compared)?;
    }
    exchange::write_outlines(&compared)?;

    let collection = std::env::var_os("HLO2DAE_CORPUS").map(PathBuf::from);
    texts::write(&compared, collection.as_deref())?;

    let root = workspace::root();
    let output = python::run(
        Command::new(python)
            .args([
                "-m",
                "pytest",
                "integration/python",
                "-q",
                "-p",
                "no:cacheprovider",
            ])
            .current_dir(root)
            .env("PYTHONPATH", root.join("plugin/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HLO2DAE_LIBRARY", workspace::library()?)
            .env("HLO2DAE_EXCHANGE", &compared),
        LIMIT,
    )?;
    python::expect_success(&output, "the framework tests fail")
}

#[test]
fn tensorflow_and_jax_agree() {
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}
