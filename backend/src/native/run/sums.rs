//! Sums that one thread has for itself, added to the buffer when all threads are done.

use hlo2dae_ir::core::Span;

use super::Run;
use crate::native::error::RunError;
use crate::native::kernels::accumulate::{Lookups, Op, Post, Start, accumulate};
use crate::native::kernels::memory::Memory;
use crate::native::machine::Caches;
use crate::native::plan::effect::Kernel;
use crate::native::plan::level::Flat;
use crate::native::plan::source::BufferNumber;
use crate::native::prefetch::Prefetch;

/// Rows that are added up at once.
const ROWS: usize = 512;

/// What a nest with one effect, which accumulates rows, adds to in place of its buffer.
#[derive(Debug)]
pub(super) struct Sums {
    buffer: BufferNumber,
    op: Op,
    /// Elements of a row, which divides those of the buffer.
    row: usize,
    pub values: Vec<f32>,
    elements: usize,
    span: Span,
}

impl Sums {
    /// Those of a nest, in memory that an earlier one left.
    pub fn of(run: &Run<'_>, flat: &Flat) -> Sums {
        let effect = flat.effects.first();
        let op = match effect.map(|effect| &effect.kernel) {
            Some(Kernel::Accumulate { op, .. }) => *op,
            _ => Op::Add,
        };
        let buffer = effect.map_or(usize::MAX, |effect| effect.buffer);
        Sums {
            buffer,
            op,
            row: flat.row.max(1),
            values: run.with_scratch(flat, |scratch| std::mem::take(&mut scratch.sums)),
            elements: run.memory.bytes(buffer) / size_of::<f32>(),
            span: effect.map_or(Span::default(), |effect| effect.span),
        }
    }

    /// The memory of a run with these in place of the buffer; each is what changes nothing.
    pub fn begin<'a>(&'a mut self, memory: &'a Memory<'_>) -> Memory<'a> {
        let neutral = match self.op {
            Op::Add => -0.0,
            Op::Min => f32::INFINITY,
            Op::Max => f32::NEG_INFINITY,
        };
        self.values.clear();
        self.values.resize(self.elements, neutral);
        memory.with(self.buffer, &mut self.values)
    }

    /// Adds them to the buffer, on as many threads as pay.
    pub fn add(&self, run: &Run<'_>) -> Result<(), RunError> {
        let rows = self.values.len() / self.row;
        let failed = std::sync::Mutex::new(None);
        let (memory, table) = run.memory.beside(&self.values);
        let prefetch = Prefetch::in_order(Caches::get(), 4 * self.values.len(), 4 * self.row);
        run.pool.run(rows.div_ceil(ROWS), &|task| {
            let rows = task * ROWS..rows.min((task + 1) * ROWS);
            let offsets: Vec<i64> = rows.map(|row| (row * self.row) as i64).collect();
            let lookups = Lookups {
                table,
                n: offsets.len(),
                src: &offsets,
                fill: &[],
                out: self.buffer,
                dst: &offsets,
                column: 0,
                size: self.row,
                scale: &[],
                bias: &[],
                prefetch,
                prefetch_out: Prefetch::default(),
            };
            let isa = run.options.isa;
            let done = accumulate(
                isa,
                &memory,
                self.op,
                Post::Plain,
                &lookups,
                &mut Start::DONE.clone(),
            );
            if done.is_err() {
                let mut failed = failed
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                *failed = Some(run.outside(self.buffer, self.span));
            }
        });
        let failed = failed
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        failed.map_or(Ok(()), Err)
    }
}
