//! What the values of a nest depend on.

use cranelift_entity::SecondaryMap;
use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{Arith, BinaryOp, BufferId, CompareOp};
use hlo2dae_ir::region::{Expr, Extent, Nest, Region, Statement, Value};

/// What one nest does, statement by statement.
#[derive(Default)]
pub(super) struct Flow {
    /// Axes that a value depends on.
    pub(super) axes: SecondaryMap<Value, Vec<Value>>,
    /// Lookups that a value depends on, as the `read` statements.
    pub(super) lookups: SecondaryMap<Value, Vec<Value>>,
    /// Reads at no looked-up position that a value is computed from, as statements.
    pub(super) plain: SecondaryMap<Value, Vec<Value>>,
    /// Buffers that a value depends on.
    pub(super) buffers: SecondaryMap<Value, Vec<BufferId>>,
    /// Axes of known extent.
    pub(super) extents: HashMap<Value, u64>,
    pub(super) definitions: HashMap<Value, Expr>,
    /// Reads of arrays of integers.
    pub(super) integers: HashSet<Value>,
    /// What indices are computed from.
    positions: HashSet<Value>,
}

pub(super) fn merge<T: Copy + PartialEq>(into: &mut Vec<T>, from: &[T]) {
    for item in from {
        if !into.contains(item) {
            into.push(*item);
        }
    }
}

/// What arithmetic takes.
pub(crate) fn operands(arith: &Arith<Value>) -> Vec<Value> {
    match arith {
        Arith::Constant(_) => Vec::new(),
        Arith::Unary(_, a) | Arith::Convert(a, _) => vec![*a],
        Arith::Binary(_, a, b) | Arith::Compare(_, a, b) => vec![*a, *b],
        Arith::Select(a, b, c) => vec![*a, *b, *c],
    }
}

/// What an expression takes.
pub(crate) fn inputs(expr: &Expr) -> Vec<Value> {
    match expr {
        Expr::Arith(arith) => operands(arith),
        Expr::Index { value, .. } => vec![*value],
        Expr::Read { indices, .. } => indices.clone(),
    }
}

impl Flow {
    pub(super) fn of(nest: &Nest, region: &Region) -> Self {
        let mut flow = Flow::default();
        for statement in &nest.body {
            match statement {
                Statement::Axis(value, extent) => {
                    flow.axes[*value] = vec![*value];
                    if let Extent::Dense(n) = extent {
                        flow.extents.insert(*value, *n);
                    }
                }
                Statement::Let(value, expr) => {
                    for operand in inputs(expr) {
                        let (axes, lookups, plain, buffers) = (
                            flow.axes[operand].clone(),
                            flow.lookups[operand].clone(),
                            flow.plain[operand].clone(),
                            flow.buffers[operand].clone(),
                        );
                        merge(&mut flow.axes[*value], &axes);
                        merge(&mut flow.lookups[*value], &lookups);
                        merge(&mut flow.plain[*value], &plain);
                        merge(&mut flow.buffers[*value], &buffers);
                    }
                    if let Expr::Read {
                        buffer, indices, ..
                    } = expr
                    {
                        merge(&mut flow.buffers[*value], &[*buffer]);
                        if region.buffers[*buffer].element.is_integer() {
                            flow.integers.insert(*value);
                        }
                        let is_lookup = indices.iter().any(|&i| flow.index_below(i).is_some());
                        // The lookup itself; those that its index came from are its own.
                        if is_lookup {
                            flow.lookups[*value] = vec![*value];
                        }
                        flow.plain[*value] = match is_lookup {
                            true => Vec::new(),
                            false => vec![*value],
                        };
                    }
                    if let Expr::Index { value: of, .. } = expr {
                        flow.mark_position(*of);
                    }
                    flow.definitions.insert(*value, expr.clone());
                }
                Statement::Combine { .. } => {}
            }
        }
        flow
    }

    /// The `index` statement that a position is, or has as a summand.
    pub(super) fn index_below(&self, position: Value) -> Option<Value> {
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

    /// Positions that some axes take together: all of them, where each has a known extent.
    pub(super) fn count(&self, axes: &[Value]) -> Option<u64> {
        axes.iter().try_fold(1u64, |n, axis| {
            Some(n.saturating_mul(*self.extents.get(axis)?))
        })
    }

    /// The buffer that an index is read from.
    pub(super) fn index_source(&self, index: Value) -> Option<BufferId> {
        self.buffers[index].last().copied()
    }

    /// Whether a value is scaled or masked: on the way to it, a row is multiplied by, or chosen by, something that varies
    /// and is no lookup; or it is scaled by one looked-up number. Where integers are looked up, such a number is what makes
    /// them numbers of the model (a quantised table), and no weight.
    pub(super) fn is_weighted(&self, value: Value) -> bool {
        let varies = |value: Value| {
            self.lookups[value].is_empty()
                && !(self.axes[value].is_empty() && self.buffers[value].is_empty())
        };
        let mut stack = vec![value];
        let mut seen = HashSet::new();
        while let Some(at) = stack.pop() {
            if !seen.insert(at) || self.lookups[at].is_empty() {
                continue;
            }
            match self.definitions.get(&at) {
                Some(Expr::Arith(Arith::Binary(op @ (BinaryOp::Mul | BinaryOp::Div), a, b))) => {
                    let is_product = *op == BinaryOp::Mul;
                    if is_product && (varies(*a) || varies(*b)) {
                        return true;
                    }
                    if self.scales(*b, *a) || (is_product && self.scales(*a, *b)) {
                        return true;
                    }
                    stack.extend([*a, *b]);
                }
                Some(Expr::Arith(Arith::Select(mask, a, b))) => {
                    // Between two rows it masks neither.
                    let is_mask = self.lookups[*a].is_empty() || self.lookups[*b].is_empty();
                    if is_mask && varies(*mask) && !self.is_bound_check(*mask) {
                        return true;
                    }
                    stack.extend([*a, *b]);
                }
                Some(Expr::Arith(arith)) => stack.extend(operands(arith)),
                _ => {}
            }
        }
        false
    }

    /// Whether one looked-up number scales a row.
    fn scales(&self, number: Value, row: Value) -> bool {
        let is_within = |axis: &Value| self.axes[number].contains(axis);
        let is_integer = self.lookups[row]
            .iter()
            .any(|read| self.integers.contains(read));
        !self.lookups[number].is_empty()
            && !self.axes[row].iter().all(is_within)
            && self.axes[number]
                .iter()
                .all(|axis| self.axes[row].contains(axis))
            && !is_integer
    }

    /// The lookups whose rows are replaced where their index lies outside.
    pub(super) fn guarded(&self, value: Value) -> Vec<Value> {
        let mut guarded = Vec::new();
        for at in self.below(value) {
            if let Some(Expr::Arith(Arith::Select(mask, a, b))) = self.definitions.get(&at)
                && self.is_bound_check(*mask)
            {
                merge(&mut guarded, &self.lookups[*a]);
                merge(&mut guarded, &self.lookups[*b]);
            }
        }
        guarded
    }

    /// Whether a truth value says whether an index lies inside: it compares, by order, what indices are made of; and no
    /// index is chosen by it (then it says which rows to look up at all).
    fn is_bound_check(&self, mask: Value) -> bool {
        if self.positions.contains(&mask) {
            return false;
        }
        let mut sources: Vec<Value> = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = vec![mask];
        while let Some(at) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            match self.definitions.get(&at) {
                Some(Expr::Arith(Arith::Compare(op, a, b))) => {
                    if matches!(op, CompareOp::Eq | CompareOp::Ne) {
                        return false;
                    }
                    sources.extend(self.sources(*a));
                    sources.extend(self.sources(*b));
                }
                Some(Expr::Arith(arith)) => stack.extend(operands(arith)),
                _ => return false,
            }
        }
        !sources.is_empty() && sources.iter().all(|source| self.positions.contains(source))
    }

    /// Marks what an index is computed from.
    fn mark_position(&mut self, value: Value) {
        let mut stack = vec![value];
        while let Some(at) = stack.pop() {
            if self.positions.insert(at)
                && let Some(expr) = self.definitions.get(&at)
            {
                stack.extend(inputs(expr));
            }
        }
    }

    /// A value and what it is computed from.
    fn below(&self, value: Value) -> HashSet<Value> {
        let mut seen = HashSet::new();
        let mut stack = vec![value];
        while let Some(at) = stack.pop() {
            if seen.insert(at)
                && let Some(expr) = self.definitions.get(&at)
            {
                stack.extend(inputs(expr));
            }
        }
        seen
    }

    /// The reads below a value.
    fn sources(&self, value: Value) -> Vec<Value> {
        let mut sources = Vec::new();
        let mut stack = vec![value];
        let mut seen = HashSet::new();
        while let Some(at) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            match self.definitions.get(&at) {
                Some(Expr::Read { .. }) => sources.push(at),
                Some(expr) => stack.extend(inputs(expr)),
                None => {}
            }
        }
        sources
    }
}
