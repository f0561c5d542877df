//! `hlo2dae run`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use hlo2dae::engine::Engine;
use hlo2dae::run::{Ran, run_counted};
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
    /// Where what the emulator counts goes, as JSON: for each region requests, tokens, operands, activations.
    #[arg(long, value_name = "FILE.json")]
    stats: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let engine = match arguments.engine.as_str() {
        "reference" => None,
        name => Some(name.parse::<Engine>()?),
    };
    if arguments.stats.is_some() && engine != Some(Engine::Emulator) {
        return Err(Failure::from(Error::Unknown {
            what: "count of engine",
            name: arguments.engine.clone(),
            help: "the emulator counts: --engine emulator".to_owned(),
        }));
    }
    let options = arguments.level.options()?;
    let compilation = compile_file(&arguments.model, &options)?;
    let inputs = arguments.values.arguments(&compilation)?;
    let Ran { outputs, counts } = run_counted(&compilation, engine, &options, &inputs)?;
    if let Some(path) = &arguments.outputs {
        npz::write_outputs(path, &outputs).map_err(Error::from)?;
    }
    if let Some(path) = &arguments.stats {
        let mut json = serde_json::to_string_pretty(&counts).map_err(std::io::Error::from)?;
        json.push('\n');
        write((path != Path::new("-")).then_some(path), &json)?;
    }
    let mut text = String::new();
    for (number, output) in outputs.iter().enumerate() {
        let _ = writeln!(text, "out{number} {}", output.shape());
    }
    write(None, &text)?;
    Ok(Outcome::Done)
}
