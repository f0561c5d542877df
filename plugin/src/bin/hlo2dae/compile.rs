//! `hlo2dae compile`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use hlo2dae::emit::{Stage, StreamInputs, emit};

use crate::Outcome;
use crate::input::{Failure, Level, Values, compile_file, write};

/// Print any stage of the compilation.
#[derive(Args)]
pub struct Arguments {
    /// HLO text; `-` is standard input.
    model: PathBuf,
    #[command(flatten)]
    level: Level,
    /// Stage: hlo, regions, scf, slc, slcv, dlc, tmu, execute, c, stream, rewritten-hlo, stablehlo, dot, or all.
    #[arg(long, value_name = "STAGE", default_value = "dlc")]
    emit: String,
    /// File to write; a folder for `--emit all`.
    #[arg(short, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    values: Values,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let stages: Vec<Stage> = match arguments.emit.as_str() {
        "all" => Stage::ALL.to_vec(),
        name => vec![name.parse()?],
    };
    let compilation = compile_file(&arguments.model, &arguments.level.options()?)?;
    let inputs = if stages.contains(&Stage::Stream) {
        StreamInputs::Arguments(arguments.values.arguments(&compilation)?)
    } else {
        StreamInputs::Seed(0)
    };
    let output = arguments.output.as_deref();
    for &stage in &stages {
        let text = emit(&compilation, stage, &inputs)?;
        match output {
            Some(folder) if stages.len() > 1 => {
                fs::create_dir_all(folder)
                    .map_err(|error| Failure::File(folder.to_owned(), error))?;
                write(Some(&folder.join(stage.file_name())), &text)?;
            }
            None if stages.len() > 1 => {
                write(None, &format!("// ---- {}\n{text}\n", stage.file_name()))?
            }
            _ => write(output, &text)?,
        }
    }
    Ok(Outcome::Done)
}
