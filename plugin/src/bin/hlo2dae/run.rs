//! `hlo2dae run`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hlo2dae::engine::Engine;
use hlo2dae::{Error, npz};

use crate::Outcome;
use crate::input::{Failure, Level, Values, compile_file, write};

/// Run the module, its regions by an engine; arrays come and go as .npz files.
#[derive(Args)]
pub struct Arguments {
    /// HLO text; `-` is standard input.
    model: PathBuf,
    /// reference, region, scf, slc, dlc, emulator or native.
    #[arg(long)]
    engine: String,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    values: Values,
    /// Where the results go: arrays out0, out1, ...
    #[arg(long, value_name = "FILE.npz")]
    outputs: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let engine = match arguments.engine.as_str() {
        "reference" => None,
        name => Some(name.parse::<Engine>()?),
    };
    let compilation = compile_file(&arguments.model, &arguments.level.options())?;
    let inputs = arguments.values.arguments(&compilation)?;
    let outputs = hlo2dae::run::run(&compilation, engine, &arguments.level.options(), &inputs)?;
    if let Some(path) = &arguments.outputs {
        npz::write_outputs(path, &outputs).map_err(Error::from)?;
    }
    let mut text = String::new();
    for (number, output) in outputs.iter().enumerate() {
        let _ = writeln!(text, "out{number} {}", output.shape());
    }
    write(None, &text)?;
    Ok(Outcome::Done)
}
