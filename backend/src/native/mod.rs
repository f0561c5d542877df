//! The native engine: the CPU as a decoupled machine.
//!
//! A plan is made once from a DLC program without optimisation, and run any number of times, by any threads at once. What the machine's access
//! unit does is done by columns: indices are decoded in blocks, addresses computed, rows prefetched far ahead of
//! their use. What its execute unit does is done by rows, with vector instructions.
//!
//! ```text
//! dlc::Program -> source (one tree) -> chains of units -> lookups, rows, combines -> steps on columns + a kernel for each combine
//! ```
//!
//! | module | job |
//! |---|---|
//! | `plan` | from the program to what runs: values and their levels, lookups and rows, the kernel of each combine |
//! | `run` | blocks of lookups decoded, windows of them handed to kernels, parts for threads; whatever is left, as loops |
//! | [`kernels`] | rows, columns and pages by address: the only place where memory is touched |
//! | [`prefetch`] | how far ahead |
//! | [`machine`] | vector units and caches |
//! | [`pool`] | threads |
//!
//! # Results
//!
//! Every element is combined in the order of the lookups, whatever the number of threads and the instructions of the CPU: runs
//! repeat bit by bit, and agree with the evaluators. The exception is a row that is reduced to one value (a dot product, a
//! norm): it is added up in eight interleaved parts, always the same.
//!
//! # Safety
//!
//! Indices are checked, by what is known about them or as they come; an index outside of its buffer is a [`RunError`]. An element of an
//! output without initial value that the program does not write keeps what was in the caller's memory.

pub mod error;
pub mod kernels;
pub mod machine;
mod plan;
pub mod pool;
pub mod prefetch;
mod run;

use std::fmt::Write as _;
use std::sync::Mutex;

use cranelift_entity::EntityRef;
use hlo2dae_ir::core::{BufferId, Init, Ir, Role, in_place};
use hlo2dae_ir::dlc;

pub use error::{PlanError, RunError};
pub use machine::Isa;
pub use pool::{Caller, Pool, Threads};

use kernels::copy::{Copies, copy};
use kernels::memory::{Bytes, Memory};
use kernels::pages;
use plan::Node;
use plan::source::{BufferData, BufferNumber, Source};
use prefetch::Prefetch;
use run::Run;
use run::decode::Scratch;

/// What a run may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The vector instructions that are used, as far as the CPU has them.
    pub isa: Isa,
    /// Bytes that a thread must have to do, so that waking it pays.
    pub grain: usize,
    /// Whether results are the same for any number of threads. Otherwise they are for one number of them; but where many rows are added to few
    /// in no order, each thread adds to sums of its own: a different order of additions, in half to two thirds of the time.
    pub deterministic: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            isa: Isa::best(),
            grain: 256 << 10,
            deterministic: false,
        }
    }
}

/// A program, ready to be run on this CPU.
pub struct Plan {
    source: Source,
    nodes: Vec<Node>,
    /// Bytes of all tables that are looked up at random.
    tables: usize,
    /// Buffers that nests give their initial values.
    started: Vec<BufferNumber>,
    /// For each kind of nest that runs by columns, the columns of threads that ran one.
    scratch: Vec<Mutex<Vec<Scratch>>>,
    /// Temporaries of earlier runs.
    temporaries: Mutex<Vec<Vec<Vec<u8>>>>,
}

impl Plan {
    /// Verifies a program and plans it.
    pub fn new(program: &dlc::Program) -> Result<Plan, PlanError> {
        program.verify()?;
        let mut source = Source::new(program)?;
        plan::share::share(&mut source);
        let mut types = Vec::new();
        let mut nodes = plan::nodes(&source, &mut types);
        let started = plan::starts(&mut nodes);
        Ok(Plan {
            tables: plan::tables(&source, &nodes),
            source,
            nodes,
            started,
            scratch: types.iter().map(|_| Mutex::new(Vec::new())).collect(),
            temporaries: Mutex::new(Vec::new()),
        })
    }

    /// Runs the program: the bytes of one array for each input and each output, in the order of the declarations.
    ///
    /// An input that is nothing but what outputs start with may be left empty: these outputs hold it already, and are updated in place.
    pub fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        pool: &dyn Pool,
        options: &Options,
    ) -> Result<(), RunError> {
        let data = self.source.inputs().map(|(_, data)| data);
        let sizes = inputs.iter().map(|bytes| bytes.len());
        self.check("inputs", data, sizes, |input| self.only_starts(input))?;
        let data = self.source.outputs().map(|(_, data)| data);
        let sizes = outputs.iter().map(|bytes| bytes.len());
        self.check("outputs", data, sizes, |_| false)?;
        let lock = || {
            let lock = self.temporaries.lock();
            lock.unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let known = lock().pop();
        let mut temporaries = match known {
            Some(temporaries) => temporaries,
            None => self.temporaries()?,
        };
        let done = self.run_in(inputs, outputs, &mut temporaries, pool, options);
        lock().push(temporaries);
        done
    }

    /// Whether floats of a row are added up, or multiplied, in an order of the engine's own: results agree with the evaluators up to
    /// rounding. Otherwise to the bit.
    pub fn reassociates(&self) -> bool {
        plan::reassociates(&self.source, &self.nodes)
    }

    /// The kernels that were chosen, one line for each nest.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        plan::describe(&self.source, &self.nodes, 0, &mut |depth, line| {
            let _ = writeln!(text, "{:depth$}{line}", "", depth = 2 * depth);
        });
        text
    }

    /// For each output, the input that may be left empty in [`Plan::run`] where it stands in that output already.
    pub fn in_place(&self) -> Vec<Option<usize>> {
        let roles = self.source.buffers.iter().map(|buffer| &buffer.role);
        let read = |buffer: BufferId| self.source.loads.get(buffer.index()) != Some(&0);
        in_place(roles, read)
    }

    /// Whether an input, by its number, is nothing but what outputs start with.
    fn only_starts(&self, input: usize) -> bool {
        let buffer = self.source.inputs().nth(input).map(|(buffer, _)| buffer);
        let loads = buffer.and_then(|buffer| self.source.loads.get(buffer));
        let copied = |data: &BufferData| match data.role {
            Role::Output(Init::Copy(from)) => Some(from.index()) == buffer,
            Role::Output(_) | Role::Input | Role::Temp(_) => false,
        };
        let temporary = |data: &BufferData| match data.role {
            Role::Temp(Init::Copy(from)) => Some(from.index()) == buffer,
            Role::Temp(_) | Role::Input | Role::Output(_) => false,
        };
        let buffers = &self.source.buffers;
        loads == Some(&0) && buffers.iter().any(copied) && !buffers.iter().any(temporary)
    }

    /// Whether arrays are as many and as large as buffers; which may be left empty, `optional` says.
    fn check<'a>(
        &self,
        what: &'static str,
        data: impl Iterator<Item = &'a BufferData> + Clone,
        found: impl ExactSizeIterator<Item = usize>,
        optional: impl Fn(usize) -> bool,
    ) -> Result<(), RunError> {
        let expected = data.clone().count();
        if expected != found.len() {
            return Err(RunError::Count {
                program: self.source.name.clone(),
                what,
                expected,
                found: found.len(),
            });
        }
        for (number, (data, found)) in data.zip(found).enumerate() {
            if data.bytes != found && !(found == 0 && optional(number)) {
                return Err(RunError::Size {
                    buffer: data.name.clone(),
                    expected: data.bytes,
                    found,
                });
            }
        }
        Ok(())
    }

    fn temporaries(&self) -> Result<Vec<Vec<u8>>, RunError> {
        let buffers = self.source.buffers.iter();
        buffers
            .filter(|data| matches!(data.role, Role::Temp(_)))
            .map(|data| {
                let mut bytes: Vec<u8> = Vec::new();
                let reserved = bytes.try_reserve_exact(data.bytes);
                reserved.map_err(|_| RunError::Memory {
                    buffer: data.name.clone(),
                    bytes: data.bytes,
                })?;
                if data.bytes >= pages::LARGE {
                    pages::advise_large(bytes.spare_capacity_mut());
                }
                bytes.resize(data.bytes, 0);
                Ok(bytes)
            })
            .collect()
    }

    fn run_in(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        temporaries: &mut [Vec<u8>],
        pool: &dyn Pool,
        options: &Options,
    ) -> Result<(), RunError> {
        let (mut inputs, mut outputs) = (inputs.iter(), outputs.iter_mut());
        let mut temporaries = temporaries.iter_mut();
        let memory = Memory::new(self.source.buffers.iter().map(|data| {
            let bytes = match data.role {
                Role::Input => Bytes::Read(inputs.next().map_or(&[][..], |bytes| bytes)),
                Role::Output(_) => Bytes::Write(outputs.next().map_or(&mut [][..], |bytes| bytes)),
                Role::Temp(_) => {
                    Bytes::Write(temporaries.next().map_or(&mut [][..], Vec::as_mut_slice))
                }
            };
            (data.element, bytes)
        }));
        let options = Options {
            isa: options.isa.min(Isa::best()),
            ..*options
        };
        let run = Run {
            source: &self.source,
            memory: &memory,
            pool,
            options: &options,
            tables: self.tables,
            scratch: &self.scratch,
        };
        for (buffer, data) in self.source.buffers.iter().enumerate() {
            if let Role::Output(init) = &data.role {
                // What is updated in place was touched before.
                let kept = matches!(init, Init::Copy(from) if memory.bytes(from.index()) == 0);
                if kept {
                    continue;
                }
                pages::advise(&memory, buffer);
            }
            if !self.started.contains(&buffer) {
                run.start(buffer, data);
            }
        }
        // Nests by columns alone need none.
        let loops = self.nodes.iter().any(|node| matches!(node, Node::Loop(..)));
        let types = if loops {
            self.source.types.as_slice()
        } else {
            &[]
        };
        let mut registers = run::loops::registers(types);
        run.nodes(&self.nodes, &mut registers)
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Run<'_> {
    /// Gives a buffer its initial value, on as many threads as pay.
    pub(crate) fn start(&self, buffer: BufferNumber, data: &BufferData) {
        let (Role::Output(init) | Role::Temp(init)) = &data.role else {
            return;
        };
        if *init == Init::Undefined || data.bytes == 0 {
            return;
        }
        // Whole pages, so that each is touched first by one thread.
        const PAGE: usize = 2 << 20;
        let tasks = data.bytes.div_ceil(PAGE);
        let work = |task: usize| {
            let (first, last) = (task * PAGE, ((task + 1) * PAGE).min(data.bytes));
            let width = data.element.bytes();
            // Both stay inside of buffers whose sizes and types were checked.
            let _ = match init {
                Init::Undefined => Ok(()),
                Init::Splat(value) => self
                    .memory
                    .fill(buffer, first / width, last / width, *value),
                Init::Copy(from) => {
                    let place = [(first / width) as i64];
                    let copies = Copies {
                        table: from.index(),
                        src: &place,
                        fill: &[],
                        out: buffer,
                        dst: &place,
                        column: 0,
                        size: (last - first) / width,
                        stream: self.goes_past(buffer),
                        prefetch: Prefetch::default(),
                    };
                    copy(self.options.isa, self.memory, &copies)
                }
            };
        };
        match tasks {
            1 => work(0),
            tasks => self.pool.run(tasks, &work),
        }
    }
}

#[cfg(test)]
mod tests;
