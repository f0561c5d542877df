//! Programs on foreign memory: the facade with bytes in place of arrays.
//!
//! A region that was found in HLO and the program that a custom call carries are the same thing
//! here: a ladder of stages with a signature that callers are held to.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use hlo2dae_backend::native::{Options, Plan, Pool};
use hlo2dae_ir::core::{Array, Buffer, ElementType};

use crate::compile::Ladder;
use crate::emit::{Stage, emit_ladder};
use crate::engine::Engine;
use crate::status::{BoundaryError, Code, Status};

/// What runs a program when nobody says.
pub const DEFAULT_ENGINE: Engine = Engine::Native;

/// An input or output of a program.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name without `%`.
    pub name: String,
    /// Element type.
    pub element: ElementType,
    /// Size of each dimension, row-major.
    pub dims: Vec<u64>,
    /// The same sizes as the C ABI and XLA count them.
    pub signed_dims: Vec<i64>,
    /// Bytes of the array.
    pub bytes: usize,
}

impl Port {
    fn new(buffer: &Buffer) -> Result<Port, BoundaryError> {
        let too_large = || BoundaryError::TooLarge {
            what: format!("%{}", buffer.name),
            size: buffer.element_count().map_or(i128::MAX, i128::from),
        };
        Ok(Port {
            name: buffer.name.clone(),
            element: buffer.element,
            dims: buffer.dims.clone(),
            signed_dims: buffer
                .dims
                .iter()
                .map(|&dim| i64::try_from(dim))
                .collect::<Result<_, _>>()
                .map_err(|_| too_large())?,
            bytes: Array::byte_size(buffer.element, &buffer.dims).ok_or_else(too_large)?,
        })
    }
}

/// Inputs and outputs of a program, in the order of their declarations.
#[derive(Clone, Debug)]
pub struct Signature {
    /// What the caller passes.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
}

/// A program at all its stages.
#[derive(Clone, Debug)]
pub struct Program {
    ladder: Ladder,
    signature: Signature,
    /// For this CPU, made when it is first needed.
    plan: Arc<OnceLock<Plan>>,
}

impl Program {
    /// Reads a program of any IR and lowers it.
    pub fn parse(text: &str) -> Result<Program, Status> {
        Program::new(Ladder::parse(text).map_err(|error| Status::of(error, text))?)
    }

    /// A program that was lowered already.
    pub fn new(ladder: Ladder) -> Result<Program, Status> {
        let ports =
            |buffers: Vec<&Buffer>| buffers.into_iter().map(Port::new).collect::<Result<_, _>>();
        let (inputs, outputs) = ladder.signature();
        let signature = Signature {
            inputs: ports(inputs)?,
            outputs: ports(outputs)?,
        };
        Ok(Program {
            ladder,
            signature,
            plan: Arc::default(),
        })
    }

    /// Name without `@`.
    pub fn name(&self) -> &str {
        self.ladder.name()
    }

    /// What callers are held to.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The text of a stage.
    pub fn emit(&self, stage: Stage) -> Result<String, Status> {
        emit_ladder(&self.ladder, stage).map_err(|error| Status::of(error, ""))
    }

    /// The plan for this CPU.
    fn plan(&self) -> Result<&Plan, Status> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan);
        }
        let plan = Plan::new(&self.ladder.dlc).map_err(|error| Status::of(error.into(), ""))?;
        Ok(self.plan.get_or_init(|| plan))
    }

    /// For each output, the input that may be left empty in [`Program::run`] where it stands in that output already.
    pub fn in_place(&self, engine: Engine) -> Result<Vec<Option<usize>>, Status> {
        match engine {
            Engine::Native => Ok(self.plan()?.in_place()),
            _ => Ok(Vec::new()),
        }
    }

    /// Runs the program; the memory is that of the signature, byte for byte. Only the native engine uses the threads, and writes
    /// the outputs as it goes; after a failure they hold anything.
    pub fn run(
        &self,
        engine: Engine,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        threads: &dyn Pool,
    ) -> Result<(), Status> {
        if engine == Engine::Native {
            let options = Options {
                deterministic: deterministic(),
                ..Options::default()
            };
            let ran = self.plan()?.run(inputs, outputs, threads, &options);
            return ran.map_err(|error| Status::of(error.into(), ""));
        }
        let inputs: Vec<Array> = self
            .signature
            .inputs
            .iter()
            .zip(inputs)
            .map(|(port, bytes)| Array::from_bytes(port.element, &port.dims, bytes.to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|error| Status {
                code: Code::InvalidArgument,
                message: error.to_string(),
            })?;
        let results = engine
            .run(&self.ladder, &inputs)
            .map_err(|error| Status::of(error, ""))?;
        let fits = results.len() == outputs.len()
            && results
                .iter()
                .zip(outputs.iter())
                .all(|(result, output)| result.data.len() == output.len());
        if !fits {
            return Err(Status {
                code: Code::Internal,
                message: format!(
                    "engine `{engine}` gave back other arrays than @{} declares",
                    self.name()
                ),
            });
        }
        for (result, output) in results.iter().zip(outputs) {
            output.copy_from_slice(&result.data);
        }
        Ok(())
    }
}

/// A program together with what runs it: what a custom call stands for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The program.
    pub program: Program,
    /// What runs it.
    pub engine: Engine,
}

impl Call {
    /// Reads and lowers `program`; `engine` is a name, or nothing for the default.
    pub fn new(program: &str, engine: Option<&str>) -> Result<Call, Status> {
        let engine = engine_named(engine.unwrap_or_default())?;
        let program = Program::parse(program)?;
        if !engine.can_run(&program.ladder) {
            return Err(Status {
                code: Code::InvalidArgument,
                message: format!(
                    "engine `{engine}` runs an earlier stage than the one that program @{} is given in",
                    program.name()
                ),
            });
        }
        if engine == Engine::Native {
            program.plan()?;
        }
        Ok(Call { program, engine })
    }

    /// As [`Program::in_place`].
    pub fn in_place(&self) -> Result<Vec<Option<usize>>, Status> {
        self.program.in_place(self.engine)
    }

    /// Runs the program on the given memory.
    pub fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        threads: &dyn Pool,
    ) -> Result<(), Status> {
        self.program.run(self.engine, inputs, outputs, threads)
    }
}

/// The engine of that name; the default for an empty one.
pub fn engine_named(name: &str) -> Result<Engine, Status> {
    match name {
        "" => Ok(DEFAULT_ENGINE),
        name => name.parse().map_err(|error| Status::of(error, "")),
    }
}

/// Whether results of the native engine have to be the same for any number of threads: the environment variable `HLO2DAE_DETERMINISTIC`, as it is
/// when it is first asked for, set to something but `0`.
fn deterministic() -> bool {
    static CHOSEN: OnceLock<bool> = OnceLock::new();
    *CHOSEN.get_or_init(|| is_set(std::env::var_os("HLO2DAE_DETERMINISTIC").as_deref()))
}

fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_set_unless_it_says_no() {
        assert!(is_set(Some("1".as_ref())) && is_set(Some("yes".as_ref())));
        assert!(!is_set(None) && !is_set(Some("".as_ref())) && !is_set(Some("0".as_ref())));
    }
}
