//! Operations read off the statements of a region.

use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{
    Arith, BinaryOp, BufferId, CombineOp, ElementType, Init, Role, Scalar, ScalarType, UnaryOp,
};
use hlo2dae_ir::region::{Expr, IndexMode, Nest, Region, Statement, Value};

use super::flow::{Flow, inputs, merge, operands};
use super::{Context, Kind, Lookup, Mode, Operation, Pooling};

/// How much the reciprocal of a count, rounded to the narrowest float, may be off.
const ROUNDING: f64 = 1.0 / 128.0;

/// The operations of a region, in the order of its statements, and the lookups whose rows its buffers hold at the end.
pub(super) fn operations(
    region: &Region,
    context: &Context,
) -> (Vec<Operation>, HashMap<BufferId, Vec<Lookup>>) {
    let flows: Vec<(&Nest, Flow)> = region
        .nests
        .iter()
        .map(|nest| (nest, Flow::of(nest, region)))
        .collect();
    let reader = Reader {
        region,
        context,
        flows: &flows,
    };
    let mut operations = Vec::new();
    let mut stored = context.stored.clone();
    for (nest, flow) in &flows {
        for statement in &nest.body {
            if let Statement::Combine {
                op,
                buffer,
                indices,
                value,
                ..
            } = statement
            {
                let combine = Combine {
                    flow,
                    op: *op,
                    buffer: *buffer,
                    indices,
                    value: *value,
                };
                let rows = reader.operation(&combine, &stored, &mut operations);
                if let Some(rows) = rows {
                    stored.insert(*buffer, rows);
                }
            }
        }
    }
    (operations, stored)
}

/// A `combine` statement.
struct Combine<'r> {
    flow: &'r Flow,
    op: CombineOp,
    buffer: BufferId,
    indices: &'r [Value],
    value: Value,
}

struct Reader<'r> {
    region: &'r Region,
    context: &'r Context<'r>,
    flows: &'r [(&'r Nest, Flow)],
}

impl Reader<'_> {
    /// What a combine does with rows: once for every form in which its result is stored. Gives the lookups whose rows
    /// its buffer then holds, one for each row.
    fn operation(
        &self,
        combine: &Combine,
        stored: &HashMap<BufferId, Vec<Lookup>>,
        operations: &mut Vec<Operation>,
    ) -> Option<Vec<Lookup>> {
        let flow = combine.flow;
        let segment = combine.indices.iter().find_map(|&i| flow.index_below(i));
        let is_update = is_updated(self.region, combine.buffer);
        // What is looked up by the very index that combines it is no row.
        let is_own = |read: &&Value| segment.is_some_and(|s| self.goes_by(flow, **read, s));
        let (own, reads): (Vec<Value>, Vec<Value>) =
            flow.lookups[combine.value].iter().partition(is_own);
        let mut rows = self.lookups(flow, combine.value, &reads);
        let earlier = flow.plain[combine.value]
            .iter()
            .filter_map(|read| match flow.definitions.get(read) {
                Some(Expr::Read { buffer, .. }) => stored.get(buffer),
                _ => None,
            })
            .flatten();
        let earlier: Vec<Lookup> = earlier.cloned().collect();
        let mut placed: Vec<Value> = Vec::new();
        for &index in combine.indices {
            merge(&mut placed, &flow.axes[index]);
        }
        let is_pooled = combine.op != CombineOp::Replace;
        let mut carried = None;
        let kind = match segment {
            Some(segment) => {
                // Stored rows take part in their own gradient too.
                let is_gradient = self.context.gradients.contains(&combine.buffer);
                let is_dense = rows.is_empty() && (earlier.is_empty() || is_update || is_gradient);
                rows.extend(earlier);
                match is_dense {
                    true => self.segment_kind(combine),
                    false => self.bag_kind(combine, segment, &reads, &rows),
                }
            }
            None if rows.is_empty() => match is_update && self.is_only() {
                true => Kind::ScatterUpdate,
                false => return (!is_pooled && !earlier.is_empty()).then_some(earlier),
            },
            None if is_pooled => {
                let mut looked_up: Vec<Value> = Vec::new();
                for &read in &reads {
                    for index in self.indices(flow, read) {
                        merge(&mut looked_up, &flow.axes[index]);
                    }
                }
                // The axes below the value that the place lacks.
                let mut combined = flow.axes[combine.value]
                    .iter()
                    .filter(|axis| !placed.contains(axis))
                    .peekable();
                let along_row =
                    combined.peek().is_some() && combined.all(|axis| !looked_up.contains(axis));
                if along_row {
                    carried = Some(rows.clone());
                }
                match (along_row, rows.len()) {
                    (true, 3..) => Kind::KgLookup,
                    // A row with nothing but itself: its norm.
                    (true, 1) if !flow.is_weighted(combine.value) => Kind::Gather,
                    (true, _) => Kind::Sddmm,
                    (false, _) => Kind::EmbeddingBag,
                }
            }
            None if is_update => Kind::ScatterUpdate,
            None => {
                carried = Some(rows.clone());
                match reads.iter().any(|&read| self.is_block(flow, read)) {
                    true => Kind::BlockGather,
                    false => Kind::Gather,
                }
            }
        };
        let kind = match self.context.sparse.contains(&combine.buffer) {
            true => Kind::Spmm,
            false => kind,
        };
        let is_scatter = segment.is_some() || kind == Kind::ScatterUpdate;
        let into = is_scatter.then(|| Lookup {
            mode: Mode::Drop,
            ..self.described(flow, combine.buffer, combine.indices)
        });
        let (poolings, weighted) = match kind {
            Kind::Gather
            | Kind::BlockGather
            | Kind::ScatterUpdate
            | Kind::Sddmm
            | Kind::KgLookup => (vec![Pooling::None], false),
            Kind::SegmentReduce | Kind::EmbeddingBag | Kind::Spmm | Kind::MessagePassing => (
                self.poolings(combine, kind, &placed),
                !rows.is_empty() && flow.is_weighted(combine.value),
            ),
        };
        let mut lookups = rows;
        lookups.extend(self.lookups(flow, combine.value, &own));
        operations.extend(poolings.into_iter().map(|pooling| Operation {
            kind,
            pooling,
            weighted,
            lookups: lookups.clone(),
            into: into.clone(),
        }));
        for row in carried.iter_mut().flatten() {
            row.is_stored = true;
        }
        carried
    }

    /// Whether a read looks up by what an `index` statement is made of.
    fn goes_by(&self, flow: &Flow, read: Value, segment: Value) -> bool {
        let source = |index: Value| match flow.definitions.get(&index) {
            Some(Expr::Index { value, .. }) => Some(*value),
            _ => None,
        };
        let indices = self.indices(flow, read);
        !indices.is_empty() && indices.iter().all(|&i| source(i) == source(segment))
    }

    /// The lookups that reads are. Reads of one array through the same indices are parts of the same rows.
    fn lookups(&self, flow: &Flow, value: Value, reads: &[Value]) -> Vec<Lookup> {
        let guarded = flow.guarded(value);
        let mut lookups: Vec<((BufferId, Vec<Value>), Lookup)> = Vec::new();
        for &read in reads {
            let Some(Expr::Read {
                buffer, indices, ..
            }) = flow.definitions.get(&read)
            else {
                continue;
            };
            let key = (*buffer, self.indices(flow, read));
            let mut lookup = self.described(flow, *buffer, indices);
            if guarded.contains(&read) {
                lookup.mode = Mode::Fill;
            }
            match lookups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.row += lookup.row,
                None => lookups.push((key, lookup)),
            }
        }
        lookups.into_iter().map(|(_, lookup)| lookup).collect()
    }

    /// The `index` statements that a read goes through.
    fn indices(&self, flow: &Flow, read: Value) -> Vec<Value> {
        match flow.definitions.get(&read) {
            Some(Expr::Read { indices, .. }) => indices
                .iter()
                .filter_map(|&position| flow.index_below(position))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn described(&self, flow: &Flow, buffer: BufferId, positions: &[Value]) -> Lookup {
        let declared = &self.region.buffers[buffer];
        let indices: Vec<Value> = positions
            .iter()
            .filter_map(|&position| flow.index_below(position))
            .collect();
        let mut chosen: Vec<Value> = Vec::new();
        for &index in &indices {
            merge(&mut chosen, &flow.axes[index]);
        }
        // What follows the chosen dimensions, and windows in them, makes up a row; what stands before them is a batch.
        // Where nothing follows, a row is a column.
        let first = positions
            .iter()
            .position(|&position| flow.index_below(position).is_some());
        let (before, after) = positions.split_at(first.unwrap_or(0));
        let axes_of = |positions: &[Value], chosen: &[Value]| {
            let mut axes: Vec<Value> = Vec::new();
            for &position in positions {
                merge(&mut axes, &flow.axes[position]);
            }
            axes.retain(|axis| !chosen.contains(axis));
            axes
        };
        let mut row = axes_of(after, &chosen);
        let batch = axes_of(before, &chosen);
        if row.is_empty() {
            row = batch;
        } else {
            merge(&mut chosen, &batch);
        }
        let sources = indices.iter().filter_map(|&index| flow.index_source(index));
        let source = sources
            .into_iter()
            .next_back()
            .map(|source| &self.region.buffers[source]);
        let modes = indices
            .iter()
            .filter_map(|index| match flow.definitions.get(index) {
                Some(Expr::Index { mode, .. }) => Some(match mode {
                    IndexMode::Clamp => Mode::Clip,
                    IndexMode::Fill => Mode::Fill,
                    IndexMode::Drop => Mode::Drop,
                    IndexMode::Promise => Mode::Promise,
                }),
                _ => None,
            });
        // Bags of a length that the data says hold at most all indices.
        let all = source.map_or(0, |source| source.dims.iter().product());
        let rows = flow.count(&chosen).unwrap_or(all);
        let row = flow.count(&row).unwrap_or(0);
        // Where the HLO takes as much from as large a table, it says what of that is a row; of blocks, it says less.
        let is_block = positions
            .iter()
            .any(|&position| self.is_window(flow, position));
        let size = |dims: &[u64]| dims.iter().product::<u64>();
        let stated = self.context.direct.iter().flat_map(Operation::subjects);
        let stated = stated
            .filter(|stated| !is_block && size(&stated.dims) == size(&declared.dims))
            .find(|stated| stated.rows.checked_mul(stated.row) == rows.checked_mul(row));
        let (rows, row) = stated.map_or((rows, row), |stated| (stated.rows, stated.row));
        Lookup {
            table: self.context.value(self.region, buffer).cloned(),
            dims: declared.dims.clone(),
            element: declared.element,
            rows,
            row,
            mode: modes
                .max_by_key(|mode| *mode == Mode::Fill)
                .unwrap_or(Mode::Promise),
            index_dtype: source.map_or(ElementType::S32, |source| source.element),
            is_stored: false,
        }
    }

    /// Whether a read takes a window of several rows at an index.
    fn is_block(&self, flow: &Flow, read: Value) -> bool {
        let Some(Expr::Read { indices, .. }) = flow.definitions.get(&read) else {
            return false;
        };
        indices
            .iter()
            .any(|&position| self.is_window(flow, position))
    }

    /// Whether a position is an index and a place in a window behind it.
    fn is_window(&self, flow: &Flow, position: Value) -> bool {
        flow.index_below(position).is_some_and(|index| {
            flow.axes[position]
                .iter()
                .any(|axis| !flow.axes[index].contains(axis))
        })
    }

    /// Rows of a dense input, combined by segment.
    fn segment_kind(&self, combine: &Combine) -> Kind {
        let starts_equal = matches!(
            self.region.buffers[combine.buffer].role,
            Role::Output(Init::Splat(_)) | Role::Temp(Init::Splat(_))
        );
        let is_gradient = self.context.gradients.contains(&combine.buffer);
        match starts_equal && combine.op != CombineOp::Replace && !is_gradient {
            true => Kind::SegmentReduce,
            false => Kind::ScatterUpdate,
        }
    }

    /// Looked-up rows, combined by segment.
    fn bag_kind(
        &self,
        combine: &Combine,
        segment: Value,
        reads: &[Value],
        rows: &[Lookup],
    ) -> Kind {
        let buffer = &self.region.buffers[combine.buffer];
        if combine.op == CombineOp::Replace {
            return Kind::ScatterUpdate;
        }
        let first = |dims: &[u64]| dims.first().copied();
        let mut nodes = rows.iter().map(|lookup| first(&lookup.dims));
        let same_nodes = nodes.any(|nodes| nodes == first(&buffer.dims));
        let source = combine.flow.index_source(segment);
        let from_source = |index: &Value| combine.flow.index_source(*index) == source;
        let mut indices = reads
            .iter()
            .flat_map(|&read| self.indices(combine.flow, read));
        let same_pairs = source.is_some() && indices.any(|index| from_source(&index));
        // Rows of an array that is there already are updated: by rows that the same indices choose, or by rows of no node.
        if is_updated(self.region, combine.buffer) && (same_pairs || !same_nodes) {
            return Kind::ScatterUpdate;
        }
        let looked_up = rows.len().max(combine.flow.lookups[combine.value].len());
        let is_plain = looked_up <= 1 && rows.iter().all(|lookup| lookup.dims.len() <= 2);
        match (same_nodes || same_pairs, is_plain) {
            (true, true) => Kind::Spmm,
            (true, false) => Kind::MessagePassing,
            (false, _) => Kind::EmbeddingBag,
        }
    }

    /// How a combine pools, with what is stored of its buffer behind it.
    fn poolings(&self, combine: &Combine, kind: Kind, placed: &[Value]) -> Vec<Pooling> {
        let combined: Vec<Value> = combine.flow.axes[combine.value]
            .iter()
            .filter(|axis| !placed.contains(axis))
            .copied()
            .collect();
        match combine.op {
            CombineOp::Add | CombineOp::Sub => {
                self.normalised(combine.buffer, kind, combine.flow.count(&combined))
            }
            CombineOp::Max | CombineOp::Or => vec![Pooling::Max],
            CombineOp::Min | CombineOp::And => vec![Pooling::Min],
            CombineOp::Mul => vec![Pooling::Prod],
            CombineOp::Xor | CombineOp::Replace => vec![Pooling::None],
        }
    }

    /// What the sums of a buffer become.
    fn normalised(&self, sums: BufferId, kind: Kind, length: Option<u64>) -> Vec<Pooling> {
        // Buffers that hold the sums in another form.
        let mut forms = vec![sums];
        let is_output =
            |buffer: BufferId| matches!(self.region.buffers[buffer].role, Role::Output(_));
        let mut poolings = Vec::new();
        for (nest, flow) in self.flows {
            for statement in &nest.body {
                let Statement::Combine {
                    op: CombineOp::Replace,
                    buffer,
                    value,
                    ..
                } = statement
                else {
                    continue;
                };
                if !flow.buffers[*value].iter().any(|b| forms.contains(b)) {
                    continue;
                }
                match divided(flow, *value, &forms, length) {
                    // A root scales the matrix of a graph from both sides; what is summed stays a sum.
                    Some(Pooling::Sqrtn) if kind != Kind::EmbeddingBag => forms.push(*buffer),
                    Some(pooling) => merge(&mut poolings, &[pooling]),
                    None => forms.push(*buffer),
                }
            }
        }
        if poolings.is_empty() || forms.into_iter().any(is_output) {
            poolings.insert(0, Pooling::Sum);
        }
        poolings
    }

    /// Whether the region has a single combine.
    fn is_only(&self) -> bool {
        let combines = self.flows.iter().flat_map(|(nest, _)| &nest.body);
        combines
            .filter(|statement| matches!(statement, Statement::Combine { .. }))
            .count()
            == 1
    }
}

/// Whether a buffer starts as a copy of an input.
fn is_updated(region: &Region, buffer: BufferId) -> bool {
    matches!(
        region.buffers[buffer].role,
        Role::Output(Init::Copy(_)) | Role::Temp(Init::Copy(_))
    )
}

/// By what a stored value divides sums, if it does: by a count or by a root.
fn divided(flow: &Flow, value: Value, sums: &[BufferId], length: Option<u64>) -> Option<Pooling> {
    let is_sum = |value: Value| flow.buffers[value].iter().any(|b| sums.contains(b));
    let constant = |value: Value| match flow.definitions.get(&value) {
        Some(Expr::Arith(Arith::Constant(scalar))) => number(*scalar),
        _ => None,
    };
    let near = |a: f64, b: f64| (a - b).abs() <= ROUNDING * b.abs();
    let mut stack = vec![value];
    let mut seen = HashSet::new();
    while let Some(at) = stack.pop() {
        if !seen.insert(at) {
            continue;
        }
        match flow.definitions.get(&at) {
            Some(Expr::Arith(Arith::Binary(op @ (BinaryOp::Div | BinaryOp::Mul), a, b))) => {
                let (sum, by) = match (is_sum(*a), op) {
                    (true, _) => (*a, *b),
                    (false, BinaryOp::Mul) => (*b, *a),
                    (false, _) => continue,
                };
                let count = constant(by).map(|by| match op {
                    BinaryOp::Mul => 1.0 / by,
                    _ => by,
                });
                let is_division = matches!(op, BinaryOp::Div);
                match (count, length) {
                    (Some(count), Some(length)) if near(count, length as f64) => {
                        return Some(Pooling::Mean);
                    }
                    (Some(count), Some(length)) if near(count * count, length as f64) => {
                        return Some(Pooling::Sqrtn);
                    }
                    (None, _) if has_root(flow, by) => return Some(Pooling::Sqrtn),
                    (None, _) if is_division || is_reciprocal(flow, by) => {
                        return Some(Pooling::Mean);
                    }
                    _ => stack.push(sum),
                }
            }
            Some(Expr::Arith(arith)) => stack.extend(operands(arith)),
            _ => {}
        }
    }
    None
}

/// Whether a value is one over something.
fn is_reciprocal(flow: &Flow, value: Value) -> bool {
    match flow.definitions.get(&value) {
        Some(Expr::Arith(Arith::Binary(BinaryOp::Div, one, _))) => matches!(
            flow.definitions.get(one),
            Some(Expr::Arith(Arith::Constant(scalar))) if number(*scalar) == Some(1.0)
        ),
        _ => false,
    }
}

fn number(scalar: Scalar) -> Option<f64> {
    match scalar.convert(ScalarType::Element(ElementType::F64)) {
        Scalar::F64(value) => Some(value),
        _ => None,
    }
}

fn has_root(flow: &Flow, value: Value) -> bool {
    let mut stack = vec![value];
    let mut seen = HashSet::new();
    while let Some(at) = stack.pop() {
        if !seen.insert(at) {
            continue;
        }
        match flow.definitions.get(&at) {
            Some(Expr::Arith(Arith::Unary(UnaryOp::Sqrt | UnaryOp::Rsqrt, _))) => return true,
            Some(expr) => stack.extend(inputs(expr)),
            None => {}
        }
    }
    false
}
