//! XLA's own texts and real dumps, read from the directory that `HLO2DAE_CORPUS` names.
//!
//! Without the variable there is nothing to read and the tests pass; the crate's own texts, in the
//! other tests, cover the same grammar.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at an unreadable file, and says how much it has read"
)]

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use hlo2dae_hlo::{parse_attribute, parse_module, parse_shape, verify};
use serde_json::Value;

fn corpus() -> Option<PathBuf> {
    std::env::var_os("HLO2DAE_CORPUS").map(PathBuf::from)
}

fn read(path: &std::path::Path) -> String {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
        return text;
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
            (name, read(&path))
        })
        .collect();
    files.sort();
    files
}

fn json(file: &str) -> Value {
    match corpus() {
        Some(root) => serde_json::from_str(&read(&root.join(file))).unwrap(),
        None => Value::Null,
    }
}

/// Parses each text; those that are refused, as `name: message`.
fn refused(files: &[(String, String)]) -> Vec<String> {
    files
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}: {}", parse_module(text).err()?)))
        .collect()
}

/// Prints how many of `all` are right and fails when more than `allowed` are not.
fn check(what: &str, all: usize, bad: &[String], allowed: usize) {
    println!("{what}: {} of {all}", all - bad.len());
    if !bad.is_empty() {
        println!("  {}", bad.join("\n  "));
    }
    assert!(bad.len() <= allowed, "{what}:\n{}", bad.join("\n"));
}

#[test]
fn every_real_dump_is_sound_and_survives_printing() {
    let files = files("models", ".hlo");
    let mut bad = refused(&files);
    for (name, text) in &files {
        let Ok(module) = parse_module(text) else {
            continue;
        };
        let printed = module.to_string();
        match parse_module(&printed) {
            Err(errors) => bad.push(format!("{name} printed: {errors}")),
            Ok(again) if again.to_string() != printed => {
                bad.push(format!("{name}: the print changes"));
            }
            Ok(again) if again != module => bad.push(format!("{name}: the module changes")),
            Ok(_) => {
                if let Err(errors) = verify(&module) {
                    bad.push(format!("{name}: {errors}"));
                }
            }
        }
    }
    check("models", files.len(), &bad, 0);
}

#[test]
fn what_xla_accepts_is_accepted() {
    for (folder, suffix) in [
        ("xla/valid", ".hlo"),
        ("xla/valid_big", ".hlo.gz"),
        ("xla/newer", ".hlo"),
    ] {
        let files = files(folder, suffix);
        check(folder, files.len(), &refused(&files), 0);
    }
    let Some(root) = corpus() else {
        return;
    };
    let broad: Vec<_> = read(&root.join("xla/broad/valid.jsonl"))
        .lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("hlo_text"))
        })
        .collect();
    check("xla/broad", broad.len(), &refused(&broad), 0);
}

#[test]
fn what_xla_refuses_is_refused() {
    let files = files("xla/invalid", ".hlo");
    let accepted: Vec<_> = files
        .iter()
        .filter(|(_, text)| parse_module(text).is_ok())
        .map(|(name, _)| name.clone())
        .collect();
    check("xla/invalid", files.len(), &accepted, 5);
}

/// The first line that differs, both ways.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (expected, found) = (expected.trim_end(), found.trim_end());
    if expected == found {
        return None;
    }
    let (mut a, mut b) = (expected.lines(), found.lines());
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) if x == y => {}
            (x, y) => {
                return Some(format!(
                    "\n  xla  {}\n  ours {}",
                    x.unwrap_or(""),
                    y.unwrap_or("")
                ));
            }
        }
    }
}

#[test]
fn probes_are_answered_as_xla_does() {
    let probes = json("xla/probes.json");
    let cases = probes["cases"].as_array().cloned().unwrap_or_default();
    let mut bad = Vec::new();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let ok = case["ok"].as_bool().unwrap();
        match parse_module(case["text"].as_str().unwrap()) {
            Err(errors) if ok => bad.push(format!("{name}: {errors}")),
            Ok(_) if !ok => bad.push(format!("{name}: accepted")),
            // The values of an elided constant are arbitrary.
            Ok(module) if !name.starts_with("literal_elided") => {
                // XLA prints -0.0 as `-0`, which it reads as 0: here the sign is kept.
                let printed = module.to_string().replace("-0.0", "-0");
                if let Some(d) = difference(case["canon"].as_str().unwrap(), &printed) {
                    bad.push(format!("{name}: {d}"));
                }
            }
            _ => {}
        }
    }
    check("probes", cases.len(), &bad, 0);
}

#[test]
fn canonical_print_is_that_of_xla() {
    let Some(root) = corpus() else {
        return;
    };
    let mut all = 0;
    let mut bad = Vec::new();
    for line in read(&root.join("xla/index.jsonl")).lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let file = entry["file"].as_str().unwrap();
        if entry["canon_roundtrips"] != true {
            continue;
        }
        let path = root.join("xla").join(file);
        let canon = path.with_extension("canon.txt");
        if !canon.exists() {
            continue;
        }
        let text = read(&path);
        if text.contains("{...}") {
            continue;
        }
        all += 1;
        if let Ok(module) = parse_module(&text) {
            if let Some(d) = difference(&read(&canon), &module.to_string()) {
                bad.push(format!("{file}: {d}"));
            }
        } else {
            bad.push(format!("{file}: refused"));
        }
    }
    // XLA reads the complex number (nan, 1) as (nan, nan), and drops stack frames that no
    // metadata refers to; the text says otherwise and is kept.
    check("canonical prints", all, &bad, 2);
}

#[test]
fn parts_of_the_grammar_are_answered_as_xla_does() {
    let cases = json("xla/subparsers.json");
    let cases = cases["cases"].as_array().cloned().unwrap_or_default();
    let mut bad = Vec::new();
    for case in &cases {
        let input = case["input"].as_str().unwrap();
        let function = case["function"].as_str().unwrap();
        let attribute = |name| parse_attribute(name, input).map(|_| ());
        let parsed = match function {
            "ParseShape" => parse_shape(input).map(|_| ()),
            "ParseSharding" => attribute("sharding"),
            "ParseFrontendAttributes" => attribute("frontend_attributes"),
            "ParseConvolutionDimensionNumbers" => attribute("dim_labels"),
            "ParsePaddingConfig" => attribute("padding"),
            "ParseReplicaGroupsOnly" | "ParseCollectiveDeviceListBase" => {
                attribute("replica_groups")
            }
            "LexesAsJsonDict" => attribute("backend_config"),
            other => {
                bad.push(format!("{other} is not known"));
                continue;
            }
        };
        if parsed.is_ok() != (case["expect"] == "ok") {
            bad.push(format!("{function} {input}"));
        }
    }
    check("parts", cases.len(), &bad, 0);
}

#[test]
fn operands_in_place_get_the_names_that_xla_gives() {
    let cases = json("xla/nonroundtrip.json");
    let cases = cases["cases"].as_array().cloned().unwrap_or_default();
    // The expected prints are short: neither `%` nor signatures.
    let short = |text: &str| {
        let lines = text.replace('%', "");
        lines
            .lines()
            .map(|line| match line.strip_prefix("ENTRY ") {
                Some(entry) => format!("ENTRY {} {{", entry.split(' ').next().unwrap_or("")),
                None => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    let mut bad = Vec::new();
    for case in &cases {
        match parse_module(case["input"].as_str().unwrap()) {
            Err(errors) => bad.push(errors.to_string()),
            Ok(module) => bad.extend(difference(
                case["output"].as_str().unwrap(),
                &short(&module.to_string()),
            )),
        }
    }
    check("operands in place", cases.len(), &bad, 0);
}

#[test]
fn accepted_texts_survive_printing() {
    let mut all = files("xla/valid", ".hlo");
    all.extend(files("xla/newer", ".hlo"));
    all.extend(files("xla/valid_big", ".hlo.gz"));
    let mut bad = Vec::new();
    for (name, text) in &all {
        let Ok(module) = parse_module(text) else {
            continue;
        };
        let printed = module.to_string();
        match parse_module(&printed) {
            Err(errors) => bad.push(format!("{name} printed: {errors}")),
            Ok(again) => {
                bad.extend(
                    difference(&printed, &again.to_string()).map(|d| format!("{name}: {d}")),
                );
                if again != module {
                    bad.push(format!("{name}: the module changes"));
                }
            }
        }
    }
    check("round trips", all.len(), &bad, 0);
}
