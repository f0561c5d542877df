//! What a machine can take.

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

/// The decoupled machine whose traversal units, slots and registers are not counted. All that it asks
/// is that memory can be addressed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unbounded;

impl Target for Unbounded {
    const NAME: &'static str = "unbounded";

    fn check(&self, program: &dlc::Program) -> Vec<Unsupported> {
        let addressable = isize::MAX as u64;
        program
            .buffers
            .values()
            .filter_map(|buffer| {
                let bytes = buffer
                    .element_count()
                    .and_then(|n| n.checked_mul(buffer.element.bytes() as u64));
                match bytes {
                    Some(bytes) if bytes <= addressable => None,
                    Some(_) | None => Some(Unsupported::new(
                        format!("bytes of buffer %{}", buffer.name),
                        format!("{addressable}"),
                        match bytes {
                            Some(bytes) => format!("{bytes}"),
                            None => format!("more than {}", u64::MAX),
                        },
                        buffer.span,
                    )),
                }
            })
            .collect()
    }
}

/// Verifies the program, asks the target, and selects.
pub fn compile<T: Target>(target: &T, program: &dlc::Program) -> Result<Artifact, BackendError> {
    dlc::verify(program).map_err(|errors| BackendError::Invalid { errors })?;
    let reasons = target.check(program);
    if !reasons.is_empty() {
        return Err(BackendError::Unsupported {
            target: T::NAME,
            program: program.name.clone(),
            reasons,
        });
    }
    Ok(select::select(program))
}
