//! Slots, registers, their definitions and their types.

use std::fmt::{self, Write};

use hlo2dae_ir::core::{ElementType, ParseError, ScalarType, Type};

use super::{Field, ValueId, decode_id, encode_id, list, optional, parse_list, print_list};
use crate::access::Slot;
use crate::execute::Reg;
use crate::isa::bytes::{DecodeError, Decoder, Encoder};
use crate::isa::text::{Assembler, Names};
use crate::value::ValueData;

impl ValueId for Slot {
    const KIND: &'static str = "slot";
    const DEFINITION: &'static str = "new slot";

    fn data<'a>(self, names: &Names<'a>) -> Option<&'a ValueData> {
        names.access.slots.get(self)
    }

    fn define(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.next_entity(from.slots.next_key())?;
        let value = from.value()?;
        Ok(from.slots.push(value))
    }
}

impl ValueId for Reg {
    const KIND: &'static str = "register";
    const DEFINITION: &'static str = "new register";

    fn data<'a>(self, names: &Names<'a>) -> Option<&'a ValueData> {
        names.registers.get(self)
    }

    fn define(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.next_entity(from.registers.next_key())?;
        let value = from.value()?;
        Ok(from.registers.push(value))
    }
}

impl<V: ValueId> Field for V {
    const KIND: &'static str = <V as ValueId>::KIND;
    const BYTES: &'static str = "its number, unsigned";

    fn encode(&self, to: &mut Encoder) {
        encode_id(*self, to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_id(from, <V as ValueId>::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.entity(<V as ValueId>::KIND)
    }
}

/// A field that gives a slot or register its value. In text, name and type stand with it; in bytes, they are in
/// the table of slots or registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Def<V>(pub V);

impl<V: ValueId> Field for Def<V> {
    const KIND: &'static str = V::DEFINITION;
    const BYTES: &'static str = "its number, unsigned; it is the next one";

    fn encode(&self, to: &mut Encoder) {
        encode_id(self.0, to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_id(from, V::DEFINITION).map(Def)
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.data(names) {
            Some(data) => write!(f, " %{}: {}", data.name, data.ty),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        V::define(from).map(Def)
    }
}

/// Which lanes are active; all if none.
impl<V: ValueId> Field for Option<V> {
    const KIND: &'static str = "mask";
    const BYTES: &'static str = "optional: number of a slot or register";

    fn encode(&self, to: &mut Encoder) {
        optional(to, *self, |to, mask| encode_id(mask, to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.optional(Self::KIND, |from| decode_id(from, Self::KIND))
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        match self {
            Some(mask) => write!(f, " mask {mask}"),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if from.cursor.eat_word("mask") {
            from.entity("a mask").map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The operands that are pushed.
impl Field for Vec<Slot> {
    const KIND: &'static str = "slots";
    const BYTES: &'static str = "list of slots";

    fn encode(&self, to: &mut Encoder) {
        list(to, self, |to, slot| slot.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.list(Self::KIND, Slot::decode)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        f.write_str("(")?;
        print_list(f, self)?;
        f.write_str(")")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        parse_list(from, "(", ")", Slot::parse)
    }
}

impl Field for Target {
    const KIND: &'static str = "target";
    const BYTES: &'static str = "number of an instruction of the case, unsigned";

    fn encode(&self, to: &mut Encoder) {
        to.unsigned(self.0.into());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.small(Self::KIND).map(Target)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.cursor.integer("number of an instruction").map(Target)
    }
}

/// Number of an instruction of the case at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub u32);

impl Field for ScalarType {
    const KIND: &'static str = "scalar type";
    const BYTES: &'static str = "its number in the table of scalar types, unsigned";

    fn encode(&self, to: &mut Encoder) {
        let code = match self {
            ScalarType::Index => 0,
            ScalarType::Element(element) => {
                let place = ElementType::ALL.iter().position(|e| e == element);
                place.map_or(0, |place| place as u64 + 1)
            }
        };
        to.unsigned(code);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let elements = ElementType::ALL.iter().map(|&e| ScalarType::Element(e));
        let all: Vec<ScalarType> = [ScalarType::Index].into_iter().chain(elements).collect();
        from.choice(&all, Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.cursor.scalar_type()
    }
}

impl Field for Type {
    const KIND: &'static str = "type";
    const BYTES: &'static str =
        "one byte: 0 (scalar), 1 (vector) and lanes, 2 (row) and elements; then the scalar type";

    fn encode(&self, to: &mut Encoder) {
        match self {
            Type::Scalar(_) => to.byte(0),
            Type::Vector(_, lanes) => {
                to.byte(1);
                to.unsigned((*lanes).into());
            }
            Type::Row(_, elements) => {
                to.byte(2);
                to.unsigned(*elements);
            }
        }
        self.scalar().encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let offset = from.offset();
        Ok(match from.byte(Self::KIND)? {
            0 => Type::Scalar(Field::decode(from)?),
            1 => {
                let lanes = from.small("lanes")?;
                Type::Vector(Field::decode(from)?, lanes)
            }
            2 => {
                let elements = from.unsigned("elements")?;
                Type::Row(Field::decode(from)?, elements)
            }
            code => {
                return Err(DecodeError::Code {
                    offset,
                    item: Self::KIND,
                    code: code.into(),
                });
            }
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.cursor.value_type()
    }
}
