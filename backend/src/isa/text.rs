//! What instructions' texts refer to: printing looks names up, assembling defines them.

use std::fmt;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;
use hlo2dae_ir::core::text::{Cursor, TokenKind};
use hlo2dae_ir::core::{Arith, Buffer, BufferId, ParseError, ScalarType};

use super::{Row, Table};
use crate::access::{self, Slot, UnitId};
use crate::artifact::Artifact;
use crate::execute::{Case, CaseId, Reg};
use crate::value::ValueData;

/// What a program's text calls things.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The buffers.
    pub buffers: &'a PrimaryMap<BufferId, Buffer>,
    /// The access program.
    pub access: &'a access::Program,
    /// The cases.
    pub cases: &'a PrimaryMap<CaseId, Case>,
    /// The registers of the case at hand; empty in the access program.
    pub registers: &'a PrimaryMap<Reg, ValueData>,
}

impl<'a> Names<'a> {
    /// In the access program.
    pub fn access(artifact: &'a Artifact, none: &'a PrimaryMap<Reg, ValueData>) -> Names<'a> {
        Names {
            buffers: &artifact.buffers,
            access: &artifact.access,
            cases: &artifact.execute.cases,
            registers: none,
        }
    }

    /// In a case.
    pub fn case(artifact: &'a Artifact, case: &'a Case) -> Names<'a> {
        Names {
            registers: &case.registers,
            ..Names::access(artifact, &case.registers)
        }
    }

    /// `%table`.
    pub fn buffer(&self, f: &mut dyn fmt::Write, buffer: BufferId) -> fmt::Result {
        match self.buffers.get(buffer) {
            Some(data) => write!(f, "%{}", data.name),
            None => write!(f, "%{buffer}"),
        }
    }
}

/// Reads an artifact's text.
#[derive(Debug)]
pub struct Assembler<'t> {
    /// The place in the text.
    pub cursor: Cursor<'t>,
    /// The buffers declared.
    pub buffers: HashMap<String, BufferId>,
    /// The cases of the text, also those that stand further down.
    pub cases: HashMap<&'t str, CaseId>,
    /// The slots defined so far.
    pub slots: PrimaryMap<Slot, ValueData>,
    /// The units defined so far.
    pub units: PrimaryMap<UnitId, access::UnitData>,
    /// The registers of the case at hand that are defined so far.
    pub registers: PrimaryMap<Reg, ValueData>,
}

impl<'t> Assembler<'t> {
    /// At the start of a text.
    pub fn new(text: &'t str) -> Result<Self, ParseError> {
        let cursor = Cursor::new(text)?;
        let mut cases = HashMap::new();
        // Pushes name cases that stand behind them: `c0 @accumulate {` is looked for first.
        for n in 0.. {
            match [0, 1, 2].map(|k| cursor.peek_nth(n + k).kind) {
                [
                    TokenKind::Word(id),
                    TokenKind::Symbol(name),
                    TokenKind::Punctuation("{"),
                ] => {
                    if let Some(id) = entity(id) {
                        cases.entry(name).or_insert(id);
                    }
                }
                [TokenKind::End, ..] => break,
                _ => {}
            }
        }
        Ok(Assembler {
            cursor,
            buffers: HashMap::new(),
            cases,
            slots: PrimaryMap::new(),
            units: PrimaryMap::new(),
            registers: PrimaryMap::new(),
        })
    }

    /// Reads an instruction.
    pub fn instruction<T: Table>(&mut self) -> Result<T, ParseError> {
        match self.row::<T>() {
            Some(row) => T::parse(row, self),
            None => {
                self.skip_to_mnemonic();
                self.cursor
                    .unexpected(format!("an instruction of the {} unit", T::NAME))
            }
        }
    }

    /// How many tokens stand before the instruction's word: those of `s0 %x: <8 x f32> =`, if it defines something.
    fn definition_length(&self) -> usize {
        if !matches!(self.cursor.peek_nth(1).kind, TokenKind::Value(_)) {
            return 0;
        }
        // The longest type has five tokens.
        (3..10)
            .find(|&n| self.cursor.peek_nth(n).kind == TokenKind::Punctuation("="))
            .map_or(0, |n| n + 1)
    }

    fn skip_to_mnemonic(&mut self) {
        for _ in 0..self.definition_length() {
            self.cursor.advance();
        }
    }

    /// The row of the instruction that stands here.
    fn row<T: Table>(&self) -> Option<&'static Row> {
        let TokenKind::Word(word) = self.cursor.peek_nth(self.definition_length()).kind else {
            return None;
        };
        let named = T::ROWS.iter().find(|row| row.mnemonic() == Some(word));
        named.or_else(|| {
            let arith = T::ROWS.iter().find(|row| row.mnemonic().is_none());
            arith.filter(|_| is_arith(word))
        })
    }

    /// Reads the words and signs of a piece of syntax.
    pub fn literal(&mut self, text: &'static str) -> Result<(), ParseError> {
        let mut pieces = Cursor::new(text)?;
        loop {
            match pieces.advance().kind {
                TokenKind::Word(word) => {
                    self.cursor.expect_word(word)?;
                }
                TokenKind::Punctuation(sign) => {
                    self.cursor.expect(sign)?;
                }
                TokenKind::End => return Ok(()),
                TokenKind::Value(_) | TokenKind::Symbol(_) | TokenKind::Number(_) => {
                    return self.cursor.unexpected(text);
                }
            }
        }
    }

    /// Reads `s3`, `r3`, `u3`, `c3`.
    pub fn entity<E: cranelift_entity::EntityRef + fmt::Display>(
        &mut self,
        what: &str,
    ) -> Result<E, ParseError> {
        entity_at(&mut self.cursor, what)
    }

    /// Reads `s3`, which has to be the next one of a numbered list.
    pub fn next_entity<E: cranelift_entity::EntityRef + fmt::Display + PartialEq>(
        &mut self,
        next: E,
    ) -> Result<E, ParseError> {
        match self.cursor.peek().kind {
            TokenKind::Word(word) if entity(word) == Some(next) => {
                self.cursor.advance();
                Ok(next)
            }
            _ => self.cursor.unexpected(format!("`{next}`")),
        }
    }

    /// Reads `%name: type` behind an id.
    pub fn value(&mut self) -> Result<ValueData, ParseError> {
        let (name, span) = self.cursor.value_name()?;
        self.cursor.expect(":")?;
        let ty = self.cursor.value_type()?;
        Ok(ValueData {
            name: name.to_owned(),
            ty,
            span: self.cursor.since(span),
        })
    }

    /// Reads `%table`.
    pub fn buffer(&mut self) -> Result<BufferId, ParseError> {
        let (name, span) = self.cursor.value_name()?;
        self.buffers
            .get(name)
            .copied()
            .ok_or_else(|| ParseError::Unknown {
                name: format!("%{name}"),
                span,
            })
    }
}

/// Reads `s3`, `r3`, `u3`, `c3`.
pub(crate) fn entity_at<E: cranelift_entity::EntityRef + fmt::Display>(
    cursor: &mut Cursor<'_>,
    what: &str,
) -> Result<E, ParseError> {
    let found = match cursor.peek().kind {
        TokenKind::Word(word) => entity(word),
        _ => None,
    };
    match found {
        Some(id) => {
            cursor.advance();
            Ok(id)
        }
        None => cursor.unexpected(what),
    }
}

/// The id that a word spells; only the spelling that it is printed in.
fn entity<E: cranelift_entity::EntityRef + fmt::Display>(word: &str) -> Option<E> {
    let digits = word.get(1..)?;
    let number: u32 = digits.parse().ok()?;
    if number == u32::MAX {
        return None;
    }
    let id = E::new(number as usize);
    (id.to_string() == word).then_some(id)
}

/// Whether arithmetic starts with this word.
fn is_arith(word: &str) -> bool {
    use hlo2dae_ir::core::{BinaryOp, CompareOp, UnaryOp};
    UnaryOp::from_name(word).is_some()
        || BinaryOp::from_name(word).is_some()
        || CompareOp::from_name(word).is_some()
        || [
            Arith::Constant::<()>(hlo2dae_ir::core::Scalar::Bool(false)).name(),
            Arith::Select((), (), ()).name(),
            Arith::Convert((), ScalarType::Index).name(),
        ]
        .contains(&word)
}
