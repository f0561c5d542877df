//! The C target: the regions of every case and the programs written by hand, compiled by the system's C compiler into one
//! library, loaded, run, and held against the emulator.

#![allow(
    clippy::unwrap_used,
    unsafe_code,
    reason = "a test may fail, and what was compiled is called"
)]

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;

use hlo2dae::check::sample;
use hlo2dae::compile::{Ladder, Options, compile};
use hlo2dae::inputs::synthesise;
use hlo2dae_backend::{Artifact, c};
use hlo2dae_ir::core::{Array, Buffer, ElementType, Role, Scalar};
use hlo2dae_ir::passes::{self, MAX_LEVEL};
use hlo2dae_sim::{Config, Emulator};
use libloading::Library;

type Entry = unsafe extern "C" fn(*const *const c_void, *const *mut c_void) -> i32;

/// An artifact and what to run it on.
struct Run {
    name: String,
    artifact: Artifact,
    inputs: Vec<Array>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn cases() -> Vec<Run> {
    let mut runs = Vec::new();
    for folder in entries(&workspace().join("integration/cases")) {
        let text = std::fs::read_to_string(folder.join("00-input.hlo")).unwrap();
        let compilation = compile(&text, &Options::default()).unwrap();
        let arguments = synthesise(&compilation.module, &compilation.regions, 3);
        let samples = sample(&compilation, &arguments).unwrap();
        for (compiled, sample) in compilation.regions.iter().zip(samples) {
            runs.push(Run {
                name: format!("{}, @{}", folder.display(), compiled.ladder.name()),
                artifact: compiled.ladder.artifact().unwrap(),
                inputs: sample.unwrap().inputs,
            });
        }
    }
    runs
}

/// Programs written by hand, and what each level makes of their loops: rows, vectors, counters, stores by the access unit.
fn handwritten() -> Vec<Run> {
    let mut runs = Vec::new();
    for path in entries(&workspace().join("integration/handwritten")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let given = Ladder::parse(&text).unwrap();
        let ladders = match given.slc {
            Some(_) => (0..=MAX_LEVEL)
                .map(|level| given.at(level, &passes::Options::default()))
                .collect(),
            None => Ok(vec![given]),
        };
        for ladder in ladders.unwrap() {
            runs.push(Run {
                name: format!("{}\n{}", path.display(), ladder.dlc),
                artifact: ladder.artifact().unwrap(),
                inputs: inputs(&ladder),
            });
        }
    }
    runs
}

/// Floats that differ, offsets that rise, indices that every table has.
fn inputs(ladder: &Ladder) -> Vec<Array> {
    let (inputs, _) = ladder.signature();
    let array = |buffer: &Buffer| {
        let count: u64 = buffer.dims.iter().product();
        let starts = ["offsets", "pointers"].contains(&buffer.name.as_str());
        let scalar = |n: u64| match (buffer.element, starts) {
            (ElementType::F32, _) => (n * 37 % 101) as f64 * 0.37 - 17.0,
            // The last bag ends with the 40th look-up.
            (_, true) => (n * 40 / (count - 1)) as f64,
            (_, false) => (n * 7 % 8) as f64,
        };
        let scalars = (0..count).map(|n| Scalar::F64(scalar(n)).convert(buffer.element.into()));
        Array::from_scalars(buffer.element, &buffer.dims, scalars).unwrap()
    };
    inputs.into_iter().map(array).collect()
}

/// One library of all programs, each with a name of its own.
fn library(runs: &mut [Run], folder: &Path) -> Library {
    let mut sources = Vec::new();
    for (n, run) in runs.iter_mut().enumerate() {
        run.artifact.name = format!("{}_{n}", run.artifact.name);
        let source = folder.join(format!("{n}.c"));
        std::fs::write(&source, c::print(&run.artifact).unwrap()).unwrap();
        sources.push(source);
    }
    let library = folder.join("programs.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args([
            "-std=c11",
            "-O1",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-o",
        ])
        .arg(&library)
        .args(&sources)
        .arg("-lm")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // SAFETY: the library was made above; it has no initialisers.
    unsafe { Library::new(&library) }.unwrap()
}

fn call(library: &Library, run: &Run) -> (i32, Vec<Array>) {
    let outputs = run
        .artifact
        .buffers
        .values()
        .filter(|b| matches!(b.role, Role::Output(_)));
    let mut outputs: Vec<Array> = outputs
        .map(|b| Array::zeros(b.element, &b.dims).unwrap())
        .collect();
    let inputs: Vec<*const c_void> = run.inputs.iter().map(|a| a.data.as_ptr().cast()).collect();
    let places: Vec<*mut c_void> = outputs
        .iter_mut()
        .map(|a| a.data.as_mut_ptr().cast())
        .collect();
    let name = c::entry_name(&run.artifact);
    // SAFETY: the entry has this signature; every array has the size that its declaration says.
    let status = unsafe {
        let entry = library.get::<Entry>(name.as_bytes()).unwrap();
        entry(inputs.as_ptr(), places.as_ptr())
    };
    (status, outputs)
}

/// The same scalar, any two NaNs, or floats that the C library's functions round differently.
fn close(a: Scalar, b: Scalar) -> bool {
    let [x, y] = [a, b].map(|scalar| match scalar.convert(ElementType::F64.into()) {
        Scalar::F64(value) => value,
        _ => f64::NAN,
    });
    a == b || x.is_nan() && y.is_nan() || (x - y).abs() <= 1e-6 * x.abs().max(y.abs())
}

#[test]
fn what_is_printed_as_c_does_what_the_emulator_does() {
    let mut runs = cases();
    runs.extend(handwritten());
    let folder = tempfile::tempdir().unwrap();
    let library = library(&mut runs, folder.path());
    for run in &runs {
        let emulator = Emulator::new(&run.artifact, Config::default()).unwrap();
        let (expected, _) = emulator.run(&run.inputs).unwrap();
        let (status, found) = call(&library, run);
        assert_eq!(status, 0, "{}", run.name);
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected.data.len(), found.data.len(), "{}", run.name);
            for (n, (a, b)) in expected.scalars().zip(found.scalars()).enumerate() {
                assert!(
                    close(a, b),
                    "{}: element {n} is {b}, expected {a}",
                    run.name
                );
            }
        }
    }
    assert!(runs.len() > 40, "{}", runs.len());
}
