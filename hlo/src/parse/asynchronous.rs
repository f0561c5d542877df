//! Asynchronous operations.
//!
//! `op-start(...)`, `op-update(...)` and `op-done(...)` stand for `async-start`, `async-update` and
//! `async-done` of a computation that holds nothing but the operation. The parser writes that
//! computation out; the printer folds it back.

use std::sync::Arc;

use cranelift_entity::EntitySet;
use smallvec::SmallVec;

use super::Parser;
use super::error::{Fault, ParseError};
use super::instruction::Draft;
use super::lex::{Parsed, fail};
use super::spec::{COMMON, Spec, attributes};
use crate::attribute::{Attribute, AttributeValue};
use crate::module::{Computation, ComputationId, Instruction, InstructionId, Name, Payload};
use crate::opcode::Opcode;
use crate::shape::Shape;

/// Attributes that the started operation and the operation in the computation both have.
pub(crate) const SHARED: [&str; 4] = [
    "metadata",
    "origin",
    "backend_config",
    "frontend_attributes",
];

impl<'a> Parser<'a> {
    /// An operation in `-start`, `-update` or `-done`, from its attributes on.
    pub(super) fn asynchronous(
        &mut self,
        input: &'a str,
        mut draft: Draft<'_>,
        wrapped: Opcode,
        members: &mut Vec<InstructionId>,
    ) -> Parsed<'a, InstructionId> {
        let starts = draft.opcode == Opcode::AsyncStart;
        let mut specs: Vec<Spec> = attributes(draft.opcode)
            .iter()
            .copied()
            .filter(|s| s.name != "calls")
            .collect();
        if starts {
            specs.extend_from_slice(attributes(wrapped));
        }
        let mut rest = input;
        if draft.name.is_some() {
            (rest, draft.attributes) = self.attributes(rest, wrapped.name(), &specs, COMMON)?;
        }
        if starts {
            self.start(&mut draft, wrapped)?;
        } else if let Some(start) = draft.operands.first().and_then(|&o| self.started(o)) {
            let found = self.wrapped_opcode(start);
            if found != Some(wrapped) {
                return fail(ParseError::Invalid {
                    message: format!(
                        "expected `{}` of what was started, found `{wrapped}`",
                        found.map_or("an operation", Opcode::name)
                    ),
                    at: draft.span,
                });
            }
        }
        let id = self.complete_instruction(draft, members)?;
        Ok((rest, id))
    }

    /// Writes out the computation of an `op-start`.
    fn start(&mut self, draft: &mut Draft<'_>, wrapped: Opcode) -> Result<(), nom::Err<Fault>> {
        let Some(output) = draft.shape.as_deref().and_then(output_of).cloned() else {
            return fail(ParseError::Invalid {
                message: "the result of a start is ((operands), output, state ...)".to_owned(),
                at: draft.span,
            });
        };
        let own: Vec<&str> = attributes(wrapped).iter().map(|s| s.name).collect();
        let (inner, mut outer): (Vec<Attribute>, Vec<Attribute>) = draft
            .attributes
            .drain(..)
            .partition(|a| own.contains(&a.name));
        let mut inner_attributes = inner;
        inner_attributes.extend(outer.iter().filter(|a| SHARED.contains(&a.name)).cloned());
        let shapes: Option<Vec<Arc<Shape>>> = draft
            .operands
            .iter()
            .map(|&o| Some(self.instructions.get(o)?.shape.clone()))
            .collect();
        let mut inside = Vec::new();
        let mut parameters = Vec::new();
        for (number, shape) in (0u64..).zip(shapes.unwrap_or_default()) {
            let id = self.instructions.push(Instruction {
                name: Name::new_static("async_param"),
                shape,
                opcode: Opcode::Parameter,
                operands: SmallVec::new(),
                payload: Payload::Parameter(number),
                attributes: Vec::new(),
                parent: ComputationId::from_u32(0),
                span: draft.span,
            });
            parameters.push(id);
            inside.push(id);
        }
        let output = self.share(output);
        let mut operation = Draft {
            name: Some("async_op"),
            span: draft.span,
            opcode: wrapped,
            shape: Some(output),
            operands: parameters.iter().copied().collect(),
            payload: Payload::None,
            attributes: inner_attributes,
        };
        // A start may bind some of the operands and leave the others to its updates: then the
        // operation itself is incomplete.
        let _ = self.conclude(&mut operation);
        let root = self.add_instruction(operation, &mut inside);
        let id = self.computations.push(Computation {
            name: Name::new_static("async_wrapped"),
            instructions: inside,
            parameters,
            root,
            attributes: Vec::new(),
            span: draft.span,
        });
        self.adopt(id);
        outer.push(Attribute {
            name: "calls",
            value: AttributeValue::Computation(id),
            span: draft.span,
        });
        draft.attributes = outer;
        Ok(())
    }

    /// The start of the chain that `id` belongs to.
    pub(super) fn started(&self, id: InstructionId) -> Option<InstructionId> {
        match self.instructions.get(id)?.opcode {
            Opcode::AsyncStart => Some(id),
            Opcode::AsyncUpdate => self.updated.get(&id).copied(),
            _ => None,
        }
    }

    fn wrapped_opcode(&self, start: InstructionId) -> Option<Opcode> {
        let called = self.instructions.get(start)?.called("calls")?;
        let root = self.computations.get(called)?.root;
        Some(self.instructions.get(root)?.opcode)
    }

    /// Rules of a chain of asynchronous operations.
    pub(super) fn check_chain(&mut self, draft: &mut Draft<'_>) -> Result<(), String> {
        let has_form = |shape: Option<&Shape>| shape.and_then(output_of).is_some();
        if draft.opcode != Opcode::AsyncDone && !has_form(draft.shape.as_deref()) {
            return Err(format!(
                "the result of {} is ((operands), output, state ...)",
                draft.opcode
            ));
        }
        if draft.opcode == Opcode::AsyncStart {
            return Ok(());
        }
        let start = draft
            .operands
            .first()
            .and_then(|&o| self.started(o))
            .and_then(|s| self.instructions.get(s));
        let Some(start) = start else {
            return Err(format!(
                "the first operand of {} must be what it continues, an async-start or async-update",
                draft.opcode
            ));
        };
        if draft.opcode == Opcode::AsyncDone && draft.operands.len() != 1 {
            return Err("async-done takes one operand".to_owned());
        }
        let thread = |attributes: &[Attribute]| {
            attributes
                .iter()
                .find(|a| a.name == "async_execution_thread")
                .map(|a| a.value.clone())
        };
        // What repeats the start says nothing; what contradicts it is wrong.
        let stated = thread(&draft.attributes);
        if stated.is_some() && stated != thread(&start.attributes) {
            return Err("the execution thread differs from that of the start".to_owned());
        }
        let called = draft.attributes.iter().find(|a| a.name == "calls");
        if called.is_some_and(|a| Some(&a.value) != start.attribute("calls")) {
            return Err("the computation differs from that of the start".to_owned());
        }
        draft
            .attributes
            .retain(|a| !matches!(a.name, "calls" | "async_execution_thread"));
        Ok(())
    }

    /// Every asynchronous computation has one start.
    pub(super) fn check_starts(&mut self) {
        let mut callers: hashbrown::HashMap<ComputationId, InstructionId> =
            hashbrown::HashMap::new();
        for &id in &self.starts {
            if let Some(instruction) = self.instructions.get(id)
                && let Some(called) = instruction.called("calls")
                && let Some(first) = callers.insert(called, id)
                && let (Some(first), Some(computation)) =
                    (self.instructions.get(first), self.computations.get(called))
            {
                self.errors.push(ParseError::Duplicate {
                    what: "start of computation",
                    name: computation.name.to_string(),
                    at: instruction.span,
                    first: first.span,
                });
            }
        }
    }

    /// Puts all that an asynchronous computation calls on the thread of its start, whatever the text states. Of several
    /// starts the last one counts: callers come after what they call.
    pub(super) fn put_on_threads(&mut self) {
        let mut placed = EntitySet::new();
        for &id in self.starts.iter().rev() {
            let Some(start) = self.instructions.get(id) else {
                continue;
            };
            let mut stated = start.attributes.iter();
            let thread = stated.find(|a| a.name == "async_execution_thread");
            let thread = thread.cloned();
            let mut pending: Vec<ComputationId> = start.called_computations().collect();
            while let Some(called) = pending.pop() {
                if !placed.insert(called) {
                    continue;
                }
                let Some(computation) = self.computations.get_mut(called) else {
                    continue;
                };
                set(
                    &mut computation.attributes,
                    "execution_thread",
                    thread.as_ref(),
                );
                for &member in &computation.instructions {
                    let Some(member) = self.instructions.get_mut(member) else {
                        continue;
                    };
                    if member.opcode == Opcode::AsyncStart {
                        set(
                            &mut member.attributes,
                            "async_execution_thread",
                            thread.as_ref(),
                        );
                    }
                    pending.extend(member.called_computations());
                }
            }
        }
    }
}

/// Gives the attribute `name` the value of another one, or takes it away.
fn set(attributes: &mut Vec<Attribute>, name: &'static str, like: Option<&Attribute>) {
    attributes.retain(|a| a.name != name);
    attributes.extend(like.map(|like| Attribute {
        name,
        ..like.clone()
    }));
}

/// The output in `((operands), output, state ...)`.
fn output_of(shape: &Shape) -> Option<&Shape> {
    match shape {
        Shape::Tuple(parts) => match parts.as_slice() {
            [Shape::Tuple(_), output, ..] => Some(output),
            _ => None,
        },
        Shape::Array(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => None,
    }
}
