//! `hlo2dae fmt`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Outcome;
use crate::input::{Failure, about, read, write};

/// Print HLO, or any of our IRs, canonically.
#[derive(Args)]
pub struct Arguments {
    /// HLO text or a program of an IR; `-` is standard input.
    file: PathBuf,
    /// Print HLO in another form, the module as it stands; for the rewritten module see `compile --emit stablehlo`.
    #[arg(long, value_name = "FORM")]
    to: Option<Form>,
}

/// Forms of a module beside its own.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// StableHLO text, which TensorFlow and JAX take back.
    Stablehlo,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let text = read(&arguments.file)?;
    let printed = match arguments.to {
        None => hlo2dae::format::format(&text),
        Some(Form::Stablehlo) => hlo2dae::format::to_stablehlo(&text),
    };
    write(None, &about(&arguments.file, &text, printed)?)?;
    Ok(Outcome::Done)
}
