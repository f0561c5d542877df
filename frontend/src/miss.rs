//! Candidates that did not become a region, and why.

use hlo2dae_hlo::{ComputationId, Opcode, Span};
use thiserror::Error;

use crate::matches::ValueRef;

/// A candidate that stays with XLA.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// The candidate.
    pub value: ValueRef,
    /// The computation that `value` is counted from.
    pub computation: ComputationId,
    /// The candidate's opcode.
    pub opcode: Opcode,
    /// The failed condition.
    pub reason: MissReason,
    /// The instruction that fails it; the candidate itself, or one near it.
    pub span: Span,
}

/// The condition that a candidate fails.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MissReason {
    /// The opcode has no index map.
    #[error("`{opcode}` has no index map: {why}")]
    NoMap {
        /// The opcode.
        opcode: Opcode,
        /// Why it has none.
        why: &'static str,
    },
}

impl MissReason {
    /// What would make the candidate match.
    pub fn help(&self) -> String {
        match self {
            MissReason::NoMap { opcode, .. } => {
                format!("compute the `{opcode}` before the lookup, in an operation of its own")
            }
        }
    }
}
