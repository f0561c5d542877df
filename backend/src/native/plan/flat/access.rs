//! Loads and stores of a chain: where they point to, and which combines they make.

use hlo2dae_ir::core::{Arith, BinaryOp, CombineOp, Scalar, ScalarType, Span};

use super::{Builder, Check, Combine, Phase, Spot, combine, constant, extent};
use crate::native::plan::graph::{ANY, Def, Val};
use crate::native::plan::source::BufferNumber;

impl Builder<'_> {
    /// `select condition, row, constant` as a row that is the constant where the condition is false.
    pub(super) fn filled(&mut self, condition: Val, row: Val, constant: Val) -> Option<Val> {
        let value = self.graph.as_constant(constant)?;
        let data = self.graph.get(row).clone();
        let Def::RowLoad {
            buffer,
            base,
            stride,
            fill: None,
            span,
        } = data.def
        else {
            return None;
        };
        let def = Def::RowLoad {
            buffer,
            base,
            stride,
            fill: Some((condition, value)),
            span,
        };
        Some(self.graph.add(def, data.ty, data.level, ANY))
    }

    /// A load from a buffer that the chain writes.
    pub(super) fn read_written(
        &mut self,
        buffer: BufferNumber,
        indices: Vec<Val>,
        level: usize,
    ) -> Val {
        if let Some((value, reads)) = self.forwarded.get_mut(&buffer) {
            *reads += 1;
            return *value;
        }
        let ty = self.source.buffers[buffer].element.into();
        self.graph.add(Def::Old { buffer, indices }, ty, level, ANY)
    }

    /// Where indices point to.
    fn place(
        &mut self,
        buffer: BufferNumber,
        indices: &[Val],
        guard: Option<Val>,
        level: usize,
        span: Span,
    ) -> Option<Spot> {
        let (rows, row_level) = (self.rows.len(), self.row_level());
        let data = self.source.buffers.get(buffer)?;
        let mut factors = vec![0i64; rows];
        let mut offset = self.graph.index(0);
        let mut starts = Vec::new();
        for ((&index, &stride), &dim) in indices.iter().zip(&data.strides).zip(&data.dims) {
            let affine = self.graph.affine(index, rows, row_level)?;
            // The base is where all row positions are 0; rows may begin elsewhere.
            let mut start = affine.base;
            let (mut lowest, mut highest) = (0i128, 0i128);
            for ((&factor, unit), total) in affine.factors.iter().zip(self.rows).zip(&mut factors) {
                *total = total.checked_add(factor.checked_mul(stride)?)?;
                let (begin, extent) = (constant(unit.begin)?, extent(unit)?);
                if begin != 0 && factor != 0 {
                    let shift = self.graph.index(begin.checked_mul(factor)?);
                    start = self.graph.arith(
                        Arith::Binary(BinaryOp::Add, start, shift),
                        ScalarType::Index,
                    );
                }
                let reach = i128::from(factor) * i128::from(extent - 1);
                lowest += reach.min(0);
                highest += reach.max(0);
            }
            self.bound(
                buffer,
                start,
                (-lowest, i128::from(dim) - 1 - highest),
                guard,
                level,
                span,
            )?;
            starts.push((start, highest - lowest));
            let by = self.graph.index(stride);
            let scaled = Arith::Binary(BinaryOp::Mul, start, by);
            let scaled = self.graph.arith(scaled, ScalarType::Index);
            let sum = Arith::Binary(BinaryOp::Add, offset, scaled);
            offset = self.graph.arith(sum, ScalarType::Index);
        }
        // The units of the row are one if each steps over what those inside of it cover.
        let stride = factors.last().copied().unwrap_or(0);
        let mut expected = stride;
        for (&factor, unit) in factors.iter().zip(self.rows).rev() {
            let extent = extent(unit)?;
            if factor != expected && extent != 1 {
                return None;
            }
            expected = expected.checked_mul(extent)?;
        }
        Some(Spot {
            offset,
            stride,
            starts,
        })
    }

    /// Sees to it that an index is inside of `low..=high`: it is known to be, or it is checked.
    fn bound(
        &mut self,
        buffer: BufferNumber,
        val: Val,
        (low, high): (i128, i128),
        guard: Option<Val>,
        level: usize,
        span: Span,
    ) -> Option<()> {
        let inside = |(least, most): (i128, i128)| low <= least && most <= high;
        if inside(self.graph.get(val).range) || inside(self.graph.guarded(val, guard)) {
            return Some(());
        }
        let level = level.min(self.levels);
        let guard_level = guard.map_or(0, |guard| self.graph.level(guard));
        self.checks.push(Check {
            val,
            low: i64::try_from(low).ok()?,
            high: i64::try_from(high.max(-1)).ok()?,
            guard,
            level: level.max(self.graph.level(val)).max(guard_level),
            buffer,
            span,
        });
        Some(())
    }

    pub(super) fn load(
        &mut self,
        buffer: BufferNumber,
        indices: &[Val],
        guard: Option<Val>,
        level: usize,
        span: Span,
    ) -> Option<Val> {
        let checks = self.checks.len();
        let Spot {
            offset,
            stride,
            starts,
        } = self.place(buffer, indices, guard, level, span)?;
        let data = self.source.buffers.get(buffer)?;
        let ty: ScalarType = data.element.into();
        let range = match Scalar::range(ty) {
            (low, high) if ty.is_integer() => (
                low.as_integer().unwrap_or(ANY.0),
                high.as_integer().unwrap_or(ANY.1),
            ),
            _ => ANY,
        };
        let along_row = stride != 0 || starts.iter().any(|&(_, reach)| reach != 0);
        if along_row {
            let def = Def::RowLoad {
                buffer,
                base: offset,
                stride,
                fill: None,
                span,
            };
            return Some(self.graph.add(def, ty, self.row_level(), range));
        }
        let always = starts.iter().zip(&data.dims).all(|(&(start, _), &dim)| {
            let (low, high) = self.graph.get(start).range;
            0 <= low && high < i128::from(dim)
        });
        let mut at = self.graph.level(offset);
        let guard = guard.filter(|_| !always);
        if let Some(guard) = guard {
            if data.len() == 0 {
                return None;
            }
            at = at.max(self.graph.level(guard));
        }
        // What may fail is not done earlier than in the program.
        if self.checks.len() > checks {
            at = at.max(level.min(self.levels));
        }
        let offset = match guard {
            None => offset,
            Some(guard) => {
                let zero = self.graph.index(0);
                let safe = Arith::Select(guard, offset, zero);
                self.graph.arith(safe, ScalarType::Index)
            }
        };
        let def = Def::Load {
            buffer,
            offset,
            guard,
            span,
        };
        Some(self.graph.add(def, ty, at, range))
    }

    pub(super) fn store(
        &mut self,
        buffer: BufferNumber,
        indices: &[Val],
        value: Val,
        guard: Option<Val>,
        phase: Phase,
        span: Span,
    ) -> Option<()> {
        let rows = phase == Phase::Body && !self.rows.is_empty();
        if self.source.buffers.get(buffer)?.dims.is_empty() {
            if phase == Phase::Before && guard.is_none() {
                let reads = self.forwarded.get(&buffer).map_or(0, |&(_, reads)| reads);
                self.forwarded.insert(buffer, (value, reads));
                // Only the last store before the row counts.
                self.combines.retain(|combine| combine.buffer != buffer);
            } else if self.forwarded.contains_key(&buffer) {
                return None;
            }
        }
        let level = if rows { self.row_level() } else { self.levels };
        let Spot {
            offset: dst,
            stride,
            starts,
        } = self.place(buffer, indices, guard, level, span)?;
        if rows && stride != 0 && stride != 1 {
            return None;
        }
        let old = Def::Old {
            buffer,
            indices: indices.to_vec(),
        };
        let is_old = |val: Val| self.graph.get(val).def == old;
        let (op, value) = match self.graph.get(value).def {
            Def::Arith(Arith::Binary(op, a, b)) if is_old(a) => (combine(op)?, b),
            Def::Arith(Arith::Binary(op, a, b)) if is_old(b) && !matches!(op, BinaryOp::Sub) => {
                (combine(op)?, a)
            }
            _ => (CombineOp::Replace, value),
        };
        self.combines.push(Combine {
            op,
            buffer,
            dst,
            indices: starts,
            stride: rows.then_some(stride),
            value,
            guard,
            span,
        });
        Some(())
    }
}
