//! The programs that documentation shows.

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
