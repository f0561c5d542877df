//! Why a program could not be emulated.

use std::fmt;

use hlo2dae_ir::core::EvalError;
use miette::Diagnostic;
use thiserror::Error;

/// Why a program could not be emulated.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum SimError {
    /// The artifact's numbers do not fit together: your input if you wrote it, our bug if we compiled it.
    #[error("the artifact is malformed: {what}")]
    Malformed {
        /// What does not fit.
        what: String,
    },
    /// The run cannot go on, for a reason that every engine has.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Run(#[from] EvalError),
    /// Both units wait for one another: your input if you wrote the artifact; our bug if it was compiled, since
    /// the verifier rejects programs that could come here.
    #[error("deadlock: neither unit can go on\n{0}")]
    Deadlock(Box<Deadlock>),
    /// Operands that no case popped: as [`SimError::Deadlock`].
    #[error("{} operands are left in the data queue when the program is done: {}", .0.len(), .0.join(", "))]
    LeftOver(Vec<String>),
}

/// Who waits for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// What the access unit is doing.
    pub access: String,
    /// What the execute unit is doing.
    pub execute: String,
    /// The control queue.
    pub control: Contents,
    /// The data queue.
    pub data: Contents,
}

/// A queue's contents, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many entries it can hold.
    pub capacity: usize,
    /// The entries, the next one first.
    pub entries: Vec<String>,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  access unit: {}", self.access)?;
        writeln!(f, "  execute unit: {}", self.execute)?;
        writeln!(f, "  control queue: {}", self.control)?;
        write!(f, "  data queue: {}", self.data)
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More would not be read.
        const SHOWN: usize = 8;
        write!(f, "{} of {}", self.entries.len(), self.capacity)?;
        for (n, entry) in self.entries.iter().take(SHOWN).enumerate() {
            write!(f, "{}{entry}", if n == 0 { ": " } else { ", " })?;
        }
        if self.entries.len() > SHOWN {
            f.write_str(", ...")?;
        }
        Ok(())
    }
}
