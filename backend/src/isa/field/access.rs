//! Accesses to buffers and rows, and the loops that they stand in.

use std::fmt::{self, Write};

use hlo2dae_ir::core::text::TokenKind;
use hlo2dae_ir::core::{Access, Bound, Lanes, ParseError, ReadHints, ReadLevel};

use super::{Def, Field, ValueId, decode_id, encode_id, list, optional, parse_list, print_list};
use crate::execute::{Reg, RowAccess};
use crate::isa::bytes::{DecodeError, Decoder, Encoder};
use crate::isa::text::{Assembler, Names};

/// An access to memory: `%out[r0, r1]`, `<8> %out[r0, r1] mask r4`.
impl<V: ValueId> Field for Access<V> {
    const KIND: &'static str = "access";
    const BYTES: &'static str = "number of the buffer; list of slots or registers, the indices; optional: lanes, unsigned, and a mask";

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

/// The lanes of a loop of the execute unit, and the mask that it defines.
impl<V: ValueId> Field for Option<Lanes<Def<V>>> {
    const KIND: &'static str = "vector";
    const BYTES: &'static str = "optional: lanes, unsigned; optional: new register, the mask";

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

/// Bound of a loop: a number, or what a slot or register holds.
impl<V: ValueId> Field for Bound<V> {
    const KIND: &'static str = "bound";
    const BYTES: &'static str = "one byte: 0 and a signed number, or 1 and a slot or register";

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
        match from.cursor.peek().kind {
            TokenKind::Word(_) => V::parse(from).map(Bound::Value),
            _ => from.cursor.integer("a bound").map(Bound::Constant),
        }
    }
}
