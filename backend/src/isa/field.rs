//! Kinds of operand fields: what each looks like in bytes and in text.

use std::fmt::{self, Write};

use cranelift_entity::EntityRef;
use hlo2dae_ir::core::{
    Access, Arith, BinaryOp, Bound, CombineOp, CompareOp, ElementType, Lanes, LoopHints,
    ParseError, ReadHints, ReadLevel, Scalar, ScalarType, Type, UnaryOp,
};
use hlo2dae_ir::dlc::Event;

use super::bytes::{DecodeError, Decoder, Encoder};
use super::text::{Assembler, Names};
use crate::access::{Placement, Slot, Traversal, UnitData, UnitId};
use crate::execute::{CaseId, Reg, RowAccess};
use crate::value::ValueData;

/// A kind of operand field.
pub trait Field: Sized {
    /// Its name on the reference page.
    const KIND: &'static str;
    /// Its encoding, for the reference page.
    const BYTES: &'static str;

    /// Appends the field.
    fn encode(&self, to: &mut Encoder);
    /// Reads the field.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError>;
    /// Writes the field's text.
    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result;
    /// Reads the field's text.
    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError>;
}

/// The place of a value: a slot of the access unit or a register of the execute unit.
pub trait ValueId: EntityRef + fmt::Display {
    /// What it is called.
    const KIND: &'static str;
    /// What a definition of it is called.
    const DEFINITION: &'static str;

    /// Name and type.
    fn data<'a>(self, names: &Names<'a>) -> Option<&'a ValueData>;
    /// Reads a definition's text.
    fn define(from: &mut Assembler<'_>) -> Result<Self, ParseError>;
}

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

/// Reads the number of a thing.
pub(crate) fn decode_id<E: EntityRef>(
    from: &mut Decoder<'_>,
    item: &'static str,
) -> Result<E, DecodeError> {
    let offset = from.offset();
    match from.small(item)? {
        // No table has that many.
        u32::MAX => Err(DecodeError::Number { offset, item }),
        number => Ok(E::new(number as usize)),
    }
}

pub(crate) fn encode_id(id: impl EntityRef, to: &mut Encoder) {
    to.unsigned(id.index() as u64);
}

impl<V: ValueId> Field for V {
    const KIND: &'static str = <V as ValueId>::KIND;
    const BYTES: &'static str =
        "its number, unsigned";

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
    const BYTES: &'static str =
        "its number, unsigned; it is the next one";

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

/// A unit that is defined here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUnit(pub UnitId);

impl Field for NewUnit {
    const KIND: &'static str = "new unit";
    const BYTES: &'static str =
        "its number, unsigned; it is the next one";

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
    const BYTES: &'static str =
        "optional: number of a unit";

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

/// Which lanes are active; all if none.
impl<V: ValueId> Field for Option<V> {
    const KIND: &'static str = "mask";
    const BYTES: &'static str =
        "optional: number of a slot or register";

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

/// The lanes of a loop of the execute unit, and the mask that it defines.
impl<V: ValueId> Field for Option<Lanes<Def<V>>> {
    const KIND: &'static str = "vector";
    const BYTES: &'static str =
        "optional: lanes, unsigned; optional: new register, the mask";

    fn encode(&self, to: &mut Encoder) {
        optional(to, self.as_ref(), |to, lanes| {
            to.unsigned(lanes.count.into());
            optional(to, lanes.mask.as_ref(), |to, mask| mask.encode(to));
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.optional(Self::KIND, |from| {
            Ok(Lanes {
                count: from.small(Self::KIND)?,
                mask: from.optional(Self::KIND, Def::decode)?,
            })
        })
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        let Some(lanes) = self else {
            return Ok(());
        };
        write!(f, " vector {}", lanes.count)?;
        match &lanes.mask {
            Some(mask) => {
                f.write_str(" mask ")?;
                mask.print(f, names)
            }
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        if !from.cursor.eat_word("vector") {
            return Ok(None);
        }
        Ok(Some(Lanes {
            count: from.cursor.integer("a number of lanes")?,
            mask: if from.cursor.eat_word("mask") {
                Some(Def::parse(from)?)
            } else {
                None
            },
        }))
    }
}

/// An access to memory: `%out[r0, r1]`, `<8> %out[r0, r1] mask r4`.
impl<V: ValueId> Field for Access<V> {
    const KIND: &'static str = "access";
    const BYTES: &'static str =
        "number of the buffer; list of slots or registers, the indices; optional: lanes, unsigned, and a mask";

    fn encode(&self, to: &mut Encoder) {
        encode_id(self.buffer, to);
        list(to, &self.indices, |to, index| index.encode(to));
        optional(to, self.lanes.as_ref(), |to, lanes| {
            to.unsigned(lanes.count.into());
            lanes.mask.encode(to);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Access {
            buffer: decode_id(from, "buffer")?,
            indices: from.list("indices", V::decode)?,
            lanes: from.optional("lanes", |from| {
                Ok(Lanes {
                    count: from.small("lanes")?,
                    mask: Field::decode(from)?,
                })
            })?,
        })
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        if let Some(lanes) = &self.lanes {
            write!(f, "<{}>", lanes.count)?;
        }
        f.write_str(" ")?;
        names.buffer(f, self.buffer)?;
        f.write_str("[")?;
        print_list(f, &self.indices)?;
        f.write_str("]")?;
        match &self.lanes {
            Some(lanes) => lanes.mask.print(f, names),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        let count = parse_count(from)?;
        let buffer = from.buffer()?;
        let indices = parse_list(from, "[", "]", V::parse)?;
        let lanes = match count {
            Some(count) => Some(Lanes {
                count,
                mask: Field::parse(from)?,
            }),
            None => None,
        };
        Ok(Access {
            buffer,
            indices,
            lanes,
        })
    }
}

/// Arithmetic: its group, its code in the group, its operands, the type of a conversion or constant.
impl<V: ValueId> Field for Arith<V> {
    const KIND: &'static str = "arithmetic";
    const BYTES: &'static str =
        "one byte, the group; what the table of arithmetic says; the operands";

    fn encode(&self, to: &mut Encoder) {
        fn code<T: PartialEq>(to: &mut Encoder, group: u8, all: &[T], op: &T) {
            to.byte(group);
            to.unsigned(all.iter().position(|o| o == op).unwrap_or(0) as u64);
        }
        match self {
            Arith::Constant(scalar) => {
                to.byte(0);
                scalar.ty().encode(to);
                to.unsigned(scalar.bits());
            }
            Arith::Unary(op, _) => code(to, 1, UnaryOp::ALL, op),
            Arith::Binary(op, _, _) => code(to, 2, BinaryOp::ALL, op),
            Arith::Compare(op, _, _) => code(to, 3, CompareOp::ALL, op),
            Arith::Select(_, _, _) => to.byte(4),
            Arith::Convert(_, ty) => {
                to.byte(5);
                ty.encode(to);
            }
        }
        for operand in self.operands() {
            operand.encode(to);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let offset = from.offset();
        Ok(match from.byte("arithmetic")? {
            0 => {
                let ty = ScalarType::decode(from)?;
                let offset = from.offset();
                let bits = from.unsigned("constant")?;
                let scalar = Scalar::from_bits(ty, bits);
                if scalar.bits() != bits {
                    let item = "constant";
                    return Err(DecodeError::Number { offset, item });
                }
                Arith::Constant(scalar)
            }
            1 => {
                let op = from.choice(UnaryOp::ALL, "unary operation")?;
                Arith::Unary(op, V::decode(from)?)
            }
            2 => {
                let op = from.choice(BinaryOp::ALL, "binary operation")?;
                Arith::Binary(op, V::decode(from)?, V::decode(from)?)
            }
            3 => {
                let op = from.choice(CompareOp::ALL, "comparison")?;
                Arith::Compare(op, V::decode(from)?, V::decode(from)?)
            }
            4 => Arith::Select(V::decode(from)?, V::decode(from)?, V::decode(from)?),
            5 => {
                let ty = ScalarType::decode(from)?;
                Arith::Convert(V::decode(from)?, ty)
            }
            code => {
                return Err(DecodeError::Code {
                    offset,
                    item: "group of arithmetic",
                    code: code.into(),
                });
            }
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Arith::Constant(scalar) = self {
            write!(f, " {scalar}: {}", scalar.ty())?;
        }
        for (n, operand) in self.operands().enumerate() {
            write!(f, "{}{operand}", if n == 0 { " " } else { ", " })?;
        }
        match self {
            Arith::Convert(_, ty) => write!(f, " to {ty}"),
            Arith::Constant(_)
            | Arith::Unary(..)
            | Arith::Binary(..)
            | Arith::Compare(..)
            | Arith::Select(..) => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        let arith = from
            .cursor
            .arith(|cursor| super::text::entity_at(cursor, <V as ValueId>::KIND))?;
        match arith {
            Some(arith) => Ok(arith),
            None => from.cursor.unexpected("arithmetic"),
        }
    }
}

/// Bound of a loop: a number, or what a slot or register holds.
impl<V: ValueId> Field for Bound<V> {
    const KIND: &'static str = "bound";
    const BYTES: &'static str =
        "one byte: 0 and a signed number, or 1 and a slot or register";

    fn encode(&self, to: &mut Encoder) {
        match self {
            Bound::Constant(position) => {
                to.byte(0);
                to.signed(*position);
            }
            Bound::Value(value) => {
                to.byte(1);
                value.encode(to);
            }
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(if from.flag(Self::KIND)? {
            Bound::Value(V::decode(from)?)
        } else {
            Bound::Constant(from.signed(Self::KIND)?)
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        match self {
            Bound::Constant(position) => write!(f, "{position}"),
            Bound::Value(value) => write!(f, "{value}"),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        use hlo2dae_ir::core::text::TokenKind;
        match from.cursor.peek().kind {
            TokenKind::Word(_) => V::parse(from).map(Bound::Value),
            _ => from.cursor.integer("a bound").map(Bound::Constant),
        }
    }
}

/// The positions of a unit.
impl Field for Traversal {
    const KIND: &'static str = "traversal";
    const BYTES: &'static str =
        "one byte: 0 (dense), begin and end, signed; 1 (range), two bounds; 2 (index), a slot and the length, signed";

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

impl Field for Event {
    const KIND: &'static str = "event";
    const BYTES: &'static str =
        "unsigned: 0 begin, 1 iterate, 2 end";

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
    const BYTES: &'static str =
        "its number, unsigned";

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

/// The operands that are pushed.
impl Field for Vec<Slot> {
    const KIND: &'static str = "slots";
    const BYTES: &'static str =
        "list of slots";

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

/// Number of an instruction of the case at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub u32);

impl Field for Target {
    const KIND: &'static str = "target";
    const BYTES: &'static str =
        "number of an instruction of the case, unsigned";

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
        from.cursor
            .integer("number of an instruction")
            .map(Target)
    }
}

impl Field for CombineOp {
    const KIND: &'static str = "combiner";
    const BYTES: &'static str =
        "its number in the table of combiners, unsigned";

    fn encode(&self, to: &mut Encoder) {
        to.unsigned(CombineOp::ALL.iter().position(|o| o == self).unwrap_or(0) as u64);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.choice(CombineOp::ALL, Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        f.write_str(self.name())
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        let (word, _) = match from.cursor.peek().kind {
            hlo2dae_ir::core::text::TokenKind::Word(word) if CombineOp::from_name(word).is_some() => {
                from.cursor.word("a combiner")?
            }
            _ => return from.cursor.unexpected("a combiner"),
        };
        match CombineOp::from_name(word) {
            Some(op) => Ok(op),
            None => from.cursor.unexpected("a combiner"),
        }
    }
}

impl Field for i64 {
    const KIND: &'static str = "integer";
    const BYTES: &'static str =
        "signed number";

    fn encode(&self, to: &mut Encoder) {
        to.signed(*self);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.signed(Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.cursor.integer("an integer")
    }
}

impl Field for u32 {
    const KIND: &'static str = "number";
    const BYTES: &'static str =
        "unsigned number";

    fn encode(&self, to: &mut Encoder) {
        to.unsigned((*self).into());
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.small(Self::KIND)
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        from.cursor.integer("a number")
    }
}

impl Field for ScalarType {
    const KIND: &'static str = "scalar type";
    const BYTES: &'static str =
        "its number in the table of scalar types, unsigned";

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

/// Appends an optional item.
pub(crate) fn optional<T>(
    to: &mut Encoder,
    item: Option<T>,
    encode: impl FnOnce(&mut Encoder, T),
) {
    match item {
        Some(item) => {
            to.byte(1);
            encode(to, item);
        }
        None => to.byte(0),
    }
}

/// Appends a list.
pub(crate) fn list<T>(to: &mut Encoder, items: &[T], mut encode: impl FnMut(&mut Encoder, &T)) {
    to.unsigned(items.len() as u64);
    for item in items {
        encode(to, item);
    }
}

fn print_list(f: &mut dyn Write, items: &[impl fmt::Display]) -> fmt::Result {
    for (n, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if n == 0 { "" } else { ", " })?;
    }
    Ok(())
}

fn parse_list<T>(
    from: &mut Assembler<'_>,
    open: &str,
    close: &str,
    mut item: impl FnMut(&mut Assembler<'_>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    from.cursor.expect(open)?;
    let mut items = Vec::new();
    if from.cursor.eat(close) {
        return Ok(items);
    }
    loop {
        items.push(item(from)?);
        if from.cursor.eat(close) {
            return Ok(items);
        }
        if !from.cursor.eat(",") {
            return from.cursor.unexpected(format!("`,` or `{close}`"));
        }
    }
}

/// How a read is done.
impl Field for ReadHints {
    const KIND: &'static str = "hints";
    const BYTES: &'static str =
        "optional: level, 0 (l2) or 1 (llc); one byte, 1 if nontemporal; optional: reuse, unsigned";

    fn encode(&self, to: &mut Encoder) {
        let level = |level| ReadLevel::ALL.iter().position(|&l| l == level).unwrap_or(0);
        optional(to, self.level, |to, l| to.unsigned(level(l) as u64));
        to.byte(self.nontemporal.into());
        optional(to, self.reuse, |to, rows| to.unsigned(rows.into()));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(ReadHints {
            level: from.optional(Self::KIND, |from| from.choice(&ReadLevel::ALL, "level"))?,
            nontemporal: from.flag(Self::KIND)?,
            reuse: from.optional(Self::KIND, |from| from.small("reuse"))?,
        })
    }

    fn print(&self, f: &mut dyn Write, _: &Names<'_>) -> fmt::Result {
        if *self == ReadHints::default() {
            return Ok(());
        }
        write!(f, " {self}")
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        ReadHints::parse(&mut from.cursor)
    }
}

/// Elements of a row.
impl Field for RowAccess {
    const KIND: &'static str = "row access";
    const BYTES: &'static str =
        "register of the row; register of the index; optional: lanes, unsigned, and a mask";

    fn encode(&self, to: &mut Encoder) {
        self.row.encode(to);
        self.index.encode(to);
        optional(to, self.lanes, |to, lanes| {
            to.unsigned(lanes.count.into());
            lanes.mask.encode(to);
        });
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(RowAccess {
            row: Field::decode(from)?,
            index: Field::decode(from)?,
            lanes: from.optional("lanes", |from| {
                Ok(Lanes {
                    count: from.small("lanes")?,
                    mask: Field::decode(from)?,
                })
            })?,
        })
    }

    fn print(&self, f: &mut dyn Write, names: &Names<'_>) -> fmt::Result {
        let RowAccess { row, index, lanes } = self;
        if let Some(lanes) = lanes {
            write!(f, "<{}>", lanes.count)?;
        }
        write!(f, " {row}[{index}]")?;
        match lanes {
            Some(lanes) => lanes.mask.print(f, names),
            None => Ok(()),
        }
    }

    fn parse(from: &mut Assembler<'_>) -> Result<Self, ParseError> {
        let count = parse_count(from)?;
        let row = Reg::parse(from)?;
        from.cursor.expect("[")?;
        let index = Reg::parse(from)?;
        from.cursor.expect("]")?;
        let lanes = match count {
            Some(count) => Some(Lanes {
                count,
                mask: Field::parse(from)?,
            }),
            None => None,
        };
        Ok(RowAccess { row, index, lanes })
    }
}

/// Reads `<8>`, if it is next.
fn parse_count(from: &mut Assembler<'_>) -> Result<Option<u32>, ParseError> {
    if !from.cursor.eat("<") {
        return Ok(None);
    }
    let count = from.cursor.integer("a number of lanes")?;
    from.cursor.expect(">")?;
    Ok(Some(count))
}

/// The lanes of a vector unit; none of a scalar one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vector(pub Option<u32>);

impl Field for Vector {
    const KIND: &'static str = "lanes";
    const BYTES: &'static str =
        "optional: lanes, unsigned";

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
            from.cursor.integer("a number of lanes").map(|n| Vector(Some(n)))
        } else {
            Ok(Vector(None))
        }
    }
}

/// How a unit is run.
impl Field for LoopHints {
    const KIND: &'static str = "loop hints";
    const BYTES: &'static str =
        "three optional unsigned numbers: lanes, cores, prefetch";

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
