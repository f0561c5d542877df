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
//! attributes fit the operation is [`crate::verify`]'s matter.
//!
//! After an error the parser goes on at the next line that begins an instruction, so that one run
//! reports as much as it can.

mod asynchronous;
mod attribute;
mod conclude;
pub mod error;
mod instruction;
mod layout;
pub(crate) mod lex;
mod literal;
mod raw;
mod shape;
pub(crate) mod spec;
pub(crate) mod value;

use std::str::FromStr;
use std::sync::Arc;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use crate::attribute::{Attribute, AttributeValue};
use crate::canonical::NameUniquer;
use crate::module::{
    Computation, ComputationId, Instruction, InstructionId, Module, Payload, SourceTable, Span,
};
use crate::print::print_quoted;
use crate::shape::Shape;
use error::{Fault, ParseError, ParseErrors, suggest};
use lex::{Parsed, after, expected, found_at, integer, keyword, name, peek, punct, skip, string};

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
            Err(ParseErrors::new(text, errors))
        }
    }
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
///     AttributeValue::Integers(vec![0, 1]),
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
    shapes_by_text: HashMap<&'a str, Arc<Shape>>,
    shapes: HashMap<Arc<Shape>, ()>,
    words: HashMap<&'a str, Arc<str>>,
    /// Canonical texts of structures, shared like words.
    texts: HashMap<Arc<str>, ()>,
    scratch: String,
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
            instructions: PrimaryMap::new(),
            computation_names: HashMap::new(),
            scope: HashMap::new(),
            shapes_by_text: HashMap::new(),
            shapes: HashMap::new(),
            words: HashMap::new(),
            texts: HashMap::new(),
            scratch: String::new(),
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

    /// One allocation for all occurrences of a word.
    fn intern(&mut self, word: &'a str) -> Arc<str> {
        self.words
            .entry(word)
            .or_insert_with(|| word.into())
            .clone()
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
                let found = found_at(input);
                let width = match found.len() {
                    _ if input.is_empty() => 0,
                    n => n.saturating_sub(2).clamp(1, input.len()),
                };
                ParseError::Syntax {
                    expected: what.into(),
                    found,
                    at: Span::new(start, start + width),
                }
            }
        }
    }

    fn module(&mut self) -> Parsed<'a, Module> {
        let mut rest = self.text;
        let mut module_name = None;
        let mut attributes = Vec::new();
        if let Some(header) = keyword(rest, "HloModule") {
            let (next, header_name) = name(header, "the module's name")?;
            module_name = Some(header_name.to_owned());
            (rest, attributes) = self.attributes(next, "HloModule", spec::MODULE, &[])?;
        }
        if module_name.is_none() && is_lone_instruction(rest) {
            return self.lone_module(rest);
        }
        let (mut rest, source_tables) = source_tables(rest)?;
        while !skip(rest).is_empty() {
            rest = self.computation(rest)?.0;
            if self.errors.len() >= MAX_ERRORS {
                break;
            }
        }
        let entry = match (self.entry, self.computations.last()) {
            (Some(entry), _) => entry,
            (None, Some((last, _))) => last,
            (None, None) => return expected(rest, "a computation"),
        };
        self.check_starts();
        let stated = |a: &Attribute| &*a.name == "entry_computation_layout";
        if !attributes.iter().any(stated) && self.errors.is_empty() {
            let shape = |id: &InstructionId| self.instructions[*id].shape.clone();
            let entry = &self.computations[entry];
            attributes.push(Attribute {
                name: "entry_computation_layout".into(),
                value: AttributeValue::Signature(
                    entry.parameters.iter().map(shape).collect(),
                    shape(&entry.root),
                ),
                span: Span::default(),
            });
        }
        let name =
            module_name.unwrap_or_else(|| format!("module_{}", self.computations[entry].name));
        Ok((
            rest,
            Module {
                name,
                attributes,
                source_tables,
                computations: std::mem::take(&mut self.computations),
                instructions: std::mem::take(&mut self.instructions),
                entry,
            },
        ))
    }

    /// A module of one instruction whose operands are its parameters.
    fn lone_module(&mut self, input: &'a str) -> Parsed<'a, Module> {
        self.lone_instruction = true;
        let mut members = Vec::new();
        let mut root = None;
        let rest = if shape::starts_shape(input) {
            self.right_side(input, Some("_"), Span::default(), &mut members)?
                .0
        } else {
            self.instruction(input, &mut members, &mut root)?.0
        };
        if !skip(rest).is_empty() {
            return expected(rest, "the end of the text after a lone instruction");
        }
        let Some(&root) = members.last() else {
            return expected(input, "an instruction");
        };
        let parameters = self.parameters(&members, input);
        let entry = self.computations.push(Computation {
            name: "_".into(),
            instructions: members,
            parameters,
            root,
            attributes: Vec::new(),
            span: Span::default(),
        });
        self.adopt(entry);
        self.check_starts();
        self.name_entry_first(entry);
        let attribute = |name: &str, value| Attribute {
            name: name.into(),
            value,
            span: Span::default(),
        };
        let row_major = |id: &InstructionId| Arc::new(self.instructions[*id].shape.row_major());
        let layout = AttributeValue::Signature(
            self.computations[entry]
                .parameters
                .iter()
                .map(row_major)
                .collect(),
            row_major(&root),
        );
        let attributes = vec![
            attribute("is_scheduled", AttributeValue::Bool(true)),
            attribute("entry_computation_layout", layout),
        ];
        Ok((
            rest,
            Module {
                name: "_".to_owned(),
                attributes,
                source_tables: Vec::new(),
                computations: std::mem::take(&mut self.computations),
                instructions: std::mem::take(&mut self.instructions),
                entry,
            },
        ))
    }

    /// Makes names unique in such a way that those of the entry stay.
    fn name_entry_first(&mut self, entry: ComputationId) {
        let (mut computations, mut instructions) = (NameUniquer::default(), NameUniquer::default());
        let others: Vec<_> = self.computations.keys().filter(|&c| c != entry).collect();
        for id in std::iter::once(entry).chain(others) {
            let computation = &mut self.computations[id];
            computation.name = computations.unique(&computation.name);
            for &member in &computation.instructions {
                let instruction = &mut self.instructions[member];
                instruction.name = instructions.unique(&instruction.name);
            }
        }
    }

    /// Tells the instructions of a computation that they are.
    fn adopt(&mut self, id: ComputationId) {
        for &member in &self.computations[id].instructions {
            self.instructions[member].parent = id;
        }
    }

    fn computation(&mut self, input: &'a str) -> Parsed<'a, ()> {
        let entry = keyword(input, "ENTRY");
        let start = entry.unwrap_or(input);
        let (after_name, computation_name) = name(start, "a computation's name")?;
        let span = self.word_span(
            computation_name,
            after_name.strip_prefix(':').unwrap_or(after_name),
        );
        if entry.is_some() && self.entry.is_some() {
            self.errors.push(ParseError::Invalid {
                message: "a second computation is marked `ENTRY`".to_owned(),
                at: self.span(input, start),
            });
        }
        let mut rest = after_name;
        let mut result = None;
        if peek(rest) == Some(b'(') {
            let (next, _) = lex::list(rest, "(", ")", |i| {
                let (rest, _) = name(i, "a parameter's name")?;
                let rest = after(rest, ":").unwrap_or(rest);
                shape::shape(self.text, rest)
            })?;
            let (next, ()) = punct(next, "->")?;
            let (end, shape) = shape::shape(self.text, next)?;
            result = Some((shape, self.span(next, end)));
            rest = end;
        }
        let errors_before = self.errors.len();
        let (rest, id) = self.body(rest, computation_name, span)?;
        let (rest, attributes) = self.attributes(rest, "computation", spec::COMPUTATION, &[])?;
        if let Some(computation) = self.computations.get_mut(id) {
            computation.attributes = attributes;
            let root = self.instructions.get(computation.root);
            if let (Some((declared, at)), Some(root)) = (result, root)
                && self.errors.len() == errors_before
                && !declared.same_dims(&root.shape)
            {
                self.errors.push(ParseError::ShapeMismatch {
                    what: format!("the result of `{computation_name}`"),
                    expected: root.shape.to_string(),
                    found: declared.to_string(),
                    at,
                });
            }
        }
        if let Some(&first) = self.computation_names.get(computation_name) {
            self.errors.push(ParseError::Duplicate {
                what: "computation",
                name: computation_name.to_owned(),
                at: span,
                first: self
                    .computations
                    .get(first)
                    .map(|c| c.span)
                    .unwrap_or_default(),
            });
        }
        self.computation_names.insert(computation_name, id);
        if entry.is_some() {
            self.entry = Some(id);
        }
        Ok((rest, ()))
    }

    /// `body`: instructions in a scope of their own.
    fn body(&mut self, input: &'a str, name: &'a str, span: Span) -> Parsed<'a, ComputationId> {
        let (mut rest, ()) = punct(input, "{")?;
        self.nested(input)?;
        let outer = std::mem::take(&mut self.scope);
        let mut members = Vec::new();
        let mut root: Option<(InstructionId, Span)> = None;
        while peek(rest) != Some(b'}') || members.is_empty() {
            if peek(rest).is_none() && !members.is_empty() {
                return expected(rest, "an instruction or `}`");
            }
            match self.instruction(rest, &mut members, &mut root) {
                Ok((next, ())) => rest = next,
                Err(error) => {
                    self.record(error);
                    // Progress is certain: the line is longer than nothing.
                    match next_instruction(rest) {
                        Some(next) if self.errors.len() < MAX_ERRORS => rest = next,
                        _ => return self.give_up(),
                    }
                    if peek(rest) == Some(b'}') {
                        break;
                    }
                }
            }
        }
        let (rest, ()) = punct(rest, "}")?;
        self.scope = outer;
        self.nesting -= 1;
        let parameters = self.parameters(&members, input);
        let last = members.last().copied();
        let Some(root) = root.map(|(id, _)| id).or(last) else {
            return self.give_up();
        };
        let id = self.computations.push(Computation {
            name: name.into(),
            instructions: members,
            parameters,
            root,
            attributes: Vec::new(),
            span,
        });
        self.adopt(id);
        Ok((rest, id))
    }

    /// Ends the run after errors that have been recorded.
    fn give_up<T>(&mut self) -> Parsed<'a, T> {
        match self.errors.pop() {
            Some(error) => lex::fail(error).map(|never: (&str, T)| never),
            None => expected("", "an instruction"),
        }
    }

    /// Enters one level of nesting.
    fn nested(&mut self, input: &str) -> Result<(), nom::Err<Fault>> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let start = skip(input);
            return lex::fail(ParseError::TooDeep {
                limit: MAX_NESTING,
                at: self.span(start, start.get(1..).unwrap_or("")),
            });
        }
        Ok(())
    }

    /// Parameters in the order of their numbers, which must be all from 0 on.
    fn parameters(&mut self, members: &[InstructionId], input: &str) -> Vec<InstructionId> {
        let mut numbered: Vec<(u64, InstructionId)> = members
            .iter()
            .filter_map(|&id| match self.instructions[id].payload {
                Payload::Parameter(number) => Some((number, id)),
                Payload::None | Payload::Constant(_) => None,
            })
            .collect();
        numbered.sort_unstable();
        for pair in numbered.windows(2) {
            if let [(a, first), (b, second)] = *pair
                && a == b
            {
                self.errors.push(ParseError::Duplicate {
                    what: "parameter number",
                    name: a.to_string(),
                    at: self.instructions[second].span,
                    first: self.instructions[first].span,
                });
                return Vec::new();
            }
        }
        if let Some((missing, _)) = (0u64..).zip(&numbered).find(|(i, (n, _))| i != n)
            && self.errors.is_empty()
        {
            self.errors.push(ParseError::Invalid {
                message: format!("parameter {missing} is missing"),
                at: self.span(input, skip(input).get(1..).unwrap_or("")),
            });
        }
        numbered.into_iter().map(|(_, id)| id).collect()
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

    fn attributes(
        &mut self,
        input: &'a str,
        owner: &'static str,
        own: &[spec::Spec],
        common: &[spec::Spec],
    ) -> Parsed<'a, Vec<Attribute>> {
        let mut rest = input;
        let mut attributes: Vec<Attribute> = Vec::new();
        while let Some(next) = after(rest, ",") {
            let (end, attribute) = self.attribute(next, owner, own, common)?;
            rest = end;
            let Some(attribute) = attribute else {
                continue;
            };
            if let Some(first) = attributes.iter().find(|a| a.name == attribute.name) {
                return lex::fail(ParseError::Duplicate {
                    what: "attribute",
                    name: attribute.name.to_string(),
                    at: attribute.span,
                    first: first.span,
                });
            }
            attributes.push(attribute);
        }
        Ok((rest, attributes))
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
    if bytes.get(i) == Some(&b'{')
        && bytes
            .get(i + 1)
            .is_some_and(|b| b.is_ascii_digit() || *b == b':')
    {
        i += bytes.get(i..)?.iter().position(|&b| b == b'}')? + 1;
    }
    start.split_at_checked(i)
}

/// The rest at the next line that begins an instruction or ends the body.
fn next_instruction(input: &str) -> Option<&str> {
    let mut rest = skip(input);
    loop {
        let line = rest.find('\n')?;
        rest = rest.get(line + 1..)?;
        let start = skip(rest);
        if start.starts_with('}') {
            return Some(start);
        }
        let named = keyword(start, "ROOT").unwrap_or(start);
        if let Ok((after_name, _)) = name(named, "")
            && peek(after_name) == Some(b'=')
        {
            return Some(start);
        }
        if start.is_empty() {
            return None;
        }
    }
}

fn source_tables(input: &str) -> Parsed<'_, Vec<SourceTable>> {
    let mut rest = input;
    let mut tables = Vec::new();
    'tables: loop {
        for title in ["FileNames", "FunctionNames", "FileLocations", "StackFrames"] {
            let Some(mut next) = keyword(rest, title) else {
                continue;
            };
            let mut rows = Vec::new();
            while peek(next).is_some_and(|b| b.is_ascii_digit()) {
                let (value, number) = integer(next)?;
                let mut row = String::new();
                let (end, ()) = match title {
                    "FileNames" | "FunctionNames" => {
                        let (end, text) = string(value)?;
                        // Writing to a string cannot fail.
                        let _ = print_quoted(&mut row, &text);
                        (end, ())
                    }
                    _ => raw::structure(value, &mut row)?,
                };
                rows.push((number as u64, row));
                next = end;
            }
            tables.push(SourceTable {
                name: title.to_owned(),
                rows,
            });
            rest = next;
            continue 'tables;
        }
        return Ok((rest, tables));
    }
}

/// A value for a placeholder operand: names an instruction that is not there.
fn nowhere() -> InstructionId {
    use cranelift_entity::packed_option::ReservedValue;
    InstructionId::reserved_value()
}

/// Whether a text without a header is one instruction: `shape opcode(...)` or `name = ...`.
fn is_lone_instruction(input: &str) -> bool {
    if keyword(input, "ENTRY").is_some() {
        return false;
    }
    let start = keyword(input, "ROOT").unwrap_or(input);
    shape::starts_shape(start) || name(start, "").is_ok_and(|(rest, _)| peek(rest) == Some(b'='))
}
