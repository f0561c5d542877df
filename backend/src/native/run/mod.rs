//! Runs of a plan.
//!
//! | module | job |
//! |---|---|
//! | [`decode`] | the access side: lookups decoded in blocks of columns |
//! | [`direct`] | lookups that need no columns: bags handed to the kernel as they are found |
//! | [`effects`] | the execute side: windows of decoded lookups handed to kernels |
//! | [`exports`] | the columns that a kernel takes |
//! | [`tiles`] | rows that no kernel covers, step by step |
//! | [`split`] | who does which part |
//! | [`claims`] | threads that write rows of one table |
//! | [`look`] | the destinations of lookups |
//! | [`reached`] | rows that lookups reach |
//! | [`sums`] | what a thread adds to alone |
//! | [`loops`] | what does not run by columns: one value at a time |

mod claims;
pub(crate) mod decode;
mod direct;
pub(crate) mod effects;
mod exports;
mod look;
pub(crate) mod loops;
pub(crate) mod reached;
pub(crate) mod split;
mod sums;
mod tiles;

use std::sync::Mutex;

use hlo2dae_ir::core::{Arith, Scalar, Span};

use super::Options;
use super::error::RunError;
use super::kernels::memory::Memory;
use super::machine::Caches;
use super::plan::Node;
use super::plan::level::{Flat, Place, Uniform};
use super::plan::source::{BufferNumber, Source};
use super::pool::Pool;
use decode::Scratch;
use split::{Part, Size};
use sums::Sums;

/// Tasks for each thread, where tasks cost little: the last to be done are small then.
const TASKS: u64 = 4;

/// What the parts of one run share.
pub(crate) struct Run<'a> {
    pub source: &'a Source,
    pub memory: &'a Memory<'a>,
    pub pool: &'a dyn Pool,
    pub options: &'a Options,
    /// Bytes of all tables that are looked up at random: what the caches cannot hold comes from memory again.
    pub tables: usize,
    /// Columns that were used before, for each kind of nest that runs by columns.
    pub scratch: &'a [Mutex<Vec<Scratch>>],
}

impl Run<'_> {
    /// Runs nodes one after the other. Recursion is as deep as units nest, which the verifier bounds.
    pub fn nodes(&self, nodes: &[Node], registers: &mut [Scalar]) -> Result<(), RunError> {
        for node in nodes {
            match node {
                Node::Flat(group) => self.group(group, registers)?,
                Node::Reached(reached) => self.reached(reached, registers)?,
                Node::Loop(unit, children) => self.unit(unit, children, registers)?,
            }
        }
        Ok(())
    }

    /// Runs nests by columns, all at once, on as many threads as pay.
    fn group(&self, group: &[Flat], registers: &[Scalar]) -> Result<(), RunError> {
        let alone = || {
            group.iter().try_for_each(|flat| {
                let uniforms = self.uniforms(flat, registers)?;
                let part = Part::whole(self, flat, &uniforms)?;
                self.with_scratch(flat, |scratch| self.part(flat, &uniforms, &part, scratch))
            })
        };
        let threads = self.pool.threads() as u64;
        if threads < 2 {
            return alone();
        }
        let mut nests = Vec::with_capacity(group.len());
        for flat in group {
            let uniforms = self.uniforms(flat, registers)?;
            let size = Size::of(self, flat, &uniforms)?;
            nests.push((flat, uniforms, size));
        }
        let bytes = |size: &Size| u128::from(size.bytes);
        let all: u128 = nests.iter().map(|(_, _, size)| bytes(size)).sum();
        let threads = u128::from(threads).min(all / self.options.grain.max(1) as u128) as u64;
        if threads < 2 {
            return alone();
        }
        let mut tasks = Vec::new();
        for (flat, uniforms, size) in &nests {
            let share = (u128::from(threads * TASKS) * bytes(size)).div_ceil(all.max(1));
            let parts = split::parts(self, flat, uniforms, size, threads, share.max(1) as u64)?;
            // Parts that write the same rows start nothing, and neither do none.
            if parts.is_empty() || parts.iter().any(|part| part.started) {
                self.start_all(flat);
            }
            let sums = |part: &Part| part.own.then(|| Mutex::new(Sums::of(self, flat)));
            tasks.extend(
                parts
                    .into_iter()
                    .map(|part| (*flat, uniforms, sums(&part), part)),
            );
        }
        let done = self.all(tasks.len(), |task| {
            let Some((flat, uniforms, sums, part)) = tasks.get(task) else {
                return Ok(());
            };
            self.with_scratch(flat, |scratch| match sums {
                None => self.part(flat, uniforms, part, scratch),
                Some(sums) => {
                    let mut sums = sums.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let memory = sums.begin(self.memory);
                    let run = Run {
                        memory: &memory,
                        ..*self
                    };
                    run.part(flat, uniforms, part, scratch)
                }
            })
        });
        for (flat, uniforms, _, part) in &tasks {
            if let Some(claimed) = &part.claimed {
                self.left(flat, uniforms, claimed)?;
            }
        }
        let all = tasks.into_iter().filter_map(|(flat, _, sums, _)| {
            let sums = sums?.into_inner();
            Some((flat, sums.unwrap_or_else(|poisoned| poisoned.into_inner())))
        });
        for (flat, sums) in all {
            sums.add(self)?;
            self.with_scratch(flat, |scratch| scratch.sums = sums.values);
        }
        done
    }

    /// Does tasks on the threads of the pool; the first failure, if any fails.
    fn all(
        &self,
        tasks: usize,
        task: impl Fn(usize) -> Result<(), RunError> + Sync,
    ) -> Result<(), RunError> {
        if tasks == 1 {
            return task(0);
        }
        let failed: Mutex<Option<RunError>> = Mutex::new(None);
        self.pool.run(tasks, &|n| {
            if let Err(error) = task(n) {
                let mut failed = failed
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                failed.get_or_insert(error);
            }
        });
        let failed = failed
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        failed.map_or(Ok(()), Err)
    }

    /// Gives all that a nest would start its initial values.
    fn start_all(&self, flat: &Flat) {
        for start in &flat.starts {
            if let Some(data) = self.source.buffers.get(start.buffer) {
                self.start(start.buffer, data);
            }
        }
    }

    /// The values that are the same for all lookups.
    fn uniforms(&self, flat: &Flat, registers: &[Scalar]) -> Result<Vec<Scalar>, RunError> {
        let mut values: Vec<Scalar> = Vec::with_capacity(flat.uniforms.len());
        for uniform in &flat.uniforms {
            let value = match uniform {
                Uniform::Outer(reg) => registers
                    .get(*reg)
                    .copied()
                    .ok_or_else(|| self.broken("a register that does not exist"))?,
                Uniform::Arith(arith) => {
                    let arith: Arith<Scalar> =
                        arith.try_map(|place| self.uniform(*place, &values))?;
                    arith.evaluate().map_err(|error| self.broken(error))?
                }
                Uniform::Load {
                    buffer,
                    offset,
                    span,
                } => {
                    let offset = self.uniform_index(*offset, &values)?;
                    let value = self.memory.load(*buffer, offset);
                    value.map_err(|_| self.outside(*buffer, *span))?
                }
            };
            values.push(value);
        }
        Ok(values)
    }

    /// A value that is the same for all lookups.
    pub fn uniform(&self, place: Place, values: &[Scalar]) -> Result<Scalar, RunError> {
        let value = match place {
            Place::Constant(value) => Some(value),
            Place::Uniform(n) => values.get(n).copied(),
            Place::Column(_) => None,
        };
        value.ok_or_else(|| self.broken("a column in place of one value"))
    }

    /// The same, of an `index`.
    pub fn uniform_index(&self, place: Place, values: &[Scalar]) -> Result<i64, RunError> {
        match self.uniform(place, values)? {
            Scalar::Index(value) => Ok(value),
            other => Err(self.broken(format!("{} in place of an index", other.ty()))),
        }
    }

    /// Calls `f` with columns for a nest, and keeps them for the next.
    pub fn with_scratch<T>(&self, flat: &Flat, f: impl FnOnce(&mut Scratch) -> T) -> T {
        let lock = || {
            let kept = self.scratch.get(flat.number)?;
            Some(kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
        };
        let known = lock().and_then(|mut kept| kept.pop());
        let mut scratch = known.unwrap_or_default();
        let result = f(&mut scratch);
        if let Some(mut kept) = lock() {
            kept.push(scratch);
        }
        result
    }

    /// Whether what is written to a buffer goes past the caches: most of it would have left them before it is read.
    pub fn goes_past(&self, buffer: BufferNumber) -> bool {
        self.memory.bytes(buffer) >= Caches::get().last / 2
    }

    pub fn broken(&self, what: impl std::fmt::Display) -> RunError {
        RunError::Broken {
            program: self.source.name.clone(),
            what: what.to_string(),
        }
    }

    pub fn outside(&self, buffer: BufferNumber, span: Span) -> RunError {
        let name = self.source.buffers.get(buffer);
        RunError::outside(name.map_or("?", |data| &data.name), span)
    }
}
