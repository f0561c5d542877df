//! The cases to one list.

use hlo2dae_backend::Artifact;
use hlo2dae_backend::execute::{Case, Instruction, Reg};
use hlo2dae_ir::core::Arith;

use super::{Buffers, File, Target, missed};
use crate::code::{Alu, ExecuteCode, ExecuteOp, Load, Store};
use crate::compute::Combine;
use crate::error::SimError;

pub(super) fn decode(artifact: &Artifact, buffers: &Buffers<'_>) -> Result<ExecuteCode, SimError> {
    let mut code = ExecuteCode::default();
    for case in artifact.execute.cases.values() {
        code.entries.push(code.ops.len());
        let file = File::new(&case.registers, &mut code.file)?;
        let mut decoder = Decoder {
            case,
            buffers,
            file,
            places: Vec::with_capacity(case.code.len() + 1),
            loops: Vec::new(),
            code: &mut code,
        };
        decoder.case()?;
        code.ops.push(ExecuteOp::Return);
    }
    Ok(code)
}

struct Decoder<'a> {
    case: &'a Case,
    buffers: &'a Buffers<'a>,
    file: File<'a, Reg>,
    /// Where the operations of each instruction start.
    places: Vec<usize>,
    /// The loops so far.
    loops: Vec<Loop>,
    code: &'a mut ExecuteCode,
}

/// What `next` has to know of its `for`.
struct Loop {
    start: usize,
    position: u32,
    upper: u32,
    step: i64,
    body: usize,
}

impl Decoder<'_> {
    fn case(&mut self) -> Result<(), SimError> {
        // A constant takes no operation, a vector loop with a mask two.
        let mut next = self.code.ops.len();
        for instruction in &self.case.code {
            self.places.push(next);
            next += match instruction {
                Instruction::Compute(compute) => {
                    usize::from(!matches!(compute.arith, Arith::Constant(_)))
                }
                Instruction::For(start) => {
                    let masked = start.vector.as_ref().is_some_and(|v| v.mask.is_some());
                    1 + usize::from(masked)
                }
                _ => 1,
            };
        }
        self.places.push(next);
        for (at, instruction) in self.case.code.iter().enumerate() {
            self.instruction(at, instruction)?;
        }
        Ok(())
    }

    fn target(&self, target: hlo2dae_backend::isa::Target) -> Result<usize, SimError> {
        let place = self.places.get(target.0 as usize);
        place.copied().ok_or_else(|| missed("a jump to nowhere"))
    }

    fn instruction(&mut self, at: usize, instruction: &Instruction) -> Result<(), SimError> {
        let file = &self.file;
        let op = match instruction {
            Instruction::Pop(i) => ExecuteOp::Pop {
                to: file.at(i.to.0),
                words: file.words(i.to.0),
            },
            Instruction::Compute(i) => match file.arith(i.to.0, &i.arith, &mut self.code.file) {
                Some(alu) => ExecuteOp::Alu(alu),
                None => return Ok(()),
            },
            Instruction::Broadcast(i) => ExecuteOp::Alu(Alu::Broadcast {
                from: file.at(i.value),
                to: file.at(i.to.0),
                lanes: i.lanes,
            }),
            Instruction::Sequence(i) => ExecuteOp::Alu(Alu::Sequence {
                base: file.at(i.base),
                step: i.step,
                to: file.at(i.to.0),
                lanes: i.lanes,
            }),
            Instruction::Load(i) => {
                let to = file.at(i.to.0);
                match self.buffers.access(file, &i.access, file.span(i.to.0))? {
                    Target::Element(address) => ExecuteOp::Load(Load { address, to }),
                    Target::Lanes(lanes) => ExecuteOp::LoadLanes { lanes, to },
                }
            }
            Instruction::Store(i) => {
                let value = file.at(i.value);
                match self.buffers.access(file, &i.access, file.span(i.value))? {
                    Target::Element(address) => ExecuteOp::Store(Store { address, value }),
                    Target::Lanes(lanes) => ExecuteOp::StoreLanes { lanes, value },
                }
            }
            Instruction::Element(i) => ExecuteOp::Element {
                row: file.at(i.from.row),
                length: file.words(i.from.row),
                index: file.at(i.from.index),
                lanes: i.from.lanes.map(|lanes| lanes.count),
                mask: i
                    .from
                    .lanes
                    .and_then(|lanes| lanes.mask)
                    .map(|m| file.at(m)),
                to: file.at(i.to.0),
                span: file.span(i.to.0),
            },
            Instruction::Reduce(i) => {
                let Some(op) = i.op.binary() else {
                    return Err(missed("a reduction without operation"));
                };
                ExecuteOp::Reduce {
                    combine: Combine::new(op, file.ty(i.to.0).scalar()),
                    vector: file.at(i.vector),
                    lanes: file.words(i.vector),
                    mask: i.mask.map(|mask| file.at(mask)),
                    initial: file.at(i.initial),
                    to: file.at(i.to.0),
                    span: file.span(i.to.0),
                }
            }
            Instruction::For(i) => {
                let position = file.at(i.to.0);
                let lower = file.bound(i.lower, &mut self.code.file)?;
                let upper = file.bound(i.upper, &mut self.code.file)?;
                let mut step = i.step;
                let start = ExecuteOp::For {
                    position,
                    lower,
                    upper,
                    exit: self.target(i.exit)?,
                };
                self.code.ops.push(start);
                let body = self.code.ops.len();
                if let Some(lanes) = &i.vector {
                    if let Some(mask) = lanes.mask {
                        self.code.ops.push(ExecuteOp::Mask {
                            position,
                            upper,
                            step,
                            to: file.at(mask.0),
                            lanes: lanes.count,
                        });
                    }
                    // Where it does not fit, there is no second position.
                    step = step.saturating_mul(lanes.count.into());
                }
                self.loops.push(Loop {
                    start: at,
                    position,
                    upper,
                    step,
                    body,
                });
                return Ok(());
            }
            Instruction::Next(i) => {
                let mut loops = self.loops.iter();
                let Some(start) = loops.find(|l| l.start == i.start.0 as usize) else {
                    return Err(missed("a `next` without its `for`"));
                };
                ExecuteOp::Next {
                    position: start.position,
                    upper: start.upper,
                    step: start.step,
                    body: start.body,
                }
            }
            Instruction::BranchUnless(i) => ExecuteOp::BranchUnless {
                condition: file.at(i.condition),
                target: self.target(i.target)?,
            },
            Instruction::Jump(i) => ExecuteOp::Jump {
                target: self.target(i.target)?,
            },
        };
        self.code.ops.push(op);
        Ok(())
    }
}
