//! What is found in a model, held against a description of the operations that are in it.
//!
//! A description (`NAME.json` beside `NAME.hlo`) lists operations; an entry stands for `count` of them. In the text that a
//! framework printed, the entry names the instructions that touch the table: an entry counts as *covered* when every place
//! at which they are reached lies in a region. What XLA makes of the text names nothing of that, so there an entry is found
//! by what it does. In both texts, the operations of the regions (in the first: of the regions that hold an access of the
//! entry, or the instruction that it ends in) are dealt out to the entries, each lookup of an operation once, the one that
//! agrees best first. An entry counts as *found* when kind, table, lookups and dims agree, and as *exact* when all does:
//!
//! | property | agrees when |
//! |---|---|
//! | kind | the names are equal, or the operation holds the entry's (see [`holds`]) |
//! | table | the array has the entry's sizes, ones left out; or is a view of as many elements, or of as many rows, with rows that are read alike |
//! | lookups | as many rows: by one execution, by all places of the accesses, by all operations of the entry, or in all rounds of the loop that they stand in |
//! | dims | as many elements in a row, as they are stored |
//! | pooling, weighted | they are equal, or the entry combines nothing and is held by what combines its rows |
//! | mode | the names are equal, or it is known when compiling that no index lies outside |

use std::collections::HashMap;
use std::path::Path;

use hlo2dae_frontend::{Kind, Lookup, Match, Mode, Operation};
use hlo2dae_hlo::Module;
use miette::{IntoDiagnostic, WrapErr};
use serde::Deserialize;

use crate::workspace;

/// The part of a description that is used here; the rest is for people.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    /// The operations.
    pub regions: Vec<Entry>,
    /// Accesses that are no embedding operations.
    #[serde(default)]
    pub decoys: Vec<Decoy>,
}

/// Operations of one kind on one table.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// Its name in reports.
    pub id: String,
    /// What it is called.
    pub kind: String,
    /// How many operations it stands for.
    pub count: u64,
    /// What is looked up or updated.
    pub table: Shape,
    /// Rows looked up or updated by one operation.
    pub lookups: u64,
    /// How rows are combined.
    pub pooling: String,
    /// Whether rows are scaled first.
    pub weighted: bool,
    /// How many rows are combined into one: a number, or a word.
    #[serde(default)]
    pub pool_length: serde_json::Value,
    /// Sizes of a row.
    pub emb_dims: Vec<u64>,
    /// Element type, in words.
    pub dtype: String,
    /// The loop that the operation stands in, in words.
    #[serde(default, rename = "loop")]
    pub within: Option<String>,
    /// What happens to an index outside.
    pub out_of_range: String,
    /// What touches the table, in the text that the framework printed.
    pub access_instructions: Vec<Touch>,
    /// Where the operation ends, in that text.
    #[serde(default)]
    pub root_instructions: Vec<Touch>,
}

/// An array.
#[derive(Clone, Debug, Deserialize)]
pub struct Shape {
    /// Its sizes.
    pub shape: Vec<u64>,
}

/// An instruction.
#[derive(Clone, Debug, Deserialize)]
pub struct Touch {
    /// Where it stands.
    pub computation: String,
    /// Its name.
    pub instruction: String,
    /// At how many places of the inlined model it stands.
    #[serde(default)]
    pub call_paths: Option<u64>,
}

/// Accesses that are no embedding operation.
#[derive(Clone, Debug, Deserialize)]
pub struct Decoy {
    /// What they are.
    pub access_instructions: Vec<Touch>,
}

impl Touch {
    /// `computation/instruction`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.computation, self.instruction)
    }
}

/// Reads a description.
pub fn description(path: &Path) -> miette::Result<Description> {
    serde_json::from_str(&workspace::read(path)?)
        .into_diagnostic()
        .wrap_err_with(|| format!("{} is malformed", path.display()))
}

/// The properties that are compared, in the order of a [`Verdict`].
pub const PROPERTIES: [&str; 7] = [
    "kind", "table", "lookups", "dims", "pooling", "weighted", "mode",
];

/// What was found of one operation of an entry.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Whether a region covers every access of the entry; in optimised text, whether any operation is left for it.
    pub covered: bool,
    /// Which properties agree.
    pub agrees: [bool; 7],
    /// Whether the names of the kinds are even equal.
    pub same_name: bool,
    /// Whether the table has the very sizes of the entry's.
    pub same_dims: bool,
    /// What the closest operation is, for people.
    pub closest: String,
}

impl Verdict {
    /// Whether every property agrees.
    pub fn is_exact(&self) -> bool {
        self.covered && self.agrees.iter().all(|&agrees| agrees)
    }

    /// Whether kind, table, lookups and dims agree.
    pub fn found(&self) -> bool {
        self.covered && self.agrees[..4].iter().all(|&agrees| agrees)
    }
}

/// Whether an operation of kind `ours` holds one that the description calls `theirs`: it computes it on the way, or is the
/// same computation under the name that more is known for.
pub fn holds(ours: Kind, theirs: &str) -> bool {
    let held: &[&str] = match ours {
        Kind::Gather => &[],
        // Rows of more than one dimension, read whole.
        Kind::BlockGather => &["gather"],
        Kind::SegmentReduce => &[],
        // What is looked up, changed and put back.
        Kind::ScatterUpdate => &["gather"],
        Kind::Sddmm => &["gather"],
        // Looked-up rows, combined by segment.
        Kind::EmbeddingBag | Kind::Spmm => &["gather", "segment_reduce"],
        Kind::KgLookup => &["gather", "sddmm"],
        Kind::MessagePassing => &["gather", "segment_reduce", "spmm", "sddmm"],
    };
    ours.name() == theirs || held.contains(&theirs)
}

/// One lookup of one operation of one region.
struct Offer<'m> {
    region: &'m Match,
    operation: &'m Operation,
    lookup: &'m Lookup,
    /// Whether rows are combined into it.
    is_into: bool,
}

impl Offer<'_> {
    /// Whether it may be what an entry is about: where rows go, for what combines them into an array.
    fn suits(&self, entry: &Entry) -> bool {
        let updates = |kind: &str| matches!(kind, "scatter_update" | "segment_reduce");
        match updates(&entry.kind) {
            true => self.is_into || !updates(self.operation.kind.name()),
            false => !self.is_into,
        }
    }
}

/// The verdicts on all entries, each as often as it counts, in order.
pub fn compare(
    description: &Description,
    module: &Module,
    regions: &[Match],
    optimised: bool,
) -> Vec<(Entry, Verdict)> {
    let mut offers: Vec<Option<Offer>> = Vec::new();
    let mut places: HashMap<String, u64> = HashMap::new();
    for region in regions {
        for access in &region.accesses {
            *places.entry(module.path(access.instruction)).or_default() += 1;
        }
        for operation in &region.facts.operations {
            let offer = |is_into| {
                move |lookup| {
                    Some(Offer {
                        region,
                        operation,
                        lookup,
                        is_into,
                    })
                }
            };
            offers.extend(operation.lookups.iter().map(offer(false)));
            offers.extend(operation.into.iter().map(offer(true)));
        }
    }
    let wanted: Vec<&Entry> = description
        .regions
        .iter()
        .flat_map(|entry| std::iter::repeat_n(entry, entry.count as usize))
        .collect();
    // Every pair that agrees in anything, best first; equals in the order of the text.
    let mut pairs: Vec<(u32, usize, usize, Verdict)> = Vec::new();
    for (w, entry) in wanted.iter().enumerate() {
        let named = entry
            .access_instructions
            .iter()
            .chain(&entry.root_instructions);
        let paths: Vec<String> = named.map(Touch::path).collect();
        for (o, offer) in offers.iter().enumerate() {
            let Some(offer) = offer else { continue };
            let region = offer.region;
            let touches = region
                .accesses
                .iter()
                .chain(&region.outputs)
                .any(|access| paths.contains(&module.path(access.instruction)));
            if offer.suits(entry) && (optimised || touches) {
                let verdict = verdict(entry, offer);
                pairs.push((score(&verdict), w, o, verdict));
            }
        }
    }
    pairs.sort_by_key(|&(score, w, o, _)| (std::cmp::Reverse(score), w, o));
    let mut verdicts: Vec<Option<Verdict>> = vec![None; wanted.len()];
    for (_, w, o, verdict) in pairs {
        if verdicts[w].is_none() && offers[o].take().is_some() {
            verdicts[w] = Some(verdict);
        }
    }
    wanted
        .into_iter()
        .zip(verdicts)
        .map(|(entry, verdict)| {
            let mut verdict = verdict.unwrap_or_default();
            if !optimised {
                verdict.covered = entry.access_instructions.iter().all(|touch| {
                    places
                        .get(&touch.path())
                        .is_some_and(|&n| n >= touch.call_paths.unwrap_or(1))
                });
            }
            (entry.clone(), verdict)
        })
        .collect()
}

fn score(verdict: &Verdict) -> u32 {
    // What makes an operation found outweighs the rest; an equal name outweighs a kind that holds the other.
    let weights = [64, 64, 64, 64, 8, 2, 4];
    let agreeing = verdict.agrees.iter().zip(weights);
    let sum: u32 = agreeing
        .map(|(&agrees, weight)| u32::from(agrees) * weight)
        .sum();
    sum + u32::from(verdict.same_name) * 16 + u32::from(verdict.same_dims) * 32
}

fn verdict(entry: &Entry, offer: &Offer) -> Verdict {
    let Offer {
        operation, lookup, ..
    } = offer;
    let without_ones = |dims: &[u64]| dims.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    let elements = |dims: &[u64]| dims.iter().product::<u64>();
    let row = elements(&entry.emb_dims);
    // Two of four bits to an element.
    let is_packed = entry.dtype.contains("packed");
    let dims = lookup.row == row || (is_packed && lookup.row * 2 == row);
    let same_rows = lookup.dims.first() == entry.table.shape.first();
    // A sum by segment may be described by what is summed.
    let is_summed = operation.kind == Kind::SegmentReduce
        && lookup.rows * lookup.row == elements(&entry.table.shape);
    let is_view = dims && (same_rows || elements(&lookup.dims) == elements(&entry.table.shape));
    let places = entry.access_instructions.iter();
    let places = places.map(|touch| touch.call_paths.unwrap_or(1)).sum();
    let rows = match entry.within {
        Some(_) => lookup.rows > 0 && entry.lookups.is_multiple_of(lookup.rows),
        None => [1, places, entry.count]
            .iter()
            .any(|n| lookup.rows * n == entry.lookups),
    };
    // The sum of one row is the row.
    let single = entry.pool_length == 1 && entry.kind == "embedding_bag";
    let is_single = single && operation.kind == Kind::Gather;
    let mode = match entry.out_of_range.split(' ').next() {
        Some("fill_nan" | "fill_zero" | "fill") => Mode::Fill,
        Some("drop") => Mode::Drop,
        _ => Mode::Clip,
    };
    let same_name = operation.kind.name() == entry.kind;
    // What combines the rows does so in its own way.
    let is_held = !same_name && entry.pooling == "none" && holds(operation.kind, &entry.kind);
    Verdict {
        covered: true,
        agrees: [
            is_single || holds(operation.kind, &entry.kind),
            is_view || is_summed || without_ones(&lookup.dims) == without_ones(&entry.table.shape),
            rows,
            dims,
            is_single || is_held || operation.pooling.name() == entry.pooling,
            is_held || operation.weighted == entry.weighted,
            lookup.mode == mode || lookup.mode == Mode::Promise,
        ],
        same_name,
        same_dims: lookup.dims == entry.table.shape,
        closest: format!(
            "{} of {:?}, {} rows of {}, {}{}, {}",
            operation.kind.name(),
            lookup.dims,
            lookup.rows,
            lookup.row,
            operation.pooling.name(),
            if operation.weighted { " weighted" } else { "" },
            lookup.mode.name()
        ),
    }
}
