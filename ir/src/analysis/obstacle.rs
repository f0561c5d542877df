//! What keeps a program from being decoupled.

use miette::Diagnostic;
use thiserror::Error;

use crate::core::Span;
use crate::slc::MAX_DEPTH;

/// Why a program cannot be decoupled: all the reasons. Our limit.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("the program cannot be decoupled")]
pub struct Obstacles(#[related] pub Vec<Obstacle>);

/// What the access unit would have to know and cannot. Our limit.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum Obstacle {
    /// A bound of a loop.
    #[error("a bound of the loop over %{position} depends on what the program computes")]
    #[diagnostic(code(decoupling::bound), help("{}", because.help()))]
    Bound {
        /// The loop's position.
        position: String,
        /// The loop.
        #[label("the access unit runs this loop")]
        span: Span,
        /// The load that the access unit cannot do.
        #[label("{because}")]
        load: Span,
        /// Why it cannot.
        because: Because,
    },
    /// The condition of a guard around a loop.
    #[error("a guard around a loop depends on what the program computes")]
    #[diagnostic(code(decoupling::condition), help("{}", because.help()))]
    Condition {
        /// The guard.
        #[label("the access unit runs the loop inside")]
        span: Span,
        /// The load that the access unit cannot do.
        #[label("{because}")]
        load: Span,
        /// Why it cannot.
        because: Because,
    },
    /// Loops and guards in one another.
    #[error("loops and guards are nested more than {MAX_DEPTH} deep")]
    #[diagnostic(code(decoupling::depth))]
    Depth {
        /// The first thing that is too deep.
        #[label("too deep")]
        span: Span,
    },
}

/// Why the access unit cannot do a load.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Because {
    /// The program may write the buffer.
    #[error("%{0} may be written by the program")]
    Written(String),
    /// It stands in a guard.
    #[error("this load happens only under its guard")]
    Guarded,
}

impl Because {
    fn help(&self) -> &'static str {
        match self {
            Because::Written(_) => {
                "the access unit runs ahead of the stores, it can read inputs only"
            }
            Because::Guarded => {
                "the access unit loads ahead of the guard; load at an index that is always inside and select afterwards"
            }
        }
    }
}
