//! How well the descriptions of real models are met: one table, for what frameworks print and for what XLA makes of it.
//!
//! With HLO2DAE_CORPUS set, the table is made anew and compared with `recognition.txt`, and each operation that is not exact
//! must have its reason in `frontend/docs/misses.md`. Without it, the table as it stands is held to the targets.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the table is the result of a run; a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hlo2dae_integration::truth::{self, Entry, PROPERTIES, Verdict};
use hlo2dae_integration::{golden, stage, workspace};

/// Of a class: operations expected, covered by a region, found, found as what they are in every property.
#[derive(Clone, Copy, Default)]
struct Row([usize; 4]);

impl Row {
    fn count(&mut self, verdict: &Verdict) {
        let counts = [true, verdict.covered, verdict.found(), verdict.is_exact()];
        for (total, counts) in self.0.iter_mut().zip(counts) {
            *total += usize::from(counts);
        }
    }
}

fn golden_path() -> PathBuf {
    workspace::root().join("integration/recognition.txt")
}

/// All verdicts, by model.
fn survey(folder: &Path, optimised: bool) -> Vec<(String, Entry, Verdict)> {
    let mut all = Vec::new();
    for path in workspace::entries(folder).unwrap() {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let description = truth::description(&path).unwrap();
        let extension = if optimised { "opt.hlo" } else { "hlo" };
        let text = workspace::read(&path.with_extension(extension)).unwrap();
        let module = stage::module(&text).unwrap();
        let found = hlo2dae_frontend::find_regions(&module, &Default::default()).unwrap();
        let verdicts = truth::compare(&description, &module, &found.regions, optimised);
        all.extend(verdicts.into_iter().map(|(e, v)| (name.clone(), e, v)));
    }
    all
}

fn table(title: &str, verdicts: &[(String, Entry, Verdict)]) -> String {
    let mut classes: BTreeMap<&str, Row> = BTreeMap::new();
    let mut properties = [0; PROPERTIES.len()];
    for (_, entry, verdict) in verdicts {
        classes.entry(&entry.kind).or_default().count(verdict);
        classes.entry("~all").or_default().count(verdict);
        for (total, agrees) in properties.iter_mut().zip(verdict.agrees) {
            *total += usize::from(agrees);
        }
    }
    let mut out = format!("{title}\n");
    let heads = ["class", "expected", "covered", "found", "exact"];
    let [class, expected, covered, found, exact] = heads;
    writeln!(
        out,
        "  {class:16} {expected:>8} {covered:>8} {found:>8} {exact:>8}"
    )
    .unwrap();
    for (class, Row([expected, covered, found, exact])) in classes {
        let class = class.trim_start_matches('~');
        writeln!(
            out,
            "  {class:16} {expected:>8} {covered:>8} {found:>8} {exact:>8}"
        )
        .unwrap();
    }
    for (property, agreeing) in PROPERTIES.iter().zip(properties) {
        writeln!(out, "  agree in {property}: {agreeing}").unwrap();
    }
    for (model, entry, verdict) in verdicts
        .iter()
        .filter(|(_, _, verdict)| !verdict.is_exact())
    {
        let wrong = PROPERTIES.iter().zip(verdict.agrees);
        let wrong: Vec<&str> = wrong
            .filter(|(_, agrees)| !agrees)
            .map(|(p, _)| *p)
            .collect();
        let state = match (verdict.covered, verdict.closest.is_empty()) {
            (false, true) => "not covered".to_owned(),
            (_, true) => "covered as part of others".to_owned(),
            (_, false) => format!("{} differ; it is {}", wrong.join(", "), verdict.closest),
        };
        let (kind, shape) = (&entry.kind, &entry.table.shape);
        let Entry { id, lookups, .. } = entry;
        writeln!(
            out,
            "  {model} {id}: {kind} of {shape:?}, {lookups} rows: {state}"
        )
        .unwrap();
    }
    out
}

/// `model entry` of the operations that a table lists as not exact.
fn listed(table: &str) -> BTreeSet<String> {
    let ids = table.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(": ")?;
        let is_entry = name
            .split_once(' ')
            .is_some_and(|(_, id)| id.starts_with('r'));
        (is_entry && rest.contains(" rows: ")).then(|| name.to_string())
    });
    ids.collect()
}

/// The operations that a section of the page of misses gives a reason for.
fn explained(page: &str, section: &str) -> BTreeSet<String> {
    let start = page.find(&format!("## {section}")).unwrap();
    let body = &page[start + 3..];
    let body = &body[..body.find("\n## ").unwrap_or(body.len())];
    let rows = body.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (model, entries) = (cells.next()?, cells.next()?);
        Some(
            entries
                .split(", ")
                .map(|id| format!("{model} {id}"))
                .collect::<Vec<_>>(),
        )
    });
    let named = rows.flatten().filter(|name| !name.starts_with("model "));
    named.filter(|name| !name.starts_with("---")).collect()
}

/// The numbers of the line `all` of a table.
fn totals(table: &str) -> [usize; 4] {
    let line = table
        .lines()
        .find(|line| line.trim().starts_with("all "))
        .unwrap();
    let numbers: Vec<usize> = line
        .split_whitespace()
        .skip(1)
        .map(|number| number.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

#[test]
fn models_are_recognised() {
    if let Some(corpus) = std::env::var_os("HLO2DAE_CORPUS") {
        let folder = Path::new(&corpus).join("models");
        let printed = table("What frameworks print", &survey(&folder, false));
        let optimised = table("What XLA makes of it", &survey(&folder, true));
        let both = format!("{printed}\n{optimised}");
        println!("{both}");
        let command = "HLO2DAE_CORPUS=... cargo test -p hlo2dae-integration --test recognition";
        if let Err(error) = golden::check(&golden_path(), &both, command) {
            panic!("{error:?}");
        }
    }
    let both = workspace::read(&golden_path()).unwrap();
    let (printed, optimised) = both.split_once("\n\n").unwrap();

    let page = workspace::read(&workspace::root().join("frontend/docs/misses.md")).unwrap();
    assert_eq!(listed(printed), explained(&page, "What frameworks print"));
    assert_eq!(listed(optimised), explained(&page, "What XLA makes of it"));

    let [expected, covered, _, exact] = totals(printed);
    assert!(
        covered * 100 >= expected * 99,
        "{covered} of {expected} covered"
    );
    assert!(exact * 100 >= expected * 95, "{exact} of {expected} exact");
    let [expected, _, _, exact] = totals(optimised);
    assert!(exact * 100 >= expected * 90, "{exact} of {expected} exact");
}
