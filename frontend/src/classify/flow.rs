//! What the values of a nest depend on.

use cranelift_entity::SecondaryMap;
use hashbrown::{HashMap, HashSet};

use hlo2dae_ir::core::{Arith, BinaryOp, BufferId};
use hlo2dae_ir::region::{Expr, Extent, Nest, Statement, Value};

/// What one nest does, statement by statement.
#[derive(Default)]
pub(super) struct Flow {
    /// Axes that a value depends on.
    pub(super) axes: SecondaryMap<Value, Vec<Value>>,
    /// Lookups that a value depends on, as the `read` statements.
    pub(super) lookups: SecondaryMap<Value, Vec<Value>>,
    /// Buffers that a value depends on.
    pub(super) buffers: SecondaryMap<Value, Vec<BufferId>>,
    /// Axes of known extent.
    pub(super) extents: HashMap<Value, u64>,
    pub(super) definitions: HashMap<Value, Expr>,
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
pub(super) fn inputs(expr: &Expr) -> Vec<Value> {
    match expr {
        Expr::Arith(arith) => operands(arith),
        Expr::Index { value, .. } => vec![*value],
        Expr::Read { indices, .. } => indices.clone(),
    }
}

impl Flow {
    pub(super) fn of(nest: &Nest) -> Self {
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
                        let (axes, lookups, buffers) = (
                            flow.axes[operand].clone(),
                            flow.lookups[operand].clone(),
                            flow.buffers[operand].clone(),
                        );
                        merge(&mut flow.axes[*value], &axes);
                        merge(&mut flow.lookups[*value], &lookups);
                        merge(&mut flow.buffers[*value], &buffers);
                    }
                    if let Expr::Read {
                        buffer, indices, ..
                    } = expr
                    {
                        merge(&mut flow.buffers[*value], &[*buffer]);
                        if indices.iter().any(|&i| flow.index_below(i).is_some()) {
                            // The lookup itself; those that its index came from are its own.
                            flow.lookups[*value] = vec![*value];
                        }
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
    /// and is no lookup.
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
                Some(Expr::Arith(Arith::Binary(BinaryOp::Mul, a, b))) => {
                    if varies(*a) || varies(*b) {
                        return true;
                    }
                    stack.extend([*a, *b]);
                }
                Some(Expr::Arith(Arith::Select(mask, a, b))) => {
                    if varies(*mask) && !self.is_bound_check(*mask) {
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

    /// Whether a truth value says whether an index lies inside: all its comparisons are of what indices are made of.
    fn is_bound_check(&self, mask: Value) -> bool {
        let mut positions: Vec<Value> = Vec::new();
        for expr in self.definitions.values() {
            if let Expr::Index { value, .. } = expr {
                merge(&mut positions, &self.sources(*value));
            }
        }
        let sources = self.sources(mask);
        !sources.is_empty() && sources.iter().all(|source| positions.contains(source))
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
