//! Buffers: the memory that a program reads and writes, declared alike in every IR.
//!
//! ```text
//! input  %table: f32[1000,24]
//! input  %seg: s32[320] {sorted}
//! output %out: f32[32,24] = 0.0
//! temp   %sum: f32[32,24] = 0.0
//! output %updated: f32[1000,24] = %table
//! ```
//!
//! Inputs are never written. Outputs and temporaries start as their initial value says, before
//! the program's first step; initialising them is the caller's, not the streams', work.

use cranelift_entity::entity_impl;

use super::scalar::Scalar;
use super::types::{ElementType, Span};

/// A buffer of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(u32);
entity_impl!(BufferId, "buffer");

/// Declaration of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Name without `%`, unique in the program.
    pub name: String,
    /// Element type.
    pub element: ElementType,
    /// Size of each dimension, row-major.
    pub dims: Vec<u64>,
    /// Who provides and who takes the contents.
    pub role: Role,
    /// The caller promises that the elements never decrease along the first axis (`{sorted}`).
    pub sorted: bool,
    /// Where the declaration, or the HLO that it stands for, is.
    pub span: Span,
}

/// Who provides and who takes a buffer's contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Read-only, from the caller.
    Input,
    /// Given back to the caller.
    Output(Init),
    /// Gone when the program ends.
    Temp(Init),
}

/// Contents of a written buffer before the first step.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// None stated: every element is written before it is read.
    Undefined,
    /// Every element this value.
    Splat(Scalar),
    /// A copy of an input of the same element type and dimensions.
    Copy(BufferId),
}

impl Buffer {
    /// Number of elements; `None` on overflow.
    pub fn element_count(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
    }

    /// Whether the program may write it.
    pub fn is_written(&self) -> bool {
        match self.role {
            Role::Input => false,
            Role::Output(_) | Role::Temp(_) => true,
        }
    }
}
