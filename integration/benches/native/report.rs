//! What was measured, as a table and as CSV: the same columns in both.

use std::fmt::Write;

/// What is measured of a class with so many threads.
pub struct Row {
    /// The name of the class.
    pub class: String,
    /// The scaling curve that it is a point of, and where on it.
    pub point: Option<(&'static str, u64)>,
    pub threads: usize,
    /// Calls of the engine: regions of the module.
    pub calls: usize,
    /// Milliseconds.
    pub ours: f64,
    /// Milliseconds.
    pub limit: f64,
    /// What goes between the cores and memory.
    pub bytes: usize,
    /// The best plan of each part of the limit.
    pub plans: Vec<String>,
    /// What each part of the limit takes with all plans.
    pub parts: Vec<String>,
}

type Cell = fn(&Row) -> String;

/// The heads of the columns, and their cells.
const COLUMNS: [(&str, Cell); 8] = [
    ("class", |row| row.class.clone()),
    ("threads", |row| row.threads.to_string()),
    ("calls", |row| row.calls.to_string()),
    ("ms", |row| digits(row.ours)),
    ("limit, ms", |row| digits(row.limit)),
    ("of the limit", |row| format!("{:.2}", row.of_limit())),
    ("GB/s", |row| {
        digits(row.bytes as f64 / row.ours.max(1e-9) / 1e6)
    }),
    ("prefetch of the limit: L2/L1 (*: line by line)", |row| {
        row.plans.join(" ")
    }),
];

impl Row {
    /// What part of the speed of memory is ours.
    pub fn of_limit(&self) -> f64 {
        self.limit / self.ours.max(1e-9)
    }

    /// A line of the table.
    pub fn line(&self) -> String {
        let cells = COLUMNS.iter().map(|(_, cell)| cell(self));
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    }
}

/// The first two lines of the table.
pub fn head() -> String {
    let names = COLUMNS.iter().map(|(name, _)| *name);
    let names = names.collect::<Vec<_>>().join(" | ");
    format!("| {names} |\n{}|", "|---".repeat(COLUMNS.len()))
}

/// All rows; the first line has the heads, and what begins with `#` is about the machine.
pub fn csv(machine: &str, rows: &[Row]) -> String {
    fn line(cells: impl Iterator<Item = String>) -> String {
        let quoted = cells.map(|cell| match cell.contains(',') {
            true => format!("\"{cell}\""),
            false => cell,
        });
        quoted.collect::<Vec<_>>().join(",")
    }
    let mut text = format!("# {machine}\n");
    let heads = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    let _ = writeln!(text, "{}", line(heads));
    for row in rows {
        let _ = writeln!(text, "{}", line(COLUMNS.iter().map(|(_, cell)| cell(row))));
    }
    text
}

/// Four digits of a positive number, and no more than seven behind the point.
fn digits(value: f64) -> String {
    let places = 3 - value.max(1e-9).log10().floor() as i64;
    format!("{value:.*}", places.clamp(0, 7) as usize)
}
