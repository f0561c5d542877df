//! What is said about a compilation: as data for tools, as text for people.
//!
//! The JSON keys are documented in `plugin/docs/json.md` and stay.

use std::fmt::Write as _;

use hlo2dae_frontend::{Lookup, Miss, Operation, ValueRef};
use hlo2dae_hlo::{Module, SourceLine, Span};
use serde::Serialize;

use crate::compile::{Compilation, Compiled};
use crate::error::Error;

/// Regions and misses of a module.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Name of the module.
    pub module: String,
    /// In the order of the module.
    pub regions: Vec<RegionReport>,
    /// In the order of the module.
    pub misses: Vec<MissReport>,
}

/// One region.
#[derive(Clone, Debug, Serialize)]
pub struct RegionReport {
    /// Name of the region.
    pub name: String,
    /// Name of the program of the custom call that it is part of; none if that would have to wait for itself, so that the region stays with
    /// XLA.
    pub call: Option<String>,
    /// What it is.
    pub kind: &'static str,
    /// `computation/instruction` of each output.
    pub roots: Vec<String>,
    /// `computation/instruction` of everything that it computes.
    pub instructions: Vec<String>,
    /// `computation/instruction` of the gathers and scatters among them.
    pub accesses: Vec<String>,
    /// All that it does with rows.
    pub operations: Vec<OperationReport>,
    /// What is looked up or updated.
    pub tables: Vec<TableReport>,
    /// Rows looked up or updated in one execution.
    pub lookups: u64,
    /// `none`, `sum`, `mean`, `sqrtn`, `max`, `min` or `prod`.
    pub pooling: &'static str,
    /// Whether rows are scaled before they are combined.
    pub weighted: bool,
    /// `clip`, `fill`, `drop` or `promise`.
    pub mode: &'static str,
    /// Element type of the indices as the HLO has them.
    pub index_dtype: String,
    /// Bytes moved in one execution, and bytes that need not be moved any more.
    pub traffic: TrafficReport,
    /// Lines of the HLO text that the outputs stand on, from 1.
    pub lines: Vec<usize>,
    /// Source file and line that the framework recorded, where it did.
    pub source: Option<String>,
}

/// Bytes moved in one execution: by a region, and by the operations that it replaces, each for itself.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficReport {
    /// Read by the region.
    pub read: u64,
    /// Written by the region.
    pub written: u64,
    /// Read by the operations.
    pub separate_read: u64,
    /// Written by the operations.
    pub separate_written: u64,
    /// What the operations move more than the region; negative where they move less.
    pub saved: i64,
}

/// One thing that a region does with rows.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// What it is.
    pub kind: &'static str,
    /// As that of a region.
    pub pooling: &'static str,
    /// As that of a region.
    pub weighted: bool,
    /// What it takes rows from.
    pub lookups: Vec<LookupReport>,
    /// What it combines rows into by an index.
    pub into: Option<LookupReport>,
}

/// Rows taken from, or combined into, one array.
#[derive(Clone, Debug, Serialize)]
pub struct LookupReport {
    /// `computation/instruction` of the array; null if the region computes it itself.
    pub instruction: Option<String>,
    /// Size of each dimension.
    pub shape: Vec<u64>,
    /// Element type.
    pub dtype: String,
    /// Rows in one execution.
    pub rows: u64,
    /// Elements of a row.
    pub row: u64,
    /// What happens to an index outside.
    pub mode: &'static str,
    /// Element type of the indices.
    pub index_dtype: String,
    /// Whether the rows were looked up and stored earlier, perhaps by another region.
    pub stored: bool,
}

/// A table.
#[derive(Clone, Debug, Serialize)]
pub struct TableReport {
    /// `computation/instruction`.
    pub instruction: String,
    /// Size of each dimension.
    pub shape: Vec<u64>,
    /// Element type.
    pub dtype: String,
}

/// A candidate that stays with XLA.
#[derive(Clone, Debug, Serialize)]
pub struct MissReport {
    /// `computation/instruction`.
    pub instruction: String,
    /// Its opcode.
    pub opcode: String,
    /// The failed condition.
    pub reason: String,
    /// What would make it match.
    pub help: String,
    /// Line of the HLO text.
    pub line: usize,
}

/// Line numbers of byte offsets of a text.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Lines {
        Lines(
            text.bytes()
                .enumerate()
                .filter(|&(_, b)| b == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    fn of(&self, span: Span) -> usize {
        1 + self.0.partition_point(|&end| end < span.start as usize)
    }
}

/// Gathers what there is to say about a compilation of `text`.
///
/// # Errors
///
/// As of [`Compilation::calls`].
pub fn explain(compilation: &Compilation, text: &str) -> Result<Explanation, Error> {
    let lines = Lines::new(text);
    let module = &compilation.module;
    let calls = compilation.calls()?;
    let call = |number: usize| {
        let call = calls.iter().find(|call| call.members.contains(&number))?;
        Some(call.region.name.clone())
    };
    Ok(Explanation {
        module: module.name.clone(),
        regions: compilation
            .regions
            .iter()
            .enumerate()
            .map(|(number, compiled)| region_report(module, compiled, call(number), &lines))
            .collect(),
        misses: compilation
            .misses
            .iter()
            .map(|miss| miss_report(module, miss, &lines))
            .collect(),
    })
}

fn region_report(
    module: &Module,
    compiled: &Compiled,
    call: Option<String>,
    lines: &Lines,
) -> RegionReport {
    let found = &compiled.found;
    let paths = |values: &[ValueRef]| {
        values
            .iter()
            .map(|value| module.path(value.instruction))
            .collect()
    };
    RegionReport {
        name: found.region.name.clone(),
        call,
        kind: found.kind.name(),
        roots: paths(&found.outputs),
        instructions: paths(&found.instructions),
        accesses: paths(&found.accesses),
        operations: found
            .facts
            .operations
            .iter()
            .map(|operation| operation_report(module, operation))
            .collect(),
        tables: found
            .facts
            .tables
            .iter()
            .map(|table| TableReport {
                instruction: module.path(table.value.instruction),
                shape: table.dims.clone(),
                dtype: table.element.to_string(),
            })
            .collect(),
        lookups: found.facts.lookups,
        pooling: found.facts.pooling.name(),
        weighted: found.facts.weighted,
        mode: found.facts.mode.name(),
        index_dtype: found.facts.index_dtype.to_string(),
        traffic: TrafficReport {
            read: found.traffic.region.read,
            written: found.traffic.region.written,
            separate_read: found.traffic.separate.read,
            separate_written: found.traffic.separate.written,
            saved: found.traffic.saved(),
        },
        lines: found
            .outputs
            .iter()
            .map(|value| lines.of(module.instructions[value.instruction].span))
            .collect(),
        source: found.outputs.iter().find_map(|value| source(module, value)),
    }
}

fn operation_report(module: &Module, operation: &Operation) -> OperationReport {
    let lookup = |lookup: &Lookup| LookupReport {
        instruction: lookup.table.as_ref().map(|t| module.path(t.instruction)),
        shape: lookup.dims.clone(),
        dtype: lookup.element.to_string(),
        rows: lookup.rows,
        row: lookup.row,
        mode: lookup.mode.name(),
        index_dtype: lookup.index_dtype.to_string(),
        stored: lookup.is_stored,
    };
    OperationReport {
        kind: operation.kind.name(),
        pooling: operation.pooling.name(),
        weighted: operation.weighted,
        lookups: operation.lookups.iter().map(lookup).collect(),
        into: operation.into.as_ref().map(lookup),
    }
}

fn miss_report(module: &Module, miss: &Miss, lines: &Lines) -> MissReport {
    MissReport {
        instruction: module.path(miss.value.instruction),
        opcode: miss.opcode.to_string(),
        reason: miss.reason.to_string(),
        help: miss.reason.help(),
        line: lines.of(module.instructions[miss.value.instruction].span),
    }
}

/// `file:line` of the program that the framework traced, from the instruction's metadata.
fn source(module: &Module, value: &ValueRef) -> Option<String> {
    let SourceLine { file, line } = module.source_line(value.instruction)?;
    Some(line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
}

impl Explanation {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (regions, misses) = (self.regions.len(), self.misses.len());
        let _ = writeln!(
            out,
            "module {}: {}, {}",
            self.module,
            count(regions, "region"),
            count(misses, "miss")
        );
        for region in &self.regions {
            out.push('\n');
            out.push_str(&region.text());
        }
        for miss in &self.misses {
            let MissReport {
                instruction,
                opcode,
                reason,
                help,
                line,
            } = miss;
            let _ = writeln!(
                out,
                "\nmiss line {line}: {instruction} ({opcode})\n  reason   {reason}\n  help     {help}"
            );
        }
        out
    }
}

impl RegionReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "region @{}: {}", self.name, self.kind);
        for operation in &self.operations {
            out.push_str(&operation.text());
        }
        out.push_str(&self.traffic.text());
        for (root, line) in self.roots.iter().zip(&self.lines) {
            let _ = writeln!(out, "  replaces {root} (line {line})");
        }
        if let Some(source) = &self.source {
            let _ = writeln!(out, "  source   {source}");
        }
        match &self.call {
            Some(call) if *call != self.name => {
                let _ = writeln!(out, "  call     @{call}, with others");
            }
            Some(_) => {}
            None => out.push_str("  call     none: it would have to wait for itself\n"),
        }
        let names: Vec<&str> = self.instructions.iter().map(String::as_str).collect();
        let _ = writeln!(out, "  covers   {}", names.join(" "));
        out
    }
}

impl TrafficReport {
    /// The report for people.
    fn text(&self) -> String {
        let TrafficReport {
            read,
            written,
            separate_read,
            separate_written,
            saved,
        } = self;
        format!(
            "  traffic  reads {read} bytes, writes {written}; apart, its operations read {separate_read}, write {separate_written}: {} {}\n",
            saved.unsigned_abs(),
            if *saved < 0 { "lost" } else { "saved" },
        )
    }
}

impl OperationReport {
    /// The report for people: what it does, and a line for each array.
    fn text(&self) -> String {
        let mut out = format!("  {}", self.kind);
        if self.pooling != "none" {
            let _ = write!(out, ", {}", self.pooling);
        }
        if self.weighted {
            out.push_str(", weighted");
        }
        out.push('\n');
        for lookup in &self.lookups {
            let verb = if lookup.stored { "stored" } else { "from" };
            let _ = writeln!(out, "    {verb:6} {}", lookup.text());
        }
        if let Some(lookup) = &self.into {
            let _ = writeln!(out, "    {:6} {}", "into", lookup.text());
        }
        out
    }
}

impl LookupReport {
    fn text(&self) -> String {
        let dims: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let name = self.instruction.as_deref().unwrap_or("(computed here)");
        format!(
            "{name} {}[{}]: {} of {} by {}, {}",
            self.dtype,
            dims.join(","),
            count_of(self.rows, "row"),
            count_of(self.row, "element"),
            self.index_dtype,
            match self.mode {
                "promise" => "none outside",
                "clip" => "outside: clip",
                "fill" => "outside: fill",
                _ => "outside: drop",
            }
        )
    }
}

fn count_of(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// `1 region`, `2 regions`, `0 misses`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{plural}")
}
