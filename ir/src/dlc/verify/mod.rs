//! What makes a DLC program valid: every case keeps the rules of [`crate::core::code`], and further, by the number that
//! errors carry:
//!
//! 1. Every buffer keeps the rules that all IRs share.
//! 2. Names can be read back. Units, streams and buffers have distinct names; so have cases.
//! 3. Every unit and stream is defined exactly once, by a line of the access program, before it is used.
//! 4. A unit's step is at least 1, and units nest at most [`MAX_DEPTH`](super::MAX_DEPTH) deep; a unit of lanes has a mask, unless
//!    its bounds are constant and it has a multiple of the lanes' number of positions.
//! 5. A bound is an `index` stream of an ancestor unit.
//! 6. A stream or effect uses streams of its own unit and of the unit's ancestors.
//! 7. `get_ind_var` is an `index`, `get_mask` is `bool` for each lane of its unit; `mem_stream` reads an input, with one `index` for each
//!    dimension, `store_stream` writes an output; computations have operands that they take; everything has the type
//!    that results, what is appended to a row has the row's, masks have the lanes that they mask.
//! 8. A callback for `iterate` pushes streams of its unit and of the unit's ancestors; one for `begin` or
//!    `end` of its ancestors only.
//! 9. Every case is registered.
//! 10. What a case pops is what each callback for it pushes: as many, of the same types, in the same order.
//! 11. In each iteration of the unit that has a row, exactly the row's number of elements is appended, all of them before it is
//!     pushed; they are counted as in [SLC](crate::slc).
//! 12. What `store_stream` writes, no case touches.
//! 13. Hints are at least 1, and `cores`, at most [`MAX_CORES`](crate::core::MAX_CORES), stands on a root unit.
//!
//! Rules 9 and 10, and that code pops outside conditions and loops, are why a program cannot deadlock: a token finds its
//! case, and the case finds its operands, all of them and no other.

mod access;
mod execute;
mod names;
mod rows;

use super::Program;
use crate::core::Diagnostics;
use crate::core::check::Checker;
use crate::core::stream::check_exclusive;

/// Checks all rules; the error has everything that breaks one.
pub fn verify(program: &Program) -> Result<(), Diagnostics> {
    let mut checker = Checker::new("dlc", &program.buffers);
    checker.buffers(1);
    names::verify(program, &mut checker);
    access::verify(program, &mut checker);
    execute::verify(program, &mut checker);
    let effects = program.access.effects().map(|(_, effect)| effect);
    let codes = program.execute.cases.values().map(|case| &case.code);
    check_exclusive(12, effects, codes, &mut checker);
    checker.finish()?;
    // What is not well formed so far cannot be counted.
    let mut checker = Checker::new("dlc", &program.buffers);
    rows::verify(program, &mut checker);
    checker.finish()
}
