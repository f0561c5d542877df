//! Traversal units and what they push.

use std::fmt::{self, Write};

use hlo2dae_ir::core::{LoopHints, ParseError};
use hlo2dae_ir::dlc::Event;

use super::{Field, decode_id, encode_id, optional};
use crate::access::{Placement, Slot, Traversal, UnitData, UnitId};
use crate::execute::CaseId;
use crate::isa::bytes::{DecodeError, Decoder, Encoder};
use crate::isa::text::{Assembler, Names};

/// A unit that is defined here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUnit(pub UnitId);

impl Field for NewUnit {
    const KIND: &'static str = "new unit";
    const BYTES: &'static str = "its number, unsigned; it is the next one";

    fn encode(&self, to: &mut Encoder) {
        encode_id(self.0, to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_id(from, Self::KIND).map(NewUnit)
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match names.access.units.get(self.0) {
            Some(data) => write!(f, " %{}", data.name),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.next_entity(from.units.next_key())?;
        let (name, span) = from.cursor.value_name()?;
        let name = name.to_owned();
        Ok(NewUnit(from.units.push(UnitData { name, span })))
    }
}

/// The unit that activates another; the program itself if none.
impl Field for Option<UnitId> {
    const KIND: &'static str = "parent";
    const BYTES: &'static str = "optional: number of a unit";

    fn encode(&self, to: &mut Encoder) {
        optional(to, *self, |to, unit| encode_id(unit, to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.optional(Self::KIND, |from| decode_id(from, Self::KIND))
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        match self {
            Some(unit) => write!(f, " in {unit}"),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if from.cursor.eat_word("in") {
            from.entity("a unit").map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The positions of a unit.
impl Field for Traversal {
    const KIND: &'static str = "traversal";
    const BYTES: &'static str = "one byte: 0 (dense), begin and end, signed; 1 (range), two bounds; 2 (index), a slot and the length, signed";

    fn encode(&self, to: &mut Encoder) {
        match self {
            Traversal::Dense { begin, end } => {
                to.byte(0);
                to.signed(*begin);
                to.signed(*end);
            }
            Traversal::Range { begin, end } => {
                to.byte(1);
                begin.encode(to);
                end.encode(to);
            }
            Traversal::Index { begin, length } => {
                to.byte(2);
                begin.encode(to);
                to.signed(*length);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let offset = from.offset();
        Ok(match from.byte(Self::KIND)? {
            0 => Traversal::Dense {
                begin: from.signed(Self::KIND)?,
                end: from.signed(Self::KIND)?,
            },
            1 => Traversal::Range {
                begin: Field::decode(from)?,
                end: Field::decode(from)?,
            },
            2 => Traversal::Index {
                begin: Field::decode(from)?,
                length: from.signed(Self::KIND)?,
            },
            code => {
                return Err(DecodeError::Code {
                    offset,
                    item: Self::KIND,
                    code: code.into(),
                });
            }
        })
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        match self {
            Traversal::Dense { begin, end } => write!(f, "dense {begin} to {end}"),
            Traversal::Range { begin, end } => {
                f.write_str("range ")?;
                begin.print(f, names)?;
                f.write_str(" to ")?;
                end.print(f, names)
            }
            Traversal::Index { begin, length } => write!(f, "index {begin} length {length}"),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if from.cursor.eat_word("dense") {
            let begin = from.cursor.integer("a position")?;
            from.cursor.expect_word("to")?;
            let end = from.cursor.integer("a position")?;
            Ok(Traversal::Dense { begin, end })
        } else if from.cursor.eat_word("range") {
            let begin = Field::parse(from)?;
            from.cursor.expect_word("to")?;
            let end = Field::parse(from)?;
            Ok(Traversal::Range { begin, end })
        } else if from.cursor.eat_word("index") {
            let begin = Slot::parse(from)?;
            from.cursor.expect_word("length")?;
            let length = from.cursor.integer("a length")?;
            Ok(Traversal::Index { begin, length })
        } else {
            from.cursor.unexpected("`dense`, `range` or `index`")
        }
    }
}

/// Where a unit runs.
impl Field for Placement {
    const KIND: &'static str = "placement";
    const BYTES: &'static str =
        "one byte: 0 (host), or 1 and layer, first lane, lanes, entries of each stream, unsigned";

    fn encode(&self, to: &mut Encoder) {
        match *self {
            Placement::Host => to.byte(0),
            Placement::Layer {
                layer,
                first_lane,
                lanes,
                entries,
            } => {
                to.byte(1);
                for number in [layer, first_lane, lanes, entries] {
                    to.unsigned(number.into());
                }
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(if from.flag(Self::KIND)? {
            Placement::Layer {
                layer: from.small(Self::KIND)?,
                first_lane: from.small(Self::KIND)?,
                lanes: from.small(Self::KIND)?,
                entries: from.small(Self::KIND)?,
            }
        } else {
            Placement::Host
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        match *self {
            Placement::Host => f.write_str("host"),
            Placement::Layer {
                layer,
                first_lane,
                lanes,
                entries,
            } => write!(
                f,
                "layer {layer} lane {first_lane} lanes {lanes} entries {entries}"
            ),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if from.cursor.eat_word("host") {
            return Ok(Placement::Host);
        }
        let mut number = |word: &str| {
            from.cursor.expect_word(word)?;
            from.cursor.integer("a number")
        };
        Ok(Placement::Layer {
            layer: number("layer")?,
            first_lane: number("lane")?,
            lanes: number("lanes")?,
            entries: number("entries")?,
        })
    }
}

/// The lanes of a vector unit; none of a scalar one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vector(pub Option<u32>);

impl Field for Vector {
    const KIND: &'static str = "lanes";
    const BYTES: &'static str = "optional: lanes, unsigned";

    fn encode(&self, to: &mut Encoder) {
        optional(to, self.0, |to, lanes| to.unsigned(lanes.into()));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.optional(Self::KIND, |from| from.small(Self::KIND))
            .map(Vector)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        match self.0 {
            Some(lanes) => write!(f, " vector {lanes}"),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if from.cursor.eat_word("vector") {
            from.cursor
                .integer("a number of lanes")
                .map(|n| Vector(Some(n)))
        } else {
            Ok(Vector(None))
        }
    }
}

/// How a unit is run.
impl Field for LoopHints {
    const KIND: &'static str = "loop hints";
    const BYTES: &'static str = "three optional unsigned numbers: lanes, cores, prefetch";

    fn encode(&self, to: &mut Encoder) {
        for hint in [self.lanes, self.cores, self.prefetch] {
            optional(to, hint, |to, n| to.unsigned(n.into()));
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut hint = || from.optional(Self::KIND, |from| from.small(Self::KIND));
        Ok(LoopHints {
            lanes: hint()?,
            cores: hint()?,
            prefetch: hint()?,
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        LoopHints::parse(&mut from.cursor)
    }
}

impl Field for Event {
    const KIND: &'static str = "event";
    const BYTES: &'static str = "unsigned: 0 begin, 1 iterate, 2 end";

    fn encode(&self, to: &mut Encoder) {
        to.unsigned(Event::ALL.iter().position(|e| e == self).unwrap_or(0) as u64);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.choice(&Event::ALL, Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        f.write_str(self.name())
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        for event in Event::ALL {
            if from.cursor.eat_word(event.name()) {
                return Ok(event);
            }
        }
        from.cursor.unexpected("`begin`, `iterate` or `end`")
    }
}

/// The case that a token names.
impl Field for CaseId {
    const KIND: &'static str = "case";
    const BYTES: &'static str = "its number, unsigned";

    fn encode(&self, to: &mut Encoder) {
        encode_id(*self, to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_id(from, Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        match names.cases.get(*self) {
            Some(case) => write!(f, "@{}", case.name),
            None => write!(f, "@{self}"),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        let (name, span) = from.cursor.symbol()?;
        from.cases
            .get(name)
            .copied()
            .ok_or_else(|| ParseError::Unknown {
                name: format!("@{name}"),
                span,
            })
    }
}
