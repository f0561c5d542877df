//! The crate's own texts as whole modules: shared by its tests, the framework tests and the fuzzers' seeds.
//!
//! `text/*.txt` hold one instruction a line, `parameters => instruction`; the computations of `text/context.hlo` are in
//! scope. `modules/*.hlo`, `stablehlo/*.hlo` and `diagnostics/*.hlo` are whole files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One text and what to call it.
#[derive(Debug)]
pub struct Snippet {
    /// The line of a list, or the name of a file.
    pub name: String,
    /// A whole module.
    pub text: String,
}

/// The lists of lines, and whether a parser accepts what is in them.
pub const LISTS: [(&str, bool); 3] = [
    ("instructions", true),
    ("refused", false),
    ("unsound", true),
];

/// The folders of files, and whether a parser accepts what is in them.
pub const FOLDERS: [(&str, bool); 3] = [
    ("modules", true),
    ("stablehlo", true),
    ("diagnostics", false),
];

/// The folder `name` of the tests.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../hlo/tests")
        .join(name)
}

/// The modules of `text/NAME.txt`.
pub fn list(name: &str) -> io::Result<Vec<Snippet>> {
    let context = fs::read_to_string(folder("text/context.hlo"))?;
    let list = fs::read_to_string(folder("text").join(format!("{name}.txt")))?;
    let snippets = list.lines().map(|line| Snippet {
        name: line.to_owned(),
        text: module_of(&context, line),
    });
    Ok(snippets.collect())
}

/// The `.hlo` files of a folder.
pub fn files(name: &str) -> io::Result<Vec<Snippet>> {
    let mut snippets = Vec::new();
    for entry in fs::read_dir(folder(name))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "hlo") {
            snippets.push(Snippet {
                name: path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                text: fs::read_to_string(&path)?,
            });
        }
    }
    snippets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(snippets)
}

/// The module of `parameters => instruction`; the instruction stands on the last line but one.
fn module_of(context: &str, line: &str) -> String {
    let (parameters, instruction) = line.split_once("=> ").unwrap_or(("", line));
    let mut text = format!("HloModule case\n\n{context}\nENTRY case {{\n");
    let mut number = 0;
    // Commas separate parameters outside brackets only.
    let mut depth = 0;
    for part in parameters.split_inclusive(|c| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    }) {
        let part = part.trim().trim_end_matches(',');
        if let Some((name, shape)) = part.split_once(": ") {
            text += &format!("  {name} = {shape} parameter({number})\n");
            number += 1;
        }
    }
    text + &format!("  ROOT it = {instruction}\n}}\n")
}
