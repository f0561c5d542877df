//! `hlo2dae opt`.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};
use std::path::PathBuf;

use clap::Args;
use hlo2dae::Error;
use hlo2dae::compile::Ladder;
use hlo2dae::emit::{Stage, emit_ladder};
use hlo2dae_backend::Machine;
use hlo2dae_ir::{Program, passes};

use crate::Outcome;
use crate::input::{Failure, MachineName, PassOptions, about, read, write};

/// Run passes on programs of our IRs, or print them at a later stage: text in, text out.
#[derive(Args)]
pub struct Arguments {
    /// Region, SCF, SLC or DLC text, one program or several; `-` is standard input.
    file: PathBuf,
    /// Passes, in order, with what they are told: `vectorise{lanes=4},bufferise`; `hlo2dae passes` lists them. A program of a stage before
    /// SLC is lowered to SLC first.
    #[arg(long, value_name = "PASS,PASS", required_unless_present = "to")]
    passes: Option<String>,
    /// Stage to print: regions, scf, slc, slcv, dlc, tmu, execute, c. With passes it is slcv if nothing is said.
    #[arg(long, value_name = "STAGE")]
    to: Option<String>,
    /// Print the program after each pass to standard error.
    #[arg(long)]
    print_after: bool,
    #[command(flatten)]
    options: PassOptions,
    #[command(flatten)]
    machine: MachineName,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let to = arguments.to.as_deref().map(str::parse).transpose()?;
    let text = read(&arguments.file)?;
    let machine = arguments.machine.get()?;
    let printed = optimised(arguments, to.unwrap_or(Stage::Slcv), &machine, &text);
    write(None, &about(&arguments.file, &text, printed)?)?;
    Ok(Outcome::Done)
}

fn optimised(
    arguments: &Arguments,
    to: Stage,
    machine: &Machine,
    text: &str,
) -> Result<String, Error> {
    let mut printed = Vec::new();
    for program in Program::parse_all(text)? {
        let mut ladder = Ladder {
            machine: machine.clone(),
            ..Ladder::lower(program)?
        };
        if let Some(list) = &arguments.passes {
            let names = passes::split(list);
            let mut trace = String::new();
            let after = ladder.through(names, &arguments.options.get(), |pass, func| {
                if arguments.print_after {
                    let _ = write!(trace, "// after {}\n{func}\n", pass.name);
                }
            });
            // What was done before a pass went wrong is what one wants to see.
            let _ = stderr().lock().write_all(trace.as_bytes());
            ladder = after?;
        }
        printed.push(emit_ladder(&ladder, to)?);
    }
    Ok(printed.join("\n"))
}
