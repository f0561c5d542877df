//! What can go wrong while a module is evaluated.

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// Why a module has no value.
#[derive(Debug, Error, Diagnostic)]
pub enum EvalError {
    /// The number of arguments is not the entry's number of parameters: your input.
    #[error("the computation takes {expected} arguments, found {found}")]
    ArgumentCount {
        /// Parameters of the computation.
        expected: usize,
        /// Arguments given.
        found: usize,
    },

    /// An argument does not have its parameter's element type and dimensions: your input.
    #[error("argument {index} is {expected}, found {found}")]
    Argument {
        /// Which argument.
        index: usize,
        /// The parameter's shape.
        expected: String,
        /// The argument's shape.
        found: String,
        /// The parameter.
        #[label("this parameter")]
        span: SourceSpan,
    },

    /// A constant's values are not in the text: your input.
    #[error("{path}: the values of this constant were elided")]
    #[diagnostic(help(
        "print the module with its large constants, for example with --xla_dump_large_constants"
    ))]
    Elided {
        /// `computation/instruction`.
        path: String,
        /// The instruction.
        #[label("`{{...}}` has no values")]
        span: SourceSpan,
    },

    /// The instruction is not well-formed (a missing attribute, shapes that do not fit), or values
    /// are none that it can work on (group sizes below zero): your input. The verifier refuses most
    /// of the former before they are run; it cannot see the latter.
    #[error("{path}: {message}")]
    Malformed {
        /// `computation/instruction`.
        path: String,
        /// What was expected and what was found.
        message: String,
        /// The instruction.
        #[label("here")]
        span: SourceSpan,
    },

    /// The instruction is right, and this evaluator cannot run it: our limit.
    #[error("{path}: {message}")]
    Unsupported {
        /// `computation/instruction`.
        path: String,
        /// What is not supported.
        message: String,
        /// The instruction.
        #[label("not supported by the evaluator")]
        span: SourceSpan,
    },

    /// Going on would exceed one of [`super::EvalOptions`]: your input, or an option to raise.
    #[error("{path}: more than {allowed} {limit}")]
    Limit {
        /// `computation/instruction`.
        path: String,
        /// What ran out.
        limit: Limit,
        /// How much was allowed.
        allowed: u64,
        /// The instruction.
        #[label("this one is too much")]
        span: SourceSpan,
    },
}

/// A resource that [`super::EvalOptions`] limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Limit {
    /// [`super::EvalOptions::live_bytes`].
    #[error("bytes of live values")]
    LiveBytes,
    /// [`super::EvalOptions::element_operations`].
    #[error("element operations")]
    ElementOperations,
    /// [`super::EvalOptions::instructions`].
    #[error("instructions executed")]
    Instructions,
    /// [`super::EvalOptions::call_depth`].
    #[error("calls inside one another")]
    CallDepth,
    /// [`super::EvalOptions::tuple_depth`].
    #[error("tuples inside one another")]
    TupleDepth,
}

/// A failure before its place is known; the machine adds path and span.
#[derive(Debug)]
pub(super) enum Fault {
    Elided,
    Malformed(String),
    Unsupported(String),
    Limit {
        limit: Limit,
        allowed: u64,
    },
    /// A failure inside of a computation that the instruction applies.
    Placed(Box<EvalError>),
}

/// What an operation returns.
pub(super) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// `expected EXPECTED, found FOUND`.
    pub(super) fn expected(
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Fault {
        Fault::Malformed(format!("expected {expected}, found {found}"))
    }

    pub(super) fn malformed(message: impl Into<String>) -> Fault {
        Fault::Malformed(message.into())
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Fault {
        Fault::Unsupported(message.into())
    }

    pub(super) fn at(self, path: String, span: SourceSpan) -> EvalError {
        match self {
            Fault::Placed(error) => *error,
            Fault::Elided => EvalError::Elided { path, span },
            Fault::Malformed(message) => EvalError::Malformed {
                path,
                message,
                span,
            },
            Fault::Unsupported(message) => EvalError::Unsupported {
                path,
                message,
                span,
            },
            Fault::Limit { limit, allowed } => EvalError::Limit {
                path,
                limit,
                allowed,
                span,
            },
        }
    }
}
