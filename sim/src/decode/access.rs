//! The access program to a list with loops.
//!
//! ```text
//!       begin pushes
//!       enter  -> exit
//! body: streams and effects, iterate pushes, children
//!       next   -> body
//! exit: end pushes
//! ```

use cranelift_entity::{PrimaryMap, SecondaryMap};
use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Instruction, Node, Slot, Traversal, Unit, UnitId};
use hlo2dae_ir::core::{Bound, Type};
use hlo2dae_ir::dlc::Event;

use super::{Buffers, File, Target, missed, own, place};
use crate::code::{AccessCode, AccessOp, Alu, Dealt, LaneAccess, Load, Phase, Push, Pushed, Row};
use crate::error::SimError;
use crate::lines::{counted, is_counted};

pub(super) fn decode(artifact: &Artifact, buffers: &Buffers<'_>) -> Result<AccessCode, SimError> {
    let mut code = AccessCode::default();
    let file = File::new(&artifact.access.slots, &mut code.file)?;
    let (units, roots) = artifact.access.tree();
    let mut rows = SecondaryMap::new();
    for (slot, data) in &artifact.access.slots {
        if let Type::Row(_, _) = data.ty {
            rows[slot] = Some(Row {
                at: file.at(slot),
                filled: own(&mut code.file, 0)?,
                length: file.words(slot),
                span: data.span,
            });
        }
    }
    code.slots = artifact
        .access
        .slots
        .keys()
        .map(|slot| file.at(slot))
        .collect();
    let mut readers = SecondaryMap::new();
    for (n, read) in counted(artifact).enumerate() {
        readers[read.to.0] = n;
    }
    let mut decoder = Decoder {
        units,
        buffers,
        file,
        rows,
        readers,
        code,
    };
    decoder.phases(&roots)?;
    Ok(decoder.code)
}

struct Decoder<'a> {
    units: PrimaryMap<UnitId, Node<'a>>,
    buffers: &'a Buffers<'a>,
    file: File<'a, Slot>,
    rows: SecondaryMap<Slot, Option<Row>>,
    /// The counter of each read that has one.
    readers: SecondaryMap<Slot, usize>,
    code: AccessCode,
}

/// A unit whose children are being decoded.
struct Open {
    unit: UnitId,
    next_child: usize,
    enter: usize,
    position: u32,
    begin: u32,
    end: u32,
    step: i64,
}

impl Decoder<'_> {
    /// A root that is dealt to cores is a phase of its own; what lies between is one.
    fn phases(&mut self, roots: &[UnitId]) -> Result<(), SimError> {
        let mut start = 0;
        for &root in roots {
            let cores = self.node(root)?.unit.hints.cores.unwrap_or(1);
            if cores > 1 && self.code.ops.len() > start {
                self.end_phase(start, None);
                start = self.code.ops.len();
            }
            let tree = self.tree(root, cores > 1)?;
            if cores > 1 {
                let dealt = Dealt {
                    cores,
                    enter: tree.enter,
                    begin: tree.begin,
                    end: tree.end,
                    step: tree.step,
                };
                self.end_phase(start, Some(dealt));
                start = self.code.ops.len();
            }
        }
        if self.code.ops.len() > start || self.code.phases.is_empty() {
            self.end_phase(start, None);
        }
        Ok(())
    }

    fn end_phase(&mut self, start: usize, dealt: Option<Dealt>) {
        self.code.ops.push(AccessOp::Done);
        self.code.phases.push(Phase { start, dealt });
    }

    /// A root and all below it, depth first; with a stack of our own, however deep they nest.
    fn tree(&mut self, root: UnitId, dealt: bool) -> Result<Open, SimError> {
        let mut open = vec![self.open(root)?];
        while let Some(top) = open.last_mut() {
            let unit = top.unit;
            let child = top.next_child;
            top.next_child += 1;
            if let Some(&child) = self.node(unit)?.children.get(child) {
                open.push(self.open(child)?);
                continue;
            }
            if let Some(done) = open.pop() {
                self.close(&done, dealt && open.is_empty())?;
                if open.is_empty() {
                    return Ok(done);
                }
            }
        }
        Err(missed("a unit is never closed"))
    }

    fn node(&self, unit: UnitId) -> Result<&Node<'_>, SimError> {
        let node = self.units.get(unit);
        node.ok_or_else(|| missed(format!("there is no {unit}")))
    }

    /// From the begin pushes to the iterate pushes.
    fn open(&mut self, id: UnitId) -> Result<Open, SimError> {
        let Node { unit, body, .. } = self.node(id)?;
        let (unit, body) = ((*unit).clone(), body.clone());
        let body: Vec<Instruction> = body.into_iter().cloned().collect();
        // The first slot that is the position serves as the loop counter.
        let counter = body.iter().find_map(|instruction| match instruction {
            Instruction::Position(position) => Some(position.to.0),
            _ => None,
        });
        let position = match counter {
            Some(slot) => self.file.at(slot),
            None => own(&mut self.code.file, 0)?,
        };
        let (begin, end, sum) = self.bounds(&unit)?;
        self.pushes(id, &body, Event::Begin)?;
        self.code.ops.extend(sum);
        let enter = self.code.ops.len();
        self.code.ops.push(AccessOp::Enter {
            unit: id,
            position,
            begin,
            end,
            exit: usize::MAX,
        });
        for instruction in &body {
            self.instruction(instruction, &unit, counter, position, end)?;
        }
        self.pushes(id, &body, Event::Iterate)?;
        let lanes = i64::from(unit.vector.0.unwrap_or(1));
        Ok(Open {
            unit: id,
            next_child: 0,
            enter,
            position,
            begin,
            end,
            // Where it does not fit, there is no second position.
            step: unit.step.saturating_mul(lanes),
        })
    }

    /// Places of both bounds, and what has to be computed before the unit is entered.
    fn bounds(&mut self, unit: &Unit) -> Result<(u32, u32, Option<AccessOp>), SimError> {
        let file = &mut self.code.file;
        Ok(match unit.traversal {
            Traversal::Dense { begin, end } => {
                (own(file, begin as u64)?, own(file, end as u64)?, None)
            }
            Traversal::Range { begin, end } => (
                self.file.bound(begin, file)?,
                self.file.bound(end, file)?,
                None,
            ),
            Traversal::Index { begin, length } => {
                let begin = self.file.bound(Bound::Value(begin), file)?;
                let (length, to) = (own(file, length as u64)?, own(file, 0)?);
                // As the stream that gives the end in DLC: the sum wraps.
                let compute = crate::compute::Compute::Fast2(u64::wrapping_add, begin, length);
                let span = self.file.table.values().next().map(|data| data.span);
                let sum = AccessOp::Alu(Alu::Compute {
                    compute,
                    to,
                    span: span.unwrap_or_default(),
                });
                (begin, to, Some(sum))
            }
        })
    }

    /// From the way back to the end pushes.
    fn close(&mut self, open: &Open, dealt: bool) -> Result<(), SimError> {
        let node = self.node(open.unit)?;
        let body: Vec<Instruction> = node.body.iter().map(|&i| i.clone()).collect();
        self.code.ops.push(AccessOp::Next {
            unit: open.unit,
            position: open.position,
            end: open.end,
            step: open.step,
            body: open.enter + 1,
        });
        let here = self.code.ops.len();
        if let Some(AccessOp::Enter { exit, .. }) = self.code.ops.get_mut(open.enter) {
            *exit = here;
        }
        if dealt {
            self.code.ops.push(AccessOp::Leave);
        }
        self.pushes(open.unit, &body, Event::End)
    }

    fn instruction(
        &mut self,
        instruction: &Instruction,
        unit: &Unit,
        counter: Option<Slot>,
        position: u32,
        end: u32,
    ) -> Result<(), SimError> {
        let file = &self.file;
        let op = match instruction {
            Instruction::Unit(_) | Instruction::Push(_) => return Ok(()),
            Instruction::Position(i) => {
                if Some(i.to.0) == counter {
                    return Ok(());
                }
                AccessOp::Alu(Alu::Broadcast {
                    from: position,
                    to: file.at(i.to.0),
                    lanes: 1,
                })
            }
            Instruction::Mask(i) => AccessOp::Mask {
                position,
                end,
                step: unit.step,
                to: file.at(i.to.0),
                lanes: file.words(i.to.0),
            },
            Instruction::Read(i) => {
                let (to, span) = (file.at(i.to.0), file.span(i.to.0));
                match self.buffers.access(file, &i.access, span)? {
                    Target::Element(address) if !is_counted(i) => {
                        AccessOp::Load(Load { address, to })
                    }
                    target => AccessOp::Read {
                        lanes: lanes(target),
                        to,
                        reader: self.readers[i.to.0],
                    },
                }
            }
            Instruction::Compute(i) => match file.arith(i.to.0, &i.arith, &mut self.code.file) {
                Some(alu) => AccessOp::Alu(alu),
                None => return Ok(()),
            },
            Instruction::Broadcast(i) => AccessOp::Alu(Alu::Broadcast {
                from: file.at(i.value),
                to: file.at(i.to.0),
                lanes: i.lanes,
            }),
            Instruction::Sequence(i) => AccessOp::Alu(Alu::Sequence {
                base: file.at(i.base),
                step: i.step,
                to: file.at(i.to.0),
                lanes: i.lanes,
            }),
            Instruction::Row(i) => AccessOp::Row {
                row: self.row(i.to.0)?,
            },
            Instruction::Append(i) => AccessOp::Append {
                value: file.at(i.value),
                lanes: file.words(i.value),
                mask: i.mask.map(|mask| file.at(mask)),
                row: self.row(i.row)?,
            },
            Instruction::Write(i) => AccessOp::Write {
                lanes: lanes(self.buffers.access(file, &i.access, file.span(i.value))?),
                value: file.at(i.value),
            },
        };
        self.code.ops.push(op);
        Ok(())
    }

    fn row(&self, slot: Slot) -> Result<Row, SimError> {
        self.rows[slot].ok_or_else(|| missed(format!("{slot} is no row")))
    }

    fn pushes(&mut self, id: UnitId, body: &[Instruction], event: Event) -> Result<(), SimError> {
        for instruction in body {
            let Instruction::Push(push) = instruction else {
                continue;
            };
            if push.event != event {
                continue;
            }
            let operands = push.operands.iter().map(|&slot| Pushed {
                slot,
                at: self.file.at(slot),
                words: self.file.words(slot),
                bytes: self.file.ty(slot).bytes(),
                row: self.rows[slot],
            });
            let push = Push {
                unit: id,
                event,
                case: push.case,
                operands: operands.collect(),
            };
            place(self.code.pushes.len())?;
            self.code.ops.push(AccessOp::Push(self.code.pushes.len()));
            self.code.pushes.push(push);
        }
        Ok(())
    }
}

/// An element is one lane.
fn lanes(target: Target) -> LaneAccess {
    match target {
        Target::Lanes(lanes) => lanes,
        Target::Element(address) => LaneAccess {
            address,
            lanes: 1,
            scattered: false,
            mask: None,
        },
    }
}
