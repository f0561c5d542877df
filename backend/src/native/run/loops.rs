//! What does not run by columns: one position after the other, one value at a time.

use hlo2dae_ir::core::{Arith, Scalar, ScalarType, Span};
use hlo2dae_ir::dlc::Event;

use super::Run;
use crate::native::error::RunError;
use crate::native::plan::Node;
use crate::native::plan::source::{Bound, BufferNumber, Instruction, Op, Reg, Unit};

impl Run<'_> {
    /// One activation of a unit: its begin; at each position its streams, its code, and what is inside; its end.
    pub(super) fn unit(
        &self,
        unit: &Unit,
        children: &[Node],
        registers: &mut [Scalar],
    ) -> Result<(), RunError> {
        let bound = |bound: Bound, registers: &[Scalar]| match bound {
            Bound::Constant(value) => Ok(value),
            Bound::Reg(reg) => self.index(reg, registers),
        };
        let (mut position, end) = (bound(unit.begin, registers)?, bound(unit.end, registers)?);
        self.code(unit.on(Event::Begin), registers)?;
        while position < end {
            for (reg, op, span) in &unit.streams {
                let value = self.value(op, position, registers, *span)?;
                set(registers, *reg, value);
            }
            self.code(unit.on(Event::Iterate), registers)?;
            self.nodes(children, registers)?;
            match position.checked_add(unit.step) {
                Some(next) => position = next,
                None => break,
            }
        }
        self.code(unit.on(Event::End), registers)
    }

    /// Runs code; recursion is as deep as `if`s nest, which the verifier bounds.
    fn code(&self, code: &[Instruction], registers: &mut [Scalar]) -> Result<(), RunError> {
        for instruction in code {
            match instruction {
                Instruction::Let(reg, op, span) => {
                    let value = self.value(op, 0, registers, *span)?;
                    set(registers, *reg, value);
                }
                Instruction::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let offset = self.offset(*buffer, indices, registers, *span)?;
                    let value = self.register(*value, registers)?;
                    let stored = self.memory.store(*buffer, offset, value);
                    stored.map_err(|_| self.outside(*buffer, *span))?;
                }
                Instruction::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let taken = match self.register(*condition, registers)? {
                        Scalar::Bool(true) => then,
                        _ => otherwise,
                    };
                    self.code(taken, registers)?;
                }
            }
        }
        Ok(())
    }

    fn value(
        &self,
        op: &Op,
        position: i64,
        registers: &[Scalar],
        span: Span,
    ) -> Result<Scalar, RunError> {
        match op {
            Op::Position => Ok(Scalar::Index(position)),
            Op::Arith(arith) => {
                let arith: Arith<Scalar> = arith.try_map(|&reg| self.register(reg, registers))?;
                arith.evaluate().map_err(|error| self.broken(error))
            }
            Op::Load { buffer, indices } => {
                let offset = self.offset(*buffer, indices, registers, span)?;
                let value = self.memory.load(*buffer, offset);
                value.map_err(|_| self.outside(*buffer, span))
            }
        }
    }

    /// Where an element is; every index must be inside.
    fn offset(
        &self,
        buffer: BufferNumber,
        indices: &[Reg],
        registers: &[Scalar],
        span: Span,
    ) -> Result<i64, RunError> {
        let data = self.source.buffers.get(buffer);
        let data = data.ok_or_else(|| self.broken("a buffer that does not exist"))?;
        let mut offset = 0i64;
        for ((&index, &dim), &stride) in indices.iter().zip(&data.dims).zip(&data.strides) {
            let index = self.index(index, registers)?;
            if index < 0 || index >= dim {
                return Err(self.outside(buffer, span));
            }
            offset = offset.wrapping_add(index.wrapping_mul(stride));
        }
        Ok(offset)
    }

    fn register(&self, reg: Reg, registers: &[Scalar]) -> Result<Scalar, RunError> {
        let value = registers.get(reg).copied();
        value.ok_or_else(|| self.broken("a register that does not exist"))
    }

    fn index(&self, reg: Reg, registers: &[Scalar]) -> Result<i64, RunError> {
        match self.register(reg, registers)? {
            Scalar::Index(value) => Ok(value),
            other => Err(self.broken(format!("{} in place of an index", other.ty()))),
        }
    }
}

fn set(registers: &mut [Scalar], reg: Reg, value: Scalar) {
    if let Some(register) = registers.get_mut(reg) {
        *register = value;
    }
}

/// Registers as they are before anything runs.
pub(crate) fn registers(types: &[ScalarType]) -> Vec<Scalar> {
    types.iter().map(|&ty| Scalar::zero(ty)).collect()
}
