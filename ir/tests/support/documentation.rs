//! The programs that documentation shows.

#![allow(dead_code, reason = "each test program uses its part")]

use std::path::Path;

/// The programs in a module's documentation: its fenced blocks that start with `keyword`.
pub fn programs(source: &str, keyword: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(source);
    let source = std::fs::read_to_string(path).unwrap();
    let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let blocks = lines.split(|line| line.starts_with("```"));
    blocks
        .filter(|block| block.first().is_some_and(|line| line.starts_with(keyword)))
        .map(|block| block.iter().map(|line| format!("{line}\n")).collect())
        .collect()
}

/// What a pass's documentation tells it: `NAME{...}` in the line before the program after it, or only the name.
pub fn call(source: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(source);
    let source = std::fs::read_to_string(path).unwrap();
    let told = source.lines().find_map(|line| {
        let (call, rest) = line.strip_prefix("//! After `")?.split_once('`')?;
        (rest == ":").then_some(call)
    });
    told.unwrap_or(name).to_owned()
}
