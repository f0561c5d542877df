//! Why a whole module cannot be searched.

use miette::Diagnostic;
use thiserror::Error;

/// Why no search was made. A single operation that does not match is a [`crate::Miss`], not an error.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum FrontendError {
    /// Our limit: calls and fusions, each inlined at every call site, give too many instructions.
    #[error("`{computation}` has more than {limit} instructions once its calls are inlined")]
    #[diagnostic(help("raise the limit, or search a part of the model"))]
    TooLarge {
        /// The computation being flattened.
        computation: String,
        /// The limit in force.
        limit: usize,
        /// The computation's name.
        #[label("this computation")]
        span: miette::SourceSpan,
    },
    /// Your input: an instruction lacks an operand, a callee or a shape that its opcode needs.
    /// The verifier of `hlo` says more.
    #[error("`{instruction}` is malformed: {problem}")]
    #[diagnostic(help("verify the module first"))]
    Malformed {
        /// `computation/instruction`.
        instruction: String,
        /// What is missing.
        problem: &'static str,
        /// The instruction's name.
        #[label("here")]
        span: miette::SourceSpan,
    },
}

impl FrontendError {
    pub(crate) fn malformed(
        module: &hlo2dae_hlo::Module,
        id: hlo2dae_hlo::InstructionId,
        problem: &'static str,
    ) -> Self {
        FrontendError::Malformed {
            instruction: module.path(id),
            problem,
            span: module.instructions[id].span.into(),
        }
    }
}
