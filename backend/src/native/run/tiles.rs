//! Rows that no kernel covers: computed step by step, in tiles that stay in the first cache.

use hlo2dae_ir::core::{Arith, CombineOp, Native, Scalar};

use super::Run;
use super::effects::Window;
use super::exports::Exports;
use crate::native::error::RunError;
use crate::native::kernels::column::{Column, Operands, compute, with_column};
use crate::native::plan::effect::{Effect, RowProgram, RowStep, Table};

/// Elements of a tile of rows: what stays in the first cache, for a few steps.
pub(super) const TILE: usize = 1024;

/// Rows computed in tiles.
pub(super) struct Tiles<'a, 'b> {
    pub run: &'a Run<'a>,
    pub effect: &'a Effect,
    pub window: &'a Window,
    pub exports: &'a Exports<'a>,
    pub program: &'a RowProgram,
    pub tiles: &'b mut [Column],
    pub offsets: &'b mut Vec<i64>,
}

/// The rows `first..first + rows` of a window, the columns `column..column + size` of them.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    rows: usize,
    column: usize,
    size: usize,
    /// The row position of column 0.
    begin: usize,
}

impl Tiles<'_, '_> {
    /// Does the first `n` lookups.
    pub fn all(
        &mut self,
        n: usize,
        size: usize,
        begin: usize,
        op: CombineOp,
        fold: bool,
    ) -> Result<(), RunError> {
        let rows = (TILE / size.max(1)).max(1);
        let mut first = 0;
        while first < n {
            let rows = rows.min(n - first);
            self.prefetch(first, rows, size);
            let mut column = 0;
            while column < size {
                let tile = Tile {
                    first,
                    rows,
                    column,
                    size: (size - column).min(TILE),
                    begin,
                };
                self.compute(tile)?;
                self.combine(tile, op, fold)?;
                column += tile.size;
            }
            first += rows;
        }
        Ok(())
    }

    /// Prefetches the rows that come after those of a tile.
    fn prefetch(&self, first: usize, rows: usize, size: usize) {
        let places = self.effect.tables().map(|table| (table.buffer, table.src));
        let plans = places.zip(self.window.prefetch.iter().copied());
        let out = ((self.effect.buffer, 0), self.window.prefetch_out);
        for ((buffer, column), plan) in plans.chain([out]) {
            if plan.l2 > 0 {
                let ahead = first + plan.l2..first + plan.l2 + rows;
                self.exports.fetch(self.run, buffer, column, ahead, size);
            }
        }
    }

    /// Runs the steps on a tile.
    fn compute(&mut self, tile: Tile) -> Result<(), RunError> {
        let n = tile.rows * tile.size;
        for (number, (step, _)) in self.program.steps.iter().enumerate() {
            let Some(slot) = self.tiles.get_mut(number) else {
                return Err(self.run.broken("a tile that does not exist"));
            };
            let mut out = std::mem::replace(slot, Column::none());
            let done = self.step(step, tile, &mut out, n);
            if let Some(slot) = self.tiles.get_mut(number) {
                *slot = out;
            }
            done?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: &RowStep,
        tile: Tile,
        out: &mut Column,
        n: usize,
    ) -> Result<(), RunError> {
        match step {
            RowStep::Load { table, stride } => self.load(table, *stride, tile, out, n),
            RowStep::Spread { export } => {
                let rows = tile.first..tile.first + tile.rows;
                self.exports.spread(*export, rows, tile.size, out);
                Ok(())
            }
            // Constants are operands as they are; only as a result they are rows.
            RowStep::Constant(value) => {
                out.fill(n, *value);
                Ok(())
            }
            RowStep::Position { begin } => {
                let first = begin.wrapping_add((tile.begin + tile.column) as i64);
                if let Column::S64(out) = out {
                    for row in out.chunks_exact_mut(tile.size).take(tile.rows) {
                        for (d, out) in row.iter_mut().enumerate() {
                            *out = first.wrapping_add(d as i64);
                        }
                    }
                }
                Ok(())
            }
            RowStep::Arith(arith) => {
                let operands: Arith<Operands<'_>> =
                    arith.try_map(|&step| match self.program.steps.get(step) {
                        Some((RowStep::Constant(value), _)) => Ok(Operands::All(*value)),
                        _ => self
                            .tiles
                            .get(step)
                            .map(Operands::Each)
                            .ok_or_else(|| self.run.broken("a tile that does not exist")),
                    })?;
                compute(self.run.options.isa, &operands, out, n)
                    .map_err(|error| self.run.broken(error))
            }
        }
    }

    fn load(
        &mut self,
        table: &Table,
        stride: i64,
        tile: Tile,
        out: &mut Column,
        n: usize,
    ) -> Result<(), RunError> {
        let rows = tile.first..tile.first + tile.rows;
        let mut offsets = self.exports.index(table.src).get(rows).unwrap_or(&[]);
        if tile.column > 0 {
            let by = stride.wrapping_mul(tile.column as i64);
            self.offsets.clear();
            let shifted = offsets.iter().map(|&offset| match offset {
                ..0 => offset,
                _ => offset.wrapping_add(by),
            });
            self.offsets.extend(shifted);
            offsets = self.offsets;
        }
        fn typed<T: Native>(fill: Option<Scalar>) -> Option<T> {
            fill.and_then(T::from_scalar)
        }
        let memory = self.run.memory;
        with_column!(out, |out| {
            let out = out.get_mut(..n).unwrap_or(&mut []);
            let fill = typed(table.fill);
            memory.gather_rows(table.buffer, offsets, stride, tile.size, fill, out)
        })
        .map_err(|_| self.run.outside(table.buffer, table.span))
    }

    /// Combines the results of a tile into the buffer.
    fn combine(&mut self, tile: Tile, op: CombineOp, fold: bool) -> Result<(), RunError> {
        let rows = tile.first..tile.first + tile.rows;
        let mut dst = self.exports.index(0).get(rows).unwrap_or(&[]);
        if tile.column > 0 && !fold {
            self.offsets.clear();
            let by = tile.column as i64;
            self.offsets
                .extend(dst.iter().map(|&offset| offset.wrapping_add(by)));
            dst = self.offsets;
        }
        let (memory, buffer) = (self.run.memory, self.effect.buffer);
        let Some(values) = self.tiles.get(self.program.result) else {
            return Err(self.run.broken("a tile that does not exist"));
        };
        with_column!(values, |values| {
            let values = values.get(..tile.rows * tile.size).unwrap_or(&[]);
            if fold {
                memory.scatter_folds(op, buffer, dst, values, tile.size)
            } else {
                memory.scatter_rows(op, buffer, dst, values, tile.size)
            }
        })
        .map_err(|_| self.run.outside(buffer, self.effect.span))
    }
}
