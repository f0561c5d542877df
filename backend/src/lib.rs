//! DLC to what a machine runs.
//!
//! | module | job |
//! |---|---|
//! | [`machine`] | the resources of a machine |
//! | `select` | DLC to the two programs |
//! | `allocate` | units to layers and lanes, streams to queues |
//! | [`access`] | the access unit's program: traversal units, streams in slots, registered pushes |
//! | [`execute`] | the execute unit's program: one list of instructions for each case |
//! | [`isa`] | both units' instructions: tables, bytes, text, reference page |
//! | [`verify`] | what an artifact has to keep to |
//! | [`artifact`] | what is shipped: both programs and the signature; its binary form and its text |
//! | [`c`] | artifacts as C |
//!
//! [`compile`] is the way through.

pub mod access;
mod allocate;
pub mod artifact;
pub mod c;
pub mod error;
pub mod execute;
pub mod isa;
pub mod machine;
pub mod native;
mod select;
pub mod value;
pub mod verify;

pub use artifact::Artifact;
pub use error::{BackendError, Unsupported};
pub use machine::{AccessUnit, Machine, MachineError};

use hlo2dae_ir::core::Ir;
use hlo2dae_ir::dlc;

/// Verifies a program, selects instructions, and allocates a machine's resources to them.
///
/// # Errors
///
/// The program breaks a rule of DLC, or takes more than the machine has.
pub fn compile(program: &dlc::Program, machine: &Machine) -> Result<Artifact, BackendError> {
    program.verify()?;
    let mut artifact = select::select(program, &machine.name);
    let allocated = allocate::allocate(&mut artifact.access, machine);
    allocated.map_err(|reasons| BackendError::Unsupported {
        machine: machine.name.clone(),
        program: program.name.clone(),
        reasons,
    })?;
    Ok(artifact)
}
