//! The canonical print of any text that the project reads, and HLO as StableHLO.

use hlo2dae_hlo::{PrintOptions, stablehlo, verify};
use hlo2dae_ir::Program;

use crate::error::Error;

/// Prints HLO text, or the text of one or more programs of our IRs, canonically.
///
/// `options` are for HLO. Programs that follow one another in a text (a stage of a module with several regions) are
/// separated by an empty line.
pub fn format(text: &str, options: &PrintOptions) -> Result<String, Error> {
    if !Program::starts(text) {
        return Ok(hlo2dae_hlo::parse_module(text)?.print(options).to_string());
    }
    let programs = Program::parse_all(text)?;
    Ok(programs
        .iter()
        .map(Program::to_string)
        .collect::<Vec<_>>()
        .join("\n"))
}

/// Prints HLO text as StableHLO.
pub fn to_stablehlo(text: &str) -> Result<String, Error> {
    let module = hlo2dae_hlo::parse_module(text)?;
    Ok(stablehlo::print(verify(&module)?)?)
}
