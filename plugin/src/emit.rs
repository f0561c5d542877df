//! Every stage of a compilation as text.

use std::str::FromStr;

use hlo2dae_backend::BackendError;
use hlo2dae_hlo::{Literal, stablehlo, verify};

use crate::check::sample;
use crate::compile::{Compilation, Ladder};
use crate::dot;
use crate::engine;
use crate::error::Error;
use crate::inputs::synthesise;

/// A stage that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The module, canonically printed.
    Hlo,
    /// The regions found.
    Regions,
    /// Structured control flow.
    Scf,
    /// Streams and callbacks.
    Slc,
    /// Streams and callbacks after the passes of the level.
    Slcv,
    /// Access program and execute program with their queues.
    Dlc,
    /// What the access unit of the machine runs, with its resources.
    Tmu,
    /// What the execute unit of the machine runs.
    Execute,
    /// Both units' programs as C.
    C,
    /// Every token and operand that the access unit pushes, for given inputs.
    Stream,
    /// The module with every region replaced by a custom call that carries its program.
    RewrittenHlo,
    /// The rewritten module as StableHLO, the form that TensorFlow and JAX take back.
    Stablehlo,
    /// The module's graph around its regions, for Graphviz.
    Dot,
}

impl Stage {
    /// All stages, in pipeline order.
    pub const ALL: &'static [Stage] = &[
        Stage::Hlo,
        Stage::Regions,
        Stage::Scf,
        Stage::Slc,
        Stage::Slcv,
        Stage::Dlc,
        Stage::Tmu,
        Stage::Execute,
        Stage::C,
        Stage::Stream,
        Stage::RewrittenHlo,
        Stage::Stablehlo,
        Stage::Dot,
    ];

    /// The spelling on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Hlo => "hlo",
            Stage::Regions => "regions",
            Stage::Scf => "scf",
            Stage::Slc => "slc",
            Stage::Slcv => "slcv",
            Stage::Dlc => "dlc",
            Stage::Tmu => "tmu",
            Stage::Execute => "execute",
            Stage::C => "c",
            Stage::Stream => "stream",
            Stage::RewrittenHlo => "rewritten-hlo",
            Stage::Stablehlo => "stablehlo",
            Stage::Dot => "dot",
        }
    }

    /// Name of the file that holds the stage in a folder of all stages.
    pub fn file_name(self) -> &'static str {
        match self {
            Stage::Hlo => "10-graph.hlo",
            Stage::Regions => "20-regions.region",
            Stage::Scf => "30-loops.scf",
            Stage::Slc => "40-streams.slc",
            Stage::Slcv => "50-optimised.slc",
            Stage::Dlc => "60-decoupled.dlc",
            Stage::Tmu => "70-access.tmu",
            Stage::Execute => "71-execute.tmu",
            Stage::C => "72-program.c",
            Stage::Stream => "75-stream.txt",
            Stage::RewrittenHlo => "80-rewritten.hlo",
            Stage::Stablehlo => "81-rewritten.mlir",
            Stage::Dot => "82-regions.dot",
        }
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Stage, Error> {
        Stage::ALL
            .iter()
            .copied()
            .find(|stage| stage.name() == name)
            .ok_or_else(|| Error::Unknown {
                what: "stage",
                name: name.to_owned(),
                help: format!(
                    "stages: {}",
                    Stage::ALL
                        .iter()
                        .map(|s| s.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })
    }
}

/// Inputs for the stream stage.
#[derive(Clone, Debug)]
pub enum StreamInputs {
    /// Made up, the same for the same seed.
    Seed(u64),
    /// The module's arguments.
    Arguments(Vec<Literal>),
}

/// The text of a stage; the regions of the module one after the other.
pub fn emit(
    compilation: &Compilation,
    stage: Stage,
    inputs: &StreamInputs,
) -> Result<String, Error> {
    match stage {
        Stage::Hlo => Ok(compilation.module.to_string()),
        Stage::Stream => emit_streams(compilation, inputs),
        Stage::RewrittenHlo => Ok(compilation.outlined()?.to_string()),
        Stage::Stablehlo => {
            let module = compilation.outlined()?;
            Ok(stablehlo::print(verify(&module)?)?)
        }
        Stage::Dot => Ok(dot::print(compilation)),
        Stage::Regions
        | Stage::Scf
        | Stage::Slc
        | Stage::Slcv
        | Stage::Dlc
        | Stage::Tmu
        | Stage::Execute
        | Stage::C => {
            let texts = compilation
                .regions
                .iter()
                .map(|compiled| emit_ladder(&compiled.ladder, stage));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
    }
}

/// The text of a stage of one program. Stages that need a module give an error.
pub fn emit_ladder(ladder: &Ladder, stage: Stage) -> Result<String, Error> {
    Ok(match stage {
        Stage::Regions => ladder.region()?.to_string(),
        Stage::Scf => ladder.scf()?.to_string(),
        Stage::Slc => ladder.slc()?.to_string(),
        Stage::Slcv => ladder.optimised()?.to_string(),
        Stage::Dlc => ladder.dlc.to_string(),
        Stage::Tmu => ladder.artifact()?.access_text().to_string(),
        Stage::Execute => ladder.artifact()?.execute_text().to_string(),
        Stage::C => {
            hlo2dae_backend::c::print(&ladder.artifact()?).map_err(BackendError::Invalid)?
        }
        Stage::Hlo | Stage::Stream | Stage::RewrittenHlo | Stage::Stablehlo | Stage::Dot => {
            return Err(Error::NoStage {
                given: "a program",
                wanted: stage.name(),
            });
        }
    })
}

fn emit_streams(compilation: &Compilation, inputs: &StreamInputs) -> Result<String, Error> {
    let arguments = match inputs {
        StreamInputs::Seed(seed) => &synthesise(&compilation.module, &compilation.regions, *seed),
        StreamInputs::Arguments(arguments) => arguments,
    };
    let samples = sample(compilation, arguments)?;
    let mut texts = Vec::new();
    for (compiled, sample) in compilation.regions.iter().zip(&samples) {
        if let Some(sample) = sample {
            texts.push(engine::stream_text(&compiled.ladder, &sample.inputs)?);
        }
    }
    Ok(texts.join("\n"))
}
