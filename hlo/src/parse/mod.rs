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

mod attribute;
pub mod error;
mod instruction;
mod layout;
pub(crate) mod lex;
mod literal;
mod shape;
pub(crate) mod spec;
pub(crate) mod value;

use std::str::FromStr;
use std::sync::Arc;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use crate::attribute::Attribute;
use crate::module::{
    Computation, ComputationId, Instruction, InstructionId, Module, Payload, SourceTable, Span,
};
use crate::shape::Shape;
use error::{Fault, ParseError, ParseErrors, suggest};
use lex::{
    Parsed, after, expected, found_at, integer, keyword, name, peek, punct, raw_string, skip,
};

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
    entry: Option<ComputationId>,
    /// Open computations and operands written in place.
    nesting: usize,
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
            entry: None,
            nesting: 0,
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
        let (rest, id) = self.body(rest, computation_name, span)?;
        let (rest, attributes) = self.attributes(rest, "computation", spec::COMPUTATION, &[])?;
        if let Some(computation) = self.computations.get_mut(id) {
            computation.attributes = attributes;
            let root = self.instructions.get(computation.root);
            if let (Some((declared, at)), Some(root)) = (result, root)
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
        for &member in &self.computations[id].instructions {
            self.instructions[member].parent = id;
        }
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
        own: &'static [spec::Spec],
        common: &'static [spec::Spec],
    ) -> Parsed<'a, Vec<Attribute>> {
        let mut rest = input;
        let mut attributes: Vec<Attribute> = Vec::new();
        while let Some(next) = after(rest, ",") {
            let (end, attribute) = self.attribute(next, owner, own, common)?;
            if let Some(first) = attributes.iter().find(|a| a.name == attribute.name) {
                return lex::fail(ParseError::Duplicate {
                    what: "attribute",
                    name: attribute.name.to_string(),
                    at: attribute.span,
                    first: first.span,
                });
            }
            attributes.push(attribute);
            rest = end;
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
                let (end, row) = match title {
                    "FileNames" | "FunctionNames" => raw_string(value)?,
                    _ => value::balanced(value)?,
                };
                rows.push((number as u64, row.to_owned()));
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
