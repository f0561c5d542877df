//! The two machines and their turns.

use cranelift_entity::EntityRef;
use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Instruction, Placement};
use hlo2dae_ir::core::compute::positions;
use hlo2dae_ir::core::{Array, EvalError, ReadLevel, Span};

use crate::access::{AccessMachine, State};
use crate::code::{AccessOp, Code, Dealt, Phase};
use crate::config::Config;
use crate::decode;
use crate::error::SimError;
use crate::execute::ExecuteMachine;
use crate::lines::{Reader, is_counted, readers};
use crate::memory::{self, Memory};
use crate::queue::Queues;
use crate::stats::{BufferStats, CaseStats, Stats, UnitStats};
use crate::trace::{Names, Observer, Trace};

/// A decoded program and the machine that it runs on. Runs are independent of one another.
#[derive(Clone, Debug)]
pub struct Emulator {
    artifact: Artifact,
    config: Config,
    code: Code,
    names: Names,
    readers: Vec<Reader>,
}

impl Emulator {
    /// Decodes the binary form of an artifact.
    ///
    /// # Errors
    ///
    /// The bytes are no artifact, or one that breaks a rule.
    pub fn load(bytes: &[u8], config: Config) -> Result<Emulator, SimError> {
        Emulator::of(Artifact::decode(bytes)?, config)
    }

    /// As [`Emulator::load`], of the artifact's binary form.
    ///
    /// # Errors
    ///
    /// The artifact breaks a rule.
    pub fn new(artifact: &Artifact, config: Config) -> Result<Emulator, SimError> {
        let decoded = Artifact::decode(&artifact.encode())?;
        if decoded != *artifact {
            let what = "the artifact is decoded as another one";
            return Err(EvalError::stuck(Span::default(), what).into());
        }
        // The same program, with the places that it was made from.
        Emulator::of(artifact.clone(), config)
    }

    fn of(artifact: Artifact, config: Config) -> Result<Emulator, SimError> {
        let code = decode::decode(&artifact)?;
        let mut names = Names::new(&artifact);
        for op in &code.access.ops {
            if let AccessOp::Enter { unit, position, .. } = op {
                names.positions[*unit] = *position;
            }
        }
        let readers = readers(&artifact, config.line_bytes.get() as usize);
        Ok(Emulator {
            artifact,
            config,
            code,
            names,
            readers,
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

    /// Phase after phase. Of a phase on several cores each core runs its positions by itself, one core after the other: they touch
    /// no common element of an output, and every core has temporaries of its own.
    fn run_memory(
        &self,
        mut memory: Memory<'_>,
        trace: Option<&mut dyn Trace>,
    ) -> Result<Stats, SimError> {
        let phases = &self.code.access.phases;
        let dealt = phases.iter().filter_map(|phase| phase.dealt);
        let count = dealt.map(|dealt| dealt.cores).max().unwrap_or(1);
        let mut cores: Vec<Core<'_>> = (0..count).map(|_| Core::new(self)).collect();
        let mut observer = Observer {
            artifact: &self.artifact,
            names: &self.names,
            trace,
        };
        let mut left = self.config.limits.steps;
        for phase in phases {
            let used = phase.dealt.map_or(1, |dealt| dealt.cores);
            let temporaries = (used > 1).then(|| memory.temporaries());
            for (n, core) in cores.iter_mut().take(used as usize).enumerate() {
                if let Some(temporaries) = &temporaries {
                    memory.restore(temporaries);
                }
                core.start(&self.code, phase, n as u32);
                core.run(&self.config, &mut memory, &mut observer, &mut left)?;
            }
        }
        observer.done();
        memory.finish()?;
        let mut each = cores.iter().map(|core| self.stats(core));
        let Some(mut stats) = each.next() else {
            return Err(EvalError::stuck(Span::default(), "a machine without cores").into());
        };
        if count > 1 {
            let mut all = vec![stats.clone()];
            for core in each {
                stats.add(&core);
                all.push(core);
            }
            stats.cores = all;
        }
        Ok(stats)
    }

    /// What was not counted while running follows from how often each unit did what it does.
    fn stats(&self, core: &Core<'_>) -> Stats {
        let artifact = &self.artifact;
        let (access, execute) = (&core.access, &core.execute);
        let mut stats = Stats {
            buffers: artifact
                .buffers
                .iter()
                .map(|(id, buffer)| BufferStats {
                    name: buffer.name.clone(),
                    element_bytes: buffer.element.bytes() as u64,
                    loaded: execute.requests[id].loaded,
                    loads: execute.requests[id].loads,
                    stored: execute.requests[id].stored,
                    stores: execute.requests[id].stores,
                    written: access.written[id].0,
                    writes: access.written[id].1,
                    ..BufferStats::default()
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
            units: artifact
                .access
                .units
                .iter()
                .map(|(id, unit)| UnitStats {
                    name: unit.name.clone(),
                    activations: access.activations[id],
                    iterations: access.iterations[id],
                })
                .collect(),
            ..Stats::default()
        };
        self.count_units(core, &mut stats);
        self.count_launches(core, &mut stats);
        stats
    }

    fn count_units(&self, core: &Core<'_>, stats: &mut Stats) {
        let (mut iterations, mut host) = (0, false);
        let mut readers = core.access.readers.iter();
        for instruction in &self.artifact.access.code {
            match instruction {
                Instruction::Unit(unit) => {
                    iterations = core.access.iterations[unit.to.0];
                    host = unit.placement == Placement::Host;
                }
                Instruction::Read(read) => {
                    let reader = if is_counted(read) {
                        readers.next()
                    } else {
                        None
                    };
                    let (elements, lines, hits) = reader
                        .map_or((iterations, iterations, 0), |reader| {
                            (reader.elements, reader.lines, reader.hits)
                        });
                    let Some(buffer) = stats.buffers.get_mut(read.access.buffer.index()) else {
                        continue;
                    };
                    if host {
                        buffer.host_streamed += elements;
                        continue;
                    }
                    buffer.streamed += elements;
                    buffer.reuse_hits += hits;
                    match read.hints.level {
                        Some(ReadLevel::L2) => buffer.lines.l2 += lines,
                        Some(ReadLevel::Llc) | None => buffer.lines.llc += lines,
                    }
                    if read.hints.nontemporal {
                        buffer.lines.nontemporal += lines;
                    }
                }
                Instruction::Position(_)
                | Instruction::Mask(_)
                | Instruction::Compute(_)
                | Instruction::Broadcast(_)
                | Instruction::Sequence(_)
                | Instruction::Row(_)
                | Instruction::Append(_)
                | Instruction::Write(_)
                | Instruction::Push(_) => {}
            }
        }
        for (push, &times) in self.code.access.pushes.iter().zip(&core.access.pushes) {
            stats.tokens += times;
            for operand in &push.operands {
                let data = self.artifact.access.slots.get(operand.slot);
                stats.operands += times;
                stats.operand_bytes += times * data.map_or(0, |data| data.ty.bytes());
            }
        }
    }

    fn count_launches(&self, core: &Core<'_>, stats: &mut Stats) {
        let mut parents = Vec::new();
        for instruction in &self.artifact.access.code {
            if let Instruction::Unit(unit) = instruction
                && let Placement::Layer { layer: 0, .. } = unit.placement
                && !parents.contains(&unit.parent)
            {
                parents.push(unit.parent);
                stats.launches += match unit.parent {
                    Some(parent) => core.access.iterations[parent],
                    None => u64::from(core.started),
                };
            }
        }
    }
}

/// A core: an access unit, an execute unit, and the queues between.
struct Core<'a> {
    access: AccessMachine<'a>,
    execute: ExecuteMachine<'a>,
    queues: Queues,
    started: bool,
}

impl<'a> Core<'a> {
    fn new(emulator: &'a Emulator) -> Core<'a> {
        Core {
            access: AccessMachine::new(&emulator.code.access, emulator.readers.clone()),
            execute: ExecuteMachine::new(&emulator.code.execute),
            queues: Queues::new(&emulator.config),
            started: false,
        }
    }

    /// Its part of a phase.
    fn start(&mut self, code: &Code, phase: &Phase, n: u32) {
        self.started = true;
        self.execute.start();
        let Some(dealt) = phase.dealt else {
            self.access.start(phase.start, true);
            return;
        };
        let last = n + 1 >= dealt.cores;
        // What a root does before its first position, the first core does.
        let at = if n == 0 { phase.start } else { dealt.enter };
        let file = self.access.start(at, last);
        let [begin, end] = [dealt.begin, dealt.end].map(|at| code.access.file[at as usize] as i64);
        let (begin, end) = block(&dealt, begin, end, n);
        file[dealt.begin as usize] = begin as u64;
        file[dealt.end as usize] = end as u64;
    }

    fn run(
        &mut self,
        config: &Config,
        memory: &mut Memory<'_>,
        observer: &mut Observer<'_, '_>,
        left: &mut u64,
    ) -> Result<(), SimError> {
        let mut schedule = config.schedule;
        loop {
            let (access, execute) = schedule.turn();
            let queues = &mut self.queues;
            let a = self
                .access
                .run(memory, queues, access.min(*left), observer)?;
            *left = left.saturating_sub(a.steps);
            let e = self.execute.run(memory, queues, execute.min(*left))?;
            *left = left.saturating_sub(e.steps);
            if e.state == State::Finished {
                break;
            }
            if *left == 0 {
                let limit = config.limits.steps;
                return Err(EvalError::Steps { limit }.into());
            }
            if a.steps == 0 && e.steps == 0 {
                let what = "the units wait for one another";
                return Err(EvalError::stuck(Span::default(), what).into());
            }
        }
        if !self.queues.data.is_empty() {
            let what = "operands are left when the program is done";
            return Err(EvalError::stuck(Span::default(), what).into());
        }
        Ok(())
    }
}

/// The bounds of a core's block of positions.
fn block(dealt: &Dealt, begin: i64, end: i64, n: u32) -> (i64, i64) {
    let iterations = positions(begin, end, dealt.step);
    let each = iterations.div_ceil(dealt.cores.into());
    let start = |n: u32| {
        // Beyond the last position there is nothing: what does not fit is the end.
        let distance = i64::try_from(each.saturating_mul(n.into())).ok();
        let distance = distance.and_then(|d| d.checked_mul(dealt.step));
        let at = distance.and_then(|d| begin.checked_add(d));
        at.map_or(end, |at| at.min(end.max(begin)))
    };
    (start(n), start(n + 1))
}
