//! DLC to what a machine runs.
//!
//! | module | job |
//! |---|---|
//! | [`target`] | what a machine can take, and selection for it |
//! | `select` | DLC to the two decoded programs |
//! | [`access`] | the access unit's program: traversal units, streams in slots, registered pushes |
//! | [`execute`] | the execute unit's program: one list of instructions for each case |
//! | [`artifact`] | what is shipped: both programs and the signature |
//!
//! [`compile`] is the way through for a machine without limits of its own.

pub mod access;
pub mod artifact;
pub mod error;
pub mod execute;
mod select;
pub mod target;

pub use artifact::Artifact;
pub use error::{BackendError, Unsupported};
pub use target::{Target, Unbounded};

use hlo2dae_ir::dlc;

/// Compiles for [`Unbounded`], the decoupled machine whose resources are not counted.
pub fn compile(program: &dlc::Program) -> Result<Artifact, BackendError> {
    target::compile(&Unbounded, program)
}
