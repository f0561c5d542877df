//! What the emulator runs: the artifact's two programs as flat lists over files of words.
//!
//! A slot or register has one word for each of its scalars, one behind the other. Places in a file, buffers and targets are
//! plain numbers here, all of them checked before ([`hlo2dae_backend::verify`]), so that running needs no check but
//! those of the program's own meaning.

use std::ops::Range;

use hlo2dae_backend::access::{Slot, UnitId};
use hlo2dae_backend::execute::CaseId;
use hlo2dae_ir::core::{BufferId, Span};
use hlo2dae_ir::dlc::Event;

use crate::compute::{Combine, Compute};

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
    /// The file at the start: constants are there already.
    pub(crate) file: Vec<u64>,
    /// Where each slot is in the file.
    pub(crate) slots: Vec<u32>,
    /// What runs one after the other.
    pub(crate) phases: Vec<Phase>,
}

/// Roots that run on one core, or one root that is dealt to several.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// The first instruction.
    pub(crate) start: usize,
    /// The root that is dealt to several cores.
    pub(crate) dealt: Option<Dealt>,
}

/// A root whose positions are dealt to cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dealt {
    pub(crate) cores: u32,
    /// Its `Enter`.
    pub(crate) enter: usize,
    /// The places of its bounds, which nothing else uses.
    pub(crate) begin: u32,
    pub(crate) end: u32,
    /// Distance of positions, all lanes together.
    pub(crate) step: i64,
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
    Read {
        lanes: LaneAccess,
        to: u32,
        /// Counter of lines.
        reader: usize,
    },
    /// The lanes whose positions are below the end.
    Mask {
        position: u32,
        end: u32,
        step: i64,
        to: u32,
        lanes: u32,
    },
    Alu(Alu),
    /// A row is empty.
    Row {
        row: Row,
    },
    Append {
        value: u32,
        lanes: u32,
        mask: Option<u32>,
        row: Row,
    },
    Write {
        lanes: LaneAccess,
        value: u32,
    },
    /// Pushes a token and operands: an index into `pushes`.
    Push(usize),
    /// What of a dealt root is done by the last core only comes after this.
    Leave,
    /// Pushes the token `done` and stops.
    Done,
}

/// A row under construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its first word.
    pub(crate) at: u32,
    /// Where the number of elements appended so far is.
    pub(crate) filled: u32,
    /// How many it takes.
    pub(crate) length: u32,
    pub(crate) span: Span,
}

/// Computation on words of a file.
#[derive(Clone, Debug)]
pub(crate) enum Alu {
    Compute {
        compute: Compute,
        to: u32,
        span: Span,
    },
    Lanes {
        compute: Compute,
        to: u32,
        lanes: u32,
        span: Span,
    },
    Broadcast {
        from: u32,
        to: u32,
        lanes: u32,
    },
    Sequence {
        base: u32,
        step: i64,
        to: u32,
        lanes: u32,
    },
}

/// A registered callback.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) unit: UnitId,
    pub(crate) event: Event,
    pub(crate) case: CaseId,
    pub(crate) operands: Box<[Pushed]>,
}

/// An operand of a push.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pushed {
    pub(crate) slot: Slot,
    pub(crate) at: u32,
    /// How many words it has.
    pub(crate) words: u32,
    /// How many bytes it has in the queue.
    pub(crate) bytes: u64,
    /// Of a row: it has to be full.
    pub(crate) row: Option<Row>,
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
        words: u32,
    },
    Alu(Alu),
    Load(Load),
    LoadLanes {
        lanes: LaneAccess,
        to: u32,
    },
    Store(Store),
    StoreLanes {
        lanes: LaneAccess,
        value: u32,
    },
    /// Elements of a row.
    Element {
        row: u32,
        length: u32,
        index: u32,
        /// None for one element.
        lanes: Option<u32>,
        mask: Option<u32>,
        to: u32,
        span: Span,
    },
    Reduce {
        combine: Combine,
        vector: u32,
        lanes: u32,
        mask: Option<u32>,
        initial: u32,
        to: u32,
        span: Span,
    },
    /// Enters a loop, or passes over it.
    For {
        position: u32,
        lower: u32,
        upper: u32,
        exit: usize,
    },
    /// The mask of a loop's lanes.
    Mask {
        position: u32,
        upper: u32,
        step: i64,
        to: u32,
        lanes: u32,
    },
    /// The next position of a loop, and back to its body.
    Next {
        position: u32,
        upper: u32,
        step: i64,
        body: usize,
    },
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

/// How many lanes are active, if it is the first ones that are.
#[inline]
pub(crate) fn leading(mask: Option<u32>, lanes: u32, file: &[u64]) -> Option<usize> {
    let Some(mask) = mask else {
        return Some(lanes as usize);
    };
    let mask = &file[mask as usize..(mask + lanes) as usize];
    if mask.iter().all(|&lane| lane != 0) {
        return Some(mask.len());
    }
    let active = mask.iter().take_while(|&&lane| lane != 0).count();
    let rest = mask[active..].iter().all(|&lane| lane == 0);
    rest.then_some(active)
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

/// Elements of a buffer, one for each lane.
#[derive(Clone, Debug)]
pub(crate) struct LaneAccess {
    /// Of the element of lane 0.
    pub(crate) address: Address,
    pub(crate) lanes: u32,
    /// Whether each lane has its own place along some dimension; else they are contiguous along the last one.
    pub(crate) scattered: bool,
    /// Where the mask is.
    pub(crate) mask: Option<u32>,
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

impl Width {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Width::One => 1,
            Width::Two => 2,
            Width::Four => 4,
            Width::Eight => 8,
        }
    }
}

/// A coordinate: where it is in the file, how far it may go, how many elements one of it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) at: u32,
    pub(crate) dim: u64,
    pub(crate) stride: u64,
    /// Every lane has its own.
    pub(crate) vector: bool,
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

impl LaneAccess {
    /// The index of a lane along each dimension.
    fn index(&self, n: usize, lane: u32, file: &[u64]) -> u64 {
        let terms = &self.address.terms;
        let term = &terms[n];
        if term.vector {
            return file[(term.at + lane) as usize];
        }
        let index = file[term.at as usize];
        if !self.scattered && n + 1 == terms.len() {
            // Beyond the largest index there is no buffer: outside either way.
            (index as i64).saturating_add(lane.into()) as u64
        } else {
            index
        }
    }

    /// Row-major position of a lane's element; `None` outside the buffer.
    #[inline]
    pub(crate) fn position(&self, lane: u32, file: &[u64]) -> Option<usize> {
        let mut position = 0u64;
        for (n, term) in self.address.terms.iter().enumerate() {
            let index = self.index(n, lane, file);
            if index >= term.dim {
                return None;
            }
            position = position.wrapping_add(index.wrapping_mul(term.stride));
        }
        Some(position as usize)
    }

    /// The positions of the active lanes where these are the first ones, contiguous and inside.
    #[inline]
    pub(crate) fn contiguous(&self, file: &[u64]) -> Option<Range<usize>> {
        if self.scattered {
            return None;
        }
        let active = leading(self.mask, self.lanes, file)?;
        if active == 0 {
            return Some(0..0);
        }
        let position = self.address.position(file)?;
        let last = self.address.terms.last()?;
        let room = last.dim - file[last.at as usize];
        (active as u64 <= room).then_some(position..position + active)
    }

    #[inline]
    pub(crate) fn active(&self, lane: u32, file: &[u64]) -> bool {
        self.mask
            .is_none_or(|mask| file[(mask + lane) as usize] != 0)
    }

    /// The indices of a lane.
    pub(crate) fn indices(&self, lane: u32, file: &[u64]) -> Vec<i64> {
        let terms = 0..self.address.terms.len();
        terms.map(|n| self.index(n, lane, file) as i64).collect()
    }
}
