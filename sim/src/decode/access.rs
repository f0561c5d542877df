//! The access program to a list with loops.
//!
//! ```text
//!       begin pushes
//!       enter  -> exit
//! body: streams, iterate pushes, children
//!       next   -> body
//! exit: end pushes
//! ```

use cranelift_entity::{EntityRef, EntitySet};
use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Bound, Program, Slot, Source, Stream, Unit, UnitId};
use hlo2dae_ir::core::ScalarType;
use hlo2dae_ir::dlc::Event;

use super::{Buffers, File, compute, expect, malformed, place};
use crate::code::{AccessCode, AccessOp, Load, Place, Push};
use crate::compute::Compute;
use crate::error::SimError;

pub(super) fn decode(artifact: &Artifact, buffers: &Buffers<'_>) -> Result<AccessCode, SimError> {
    let mut decoder = Decoder {
        artifact,
        program: &artifact.access,
        buffers,
        code: AccessCode {
            file: vec![0; artifact.access.slots.len()],
            ..AccessCode::default()
        },
        seen: EntitySet::new(),
        assigned: EntitySet::new(),
    };
    decoder.forest()?;
    for slot in artifact.access.slots.keys() {
        if !decoder.assigned.contains(slot) {
            return Err(malformed(format!("nothing gives {slot} a value")));
        }
    }
    decoder.code.ops.push(AccessOp::Done);
    Ok(decoder.code)
}

struct Decoder<'a> {
    artifact: &'a Artifact,
    program: &'a Program,
    buffers: &'a Buffers<'a>,
    code: AccessCode,
    /// Units that some parent activates.
    seen: EntitySet<UnitId>,
    /// Slots that some stream fills.
    assigned: EntitySet<Slot>,
}

impl File<Slot> for Program {
    fn find(&self, slot: Slot) -> Result<(u32, ScalarType), SimError> {
        match self.slots.get(slot) {
            Some(data) => Ok((place(slot.index())?, data.ty)),
            None => Err(malformed(format!("there is no slot {slot}"))),
        }
    }
}

/// A unit whose children are being decoded.
struct Open {
    unit: UnitId,
    next_child: usize,
    enter: usize,
    position: u32,
    end: u32,
}

impl<'a> Decoder<'a> {
    /// All units, depth first; with a stack of our own, however deep they nest.
    fn forest(&mut self) -> Result<(), SimError> {
        for &root in &self.program.roots {
            let mut open = vec![self.open(root, None)?];
            while let Some(top) = open.last_mut() {
                let unit = top.unit;
                let child = self.unit(unit)?.children.get(top.next_child).copied();
                top.next_child += 1;
                match child {
                    Some(child) => {
                        let child = self.open(child, Some(unit))?;
                        open.push(child);
                    }
                    None => {
                        if let Some(done) = open.pop() {
                            self.close(&done)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn unit(&self, unit: UnitId) -> Result<&'a Unit, SimError> {
        let data = self.program.units.get(unit);
        data.ok_or_else(|| malformed(format!("there is no unit {unit}")))
    }

    /// From the begin pushes to the iterate pushes.
    fn open(&mut self, id: UnitId, parent: Option<UnitId>) -> Result<Open, SimError> {
        let unit = self.unit(id)?;
        if unit.parent != parent || !self.seen.insert(id) {
            return Err(malformed(format!(
                "unit {id} is activated twice, or by another than its parent"
            )));
        }
        if unit.step < 1 {
            return Err(malformed(format!("unit {id} has step {}", unit.step)));
        }
        let (begin, end) = (self.bound(unit.begin)?, self.bound(unit.end)?);
        // The first stream that is the position serves as the loop counter.
        let counter = unit
            .streams
            .iter()
            .position(|s| s.source == Source::Position);
        let position = match counter.and_then(|n| unit.streams.get(n)) {
            Some(stream) => self.program.index(stream.slot)?,
            None => self.own(0)?,
        };
        self.pushes(id, unit, Event::Begin)?;
        let enter = self.code.ops.len();
        self.code.ops.push(AccessOp::Enter {
            unit: id,
            position,
            begin,
            end,
            exit: usize::MAX,
        });
        for (n, stream) in unit.streams.iter().enumerate() {
            if !self.assigned.insert(stream.slot) {
                return Err(malformed(format!(
                    "{} is filled by two streams",
                    stream.slot
                )));
            }
            if Some(n) != counter {
                self.stream(stream, position)?;
            }
        }
        self.pushes(id, unit, Event::Iterate)?;
        Ok(Open {
            unit: id,
            next_child: 0,
            enter,
            position,
            end,
        })
    }

    /// From the way back to the end pushes.
    fn close(&mut self, open: &Open) -> Result<(), SimError> {
        let unit = self.unit(open.unit)?;
        self.code.ops.push(AccessOp::Next {
            unit: open.unit,
            position: open.position,
            end: open.end,
            step: unit.step,
            body: open.enter + 1,
        });
        let here = self.code.ops.len();
        if let Some(AccessOp::Enter { exit, .. }) = self.code.ops.get_mut(open.enter) {
            *exit = here;
        }
        self.pushes(open.unit, unit, Event::End)
    }

    fn bound(&mut self, bound: Bound) -> Result<u32, SimError> {
        match bound {
            Bound::Constant(value) => self.own(value as u64),
            Bound::Slot(slot) => self.program.index(slot),
        }
    }

    /// A place of the emulator's own that starts as this word.
    fn own(&mut self, word: u64) -> Result<u32, SimError> {
        self.code.file.push(word);
        place(self.code.file.len() - 1)
    }

    fn stream(&mut self, stream: &Stream, position: u32) -> Result<(), SimError> {
        let (to, ty) = self.program.find(stream.slot)?;
        let span = self.program.slots[stream.slot].span;
        match &stream.source {
            Source::Position => {
                expect(stream.slot, ty, ScalarType::Index)?;
                let compute = Compute::Fast1(|word| word, position);
                self.code.ops.push(AccessOp::Compute { compute, to, span });
            }
            Source::Read { buffer, indices } => {
                let (address, element) =
                    self.buffers.address(self.program, *buffer, indices, span)?;
                expect(stream.slot, ty, element)?;
                match address.place {
                    Place::Input(_) => {}
                    Place::Written(_) => {
                        return Err(malformed(format!("{} reads a written buffer", stream.slot)));
                    }
                }
                self.code.ops.push(AccessOp::Load(Load { address, to }));
            }
            Source::Compute(arith) => match compute(self.program, arith, (stream.slot, ty))? {
                Ok(compute) => self.code.ops.push(AccessOp::Compute { compute, to, span }),
                Err(word) => self.code.file[to as usize] = word,
            },
        }
        Ok(())
    }

    fn pushes(&mut self, id: UnitId, unit: &Unit, event: Event) -> Result<(), SimError> {
        for callback in unit.on(event) {
            if !self.artifact.execute.cases.is_valid(callback.case) {
                return Err(malformed(format!("there is no case {}", callback.case)));
            }
            for &operand in &callback.operands {
                self.program.find(operand)?;
            }
            self.code.ops.push(AccessOp::Push(self.code.pushes.len()));
            self.code.pushes.push(Push {
                unit: id,
                event,
                case: callback.case,
                operands: callback.operands.clone().into_boxed_slice(),
            });
        }
        Ok(())
    }
}
