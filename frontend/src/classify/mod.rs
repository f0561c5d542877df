//! The operations of a region and their names, read off its form.
//!
//! A `combine` whose value or place depends on a looked-up position is an [`Operation`]. Its name:
//!
//! | form | name |
//! |---|---|
//! | rows read through an index, combined along looked-up axes or by segment | `embedding_bag` |
//! | the same, rows and segments being the same kind of node: as many of each, or read from one list of pairs | `spmm`, or `message_passing` where a message comes from several lookups, or a row is more than a vector |
//! | a product that the HLO itself calls one with a sparse matrix | `spmm` |
//! | rows read through an index, combined along the row | `sddmm`; `kg_lookup` from three lookups on; a row with nothing but itself (its norm) is still `gather` |
//! | rows read through an index, stored | `gather`; `block_gather` where a window has several rows |
//! | no lookup, combined by segment into an array that starts equal everywhere | `segment_reduce` |
//! | the same, by the indices with which an array of the same shape is looked up: the gradient of that lookup | `scatter_update` |
//! | the same, to be added to a copy of an input | `scatter_update` |
//! | combined into a copy of an input | `scatter_update` |
//!
//! Rows that were looked up and stored before they are combined are rows still: by an earlier nest, or by another region
//! that this one reads. What is looked up by the very index that combines it (the sum that a softmax divides by) is none.
//!
//! How rows are pooled is read off the combine, and off what is stored of its buffer behind it: a sum divided by a
//! count is a `mean`, one divided by the square root of something is a `sqrtn`.
//!
//! A region is called by its foremost operation: the order of [`Kind`].

mod direct;
mod flow;
mod operation;
mod stored;

use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{BufferId, ElementType, Role};
use hlo2dae_ir::region::Region;

use crate::matches::ValueRef;

pub(crate) use direct::direct;
pub(crate) use flow::{inputs, operands};
pub(crate) use stored::Stored;

/// What reports call an operation or a region; later ones name a region that holds several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Rows of a table, one for each index.
    Gather,
    /// Blocks of several rows, one for each index.
    BlockGather,
    /// Rows of a dense input, combined by segment.
    SegmentReduce,
    /// Rows of a dense input, combined into a table.
    ScatterUpdate,
    /// Dot products of row pairs that a sparse pattern chooses.
    Sddmm,
    /// Rows of a table, combined within bags.
    EmbeddingBag,
    /// Sparse matrix times dense matrix.
    Spmm,
    /// Head, relation and tail rows, scored together.
    KgLookup,
    /// Rows of nodes, combined along the edges of a graph, into rows of nodes.
    MessagePassing,
}

impl Kind {
    /// The spelling in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Gather => "gather",
            Kind::EmbeddingBag => "embedding_bag",
            Kind::SegmentReduce => "segment_reduce",
            Kind::ScatterUpdate => "scatter_update",
            Kind::Spmm => "spmm",
            Kind::Sddmm => "sddmm",
            Kind::MessagePassing => "message_passing",
            Kind::KgLookup => "kg_lookup",
            Kind::BlockGather => "block_gather",
        }
    }
}

/// How looked-up rows are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pooling {
    None,
    Sum,
    Mean,
    Sqrtn,
    Max,
    Min,
    Prod,
}

impl Pooling {
    /// The spelling in reports.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::None => "none",
            Pooling::Sum => "sum",
            Pooling::Mean => "mean",
            Pooling::Sqrtn => "sqrtn",
            Pooling::Max => "max",
            Pooling::Min => "min",
            Pooling::Prod => "prod",
        }
    }
}

/// What happens to an index outside the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is moved to the nearest row.
    Clip,
    /// It reads a constant.
    Fill,
    /// What it would write is dropped.
    Drop,
    /// There is none: the caller promises it, or it is known when compiling.
    Promise,
}

impl Mode {
    /// The spelling in reports.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Clip => "clip",
            Mode::Fill => "fill",
            Mode::Drop => "drop",
            Mode::Promise => "promise",
        }
    }
}

/// A looked-up or updated array.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Where it comes from.
    pub value: ValueRef,
    /// Size of each dimension.
    pub dims: Vec<u64>,
    /// Element type.
    pub element: ElementType,
}

/// Rows looked up in, or combined into, one array.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The array; `None` if the region computes it itself.
    pub table: Option<ValueRef>,
    /// Its sizes.
    pub dims: Vec<u64>,
    /// Its element type.
    pub element: ElementType,
    /// Rows in one execution.
    pub rows: u64,
    /// Elements of a row.
    pub row: u64,
    /// What happens to an index outside.
    pub mode: Mode,
    /// Element type of the indices, as the model gives them.
    pub index_dtype: ElementType,
    /// Whether the rows were looked up and stored earlier: by another operation, perhaps of another region.
    pub is_stored: bool,
}

/// One thing that a region does with rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it is called.
    pub kind: Kind,
    /// How rows are combined.
    pub pooling: Pooling,
    /// Whether rows are scaled before they are combined.
    pub weighted: bool,
    /// What it takes rows from.
    pub lookups: Vec<Lookup>,
    /// What it combines rows into by an index.
    pub into: Option<Lookup>,
}

impl Operation {
    /// What it is about: what it updates, and what it takes rows from; what it combines rows into, if it does neither.
    fn subjects(&self) -> impl Iterator<Item = &Lookup> {
        let updates = matches!(self.kind, Kind::ScatterUpdate | Kind::SegmentReduce);
        let (first, last) = match (updates, &self.into) {
            (true, into) => (into.as_ref(), None),
            (false, into) if self.lookups.is_empty() => (None, into.as_ref()),
            (false, _) => (None, None),
        };
        first.into_iter().chain(&self.lookups).chain(last)
    }
}

/// What reports say about a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// All that the region does with rows, in the order of its nests.
    pub operations: Vec<Operation>,
    /// What is looked up or updated.
    pub tables: Vec<Table>,
    /// Rows looked up or updated in one execution, by the foremost operation.
    pub lookups: u64,
    /// How the foremost operation combines rows.
    pub pooling: Pooling,
    /// Whether any operation scales rows before it combines them.
    pub weighted: bool,
    /// What happens to an index outside the foremost operation's table.
    pub mode: Mode,
    /// Element type of its indices, as the model gives them.
    pub index_dtype: ElementType,
}

/// What is known about a region beside its form.
pub(crate) struct Context<'c> {
    /// The values that its inputs take, in the order of their declarations.
    pub(crate) inputs: &'c [ValueRef],
    /// The values that its outputs replace, in the order of their declarations.
    pub(crate) outputs: &'c [ValueRef],
    /// The buffers of gradients of a lookup: combined into by indices with which an array of the same shape is looked up.
    pub(crate) gradients: HashSet<BufferId>,
    /// The buffers of products that the HLO calls sparse.
    pub(crate) sparse: HashSet<BufferId>,
    /// The lookups whose rows other regions store and this one reads, by its inputs.
    pub(crate) stored: HashMap<BufferId, Vec<Lookup>>,
    /// What each access does on its own, as the HLO says it.
    pub(crate) direct: Vec<Operation>,
}

impl Context<'_> {
    /// The value that a buffer of the region stands for, unless it is a temporary.
    fn value(&self, region: &Region, buffer: BufferId) -> Option<&ValueRef> {
        let position = |wanted: fn(&Role) -> bool| {
            region
                .buffers
                .iter()
                .filter(|(_, b)| wanted(&b.role))
                .position(|(id, _)| id == buffer)
        };
        let is_input = |role: &Role| matches!(role, Role::Input);
        let is_output = |role: &Role| matches!(role, Role::Output(_));
        position(is_input)
            .and_then(|k| self.inputs.get(k))
            .or_else(|| position(is_output).and_then(|k| self.outputs.get(k)))
    }
}

/// What a region is called, and what there is to say about it.
pub(crate) struct Classified {
    pub(crate) kind: Kind,
    pub(crate) facts: Facts,
    /// The lookups whose rows its buffers hold, one for each row.
    pub(crate) stored: HashMap<BufferId, Vec<Lookup>>,
}

/// Reads a region's name and facts off its form.
pub(crate) fn classify(region: &Region, context: Context<'_>) -> Classified {
    let (mut operations, stored) = operation::operations(region, &context);
    // Where all positions are known, the form shows no index.
    for direct in context.direct {
        let shows = |lookup: &Lookup| {
            let size = |lookup: &Lookup| lookup.dims.iter().product::<u64>();
            direct
                .subjects()
                .any(|other| other.table == lookup.table || size(other) == size(lookup))
        };
        let is_known = direct.kind == Kind::ScatterUpdate && !operations.is_empty();
        if !is_known && !operations.iter().flat_map(Operation::subjects).any(shows) {
            operations.push(direct);
        }
    }
    // The first of the foremost.
    let mut main: Option<&Operation> = None;
    for operation in &operations {
        if main.is_none_or(|main| operation.kind > main.kind) {
            main = Some(operation);
        }
    }
    let mut tables: Vec<Table> = Vec::new();
    for lookup in operations.iter().flat_map(Operation::subjects) {
        if let Some(value) = &lookup.table
            && !lookup.is_stored
            && !tables.iter().any(|table| table.value == *value)
        {
            tables.push(Table {
                value: value.clone(),
                dims: lookup.dims.clone(),
                element: lookup.element,
            });
        }
    }
    let lookups: Vec<&Lookup> = main.into_iter().flat_map(Operation::subjects).collect();
    // What is filled says more than what is clamped.
    let mode = lookups
        .iter()
        .map(|lookup| lookup.mode)
        .max_by_key(|mode| *mode == Mode::Fill);
    let facts = Facts {
        tables,
        lookups: lookups.iter().map(|lookup| lookup.rows).max().unwrap_or(0),
        pooling: main.map_or(Pooling::None, |main| main.pooling),
        weighted: operations.iter().any(|operation| operation.weighted),
        mode: mode.unwrap_or(Mode::Clip),
        index_dtype: lookups
            .first()
            .map_or(ElementType::S32, |lookup| lookup.index_dtype),
        operations: Vec::new(),
    };
    Classified {
        kind: main.map_or(Kind::Gather, |main| main.kind),
        facts: Facts {
            operations,
            ..facts
        },
        stored,
    }
}
