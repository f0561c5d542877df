//! XLA's own texts and real dumps, read from the directory that `HLO2DAE_CORPUS` names.
//!
//! Without the variable there is nothing to read and the tests pass; the crate's own texts, in the
//! other tests, cover the same grammar.

use std::fs;
use std::path::PathBuf;

use hlo2dae_hlo::parse_module;

fn corpus() -> Option<PathBuf> {
    std::env::var_os("HLO2DAE_CORPUS").map(PathBuf::from)
}

/// Files below `folder` whose names end in `suffix`, by name.
fn files(folder: &str, suffix: &str) -> Vec<(String, String)> {
    let Some(root) = corpus() else {
        return Vec::new();
    };
    let mut files: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_real_dump_parses_and_prints_to_a_fixed_point() {
    let mut bad = Vec::new();
    let files = files("models", ".hlo");
    for (name, text) in &files {
        match parse_module(text) {
            Err(errors) => bad.push(format!("{name}: {errors}")),
            Ok(module) => {
                let printed = module.to_string();
                match parse_module(&printed) {
                    Err(errors) => bad.push(format!("{name} printed: {errors}")),
                    Ok(again) => {
                        if again.to_string() != printed {
                            bad.push(format!("{name}: the print changes"));
                        }
                    }
                }
            }
        }
    }
    println!("models: {} of {}", files.len() - bad.len(), files.len());
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
