//! What the emulator runs: the artifact's two programs, decoded to flat lists over files of words.
//!
//! Places in a file, buffers and targets are plain numbers here, all of them checked by
//! [`crate::decode`], so that running needs no check but those of the program's own meaning.

use hlo2dae_backend::access::{Slot, UnitId};
use hlo2dae_backend::execute::CaseId;
use hlo2dae_ir::core::{BufferId, Span};
use hlo2dae_ir::dlc::Event;

use crate::compute::Compute;

/// Both programs.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) access: AccessCode,
    pub(crate) execute: ExecuteCode,
}

/// The access program as a list with loops.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessCode {
    pub(crate) ops: Vec<AccessOp>,
    pub(crate) pushes: Vec<Push>,
    /// The file at the start: constants are there already. Slots come first, then places of the emulator's own.
    pub(crate) file: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum AccessOp {
    /// Activates a unit: its position becomes `begin`, or all of it is passed over.
    Enter {
        unit: UnitId,
        position: u32,
        begin: u32,
        end: u32,
        exit: usize,
    },
    /// The next position of a unit, and back to its body; on to the next instruction if there is none.
    Next {
        unit: UnitId,
        position: u32,
        end: u32,
        step: i64,
        body: usize,
    },
    Load(Load),
    Compute {
        compute: Compute,
        to: u32,
        span: Span,
    },
    /// Pushes a token and operands: an index into `pushes`.
    Push(usize),
    /// Pushes the token `done` and stops.
    Done,
}

/// A registered callback.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) unit: UnitId,
    pub(crate) event: Event,
    pub(crate) case: CaseId,
    pub(crate) operands: Box<[Slot]>,
}

/// The execute program: all cases in one list, each with its own part of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExecuteCode {
    pub(crate) ops: Vec<ExecuteOp>,
    /// Where each case starts.
    pub(crate) entries: Vec<usize>,
    /// The file at the start: constants are there already.
    pub(crate) file: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum ExecuteOp {
    Pop {
        to: u32,
    },
    Compute {
        compute: Compute,
        to: u32,
        span: Span,
    },
    Load(Load),
    Store(Store),
    BranchUnless {
        condition: u32,
        target: usize,
    },
    Jump {
        target: usize,
    },
    /// The end of a case.
    Return,
}

/// Reads an element into the file.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: Address,
    pub(crate) to: u32,
}

/// Writes an element from the file.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) address: Address,
    pub(crate) value: u32,
}

/// An element of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) buffer: BufferId,
    pub(crate) place: Place,
    pub(crate) width: Width,
    /// One for each dimension.
    pub(crate) terms: Box<[Term]>,
    pub(crate) span: Span,
}

/// Where a buffer's bytes are: the n-th of the inputs, or of the written buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Input(u32),
    Written(u32),
}

/// Bytes of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Width {
    One,
    Two,
    Four,
    Eight,
}

/// A coordinate: where it is in the file, how far it may go, how many elements one of it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) at: u32,
    pub(crate) dim: u64,
    pub(crate) stride: u64,
}

impl Address {
    /// Row-major position of the element; `None` outside the buffer.
    #[inline]
    pub(crate) fn position(&self, file: &[u64]) -> Option<usize> {
        let mut position = 0u64;
        for term in &self.terms {
            // A negative index is a large unsigned one.
            let index = file[term.at as usize];
            if index >= term.dim {
                return None;
            }
            // Cannot overflow where every index is inside: the buffer's bytes can be addressed.
            position = position.wrapping_add(index.wrapping_mul(term.stride));
        }
        Some(position as usize)
    }
}
