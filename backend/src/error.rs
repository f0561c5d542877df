//! Why a program was not compiled.

use hlo2dae_ir::core::{Diagnostics, Span};
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;

/// Why a program was not compiled.
#[derive(Debug, Error, Diagnostic)]
pub enum BackendError {
    /// The program breaks a rule of DLC: your input if you wrote it, our bug if a lowering did.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Diagnostics),
    /// Our limit: the machine cannot take the program.
    #[error("the machine {machine} cannot take @{program}")]
    Unsupported {
        /// Name of the machine.
        machine: String,
        /// Name of the program.
        program: String,
        /// All reasons.
        #[related]
        reasons: Vec<Unsupported>,
    },
}

/// A resource that a program takes more of than the machine has.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("{what}: the machine has {limit}, the program needs {needed}")]
#[diagnostic(help("{help}"))]
pub struct Unsupported {
    /// The resource.
    pub what: &'static str,
    /// What the machine has.
    pub limit: String,
    /// What the program needs.
    pub needed: String,
    /// What to change.
    pub help: &'static str,
    /// Where the program needs it.
    #[label("needs {needed}")]
    pub span: SourceSpan,
}

impl Unsupported {
    /// A reason found at `span`.
    pub fn new(
        what: &'static str,
        limit: String,
        needed: String,
        help: &'static str,
        span: Span,
    ) -> Self {
        Unsupported {
            what,
            limit,
            needed,
            help,
            span: span.into(),
        }
    }
}
