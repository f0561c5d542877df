//! The two machines and their turns.

use cranelift_entity::{EntityRef, SecondaryMap};
use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Source, Unit};
use hlo2dae_backend::execute::Instruction;
use hlo2dae_ir::core::{Array, EvalError};
use hlo2dae_ir::dlc::Event;

use crate::access::{AccessMachine, State};
use crate::code::{AccessOp, Code};
use crate::config::Config;
use crate::decode;
use crate::error::{Contents, Deadlock, SimError};
use crate::execute::ExecuteMachine;
use crate::memory::{self, Memory};
use crate::queue::{Operand, Queue, Queues, Token};
use crate::stats::{BufferStats, CaseStats, Stats, UnitStats};
use crate::stream::operand_bytes;
use crate::trace::{self, Observer, Positions, Trace};

/// A decoded program and the machine that it runs on. Runs are independent of one another.
#[derive(Clone, Debug)]
pub struct Emulator {
    artifact: Artifact,
    config: Config,
    code: Code,
    positions: Positions,
}

impl Emulator {
    /// Checks and decodes an artifact.
    pub fn new(artifact: &Artifact, config: Config) -> Result<Emulator, SimError> {
        let code = decode::decode(artifact)?;
        let mut positions = SecondaryMap::new();
        for op in &code.access.ops {
            if let AccessOp::Enter { unit, position, .. } = op {
                positions[*unit] = *position;
            }
        }
        Ok(Emulator {
            artifact: artifact.clone(),
            config,
            code,
            positions,
        })
    }

    /// The program that runs.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Runs the program: one array for each input, one back for each output, in the order of the declarations.
    pub fn run(&self, inputs: &[Array]) -> Result<(Vec<Array>, Stats), SimError> {
        self.run_arrays(inputs, None)
    }

    /// As [`Emulator::run`]; the trace is told of every push.
    pub fn run_traced(
        &self,
        inputs: &[Array],
        trace: &mut dyn Trace,
    ) -> Result<(Vec<Array>, Stats), SimError> {
        self.run_arrays(inputs, Some(trace))
    }

    /// As [`Emulator::run`], on the caller's memory: the bytes of each input and of each output, row-major and
    /// little-endian, `bool` one byte of 0 or 1. What the outputs hold before does not matter.
    pub fn run_in_place<'m>(
        &'m self,
        inputs: &[&'m [u8]],
        outputs: Vec<&'m mut [u8]>,
    ) -> Result<Stats, SimError> {
        let limits = &self.config.limits;
        let memory = Memory::new(&self.artifact.buffers, inputs, outputs, limits)?;
        self.run_memory(memory, None)
    }

    fn run_arrays(
        &self,
        inputs: &[Array],
        trace: Option<&mut dyn Trace>,
    ) -> Result<(Vec<Array>, Stats), SimError> {
        for ((_, buffer), array) in self.artifact.inputs().zip(inputs) {
            memory::check_input(buffer, array)?;
        }
        self.check_size()?;
        let inputs: Vec<&[u8]> = inputs.iter().map(|array| array.data.as_slice()).collect();
        let outputs = self.artifact.outputs().map(|(_, buffer)| {
            Array::zeros(buffer.element, &buffer.dims)
                .map_err(|error| memory::array_error(buffer, error))
        });
        let mut outputs = outputs.collect::<Result<Vec<Array>, _>>()?;
        let places = outputs.iter_mut().map(|array| array.data.as_mut_slice());
        let limits = &self.config.limits;
        let memory = Memory::new(&self.artifact.buffers, &inputs, places.collect(), limits)?;
        let stats = self.run_memory(memory, trace)?;
        Ok((outputs, stats))
    }

    /// All buffers together keep to the limit.
    fn check_size(&self) -> Result<(), EvalError> {
        let limit = self.config.limits.bytes;
        let total = self.artifact.buffers.values().try_fold(0u64, |total, b| {
            let bytes = Array::byte_size(b.element, &b.dims)?;
            total
                .checked_add(bytes as u64)
                .filter(|&total| total <= limit)
        });
        match total {
            Some(_) => Ok(()),
            None => Err(EvalError::Memory { limit }),
        }
    }

    fn run_memory(
        &self,
        mut memory: Memory<'_>,
        trace: Option<&mut dyn Trace>,
    ) -> Result<Stats, SimError> {
        let mut queues = Queues {
            control: Queue::new(self.config.control_capacity),
            data: Queue::new(self.config.data_capacity),
        };
        let mut access = AccessMachine::new(&self.code.access);
        let mut execute = ExecuteMachine::new(&self.code.execute);
        let mut observer = Observer {
            artifact: &self.artifact,
            positions: &self.positions,
            trace,
        };
        let mut schedule = self.config.schedule;
        let limit = self.config.limits.steps;
        let mut left = limit;
        loop {
            let (access_turn, execute_turn) = schedule.turn();
            let a = access.run(&memory, &mut queues, access_turn.min(left), &mut observer)?;
            left = left.saturating_sub(a.steps);
            let e = execute.run(&mut memory, &mut queues, execute_turn.min(left))?;
            left = left.saturating_sub(e.steps);
            if e.state == State::Finished {
                break;
            }
            if left == 0 {
                return Err(EvalError::Steps { limit }.into());
            }
            if a.steps == 0 && e.steps == 0 {
                return Err(SimError::Deadlock(Box::new(
                    self.deadlock(&access, &execute, &queues),
                )));
            }
        }
        if queues.data.len() > 0 {
            let left = queues.data.iter().map(|operand| self.show(operand));
            return Err(SimError::LeftOver(left.collect()));
        }
        memory.finish()?;
        Ok(self.stats(&access, &execute))
    }

    fn deadlock(
        &self,
        access: &AccessMachine<'_>,
        execute: &ExecuteMachine<'_>,
        queues: &Queues,
    ) -> Deadlock {
        let access_text = match access.waiting() {
            Some((push, pushed)) => {
                let token = trace::token(&self.artifact, &self.positions, push, access.file());
                let at: String = token
                    .positions
                    .iter()
                    .map(|(name, position)| format!(" %{name}={position}"))
                    .collect();
                let (what, queue) = match pushed.and_then(|n| Some((n, push.operands.get(n)?))) {
                    Some((n, &slot)) => (
                        format!(
                            "operand %{} ({} of {}) of",
                            trace::operand(&self.artifact, slot, 0).stream,
                            n + 1,
                            push.operands.len()
                        ),
                        "data",
                    ),
                    None => ("the token of".to_owned(), "control"),
                };
                format!(
                    "{} of %{}{at}: waits to push {what} @{}, the {queue} queue is full",
                    token.event.name(),
                    token.unit,
                    token.case
                )
            }
            None if access.is_finished() => "has pushed everything and `done`".to_owned(),
            None => "waits to push the token `done`, the control queue is full".to_owned(),
        };
        let execute_text = match execute.waiting() {
            Some((id, popped)) => {
                let case = self.artifact.execute.cases.get(id);
                let name = case.map_or("?", |case| case.name.as_str());
                let registers = case.into_iter().flat_map(|case| {
                    case.code
                        .iter()
                        .filter_map(|instruction| match instruction {
                            Instruction::Pop { to } => case.registers.get(*to),
                            Instruction::Compute { .. }
                            | Instruction::Load { .. }
                            | Instruction::Store { .. }
                            | Instruction::BranchUnless { .. }
                            | Instruction::Jump { .. } => None,
                        })
                });
                let what = match registers.into_iter().nth(popped) {
                    Some(register) => format!("%{}: {}", register.name, register.ty),
                    None => "an operand".to_owned(),
                };
                format!(
                    "@{name}: waits to pop {what} after {popped} operands, the data queue is empty"
                )
            }
            None if execute.is_finished() => "has popped `done`".to_owned(),
            None => "waits for a token, the control queue is empty".to_owned(),
        };
        let control = queues.control.iter().map(|token| match token {
            Token::Done => "done".to_owned(),
            Token::Case(id) => match self.artifact.execute.cases.get(*id) {
                Some(case) => format!("@{}", case.name),
                None => id.to_string(),
            },
        });
        Deadlock {
            access: access_text,
            execute: execute_text,
            control: Contents {
                capacity: queues.control.capacity(),
                entries: control.collect(),
            },
            data: Contents {
                capacity: queues.data.capacity(),
                entries: queues
                    .data
                    .iter()
                    .map(|operand| self.show(operand))
                    .collect(),
            },
        }
    }

    fn show(&self, operand: &Operand) -> String {
        let named = trace::operand(&self.artifact, operand.slot, operand.word);
        format!("%{} = {}: {}", named.stream, named.value, named.value.ty())
    }

    /// What was not counted while running follows from how often each unit did what it does.
    fn stats(&self, access: &AccessMachine<'_>, execute: &ExecuteMachine<'_>) -> Stats {
        let artifact = &self.artifact;
        let mut stats = Stats {
            buffers: artifact
                .buffers
                .iter()
                .map(|(id, buffer)| BufferStats {
                    name: buffer.name.clone(),
                    element_bytes: buffer.element.bytes() as u64,
                    streamed: 0,
                    loaded: execute.requests[id].loads,
                    stored: execute.requests[id].stores,
                })
                .collect(),
            cases: artifact
                .execute
                .cases
                .iter()
                .map(|(id, case)| CaseStats {
                    name: case.name.clone(),
                    activations: execute.activations[id],
                })
                .collect(),
            ..Stats::default()
        };
        for (id, unit) in &artifact.access.units {
            let (activations, iterations) = (access.activations[id], access.iterations[id]);
            stats.units.push(UnitStats {
                name: unit.name.clone(),
                activations,
                iterations,
            });
            self.count_unit(unit, activations, iterations, &mut stats);
        }
        stats
    }

    fn count_unit(&self, unit: &Unit, activations: u64, iterations: u64, stats: &mut Stats) {
        for stream in &unit.streams {
            if let Source::Read { buffer, .. } = stream.source
                && let Some(buffer) = stats.buffers.get_mut(buffer.index())
            {
                buffer.streamed += iterations;
            }
        }
        for callback in &unit.callbacks {
            let times = match callback.event {
                Event::Begin | Event::End => activations,
                Event::Iterate => iterations,
            };
            stats.tokens += times;
            for &slot in &callback.operands {
                let data = self.artifact.access.slots.get(slot);
                stats.operands += times;
                stats.operand_bytes += times * data.map_or(0, |data| operand_bytes(data.ty));
            }
        }
    }
}
