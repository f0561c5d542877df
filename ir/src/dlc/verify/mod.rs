//! What makes a DLC program valid. The rules, by the number that errors carry:
//!
//! 1. Every buffer keeps the rules that all IRs share.
//! 2. Names can be read back. Units, streams and buffers have distinct names; so have cases; so have
//!    the values of one case and the buffers.
//! 3. Every unit and stream is defined exactly once, by a line of the access program, before it is used.
//! 4. A unit's step is at least 1, and units nest at most [`MAX_DEPTH`] deep.
//! 5. A bound is an `index` stream of an ancestor unit.
//! 6. A stream uses streams of its own unit and of the unit's ancestors.
//! 7. `get_ind_var` is an `index`; `mem_stream` reads an input, with one `index` for each dimension, and has its
//!    element type; `alu_stream` has operands that the operation takes, and the type of its result.
//! 8. A callback for `iterate` pushes streams of its unit and of the unit's ancestors; one for `begin` or
//!    `end` of its ancestors only.
//! 9. Every case is registered.
//! 10. What a case pops is what each callback for it pushes: as many, of the same types, in the same order.
//! 11. A case never pops under a condition.
//! 12. Every value is defined exactly once, before it is used, and not used outside the block that defines it.
//! 13. Arithmetic, `load` and `store` have the types of their values and buffers, one `index` for each dimension;
//!     `store` writes no input; a condition is `bool`; `if`s nest at most [`MAX_DEPTH`] deep.
//!
//! Rules 9 to 11 are why a program cannot deadlock: a token finds its case, and the case finds its operands, all
//! of them and no other.

mod access;
mod execute;
mod names;

use super::Program;
use crate::core::{Arith, Diagnostics, Init, Problem, Role, Rule, ScalarType, Span, text};

/// How deep units, and `if`s in a case, may nest. Our limit.
pub const MAX_DEPTH: usize = 64;

/// Checks all rules; the error has everything that breaks one.
pub fn verify(program: &Program) -> Result<(), Diagnostics> {
    let mut errors = Errors::default();
    buffers(program, &mut errors);
    names::verify(program, &mut errors);
    access::verify(program, &mut errors);
    execute::verify(program, &mut errors);
    errors.0.finish()
}

/// Rule 1.
fn buffers(program: &Program, errors: &mut Errors) {
    for buffer in program.buffers.values() {
        if buffer.element_count().is_none() {
            errors.push(1, buffer.span, Problem::TooLarge(buffer.name.clone()));
        }
        let init = match &buffer.role {
            Role::Input => continue,
            Role::Output(init) | Role::Temp(init) => init,
        };
        let wrong = |init: String, reason: &str| Problem::Init {
            buffer: buffer.name.clone(),
            init,
            reason: reason.to_owned(),
        };
        match init {
            Init::Undefined => {}
            Init::Splat(value) => {
                if value.ty() != ScalarType::from(buffer.element) {
                    let init = format!("{value}: {}", value.ty());
                    errors.push(1, buffer.span, wrong(init, "the types differ"));
                }
            }
            Init::Copy(from) => match program.buffers.get(*from) {
                None => errors.push(1, buffer.span, Problem::Dangling(from.to_string())),
                Some(from) => {
                    let name = format!("%{}", from.name);
                    if from.is_written() {
                        errors.push(1, buffer.span, wrong(name, "that is not an input"));
                    } else if from.element != buffer.element || from.dims != buffer.dims {
                        let reason = format!(
                            "that is {}, not {}",
                            text::shape(from.element, &from.dims),
                            text::shape(buffer.element, &buffer.dims)
                        );
                        errors.push(1, buffer.span, wrong(name, &reason));
                    }
                }
            },
        }
    }
}

/// The errors so far.
#[derive(Default)]
struct Errors(Diagnostics);

impl Errors {
    fn push(&mut self, number: u32, span: Span, problem: Problem) {
        self.0.push(Rule { ir: "dlc", number }, span, problem);
    }

    fn broken(&mut self, number: u32, span: Span, sentence: String) {
        self.push(number, span, Problem::Broken(sentence));
    }

    fn expect_type(
        &mut self,
        number: u32,
        span: Span,
        name: &str,
        expected: ScalarType,
        found: ScalarType,
    ) {
        if expected != found {
            let (name, expected) = (name.to_owned(), expected.to_string());
            self.push(
                number,
                span,
                Problem::Type {
                    name,
                    expected,
                    found,
                },
            );
        }
    }

    /// The type of an operation on operands of the given types.
    fn arith(&mut self, number: u32, span: Span, arith: &Arith<ScalarType>) -> Option<ScalarType> {
        match arith.result_type() {
            Ok(ty) => Some(ty),
            Err(error) => {
                self.push(number, span, Problem::Operands(error));
                None
            }
        }
    }
}
