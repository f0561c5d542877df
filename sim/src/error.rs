//! Why a program could not be emulated.

use hlo2dae_backend::isa::DecodeError;
use hlo2dae_ir::core::{Diagnostics, EvalError};
use miette::Diagnostic;
use thiserror::Error;

/// Why a program could not be emulated.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum SimError {
    /// The bytes are no artifact: your input.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Bytes(#[from] DecodeError),
    /// The artifact breaks rules: your input if you wrote it, our bug if we compiled it.
    #[error("{0}")]
    #[diagnostic(transparent)]
    Malformed(#[from] Diagnostics),
    /// The run cannot go on, for a reason that every engine has.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Run(#[from] EvalError),
}
