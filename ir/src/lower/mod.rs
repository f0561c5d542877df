//! From one IR to the next.

pub mod region_to_scf;

pub use region_to_scf::region_to_scf;

use miette::Diagnostic;
use thiserror::Error;

use crate::core::Diagnostics;

/// A program that is not lowered.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum LowerError {
    /// The program to lower is not valid: your input, or our bug if we made it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// A valid program that the lowering fails on: our bug.
    #[error("{program}: the lowering `{lowering}` lost track of a value")]
    Lost {
        /// The lowering.
        lowering: &'static str,
        /// Name of the program.
        program: String,
    },
}
