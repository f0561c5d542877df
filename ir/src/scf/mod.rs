//! The SCF IR: loops, conditions, loads, stores, arithmetic.
//!
//! ```text
//! scf.func @embedding_bag {
//!   input %table: f32[1000,24]
//!   input %ids: s32[32,10]
//!   output %out: f32[32,24] = 0.0
//!   scf.for %b = 0 to 32 step 1 {
//!     scf.for %l = 0 to 10 step 1 {
//!       %id = load %ids[%b, %l]
//!       %row = convert %id to index
//!       scf.for %d = 0 to 24 step 1 {
//!         %x = load %table[%row, %d]
//!         %sum = load %out[%b, %d]
//!         %sum_2 = add %sum, %x
//!         store %sum_2, %out[%b, %d]
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! # Grammar
//!
//! ```text
//! func      = "scf.func" @NAME "{" buffer* statement* "}"
//! statement = %NAME "=" arith
//!           | %NAME "=" "load" %BUFFER "[" %INDEX,* "]"
//!           | "store" %VALUE "," %BUFFER "[" %INDEX,* "]"
//!           | "scf.for" %NAME "=" bound "to" bound "step" INTEGER "{" statement* "}"
//!           | "scf.if" %CONDITION "{" statement* "}" ("else" "{" statement* "}")?
//! bound     = INTEGER | %NAME
//! ```
//!
//! `buffer` and `arith` are those of [`crate::core::text`].
//!
//! # Semantics
//!
//! * Statements run one after the other.
//! * `scf.for %i = begin to end step s` takes `begin`, `begin + s`, ... as long as that is below `end`;
//!   it computes its bounds once, before the first iteration. `s` is positive.
//! * `scf.if` runs its first block if the condition is true, else the second one, if there is one.
//! * `load` and `store` go to an element that must lie in the buffer: an evaluator reports an error otherwise.
//! * A value is visible from its definition to the end of its block, in nested blocks too. A name is distinct
//!   from all names visible where it is defined, the buffers' included; blocks side by side may use the same names.
//!
//! All rules stand in [`verify`].

mod build;
mod eval;
mod parse;
mod print;
pub mod verify;

pub use build::{Builder, Visit};

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::core::{Arith, Buffer, BufferId, Span};

pub use crate::core::ValueData;

/// A value of a function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);
entity_impl!(Value, "v");

/// A block of a function: the body of the function, of a loop or of a branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(u32);
entity_impl!(Block, "block");

/// An SCF program.
///
/// Blocks are kept in a table, not inside one another, so that no walk has to recurse. Values and
/// blocks are numbered in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// Name without `@`.
    pub name: String,
    /// All buffers, in the order of the declarations.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// All values.
    pub values: PrimaryMap<Value, ValueData>,
    /// All blocks; each is the body of exactly one thing.
    pub blocks: PrimaryMap<Block, Vec<Statement>>,
    /// Where the program starts.
    pub body: Block,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Defines a value.
    Let(Value, Expr),
    /// `store %value, %buffer[indices]`.
    Store {
        /// Of the buffer's element type.
        value: Value,
        /// An output or temporary.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
        /// Where it is, or the HLO that it stands for.
        span: Span,
    },
    /// A counting loop.
    For {
        /// The position, an `index` that only the body sees.
        position: Value,
        /// First position.
        begin: Bound,
        /// No position reaches it.
        end: Bound,
        /// From one position to the next; positive.
        step: i64,
        /// What is done at each position.
        body: Block,
    },
    /// A condition.
    If {
        /// A `bool`.
        condition: Value,
        /// Run if it is true.
        on_true: Block,
        /// Run if it is false.
        on_false: Option<Block>,
        /// Where it is, or the HLO that it stands for.
        span: Span,
    },
}

/// What a `Let` computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Scalar arithmetic.
    Arith(Arith<Value>),
    /// `load %buffer[indices]`.
    Load {
        /// Any buffer.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
    },
}

/// A bound of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Known.
    Constant(i64),
    /// An `index`.
    Value(Value),
}
