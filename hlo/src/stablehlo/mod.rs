//! A module as StableHLO text, which TensorFlow (`xla_call_module`) and JAX (`jax.export`) take back.
//!
//! The entry becomes `func.func public @main`, whose arguments and results are the leaves of the entry's parameters and
//! result: tuples are flattened everywhere. Computations that instructions call by name become private functions;
//! computations that are part of an instruction (a reducer, a comparator, a branch, a loop's body) become its regions, or
//! regions that call a function where the same text would stand too often or too deep. What nobody can call is left out.
//!
#![doc = include_str!("../../docs/stablehlo.md")]

mod attributes;
mod constant;
mod custom_call;
mod error;
mod exchange;
mod function;
mod linear;
mod movement;
mod operation;
mod region;
mod text;

pub use error::{Reason, StablehloError, StablehloErrors};

use crate::verify::Verified;
use function::Printer;

/// The module as StableHLO text.
///
/// ```
/// let module = hlo2dae_hlo::parse_module("ENTRY e {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] negate(x)\n}")?;
/// let text = hlo2dae_hlo::stablehlo::print(hlo2dae_hlo::verify(&module)?)?;
/// assert!(text.contains("%y = \"stablehlo.negate\"(%x) : (tensor<4xf32>) -> tensor<4xf32>"));
/// # Ok::<(), miette::Report>(())
/// ```
pub fn print(module: Verified<'_>) -> Result<String, StablehloErrors> {
    let mut printer = Printer::new(module.module());
    printer.functions();
    if !printer.errors.is_empty() {
        return Err(StablehloErrors::new(printer.errors));
    }
    let head = attributes::module_head(module.module());
    Ok(format!("{head} {{\n{}}}\n", printer.out))
}
