//! `hlo2dae fmt`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hlo2dae_hlo::PrintOptions;

use crate::Outcome;
use crate::input::{Failure, about, read, write};

/// Print HLO, or any of our IRs, canonically.
#[derive(Args)]
pub struct Arguments {
    /// HLO text or a program of an IR; `-` is standard input.
    file: PathBuf,
    /// Print HLO in another language, the module as it stands; for the rewritten module see `compile --emit stablehlo`.
    #[arg(long, value_name = "LANGUAGE", conflicts_with_all = ["form", "operand_shapes", "elide_constants"])]
    to: Option<Language>,
    /// How much of HLO is shown.
    #[arg(long, value_enum, default_value_t = Form::Long)]
    form: Form,
    /// Show the shape of every operand of HLO before its name.
    #[arg(long)]
    operand_shapes: bool,
    /// Leave out the values of HLO constants with more than ten elements: `{...}`.
    #[arg(long)]
    elide_constants: bool,
}

/// Languages of a module beside its own.
#[derive(Clone, Copy, ValueEnum)]
enum Language {
    /// StableHLO text, which TensorFlow and JAX take back.
    Stablehlo,
}

/// The forms that XLA prints.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// All that the module says.
    Long,
    /// Without `%`, signatures, metadata and control dependencies.
    Short,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let text = read(&arguments.file)?;
    let options = PrintOptions {
        operand_shapes: arguments.operand_shapes,
        large_constants: !arguments.elide_constants,
        ..match arguments.form {
            Form::Long => PrintOptions::long(),
            Form::Short => PrintOptions::short(),
        }
    };
    let printed = match arguments.to {
        None => hlo2dae::format::format(&text, &options),
        Some(Language::Stablehlo) => hlo2dae::format::to_stablehlo(&text),
    };
    write(None, &about(&arguments.file, &text, printed)?)?;
    Ok(Outcome::Done)
}
