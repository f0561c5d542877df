//! What every IR provides.

use std::fmt::Display;
use std::str::FromStr;

use cranelift_entity::PrimaryMap;

use super::array::Array;
use super::buffer::{Buffer, BufferId};
use super::diag::{Diagnostics, EvalError, ParseError};
use super::memory::{Limits, Memory};

/// A program of one IR: it prints, is read back, is verified and runs.
///
/// `text.parse()` reads a program without verifying it; `parse(print(p)) == p` for every valid `p`.
pub trait Ir: Display + FromStr<Err = ParseError> + Clone + PartialEq {
    /// Name of the IR, as in file names and rule numbers: `region`, `scf`, ...
    const NAME: &'static str;

    /// The word that the text of every program starts with.
    const KEYWORD: &'static str;

    /// Name of the program, without `@`.
    fn name(&self) -> &str;

    /// The buffers, in the order of the declarations.
    fn buffers(&self) -> &PrimaryMap<BufferId, Buffer>;

    /// Checks the numbered rules of the IR's verifier.
    fn verify(&self) -> Result<(), Diagnostics>;

    /// Runs a valid program in the given memory.
    fn execute(&self, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError>;

    /// Verifies the program and runs it: one array for each input, one back for each output, in
    /// the order of the declarations.
    fn evaluate(&self, inputs: &[Array], limits: &Limits) -> Result<Vec<Array>, EvalError> {
        self.verify()?;
        let mut memory = Memory::new(self.buffers(), inputs, limits)?;
        self.execute(&mut memory, limits)?;
        memory.into_outputs()
    }
}
