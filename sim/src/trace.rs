//! Watching the access unit push and write.

use cranelift_entity::SecondaryMap;
use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Instruction, Slot, UnitId};
use hlo2dae_ir::core::{Scalar, ScalarType, Type};
use hlo2dae_ir::dlc::Event;

use crate::code::{LaneAccess, Push};

/// Is told of every push and of every write by the access unit, in order.
pub trait Trace {
    /// A token is pushed.
    fn token(&mut self, token: &Token<'_>);
    /// An operand is pushed, for the token told of last.
    fn operand(&mut self, operand: &Operand<'_>);
    /// The access unit writes elements of an output.
    fn write(&mut self, write: &Write<'_>);
    /// The last token, `done`, is pushed.
    fn done(&mut self);
}

/// A token and what it is pushed for.
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'a> {
    /// Name of the case, without `@`.
    pub case: &'a str,
    /// The event of the unit.
    pub event: Event,
    /// Name of the unit, without `%`.
    pub unit: &'a str,
    /// The positions of the units around, outermost first, and for `iterate` of the unit itself.
    pub positions: Vec<(&'a str, i64)>,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand<'a> {
    /// Name of the stream, without `%`.
    pub stream: &'a str,
    /// Its type.
    pub ty: Type,
    /// Its present scalars: one, or those of all lanes or elements.
    pub scalars: Vec<Scalar>,
}

/// Elements that the access unit writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Write<'a> {
    /// Name of the buffer, without `%`.
    pub buffer: &'a str,
    /// Where each element goes, and what it becomes, in order.
    pub elements: Vec<(Vec<i64>, Scalar)>,
}

/// The trace of a run, if there is one, with the names that it is told.
pub(crate) struct Observer<'a, 't> {
    pub(crate) artifact: &'a Artifact,
    pub(crate) names: &'a Names,
    pub(crate) trace: Option<&'t mut dyn Trace>,
}

impl Observer<'_, '_> {
    #[inline]
    pub(crate) fn token(&mut self, push: &Push, file: &[u64]) {
        if let Some(trace) = &mut self.trace {
            trace.token(&token(self.artifact, self.names, push, file));
        }
    }

    #[inline]
    pub(crate) fn operand(&mut self, slot: Slot, words: &[u64]) {
        if let Some(trace) = &mut self.trace {
            trace.operand(&operand(self.artifact, slot, words));
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, lanes: &LaneAccess, file: &[u64], value: u32) {
        if let Some(trace) = &mut self.trace {
            let buffer = self.artifact.buffers.get(lanes.address.buffer);
            let ty = buffer.map_or(ScalarType::Index, |b| b.element.into());
            let active = (0..lanes.lanes).filter(|&lane| lanes.active(lane, file));
            let element = |lane: u32| {
                let word = file.get((value + lane) as usize).copied().unwrap_or(0);
                (lanes.indices(lane, file), Scalar::from_bits(ty, word))
            };
            trace.write(&Write {
                buffer: buffer.map_or("?", |b| b.name.as_str()),
                elements: active.map(element).collect(),
            });
        }
    }

    pub(crate) fn done(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.done();
        }
    }
}

/// Where the position of each unit is in the file, and what it is called: the first slot that is the position, or
/// the unit if there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) positions: SecondaryMap<UnitId, u32>,
    slots: SecondaryMap<UnitId, Option<Slot>>,
    parents: SecondaryMap<UnitId, Option<UnitId>>,
}

impl Names {
    pub(crate) fn new(artifact: &Artifact) -> Names {
        let mut names = Names::default();
        let mut here = None;
        for instruction in &artifact.access.code {
            match (instruction, here) {
                (Instruction::Unit(unit), _) => {
                    here = Some(unit.to.0);
                    names.parents[unit.to.0] = unit.parent;
                }
                (Instruction::Position(position), Some(unit)) if names.slots[unit].is_none() => {
                    names.slots[unit] = Some(position.to.0);
                }
                _ => {}
            }
        }
        names
    }
}

/// What a push is for, in names.
fn token<'a>(artifact: &'a Artifact, names: &Names, push: &Push, file: &[u64]) -> Token<'a> {
    let program = &artifact.access;
    let name = |unit: UnitId| program.units.get(unit).map_or("?", |u| u.name.as_str());
    let mut around = match push.event {
        Event::Iterate => Some(push.unit),
        Event::Begin | Event::End => names.parents[push.unit],
    };
    let mut positions = Vec::new();
    // The verifier has seen that parents lead to a root.
    while let Some(unit) = around {
        let slot = names.slots[unit].and_then(|slot| program.slots.get(slot));
        let called = slot.map_or(name(unit), |slot| slot.name.as_str());
        let word = file
            .get(names.positions[unit] as usize)
            .copied()
            .unwrap_or(0);
        positions.push((called, word as i64));
        around = names.parents[unit];
    }
    positions.reverse();
    let case = artifact.execute.cases.get(push.case);
    Token {
        case: case.map_or("?", |case| case.name.as_str()),
        event: push.event,
        unit: name(push.unit),
        positions,
    }
}

/// An operand, in names.
fn operand<'a>(artifact: &'a Artifact, slot: Slot, words: &[u64]) -> Operand<'a> {
    let data = artifact.access.slots.get(slot);
    let ty = data.map_or(Type::INDEX, |data| data.ty);
    let scalar = |&word: &u64| Scalar::from_bits(ty.scalar(), word);
    Operand {
        stream: data.map_or("?", |data| data.name.as_str()),
        ty,
        scalars: words.iter().map(scalar).collect(),
    }
}
