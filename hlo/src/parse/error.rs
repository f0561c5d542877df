//! What can be wrong with HLO text, and how it is shown.

use std::borrow::Cow;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource};
use thiserror::Error;

use crate::module::Span;

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
#[non_exhaustive]
pub enum ParseError {
    /// Your input: the grammar wants something else at this place.
    #[error("expected {expected}, found {found}")]
    #[diagnostic(code(hlo::syntax))]
    Syntax {
        /// What would have been right.
        expected: Cow<'static, str>,
        /// What stands there.
        found: String,
        /// Where.
        #[label("expected {expected}")]
        at: Span,
    },
    /// Your input: no opcode has this name.
    #[error("unknown opcode `{name}`")]
    #[diagnostic(code(hlo::unknown_opcode))]
    UnknownOpcode {
        /// As written.
        name: String,
        /// The known opcode that looks most like it.
        #[help]
        suggestion: Option<String>,
        /// Where.
        #[label("not an opcode")]
        at: Span,
    },
    /// Your input: a name is used that has no definition before this place.
    #[error("{what} `{name}` is not defined before its use")]
    #[diagnostic(code(hlo::undefined))]
    Undefined {
        /// `instruction` or `computation`.
        what: &'static str,
        /// As written, without `%`.
        name: String,
        /// The defined name that looks most like it.
        #[help]
        suggestion: Option<String>,
        /// Where.
        #[label("not defined")]
        at: Span,
    },
    /// Your input: the same thing is stated twice.
    #[error("{what} `{name}` is stated twice")]
    #[diagnostic(code(hlo::duplicate))]
    Duplicate {
        /// `instruction`, `computation`, `attribute`, `parameter number`, ...
        what: &'static str,
        /// The name stated twice.
        name: String,
        /// The second statement.
        #[label("again here")]
        at: Span,
        /// The first statement.
        #[label("first here")]
        first: Span,
    },
    /// Your input: an attribute that its owner does not take.
    #[error("`{owner}` takes no attribute `{name}`")]
    #[diagnostic(code(hlo::unexpected_attribute))]
    UnexpectedAttribute {
        /// Opcode, or `HloModule`.
        owner: String,
        /// The attribute.
        name: String,
        /// The attributes that are allowed.
        #[help]
        allowed: Option<String>,
        /// Where.
        #[label("unexpected")]
        at: Span,
    },
    /// Your input: an attribute without which the instruction means nothing is missing.
    #[error("`{owner}` needs an attribute `{name}`")]
    #[diagnostic(code(hlo::missing_attribute))]
    MissingAttribute {
        /// Opcode.
        owner: String,
        /// The attribute.
        name: &'static str,
        /// The instruction that lacks it.
        #[label("`{name}` is missing")]
        at: Span,
    },
    /// Your input: a stated shape contradicts the shape of what it is stated for.
    #[error("shape mismatch: {what} has shape {found}, expected {expected}")]
    #[diagnostic(code(hlo::shape_mismatch))]
    ShapeMismatch {
        /// What the shape is stated for.
        what: String,
        /// The shape that follows from the rest of the text.
        expected: String,
        /// The shape stated.
        found: String,
        /// Where.
        #[label("expected {expected}")]
        at: Span,
    },
    /// Your input: well-formed text that states something impossible.
    #[error("{message}")]
    #[diagnostic(code(hlo::invalid))]
    Invalid {
        /// What is impossible, with the expected and the found value.
        message: String,
        /// Where.
        #[label("here")]
        at: Span,
    },
    /// Our limit: nesting deeper than any program needs.
    #[error("nested deeper than {limit} levels")]
    #[diagnostic(code(hlo::too_deep))]
    TooDeep {
        /// Greatest depth that is read.
        limit: usize,
        /// Where it is exceeded.
        #[label("one level too many")]
        at: Span,
    },
    /// Our limit: spans are 32 bits wide.
    #[error("the text has {bytes} bytes, at most {} are supported", u32::MAX)]
    #[diagnostic(code(hlo::too_long))]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
}

impl ParseError {
    /// The place that the error is about.
    pub fn span(&self) -> Span {
        match self {
            ParseError::Syntax { at, .. }
            | ParseError::UnknownOpcode { at, .. }
            | ParseError::Undefined { at, .. }
            | ParseError::Duplicate { at, .. }
            | ParseError::UnexpectedAttribute { at, .. }
            | ParseError::MissingAttribute { at, .. }
            | ParseError::ShapeMismatch { at, .. }
            | ParseError::Invalid { at, .. }
            | ParseError::TooDeep { at, .. } => *at,
            ParseError::TooLong { .. } => Span::default(),
        }
    }
}

/// Everything that is wrong with a text, in the order of the text, with the text.
#[derive(Clone, Debug, Error, Diagnostic)]
#[error("{}", self.summary())]
pub struct ParseErrors {
    #[source_code]
    text: NamedSource<Arc<str>>,
    /// At least one.
    #[related]
    errors: Vec<ParseError>,
}

impl ParseErrors {
    pub(crate) fn new(text: &str, errors: Vec<ParseError>) -> Self {
        ParseErrors {
            text: NamedSource::new("<hlo>", text.into()),
            errors,
        }
    }

    /// The same errors, shown as being about the file `name`.
    pub fn with_file_name(self, name: impl AsRef<str>) -> Self {
        let text = self.text.inner().clone();
        ParseErrors {
            text: NamedSource::new(name, text),
            errors: self.errors,
        }
    }

    /// The errors, first in the text first.
    pub fn errors(&self) -> &[ParseError] {
        &self.errors
    }

    /// Line and column, counted from 1, of the first error.
    pub fn line_column(&self) -> (usize, usize) {
        let at = self
            .errors
            .first()
            .map(ParseError::span)
            .unwrap_or_default();
        line_column(self.text.inner(), at)
    }

    fn summary(&self) -> String {
        let (line, column) = self.line_column();
        let mut summary = format!("{}:{line}:{column}", self.text.name());
        if let Some(first) = self.errors.first() {
            summary.push_str(": ");
            summary.push_str(&first.to_string());
        }
        match self.errors.len() {
            0 | 1 => {}
            2 => summary.push_str(" (and one more error)"),
            n => summary.push_str(&format!(" (and {} more errors)", n - 1)),
        }
        summary
    }
}

/// Line and column, counted from 1, of the start of `span` in `text`; columns count characters.
pub fn line_column(text: &str, span: Span) -> (usize, usize) {
    let before = text.get(..span.start as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.get(line_start..).map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

/// Why one nom parser failed: small, because most failures are only a step to an alternative.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Something else was expected where `rest` bytes of the text remain.
    Expected {
        /// Bytes from the place to the end of the text.
        rest: usize,
        /// What was expected.
        what: &'static str,
    },
    /// A complete error.
    Error(Box<ParseError>),
}

impl nom::error::ParseError<&str> for Fault {
    fn from_error_kind(input: &str, _: nom::error::ErrorKind) -> Self {
        Fault::Expected {
            rest: input.len(),
            what: "other text",
        }
    }

    fn append(_: &str, _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

/// The candidate that looks most like `name`, worded as help.
pub(crate) fn suggest<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<String> {
    // A third of the letters may differ: enough for a typo, too little for another word.
    let budget = (name.len() / 3).min(4);
    candidates
        .filter(|c| budget > 0 && c.len().abs_diff(name.len()) <= budget)
        .take(20_000)
        .filter_map(|c| Some((edit_distance(name, c, budget)?, c)))
        .min()
        .map(|(_, c)| format!("did you mean `{c}`?"))
}

/// Letters to insert, delete, replace or swap with their neighbour; `None` when above `budget`.
fn edit_distance(a: &str, b: &str, budget: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous: Option<u8> = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut left_letter: Option<u8> = None;
        for (j, &y) in b.iter().enumerate() {
            let replace = last.get(j)? + usize::from(x != y);
            let delete = last.get(j + 1)? + 1;
            let insert = row.get(j)? + 1;
            let mut best = replace.min(delete).min(insert);
            if previous == Some(y) && left_letter == Some(x) {
                best = best.min(before_last.get(j.wrapping_sub(1)).copied()? + 1);
            }
            row.push(best);
            left_letter = Some(y);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().filter(|&d| d <= budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_suggested_and_another_word_is_not() {
        let names = ["gather", "scatter", "reduce"];
        assert_eq!(
            suggest("gahter", names.into_iter()).as_deref(),
            Some("did you mean `gather`?")
        );
        assert_eq!(suggest("xyz", names.into_iter()), None);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_column("a\nαβ x", Span::new(7, 8)), (2, 4));
    }
}
