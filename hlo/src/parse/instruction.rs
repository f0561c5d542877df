//! Instructions: see the grammar in [`super`].

use std::sync::Arc;

use super::error::{ParseError, suggest};
use super::lex::{Parsed, after, expected, fail, ident, integer, keyword, name, peek, punct, skip};
use super::shape::starts_shape;
use super::spec::{COMMON, attributes};
use super::{Parser, literal, nowhere};
use crate::attribute::Attribute;
use crate::module::{ComputationId, Instruction, InstructionId, Payload, Span};
use crate::opcode::Opcode;
use crate::shape::Shape;

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
        if own_name.starts_with("__") || super::lex::is_type_name(own_name) {
            self.errors.push(ParseError::Invalid {
                message: format!("`{own_name}` is reserved and cannot name an instruction"),
                at: span,
            });
        }
        let parsed = self.right_side(rest, own_name, span, members, true);
        let (rest, id) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                // Later uses of the name are not to blame.
                self.scope.entry(own_name).or_insert(nowhere());
                return Err(error);
            }
        };
        if let Some(&first) = self.scope.get(own_name)
            && let Some(first) = self.instructions.get(first)
        {
            self.errors.push(ParseError::Duplicate {
                what: "instruction",
                name: own_name.to_owned(),
                at: span,
                first: first.span,
            });
        }
        self.scope.insert(own_name, id);
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

    /// What follows the `=`; also an operand written in place, which takes no attributes.
    fn right_side(
        &mut self,
        input: &'a str,
        own_name: &str,
        span: Span,
        members: &mut Vec<InstructionId>,
        takes_attributes: bool,
    ) -> Parsed<'a, InstructionId> {
        let (rest, shape) = if starts_shape(input) {
            let (rest, shape) = self.shape(input)?;
            (rest, Some(shape))
        } else {
            (input, None)
        };
        let (rest, opcode) = self.opcode(rest)?;
        let (rest, (operands, payload)) = self.arguments(rest, opcode, shape.as_ref(), members)?;
        let (rest, attributes) = if takes_attributes {
            self.attributes(rest, opcode.name(), attributes(opcode), COMMON)?
        } else {
            (rest, Vec::new())
        };
        self.finish(
            rest, own_name, span, opcode, shape, operands, payload, attributes, members,
        )
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of an instruction")]
    fn finish(
        &mut self,
        rest: &'a str,
        own_name: &str,
        span: Span,
        opcode: Opcode,
        shape: Option<Arc<Shape>>,
        operands: Vec<InstructionId>,
        payload: Payload,
        given: Vec<Attribute>,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        for spec in attributes(opcode).iter().filter(|s| s.required) {
            if !given.iter().any(|a| &*a.name == spec.name) {
                return fail(ParseError::MissingAttribute {
                    owner: opcode.name().to_owned(),
                    name: spec.name,
                    at: span,
                });
            }
        }
        let Some(shape) = shape else {
            return fail(ParseError::Invalid {
                message: format!(
                    "the shape of `{own_name}` must be stated: that of a {opcode} cannot be inferred"
                ),
                at: span,
            });
        };
        let id = self.instructions.push(Instruction {
            name: own_name.into(),
            shape,
            opcode,
            operands,
            payload,
            attributes: given,
            // Known when the computation ends.
            parent: ComputationId::from_u32(0),
            span,
        });
        members.push(id);
        Ok((rest, id))
    }

    fn opcode(&mut self, input: &'a str) -> Parsed<'a, Opcode> {
        let (rest, word) = ident(input, "an opcode")?;
        match Opcode::from_name(word) {
            Some(opcode) => Ok((rest, opcode)),
            None => fail(ParseError::UnknownOpcode {
                name: word.to_owned(),
                suggestion: suggest(word, Opcode::ALL.iter().map(|o| o.name())),
                at: self.word_span(word, rest),
            }),
        }
    }

    /// What stands between the parentheses.
    fn arguments(
        &mut self,
        input: &'a str,
        opcode: Opcode,
        shape: Option<&Arc<Shape>>,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, (Vec<InstructionId>, Payload)> {
        let (rest, ()) = punct(input, "(")?;
        match opcode {
            Opcode::Parameter => {
                let (end, number) = integer(rest)?;
                let Ok(number) = u64::try_from(number) else {
                    return expected(rest, "a parameter number, at least 0");
                };
                let (end, ()) = punct(end, ")")?;
                Ok((end, (Vec::new(), Payload::Parameter(number))))
            }
            Opcode::Constant => {
                let Some(shape) = shape else {
                    return expected(input, "the constant's shape before `constant`");
                };
                let (rest, value) = literal::literal(self.text, rest, shape)?;
                let (rest, ()) = punct(rest, ")")?;
                Ok((rest, (Vec::new(), Payload::Constant(Arc::new(value)))))
            }
            _ => {
                let (rest, operands) = self.operands(rest, members)?;
                Ok((rest, (operands, Payload::None)))
            }
        }
    }

    /// `operands ')'`.
    fn operands(
        &mut self,
        input: &'a str,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, Vec<InstructionId>> {
        let mut rest = input;
        let mut operands = Vec::new();
        loop {
            if let Some(end) = after(rest, ")") {
                return Ok((end, operands));
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
        let is_name = skip(after_shape).starts_with('%');
        if !is_name
            && let Ok((rest, word)) = ident(after_shape, "an operand")
            && peek(rest) == Some(b'(')
            && Opcode::from_name(word).is_some()
        {
            return self.operand_in_place(input, word, rest, members);
        }
        let (rest, used) = name(after_shape, "an operand")?;
        let at = self.word_span(used, rest);
        let Some(&id) = self.scope.get(used) else {
            self.errors.push(self.undefined("instruction", used, at));
            return Ok((rest, nowhere()));
        };
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

    fn operand_in_place(
        &mut self,
        input: &'a str,
        word: &'a str,
        rest: &'a str,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        self.nested(input)?;
        let span = self.word_span(word, rest);
        let base = format!("{word}.anon");
        let mut unique = base.clone();
        let mut suffix = 0usize;
        let taken = |unique: &str, parser: &Self| {
            parser.scope.contains_key(unique)
                || members
                    .iter()
                    .any(|&m| *parser.instructions[m].name == *unique)
        };
        while taken(&unique, self) {
            suffix += 1;
            unique = format!("{base}.{suffix}");
        }
        let parsed = self.right_side(input, &unique, span, members, false)?;
        self.nesting -= 1;
        Ok(parsed)
    }
}
