//! Files that hold what is expected.

use std::path::Path;

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use similar::TextDiff;

use crate::workspace;

/// Whether expectations are to be rewritten.
pub fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// Compares a text with a file, or rewrites the file when [`blessing`]. `command` is what a reader runs to accept the change.
pub fn check(path: &Path, actual: &str, command: &str) -> Result<()> {
    if blessing() {
        return std::fs::write(path, actual)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", workspace::display(path)));
    }
    let name = workspace::display(path);
    if !path.exists() {
        return Err(miette!(
            help = format!("BLESS=1 {command}"),
            "{name} is missing; it would hold\n{actual}"
        ));
    }
    let expected = workspace::read(path)?;
    if expected == actual {
        return Ok(());
    }
    let diff = TextDiff::from_lines(expected.as_str(), actual);
    let diff = diff
        .unified_diff()
        .context_radius(3)
        .header(&name, "as it is now")
        .to_string();
    Err(miette!(
        help = format!("if the new text is right: BLESS=1 {command}"),
        "{name} differs\n{diff}"
    ))
}
