//! Arithmetic and combiners.

use std::fmt::{self, Write};

use hlo2dae_ir::core::text::TokenKind;
use hlo2dae_ir::core::{
    Arith, BinaryOp, CombineOp, CompareOp, ParseError, Scalar, ScalarType, UnaryOp,
};

use super::{Field, ValueId};
use crate::isa::bytes::{DecodeError, Decoder, Encoder};
use crate::isa::text::{Assembler, Names, entity_at};

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
            .arith(|cursor| entity_at(cursor, <V as ValueId>::KIND))?;
        match arith {
            Some(arith) => Ok(arith),
            None => from.cursor.unexpected("arithmetic"),
        }
    }
}

impl Field for CombineOp {
    const KIND: &'static str = "combiner";
    const BYTES: &'static str = "its number in the table of combiners, unsigned";

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
            TokenKind::Word(word) if CombineOp::from_name(word).is_some() => {
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
