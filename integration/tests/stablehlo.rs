//! Whole models as our StableHLO, in JAX, and what StableHLO cannot say of XLA's own texts.
//!
//! With HLO2DAE_CORPUS set, `python/stablehlo.py` runs every unoptimised dump of its folder `models` as it is and as our
//! StableHLO, and every text of its folder `xla/valid` that is sound is printed. What came of them is compared with
//! `stablehlo.txt`. Without the variable there is nothing to run: `python/test_stablehlo.py` runs the cases. It also has MLIR read
//! and verify what is printed.
#![allow(
    clippy::print_stdout,
    reason = "the table of what came of the models is the result of a run"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hlo2dae_hlo::{parse_module, stablehlo, verify};
use hlo2dae_integration::{golden, python, stage, workspace};
use miette::{IntoDiagnostic, Result, WrapErr, miette};

/// Longest run of all dumps.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// `target/tmp`, which cargo keeps for tests; its parent is the build folder.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

#[test]
fn models_as_stablehlo_compute_in_jax_what_they_did() {
    if let Some(corpus) = std::env::var_os("HLO2DAE_CORPUS")
        && let Err(error) = compare(Path::new(&corpus))
    {
        panic!("{error:?}");
    }
}

fn compare(corpus: &Path) -> Result<()> {
    let rows = models(&corpus.join("models"))?;
    let mut text = table(&rows);
    text += &refusals(&corpus.join("xla/valid"))?;
    println!("{text}");
    let different = rows.iter().filter(|row| row[4].starts_with("DIFFERENT"));
    let different: Vec<&str> = different.map(|row| &*row[0]).collect();
    if !different.is_empty() {
        return Err(miette!("different: {}\n{text}", different.join(", ")));
    }
    let path = workspace::root().join("integration/stablehlo.txt");
    let command = "HLO2DAE_CORPUS=... cargo test -p hlo2dae-integration --test stablehlo";
    golden::check(&path, &text, command)
}

/// Texts of a folder.
fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut texts = workspace::entries(folder)?;
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "hlo"));
    if texts.is_empty() {
        return Err(miette!("{} has no texts", folder.display()));
    }
    Ok(texts)
}

/// The script's fields for each dump.
fn models(folder: &Path) -> Result<Vec<[String; 5]>> {
    let scratch = Path::new(SCRATCH);
    let printed = scratch.join("stablehlo");
    if printed.exists() {
        std::fs::remove_dir_all(&printed).into_diagnostic()?;
    }
    std::fs::create_dir_all(&printed).into_diagnostic()?;
    let mut dumps = texts(folder)?;
    dumps.retain(|path| !workspace::file_name(path).ends_with(".opt.hlo"));
    for path in &dumps {
        let name = workspace::file_name(&path.with_extension("mlir"));
        let module = stage::module(&workspace::read(path)?)?;
        let text = stablehlo::print(verify(&module)?).wrap_err_with(|| name.clone())?;
        std::fs::write(printed.join(name), text).into_diagnostic()?;
    }
    let root = workspace::root();
    let interpreter = python::environment(scratch.parent().unwrap_or(scratch))?;
    let packages = [root.join("plugin/python"), root.join("integration/python")];
    let output = python::run(
        Command::new(interpreter)
            .arg(root.join("integration/python/stablehlo.py"))
            .arg(folder)
            .arg(&printed)
            .env(
                "PYTHONPATH",
                std::env::join_paths(packages).into_diagnostic()?,
            )
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HLO2DAE_LIBRARY", workspace::library()?),
        LIMIT,
    )?;
    python::expect_success(&output, "stablehlo.py fails")?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let rows: Option<Vec<[String; 5]>> = lines
        .lines()
        .map(|line| {
            let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            fields.try_into().ok()
        })
        .collect();
    match rows {
        Some(rows) if rows.len() == dumps.len() => Ok(rows),
        _ => Err(miette!("not a line of five fields for each dump:\n{lines}")),
    }
}

fn table(rows: &[[String; 5]]) -> String {
    let heads = [
        "dump",
        "runs in JAX",
        "runs as StableHLO",
        "difference",
        "verdict",
    ];
    let heads = heads.map(str::to_owned);
    let rows: Vec<&[String; 5]> = std::iter::once(&heads).chain(rows).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, field) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            // Reasons would make the column wide; they push their own line only.
            let _ = write!(line, "{field:<width$}  ", width = width.min(32));
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// How many texts can be said in StableHLO, and why the others cannot.
fn refusals(folder: &Path) -> Result<String> {
    let (mut sound, mut printed) = (0, 0);
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for path in texts(folder)? {
        let bytes = std::fs::read(&path).into_diagnostic()?;
        let Ok(module) = parse_module(&String::from_utf8_lossy(&bytes)) else {
            continue;
        };
        let Ok(verified) = verify(&module) else {
            continue;
        };
        sound += 1;
        match stablehlo::print(verified) {
            Ok(_) => printed += 1,
            Err(errors) => {
                for error in errors.errors() {
                    *reasons
                        .entry(format!("{}: {}", error.opcode, error.reason))
                        .or_default() += 1;
                }
            }
        }
    }
    let mut text =
        format!("\n{printed} of {sound} sound texts of XLA print; instructions refused\n");
    for (reason, count) in reasons {
        let _ = writeln!(text, "{count:4} {reason}");
    }
    Ok(text)
}
