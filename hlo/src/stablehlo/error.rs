//! What StableHLO cannot say.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource};
use thiserror::Error;

use crate::module::Span;
use crate::opcode::Opcode;

/// Why an instruction has no StableHLO form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// Your input: the opcode has no counterpart.
    #[error("StableHLO has no such operation")]
    NoOperation,
    /// Your input: an element type or a kind of value has no counterpart.
    #[error("StableHLO has no type for {0}")]
    NoType(String),
    /// Your input: the operation has a counterpart that lacks what this attribute, or this value of it, says.
    #[error("StableHLO's operation cannot say `{0}`")]
    NoAttribute(String),
    /// Your input: the instruction has a form that only other opcodes of StableHLO have, or none.
    #[error("StableHLO needs {expected}, found {found}")]
    Form {
        /// What StableHLO's operation takes.
        expected: String,
        /// What the instruction has.
        found: String,
    },
    /// Your input: an attribute that the opcode cannot do without is missing; a module that came out of the parser has it.
    #[error("the attribute `{0}` is missing or of another kind")]
    Missing(&'static str),
    /// Our limit: a tuple of more values, or nested deeper, than is worth flattening.
    #[error("tuples of more than {values} values or {depth} levels are not flattened")]
    Tuple {
        /// Most values.
        values: usize,
        /// Most levels.
        depth: usize,
    },
}

impl Reason {
    /// [`Reason::Form`].
    pub(super) fn form(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Reason::Form {
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// An instruction that StableHLO cannot express; whose fault it is says the [`Reason`].
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("{place}: {opcode}: {reason}")]
#[diagnostic(code(hlo::stablehlo))]
pub struct StablehloError {
    /// `computation/instruction`.
    pub place: String,
    /// What the instruction computes.
    pub opcode: Opcode,
    /// Why it has no form.
    pub reason: Reason,
    /// The place in the text that the module was read from.
    #[label("{reason}")]
    pub at: Span,
}

/// Every instruction of a module that StableHLO cannot express, in the order of printing.
#[derive(Clone, Debug, Error, Diagnostic)]
#[error("{}", self.summary())]
pub struct StablehloErrors {
    #[source_code]
    text: Option<NamedSource<Arc<str>>>,
    /// At least one.
    #[related]
    errors: Vec<StablehloError>,
}

impl StablehloErrors {
    pub(super) fn new(errors: Vec<StablehloError>) -> Self {
        StablehloErrors { text: None, errors }
    }

    /// The errors.
    pub fn errors(&self) -> &[StablehloError] {
        &self.errors
    }

    /// The same errors, shown in the text that the module was read from.
    pub fn with_text(self, name: impl AsRef<str>, text: &str) -> Self {
        StablehloErrors {
            text: Some(NamedSource::new(name, text.into())),
            errors: self.errors,
        }
    }

    fn summary(&self) -> String {
        let first = self.errors.first().map(StablehloError::to_string);
        match self.errors.len() {
            0 | 1 => first.unwrap_or_default(),
            n => format!("{} (and {} more)", first.unwrap_or_default(), n - 1),
        }
    }
}
