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

use std::collections::HashMap;
use std::fs;

#[path = "support/golden.rs"]
mod golden;
#[path = "text/snippets.rs"]
#[allow(
    dead_code,
    reason = "shared with the example that writes the seeds of the fuzzers"
)]
mod snippets;

use golden::check;
use hlo2dae_hlo::stablehlo::{self, Reason};
use hlo2dae_hlo::{Opcode, parse_module, verify};
use snippets::folder;

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

#[test]
fn instructions_print_as_stablehlo() {
    let mut found = String::new();
    for snippet in snippets::list("instructions").unwrap() {
        let text = printed(&snippet.text);
        // The module's head and the last brace say nothing here.
        let body = text.lines().filter(|line| !line.starts_with(['m', '}']));
        found += &format!("// {}\n", snippet.name);
        body.for_each(|line| found += &format!("{line}\n"));
    }
    check(&folder("text/stablehlo.expected"), &found);
}

/// The quoted words of a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_says_of_every_opcode_what_it_becomes() {
    let page = fs::read_to_string(folder("../docs/stablehlo.md")).unwrap();
    let mut forms: HashMap<Opcode, &str> = HashMap::new();
    let rows = page.lines().skip_while(|line| !line.starts_with("|---"));
    for row in rows.skip(1).take_while(|line| line.starts_with('|')) {
        let [_, opcodes, form, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        for name in quoted(opcodes) {
            let opcode = Opcode::from_name(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(forms.insert(opcode, form.trim()), None, "{name} twice");
        }
    }
    for &opcode in Opcode::ALL {
        assert!(forms.contains_key(&opcode), "{}", opcode.name());
    }
    for snippet in snippets::list("instructions").unwrap() {
        let module = parse_module(&snippet.text).unwrap();
        let opcode = module.instructions[module.entry().root].opcode;
        let form = forms[&opcode];
        let text = printed(&snippet.text);
        let has_no_operation = text.contains(&Reason::NoOperation.to_string());
        assert_eq!(form == "an error", has_no_operation, "{}", snippet.name);
        // Other errors are of the instruction, not of the opcode; what becomes nothing has no name.
        if text.starts_with("error") || form.starts_with("nothing") {
            continue;
        }
        let head = form.split(';').next().unwrap_or_default();
        let mut names: Vec<String> = match head.strip_suffix("operation of that name") {
            Some(dialect) => {
                let dialect = quoted(dialect).first().copied().unwrap_or("stablehlo");
                vec![format!("{dialect}.{}", opcode.name().replace('-', "_"))]
            }
            None => quoted(head).into_iter().map(str::to_owned).collect(),
        };
        names
            .iter_mut()
            .filter(|name| !name.contains('.'))
            .for_each(|name| {
                name.insert_str(0, "stablehlo.");
            });
        let is_alike = opcode == Opcode::Bitcast || names.iter().any(|name| text.contains(name));
        assert!(names.is_empty() || is_alike, "{}:\n{text}", snippet.name);
    }
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
