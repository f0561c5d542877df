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
//!     `store` writes no input; a condition is `bool`; `scf.if`s nest at most [`MAX_DEPTH`] deep.
//!
//! Rules 9 to 11 are why a program cannot deadlock: a token finds its case, and the case finds its operands, all
//! of them and no other.

mod access;
mod execute;
mod names;

use super::Program;
use crate::core::check::Checker;
use crate::core::{Arith, Diagnostics, Problem, ScalarType, Span};

/// How deep units, and `scf.if`s in a case, may nest. Our limit.
pub const MAX_DEPTH: usize = 64;

/// Checks all rules; the error has everything that breaks one.
pub fn verify(program: &Program) -> Result<(), Diagnostics> {
    let mut checker = Checker::new("dlc", &program.buffers);
    checker.buffers(1);
    names::verify(program, &mut checker);
    access::verify(program, &mut checker);
    execute::verify(program, &mut checker);
    checker.finish()
}

/// Reports a value of another type than its place takes.
fn expect_type(
    checker: &mut Checker<'_>,
    rule: u32,
    span: Span,
    name: &str,
    expected: ScalarType,
    found: ScalarType,
) {
    if expected != found {
        let problem = Problem::Type {
            name: name.to_owned(),
            expected: expected.to_string(),
            found,
        };
        checker.report(rule, span, problem);
    }
}

/// The type of an operation on operands of the given types.
fn arith_type(
    checker: &mut Checker<'_>,
    rule: u32,
    span: Span,
    arith: &Arith<ScalarType>,
) -> Option<ScalarType> {
    let ty = arith.result_type();
    ty.map_err(|error| checker.report(rule, span, Problem::Operands(error)))
        .ok()
}
