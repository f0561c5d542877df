//! HLO text to [`Module`].
//!
//! ```text
//! module      = ('HloModule' name attributes)? table* computation+
//! attributes  = (',' name '=' value)*
//! table       = 'FileNames' (integer string)* | 'FunctionNames' (integer string)*
//!             | 'FileLocations' (integer '{' ... '}')* | 'StackFrames' (integer '{' ... '}')*
//! computation = 'ENTRY'? name signature? body attributes
//! signature   = '(' (name shape (',' name shape)*)? ')' '->' shape
//! body        = '{' instruction+ '}'
//! instruction = 'ROOT'? name '=' shape? opcode '(' operands ')' attributes
//! operands    = (operand (',' operand)* ','?)? | integer | literal
//! operand     = shape? name | shape? opcode '(' operands ')'
//! ```
//!
//! A name is visible from its definition to the end of its computation; computations are visible
//! from their definition on. Where an attribute takes a computation, a `body` may stand instead of
//! its name. The parser checks what the text must state to be a graph; whether shapes and
//! attributes fit the operation is [`crate::verify()`]'s matter.
//!
//! After an error the parser goes on at the next line that begins an instruction, so that one run
//! reports as much as it can.

pub(crate) mod asynchronous;
mod attribute;
mod computation;
mod conclude;
pub mod error;
mod instruction;
mod layout;
pub(crate) mod lex;
mod literal;
mod raw;
mod shape;
mod sharding;
pub(crate) mod spec;
pub(crate) mod value;

use std::str::FromStr;
use std::sync::Arc;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use crate::attribute::{Attribute, AttributeValue};
use crate::canonical::NameUniquer;
use crate::literal::Literal;
use crate::module::{Computation, ComputationId, Instruction, InstructionId, Module, Span};
use crate::shape::Shape;
use error::{Fault, ParseError, ParseErrors, suggest};
use lex::{Parsed, after, expected, found_at, skip};

/// Errors after which a text is not looked at any further.
const MAX_ERRORS: usize = 50;

/// Greatest nesting of computations and of operands written in place.
const MAX_NESTING: usize = 50;

/// Reads an HLO module.
///
/// ```
/// let module = hlo2dae_hlo::parse_module(
///     "HloModule double\n\
///      ENTRY main {\n\
///        x = f32[4] parameter(0)\n\
///        ROOT y = f32[4] add(x, x)\n\
///      }",
/// )?;
/// assert_eq!(module.name, "double");
/// assert_eq!(&*module.instructions[module.entry().root].name, "y");
/// # Ok::<(), hlo2dae_hlo::ParseErrors>(())
/// ```
pub fn parse_module(text: &str) -> Result<Module, ParseErrors> {
    if u32::try_from(text.len()).is_err() {
        let bytes = text.len();
        return Err(ParseErrors::new("", vec![ParseError::TooLong { bytes }]));
    }
    let mut parser = Parser::new(text);
    let module = match parser.module() {
        Ok((_, module)) => Some(module),
        Err(error) => {
            parser.record(error);
            None
        }
    };
    match module {
        Some(module) if parser.errors.is_empty() => Ok(module),
        _ => {
            let mut errors = parser.errors;
            errors.sort_by_key(|e| e.span().start);
            if let Some(error) = late_header(text)
                && errors
                    .first()
                    .is_none_or(|e| e.span().start < error.span().end)
            {
                errors = vec![error];
            }
            Err(ParseErrors::new(text, errors))
        }
    }
}

/// Something stands before the header, such as what a log puts before a line.
fn late_header(text: &str) -> Option<ParseError> {
    let start = text.len() - skip(text).len();
    let before = text.get(start..text.find("HloModule ")?)?.trim_end();
    let (found, _) = found_at(before);
    let in_front = !before.is_empty() && !before.contains('\n');
    in_front.then(|| ParseError::Syntax {
        expected: "`HloModule` where the text begins".into(),
        found,
        at: Span::new(start, start + before.len()),
    })
}

/// Reads a shape, such as `(f32[2,3]{1,0}, token[])`.
pub fn parse_shape(text: &str) -> Result<Shape, ParseErrors> {
    standalone(text, |_, input| shape::shape(text, input))
}

/// Reads the value of an attribute that names no instruction and no computation.
///
/// ```
/// use hlo2dae_hlo::{AttributeValue, parse_attribute};
/// assert_eq!(
///     parse_attribute("dimensions", "{0,1}")?,
///     AttributeValue::Integers(vec![0, 1].into()),
/// );
/// assert!(parse_attribute("sharding", "{maximal}").is_err());
/// # Ok::<(), hlo2dae_hlo::ParseErrors>(())
/// ```
pub fn parse_attribute(name: &str, text: &str) -> Result<AttributeValue, ParseErrors> {
    standalone(text, |parser, input| match spec::find(name) {
        Some(spec) => parser.value(input, spec.kind),
        None => lex::fail(ParseError::UnexpectedAttribute {
            owner: "HLO".to_owned(),
            name: name.to_owned(),
            allowed: None,
            at: Span::default(),
        }),
    })
}

/// Runs one parser on a whole text.
fn standalone<'a, T>(
    text: &'a str,
    read: impl FnOnce(&mut Parser<'a>, &'a str) -> Parsed<'a, T>,
) -> Result<T, ParseErrors> {
    let mut parser = Parser::new(text);
    let parsed = read(&mut parser, text).and_then(|(rest, value)| {
        if skip(rest).is_empty() {
            Ok(value)
        } else {
            expected(rest, "the end of the text").map(|never: (&str, T)| never.1)
        }
    });
    match parsed {
        Ok(value) if parser.errors.is_empty() => Ok(value),
        Ok(_) => Err(ParseErrors::new(text, parser.errors)),
        Err(error) => {
            parser.record(error);
            Err(ParseErrors::new(text, parser.errors))
        }
    }
}

impl FromStr for Shape {
    type Err = ParseErrors;

    fn from_str(text: &str) -> Result<Self, ParseErrors> {
        parse_shape(text)
    }
}

impl FromStr for Module {
    type Err = ParseErrors;

    fn from_str(text: &str) -> Result<Self, ParseErrors> {
        parse_module(text)
    }
}

/// The state of one run: tables that grow and the names in scope.
struct Parser<'a> {
    text: &'a str,
    errors: Vec<ParseError>,
    computations: PrimaryMap<ComputationId, Computation>,
    instructions: PrimaryMap<InstructionId, Instruction>,
    computation_names: HashMap<&'a str, ComputationId>,
    /// Instructions of the computation being read.
    scope: HashMap<&'a str, InstructionId>,
    /// A table for the next scope: that of a computation read before.
    spare_scope: HashMap<&'a str, InstructionId>,
    /// Every `async-start`.
    starts: Vec<InstructionId>,
    /// The start of each `async-update`.
    updated: HashMap<InstructionId, InstructionId>,
    shapes_by_text: HashMap<&'a str, Arc<Shape>>,
    shapes: HashMap<Arc<Shape>, ()>,
    /// Arrays in all shapes that the text does not state.
    made_leaves: usize,
    /// Bytes of all shardings that stand for every leaf of a tuple.
    repeated_shardings: usize,
    /// Structures that the text does not state as they are; equal ones share an allocation.
    texts: HashMap<Arc<str>, ()>,
    /// Canonical texts of structures, by who reads them and what is read.
    structures: HashMap<(usize, &'a str), Arc<str>>,
    /// Scalars, by shape and text.
    constants: HashMap<(usize, &'a str), Arc<Literal>>,
    scratch: String,
    /// Attributes of which the list is not complete.
    pending: Vec<Attribute>,
    entry: Option<ComputationId>,
    /// Open computations and operands written in place.
    nesting: usize,
    /// Names in use, once an operand written in place needs one.
    names: Option<NameUniquer>,
    /// The text is one instruction, not a module.
    lone_instruction: bool,
    /// Parameters made for a lone instruction's operands.
    lone_parameters: u64,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Parser {
            text,
            errors: Vec::new(),
            computations: PrimaryMap::new(),
            // Most have a line of about this length.
            instructions: PrimaryMap::try_with_capacity(text.len() / 160).unwrap_or_default(),
            computation_names: HashMap::new(),
            scope: HashMap::new(),
            spare_scope: HashMap::new(),
            starts: Vec::new(),
            updated: HashMap::new(),
            shapes_by_text: HashMap::new(),
            shapes: HashMap::new(),
            made_leaves: 0,
            repeated_shardings: 0,
            texts: HashMap::new(),
            structures: HashMap::new(),
            constants: HashMap::new(),
            scratch: String::new(),
            pending: Vec::new(),
            entry: None,
            nesting: 0,
            names: None,
            lone_instruction: false,
            lone_parameters: 0,
        }
    }

    /// The place from `from` (blanks skipped) to `to`, both rests of the text.
    fn span(&self, from: &str, to: &str) -> Span {
        lex::span_of(self.text, from, to)
    }

    /// The place of a word borrowed from the text whose rest is `rest`.
    fn word_span(&self, word: &str, rest: &str) -> Span {
        let end = self.text.len().saturating_sub(rest.len());
        Span::new(end.saturating_sub(word.len()), end)
    }

    /// One allocation for all occurrences of the text in `scratch`.
    fn intern_scratch(&mut self) -> Arc<str> {
        if let Some((text, ())) = self.texts.get_key_value(self.scratch.as_str()) {
            return text.clone();
        }
        let text: Arc<str> = self.scratch.as_str().into();
        self.texts.insert(text.clone(), ());
        text
    }

    fn record(&mut self, error: nom::Err<Fault>) {
        let error = match error {
            nom::Err::Error(fault) | nom::Err::Failure(fault) => self.complete(fault),
            nom::Err::Incomplete(_) => return,
        };
        self.errors.push(error);
    }

    /// Adds what was found to a fault that only knows what was expected.
    fn complete(&self, fault: Fault) -> ParseError {
        match fault {
            Fault::Error(error) => *error,
            Fault::Expected { rest, what } => {
                let start = self.text.len().saturating_sub(rest);
                let input = self.text.get(start..).unwrap_or("");
                let (mut found, width) = found_at(input);
                let word = input.get(..width).unwrap_or("");
                if what.ends_with("name")
                    && let Some(why) = lex::reserved(word)
                {
                    found = format!("{found}, {why}");
                }
                ParseError::Syntax {
                    expected: what.into(),
                    found,
                    at: Span::new(start, start + width),
                }
            }
        }
    }

    /// A shape, shared with all equal ones.
    fn shape(&mut self, input: &'a str) -> Parsed<'a, Arc<Shape>> {
        let start = skip(input);
        if let Some((text, rest)) = shape_text(start)
            && let Some(shape) = self.shapes_by_text.get(text)
        {
            return Ok((rest, shape.clone()));
        }
        let (rest, shape) = shape::shape(self.text, start)?;
        let shape = self.share(shape);
        if let Some(text) = start.get(..start.len() - rest.len()) {
            self.shapes_by_text.insert(text, shape.clone());
        }
        Ok((rest, shape))
    }

    fn share(&mut self, shape: Shape) -> Arc<Shape> {
        if let Some((shared, ())) = self.shapes.get_key_value(&shape) {
            return shared.clone();
        }
        let shape = Arc::new(shape);
        self.shapes.insert(shape.clone(), ());
        shape
    }

    fn undefined(&self, what: &'static str, name: &str, at: Span) -> ParseError {
        let suggestion = if what == "computation" {
            suggest(name, self.computation_names.keys().copied())
        } else {
            suggest(name, self.scope.keys().copied())
        };
        ParseError::Undefined {
            what,
            name: name.to_owned(),
            suggestion,
            at,
        }
    }

    /// `attributes` of an owner that takes `own` and `common`.
    fn attributes(
        &mut self,
        input: &'a str,
        owner: &'static str,
        own: &[spec::Spec],
        common: &[spec::Spec],
    ) -> Parsed<'a, Vec<Attribute>> {
        let base = self.pending.len();
        let mut rest = Ok((input, ()));
        while let Ok((before, ())) = rest
            && let Some(next) = after(before, ",")
        {
            rest = self.attribute(next, owner, own, common, base);
        }
        // As long as it must be: a module has millions of these lists.
        let attributes = self.pending.split_off(base);
        Ok((rest?.0, attributes))
    }
}

/// The text of the shape that begins `start`, found without reading it: up to `]`, `}` or `)`.
fn shape_text(start: &str) -> Option<(&str, &str)> {
    let bytes = start.as_bytes();
    let mut i = 0;
    if bytes.first() == Some(&b'(') {
        let mut depth = 0usize;
        for &b in bytes {
            i += 1;
            match b {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        return start.split_at_checked(i);
                    }
                }
                _ => {}
            }
        }
        return None;
    }
    i = bytes.iter().position(|&b| b == b']')? + 1;
    if shape::opens_layout(start.get(i..)?) {
        if bytes.get(i) != Some(&b'{') {
            return None;
        }
        i += bytes.get(i..)?.iter().position(|&b| b == b'}')? + 1;
    }
    start.split_at_checked(i)
}

/// A value for a placeholder operand: names an instruction that is not there.
fn nowhere() -> InstructionId {
    use cranelift_entity::packed_option::ReservedValue;
    InstructionId::reserved_value()
}
