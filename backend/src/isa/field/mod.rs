//! Kinds of operand fields: what each looks like in bytes and in text.

mod access;
mod arith;
mod unit;
mod value;

pub use unit::{NewUnit, Vector};
pub use value::{Def, Target};

use std::fmt::{self, Write};

use cranelift_entity::EntityRef;
use hlo2dae_ir::core::ParseError;

use crate::isa::bytes::{DecodeError, Decoder, Encoder};
use crate::isa::text::{Assembler, Names};
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

impl Field for i64 {
    const KIND: &'static str = "integer";
    const BYTES: &'static str = "signed number";

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
    const BYTES: &'static str = "unsigned number";

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

/// Appends an optional item.
pub(crate) fn optional<T>(to: &mut Encoder, item: Option<T>, encode: impl FnOnce(&mut Encoder, T)) {
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
