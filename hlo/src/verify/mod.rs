//! Checks that a module means something.
//!
//! The parser makes sure that a text is a graph; this module makes sure that every instruction of
//! the graph has a meaning. All broken rules of a module are found, each with its place:
//!
//! | rule | states |
//! |---|---|
//! | V1 | the graph is sound: operands are earlier instructions of the same computation, called computations are earlier computations, a computation's root is one of its instructions |
//! | V2 | an instruction has as many operands as its opcode takes |
//! | V3 | operands are of the kind that the opcode takes: array, tuple, token |
//! | V4 | element types are those that the opcode takes, and agree with each other |
//! | V5 | the operands' dimensions agree with each other |
//! | V6 | the stated result shape is the one that follows from opcode, operands and attributes |
//! | V7 | attributes are within their range: dimensions within the rank, each once, ascending where XLA wants it |
//! | V8 | lists in attributes have as many members as there are dimensions, indices or groups |
//! | V9 | called computations take what they are given and return what is needed |
//! | V10 | slices and windows lie inside the array that they are taken from |
//! | V11 | a computation's parameters are numbered from 0 without a gap |
//! | V12 | `entry_computation_layout` has the shapes of the entry's parameters and root |
//! | V13 | floating-point operands have one type, unless the opcode hands them on or states the type that it accumulates in (`dot`, `convolution`); `map`, `reduce` and `reduce-window` give a computation the types that it takes |
//!
//! These are the rules that XLA's compilers begin with, with two exceptions: a dimension of unknown
//! size (`?`) fits every size, where XLA's compilers refuse it, and shardings are not compared with
//! shapes and devices. Layouts play no part, nor does it matter which dimensions are dynamic.

mod collective;
mod precision;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource};
use thiserror::Error;

use crate::attribute::{AttributeValue, Signature};
pub use crate::infer::Rule;
use crate::infer::{Outcome, Site, broken, infer, shapes_fit};
use crate::module::{
    Computation, ComputationId, Instruction, InstructionId, Module, Payload, Span,
};
use crate::shape::Shape;

/// A module that [`verify`] has found sound.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'m>(&'m Module);

impl<'m> Verified<'m> {
    /// The module, for as long as it was borrowed.
    pub fn module(self) -> &'m Module {
        self.0
    }
}

impl Deref for Verified<'_> {
    type Target = Module;

    fn deref(&self) -> &Module {
        self.0
    }
}

/// Your input: an instruction or computation that breaks a rule.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
#[error("{place}: expected {expected}, found {found} ({rule})")]
#[diagnostic(code(hlo::verify))]
pub struct VerifyError {
    /// The broken rule.
    pub rule: Rule,
    /// `computation/instruction`, or a computation's name.
    pub place: String,
    /// What the rule wants.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// The place in the text that the module was read from.
    #[label("expected {expected}")]
    pub at: Span,
}

/// Everything that is wrong with a module, in its order.
#[derive(Clone, Debug, Error, Diagnostic)]
#[error("{}", self.summary())]
pub struct VerifyErrors {
    #[source_code]
    text: Option<NamedSource<Arc<str>>>,
    /// At least one.
    #[related]
    errors: Vec<VerifyError>,
}

impl VerifyErrors {
    /// The errors, first in the module first.
    pub fn errors(&self) -> &[VerifyError] {
        &self.errors
    }

    /// The same errors, shown in the text that the module was read from.
    pub fn with_text(self, name: impl AsRef<str>, text: &str) -> Self {
        VerifyErrors {
            text: Some(NamedSource::new(name, text.into())),
            errors: self.errors,
        }
    }

    fn summary(&self) -> String {
        let first = self.errors.first().map(VerifyError::to_string);
        match self.errors.len() {
            0 | 1 => first.unwrap_or_default(),
            n => format!("{} (and {} more)", first.unwrap_or_default(), n - 1),
        }
    }
}

/// Checks all rules.
///
/// ```
/// let module = hlo2dae_hlo::parse_module(
///     "ENTRY main {\n  x = f32[4] parameter(0)\n  ROOT y = f32[5] negate(x)\n}",
/// )?;
/// let errors = hlo2dae_hlo::verify(&module).unwrap_err();
/// assert_eq!(
///     errors.to_string(),
///     "main/y: expected f32[4]{0}, found f32[5]{0} (V6)",
/// );
/// # Ok::<(), hlo2dae_hlo::ParseErrors>(())
/// ```
pub fn verify(module: &Module) -> Result<Verified<'_>, VerifyErrors> {
    let mut verifier = Verifier {
        module,
        errors: Vec::new(),
    };
    for (id, computation) in &module.computations {
        verifier.computation(id, computation);
    }
    verifier.entry();
    if verifier.errors.is_empty() {
        Ok(Verified(module))
    } else {
        Err(VerifyErrors {
            text: None,
            errors: verifier.errors,
        })
    }
}

struct Verifier<'m> {
    module: &'m Module,
    errors: Vec<VerifyError>,
}

impl Verifier<'_> {
    fn broken(
        &mut self,
        rule: Rule,
        place: String,
        at: Span,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        self.errors.push(VerifyError {
            rule,
            place,
            expected: expected.to_string(),
            found: found.to_string(),
            at,
        });
    }

    fn computation(&mut self, id: ComputationId, computation: &Computation) {
        let (name, at) = (|| computation.name.to_string(), computation.span);
        if !computation.instructions.contains(&computation.root) {
            self.broken(
                Rule::Graph,
                name(),
                at,
                "a root among the instructions",
                "another one",
            );
        }
        let mut parameters: Vec<(u64, InstructionId)> = Vec::new();
        for &member in &computation.instructions {
            let Some(instruction) = self.module.instructions.get(member) else {
                self.broken(
                    Rule::Graph,
                    name(),
                    at,
                    "instructions of this module",
                    member,
                );
                continue;
            };
            if instruction.parent != id {
                let place = format!("{}/{}", computation.name, instruction.name);
                self.broken(
                    Rule::Graph,
                    place,
                    instruction.span,
                    "the computation that lists it",
                    "another one",
                );
                continue;
            }
            if let Payload::Parameter(number) = instruction.payload {
                parameters.push((number, member));
            }
            self.instruction(id, member, instruction);
        }
        parameters.sort_unstable();
        let listed = parameters.iter().map(|(_, id)| id);
        let numbered = (0u64..).zip(&parameters).all(|(i, (n, _))| i == *n);
        if !numbered || !listed.eq(&computation.parameters) {
            self.broken(
                Rule::Parameters,
                name(),
                at,
                "parameters numbered from 0",
                format!("{:?}", parameters.iter().map(|p| p.0).collect::<Vec<_>>()),
            );
        }
    }

    fn instruction(
        &mut self,
        computation: ComputationId,
        id: InstructionId,
        instruction: &Instruction,
    ) {
        let place = || {
            let parent = self.module.computations.get(computation);
            format!("{}/{}", parent.map_or("?", |c| &c.name), instruction.name)
        };
        if let Some((expected, found)) = self.unsound(computation, id, instruction) {
            let place = place();
            self.broken(Rule::Graph, place, instruction.span, expected, found);
            return;
        }
        let outcome = infer(&Site {
            instructions: &self.module.instructions,
            computations: &self.module.computations,
            opcode: instruction.opcode,
            operands: &instruction.operands,
            attributes: &instruction.attributes,
            payload: &instruction.payload,
            stated: Some(&instruction.shape),
        });
        let checked = outcome.and_then(|outcome| match outcome {
            Outcome::Exactly(shape) if !shapes_fit(&shape, &instruction.shape) => {
                broken(Rule::Result, shape.to_string(), &instruction.shape)
            }
            Outcome::Exactly(_) | Outcome::Stated => {
                precision::check(self.module, instruction)?;
                collective::check(self.module, instruction)
            }
        });
        let Err(violation) = checked else {
            return;
        };
        let place = place();
        self.broken(
            violation.rule,
            place,
            instruction.span,
            violation.expected,
            violation.found,
        );
    }

    /// What is unsound about an instruction's references, as expected and found.
    fn unsound(
        &self,
        computation: ComputationId,
        id: InstructionId,
        instruction: &Instruction,
    ) -> Option<(&'static str, String)> {
        let same = |operand: &InstructionId| {
            let other = self.module.instructions.get(*operand);
            *operand < id && other.is_some_and(|o| o.parent == computation)
        };
        if let Some(bad) = instruction.operands.iter().find(|o| !same(o)) {
            return Some((
                "operands that are earlier instructions of the computation",
                bad.to_string(),
            ));
        }
        let known = |called: &ComputationId| {
            *called < computation && self.module.computations.get(*called).is_some()
        };
        let called = instruction.called_computations().find(|c| !known(c));
        called.map(|bad| ("computations that are defined earlier", bad.to_string()))
    }

    fn entry(&mut self) {
        let module = self.module;
        let Some(entry) = module.computations.get(module.entry) else {
            self.broken(
                Rule::Graph,
                module.name.clone(),
                Span::default(),
                "an entry among the computations",
                module.entry,
            );
            return;
        };
        let stated = module
            .attributes
            .iter()
            .find(|a| a.name == "entry_computation_layout");
        let Some((AttributeValue::Signature(signature), at)) = stated.map(|a| (&a.value, a.span))
        else {
            return;
        };
        let Signature { parameters, result } = &**signature;
        let shape = |id: InstructionId| module.instructions.get(id).map(|i| &*i.shape);
        let fits = |a: &Shape, b: Option<&Shape>| b.is_some_and(|b| shapes_fit(a, b));
        let sound = parameters.len() == entry.parameters.len()
            && parameters
                .iter()
                .zip(&entry.parameters)
                .all(|(p, &id)| fits(p, shape(id)))
            && fits(result, shape(entry.root));
        if !sound {
            let list =
                |shapes: &mut dyn Iterator<Item = String>| shapes.collect::<Vec<_>>().join(", ");
            let text = |s: Option<&Shape>| s.map_or_else(String::new, Shape::to_string);
            let expected = format!(
                "({})->{}",
                list(&mut entry.parameters.iter().map(|&p| text(shape(p)))),
                text(shape(entry.root))
            );
            let found = format!(
                "({})->{result}",
                list(&mut parameters.iter().map(|p| p.to_string()))
            );
            self.broken(
                Rule::EntryLayout,
                entry.name.to_string(),
                at,
                expected,
                found,
            );
        }
    }
}
