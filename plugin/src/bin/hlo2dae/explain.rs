//! `hlo2dae explain`.

use std::path::PathBuf;

use clap::Args;
use hlo2dae::compile::{Options, compile};
use hlo2dae::report;

use crate::Outcome;
use crate::input::{Failure, Format, about, read, write, write_json};

/// Show the regions with the HLO lines that they cover, and near misses with the reason.
#[derive(Args)]
pub struct Arguments {
    /// HLO text; `-` is standard input.
    model: PathBuf,
    /// For people or for tools.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let text = read(&arguments.model)?;
    let compilation = about(&arguments.model, &text, compile(&text, &Options::default()))?;
    let explanation = report::explain(&compilation, &text)?;
    match arguments.format {
        Format::Text => write(None, &explanation.text())?,
        Format::Json => write_json(&explanation)?,
    }
    Ok(Outcome::Done)
}
