//! What makes an artifact one that a machine can run. The rules, by the number that errors carry:
//!
//! 1. Every buffer keeps the rules that all IRs share.
//! 2. Names can be read back; buffers have distinct names, and so have cases. Slots, units and registers go by their numbers.
//! 3. The access program starts with a `unit`. Units and slots are defined once each, in the order of their numbers; so are
//!    the registers of a case.
//! 4. A unit's parent is defined before it; units nest at most [`MAX_DEPTH`] deep; only a root is dealt to cores, at most [`MAX_CORES`]; a
//!    unit of the host has a parent on the host or none.
//! 5. A step is at least 1. A vector unit or loop has 2 to 64 lanes; its mask has that many lanes of `bool`; it may be
//!    left out where constant bounds give a multiple of the lanes' number of positions.
//! 6. A bound is a scalar `index`, in the access unit that of an ancestor.
//! 7. A slot that is used belongs to the unit itself, and is defined before, or to an ancestor; for a `begin` or `end` push to
//!    an ancestor.
//! 8. Operands and results have the types that the instruction takes and gives; a row has at least one element and at most
//!    [`MAX_ROW`].
//! 9. An access has one `index` for each dimension, and lanes only along a dimension; `read` reads an input; `store` writes an
//!    output or temporary; `write` writes an output that no other instruction touches.
//! 10. `append` goes to a row of the unit itself or of an ancestor, and has its element type.
//! 11. What a case pops is what each push for it pushes: as many, of the same types, in the same order.
//! 12. A case pops outside loops, and where no branch or jump passes over it.
//! 13. Branches and jumps go forward, at most to the end of the list. A `for` and its `next` name each other, loops
//!     nest, at most [`MAX_DEPTH`] deep, and no branch or jump leads into or out of one.
//! 14. A register that is used has been given its value, whatever way led there.
//!
//! Rules 11 to 13 are why a program cannot deadlock: a token finds its case, and the case finds its operands, all of
//! them and no other.

mod access;
mod execute;
mod operand;

use hashbrown::HashSet;
use hlo2dae_ir::core::check::Checker;
use hlo2dae_ir::core::{Diagnostics, Problem, Span};

use crate::artifact::Artifact;

/// How deep units, and loops of a case, may nest. Our limit.
pub const MAX_DEPTH: usize = 64;

pub use hlo2dae_ir::core::MAX_CORES;

/// How many elements a row may have. Our limit.
pub const MAX_ROW: u64 = 1 << 20;

/// Checks all rules; the error has everything that breaks one.
pub fn verify(artifact: &Artifact) -> Result<(), Diagnostics> {
    let mut checker = Checker::new("isa", &artifact.buffers);
    checker.buffers(1);
    checker.program_names(2, &artifact.name);
    checker.name(2, &artifact.machine, Span::default());
    let mut names = HashSet::new();
    for case in artifact.execute.cases.values() {
        checker.name(2, &case.name, case.span);
        if !names.insert(case.name.as_str()) {
            let problem = Problem::DuplicateName(case.name.clone());
            checker.report(2, case.span, problem);
        }
    }
    let pops = execute::verify(artifact, &mut checker);
    access::verify(artifact, &pops, &mut checker);
    checker.finish()
}
