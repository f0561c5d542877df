//! DLC, decoupled lookup-compute: an access program and an execute program joined by two queues.
//!
//! ```text
//! dlc.program @embedding_bag {
//!   input %table: f32[1000,24]
//!   input %ids: s32[32,10]
//!   output %out: f32[32,24] = 0.0
//!   access {
//!     %tu_b = new_tu dense 0 to 32 step 1
//!     %b = get_ind_var %tu_b
//!     %tu_l = new_tu dense 0 to 10 step 1 in %tu_b
//!     %l = get_ind_var %tu_l
//!     %id = mem_stream %ids[%b, %l] in %tu_l
//!     %row = alu_stream convert %id to index in %tu_l
//!     %tu_d = new_tu dense 0 to 24 step 1 in %tu_l
//!     %d = get_ind_var %tu_d
//!     %x = mem_stream %table[%row, %d] in %tu_d
//!     register_callback %tu_d iterate @accumulate {
//!       register_operand %b
//!       register_operand %d
//!       register_operand %x
//!     }
//!   }
//!   execute {
//!     compute_loop {
//!       case @accumulate {
//!         %b = pop_operand: index
//!         %d = pop_operand: index
//!         %x = pop_operand: f32
//!         %acc = load %out[%b, %d]
//!         %sum = add %acc, %x
//!         store %sum, %out[%b, %d]
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! # Access program
//!
//! A forest of traversal units. A unit counts from `begin` while below `end` by `step` (positive): a
//! `dense` unit between constants, a `range` unit between bounds of which at least one is a stream of
//! an ancestor unit. A unit `dense<8>` or `range<8>` takes 8 positions an iteration. Its streams have one value for each of
//! its iterations: the position itself, that of lane 0 (`get_ind_var`); which lanes stand below `end` (`get_mask`); or what
//! [`crate::core::stream`] has: elements of inputs, arithmetic, rows. A stream uses earlier streams of its own unit and of
//! the unit's ancestors. Effects ([`crate::core::stream`]) append to rows, or store to outputs that nothing but such effects
//! touches.
//!
//! One *activation* of a unit does, in this order:
//!
//! 1. the callbacks registered for its `begin`;
//! 2. for each position (each 8 positions): all streams of the unit advance, in the order of their definition, its rows are
//!    new and empty; its effects, in order; the callbacks registered for `iterate`; one activation of each child unit, in the
//!    order of their definition;
//! 3. the callbacks registered for its `end`.
//!
//! So `begin` and `end` happen once for each activation, also of a unit without a position; what shall
//! happen between two sibling units is registered on the end of the first or the begin of the second. The
//! program activates its root units once each, in the order of their definition, and pushes the token `done`.
//!
//! A callback that happens pushes the token of its case on the control queue, then its operands, in the
//! order of registration, on the data queue: the current values of streams of the unit (for `iterate`
//! only: outside its iterations a unit has no values) and of its ancestors. A scalar, a vector, a row are one operand each.
//! Callbacks for the same event of the same unit happen in the order of registration.
//!
//! # Execute program
//!
//! The compute loop pops a token and runs the case that it names, until the token is `done`. A case takes
//! its operands from the data queue with `pop_operand`, all of them in the order of registration. It
//! is [code](crate::core::code): it computes, loads and stores, and knows nothing of streams. Nothing but the contents of buffers lives
//! from one case to the next; a value that must (an accumulator, an iteration counter) is a temporary of rank 0.
//!
//! # Queues
//!
//! Both queues are first-in first-out and bounded. Since a token precedes its operands and a case pops what its
//! callback pushed, every capacity of at least one token and one operand gives the same result; the verifier
//! rejects programs for which that would not hold. The access program reads inputs only, which nobody
//! writes: how far it runs ahead cannot be observed.

mod eval;
mod parse;
mod print;
mod verify;

use cranelift_entity::{PrimaryMap, entity_impl};

use crate::core::{
    self, Buffer, BufferId, Code, Diagnostics, EvalError, Ir, Limits, LoopHints, Memory, Span, Type,
};

pub use crate::core::code::{MAX_DEPTH, Value};

/// A traversal unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tu(u32);
entity_impl!(Tu, "tu");

/// A stream of the access program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(u32);
entity_impl!(Stream, "stream");

/// A case of the execute program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(u32);
entity_impl!(CaseId, "case");

/// What the access unit does beside pushing.
pub type Effect = core::Effect<Stream>;

/// A bound of a traversal, of a stream of an ancestor unit if it is not constant.
pub type Bound = core::Bound<Stream>;

/// One statement of a case.
pub type Statement = core::code::Statement<Pop>;

/// What defines a value of a case.
pub type Expr = core::code::Expr<Pop>;

/// A decoupled program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name without `@`.
    pub name: String,
    /// All buffers, in the order of the declarations.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// What the access unit runs.
    pub access: Access,
    /// What the execute unit runs.
    pub execute: Execute,
}

/// The access program. [`Access::new_tu`], [`Access::stream`] and [`Access::register`] append to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// All traversal units.
    pub units: PrimaryMap<Tu, TuData>,
    /// All streams.
    pub streams: PrimaryMap<Stream, StreamData>,
    /// Everything in the order of the text: each unit and stream once, defined before it is used.
    pub body: Vec<AccessOp>,
}

/// One line of the access program.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessOp {
    /// Defines a traversal unit.
    NewTu(Tu),
    /// Defines a stream.
    Stream(Stream),
    /// Does something in each iteration of a unit.
    Effect(Tu, Effect),
    /// Registers a callback and its operands.
    RegisterCallback(Callback),
}

/// A traversal unit: `new_tu dense 0 to 24 step 1 in %parent`.
#[derive(Clone, Debug, PartialEq)]
pub struct TuData {
    /// Name without `%`, unique among units, streams and buffers.
    pub name: String,
    /// The unit that activates this one at each of its positions; the program itself if none.
    pub parent: Option<Tu>,
    /// First position.
    pub begin: Bound,
    /// Positions stay below it.
    pub end: Bound,
    /// Distance of positions, at least 1.
    pub step: i64,
    /// Positions of one iteration, if there are lanes.
    pub lanes: Option<u32>,
    /// How a machine runs it.
    pub hints: LoopHints,
    /// Where it is defined, or the HLO that it stands for.
    pub span: Span,
}

/// A stream: `mem_stream %table[%row, %d] in %tu`.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamData {
    /// Name without `%`, unique among units, streams and buffers.
    pub name: String,
    /// Type of its values.
    pub ty: Type,
    /// The unit with which it advances.
    pub unit: Tu,
    /// Where its values come from.
    pub expr: StreamExpr,
    /// Where it is defined, or the HLO that it stands for.
    pub span: Span,
}

/// Where the values of a stream come from.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamExpr {
    /// `get_ind_var`: the position of the unit, that of lane 0 if there are lanes, an `index`.
    InductionVariable,
    /// `get_mask`: for each lane of the unit, whether its position is below the end.
    Mask,
    /// Made from memory and other streams, or a row.
    Made(core::StreamExpr<Stream>),
}

/// When a callback happens in an activation of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Once, before the first position.
    Begin,
    /// At each position, when the unit's streams have advanced and before its children are activated.
    Iterate,
    /// Once, after the last position.
    End,
}

impl Event {
    /// All events.
    pub const ALL: [Event; 3] = [Event::Begin, Event::Iterate, Event::End];

    /// The spelling in the text.
    pub fn name(self) -> &'static str {
        match self {
            Event::Begin => "begin",
            Event::Iterate => "iterate",
            Event::End => "end",
        }
    }
}

/// A registration: `register_callback %tu iterate @case { register_operand %x }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    /// The unit whose event it is.
    pub unit: Tu,
    /// When it happens.
    pub event: Event,
    /// The case whose token is pushed.
    pub case: CaseId,
    /// The streams whose values are pushed, in this order.
    pub operands: Vec<Operand>,
    /// Where it is registered, or the HLO that it stands for.
    pub span: Span,
}

/// A stream pushed by a callback: `register_operand %x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The stream.
    pub stream: Stream,
    /// Where it is registered.
    pub span: Span,
}

/// The execute program: the cases of its compute loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Execute {
    /// The cases, in the order of the text.
    pub cases: PrimaryMap<CaseId, Case>,
}

/// What the execute unit does for one token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Name without `@`, unique in the program.
    pub name: String,
    /// What it does.
    pub code: Code<Pop>,
    /// Where it is defined, or the HLO that it stands for.
    pub span: Span,
}

/// Where a case takes an operand from: `pop_operand: f32`, the next operand of the data queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pop;

impl Ir for Program {
    const NAME: &'static str = "dlc";
    const KEYWORD: &'static str = "dlc.program";

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
        eval::execute(self, memory, limits)
    }
}

impl Access {
    /// Appends a traversal unit.
    pub fn new_tu(&mut self, data: TuData) -> Tu {
        let tu = self.units.push(data);
        self.body.push(AccessOp::NewTu(tu));
        tu
    }

    /// Appends a stream.
    pub fn stream(&mut self, data: StreamData) -> Stream {
        let stream = self.streams.push(data);
        self.body.push(AccessOp::Stream(stream));
        stream
    }

    /// Appends an effect.
    pub fn effect(&mut self, unit: Tu, effect: Effect) {
        self.body.push(AccessOp::Effect(unit, effect));
    }

    /// The effects and their units, in order.
    pub fn effects(&self) -> impl Iterator<Item = (Tu, &Effect)> {
        self.body.iter().filter_map(|op| match op {
            AccessOp::Effect(unit, effect) => Some((*unit, effect)),
            AccessOp::NewTu(_) | AccessOp::Stream(_) | AccessOp::RegisterCallback(_) => None,
        })
    }

    /// The first stream of a unit that is its mask.
    pub fn mask(&self, unit: Tu) -> Option<Stream> {
        let is_mask = |data: &StreamData| data.unit == unit && data.expr == StreamExpr::Mask;
        self.streams
            .iter()
            .find(|(_, data)| is_mask(data))
            .map(|(stream, _)| stream)
    }

    /// Appends a callback.
    pub fn register(&mut self, callback: Callback) {
        self.body.push(AccessOp::RegisterCallback(callback));
    }

    /// The registered callbacks, in order.
    pub fn callbacks(&self) -> impl Iterator<Item = &Callback> {
        self.body.iter().filter_map(|op| match op {
            AccessOp::RegisterCallback(callback) => Some(callback),
            AccessOp::NewTu(_) | AccessOp::Stream(_) | AccessOp::Effect(_, _) => None,
        })
    }
}
