//! A C program links the shared library, and the header says the same as the library.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo put the shared library: beside the tests.
fn library_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().to_owned();
    assert!(
        folder.join("libhlo2dae.so").is_file(),
        "no libhlo2dae.so in {}",
        folder.display()
    );
    folder
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out.into_owned()
}

/// Compiles `source` as `language`, links it against the library and runs it.
fn build_and_run(compiler: &str, language: &str, standard: &str) {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = library_folder();
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("program");
    run(Command::new(compiler)
        .args([
            "-x",
            language,
            standard,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
        ])
        .arg("-I")
        .arg(crate_folder.join("include"))
        .arg(crate_folder.join("tests/embedding_bag.c"))
        .args(["-x", "none", "-o"])
        .arg(&program)
        .arg("-L")
        .arg(&library)
        .arg("-lhlo2dae")
        .arg(format!("-Wl,-rpath,{}", library.display())));
    assert_eq!(run(&mut Command::new(&program)), "ok\n");
}

#[test]
fn a_c_program_compiles_runs_and_survives_every_mistake() {
    build_and_run("cc", "c", "-std=c11");
}

#[test]
fn the_same_program_is_a_cxx_program() {
    build_and_run("c++", "c++", "-std=c++17");
}

/// Names of the functions that the header declares.
fn declared() -> Vec<String> {
    let header =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/hlo2dae.h"))
            .unwrap();
    let code: String = header
        .split("/*")
        .map(|part| part.split_once("*/").map_or(part, |(_, code)| code))
        .collect();
    let mut names: Vec<String> = code
        .split(['(', ' ', '*', '\n'])
        .zip(code.match_indices(['(', ' ', '*', '\n']))
        .filter(|(word, (_, separator))| word.starts_with("hlo2dae_") && *separator == "(")
        .map(|(word, _)| word.to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let symbols = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library_folder().join("libhlo2dae.so")));
    let mut exported: Vec<String> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter(|name| name.starts_with("hlo2dae_"))
        .map(str::to_owned)
        .collect();
    exported.sort();
    assert_eq!(exported, declared());
}
