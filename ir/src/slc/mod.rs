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
//! body      = (%s "=" stream)* effect* step*
//! step      = loop | callback
//! loop      = "slc.for" %s "=" bound "to" bound "step" integer hints "{" body "}"               bound = integer | %s
//!           | "slcv.for" lanes %s "=" bound "to" bound "step" integer ("mask" %s)? hints "{" body "}"
//! callback  = "slc.callback" block
//! take      = "slc.from_stream" %s | "slcv.from_buffer" %row
//! ```
//!
//! `stream`, `effect` and `hints` are those of [`crate::core::stream`], `block` is that of [`crate::core::code`]. A body states
//! its streams first, then its effects, then its steps: all streams of a body advance together.
//!
//! SLCV is SLC with the forms that have lanes or rows, spelled `slcv.`; every SLC program is an SLCV program, and one
//! type is both.
//!
//! # Semantics
//!
//! * **Loop.** `slc.for %i = lower to upper step s` begins once in each iteration of the body that
//!   holds it, and reads its bounds then. It iterates for each position `lower + k * s` below `upper`,
//!   `k = 0, 1, ...`, and ends once, also when there was no position. The function's own body has one iteration.
//!   `slcv.for<8> %i` takes 8 positions an iteration: `%i` is that of lane 0, lane `k` stands at `%i + k * s`; lane `k`
//!   of the mask says whether that is below `upper`.
//! * **Streams.** In each iteration the induction variable takes the next position, then every stream
//!   of the body advances by exactly one element, in textual order, each from the current elements of
//!   its operands, and all before the first step of the iteration. In the inner loops the stream keeps its
//!   element. Streams read inputs only, which nobody writes (rule 7): the access unit may be any
//!   number of iterations ahead of the execute unit, and nobody can tell.
//! * **Rows.** `slcv.buf_stream` is a new empty row in each iteration of its body. `slcv.to_buffer` appends to it, there
//!   or in a loop inside. A callback takes it as one operand, full (rule 9).
//! * **Effects** happen in textual order, after the streams and before the first step. `store_stream` writes an output that
//!   nothing but `store_stream` touches (rule 11): such writes are in the order of the traversal, and nobody can tell when.
//! * **Steps** happen in textual order, so siblings run one after the other. A loop's step is over when
//!   the loop has ended.
//! * **Callbacks.** The place of a callback says the [event](Event) at which it fires: after a loop, the end of that
//!   loop; else before a loop, the begin of that loop; else (the body has no loop) each iteration of the body.
//!   All callbacks of a program fire in one sequence, one at a time, each when the steps before it are over.
//!   `slc.from_stream` gives what its stream holds at the event, a scalar or a vector, `slcv.from_buffer` a row. A callback
//!   starts with no other values: what passes from one firing to a later one passes through a buffer.
//! * **Statements** of a callback are [code](crate::core::code), an access is one of [`crate::core::access`], the same on both
//!   sides. An access outside its buffer is an error of the caller's.
//! * **Hints** change what a machine does at the same time, never a result.
//!
//! # Rules
//!
//! `verify` checks the rules of [`crate::core::code`] for every callback, and that
//!
//! 1. names can be read back, and what is visible in one place has different names: buffers, streams
//!    and values alike;
//! 2. buffers can be allocated and start as declared;
//! 3. every stream is defined once, before its uses, and used in its scope: the rest of its body and everything
//!    inside; an induction variable and a mask: the body of their loop;
//! 4. types agree: computations as [`crate::core::compute`] says, a take keeps its stream's type, what is streamed or stored has
//!    the buffer's element type, what is appended to a row has the row's, masks are `bool` of the lanes that they mask;
//! 5. an access has one `index` for each dimension of its buffer, and lanes only along a dimension;
//! 6. bounds are `index`, steps positive; a loop of lanes has a mask, unless its bounds are constant and it has a
//!    multiple of the lanes' number of positions;
//! 7. `mem_stream` reads an input, `store_stream` writes an output;
//! 8. no two callbacks stand side by side: one event, one callback;
//! 9. in each iteration of the body that states a row, exactly its number of elements is appended, all of them before the
//!    row is taken: an append without mask appends all lanes, one under the mask of a loop around as many elements as that loop
//!    has positions, and the loops between the row and its appends have constant bounds;
//! 10. loops and blocks are nested at most [`MAX_DEPTH`] deep;
//! 11. what `store_stream` writes, no callback touches;
//! 12. hints are at least 1, and `cores`, at most [`MAX_CORES`](core::MAX_CORES), stands on a loop of the function's own body.

mod eval;
mod parse;
mod print;
mod verify;

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::core::{
    self, Buffer, BufferId, Code, Diagnostics, EvalError, Ir, Lanes, Limits, LoopHints, Memory,
    Span, Type, ValueData,
};

pub use crate::core::code::{MAX_DEPTH, Value};

/// A stream: what the access unit knows, one element at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(u32);
entity_impl!(Stream, "s");

/// What a stream's elements are.
pub type StreamExpr = core::StreamExpr<Stream>;

/// What the access unit does beside pushing.
pub type Effect = core::Effect<Stream>;

/// Bound of a loop: a dense traversal has constants, a range traversal streams.
pub type Bound = core::Bound<Stream>;

/// One line of a callback.
pub type Statement = core::code::Statement<Stream>;

/// What defines a value of a callback.
pub type Expr = core::code::Expr<Stream>;

/// A program.
#[derive(Clone, Debug, PartialEq)]
pub struct Func {
    /// Name without `@`.
    pub name: String,
    /// All buffers, in the order of the declarations.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// All streams, the loops' induction variables and masks included.
    pub streams: PrimaryMap<Stream, ValueData<Type>>,
    /// What runs once.
    pub body: Body,
}

/// What one iteration does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The streams that advance once an iteration, each after those that it is made from.
    pub streams: Vec<StreamDef>,
    /// What the access unit does then.
    pub effects: Vec<Effect>,
    /// Loops and callbacks, in order.
    pub steps: Vec<Step>,
}

/// Definition of a stream that is no induction variable or mask.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamDef {
    /// The stream.
    pub stream: Stream,
    /// Its elements.
    pub expr: StreamExpr,
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
    /// The stream of positions, those of lane 0 if there are lanes.
    pub induction: Stream,
    /// First position.
    pub lower: Bound,
    /// Positions stay below it.
    pub upper: Bound,
    /// Distance of two positions, positive.
    pub step: i64,
    /// The positions of one iteration; the mask is a stream that the loop defines.
    pub lanes: Option<Lanes<Stream>>,
    /// How a machine runs it.
    pub hints: LoopHints,
    /// What each iteration does.
    pub body: Body,
    /// Where the loop is.
    pub span: Span,
}

/// `slc.callback { statements }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Callback {
    /// What it does.
    pub code: Code<Stream>,
    /// Where the callback is.
    pub span: Span,
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

impl Body {
    /// The callbacks among the steps.
    pub fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.steps.iter().filter_map(|step| match step {
            Step::Callback(callback) => Some(callback),
            Step::For(_) => None,
        })
    }

    /// The loops among the steps.
    pub fn loops(&self) -> impl Iterator<Item = &Loop> {
        self.steps.iter().filter_map(|step| match step {
            Step::For(inner) => Some(inner),
            Step::Callback(_) => None,
        })
    }
}

impl Func {
    /// All bodies, each before those of the loops in it.
    pub fn bodies(&self) -> Vec<&Body> {
        let mut bodies = Vec::new();
        let mut left = vec![&self.body];
        while let Some(body) = left.pop() {
            bodies.push(body);
            let loops: Vec<&Loop> = body.loops().collect();
            left.extend(loops.into_iter().rev().map(|inner| &inner.body));
        }
        bodies
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
