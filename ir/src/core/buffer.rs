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

use cranelift_entity::{EntityRef, entity_impl};

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

/// For each output of a program, the input whose memory it may take over: the output starts as a copy of that input, which is read
/// nowhere, and no other buffer starts as a copy of it. `roles` are those of all buffers; inputs are counted among inputs.
pub fn in_place<'a>(
    roles: impl Iterator<Item = &'a Role> + Clone,
    is_read: impl Fn(BufferId) -> bool,
) -> Vec<Option<usize>> {
    let inputs: Vec<usize> = roles
        .clone()
        .enumerate()
        .filter(|(_, role)| **role == Role::Input)
        .map(|(number, _)| number)
        .collect();
    let origin = |role: &Role| match role {
        Role::Output(Init::Copy(from)) | Role::Temp(Init::Copy(from)) => Some(*from),
        Role::Input | Role::Output(_) | Role::Temp(_) => None,
    };
    let copies: Vec<BufferId> = roles.clone().filter_map(origin).collect();
    let taken = |from: BufferId| {
        let alone = copies.iter().filter(|copy| **copy == from).count() == 1;
        (alone && !is_read(from))
            .then(|| inputs.binary_search(&from.index()).ok())
            .flatten()
    };
    roles
        .filter(|role| matches!(role, Role::Output(_)))
        .map(|role| origin(role).and_then(taken))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_taken_over_by_one_output_and_read_by_nobody() {
        let copy = |from| Init::Copy(BufferId::from_u32(from));
        let roles = |second: Role| {
            let first = Role::Output(copy(2));
            [first, Role::Input, Role::Input, second]
        };
        let unread = |_| false;
        let other = roles(Role::Output(copy(1)));
        assert_eq!(in_place(other.iter(), unread), [Some(1), Some(0)]);
        let same = roles(Role::Temp(copy(2)));
        assert_eq!(in_place(same.iter(), unread), [None]);
        let read = |buffer: BufferId| buffer.index() == 2;
        assert_eq!(in_place(other.iter(), read), [None, Some(0)]);
    }
}
