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
    /// The candidate's name in the text.
    pub span: Span,
}

/// The condition that a candidate fails.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MissReason {
    /// The candidate, or what it depends on, has no index map.
    #[error("`{opcode}` has no index map: {why}")]
    NoMap {
        /// The opcode of the instruction without a map.
        opcode: Opcode,
        /// Why it has none.
        why: &'static str,
    },
    /// Nothing uses the result.
    #[error("nothing uses its result")]
    Unused,
    /// The indices are literals, and single elements are taken.
    #[error("its indices are known at compile time and it takes single elements")]
    ConstantIndices,
    /// One window is taken in one execution.
    #[error("it takes a single window")]
    OneWindow,
    /// Single elements are taken, each from a row that no other lookup uses.
    #[error(
        "it takes single elements from rows of their own, so no row is shared and nothing is streamed"
    )]
    OneElementPerRow,
    /// Single integers that only serve as indices.
    #[error("it moves single integers that only serve as further indices")]
    Bookkeeping,
    /// A product with a one-hot matrix.
    #[error("it looks rows up by multiplying with a one-hot matrix")]
    OneHot,
    /// An input would depend on an output.
    #[error("what it needs depends on what it gives, through operations outside")]
    NotConvex,
    /// The region became too large.
    #[error("its region would cover more than {limit} instructions")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
}

impl MissReason {
    /// What would make the candidate match.
    pub fn help(&self) -> String {
        match self {
            MissReason::NoMap { opcode, .. } => {
                format!("keep `{opcode}` apart from the lookup, or spell it with operations that have a map")
            }
            MissReason::Unused => "use the result, or remove the operation".to_owned(),
            MissReason::ConstantIndices => {
                "nothing to do: XLA folds it into a copy; pass the indices as an argument if they can change".to_owned()
            }
            MissReason::OneWindow => {
                "look up several rows at once: a vector of indices gives a gather".to_owned()
            }
            MissReason::OneElementPerRow => {
                "nothing to do: it reads every row once; rows shared between lookups would make a region".to_owned()
            }
            MissReason::Bookkeeping => {
                "nothing to do: the lookups that use these indices are looked at on their own".to_owned()
            }
            MissReason::OneHot => {
                "look the rows up by a gather; a product with zeros is not the same where a row holds NaN or infinity".to_owned()
            }
            MissReason::NotConvex => {
                "compute the indices and weights without the rows that they select".to_owned()
            }
            MissReason::TooLarge { .. } => "raise the limit".to_owned(),
        }
    }
}
