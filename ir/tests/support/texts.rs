//! Text files of a test folder: programs, and what is to come out of them.

#![allow(dead_code, reason = "each test program uses its part")]

use std::path::{Path, PathBuf};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, Report};

/// A folder of `tests`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// The files of a folder with this extension, in the order of their names.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The text of a file, the comment lines at its start left out.
pub fn program(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| line.starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Compares with the file beside `input` that has this extension; `BLESS=1` writes it.
pub fn compare(input: &Path, extension: &str, actual: &str) {
    let path = input.with_extension(extension);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual,
        expected,
        "{}: if this is right, run with BLESS=1",
        path.display()
    );
}

/// A diagnostic as a terminal without colours shows it.
pub fn render(error: impl Diagnostic + Send + Sync + 'static, path: &Path, text: &str) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    let report = Report::new(error).with_source_code(NamedSource::new(name, text.to_owned()));
    let mut rendered = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(120)
        .render_report(&mut rendered, report.as_ref())
        .unwrap();
    rendered
}

/// Every file of a folder has one of these extensions, and one beside it that has the first.
pub fn assert_closed(folder: &Path, extensions: &[&str]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let extension = path.extension().unwrap().to_str().unwrap();
        assert!(extensions.contains(&extension), "{}", path.display());
        assert!(
            path.with_extension(extensions[0]).exists(),
            "{} has no input",
            path.display()
        );
    }
}
