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
    /// Our limit: the target cannot take the program.
    #[error("target {target} cannot take @{program}")]
    Unsupported {
        /// Name of the target.
        target: &'static str,
        /// Name of the program.
        program: String,
        /// All reasons.
        #[related]
        reasons: Vec<Unsupported>,
    },
}

/// Something that a target cannot take.
#[derive(Clone, Debug, Error, Diagnostic)]
#[error("{what}: the target has {limit}, the program needs {needed}")]
pub struct Unsupported {
    /// The resource or operation.
    pub what: String,
    /// What the target has.
    pub limit: String,
    /// What the program needs.
    pub needed: String,
    /// Where the program needs it.
    #[label("needs {needed}")]
    pub span: SourceSpan,
}

impl Unsupported {
    /// A reason found at `span`.
    pub fn new(what: String, limit: String, needed: String, span: Span) -> Self {
        Unsupported {
            what,
            limit,
            needed,
            span: span.into(),
        }
    }
}
