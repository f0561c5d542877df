//! SLC, structured lookup-compute: which loops and loads the access unit runs, and which code the
//! execute unit runs.
//!
//! The access unit runs the loops, reads memory and computes addresses; everything that it knows is
//! a stream. The execute unit runs callbacks, which take values from streams and alone write memory.
//!
//! ```text
//! slc.func @embedding_bag {
//!   input %table: f32[1000,24]
//!   input %ids: s32[32,10]
//!   output %out: f32[32,24] = 0.0
//!   slc.for %b = 0 to 32 step 1 {
//!     slc.for %l = 0 to 10 step 1 {
//!       %id = slc.mem_stream %ids[%b, %l]
//!       %row = slc.alu_stream convert %id to index
//!       slc.for %d = 0 to 24 step 1 {
//!         %x = slc.mem_stream %table[%row, %d]
//!         slc.callback {
//!           %b_0 = slc.from_stream %b
//!           %d_0 = slc.from_stream %d
//!           %x_0 = slc.from_stream %x
//!           %old = load %out[%b_0, %d_0]
//!           %new = add %old, %x_0
//!           store %new, %out[%b_0, %d_0]
//!         }
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! # Structure
//!
//! ```text
//! func      = "slc.func" @name "{" buffer* body "}"
//! body      = stream* step*
//! stream    = %s "=" "slc.mem_stream" %buffer "[" %s,* "]"  |  %s "=" "slc.alu_stream" arithmetic
//! step      = loop | callback
//! loop      = "slc.for" %s "=" bound "to" bound "step" integer "{" body "}"        bound = integer | %s
//! callback  = "slc.callback" "{" statement* "}"
//! statement = %v "=" "slc.from_stream" %s  |  %v "=" arithmetic  |  %v "=" "load" %buffer "[" %v,* "]"
//!           | "store" %v "," %buffer "[" %v,* "]"  |  "scf.if" %v "{" statement* "}" ("else" "{" statement* "}")?
//! ```
//!
//! A body states its streams first, then its steps: all streams of a body advance together.
//!
//! # Semantics
//!
//! * **Loop.** `slc.for %i = lower to upper step s` begins once in each iteration of the body that
//!   holds it, and reads its bounds then. It iterates for each position `lower + k * s` below `upper`,
//!   `k = 0, 1, ...`, and ends once, also when there was no position. The function's own body has one iteration.
//! * **Streams.** In each iteration the induction variable takes the next position, then every stream
//!   of the body advances by exactly one element, in textual order, each from the current elements of
//!   its operands, and all before the first step of the iteration. In the inner loops the stream keeps its
//!   element. Streams read inputs only, which nobody writes (rule 7): the access unit may be any
//!   number of iterations ahead of the execute unit, and nobody can tell.
//! * **Steps** happen in textual order, so siblings run one after the other. A loop's step is over when
//!   the loop has ended.
//! * **Callbacks.** The place of a callback says the [event](Event) at which it fires: after a loop, the end of that
//!   loop; else before a loop, the begin of that loop; else (the body has no loop) each iteration of the body.
//!   All callbacks of a program fire in one sequence, one at a time, each when the steps before it are over.
//!   `slc.from_stream` gives the element that its stream has at the event. A callback starts with no
//!   other values: what passes from one firing to a later one passes through a buffer.
//! * **Statements** of a callback run in order; arithmetic is [`Arith`], the same on both sides.
//!   An access outside its buffer is an error of the caller's.
//!
//! # Rules
//!
//! `verify` checks that
//!
//! 1. names can be read back, and what is visible in one place has different names: buffers, streams
//!    and values alike;
//! 2. buffers can be allocated and start as declared;
//! 3. every stream and value is defined once, before its uses, and used in its scope: a stream in
//!    the rest of its body and everything inside (an induction variable: in the body of its loop), a value in
//!    the rest of its statement list and everything inside;
//! 4. types agree: arithmetic as [`Arith`] says, `slc.from_stream` keeps its stream's type, what is
//!    loaded, stored or streamed has the buffer's element type, a condition is `bool`;
//! 5. an access has one `index` for each dimension of its buffer;
//! 6. bounds are `index`, steps positive;
//! 7. `slc.mem_stream` reads an input, `store` writes an output or temporary;
//! 8. no two callbacks stand side by side: one event, one callback;
//! 9. `slc.from_stream` stands outside `scf.if`: what a callback takes does not depend on data;
//! 10. loops and guards are nested at most [`MAX_DEPTH`] deep.

mod eval;
mod parse;
mod print;
mod verify;

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::core::{
    Arith, Buffer, BufferId, Diagnostics, EvalError, Ir, Limits, Memory, Span, ValueData,
};

/// Deepest nesting of loops and guards.
pub const MAX_DEPTH: usize = 64;

/// A stream: what the access unit knows, one element at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(u32);
entity_impl!(Stream, "s");

/// A value of a callback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);
entity_impl!(Value, "v");

/// A program.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// Name without `@`.
    pub name: String,
    /// All buffers, in the order of the declarations.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// All streams, those of the loops' induction variables included.
    pub streams: PrimaryMap<Stream, ValueData>,
    /// What runs once.
    pub body: Body,
}

/// What one iteration does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The streams that advance once an iteration, each after those that it is made from.
    pub streams: Vec<StreamDef>,
    /// Loops and callbacks, in order.
    pub steps: Vec<Step>,
}

/// Definition of a stream that is not an induction variable.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamDef {
    /// The stream.
    pub stream: Stream,
    /// Its elements.
    pub expr: StreamExpr,
}

/// What a stream's elements are.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamExpr {
    /// `slc.mem_stream %buffer[%i, %j]`: an element of memory.
    Mem {
        /// An input.
        buffer: BufferId,
        /// One `index` stream for each dimension of the buffer.
        indices: Vec<Stream>,
    },
    /// `slc.alu_stream add %a, %b`: computed from other streams.
    Alu(Arith<Stream>),
}

/// One step of an iteration.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A loop that the access unit runs.
    For(Loop),
    /// Code that the execute unit runs.
    Callback(Callback),
}

/// `slc.for %i = lower to upper step s { body }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Loop {
    /// The stream of positions.
    pub induction: Stream,
    /// First position.
    pub lower: Bound,
    /// Positions stay below it.
    pub upper: Bound,
    /// Distance of two positions, positive.
    pub step: i64,
    /// What each iteration does.
    pub body: Body,
    /// Where the loop is.
    pub span: Span,
}

/// Bound of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The same each time: a dense traversal.
    Constant(i64),
    /// The stream's element when the loop begins: a range traversal.
    Stream(Stream),
}

/// `slc.callback { statements }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Callback {
    /// All values that the statements define.
    pub values: PrimaryMap<Value, ValueData>,
    /// What it does, in order.
    pub body: Vec<Statement>,
    /// Where the callback is.
    pub span: Span,
}

/// One line of a callback.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Defines a value.
    Let(Value, Expr),
    /// `store %value, %buffer[%i, %j]`.
    Store {
        /// An output or temporary.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
        /// Of the buffer's element type.
        value: Value,
        /// Where the statement is.
        span: Span,
    },
    /// `scf.if %condition { statements } else { statements }`.
    If {
        /// A `bool`.
        condition: Value,
        /// Done when it is true.
        then: Vec<Statement>,
        /// Done when it is false.
        otherwise: Vec<Statement>,
        /// Where the statement is.
        span: Span,
    },
}

/// What a [`Statement::Let`] gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `slc.from_stream %s`: the stream's element at the event.
    FromStream(Stream),
    /// Scalar arithmetic.
    Arith(Arith<Value>),
    /// `load %buffer[%i, %j]`.
    Load {
        /// Any buffer.
        buffer: BufferId,
        /// One `index` for each dimension of the buffer.
        indices: Vec<Value>,
    },
}

/// When a callback fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Before the first iteration of the loop that is this step of the body.
    Begin(usize),
    /// In each iteration of the body.
    Iterate,
    /// After the last iteration of the loop that is this step of the body.
    End(usize),
}

impl Body {
    /// The event of the callback that is step `at`.
    pub fn event(&self, at: usize) -> Event {
        let is_loop = |step: usize| matches!(self.steps.get(step), Some(Step::For(_)));
        match at.checked_sub(1) {
            Some(before) if is_loop(before) => Event::End(before),
            _ if is_loop(at + 1) => Event::Begin(at + 1),
            _ => Event::Iterate,
        }
    }
}

impl Ir for Func {
    const NAME: &'static str = "slc";
    const KEYWORD: &'static str = "slc.func";

    fn name(&self) -> &str {
        &self.name
    }

    fn buffers(&self) -> &PrimaryMap<BufferId, Buffer> {
        &self.buffers
    }

    fn verify(&self) -> Result<(), Diagnostics> {
        verify::verify(self)
    }

    fn execute(&self, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError> {
        eval::run(self, memory, limits)
    }
}
