//! What `hlo2dae_compile` gives out: a compiled module, or the one program of a program text.

use crate::compile::{Compilation, Options, compile};
use crate::emit::{Stage, StreamInputs, emit};
use crate::program::Program;
use crate::status::Status;

/// Programs, and the HLO module that they were found in, if they were.
pub struct Module {
    compilation: Option<Compilation>,
    /// In the order of the text.
    pub regions: Vec<Program>,
}

impl Module {
    /// Compiles HLO text; a text that starts with the keyword of one of our IRs is a program.
    pub fn compile(text: &str) -> Result<Module, Status> {
        if hlo2dae_ir::Program::starts(text) {
            return Ok(Module {
                compilation: None,
                regions: vec![Program::parse(text)?],
            });
        }
        let compilation =
            compile(text, &Options::default()).map_err(|error| Status::of(error, text))?;
        let regions = compilation
            .regions
            .iter()
            .map(|region| Program::new(region.ladder.clone()));
        let regions = regions.collect::<Result<_, _>>()?;
        Ok(Module {
            compilation: Some(compilation),
            regions,
        })
    }

    /// The text of a stage of the whole module.
    pub fn emit(&self, stage: Stage) -> Result<String, Status> {
        match &self.compilation {
            Some(compilation) => emit(compilation, stage, &StreamInputs::Seed(0))
                .map_err(|error| Status::of(error, "")),
            None => self
                .regions
                .iter()
                .map(|program| program.emit(stage))
                .collect(),
        }
    }
}
