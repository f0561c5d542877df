//! What becomes of programs that a machine is too small for: nests are split, every other resource is named, with what to change.
//!
//! `resources/NAME.dlc` is compiled for the machine of `NAME.toml`; `NAME.txt` is what comes of it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../../ir/tests/support/texts.rs"]
mod texts;

use hlo2dae_backend::{Machine, compile};
use hlo2dae_ir::core::Ir;
use hlo2dae_ir::dlc;

#[test]
fn what_is_too_large_is_split_or_told() {
    let folder = texts::folder("resources");
    texts::assert_closed(&folder, &["dlc", "toml", "txt"]);
    for path in texts::files(&folder, "dlc") {
        let text = std::fs::read_to_string(&path).unwrap();
        let machine = std::fs::read_to_string(path.with_extension("toml")).unwrap();
        let machine: Machine = machine.parse().unwrap();
        let program: dlc::Program = text.parse().unwrap();
        program.verify().unwrap();
        let outcome = match compile(&program, &machine) {
            Ok(artifact) => artifact.access_text().to_string(),
            Err(error) => texts::render(error, &path, &text),
        };
        texts::compare(&path, "txt", &outcome);
    }
}
