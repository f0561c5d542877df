//! The command line.
//!
//! Exit status: 0 done, 1 a check failed, 2 bad usage or bad input.

mod compile;
mod explain;
mod fmt;
mod input;
mod machines;
mod opt;
mod passes;
mod report;
mod run;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::input::Failure;

/// Compile embedding operations in TensorFlow and JAX HLO for decoupled access-execute machines.
#[derive(Parser)]
#[command(name = "hlo2dae", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Report(report::Arguments),
    Compile(compile::Arguments),
    Explain(explain::Arguments),
    Verify(verify::Arguments),
    Run(run::Arguments),
    Opt(opt::Arguments),
    Passes(passes::Arguments),
    Fmt(fmt::Arguments),
    Machines(machines::Arguments),
}

/// Whether what was asked holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    CheckFailed,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Report(arguments) => report::run(&arguments),
        Command::Compile(arguments) => compile::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Opt(arguments) => opt::run(&arguments),
        Command::Passes(arguments) => passes::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::Machines(arguments) => machines::run(&arguments),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        // Whoever reads our output has read enough.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.print();
            ExitCode::from(2)
        }
    }
}
