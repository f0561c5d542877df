//! What the facade can fail with: the errors of the layers, as they are.

use hlo2dae_backend::native::{PlanError, RunError};
use hlo2dae_backend::{BackendError, MachineError};
use hlo2dae_frontend::FrontendError;
use hlo2dae_hlo::eval::EvalError as HloEvalError;
use hlo2dae_hlo::literal::LiteralError;
use hlo2dae_hlo::stablehlo::StablehloErrors;
use hlo2dae_hlo::{ParseErrors, VerifyErrors};
use hlo2dae_ir::core::{Diagnostics, EvalError, ParseError};
use hlo2dae_ir::lower::LowerError;
use hlo2dae_ir::passes::PassError;
use hlo2dae_sim::SimError;
use miette::Diagnostic;
use thiserror::Error;

use crate::npz::NpzError;

/// A failure of any layer. Spans refer to the text that was being read.
#[derive(Debug, Error, Diagnostic)]
pub enum Error {
    /// The text is not HLO.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Hlo(#[from] ParseErrors),
    /// The text is HLO that means nothing.
    #[error(transparent)]
    #[diagnostic(transparent)]
    HloVerify(#[from] VerifyErrors),
    /// The module holds what StableHLO cannot express.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Stablehlo(#[from] StablehloErrors),
    /// The text is not a program of one of our IRs.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Program(#[from] ParseError),
    /// A program breaks rules of its IR.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Verify(#[from] Diagnostics),
    /// The search for regions gave up.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Frontend(#[from] FrontendError),
    /// A program cannot be lowered.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lower(#[from] LowerError),
    /// A pass did not run.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pass(#[from] PassError),
    /// The machine cannot take the program.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Backend(#[from] BackendError),
    /// The text states no machine.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] MachineError),
    /// The reference evaluator cannot go on.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reference(#[from] HloEvalError),
    /// An evaluator of our IRs cannot go on.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Evaluate(#[from] EvalError),
    /// The emulated machine cannot go on.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Simulate(#[from] SimError),
    /// The native engine cannot take the program.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Plan(#[from] PlanError),
    /// The native engine cannot go on.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Native(#[from] RunError),
    /// Arrays could not be read or written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Npz(#[from] NpzError),
    /// Bytes do not make the array that is wanted.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Literal(#[from] LiteralError),
    /// Your input: nothing of that name.
    #[error("there is no {what} `{name}`")]
    #[diagnostic(help("{help}"))]
    Unknown {
        /// The kind of thing.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        help: String,
    },
    /// Your input: the program was given at a later stage than the one that is asked for.
    #[error("the program was given as {given}, it has no {wanted}")]
    NoStage {
        /// The stage that it was given in.
        given: &'static str,
        /// The stage that is asked for.
        wanted: &'static str,
    },
    /// Our bug.
    #[error("hlo2dae is wrong here: {0}")]
    #[diagnostic(help("please report it with the input"))]
    Bug(String),
}

impl Error {
    pub(crate) fn bug(message: impl Into<String>) -> Error {
        Error::Bug(message.into())
    }
}
