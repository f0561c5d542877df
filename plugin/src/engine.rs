//! Engines: everything that can run a region's program.
//!
//! All of them take the same arrays and give the same arrays, up to the tolerance that
//! [`crate::check`] states. The HLO reference evaluator is not among them: it runs modules, and it is what they are held against.

use std::fmt;
use std::str::FromStr;

use hlo2dae_backend::native::{Options, Plan, Threads};
use hlo2dae_ir::core::text::shape;
use hlo2dae_ir::core::{Array, EvalError, Ir, Limits};
use hlo2dae_ir::passes::MAX_LEVEL;
use hlo2dae_sim::{Config, Emulator, Stats};

use crate::compile::Ladder;
use crate::error::Error;

/// Something that runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The evaluator of the region IR.
    Region,
    /// The evaluator of SCF.
    Scf,
    /// The evaluator of SLC.
    Slc,
    /// The evaluator of DLC: two programs and unbounded queues.
    Dlc,
    /// The functional machine: two programs and bounded queues.
    Emulator,
    /// This CPU: lookups by columns, prefetched rows, vector kernels, threads.
    Native,
}

impl Engine {
    /// All engines, from the most abstract to the machine.
    pub const ALL: &'static [Engine] = &[
        Engine::Region,
        Engine::Scf,
        Engine::Slc,
        Engine::Dlc,
        Engine::Emulator,
        Engine::Native,
    ];

    /// The spelling on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Region => "region",
            Engine::Scf => "scf",
            Engine::Slc => "slc",
            Engine::Dlc => "dlc",
            Engine::Emulator => "emulator",
            Engine::Native => "native",
        }
    }

    /// The engines that a level matters to.
    pub fn at(level: u8) -> impl Iterator<Item = Engine> {
        let all = Engine::ALL.iter().copied();
        all.filter(move |engine| engine.levels().contains(&level))
    }

    /// The levels at which the engine runs different programs.
    pub fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            // Passes come behind them.
            Engine::Region | Engine::Scf => 0..=0,
            Engine::Slc | Engine::Dlc | Engine::Emulator => 0..=MAX_LEVEL,
            // It makes its own vectors.
            Engine::Native => 0..=0,
        }
    }

    /// Whether the ladder has the stage that the engine runs.
    pub fn can_run(self, ladder: &Ladder) -> bool {
        match self {
            Engine::Region => ladder.region.is_some(),
            Engine::Scf => ladder.scf.is_some(),
            Engine::Slc => ladder.slc.is_some(),
            Engine::Dlc | Engine::Emulator | Engine::Native => true,
        }
    }

    /// Runs the program: one array for each input, one back for each output, in the order of the declarations.
    pub fn run(self, ladder: &Ladder, inputs: &[Array]) -> Result<Vec<Array>, Error> {
        let limits = Limits::default();
        Ok(match self {
            Engine::Region => ladder.region()?.evaluate(inputs, &limits)?,
            Engine::Scf => ladder.scf()?.evaluate(inputs, &limits)?,
            Engine::Slc => ladder.optimised()?.evaluate(inputs, &limits)?,
            Engine::Dlc => ladder.dlc.evaluate(inputs, &limits)?,
            Engine::Emulator => emulate(ladder, inputs)?.0,
            Engine::Native => native(ladder, inputs)?,
        })
    }
}

/// Every token and operand that the access unit pushes, as text; the first [`STREAM_TOKENS`] tokens in full.
pub fn stream_text(ladder: &Ladder, inputs: &[Array]) -> Result<String, Error> {
    Ok(hlo2dae_sim::stream_text(
        &ladder.artifact()?,
        inputs,
        STREAM_TOKENS,
    )?)
}

/// Tokens that a stream text shows before it only counts.
pub const STREAM_TOKENS: u64 = 1000;

/// Runs the program on the emulated machine and counts what it does.
pub fn emulate(ladder: &Ladder, inputs: &[Array]) -> Result<(Vec<Array>, Stats), Error> {
    let config = Config::of(&ladder.machine);
    Ok(Emulator::new(&ladder.artifact()?, config)?.run(inputs)?)
}

/// Plans the program for this CPU and runs it, on all cores.
fn native(ladder: &Ladder, inputs: &[Array]) -> Result<Vec<Array>, Error> {
    let plan = Plan::new(&ladder.dlc)?;
    let (expected, outputs) = ladder.signature();
    for (buffer, array) in expected.iter().zip(inputs) {
        if buffer.element != array.element || buffer.dims != array.dims {
            return Err(EvalError::Input {
                buffer: buffer.name.clone(),
                expected: shape(buffer.element, &buffer.dims),
                found: shape(array.element, &array.dims),
            }
            .into());
        }
    }
    let mut results = outputs
        .into_iter()
        .map(|buffer| Array::zeros(buffer.element, &buffer.dims))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::bug(error.to_string()))?;
    let inputs: Vec<&[u8]> = inputs.iter().map(|array| array.data.as_slice()).collect();
    let mut bytes: Vec<&mut [u8]> = results.iter_mut().map(|r| r.data.as_mut_slice()).collect();
    // What is shown of a program is the same on any machine.
    let options = Options {
        deterministic: true,
        ..Options::default()
    };
    plan.run(&inputs, &mut bytes, &Threads::default(), &options)?;
    Ok(results)
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Engine, Error> {
        Engine::ALL
            .iter()
            .copied()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| Error::Unknown {
                what: "engine",
                name: name.to_owned(),
                help: format!(
                    "engines: {}",
                    Engine::ALL
                        .iter()
                        .map(|e| e.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })
    }
}
