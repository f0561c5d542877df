//! Code: what the execute unit runs. A callback of SLC and a case of DLC are code; they differ only in where
//! their operands come from.
//!
//! ```text
//! block     = "{" statement* "}"
//! statement = %v "=" expr
//!           | "store" lanes? %v "," access
//!           | "scf.if" %v block ("else" block)?
//!           | "scf.for" lanes? %v "=" bound "to" bound "step" INTEGER ("mask" %v)? block
//! expr      = take | compute
//!           | "load" lanes? access
//!           | "element" lanes? %row "[" %v "]" ("mask" %v)?
//!           | "reduce" OP %v "," %v ("mask" %v)?              OP = "add" | "mul" | "min" | "max" | "and" | "or" | "xor"
//! lanes     = "<" INTEGER ">"                                 bound = INTEGER | %v
//! ```
//!
//! `take` is the IR's, `compute` and `access` are those of [`super::compute`] and [`super::access`].
//!
//! # Semantics
//!
//! * Statements run in order. A value is visible to the end of its block, in nested blocks too.
//! * `scf.if` runs its first block if the condition is true, else the second one, if there is one.
//! * `scf.for %i = lower to upper step s` reads its bounds once; it iterates for each position `lower + k * s` below
//!   `upper`. `scf.for<8> %i = ... mask %m` takes 8 positions at a time: `%i` is that of lane 0, lane `k`
//!   stands at `%i + k * s`, and lane `k` of `%m` says whether that is below `upper`.
//! * `load` and `store` are [accesses](super::access).
//! * `element %row[%i]` is one element of a row. `element<8> %row[%i] mask %m` is contiguous elements from `%i`; inactive
//!   lanes are zero and may lie outside.
//! * `reduce add %v, %init mask %m` is `((%init add v0) add v1) ...` over the active lanes in their order: what the
//!   scalar program computes, to the bit.
//!
//! # Rules
//!
//! The verifiers of SLC and DLC check that
//!
//! 1. names can be read back, and visible names differ: buffers, values, and whatever the IR has beside them;
//! 2. every value is defined exactly once, before its uses, and used in its block;
//! 3. types agree: computations as [`Compute`] says, what is stored has the buffer's element type and the lanes of the
//!    access, a condition is `bool`, bounds and positions in rows are `index`, `reduce` takes a vector and a scalar of its
//!    element type, masks are `bool` of the lanes that they mask;
//! 4. an access has one `index` for each dimension of its buffer, and lanes only along a dimension;
//! 5. `store` writes an output or temporary;
//! 6. operands are taken outside `scf.if` and `scf.for`: what is taken does not depend on data;
//! 7. a step is positive; a loop of lanes has a mask, unless its bounds are constant and it has a multiple of the lanes'
//!    number of positions;
//! 8. blocks are nested at most [`MAX_DEPTH`] deep.

mod eval;
mod parse;
mod print;
mod verify;

use cranelift_entity::{PrimaryMap, entity_impl};

pub(crate) use eval::{Data, Run, get};
pub(crate) use parse::Parser;
pub(crate) use print::{Printer, name};
pub(crate) use verify::{check_lane_loop, verify};

use super::access::{Access, Bound, Lanes};
use super::compute::Compute;
use super::op::CombineOp;
use super::types::{Span, Type};
use super::value::ValueData;

/// How deep loops, units and blocks may nest. Our limit.
pub const MAX_DEPTH: usize = 64;

/// A value of a code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);
entity_impl!(Value, "v");

/// What the execute unit does at one event; `S` says where an operand comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Code<S> {
    /// All values that the statements define.
    pub values: PrimaryMap<Value, ValueData<Type>>,
    /// What it does, in order.
    pub body: Vec<Statement<S>>,
}

impl<S> Default for Code<S> {
    fn default() -> Self {
        Code {
            values: PrimaryMap::new(),
            body: Vec::new(),
        }
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement<S> {
    /// Defines a value.
    Let(Value, Expr<S>),
    /// `store %value, %buffer[%i, %j]`.
    Store {
        /// Of the buffer's element type and the access's lanes.
        value: Value,
        /// Where to; an output or temporary.
        access: Access<Value>,
        /// Where the statement is.
        span: Span,
    },
    /// `scf.if %condition { statements } else { statements }`.
    If {
        /// A `bool`.
        condition: Value,
        /// Done when it is true.
        then: Vec<Statement<S>>,
        /// Done when it is false.
        otherwise: Vec<Statement<S>>,
        /// Where the statement is.
        span: Span,
    },
    /// `scf.for<8> %i = 0 to 24 step 1 mask %m { statements }`.
    For(For<S>),
}

/// A loop of the execute unit.
#[derive(Clone, Debug, PartialEq)]
pub struct For<S> {
    /// The position, that of lane 0 if there are lanes.
    pub position: Value,
    /// First position.
    pub lower: Bound<Value>,
    /// Positions stay below it.
    pub upper: Bound<Value>,
    /// From one position to the next; positive.
    pub step: i64,
    /// The positions taken at a time; the mask is a value that the loop defines.
    pub lanes: Option<Lanes<Value>>,
    /// What is done at each position.
    pub body: Vec<Statement<S>>,
    /// Where the loop is.
    pub span: Span,
}

/// What a [`Statement::Let`] gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr<S> {
    /// An operand.
    Take(S),
    /// Arithmetic and what makes vectors of scalars.
    Compute(Compute<Value>),
    /// `load %buffer[%i, %j]`.
    Load(Access<Value>),
    /// `element %row[%i]`, `element<8> %row[%i] mask %m`.
    Element {
        /// A row.
        row: Value,
        /// An `index`, that of lane 0.
        index: Value,
        /// None for one element.
        lanes: Option<Lanes<Value>>,
    },
    /// `reduce add %vector, %init mask %m`.
    Reduce {
        /// Not `sub` or `replace`, which are no reductions.
        op: CombineOp,
        /// A vector.
        vector: Value,
        /// What the first lane meets, a scalar.
        init: Value,
        /// A `bool` for each lane.
        mask: Option<Value>,
    },
}

impl<S> Expr<S> {
    /// Every value that it uses.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Expr::Take(_) => Vec::new(),
            Expr::Compute(compute) => compute.operands().into_iter().copied().collect(),
            Expr::Load(access) => access.operands().copied().collect(),
            Expr::Element { row, index, lanes } => {
                let mask = lanes.and_then(|lanes| lanes.mask);
                [*row, *index].into_iter().chain(mask).collect()
            }
            Expr::Reduce {
                op: _,
                vector,
                init,
                mask,
            } => [*vector, *init].into_iter().chain(*mask).collect(),
        }
    }

    /// The same expression of other values and operands.
    pub fn map<T>(
        &self,
        mut value: impl FnMut(Value) -> Value,
        take: impl FnOnce(&S) -> T,
    ) -> Expr<T> {
        match self {
            Expr::Take(source) => Expr::Take(take(source)),
            Expr::Compute(compute) => Expr::Compute(compute.map(|&v| value(v))),
            Expr::Load(access) => Expr::Load(access.map(|&v| value(v))),
            Expr::Element { row, index, lanes } => Expr::Element {
                row: value(*row),
                index: value(*index),
                lanes: lanes.map(|lanes| lanes.map(value)),
            },
            Expr::Reduce {
                op,
                vector,
                init,
                mask,
            } => Expr::Reduce {
                op: *op,
                vector: value(*vector),
                init: value(*init),
                mask: mask.map(value),
            },
        }
    }
}

impl<S> Statement<S> {
    /// Every value that it uses, without what is in its blocks.
    pub fn operands(&self) -> Vec<Value> {
        match self {
            Statement::Let(_, expr) => expr.operands(),
            Statement::Store { value, access, .. } => std::iter::once(value)
                .chain(access.operands())
                .copied()
                .collect(),
            Statement::If { condition, .. } => vec![*condition],
            Statement::For(inner) => [inner.lower, inner.upper]
                .into_iter()
                .filter_map(Bound::value)
                .collect(),
        }
    }

    /// The blocks inside.
    pub fn blocks(&self) -> [&[Statement<S>]; 2] {
        match self {
            Statement::Let(_, _) | Statement::Store { .. } => [&[], &[]],
            Statement::If {
                then, otherwise, ..
            } => [then, otherwise],
            Statement::For(inner) => [&inner.body, &[]],
        }
    }

    /// The same statement of other values and operands; nested as deep as blocks are.
    pub fn map<T>(
        &self,
        value: &mut impl FnMut(Value) -> Value,
        take: &mut impl FnMut(&S) -> T,
    ) -> Statement<T> {
        match self {
            Statement::Let(defined, expr) => {
                let expr = expr.map(&mut *value, |source| take(source));
                Statement::Let(value(*defined), expr)
            }
            Statement::Store {
                value: stored,
                access,
                span,
            } => Statement::Store {
                value: value(*stored),
                access: access.map(|&v| value(v)),
                span: *span,
            },
            Statement::If {
                condition,
                then,
                otherwise,
                span,
            } => Statement::If {
                condition: value(*condition),
                then: then.iter().map(|s| s.map(value, take)).collect(),
                otherwise: otherwise.iter().map(|s| s.map(value, take)).collect(),
                span: *span,
            },
            Statement::For(inner) => Statement::For(For {
                position: value(inner.position),
                lower: inner.lower.map(&mut *value),
                upper: inner.upper.map(&mut *value),
                step: inner.step,
                lanes: inner.lanes.map(|lanes| lanes.map(&mut *value)),
                body: inner.body.iter().map(|s| s.map(value, take)).collect(),
                span: inner.span,
            }),
        }
    }
}

impl<S> Code<S> {
    /// The same code with operands from elsewhere.
    pub fn map<T>(&self, mut take: impl FnMut(&S) -> T) -> Code<T> {
        let body = self.body.iter();
        Code {
            values: self.values.clone(),
            body: body.map(|s| s.map(&mut |v| v, &mut take)).collect(),
        }
    }

    /// All statements, each before those in its blocks.
    pub fn statements(&self) -> impl Iterator<Item = &Statement<S>> {
        let mut left: Vec<&Statement<S>> = self.body.iter().rev().collect();
        std::iter::from_fn(move || {
            let next = left.pop()?;
            let [first, second] = next.blocks();
            left.extend(first.iter().chain(second).rev());
            Some(next)
        })
    }

    /// The values that are operands, in the order in which they are taken.
    pub fn takes(&self) -> impl Iterator<Item = (Value, &S)> {
        self.statements().filter_map(|statement| match statement {
            Statement::Let(value, Expr::Take(source)) => Some((*value, source)),
            Statement::Let(_, _)
            | Statement::Store { .. }
            | Statement::If { .. }
            | Statement::For(_) => None,
        })
    }
}
