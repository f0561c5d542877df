//! What a machine can take.

use hlo2dae_ir::core::Ir;
use hlo2dae_ir::dlc;

use crate::artifact::Artifact;
use crate::error::{BackendError, Unsupported};
use crate::select;

/// A machine that decoupled programs are compiled for.
pub trait Target {
    /// Name for messages and the command line.
    const NAME: &'static str;

    /// Everything in a valid program that the machine cannot take; empty if it takes the program.
    fn check(&self, program: &dlc::Program) -> Vec<Unsupported>;
}

/// The decoupled machine whose traversal units, slots and registers are not counted: it takes every
/// valid program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

impl Target for Unbounded {
    const NAME: &'static str = "unbounded";

    fn check(&self, _program: &dlc::Program) -> Vec<Unsupported> {
        Vec::new()
    }
}

/// Verifies the program, asks the target, and selects.
pub fn compile<T: Target>(target: &T, program: &dlc::Program) -> Result<Artifact, BackendError> {
    program.verify()?;
    let unsupported = |reasons| BackendError::Unsupported {
        target: T::NAME,
        program: program.name.clone(),
        reasons,
    };
    let reasons = target.check(program);
    if !reasons.is_empty() {
        return Err(unsupported(reasons));
    }
    select::select(program).map_err(unsupported)
}
