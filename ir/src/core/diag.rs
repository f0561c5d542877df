//! What can be wrong: a text ([`ParseError`]), a program ([`VerifyError`]s, gathered in
//! [`Diagnostics`]), a run ([`EvalError`]).
//!
//! All IRs share these types. They carry spans, not the text: render them with
//! `miette::Report::new(error).with_source_code(text)`.

use std::fmt;

use miette::{Diagnostic, LabeledSpan};
use thiserror::Error;

use super::array::ArrayError;
use super::types::{ScalarType, Span, Type};
use super::typing::TypeError;

/// A text that is not a program: your input.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum ParseError {
    /// Something else was expected here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the grammar takes here.
        expected: String,
        /// What is here.
        found: String,
        /// Here.
        #[label("expected {expected}")]
        span: Span,
    },
    /// A name that nothing visible here has.
    #[error("{name} is not defined here")]
    Unknown {
        /// The name, with its sigil.
        name: String,
        /// Where it is used.
        #[label("not defined")]
        span: Span,
    },
    /// A name that something visible here already has.
    #[error("{name} is already defined")]
    Duplicate {
        /// The name, with its sigil.
        name: String,
        /// The second definition.
        #[label("defined again")]
        span: Span,
        /// The first one.
        #[label("first defined here")]
        first: Span,
    },
    /// A literal that is no value of its type.
    #[error("`{literal}` is not a value of {ty}")]
    Literal {
        /// The literal.
        literal: String,
        /// The type that it is to have.
        ty: ScalarType,
        /// Where it is.
        #[label("not a value of {ty}")]
        span: Span,
    },
    /// More than 4 GiB of text. Our limit.
    #[error("the text is longer than 4 GiB")]
    TooLong,
}

/// Number of a rule in the list that the IR's verifier documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// The IR: `region`, `scf`, ...
    pub ir: &'static str,
    /// The number in the list.
    pub number: u32,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.ir, self.number)
    }
}

/// A rule that a program breaks: your input if you wrote the program, our bug if a lowering or a
/// pass did.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct VerifyError {
    /// The rule.
    pub rule: Rule,
    /// How it is broken.
    pub problem: Problem,
    /// Where.
    pub span: Span,
}

/// How a program breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A name that cannot be read back.
    #[error("`{0}` is not a name")]
    BadName(String),
    /// Two things visible in one place have one name.
    #[error("%{0} is defined twice")]
    DuplicateName(String),
    /// A use that the definition does not reach.
    #[error("%{0} is used where it is not defined")]
    NotDefined(String),
    /// An id that is in no table: no text has this fault.
    #[error("{0} does not exist")]
    Dangling(String),
    /// A value of another type than its definition or its use says.
    #[error("%{name} has type {found}, expected {expected}")]
    Type {
        /// The value.
        name: String,
        /// What the place takes.
        expected: String,
        /// What it is.
        found: Type,
    },
    /// An operation on types that it does not take.
    #[error(transparent)]
    Operands(#[from] TypeError),
    /// A wrong number of indices.
    #[error("%{buffer} has {expected} dimensions, found {found} indices")]
    Rank {
        /// The buffer.
        buffer: String,
        /// Its number of dimensions.
        expected: usize,
        /// The number of indices.
        found: usize,
    },
    /// A write to an input.
    #[error("%{0} is an input and cannot be written")]
    ReadOnly(String),
    /// A buffer whose initial value cannot be its own.
    #[error("%{buffer} cannot start as {init}: {reason}")]
    Init {
        /// The buffer.
        buffer: String,
        /// The initial value.
        init: String,
        /// Why not.
        reason: String,
    },
    /// A buffer of more elements than can be counted.
    #[error("%{0} is too large")]
    TooLarge(String),
    /// A rule of one IR that the sentence tells.
    #[error("{0}")]
    Broken(String),
}

impl Diagnostic for VerifyError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.rule))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), self.span);
        Some(Box::new(std::iter::once(label)))
    }
}

/// All rules that a program breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// In the order in which they were found.
    pub errors: Vec<VerifyError>,
}

impl Diagnostics {
    /// Records one more.
    pub fn push(&mut self, rule: Rule, span: Span, problem: Problem) {
        self.errors.push(VerifyError {
            rule,
            problem,
            span,
        });
    }

    /// `Ok` if there is none.
    pub fn finish(self) -> Result<(), Diagnostics> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [error] => write!(f, "the program is invalid: {error}"),
            errors => write!(f, "the program is invalid, {} errors", errors.len()),
        }
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic for Diagnostics {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.errors.iter().map(|error| error as &dyn Diagnostic),
        ))
    }
}

/// A run that cannot go on.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum EvalError {
    /// The program is not valid: your input, or our bug if we made it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// Your input.
    #[error("expected {expected} inputs, found {found}")]
    InputCount {
        /// Number of input buffers.
        expected: usize,
        /// Number of arrays passed.
        found: usize,
    },
    /// Your input.
    #[error("input %{buffer} takes {expected}, found {found}")]
    Input {
        /// The buffer.
        buffer: String,
        /// Its type.
        expected: String,
        /// Type of the array passed.
        found: String,
    },
    /// Your input: an array whose bytes do not fit its dimensions, or a buffer too large to allocate.
    #[error("%{buffer}: {error}")]
    Array {
        /// The buffer.
        buffer: String,
        /// What is wrong.
        error: ArrayError,
    },
    /// The program addresses an element that is not there: your input.
    #[error("{indices:?} is outside %{buffer}, which has dimensions {dims:?}")]
    OutOfBounds {
        /// The buffer.
        buffer: String,
        /// Where the access was to go.
        indices: Vec<i64>,
        /// The buffer's dimensions.
        dims: Vec<u64>,
        /// The access.
        #[label("this access")]
        span: Span,
    },
    /// The program takes an element from a row that the row does not have: your input.
    #[error("element {index} is outside a row of {elements}")]
    OutsideRow {
        /// Which one.
        index: i64,
        /// Elements of the row.
        elements: usize,
        /// The access.
        #[label("this access")]
        span: Span,
    },
    /// An element is read that nothing has written, of a buffer without initial value: your input.
    #[error("%{buffer} is read at element {position}, which was never written")]
    Uninitialised {
        /// The buffer.
        buffer: String,
        /// Row-major position.
        position: usize,
        /// The access; unknown when it is the caller's.
        #[label("this access")]
        span: Span,
    },
    /// An index that the caller promised never to pass: your input.
    #[error("index {value} is outside {lo}..{hi}, which was promised not to happen")]
    BrokenPromise {
        /// The index.
        value: i128,
        /// Smallest value promised.
        lo: i64,
        /// Largest value promised.
        hi: i64,
        /// The index.
        #[label("promised here")]
        span: Span,
    },
    /// The run took more steps than [`super::Limits::steps`]: your limit.
    #[error("the run takes more than {limit} steps")]
    #[diagnostic(help("raise the limit if the program is meant to run that long"))]
    Steps {
        /// The limit.
        limit: u64,
    },
    /// The buffers take more bytes than [`super::Limits::bytes`]: your limit.
    #[error("the buffers take more than {limit} bytes")]
    Memory {
        /// The limit.
        limit: u64,
    },
    /// A program that the verifier accepts cannot get here: our bug.
    #[error("the program cannot be run: {what}")]
    Stuck {
        /// What was found.
        what: String,
        /// Where.
        #[label("here")]
        span: Span,
    },
}

impl EvalError {
    /// An operation on wrong types, in a program that should have been verified.
    pub fn stuck(span: Span, what: impl fmt::Display) -> EvalError {
        EvalError::Stuck {
            what: what.to_string(),
            span,
        }
    }
}
