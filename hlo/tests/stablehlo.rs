//! Modules and what they are as StableHLO.
//!
//! Every instruction of `text/instructions.txt` is printed on its own, see `text.rs`; `stablehlo/*.hlo` are whole modules. What
//! is expected stands in a file beside each, refusals included; `BLESS=1` rewrites it. That the texts mean what they should is
//! the framework tests' business: they hand them to XLA.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at an unreadable file or an unexpected verdict"
)]

use std::fs;
use std::path::{Path, PathBuf};

use hlo2dae_hlo::{parse_module, stablehlo, verify};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Compares with the file `path`, or rewrites it.
fn check(path: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let mut lines = expected.lines().zip(found.lines()).enumerate();
    if let Some((line, (expected, found))) = lines.find(|(_, (e, f))| e != f) {
        panic!(
            "{}:{}:\n  expected {expected}\n  found    {found}\nBLESS=1 rewrites the file",
            path.display(),
            line + 1
        );
    }
    assert_eq!(
        expected.lines().count(),
        found.lines().count(),
        "{}",
        path.display()
    );
}

/// The print of a module, or its errors one a line.
fn printed(text: &str) -> String {
    let module = parse_module(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let verified = verify(&module).unwrap_or_else(|e| panic!("{text}\n{e}"));
    match stablehlo::print(verified) {
        Ok(text) => text,
        Err(errors) => errors
            .errors()
            .iter()
            .map(|e| format!("error: {e}\n"))
            .collect(),
    }
}

/// The module of one line: parameters, `=>`, an instruction.
fn module_of(context: &str, line: &str) -> String {
    let (parameters, instruction) = line.split_once("=> ").unwrap();
    let mut text = format!("HloModule case\n\n{context}\nENTRY case {{\n");
    let mut depth = 0;
    // Commas separate parameters outside brackets only.
    let parts = parameters.split(|c| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let named = parts.filter_map(|part| part.trim().split_once(": "));
    for (number, (name, shape)) in named.enumerate() {
        text += &format!("  {name} = {shape} parameter({number})\n");
    }
    text + &format!("  ROOT it = {instruction}\n}}\n")
}

#[test]
fn instructions_print_as_stablehlo() {
    let context = fs::read_to_string(folder("text/context.hlo")).unwrap();
    let list = fs::read_to_string(folder("text/instructions.txt")).unwrap();
    let mut found = String::new();
    for line in list.lines() {
        let text = printed(&module_of(&context, line));
        // The module's head and the last brace say nothing here.
        let body = text.lines().filter(|line| !line.starts_with(['m', '}']));
        found += &format!("// {line}\n");
        body.for_each(|line| found += &format!("{line}\n"));
    }
    check(&folder("text/stablehlo.expected"), &found);
}

#[test]
fn modules_print_as_stablehlo() {
    let mut inputs = 0;
    for entry in fs::read_dir(folder("stablehlo")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "hlo") {
            inputs += 1;
            let text = fs::read_to_string(&path).unwrap();
            check(&path.with_extension("mlir"), &printed(&text));
        } else {
            assert!(
                path.with_extension("hlo").exists(),
                "{} belongs to no module",
                path.display()
            );
        }
    }
    assert!(inputs > 0, "no modules");
}

/// Conditionals inside one another, each branch of which has two of the level below.
fn doubling(levels: usize) -> String {
    let mut text = String::from(
        "HloModule deep\n\nlevel0 {\n  x = f32[] parameter(0)\n  ROOT n = f32[] negate(x)\n}\n",
    );
    for level in 1..=levels {
        let below = level - 1;
        text += &format!(
            "level{level} {{\n  x = f32[] parameter(0)\n  p = pred[] constant(true)\n  ROOT c = f32[] conditional(p, x, x), true_computation=level{below}, false_computation=level{below}\n}}\n"
        );
    }
    text + &format!(
        "ENTRY e {{\n  x = f32[] parameter(0)\n  ROOT c = f32[] call(x), to_apply=level{levels}\n}}\n"
    )
}

#[test]
fn text_grows_with_the_module_however_often_computations_are_shared() {
    let text = printed(&doubling(200));
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
}

#[test]
fn nesting_is_bounded_by_functions() {
    let mut text = String::from(
        "HloModule deep\n\nbody0 {\n  x = f32[] parameter(0)\n  ROOT n = f32[] negate(x)\n}\n",
    );
    let levels = 3000;
    for level in 1..=levels {
        text += &format!(
            "cond{level} {{\n  x = f32[] parameter(0)\n  ROOT p = pred[] constant(false)\n}}\nbody{level} {{\n  x = f32[] parameter(0)\n  ROOT w = f32[] while(x), condition=cond{level}, body=body{}\n}}\n",
            level - 1
        );
    }
    text += &format!(
        "ENTRY e {{\n  x = f32[] parameter(0)\n  ROOT c = f32[] call(x), to_apply=body{levels}\n}}\n"
    );
    let text = printed(&text);
    let deepest = text
        .lines()
        .map(|line| line.len() - line.trim_start().len())
        .max();
    assert!(deepest < Some(100), "{deepest:?} blanks");
    assert_eq!(text.matches("stablehlo.while").count(), levels);
}
