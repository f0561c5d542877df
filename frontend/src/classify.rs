//! The name and the facts of a region, read off its form.
//!
//! | form | name |
//! |---|---|
//! | rows read through an index, combined along looked-up axes or by segment | `embedding_bag` |
//! | the same, rows and segments being the same kind of node: as many of each, or read from one list of pairs | `spmm`, or `message_passing` where a message comes from several lookups |
//! | rows read through an index, combined along the row | `sddmm`; `kg_lookup` from three lookups on |
//! | rows read through an index, stored | `gather`; `block_gather` where a window has several rows |
//! | no lookup, combined by segment, fewer segments than values | `segment_reduce` |
//! | no lookup, combined into places; or combined into a copy of an input | `scatter_update` |

use cranelift_entity::SecondaryMap;
use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{Arith, BinaryOp, BufferId, CombineOp, ElementType, Init, Role, UnaryOp};
use hlo2dae_ir::region::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};

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

/// What one nest does, statement by statement.
#[derive(Default)]
struct NestFacts {
    /// Axes that a value depends on.
    axes: SecondaryMap<Value, Vec<Value>>,
    /// Lookups that a value depends on, as the `read` statements.
    lookups: SecondaryMap<Value, Vec<Value>>,
    /// Buffers that a value depends on.
    buffers: SecondaryMap<Value, Vec<BufferId>>,
    extents: HashMap<Value, u64>,
    definitions: HashMap<Value, Expr>,
}

fn merge<T: Copy + PartialEq>(into: &mut Vec<T>, from: &[T]) {
    for item in from {
        if !into.contains(item) {
            into.push(*item);
        }
    }
}

fn operands(expr: &Expr) -> Vec<Value> {
    match expr {
        Expr::Arith(arith) => match arith {
            Arith::Constant(_) => Vec::new(),
            Arith::Unary(_, a) | Arith::Convert(a, _) => vec![*a],
            Arith::Binary(_, a, b) | Arith::Compare(_, a, b) => vec![*a, *b],
            Arith::Select(a, b, c) => vec![*a, *b, *c],
        },
        Expr::Index { value, .. } => vec![*value],
        Expr::Read { indices, .. } => indices.clone(),
    }
}

impl NestFacts {
    fn of(nest: &Nest) -> Self {
        let mut facts = NestFacts::default();
        for statement in &nest.body {
            match statement {
                Statement::Axis(value, extent) => {
                    facts.axes[*value] = vec![*value];
                    let extent = match extent {
                        Extent::Dense(n) => *n,
                        Extent::Range(..) => 1,
                    };
                    facts.extents.insert(*value, extent);
                }
                Statement::Let(value, expr) => {
                    for operand in operands(expr) {
                        let (axes, lookups, buffers) = (
                            facts.axes[operand].clone(),
                            facts.lookups[operand].clone(),
                            facts.buffers[operand].clone(),
                        );
                        merge(&mut facts.axes[*value], &axes);
                        merge(&mut facts.lookups[*value], &lookups);
                        merge(&mut facts.buffers[*value], &buffers);
                    }
                    if let Expr::Read {
                        buffer, indices, ..
                    } = expr
                    {
                        merge(&mut facts.buffers[*value], &[*buffer]);
                        if indices.iter().any(|&i| facts.index_below(i).is_some()) {
                            // The lookup itself; those that its index came from are its own.
                            facts.lookups[*value] = vec![*value];
                        }
                    }
                    facts.definitions.insert(*value, expr.clone());
                }
                Statement::Combine { .. } => {}
            }
        }
        facts
    }

    /// The `index` statement that a position is, or has as a summand.
    fn index_below(&self, position: Value) -> Option<Value> {
        let mut stack = vec![position];
        while let Some(at) = stack.pop() {
            match self.definitions.get(&at) {
                Some(Expr::Index { .. }) => return Some(at),
                Some(Expr::Arith(Arith::Binary(_, a, b))) => stack.extend([*a, *b]),
                _ => {}
            }
        }
        None
    }

    /// The buffer that an index is read from, and the type of the index.
    fn index_source(&self, index: Value) -> Option<BufferId> {
        self.buffers[index].last().copied()
    }

    /// Whether a value is scaled: a product on the way to it has a factor besides the lookups.
    fn is_weighted(&self, value: Value) -> bool {
        let mut stack = vec![value];
        let mut seen = HashSet::new();
        while let Some(at) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            match self.definitions.get(&at) {
                Some(Expr::Arith(Arith::Binary(BinaryOp::Mul, a, b))) => {
                    let (la, lb) = (&self.lookups[*a], &self.lookups[*b]);
                    if la.is_empty() != lb.is_empty() || la != lb {
                        return true;
                    }
                    stack.extend([*a, *b]);
                }
                Some(Expr::Arith(arith)) => stack.extend(operands(&Expr::Arith(arith.clone()))),
                _ => {}
            }
        }
        false
    }
}

/// Everything about a region that its name depends on.
#[derive(Default)]
struct Form {
    tables: Vec<BufferId>,
    /// Positions that an index takes, for the largest lookup.
    lookups: u64,
    mode: Option<Mode>,
    index_source: Option<BufferId>,
    pooled: Option<CombineOp>,
    along_row: bool,
    by_segment: Option<BufferId>,
    segment_source: Option<BufferId>,
    accumulates: bool,
    is_block: bool,
    weighted: bool,
    messages: usize,
    is_mean: bool,
    values: u64,
}

/// The name of a region, and what reports say about it.
pub(crate) fn classify(
    region: &Region,
    inputs: &[ValueRef],
    outputs: &[ValueRef],
) -> (Kind, Facts) {
    let form = Form::of(region);
    let kind = form.kind(region);
    let buffer_value = |buffer: BufferId| {
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
            .and_then(|k| inputs.get(k))
            .or_else(|| position(is_output).and_then(|k| outputs.get(k)))
    };
    // What is only updated is a table as well.
    let updated = form.tables.is_empty().then_some(form.by_segment).flatten();
    let tables = form
        .tables
        .iter()
        .chain(&updated)
        .filter_map(|&buffer| {
            Some(Table {
                value: buffer_value(buffer)?.clone(),
                dims: region.buffers[buffer].dims.clone(),
                element: region.buffers[buffer].element,
            })
        })
        .collect();
    let pooling = match form.pooled {
        _ if matches!(kind, Kind::ScatterUpdate | Kind::Sddmm | Kind::KgLookup) => Pooling::None,
        Some(CombineOp::Add | CombineOp::Sub) if form.is_mean => Pooling::Mean,
        Some(CombineOp::Add | CombineOp::Sub) => Pooling::Sum,
        Some(CombineOp::Max | CombineOp::Or) => Pooling::Max,
        Some(CombineOp::Min | CombineOp::And) => Pooling::Min,
        Some(CombineOp::Mul) => Pooling::Prod,
        Some(CombineOp::Xor | CombineOp::Replace) | None => Pooling::None,
    };
    let facts = Facts {
        tables,
        lookups: form.lookups,
        pooling,
        weighted: form.weighted,
        mode: form.mode.unwrap_or(Mode::Clip),
        index_dtype: form
            .index_source
            .map_or(ElementType::S32, |buffer| region.buffers[buffer].element),
    };
    (kind, facts)
}

impl Form {
    fn of(region: &Region) -> Form {
        let mut form = Form::default();
        for nest in &region.nests {
            form.nest(region, nest);
        }
        form
    }

    fn nest(&mut self, region: &Region, nest: &Nest) {
        let facts = NestFacts::of(nest);
        let count = |axes: &[Value]| {
            axes.iter().fold(1u64, |n, axis| {
                n.saturating_mul(facts.extents.get(axis).copied().unwrap_or(1))
            })
        };
        let mut looked_up: Vec<Value> = Vec::new();
        for statement in &nest.body {
            let Statement::Let(
                value,
                Expr::Read {
                    buffer, indices, ..
                },
            ) = statement
            else {
                continue;
            };
            if facts.lookups[*value] != [*value] {
                continue;
            }
            merge(&mut self.tables, &[*buffer]);
            for &position in indices {
                let Some(index) = facts.index_below(position) else {
                    continue;
                };
                merge(&mut looked_up, &facts.axes[index]);
                self.lookups = self.lookups.max(count(&facts.axes[index]));
                if let Some(Expr::Index { mode, .. }) = facts.definitions.get(&index) {
                    let mode = match mode {
                        IndexMode::Clamp => Mode::Clip,
                        IndexMode::Fill => Mode::Fill,
                        IndexMode::Drop => Mode::Drop,
                        IndexMode::Promise => Mode::Promise,
                    };
                    // What is filled says more than what is clamped.
                    if self.mode != Some(Mode::Fill) {
                        self.mode = Some(mode);
                    }
                }
                if self.index_source.is_none() {
                    self.index_source = facts.index_source(index);
                }
                // A window of several rows: an axis of its own beside the index.
                let window = facts.axes[position].iter().any(|axis| {
                    !facts.axes[index].contains(axis)
                        && facts.extents.get(axis).is_some_and(|&n| n > 1)
                });
                let row_axes = indices
                    .iter()
                    .flat_map(|&i| facts.axes[i].iter())
                    .filter(|axis| !facts.axes[index].contains(axis))
                    .collect::<HashSet<_>>();
                self.is_block |= window || row_axes.len() > 2;
            }
        }
        for statement in &nest.body {
            let Statement::Combine {
                op,
                buffer,
                indices,
                value,
                ..
            } = statement
            else {
                continue;
            };
            let lookups = &facts.lookups[*value];
            let segment = indices.iter().find_map(|&i| facts.index_below(i));
            let mut placed: Vec<Value> = Vec::new();
            for &i in indices {
                merge(&mut placed, &facts.axes[i]);
            }
            let combined: Vec<Value> = facts
                .extents
                .keys()
                .filter(|axis| !placed.contains(axis))
                .copied()
                .collect();
            if let Some(segment) = segment {
                if self.by_segment.is_none() || !lookups.is_empty() {
                    self.by_segment = Some(*buffer);
                    self.segment_source = facts.index_source(segment);
                    self.pooled = Some(*op);
                }
                self.values = self.values.max(count(&facts.axes[segment]));
                if self.tables.is_empty() {
                    self.lookups = self.lookups.max(count(&facts.axes[segment]));
                    self.mode = Some(Mode::Drop);
                    self.index_source = self.index_source.or(facts.index_source(segment));
                }
            } else if *op != CombineOp::Replace && !lookups.is_empty() {
                if self.by_segment.is_none() && self.pooled.is_none() {
                    self.pooled = Some(*op);
                    self.along_row = !combined.is_empty()
                        && combined.iter().all(|axis| !looked_up.contains(axis));
                }
            } else if *op != CombineOp::Replace || is_updated(region, *buffer) {
                self.accumulates = true;
            } else {
                self.is_mean |= divides(region, &facts, *value);
            }
            if *op != CombineOp::Replace && !lookups.is_empty() {
                self.messages = self.messages.max(lookups.len());
                self.weighted |= facts.is_weighted(*value);
            }
        }
    }

    fn kind(&self, region: &Region) -> Kind {
        let rows = |buffer: BufferId| region.buffers[buffer].dims.first().copied();
        match (self.tables.as_slice(), self.by_segment) {
            ([], Some(buffer)) => {
                let starts_equal = matches!(
                    region.buffers[buffer].role,
                    Role::Output(Init::Splat(_)) | Role::Temp(Init::Splat(_))
                );
                let is_reduce = self.pooled != Some(CombineOp::Replace)
                    && starts_equal
                    && rows(buffer).is_some_and(|segments| segments <= self.values);
                if is_reduce {
                    Kind::SegmentReduce
                } else {
                    Kind::ScatterUpdate
                }
            }
            (_, Some(buffer)) if is_updated(region, buffer) => Kind::ScatterUpdate,
            ([table, ..], Some(buffer)) if rows(*table) == rows(buffer) => {
                let is_plain = self.messages <= 1 && region.buffers[*table].dims.len() <= 2;
                if is_plain {
                    Kind::Spmm
                } else {
                    Kind::MessagePassing
                }
            }
            // Rows and columns of the same list of pairs: a sparse matrix.
            (_, Some(_))
                if self.segment_source.is_some() && self.segment_source == self.index_source =>
            {
                Kind::Spmm
            }
            (_, Some(_)) => Kind::EmbeddingBag,
            (tables, None) if self.along_row => {
                if self.messages >= 3 || tables.len() >= 3 {
                    Kind::KgLookup
                } else {
                    Kind::Sddmm
                }
            }
            (_, None) if self.pooled.is_some() => Kind::EmbeddingBag,
            ([], None) if self.accumulates => Kind::ScatterUpdate,
            (_, None) if self.is_block => Kind::BlockGather,
            (_, None) => Kind::Gather,
        }
    }
}

/// Whether a buffer starts as a copy of an input.
fn is_updated(region: &Region, buffer: BufferId) -> bool {
    matches!(
        region.buffers[buffer].role,
        Role::Output(Init::Copy(_)) | Role::Temp(Init::Copy(_))
    )
}

/// Whether a stored value is a sum divided by something other than a square root.
fn divides(region: &Region, facts: &NestFacts, value: Value) -> bool {
    let is_sum = |value: Value| {
        facts.buffers[value]
            .iter()
            .any(|&buffer| !matches!(region.buffers[buffer].role, Role::Input))
    };
    let mut stack = vec![value];
    let mut seen = HashSet::new();
    while let Some(at) = stack.pop() {
        if !seen.insert(at) {
            continue;
        }
        match facts.definitions.get(&at) {
            Some(Expr::Arith(Arith::Binary(BinaryOp::Div, sum, by))) if is_sum(*sum) => {
                return !has_root(facts, *by);
            }
            Some(Expr::Arith(Arith::Binary(BinaryOp::Mul, a, b)))
                if is_sum(*a) && facts.axes[*b].is_empty() && facts.buffers[*b].is_empty() =>
            {
                return true;
            }
            Some(Expr::Arith(arith)) => stack.extend(operands(&Expr::Arith(arith.clone()))),
            _ => {}
        }
    }
    false
}

fn has_root(facts: &NestFacts, value: Value) -> bool {
    let mut stack = vec![value];
    let mut seen = HashSet::new();
    while let Some(at) = stack.pop() {
        if !seen.insert(at) {
            continue;
        }
        match facts.definitions.get(&at) {
            Some(Expr::Arith(Arith::Unary(UnaryOp::Sqrt | UnaryOp::Rsqrt, _))) => return true,
            Some(expr) => stack.extend(operands(expr)),
            None => {}
        }
    }
    false
}
