//! Rules that hold for every file of the project.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hlo2dae_integration::workspace;

/// Files and the line of each that breaks a rule.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, path: &Path, line: usize, what: &str) {
        let path = workspace::display(path);
        self.0.push(format!("{path}:{}: {what}", line + 1));
    }

    fn assert_none(self) {
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    workspace::files()
        .unwrap()
        .into_iter()
        .filter(|path| {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            extensions.contains(&extension)
        })
        .map(|path| {
            let text = workspace::read(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Hand-written text of every kind; the lock file is cargo's.
const TEXT: [&str; 12] = [
    "rs", "py", "md", "toml", "hlo", "region", "scf", "slc", "dlc", "txt", "h", "cc",
];

/// Whether `word` occurs in `line` with no letter, digit or underscore on either side.
fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !inside(line[..at].chars().next_back()) && !inside(line[at + word.len()..].chars().next())
    })
}

/// The line without its line comment; a `//` inside a string ends it too early, which no rule here minds.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

#[test]
fn nothing_is_left_to_do() {
    // Spelled in two parts: this file is looked at as well.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("HA", "CK"),
    ];
    let calls = [
        concat!("dbg", "!("),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("#[should", "_panic"),
        concat!("pytest.mark.", "skip"),
        concat!("pytest.mark.", "xfail"),
        concat!("pytest.", "skip("),
    ];
    let mut complaints = Complaints::default();
    for (path, text) in texts(&TEXT) {
        for (number, line) in text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| has_word(line, mark)) {
                complaints.add(&path, number, mark);
            }
            for call in calls.iter().filter(|call| line.contains(*call)) {
                complaints.add(&path, number, call);
            }
        }
    }
    complaints.assert_none();
}

/// Whether the text of a line comment is a line of code: it opens or closes a block, or it ends in a semicolon that no
/// sentence has (`any output;` is prose, `x = y;`, `f(x);` and `break;` are code).
fn is_code(comment: &str) -> bool {
    let comment = comment.trim();
    match comment.strip_suffix(';') {
        Some(line) => {
            line.ends_with([')', ']', '"', '?']) || line.contains(" = ") || !line.contains(' ')
        }
        None => comment.ends_with(['{', '}']),
    }
}

#[test]
fn no_code_is_commented_out() {
    let mut complaints = Complaints::default();
    for (path, text) in texts(&["rs"]) {
        for (number, line) in text.lines().enumerate() {
            let comment = line.trim().strip_prefix("//");
            let comment = comment.filter(|rest| !rest.starts_with(['/', '!']));
            if comment.is_some_and(is_code) {
                complaints.add(&path, number, "a comment that reads like code");
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn code_is_told_from_prose() {
    for code in ["let x = y;", "f(x);", "break;", "if x {", "}", "x.y()?;"] {
        assert!(is_code(code), "{code}");
    }
    for prose in ["not overlapping any output;", "Says why.", "a, b; c"] {
        assert!(!is_code(prose), "{prose}");
    }
}

#[test]
fn only_the_command_line_and_tests_print() {
    let mut complaints = Complaints::default();
    for (path, text) in texts(&["rs"]) {
        let name = workspace::display(&path);
        let may_print = [
            "/bin/",
            "/cli/",
            "/tests/",
            "/benches/",
            "/examples/",
            "/build.rs",
        ];
        if may_print.iter().any(|part| name.contains(part)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let printing = ["println!", "print!", "eprintln!", "eprint!"];
            if printing.iter().any(|mark| has_word(code(line), mark)) {
                complaints.add(&path, number, "prints");
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn unsafe_code_stays_where_foreign_memory_is() {
    let allowed = ["plugin/", "backend/src/native/kernels"];
    let mut complaints = Complaints::default();
    for (path, text) in texts(&["rs"]) {
        let name = workspace::display(&path);
        if allowed.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if has_word(code(line), concat!("un", "safe")) {
                complaints.add(
                    &path,
                    number,
                    "only foreign memory and native kernels need this",
                );
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn no_absolute_path_is_named() {
    let folders = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/t", "mp"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\"),
    ];
    let mut complaints = Complaints::default();
    for (path, text) in texts(&TEXT) {
        for (number, line) in text.lines().enumerate() {
            for folder in folders {
                // `a/tmp` is a relative path.
                let absolute = line.match_indices(folder).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-*}".contains(c))
                });
                if absolute {
                    complaints.add(&path, number, &format!("names {folder}"));
                }
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for (path, text) in texts(&["toml"]) {
        if workspace::file_name(&path) == "Cargo.toml" && text.contains("[package]") {
            let name = workspace::display(&path);
            assert!(
                text.contains("[lints]\nworkspace = true"),
                "{name} does not"
            );
        }
    }
}

/// Most lines of a file that needs no reason.
const LONG: usize = 600;

#[test]
fn long_files_are_listed_with_a_reason() {
    let list = workspace::root().join("integration/tests/long_files.txt");
    let listed: BTreeSet<String> = workspace::read(&list)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (path, reason) = line.split_once(": ").unwrap_or((line, ""));
            assert!(!reason.is_empty(), "{path} is listed without a reason");
            path.to_string()
        })
        .collect();
    let long: BTreeSet<String> = texts(&["rs", "py"])
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LONG)
        .map(|(path, _)| workspace::display(&path))
        .collect();
    let unlisted: Vec<_> = long.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&long).collect();
    assert!(
        unlisted.is_empty(),
        "over {LONG} lines, split by noun: {unlisted:?}"
    );
    assert!(
        stale.is_empty(),
        "no longer over {LONG} lines, take off the list: {stale:?}"
    );
}

#[test]
fn words_are_told_apart() {
    assert!(has_word("let x = word;", "word"));
    assert!(!has_word("let x = word_code;", "word"));
    assert!(!has_word("let x = sword;", "word"));
    assert!(has_word("sword word", "word"));
}
