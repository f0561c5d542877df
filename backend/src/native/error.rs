//! What can go wrong between a program and its results.

use hlo2dae_ir::core::{Diagnostics, Span};
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// A program that no plan can be made of.
#[derive(Debug, Error, Diagnostic)]
pub enum PlanError {
    /// Your input: the program breaks rules of the verifier.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// Our limit: the program was optimised for a machine; the engine takes the scalar form.
    #[error("@{program} has {what}, which the native engine does not take")]
    #[diagnostic(help(
        "lower the region without optimisation (level 0): the engine vectorises it itself"
    ))]
    NotScalar {
        /// Name of the program.
        program: String,
        /// What it has.
        what: &'static str,
        /// Where.
        #[label("here")]
        span: SourceSpan,
    },
    /// Our limit: a buffer with more bytes than memory has addresses.
    #[error("%{buffer} of @{program} is too large")]
    TooLarge {
        /// Name of the program.
        program: String,
        /// Name of the buffer.
        buffer: String,
    },
    /// Our bug: the program is valid, but the plan of it lost something.
    #[error("the plan of @{program} is broken: {what} (a bug of hlo2dae)")]
    Broken {
        /// Name of the program.
        program: String,
        /// What is missing.
        what: String,
    },
}

/// A run that failed.
#[derive(Debug, Error, Diagnostic)]
pub enum RunError {
    /// Your input: another number of arrays than the program declares.
    #[error("@{program} takes {expected} {what}, found {found}")]
    Count {
        /// Name of the program.
        program: String,
        /// Inputs or outputs.
        what: &'static str,
        /// The declared number.
        expected: usize,
        /// The number passed.
        found: usize,
    },
    /// Your input: an array of another size than its buffer.
    #[error("%{buffer} takes {expected} bytes, found {found}")]
    Size {
        /// Name of the buffer.
        buffer: String,
        /// Bytes of the buffer.
        expected: usize,
        /// Bytes passed.
        found: usize,
    },
    /// Your input: an index outside of the buffer that it is for, without a mode that says what then.
    #[error("an index is outside of %{buffer}")]
    #[diagnostic(help(
        "give the index a bounds mode (clamp, fill, drop), or pass indices that are inside"
    ))]
    OutOfBounds {
        /// Name of the buffer.
        buffer: String,
        /// What reads or writes there.
        #[label("here")]
        span: SourceSpan,
    },
    /// Our limit: the temporaries of the program do not fit in memory.
    #[error("no memory for the temporary %{buffer} of {bytes} bytes")]
    Memory {
        /// Name of the buffer.
        buffer: String,
        /// Its size.
        bytes: usize,
    },
    /// Our bug: an operation met a type that the verifier had excluded.
    #[error("the plan of @{program} failed: {what} (a bug of hlo2dae)")]
    Broken {
        /// Name of the program.
        program: String,
        /// What happened.
        what: String,
    },
}

impl RunError {
    pub(crate) fn outside(buffer: &str, span: Span) -> RunError {
        RunError::OutOfBounds {
            buffer: buffer.to_owned(),
            span: span.into(),
        }
    }
}
