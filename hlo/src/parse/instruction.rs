//! Instructions: see the grammar in [`super`].

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::error::{ParseError, suggest};
use super::lex::{Parsed, after, expected, fail, ident, integer, keyword, name, peek, punct, skip};
use super::shape::starts_shape;
use super::spec::{COMMON, CONDITIONAL_ON_INDEX, CONDITIONAL_ON_PRED, Spec, attributes};
use super::{Parser, literal, nowhere};
use crate::attribute::{Attribute, AttributeValue};
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, InstructionId, Name, Payload, Span};
use crate::opcode::Opcode;
use crate::shape::{PrimitiveType, Shape};

/// Few instructions have more, and those of the list itself are in no allocation of their own.
type Operands = SmallVec<[InstructionId; 4]>;

/// An instruction of which everything is read and nothing is concluded.
pub(super) struct Draft<'n> {
    /// `None` for an operand written in place.
    pub(super) name: Option<&'n str>,
    pub(super) span: Span,
    pub(super) opcode: Opcode,
    pub(super) shape: Option<Arc<Shape>>,
    pub(super) operands: Operands,
    pub(super) payload: Payload,
    pub(super) attributes: Vec<Attribute>,
}

/// An opcode, or one inside `-start`, `-update` or `-done`.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) opcode: Opcode,
    pub(super) wrapped: Option<Opcode>,
}

impl<'a> Parser<'a> {
    /// `instruction`, appended to `members`.
    pub(super) fn instruction(
        &mut self,
        input: &'a str,
        members: &mut Vec<InstructionId>,
        root: &mut Option<(InstructionId, Span)>,
    ) -> Parsed<'a, ()> {
        let marked = keyword(input, "ROOT");
        let start = marked.unwrap_or(input);
        let (rest, own_name) = name(start, "an instruction's name")?;
        let span = self.word_span(own_name, rest);
        let (rest, ()) = punct(rest, "=")?;
        let reserved = own_name.starts_with("__") && !own_name.starts_with("__xla_");
        if reserved || super::lex::is_type_name(own_name) {
            self.errors.push(ParseError::Invalid {
                message: format!("`{own_name}` is reserved and cannot name an instruction"),
                at: span,
            });
        }
        let parsed = self.right_side(rest, Some(own_name), span, members);
        let (rest, id) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                // Later uses of the name are not to blame.
                self.scope.entry(own_name).or_insert(nowhere());
                return Err(error);
            }
        };
        if let Some(first) = self.scope.insert(own_name, id)
            && let Some(first) = self.instructions.get(first)
        {
            self.errors.push(ParseError::Duplicate {
                what: "instruction",
                name: own_name.to_owned(),
                at: span,
                first: first.span,
            });
        }
        if marked.is_some()
            && let Some((_, first)) = root.replace((id, span))
        {
            self.errors.push(ParseError::Duplicate {
                what: "mark",
                name: "ROOT".to_owned(),
                at: span,
                first,
            });
        }
        Ok((rest, ()))
    }

    /// What follows the `=`; without a name an operand written in place, which takes no
    /// attributes.
    pub(super) fn right_side(
        &mut self,
        input: &'a str,
        own_name: Option<&str>,
        span: Span,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        let (rest, shape) = if starts_shape(input) {
            let (rest, shape) = self.shape(input)?;
            (rest, Some(shape))
        } else {
            (input, None)
        };
        let (rest, operation) = self.operation(rest)?;
        let opcode = operation.opcode;
        let mut draft = Draft {
            name: own_name,
            span,
            opcode,
            shape,
            operands: Operands::new(),
            payload: Payload::None,
            attributes: Vec::new(),
        };
        let (rest, ()) = self.arguments(rest, &mut draft, members)?;
        if let Some(wrapped) = operation.wrapped {
            return self.asynchronous(rest, draft, wrapped, members);
        }
        let specs = self.specs(&draft);
        let mut rest = rest;
        if own_name.is_some() {
            (rest, draft.attributes) = self.attributes(rest, opcode.name(), specs, COMMON)?;
        }
        for spec in specs.iter().filter(|s| s.required) {
            if !draft.attributes.iter().any(|a| a.name == spec.name) {
                return fail(ParseError::MissingAttribute {
                    owner: opcode.name().to_owned(),
                    name: spec.name,
                    at: span,
                });
            }
        }
        let id = self.complete_instruction(draft, members)?;
        Ok((rest, id))
    }

    /// The attributes of an instruction; those of a conditional depend on its first operand.
    fn specs(&self, draft: &Draft<'_>) -> &'static [Spec] {
        if draft.opcode == Opcode::Conditional {
            let selector = draft
                .operands
                .first()
                .and_then(|&o| self.instructions.get(o));
            match selector.and_then(|s| s.array()).map(|a| a.element) {
                Some(PrimitiveType::Pred) => return CONDITIONAL_ON_PRED,
                Some(_) => return CONDITIONAL_ON_INDEX,
                None => {}
            }
        }
        attributes(draft.opcode)
    }

    /// Checks and defaults of the parser, then the table.
    pub(super) fn complete_instruction(
        &mut self,
        mut draft: Draft<'_>,
        members: &mut Vec<InstructionId>,
    ) -> Result<InstructionId, nom::Err<super::error::Fault>> {
        let sound = draft
            .operands
            .iter()
            .all(|&operand| self.instructions.get(operand).is_some());
        // Of operands that are in error nothing can be concluded.
        if sound && let Err(message) = self.conclude(&mut draft) {
            return fail(ParseError::Invalid {
                message,
                at: draft.span,
            });
        }
        Ok(self.add_instruction(draft, members))
    }

    /// Adds an instruction to the table, with or without a name of its own.
    pub(super) fn add_instruction(
        &mut self,
        draft: Draft<'_>,
        members: &mut Vec<InstructionId>,
    ) -> InstructionId {
        let shape = match draft.shape {
            Some(shape) => shape,
            None => self.share(Shape::Token),
        };
        let name: Name = match draft.name {
            Some(name) => {
                let name = Name::new(name);
                if let Some(names) = &mut self.names {
                    names.unique(&name);
                }
                name
            }
            None => self.anonymous_name(draft.opcode),
        };
        let updated = (draft.opcode == Opcode::AsyncUpdate)
            .then(|| self.started(*draft.operands.first()?))
            .flatten();
        let id = self.instructions.push(Instruction {
            name,
            shape,
            opcode: draft.opcode,
            operands: draft.operands,
            payload: draft.payload,
            attributes: draft.attributes,
            // Known when the computation ends.
            parent: ComputationId::from_u32(0),
            span: draft.span,
        });
        self.updated.extend(updated.map(|start| (id, start)));
        if draft.opcode == Opcode::AsyncStart {
            self.starts.push(id);
        }
        members.push(id);
        id
    }

    /// A name for an operand written in place, new in the whole module.
    fn anonymous_name(&mut self, opcode: Opcode) -> Name {
        let names = self.names.get_or_insert_with(|| {
            let mut names = crate::canonical::NameUniquer::default();
            for instruction in self.instructions.values() {
                names.unique(&instruction.name);
            }
            names
        });
        names.unique(&format!("{opcode}.anon").into())
    }

    fn operation(&mut self, input: &'a str) -> Parsed<'a, Operation> {
        let (rest, word) = ident(input, "an opcode")?;
        if let Some(opcode) = Opcode::from_name(word) {
            return Ok((
                rest,
                Operation {
                    opcode,
                    wrapped: None,
                },
            ));
        }
        for (suffix, opcode) in [
            ("-start", Opcode::AsyncStart),
            ("-update", Opcode::AsyncUpdate),
            ("-done", Opcode::AsyncDone),
        ] {
            if let Some(wrapped) = word.strip_suffix(suffix).and_then(Opcode::from_name)
                && wrapped.has_asynchronous_form()
            {
                return Ok((
                    rest,
                    Operation {
                        opcode,
                        wrapped: Some(wrapped),
                    },
                ));
            }
        }
        fail(ParseError::UnknownOpcode {
            name: word.to_owned(),
            suggestion: suggest(word, Opcode::ALL.iter().map(|o| o.name())),
            at: self.word_span(word, rest),
        })
    }

    /// What stands between the parentheses.
    fn arguments(
        &mut self,
        input: &'a str,
        draft: &mut Draft<'_>,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, ()> {
        let (rest, ()) = punct(input, "(")?;
        match draft.opcode {
            Opcode::Parameter => {
                let (end, number) = integer(rest)?;
                let Ok(number) = u64::try_from(number) else {
                    return expected(rest, "a parameter number, at least 0");
                };
                draft.payload = Payload::Parameter(number);
                punct(end, ")")
            }
            Opcode::Constant => {
                let Some(shape) = &draft.shape else {
                    return expected(input, "the constant's shape before `constant`");
                };
                let (rest, value) = self.constant(rest, shape)?;
                draft.payload = Payload::Constant(value);
                punct(rest, ")")
            }
            _ => self.operands(rest, &mut draft.operands, members),
        }
    }

    /// The value of a constant. Scalars of equal text and shape share it, for there are many.
    fn constant(&mut self, input: &'a str, shape: &Arc<Shape>) -> Parsed<'a, Arc<Literal>> {
        let scalar = shape.as_array().is_some_and(|array| array.rank() == 0);
        // The shapes live as long as the parser, so that their addresses tell them apart.
        let key = scalar
            .then(|| input.split_once(')'))
            .flatten()
            .map(|(text, _)| (Arc::as_ptr(shape) as usize, text));
        if let Some(key) = key
            && let Some(known) = self.constants.get(&key)
        {
            return Ok((input.get(key.1.len()..).unwrap_or(""), known.clone()));
        }
        let (rest, value) = literal::literal(self.text, input, shape)?;
        let value = Arc::new(value);
        if let Some(key) = key
            && input.len() - rest.len() == key.1.len()
        {
            self.constants.insert(key, value.clone());
        }
        Ok((rest, value))
    }

    /// `operands ')'`.
    fn operands(
        &mut self,
        input: &'a str,
        operands: &mut Operands,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, ()> {
        let mut rest = input;
        loop {
            if let Some(end) = after(rest, ")") {
                return Ok((end, ()));
            }
            let (next, operand) = self.operand(rest, members)?;
            operands.push(operand);
            rest = match after(next, ",") {
                Some(next) => next,
                None if peek(next) == Some(b')') => next,
                None => return expected(next, "`,` or `)`"),
            };
        }
    }

    fn operand(
        &mut self,
        input: &'a str,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        let (after_shape, declared) = if starts_shape(input) {
            let (rest, shape) = self.shape(input)?;
            (rest, Some(shape))
        } else {
            (input, None)
        };
        let start = skip(after_shape);
        if !start.starts_with('%') {
            if let Ok((rest, word)) = ident(start, "an operand")
                && peek(rest) == Some(b'(')
            {
                return self.operand_in_place(input, word, rest, members);
            }
            // The operand of a lone instruction may be a shape and nothing else.
            if let (Some(shape), Some(b',' | b')')) = (&declared, peek(start))
                && self.lone()
            {
                let name = format!("_{}", self.lone_parameters);
                let id = self.lone_parameter(&name, shape.clone(), members);
                return Ok((start, id));
            }
        }
        // XLA lets a comma stand between an operand's shape and its name.
        let separated = declared.as_ref().and_then(|_| after(after_shape, ","));
        let (rest, used) = name(separated.unwrap_or(after_shape), "an operand")?;
        let at = self.word_span(used, rest);
        let id = match self.scope.get(used) {
            Some(&id) => id,
            None => match &declared {
                Some(shape) if self.lone() => {
                    let id = self.lone_parameter(used, shape.clone(), members);
                    self.scope.insert(used, id);
                    id
                }
                _ => {
                    let error = self.undefined("instruction", used, at);
                    self.errors.push(error);
                    return Ok((rest, nowhere()));
                }
            },
        };
        let (rest, id) = self.elements(rest, id, at, members)?;
        if let (Some(declared), Some(instruction)) = (declared, self.instructions.get(id))
            && !Arc::ptr_eq(&declared, &instruction.shape)
            && !declared.same_dims(&instruction.shape)
        {
            self.errors.push(ParseError::ShapeMismatch {
                what: format!("operand `{used}`"),
                expected: instruction.shape.to_string(),
                found: declared.to_string(),
                at: self.span(input, after_shape),
            });
        }
        Ok((rest, id))
    }

    /// `#0#1` after a name: elements of a tuple.
    fn elements(
        &mut self,
        input: &'a str,
        tuple: InstructionId,
        at: Span,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        let (mut rest, mut id) = (input, tuple);
        while let Some(next) = rest.strip_prefix('#') {
            let (end, index) = integer(next)?;
            let draft = Draft {
                name: None,
                span: at,
                opcode: Opcode::GetTupleElement,
                shape: None,
                operands: smallvec![id],
                payload: Payload::None,
                attributes: vec![Attribute {
                    name: "index",
                    value: AttributeValue::Integer(index),
                    span: self.span(next, end),
                }],
            };
            id = self.complete_instruction(draft, members)?;
            rest = end;
        }
        Ok((rest, id))
    }

    fn operand_in_place(
        &mut self,
        input: &'a str,
        word: &'a str,
        rest: &'a str,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        self.nested(input)?;
        let span = self.word_span(word, rest);
        let parsed = self.right_side(input, None, span, members)?;
        self.nesting -= 1;
        Ok(parsed)
    }

    /// Whether operands without a definition become parameters.
    fn lone(&self) -> bool {
        self.lone_instruction && self.nesting == 0
    }

    fn lone_parameter(
        &mut self,
        name: &str,
        shape: Arc<Shape>,
        members: &mut Vec<InstructionId>,
    ) -> InstructionId {
        let number = self.lone_parameters;
        self.lone_parameters += 1;
        let id = self.instructions.push(Instruction {
            name: name.into(),
            shape,
            opcode: Opcode::Parameter,
            operands: Operands::new(),
            payload: Payload::Parameter(number),
            attributes: Vec::new(),
            parent: ComputationId::from_u32(0),
            span: Span::default(),
        });
        members.push(id);
        id
    }
}
