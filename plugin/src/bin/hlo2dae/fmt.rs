//! `hlo2dae fmt`.

use std::path::PathBuf;

use clap::Args;

use crate::Outcome;
use crate::input::{Failure, about, read, write};

/// Print HLO, or any of our IRs, canonically.
#[derive(Args)]
pub struct Arguments {
    /// HLO text or a program of an IR; `-` is standard input.
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let text = read(&arguments.file)?;
    write(
        None,
        &about(&arguments.file, &text, hlo2dae::format::format(&text))?,
    )?;
    Ok(Outcome::Done)
}
