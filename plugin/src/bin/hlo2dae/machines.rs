//! `hlo2dae machines`.

use std::fmt::Write as _;

use clap::Args;
use hlo2dae::Error;
use hlo2dae::report::count;
use hlo2dae_backend::Machine;

use crate::Outcome;
use crate::input::{Failure, no_machine, write};

/// List the machines that come with the compiler, or print the file of one, to be changed and given to `--machine`.
#[derive(Args)]
pub struct Arguments {
    /// The machine whose file is printed.
    name: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    if let Some(name) = &arguments.name {
        let text = Machine::built_in(name).ok_or_else(|| no_machine(name))?;
        write(None, text)?;
        return Ok(Outcome::Done);
    }
    let mut out = String::new();
    for (name, text) in Machine::BUILT_IN {
        let machine: Machine = text.parse().map_err(Error::from)?;
        let unit = machine.access_unit;
        let _ = writeln!(
            out,
            "{name:<8} {} of {} lanes, {} layers, {} bytes of queues a lane, chunks of {} bytes, {} lines of {} bytes on their way",
            count(machine.cores as usize, "core"),
            unit.lanes,
            unit.layers,
            unit.queue_bytes,
            unit.chunk_bytes,
            unit.outstanding_requests,
            unit.line_bytes
        );
    }
    write(None, &out)?;
    Ok(Outcome::Done)
}
