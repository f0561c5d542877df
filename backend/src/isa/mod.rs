//! Instructions, stated once.
//!
//! Each unit of the machine has one table of instructions, written with `instructions!`: for each one its opcode, its
//! operand fields and their kinds, its syntax and its meaning. From a table follow the data type, the encoder and the
//! decoder, the assembler and the disassembler, and the reference page ([`page`]); what an operand field of a kind looks
//! like in bytes and in text is said once for each kind, by its [`Field`].
//!
//! An instruction is encoded as its opcode, one byte, and its fields in order.

pub mod bytes;
mod field;
pub mod page;
mod text;

pub use bytes::{DecodeError, Decoder, Encoder};
pub(crate) use field::decode_id;
pub use field::{Def, Field, NewUnit, Target, ValueId, Vector};
pub use text::{Assembler, Names};

use std::fmt;

use hlo2dae_ir::core::ParseError;

/// What a table says of an instruction.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the instruction.
    pub name: &'static str,
    /// First byte of its encoding.
    pub opcode: u8,
    /// Its text, with `{field}` where a field's text stands.
    pub syntax: &'static str,
    /// The operand fields, in the order of the encoding.
    pub fields: &'static [Operand],
    /// What it does.
    pub meaning: &'static str,
}

/// What a table says of an operand field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Name of the field.
    pub name: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// The encoding of fields of the kind.
    pub bytes: &'static str,
    /// What it is to the instruction.
    pub meaning: &'static str,
}

impl Row {
    /// The word that an instruction's text is known by: the first one of the syntax that no field gives; none for arithmetic,
    /// which has the operation's.
    pub(crate) fn mnemonic(&self) -> Option<&'static str> {
        segments(self.syntax).find_map(|segment| match segment {
            Segment::Text(text) => text
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .find(|word| !word.is_empty()),
            Segment::Field(_) => None,
        })
    }
}

/// The instructions of one unit.
pub trait Table: Sized {
    /// What the errors and the reference page call it.
    const NAME: &'static str;
    /// All instructions, by opcode.
    const ROWS: &'static [Row];

    /// The instruction's row.
    fn row(&self) -> &'static Row;
    /// Appends opcode and fields.
    fn encode(&self, to: &mut Encoder);
    /// Reads opcode and fields.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError>;
    /// Writes the instruction in its syntax.
    fn print(&self, f: &mut dyn fmt::Write, names: &Names<'_>) -> fmt::Result;
    /// Reads an instruction of this row.
    fn parse(row: &Row, from: &mut Assembler<'_>) -> Result<Self, ParseError>;
}

/// A piece of a syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'s> {
    /// Stands for itself.
    Text(&'s str),
    /// A field of this name.
    Field(&'s str),
}

/// The pieces of a syntax.
pub(crate) fn segments(syntax: &str) -> impl Iterator<Item = Segment<'_>> {
    // Braces alternate: the pieces at odd places stand between them.
    let pieces = syntax.split(['{', '}']).enumerate();
    pieces
        .filter(|(_, piece)| !piece.is_empty())
        .map(|(n, piece)| {
            if n % 2 == 1 {
                Segment::Field(piece)
            } else {
                Segment::Text(piece)
            }
        })
}

/// Defines a table: for each instruction a struct of its fields, and an enum of all.
macro_rules! instructions {
    (
        $(#[$table_doc:meta])*
        $table:ident $table_name:literal {
            $(
                $(#[doc = $doc:literal])*
                $opcode:literal $name:ident {
                    $( $(#[doc = $field_doc:literal])* $field:ident : $kind:ty, )*
                } $syntax:literal;
            )*
        }
    ) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                $( $(#[doc = $field_doc])* pub $field: $kind, )*
            }

            impl From<$name> for $table {
                fn from(instruction: $name) -> $table {
                    $table::$name(instruction)
                }
            }
        )*

        $(#[$table_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $table {
            $( $(#[doc = $doc])* $name($name), )*
        }

        impl $crate::isa::Table for $table {
            const NAME: &'static str = $table_name;
            const ROWS: &'static [$crate::isa::Row] = &[
                $( $crate::isa::Row {
                    name: stringify!($name),
                    opcode: $opcode,
                    syntax: $syntax,
                    fields: &[ $( $crate::isa::Operand {
                        name: stringify!($field),
                        kind: <$kind as $crate::isa::Field>::KIND,
                        bytes: <$kind as $crate::isa::Field>::BYTES,
                        meaning: concat!($($field_doc,)*),
                    }, )* ],
                    meaning: concat!($($doc, "\n",)*),
                }, )*
            ];

            fn row(&self) -> &'static $crate::isa::Row {
                let opcode = match self { $( $table::$name(_) => $opcode, )* };
                let row = Self::ROWS.iter().find(|row| row.opcode == opcode);
                // Both come from one list; the fallback is never taken.
                row.unwrap_or(&Self::ROWS[0])
            }

            fn encode(&self, to: &mut $crate::isa::Encoder) {
                match self {
                    $( $table::$name($name { $($field),* }) => {
                        to.byte($opcode);
                        $( $crate::isa::Field::encode($field, to); )*
                    } )*
                }
            }

            fn decode(
                from: &mut $crate::isa::Decoder<'_>,
            ) -> Result<Self, $crate::isa::DecodeError> {
                let offset = from.offset();
                match from.byte("opcode")? {
                    $( $opcode => Ok($table::$name($name {
                        $( $field: $crate::isa::Field::decode(from)?, )*
                    })), )*
                    code => Err($crate::isa::DecodeError::Code {
                        offset,
                        item: concat!("instruction of the ", $table_name, " unit"),
                        code: code.into(),
                    }),
                }
            }

            fn print(
                &self,
                f: &mut dyn std::fmt::Write,
                names: &$crate::isa::Names<'_>,
            ) -> std::fmt::Result {
                for segment in $crate::isa::segments(self.row().syntax) {
                    let field = match segment {
                        $crate::isa::Segment::Text(text) => {
                            f.write_str(text)?;
                            continue;
                        }
                        $crate::isa::Segment::Field(field) => field,
                    };
                    match self {
                        $( $table::$name(_instruction) => match field {
                            $( stringify!($field) =>
                                $crate::isa::Field::print(&_instruction.$field, f, names)?, )*
                            _ => {}
                        }, )*
                    }
                }
                Ok(())
            }

            fn parse(
                row: &$crate::isa::Row,
                from: &mut $crate::isa::Assembler<'_>,
            ) -> Result<Self, hlo2dae_ir::core::ParseError> {
                match row.opcode {
                    $( $opcode => {
                        $( let mut $field: Option<$kind> = None; )*
                        for segment in $crate::isa::segments(row.syntax) {
                            match segment {
                                $crate::isa::Segment::Text(text) => from.literal(text)?,
                                $( $crate::isa::Segment::Field(stringify!($field)) =>
                                    $field = Some($crate::isa::Field::parse(from)?), )*
                                $crate::isa::Segment::Field(_) => {}
                            }
                        }
                        $( let Some($field) = $field else {
                            // The syntax of every row names all its fields: a test holds it to that.
                            return from.cursor.unexpected(stringify!($field));
                        }; )*
                        Ok($table::$name($name { $($field),* }))
                    } )*
                    _ => from.cursor.unexpected("an instruction"),
                }
            }
        }
    };
}

pub(crate) use instructions;

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Table>() {
        let mut last = 0;
        let mut mnemonics = Vec::new();
        for row in T::ROWS {
            assert!(row.opcode > last, "{}: opcodes rise", row.name);
            last = row.opcode;
            assert!(
                !mnemonics.contains(&row.mnemonic()),
                "{}: mnemonics differ",
                row.name
            );
            mnemonics.push(row.mnemonic());
            let mut in_syntax: Vec<&str> = segments(row.syntax)
                .filter_map(|segment| match segment {
                    Segment::Field(field) => Some(field),
                    Segment::Text(_) => None,
                })
                .collect();
            let mut fields: Vec<&str> = row.fields.iter().map(|field| field.name).collect();
            in_syntax.sort_unstable();
            fields.sort_unstable();
            assert_eq!(in_syntax, fields, "{}", row.name);
            assert!(!row.meaning.trim().is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn every_row_names_each_field_once_in_its_syntax() {
        check::<crate::access::Instruction>();
        check::<crate::execute::Instruction>();
    }
}
