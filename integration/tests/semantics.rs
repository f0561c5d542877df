//! The reference evaluator against XLA, operation by operation: corner values, conversions, random shapes and attributes. The
//! same modules as our StableHLO are run by XLA, too.
//!
//! `python/semantics.py` makes the modules and runs them with XLA, in the environment of the framework tests; its page says what
//! they are.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use hlo2dae::npz;
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::{ArrayShape, Literal, PrimitiveType, Shape, stablehlo, verify};
use hlo2dae_integration::{harness, python, stage, workspace};
use libtest_mimic::{Arguments, Trial};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Deserialize;

/// Longest run of the script.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// `target/tmp`, which cargo keeps for tests.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// One module of the script's list.
#[derive(Deserialize)]
struct Entry {
    name: String,
    /// Allowed difference in units in the last place; 0 asks for the same bits.
    tolerance: f64,
    /// Whether units are of each element, or of the largest one.
    elementwise: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match entries() {
        Ok((folder, entries)) => {
            let folder: Arc<Path> = folder.into();
            let trial = |entry: Entry| {
                let folder = folder.clone();
                Trial::test(entry.name.clone(), move || {
                    harness::outcome(run(&folder, &entry).err().into_iter().collect())
                })
            };
            entries.into_iter().map(trial).collect()
        }
        Err(error) => vec![Trial::test("semantics", || harness::outcome(vec![error]))],
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Has the script write its modules, and run our StableHLO of each; their folder and list.
fn entries() -> Result<(PathBuf, Vec<Entry>)> {
    let scratch = Path::new(SCRATCH);
    let folder = scratch.join("semantics");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).into_diagnostic()?;
    }
    let python = python::environment(scratch.parent().unwrap_or(scratch))?;
    let script = workspace::root().join("integration/python/semantics.py");
    let run = |further: &[&str]| {
        let mut command = Command::new(&python);
        let output = python::run(command.arg(&script).arg(&folder).args(further), LIMIT)?;
        python::expect_success(&output, "semantics.py fails")
    };
    run(&[])?;
    let index = workspace::read(&folder.join("index.json"))?;
    let entries: Vec<Entry> = serde_json::from_str(&index).into_diagnostic()?;
    if entries.is_empty() {
        return Err(miette!("semantics.py made no module"));
    }
    for entry in &entries {
        let module = stage::module(&workspace::read(
            &folder.join(format!("{}.hlo", entry.name)),
        )?)?;
        let text = stablehlo::print(verify(&module)?)?;
        std::fs::write(folder.join(format!("{}.mlir", entry.name)), text).into_diagnostic()?;
    }
    run(&["stablehlo"])?;
    Ok((folder, entries))
}

fn run(folder: &Path, entry: &Entry) -> Result<()> {
    let text = workspace::read(&folder.join(format!("{}.hlo", entry.name)))?;
    let module = stage::module(&text)?;
    // XLA has verified what it compiled.
    verify(&module).wrap_err("XLA accepts the module")?;
    let parameters: Vec<&Shape> = module
        .entry()
        .parameters
        .iter()
        .map(|&parameter| &*module.instructions[parameter].shape)
        .collect();
    let file = |kind: &str| folder.join(format!("{}.{kind}.npz", entry.name));
    let arguments = npz::read_arguments(&file("arguments"), &parameters)?;
    let value = evaluate(&module, &arguments, &EvalOptions::default(), &mut ())?;
    let result = &*module.instructions[module.entry().root].shape;
    let results: Vec<&Shape> = match result {
        Shape::Tuple(parts) => parts.iter().collect(),
        other => vec![other],
    };
    let expected = npz::read_arguments(&file("expected"), &results)?;
    let as_stablehlo = npz::read_arguments(&file("stablehlo"), &results)?;
    let mut differences = differences(entry, "evaluator", value.leaves(), &expected)?;
    differences.extend(self::differences(
        entry,
        "StableHLO",
        as_stablehlo.iter().collect(),
        &expected,
    )?);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(miette!("{}\n{text}", differences.join("\n")))
    }
}

/// What is wrong with the results of `who`.
fn differences(
    entry: &Entry,
    who: &str,
    found: Vec<&Literal>,
    expected: &[Literal],
) -> Result<Vec<String>> {
    if found.len() != expected.len() {
        return Err(miette!(
            "{who}: {} results, XLA has {}",
            found.len(),
            expected.len()
        ));
    }
    let pairs = found.into_iter().zip(expected).enumerate();
    let differences = pairs.filter_map(|(i, (found, expected))| {
        let difference = difference(entry, found, expected)?;
        Some(format!("{who}: result {i}: {difference}"))
    });
    Ok(differences.collect())
}

/// The number, zero for one that is denormal: XLA's threads do not compute with those, the evaluator does.
fn flushed(number: f64, element: PrimitiveType) -> f64 {
    let smallest = match element {
        PrimitiveType::BF16 | PrimitiveType::F32 | PrimitiveType::C64 => f32::MIN_POSITIVE.into(),
        PrimitiveType::F64 | PrimitiveType::C128 => f64::MIN_POSITIVE,
        _ => 0.0,
    };
    if number.abs() < smallest {
        0f64.copysign(number)
    } else {
        number
    }
}

/// Elements that differ by more than the entry allows, if any.
fn difference(entry: &Entry, found: &Literal, expected: &Literal) -> Option<String> {
    let (Some((shape, ours)), Some((_, theirs))) = (found.as_array(), expected.as_array()) else {
        return Some("no arrays".into());
    };
    if ours == theirs {
        return None;
    }
    let (ours, theirs) = (parts(shape, found)?, parts(shape, expected)?);
    // Of a complex number the two parts are compared at the size of both.
    let width = if shape.element.is_complex() { 2 } else { 1 };
    let magnitude = |parts: &[f64]| {
        let finite = parts.iter().filter(|x| x.is_finite());
        finite.fold(0.0, |largest: f64, x| largest.max(x.abs()))
    };
    let (theirs_parts, largest) = (&theirs, magnitude(&theirs));
    let epsilon = epsilon(shape.element);
    let differs = |&(i, (ours, theirs)): &(usize, (f64, f64))| {
        let same = ours == theirs && ours.is_sign_negative() == theirs.is_sign_negative();
        if same || ours.is_nan() && theirs.is_nan() {
            return false;
        }
        let size = if entry.elementwise {
            let first = i / width * width;
            magnitude(&theirs_parts[first..first + width])
        } else {
            largest
        };
        let close = (ours - theirs).abs() <= entry.tolerance * epsilon * size;
        entry.tolerance == 0.0 || !close
    };
    let numbers = ours.iter().zip(&theirs);
    let pairs = || {
        numbers
            .clone()
            .map(|(a, b)| (flushed(*a, shape.element), flushed(*b, shape.element)))
            .enumerate()
    };
    let count = pairs().filter(differs).count();
    let examples: Vec<String> = pairs()
        .filter(differs)
        .take(6)
        .map(|(i, (ours, theirs))| format!("element {i} is {ours:?}, XLA has {theirs:?}"))
        .collect();
    (count > 0).then(|| {
        format!(
            "{} of {} differ: {}",
            count,
            ours.len(),
            examples.join("; ")
        )
    })
}

/// The elements as numbers, complex ones as two. `f64` holds all but large integers exactly, and those are compared by
/// their bits before.
fn parts(shape: &ArrayShape, array: &Literal) -> Option<Vec<f64>> {
    match shape.element {
        PrimitiveType::C64 => {
            let elements = array.elements::<[f32; 2]>()?;
            Some(elements.into_iter().flatten().map(f64::from).collect())
        }
        PrimitiveType::C128 => Some(
            array
                .elements::<[f64; 2]>()?
                .into_iter()
                .flatten()
                .collect(),
        ),
        _ => array.to_f64(),
    }
}

/// The distance from 1 to the next number.
fn epsilon(element: PrimitiveType) -> f64 {
    match element {
        PrimitiveType::F16 => 2f64.powi(-10),
        PrimitiveType::BF16 => 2f64.powi(-7),
        PrimitiveType::F32 | PrimitiveType::C64 => f32::EPSILON.into(),
        PrimitiveType::F64 | PrimitiveType::C128 => f64::EPSILON,
        _ => 0.0,
    }
}
