//! From one IR to the next.

pub mod region_to_scf;
pub mod scf_to_slc;
pub mod slc_to_dlc;

pub use region_to_scf::region_to_scf;
pub use scf_to_slc::scf_to_slc;
pub use slc_to_dlc::slc_to_dlc;

use miette::Diagnostic;
use thiserror::Error;

use crate::analysis::Obstacles;
use crate::core::Diagnostics;

/// A program that is not lowered.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum LowerError {
    /// The program to lower is not valid: your input, or our bug if we made it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// A program that needs to run where it cannot: our limit.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Obstacles(#[from] Obstacles),
    /// A valid program that the lowering fails on: our bug.
    #[error("{program}: the lowering `{lowering}` lost track of a value")]
    Lost {
        /// The lowering.
        lowering: &'static str,
        /// Name of the program.
        program: String,
    },
}
