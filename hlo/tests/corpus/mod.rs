//! The collection that `HLO2DAE_CORPUS` names, XLA's own texts and values and real dumps, and what is held against it.
//!
//! Shared by the test, which runs all checks, and the example that prints them as a table.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a check may stop at an unreadable file"
)]

mod text;
mod values;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// How a check came out.
pub struct Outcome {
    /// What was looked at.
    pub all: usize,
    /// What is not as XLA has it, and how.
    pub bad: Vec<String>,
}

/// One comparison with XLA.
pub struct Check {
    /// What is counted.
    pub what: &'static str,
    /// How many may differ, on purpose.
    pub allowed: usize,
    run: fn(&Collection) -> Outcome,
}

/// All comparisons.
pub const CHECKS: [Check; 14] = [
    check("texts of `valid` accepted", 0, |c| {
        text::accepted(&c.files("xla/valid", ".hlo"))
    }),
    check("texts of `valid_big` accepted", 0, |c| {
        text::accepted(&c.files("xla/valid_big", ".hlo.gz"))
    }),
    check("texts of `broad` accepted", 0, |c| {
        text::accepted(&c.broad())
    }),
    check("texts of `newer` accepted", 0, |c| {
        text::accepted(&c.files("xla/newer", ".hlo"))
    }),
    // Five of these newer releases of XLA accept, and so do we.
    check("texts of `invalid` refused", 5, |c| {
        text::refused(&c.files("xla/invalid", ".hlo"))
    }),
    check("probes answered as XLA does", 0, text::probes),
    check("parts of the grammar answered as XLA does", 0, text::parts),
    check(
        "operands in place named as XLA does",
        0,
        text::operands_in_place,
    ),
    // XLA reads the complex number (nan, 1) as (nan, nan), and drops stack frames that no metadata refers to; the text
    // says otherwise and is kept.
    check("prints equal to XLA's", 2, text::canonical_prints),
    check("texts that survive printing", 0, text::round_trips),
    check("real dumps that survive printing", 0, |c| {
        text::survivors(&c.files("models", ".hlo"))
    }),
    check("real dumps that verify", 0, |c| {
        text::verified(&c.files("models", ".hlo"))
    }),
    check("values of `exec` equal to XLA's", 0, |c| {
        values::equal(&c.files("xla/exec", ".json"))
    }),
    check("values of `exec_extra` equal to XLA's", 0, |c| {
        values::equal(&c.files("xla/exec_extra", ".json"))
    }),
];

const fn check(what: &'static str, allowed: usize, run: fn(&Collection) -> Outcome) -> Check {
    Check { what, allowed, run }
}

/// The outcome of every check, in order; nothing without a collection.
pub fn outcomes() -> Vec<(&'static Check, Outcome)> {
    let Some(folder) = std::env::var_os("HLO2DAE_CORPUS") else {
        return Vec::new();
    };
    let collection = Collection(folder.into());
    std::thread::scope(|scope| {
        let running = CHECKS
            .iter()
            .map(|check| (check, scope.spawn(|| (check.run)(&collection))));
        let running: Vec<_> = running.collect();
        running
            .into_iter()
            .map(|(check, outcome)| (check, outcome.join().unwrap()))
            .collect()
    })
}

impl Outcome {
    /// All of `subjects`, each with what is wrong about it.
    fn of<T>(subjects: &[T], wrong: impl Fn(&T) -> Option<String>) -> Outcome {
        Outcome {
            all: subjects.len(),
            bad: subjects.iter().filter_map(wrong).collect(),
        }
    }
}

/// The folder of texts and values.
struct Collection(PathBuf);

impl Collection {
    /// Name and text of the files below `folder` whose names end in `suffix`, by name.
    fn files(&self, folder: &str, suffix: &str) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.0.join(folder)).unwrap();
        let mut files: Vec<_> = entries
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

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&read(&self.0.join(file))).unwrap()
    }

    /// The list `cases` of a file.
    fn cases(&self, file: &str) -> Vec<Value> {
        self.json(file)["cases"].as_array().cloned().unwrap()
    }

    /// One JSON value a line.
    fn lines(&self, file: &str) -> Vec<Value> {
        let text = read(&self.0.join(file));
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    fn broad(&self) -> Vec<(String, String)> {
        let text = |case: &Value, key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let cases = self.lines("xla/broad/valid.jsonl");
        let cases = cases.iter();
        cases
            .map(|case| (text(case, "name"), text(case, "hlo_text")))
            .collect()
    }
}

/// The text of a file, unpacked if it is packed.
fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_none_or(|e| e != "gz") {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(&bytes[..]);
    unpacked.read_to_string(&mut text).unwrap();
    text
}
