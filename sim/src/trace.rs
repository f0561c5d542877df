//! Watching the access unit push.

use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Program, Slot, Source, UnitId};
use hlo2dae_ir::core::Scalar;
use hlo2dae_ir::dlc::Event;

use crate::code::Push;

/// Is told of every push, in order.
pub trait Trace {
    /// A token is pushed.
    fn token(&mut self, token: &Token<'_>);
    /// An operand is pushed, for the token told of last.
    fn operand(&mut self, operand: &Operand<'_>);
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operand<'a> {
    /// Name of the stream, without `%`.
    pub stream: &'a str,
    /// Its current value.
    pub value: Scalar,
}

/// The trace of a run, if there is one, with the names that it is told.
pub(crate) struct Observer<'a, 't> {
    pub(crate) artifact: &'a Artifact,
    pub(crate) positions: &'a Positions,
    pub(crate) trace: Option<&'t mut dyn Trace>,
}

impl Observer<'_, '_> {
    #[inline]
    pub(crate) fn token(&mut self, push: &Push, file: &[u64]) {
        if let Some(trace) = &mut self.trace {
            trace.token(&token(self.artifact, self.positions, push, file));
        }
    }

    #[inline]
    pub(crate) fn operand(&mut self, slot: Slot, word: u64) {
        if let Some(trace) = &mut self.trace {
            trace.operand(&operand(self.artifact, slot, word));
        }
    }

    pub(crate) fn done(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.done();
        }
    }
}

/// Where each unit's position is in the file, and what it is called.
pub(crate) type Positions = cranelift_entity::SecondaryMap<UnitId, u32>;

/// What a push is for, in names.
pub(crate) fn token<'a>(
    artifact: &'a Artifact,
    positions: &Positions,
    push: &Push,
    file: &[u64],
) -> Token<'a> {
    let program = &artifact.access;
    let unit = program.units.get(push.unit);
    let mut around = match push.event {
        Event::Iterate => Some(push.unit),
        Event::Begin | Event::End => unit.and_then(|unit| unit.parent),
    };
    let mut found = Vec::new();
    // Decoding has seen that parents lead to a root.
    while let Some(id) = around {
        let Some(unit) = program.units.get(id) else {
            break;
        };
        let word = file.get(positions[id] as usize).copied().unwrap_or(0);
        found.push((position_name(program, id), word as i64));
        around = unit.parent;
    }
    found.reverse();
    let case = artifact.execute.cases.get(push.case);
    Token {
        case: case.map_or("?", |case| case.name.as_str()),
        event: push.event,
        unit: unit.map_or("?", |unit| unit.name.as_str()),
        positions: found,
    }
}

/// An operand, in names.
pub(crate) fn operand(artifact: &Artifact, slot: Slot, word: u64) -> Operand<'_> {
    match artifact.access.slots.get(slot) {
        Some(data) => Operand {
            stream: &data.name,
            value: Scalar::from_bits(data.ty, word),
        },
        None => Operand {
            stream: "?",
            value: Scalar::U64(word),
        },
    }
}

/// The stream that is a unit's position, or the unit if it has none.
fn position_name(program: &Program, id: UnitId) -> &str {
    let Some(unit) = program.units.get(id) else {
        return "?";
    };
    let stream = unit.streams.iter().find(|s| s.source == Source::Position);
    let slot = stream.and_then(|stream| program.slots.get(stream.slot));
    slot.map_or(unit.name.as_str(), |slot| slot.name.as_str())
}
