//! The cases to one list.

use cranelift_entity::{EntityRef, EntitySet};
use hlo2dae_backend::Artifact;
use hlo2dae_backend::execute::{Case, Instruction, Reg};
use hlo2dae_ir::core::{Arith, ScalarType};

use super::{Buffers, File, compute, expect, malformed, place};
use crate::code::{ExecuteCode, ExecuteOp, Load, Place, Store};
use crate::error::SimError;

pub(super) fn decode(artifact: &Artifact, buffers: &Buffers<'_>) -> Result<ExecuteCode, SimError> {
    let mut code = ExecuteCode::default();
    for case in artifact.execute.cases.values() {
        code.entries.push(code.ops.len());
        let registers = Registers {
            case,
            base: code.file.len(),
        };
        code.file.resize(registers.base + case.registers.len(), 0);
        registers.code(buffers, &mut code)?;
        code.ops.push(ExecuteOp::Return);
    }
    Ok(code)
}

/// The registers of a case: their part of the file starts at `base`.
struct Registers<'a> {
    case: &'a Case,
    base: usize,
}

impl File<Reg> for Registers<'_> {
    fn find(&self, reg: Reg) -> Result<(u32, ScalarType), SimError> {
        match self.case.registers.get(reg) {
            Some(data) => Ok((place(self.base + reg.index())?, data.ty)),
            None => Err(malformed(format!(
                "@{} has no register {reg}",
                self.case.name
            ))),
        }
    }
}

impl Registers<'_> {
    fn code(&self, buffers: &Buffers<'_>, code: &mut ExecuteCode) -> Result<(), SimError> {
        // Constants take no operation: they are in the file from the start.
        let mut places = Vec::with_capacity(self.case.code.len() + 1);
        let mut next = code.ops.len();
        for instruction in &self.case.code {
            places.push(next);
            next += usize::from(!is_constant(instruction));
        }
        places.push(next);
        let mut assigned = EntitySet::new();
        for (at, instruction) in self.case.code.iter().enumerate() {
            let mut assign = |reg: Reg| {
                if !assigned.insert(reg) {
                    let name = &self.case.name;
                    return Err(malformed(format!("@{name} fills {reg} twice")));
                }
                self.find(reg)
            };
            let target = |target: usize| match places.get(target) {
                Some(&place) if target > at => Ok(place),
                Some(_) | None => {
                    let name = &self.case.name;
                    Err(malformed(format!("@{name} jumps from {at} to {target}")))
                }
            };
            let op = match instruction {
                Instruction::Pop { to } => ExecuteOp::Pop { to: assign(*to)?.0 },
                Instruction::Compute { to, arith } => {
                    let (place, ty) = assign(*to)?;
                    let span = self.case.registers[*to].span;
                    match compute(self, arith, (*to, ty))? {
                        Ok(compute) => ExecuteOp::Compute {
                            compute,
                            to: place,
                            span,
                        },
                        Err(word) => {
                            code.file[place as usize] = word;
                            continue;
                        }
                    }
                }
                Instruction::Load {
                    to,
                    buffer,
                    indices,
                } => {
                    let (place, ty) = assign(*to)?;
                    let span = self.case.registers[*to].span;
                    let (address, element) = buffers.address(self, *buffer, indices, span)?;
                    expect(*to, ty, element)?;
                    ExecuteOp::Load(Load { address, to: place })
                }
                Instruction::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let (place, ty) = self.find(*value)?;
                    let (address, element) = buffers.address(self, *buffer, indices, *span)?;
                    expect(*value, ty, element)?;
                    match address.place {
                        Place::Written(_) => {}
                        Place::Input(_) => {
                            let name = &self.case.name;
                            return Err(malformed(format!("@{name} writes an input")));
                        }
                    }
                    ExecuteOp::Store(Store {
                        address,
                        value: place,
                    })
                }
                Instruction::BranchUnless {
                    condition,
                    target: to,
                } => {
                    let (place, ty) = self.find(*condition)?;
                    expect(*condition, ty, ScalarType::BOOL)?;
                    ExecuteOp::BranchUnless {
                        condition: place,
                        target: target(*to)?,
                    }
                }
                Instruction::Jump { target: to } => ExecuteOp::Jump {
                    target: target(*to)?,
                },
            };
            code.ops.push(op);
        }
        Ok(())
    }
}

fn is_constant(instruction: &Instruction) -> bool {
    match instruction {
        Instruction::Compute { to: _, arith } => matches!(arith, Arith::Constant(_)),
        Instruction::Pop { .. }
        | Instruction::Load { .. }
        | Instruction::Store { .. }
        | Instruction::BranchUnless { .. }
        | Instruction::Jump { .. } => false,
    }
}
