//! Texts and what they mean: prints, refusals, broken rules, rendered errors.
//!
//! `text/snippets.rs` says where the texts are. What is expected stands in a file beside each;
//! `BLESS=1` rewrites it. The framework tests ask XLA's parser about every one of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at an unreadable file or an unexpected verdict"
)]

use std::fs;
use std::path::PathBuf;

#[path = "support/golden.rs"]
mod golden;
#[path = "text/snippets.rs"]
#[allow(
    dead_code,
    reason = "shared with the example that writes the seeds of the fuzzers"
)]
mod snippets;

use golden::check;
use hlo2dae_hlo::{Module, parse_module, verify};
use miette::{GraphicalReportHandler, GraphicalTheme};
use snippets::folder;

/// Runs `verdict` on every line of a list and compares the lines of verdicts.
fn check_list(name: &str, verdict: impl Fn(&str, usize) -> String) {
    let mut found = String::new();
    for snippet in snippets::list(name).unwrap() {
        let at = snippet.text.lines().count() - 1;
        found += &format!("{}\n", verdict(&snippet.text, at));
    }
    check(&folder("text").join(format!("{name}.expected")), &found);
}

/// Parses, prints and parses again; the print and the module must not change.
fn round_trip(text: &str) -> (Module, String) {
    let module = parse_module(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let printed = module.to_string();
    let again = parse_module(&printed).unwrap_or_else(|e| panic!("{printed}\n{e}"));
    assert_eq!(again.to_string(), printed, "the print of the print differs");
    assert!(again == module, "the module changes:\n{printed}");
    (module, printed)
}

#[test]
fn instructions_are_sound_and_print_canonically() {
    check_list("instructions", |text, _| {
        let (module, printed) = round_trip(text);
        if let Err(errors) = verify(&module) {
            panic!("{text}\n{errors}");
        }
        let root = printed.lines().rfind(|l| l.starts_with("  ROOT")).unwrap();
        root.trim().to_owned()
    });
}

#[test]
fn malformed_instructions_are_refused() {
    check_list("refused", |text, at| match parse_module(text) {
        Ok(module) => panic!("accepted:\n{module}"),
        Err(errors) => {
            let (line, column) = errors.line_column();
            // The verdict must not depend on how long the context is.
            let line = line as i64 - at as i64;
            format!("{line:+}:{column} {}", errors.errors()[0])
        }
    });
}

#[test]
fn meaningless_instructions_break_a_rule() {
    check_list("unsound", |text, _| {
        let module = parse_module(text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        let errors = verify(&module).expect_err(text);
        assert_eq!(errors.errors().len(), 1, "{text}\n{errors}");
        errors.to_string()
    });
}

/// Files of a folder that end in `.hlo`; every other file must belong to one of them.
fn cases(name: &str, expected: &str) -> Vec<PathBuf> {
    let mut inputs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "hlo") {
            inputs.push(path);
        } else {
            assert!(
                path.extension().is_some_and(|e| e == expected)
                    && path.with_extension("hlo").exists(),
                "{} belongs to no case",
                path.display()
            );
        }
    }
    inputs.sort();
    inputs
}

#[test]
fn modules_print_canonically() {
    for path in cases("modules", "print") {
        let text = fs::read_to_string(&path).unwrap();
        let (module, printed) = round_trip(&text);
        if let Err(errors) = verify(&module) {
            panic!("{}: {errors}", path.display());
        }
        check(&path.with_extension("print"), &printed);
    }
}

#[test]
fn errors_are_rendered_with_place_and_help() {
    let renderer = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    for path in cases("diagnostics", "txt") {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let errors = parse_module(&text).expect_err(&name).with_file_name(&name);
        let mut rendered = String::new();
        renderer.render_report(&mut rendered, &errors).unwrap();
        let lines: Vec<&str> = rendered.lines().map(str::trim_end).collect();
        check(
            &path.with_extension("txt"),
            &format!("{}\n", lines.join("\n")),
        );
    }
}
