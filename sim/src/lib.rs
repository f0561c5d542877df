//! The emulated decoupled machine.
//!
//! An access unit and an execute unit run the two programs of an artifact, joined by two bounded queues and
//! nothing else. [`Emulator`] runs both in one thread, turn by turn; what comes out does not depend on the
//! capacities of the queues, nor on who runs when.
//!
//! | module | job |
//! |---|---|
//! | [`emulator`] | decodes an artifact once, runs it any number of times |
//! | [`config`] | capacities, schedule, limits |
//! | [`stats`] | what a run did, counted |
//! | [`trace`] | who is told of every push |
//! | [`stream`] | stream text, the readable form of a trace |
//! | [`error`] | why a program could not be emulated |

mod access;
mod alu;
mod code;
mod compute;
pub mod config;
mod decode;
pub mod emulator;
pub mod error;
mod execute;
mod lines;
mod memory;
mod queue;
pub mod stats;
pub mod stream;
pub mod trace;

pub use config::{Config, Schedule};
pub use emulator::Emulator;
pub use error::SimError;
pub use stats::Stats;
pub use stream::{StreamText, stream_text};
pub use trace::Trace;
