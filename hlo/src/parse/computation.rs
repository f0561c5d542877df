//! Modules and computations: see the grammar in [`super`].

use std::sync::Arc;

use super::error::{Fault, ParseError};
use super::lex::{
    self, Parsed, after, expected, integer, keyword, name, peek, punct, skip, string,
};
use super::{MAX_ERRORS, MAX_NESTING, Parser, raw, shape, spec};
use crate::attribute::{Attribute, AttributeValue, Signature};
use crate::canonical::NameUniquer;
use crate::module::{
    Computation, ComputationId, InstructionId, Module, Payload, SourceTable, Span,
};
use crate::print::print_quoted;

/// Names that a table of names has room for when it is used again.
const MAX_SPARE_NAMES: usize = 512;

impl<'a> Parser<'a> {
    pub(super) fn module(&mut self) -> Parsed<'a, Module> {
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
        self.instructions.shrink_to_fit();
        let entry = match (self.entry, self.computations.last()) {
            (Some(entry), _) => entry,
            (None, Some((last, _))) => last,
            (None, None) => return expected(rest, "a computation"),
        };
        self.check_starts();
        self.put_on_threads();
        let stated = |a: &Attribute| a.name == "entry_computation_layout";
        if !attributes.iter().any(stated) && self.errors.is_empty() {
            let shape = |id: &InstructionId| self.instructions[*id].shape.clone();
            let entry = &self.computations[entry];
            attributes.push(Attribute {
                name: "entry_computation_layout",
                value: AttributeValue::Signature(Box::new(Signature {
                    parameters: entry.parameters.iter().map(shape).collect(),
                    result: shape(&entry.root),
                })),
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
        self.put_on_threads();
        self.name_entry_first(entry);
        let attribute = |name, value| Attribute {
            name,
            value,
            span: Span::default(),
        };
        let row_major = |id: &InstructionId| Arc::new(self.instructions[*id].shape.row_major());
        let layout = AttributeValue::Signature(Box::new(Signature {
            parameters: self.computations[entry]
                .parameters
                .iter()
                .map(row_major)
                .collect(),
            result: row_major(&root),
        }));
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
    pub(super) fn adopt(&mut self, id: ComputationId) {
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
            let (next, ()) = lex::each(rest, "(", ")", |i| {
                let (rest, _) = name(i, "a parameter's name")?;
                let rest = after(rest, ":").unwrap_or(rest);
                Ok((self.shape(rest)?.0, ()))
            })?;
            let (next, ()) = punct(next, "->")?;
            let (end, shape) = self.shape(next)?;
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
    pub(super) fn body(
        &mut self,
        input: &'a str,
        name: &'a str,
        span: Span,
    ) -> Parsed<'a, ComputationId> {
        let (rest, ()) = punct(input, "{")?;
        self.nested(input)?;
        let spare = std::mem::take(&mut self.spare_scope);
        let outer = std::mem::replace(&mut self.scope, spare);
        let parsed = self.members(rest);
        let mut spare = std::mem::replace(&mut self.scope, outer);
        // A large table takes longer to empty than the next computation may be worth.
        if spare.capacity() <= MAX_SPARE_NAMES {
            spare.clear();
            self.spare_scope = spare;
        }
        self.nesting -= 1;
        let (rest, (members, root)) = parsed?;
        let parameters = self.parameters(&members, input);
        let Some(root) = root.or(members.last().copied()) else {
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

    /// `instruction+ '}'`, and the instruction marked `ROOT`.
    fn members(
        &mut self,
        input: &'a str,
    ) -> Parsed<'a, (Vec<InstructionId>, Option<InstructionId>)> {
        let mut rest = input;
        let mut members = Vec::new();
        let mut root: Option<(InstructionId, Span)> = None;
        let nesting = self.nesting;
        while peek(rest) != Some(b'}') || members.is_empty() {
            if peek(rest).is_none() && !members.is_empty() {
                return expected(rest, "an instruction or `}`");
            }
            match self.instruction(rest, &mut members, &mut root) {
                Ok((next, ())) => rest = next,
                Err(error) => {
                    self.record(error);
                    self.nesting = nesting;
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
        Ok((rest, (members, root.map(|(id, _)| id))))
    }

    /// Ends the run after errors that have been recorded.
    fn give_up<T>(&mut self) -> Parsed<'a, T> {
        match self.errors.pop() {
            Some(error) => lex::fail(error).map(|never: (&str, T)| never),
            None => expected("", "an instruction"),
        }
    }

    /// Enters one level of nesting.
    pub(super) fn nested(&mut self, input: &str) -> Result<(), nom::Err<Fault>> {
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

/// Whether a text without a header is one instruction: `shape opcode(...)` or `name = ...`.
fn is_lone_instruction(input: &str) -> bool {
    if keyword(input, "ENTRY").is_some() {
        return false;
    }
    let start = keyword(input, "ROOT").unwrap_or(input);
    shape::starts_shape(start) || name(start, "").is_ok_and(|(rest, _)| peek(rest) == Some(b'='))
}
