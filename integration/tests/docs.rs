//! What the documentation says is so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use hlo2dae_integration::stage::STAGES;
use hlo2dae_integration::workspace;

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Rows of the first table of `text` whose header starts with the given cells.
fn table_rows<'a>(text: &'a str, header: &[&str]) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| -> Option<Vec<&'a str>> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(inner.split('|').map(str::trim).collect())
    };
    let mut lines = text
        .lines()
        .skip_while(|line| cells(line).is_none_or(|found| !found.starts_with(header)));
    lines.next();
    lines.skip(1).map_while(cells).collect()
}

fn unquoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// The crates and their siblings, as ARCHITECTURE.md has them.
fn documented_edges() -> Edges {
    let text = workspace::read(&workspace::root().join("ARCHITECTURE.md")).unwrap();
    table_rows(&text, &["crate", "may use"])
        .into_iter()
        .map(|row| {
            let uses = row[1].split(',').map(|name| unquoted(name.trim()));
            let uses = uses.filter(|name| *name != "-").map(str::to_string);
            (unquoted(row[0]).to_string(), uses.collect())
        })
        .collect()
}

/// The crates and their siblings, as cargo has them; what only tests use does not count.
fn actual_edges() -> Edges {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(workspace::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let folder = |path: &str| workspace::display(Path::new(path));
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let uses = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["path"].as_str().map(folder))
                .collect();
            (workspace::display(manifest.parent().unwrap()), uses)
        })
        .collect()
}

#[test]
fn crates_use_what_architecture_md_says() {
    assert_eq!(actual_edges(), documented_edges());
}

/// Folders that a file name in a document may start from: the root, the document's own, and the crate's.
fn bases(document: &Path) -> Vec<&Path> {
    document
        .ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(workspace::root()))
        .collect()
}

/// `a/{b,c}.rs` as `a/b.rs`, `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    match (path.find('{'), path.find('}')) {
        (Some(open), Some(close)) if open < close => path[open + 1..close]
            .split(',')
            .map(|choice| format!("{}{}{}", &path[..open], choice.trim(), &path[close + 1..]))
            .collect(),
        _ => vec![path.to_string()],
    }
}

/// Whether a quoted word of a document names a file or folder of the project.
fn names_a_path(word: &str) -> bool {
    let shaped = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-{},".contains(c));
    let mut parts = word.split('/');
    let first = parts.next().unwrap_or("");
    let top_level =
        word.contains('/') && workspace::root().join(first).is_dir() && !first.is_empty();
    let extensions = [".rs", ".md", ".toml", ".hlo", ".py", ".h", ".cc", ".sh"];
    let file = extensions
        .iter()
        .any(|e| word.ends_with(e) && word.len() > e.len());
    // `MODEL.hlo` and `cases/NAME/` stand for the reader's own.
    let placeholder = word.split(['/', '.']).any(|part| {
        part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()) && !word.ends_with(".md")
    });
    shaped && (top_level || file) && !placeholder && first != "target"
}

#[test]
fn paths_named_in_documents_exist() {
    let mut missing = Vec::new();
    let files = workspace::files().unwrap();
    let names: BTreeSet<_> = files
        .iter()
        .map(|path| workspace::file_name(path))
        .collect();
    let documents = files
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "md"));
    for document in documents {
        let text = workspace::read(document).unwrap();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            if fenced {
                continue;
            }
            let quoted = line
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|word| names_a_path(word));
            let linked = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', '#']).next())
                .filter(|target| !target.is_empty() && !target.contains("://"));
            for path in quoted.chain(linked).flat_map(expanded) {
                // A bare file name may be that of any file.
                let known = names.contains(path.as_str())
                    || bases(document).iter().any(|base| base.join(&path).exists());
                if !known {
                    missing.push(format!("{}: {path}", workspace::display(document)));
                }
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn stages_are_numbered_in_order() {
    let files: Vec<_> = STAGES.iter().map(|stage| stage.file).collect();
    assert!(files.is_sorted(), "{files:?}");
}

#[test]
fn tables_are_read() {
    let text = "x\n\n| crate | may use | y |\n|---|---|---|\n| `a` | - | 1 |\n| `b` | `a` | 2 |\n\n| z |\n";
    assert_eq!(
        table_rows(text, &["crate", "may use"]),
        [vec!["`a`", "-", "1"], vec!["`b`", "`a`", "2"]]
    );
}

#[test]
fn alternatives_in_a_path_are_expanded() {
    assert_eq!(expanded("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
    assert_eq!(expanded("a/b.rs"), ["a/b.rs"]);
}
