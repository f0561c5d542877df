//! What the emulated machine is made of, and in which order its units take turns.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use hlo2dae_backend::Machine;
use hlo2dae_ir::core::Limits;

/// The emulated machine. Results and counts are the same for every capacity and schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Tokens that the control queue holds.
    pub tokens: NonZeroUsize,
    /// Chunks of the data queue: with 2, one is filled while the other is used.
    pub chunks: NonZeroUsize,
    /// Bytes of a chunk. An operand lies in one chunk, and has one alone if it is larger: in chunks of one byte, the queue
    /// holds as many operands as there are chunks.
    pub chunk_bytes: NonZeroU64,
    /// Bytes of a cache line, in which requests are counted.
    pub line_bytes: NonZeroU32,
    /// Which unit runs when.
    pub schedule: Schedule,
    /// What a run may take; a step is an instruction of either unit.
    pub limits: Limits,
}

impl Default for Config {
    /// As [`Config::of`] the default machine.
    fn default() -> Self {
        Config::of(&Machine::default())
    }
}

impl Config {
    /// A machine with two chunks, and as many tokens as taking turns costs little with.
    pub fn of(machine: &Machine) -> Config {
        let unit = &machine.access_unit;
        Config {
            tokens: NonZeroUsize::MIN.saturating_add(1023),
            chunks: NonZeroUsize::MIN.saturating_add(1),
            chunk_bytes: NonZeroU64::new(unit.chunk_bytes).unwrap_or(NonZeroU64::MIN),
            line_bytes: NonZeroU32::new(unit.line_bytes).unwrap_or(NonZeroU32::MIN),
            schedule: Schedule::RunAhead,
            limits: Limits::default(),
        }
    }
}

/// Which unit runs when. Both run in one thread; every schedule is deterministic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Each unit runs until a queue stops it, the access unit first.
    RunAhead,
    /// So many instructions each in turn, the access unit first.
    Alternate {
        /// Instructions of the access unit.
        access: NonZeroU32,
        /// Instructions of the execute unit.
        execute: NonZeroU32,
    },
    /// Turns of 1 to 64 instructions drawn from this seed.
    Shuffled(u64),
}

impl Schedule {
    /// The most instructions that the access unit and the execute unit run in their next turns.
    pub(crate) fn turn(&mut self) -> (u64, u64) {
        match self {
            // Long enough to be free, short enough for the limit of steps to be looked at.
            Schedule::RunAhead => (1 << 20, 1 << 20),
            Schedule::Alternate { access, execute } => {
                (u64::from(access.get()), u64::from(execute.get()))
            }
            Schedule::Shuffled(state) => {
                let mut draw = || {
                    // SplitMix64: short, and the same everywhere.
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    (z ^ (z >> 31)) % 64 + 1
                };
                (draw(), draw())
            }
        }
    }
}
