//! What crosses a language boundary when something fails: a code and a text.
//!
//! Inside, errors are typed; outside there is no type that all languages share. [`Status`] is made
//! at the boundary and nowhere else.

use hlo2dae_backend::BackendError;
use hlo2dae_backend::native::{PlanError, RunError};
use hlo2dae_frontend::FrontendError;
use hlo2dae_hlo::eval::EvalError as HloEvalError;
use hlo2dae_ir::core::EvalError;
use hlo2dae_ir::lower::LowerError;
use hlo2dae_ir::passes::PassError;
use hlo2dae_sim::SimError;
use miette::Diagnostic;

use crate::error::Error;

/// Whose turn it is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The input is wrong: text, shapes, types, pointers.
    InvalidArgument = 1,
    /// The input is right, and hlo2dae cannot do it yet.
    Unsupported = 2,
    /// A bug of hlo2dae.
    Internal = 3,
}

/// A failure as the outside sees it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct Status {
    /// Whose turn it is to act.
    pub code: Code,
    /// Place, expected, found; several lines when a text with a mark helps.
    pub message: String,
}

impl Status {
    /// An error of the facade; `text` is what its spans refer to.
    pub fn of(error: Error, text: &str) -> Self {
        let code = code_of(&error);
        let report = miette::Report::new(error).with_source_code(text.to_owned());
        Status::new(code, report.as_ref())
    }

    /// `diagnostic` with its causes, labels and help as plain text.
    pub fn new(code: Code, diagnostic: &dyn Diagnostic) -> Self {
        let mut message = String::new();
        let mut theme = miette::GraphicalTheme::none();
        // The caller says that it is an error.
        theme.characters.error.clear();
        let handler = miette::GraphicalReportHandler::new_themed(theme)
            .with_width(120)
            .with_links(false);
        let drawn = diagnostic.labels().is_some() || diagnostic.related().is_some();
        // Writing to a string fails only if the diagnostic's own `Display` does.
        if !drawn || handler.render_report(&mut message, diagnostic).is_err() {
            message = one_line(diagnostic);
        }
        Status {
            code,
            message: message.trim().to_owned(),
        }
    }
}

/// Whose turn it is, as the documentation of each error says.
fn code_of(error: &Error) -> Code {
    match error {
        Error::Hlo(_)
        | Error::HloVerify(_)
        | Error::Program(_)
        | Error::Verify(_)
        | Error::Npz(_)
        | Error::Machine(_)
        | Error::Literal(_)
        | Error::Unknown { .. }
        | Error::NoStage { .. } => Code::InvalidArgument,
        Error::Stablehlo(_) => Code::Unsupported,
        Error::Frontend(FrontendError::Malformed { .. }) => Code::InvalidArgument,
        Error::Frontend(FrontendError::TooLarge { .. }) => Code::Unsupported,
        Error::Lower(LowerError::Invalid(_)) => Code::InvalidArgument,
        Error::Lower(LowerError::Obstacles(_)) => Code::Unsupported,
        Error::Lower(LowerError::Lost { .. }) => Code::Internal,
        Error::Pass(PassError::Broken { .. }) => Code::Internal,
        Error::Pass(
            PassError::Invalid(_)
            | PassError::Unknown { .. }
            | PassError::Braces { .. }
            | PassError::Parameter { .. }
            | PassError::Value { .. }
            | PassError::Level { .. }
            | PassError::Lanes { .. },
        ) => Code::InvalidArgument,
        Error::Backend(BackendError::Invalid(_)) => Code::InvalidArgument,
        Error::Backend(BackendError::Unsupported { .. }) => Code::Unsupported,
        Error::Reference(HloEvalError::Unsupported { .. }) => Code::Unsupported,
        Error::Reference(_) => Code::InvalidArgument,
        Error::Evaluate(error) | Error::Simulate(SimError::Run(error)) => match error {
            EvalError::Stuck { .. } => Code::Internal,
            _ => Code::InvalidArgument,
        },
        // Artifacts come from the compiler alone.
        Error::Simulate(SimError::Bytes(_) | SimError::Malformed(_)) => Code::Internal,
        Error::Plan(error) => match error {
            PlanError::Invalid(_) => Code::InvalidArgument,
            PlanError::NotScalar { .. } | PlanError::TooLarge { .. } => Code::Unsupported,
            PlanError::Broken { .. } => Code::Internal,
        },
        Error::Native(error) => match error {
            RunError::Count { .. } | RunError::Size { .. } | RunError::OutOfBounds { .. } => {
                Code::InvalidArgument
            }
            RunError::Memory { .. } => Code::Unsupported,
            RunError::Broken { .. } => Code::Internal,
        },
        Error::Bug(_) => Code::Internal,
    }
}

/// The sentence, its causes and its help.
fn one_line(diagnostic: &dyn Diagnostic) -> String {
    let mut message = diagnostic.to_string();
    let mut cause = diagnostic.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    if let Some(help) = diagnostic.help() {
        message.push_str("; ");
        message.push_str(&help.to_string());
    }
    message
}

/// A caller across a boundary did not keep to the contract.
#[derive(Clone, Debug, thiserror::Error, Diagnostic, PartialEq, Eq)]
pub enum BoundaryError {
    /// Your input: a pointer that must point to something does not.
    #[error("{what} is a null pointer")]
    Null {
        /// The parameter.
        what: String,
    },
    /// Your input: a pointer that is not aligned as its type demands.
    #[error("{what} is not aligned: expected an address that is a multiple of {align}")]
    Misaligned {
        /// The parameter.
        what: String,
        /// The alignment.
        align: usize,
    },
    /// Your input: a size beyond the address space.
    #[error("{what} is too large: {size} elements or bytes")]
    TooLarge {
        /// The parameter.
        what: String,
        /// The size.
        size: i128,
    },
    /// Your input: bytes that are not UTF-8.
    #[error("{what} is not UTF-8: the byte at offset {offset} does not continue it")]
    NotUtf8 {
        /// The parameter.
        what: String,
        /// First bad byte.
        offset: usize,
    },
    /// Your input: an index past the end.
    #[error("there is no {what} {index}: expected a number below {count}")]
    OutOfRange {
        /// What is counted.
        what: String,
        /// The index.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// Your input: a wrong number of arrays.
    #[error("wrong number of {what}: expected {expected}, found {found}")]
    Count {
        /// Inputs or outputs.
        what: String,
        /// What the program declares.
        expected: usize,
        /// What the caller gave.
        found: usize,
    },
    /// Your input: an array of a wrong type or shape.
    #[error("{what} has the wrong {aspect}: expected {expected}, found {found}")]
    Array {
        /// Which array.
        what: String,
        /// Element type, shape or size.
        aspect: &'static str,
        /// What the program declares.
        expected: String,
        /// What the caller gave.
        found: String,
    },
    /// Your input: an output that shares memory with another array.
    #[error("{output} shares memory with {other}")]
    #[diagnostic(help("give every output memory of its own"))]
    Overlap {
        /// The output.
        output: String,
        /// The other array.
        other: String,
    },
}

impl From<BoundaryError> for Status {
    fn from(error: BoundaryError) -> Self {
        Status::new(Code::InvalidArgument, &error)
    }
}
