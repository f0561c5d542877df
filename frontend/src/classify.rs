//! The name and the facts of a region, read off its form.

use hlo2dae_ir::core::ElementType;

use crate::matches::ValueRef;

/// What reports call a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Rows of a table, one for each index.
    Gather,
    /// Rows of a table, combined within bags.
    EmbeddingBag,
    /// Rows of a dense input, combined by segment.
    SegmentReduce,
    /// Rows of a dense input, combined into a table.
    ScatterUpdate,
    /// Sparse matrix times dense matrix.
    Spmm,
    /// Dot products of row pairs that a sparse pattern chooses.
    Sddmm,
    /// Rows of nodes, combined along the edges of a graph, into rows of nodes.
    MessagePassing,
    /// Head, relation and tail rows, scored together.
    KgLookup,
    /// Blocks of several rows, one for each index.
    BlockGather,
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
    /// The caller promises that there is none.
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

/// What reports say about a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What is looked up or updated.
    pub tables: Vec<Table>,
    /// Rows looked up or updated in one execution.
    pub lookups: u64,
    /// How rows are combined.
    pub pooling: Pooling,
    /// Whether rows are scaled before they are combined.
    pub weighted: bool,
    /// What happens to an index outside the table.
    pub mode: Mode,
    /// Element type of the indices, as the model gives them.
    pub index_dtype: ElementType,
}
