//! The region IR: what is looked up, by what, combined how.
//!
//! A region declares buffers and runs nests, one after the other. A nest is one iteration space
//! (its axes) and a list of statements in static single assignment, executed for every point of
//! the space, in lexicographic order of the axes.
//!
//! ```text
//! region @embedding_bag {
//!   input %table: f32[1000,24]
//!   input %ids: s32[32,10]
//!   output %out: f32[32,24] = 0.0
//!   nest (%b = 32, %l = 10, %d = 24) {
//!     %id = read %ids[%b, %l]
//!     %row = index %id {wrap 1000, clamp 0..999}
//!     %x = read %table[%row, %d]
//!     combine add %out[%b, %d], %x
//!   }
//! }
//! ```
//!
//! # Grammar
//!
//! ```text
//! region    = "region" @NAME "{" buffer* nest* "}"
//! nest      = "nest" "(" (%NAME "=" SIZE),* ")" "{" statement* "}"
//! statement = "axis" %NAME "=" (SIZE | %BEGIN ".." %END)
//!           | %NAME "=" arith
//!           | %NAME "=" "index" %ELEMENT "{" ("wrap" SIZE ",")? MODE LO ".." HI "}"
//!           | %NAME "=" "read" %BUFFER "[" %INDEX,* "]" ("{" "fill" SCALAR "}")?
//!           | "combine" COMBINER %BUFFER "[" %INDEX,* "]" "," %VALUE
//! MODE      = "clamp" | "fill" | "drop" | "promise"
//! ```
//!
//! `buffer` and `arith` are those of [`crate::core::text`]. The dense axes that lead a nest are
//! written in its header.
//!
//! # Semantics
//!
//! * The nests run one after the other, and the statements of a nest one after the other; an `axis` runs
//!   the statements behind it once for each of its positions. So the combines, which stand
//!   behind all axes, are done for every point of the space, in lexicographic order of the axes.
//! * A dense axis counts `0..n`. A range axis counts `begin..end`, both `index` values (where the bags
//!   of a CSR-like format start and end); it is empty when `end <= begin`.
//! * `index %v {wrap n, MODE lo..hi}` turns an integer element into an `index`. `wrap n` first
//!   adds `n` to a negative value. The mode (bounds inclusive) says what happens to a value outside:
//!   `clamp` moves it to the nearer bound (XLA's gather); `fill` marks it, and a `read` through a marked
//!   index gives the read's fill value without touching memory; `drop` marks it, and a `combine`
//!   through a marked index does nothing (XLA's scatter); `promise` states that the caller never
//!   passes one, and evaluators report an error if he does.
//!   No value overflows on the way: unsigned 64-bit values are outside when above `hi`.
//! * `read %buffer[indices] {fill c}` reads one element. Every index that is not marked must lie in
//!   the buffer: an evaluator reports an error otherwise.
//! * arithmetic is [`Arith`], on elements and on unmarked indices.
//! * `combine op %buffer[indices], %v` replaces the element `e` by `op(e, v)`; `replace` by `v`.
//!
//! A marked index may be used by nothing but the `read`s (for `fill`) or `combine`s (for `drop`)
//! that it is for. A buffer that a nest combines into is not read in the same nest. All rules
//! stand in [`verify`].

mod eval;
mod parse;
mod print;
pub mod verify;

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::core::{Arith, Buffer, BufferId, CombineOp, Scalar, Span, in_place};

pub use crate::core::ValueData;

/// A value of a nest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);
entity_impl!(Value, "v");

/// An embedding operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Name without `@`.
    pub name: String,
    /// All buffers, in the order of the declarations.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// The nests, in execution order.
    pub nests: Vec<Nest>,
}

/// One iteration space and what is done at each of its points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nest {
    /// All values that the statements define.
    pub values: PrimaryMap<Value, ValueData>,
    /// The statements, each value defined before it is used.
    pub body: Vec<Statement>,
}

impl Region {
    /// For each output, the input whose memory it may take over, as [`core::in_place`] says.
    ///
    /// [`core::in_place`]: crate::core::in_place
    pub fn in_place(&self) -> Vec<Option<usize>> {
        let statements = self.nests.iter().flat_map(|nest| &nest.body);
        let read: Vec<BufferId> = statements
            .filter_map(|statement| match statement {
                Statement::Let(_, Expr::Read { buffer, .. }) => Some(*buffer),
                Statement::Let(..) | Statement::Axis(..) | Statement::Combine { .. } => None,
            })
            .collect();
        in_place(self.buffers.values().map(|buffer| &buffer.role), |id| {
            read.contains(&id)
        })
    }
}

/// One line of a nest.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Defines a loop position.
    Axis(Value, Extent),
    /// Defines a value.
    Let(Value, Expr),
    /// Combines a value into a buffer.
    Combine {
        /// How it meets what is there.
        op: CombineOp,
        /// An output or temporary.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
        /// Of the buffer's element type.
        value: Value,
        /// Where it is, or the HLO that it stands for.
        span: Span,
    },
}

/// The positions that an axis takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// `0..n`.
    Dense(u64),
    /// `begin..end`, both `index`; empty when `end <= begin`.
    Range(Value, Value),
}

/// What a `Let` computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Scalar arithmetic.
    Arith(Arith<Value>),
    /// Integer element to `index`.
    Index {
        /// An integer element.
        value: Value,
        /// Added to negative values before the bounds are looked at.
        wrap: Option<u64>,
        /// What happens to a value outside `lo..=hi`.
        mode: IndexMode,
        /// Smallest value inside.
        lo: i64,
        /// Largest value inside.
        hi: i64,
    },
    /// One element of a buffer.
    Read {
        /// Any buffer.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
        /// What a marked index gives; present exactly when an index may be marked `fill`.
        fill: Option<Scalar>,
    },
}

/// What happens to an index outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexMode {
    /// Moved to the nearer bound.
    Clamp,
    /// The read gives its fill value.
    Fill,
    /// The combine is skipped.
    Drop,
    /// Never happens, says the caller.
    Promise,
}
