//! A place in the tokens of a text, and the productions that all IRs share.

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use super::lex::{Token, TokenKind, tokens};
use crate::core::buffer::{Buffer, BufferId, Init, Role};
use crate::core::compute::Compute;
use crate::core::diag::ParseError;
use crate::core::op::{Arith, BinaryOp, CompareOp, UnaryOp};
use crate::core::scalar::Scalar;
use crate::core::types::{ElementType, ScalarType, Span, Type};

/// Reads tokens one after the other. Every function leaves the cursor behind what it read, or
/// gives the error of the place where the text is not what the grammar takes.
#[derive(Clone, Debug)]
pub struct Cursor<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    /// End of the token read last.
    end: u32,
}

impl<'t> Cursor<'t> {
    /// At the start of a text.
    pub fn new(text: &'t str) -> Result<Self, ParseError> {
        Ok(Cursor {
            tokens: tokens(text)?,
            next: 0,
            end: 0,
        })
    }

    /// The next token.
    pub fn peek(&self) -> Token<'t> {
        self.peek_nth(0)
    }

    /// The token `n` places after the next.
    pub fn peek_nth(&self, n: usize) -> Token<'t> {
        let end = Token {
            kind: TokenKind::End,
            span: Span {
                start: self.end,
                end: self.end,
            },
        };
        let nth = self.next.checked_add(n).and_then(|i| self.tokens.get(i));
        nth.or(self.tokens.last()).copied().unwrap_or(end)
    }

    /// Reads any token.
    pub fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.end = token.span.end;
        if token.kind != TokenKind::End {
            self.next += 1;
        }
        token
    }

    /// From the start of `first` to the end of the token read last.
    pub fn since(&self, first: Span) -> Span {
        Span {
            start: first.start,
            end: self.end.max(first.start),
        }
    }

    /// The error that the next token is not `expected`.
    pub fn unexpected<T>(&self, expected: impl Into<String>) -> Result<T, ParseError> {
        let Token { kind, span } = self.peek();
        let found = match kind {
            TokenKind::Value(name) => format!("`%{name}`"),
            TokenKind::Symbol(name) => format!("`@{name}`"),
            TokenKind::Word(word) => format!("`{word}`"),
            TokenKind::Number(number) => format!("`{number}`"),
            TokenKind::Punctuation(p) => format!("`{p}`"),
            TokenKind::End => "the end of the text".to_owned(),
        };
        Err(ParseError::Unexpected {
            expected: expected.into(),
            found,
            span,
        })
    }

    /// Reads this punctuation if it is next.
    pub fn eat(&mut self, punctuation: &str) -> bool {
        let here = matches!(self.peek().kind, TokenKind::Punctuation(p) if p == punctuation);
        if here {
            self.advance();
        }
        here
    }

    /// Reads this word if it is next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let here = self.peek().kind == TokenKind::Word(word);
        if here {
            self.advance();
        }
        here
    }

    /// Reads this punctuation.
    pub fn expect(&mut self, punctuation: &str) -> Result<Span, ParseError> {
        let span = self.peek().span;
        if self.eat(punctuation) {
            Ok(span)
        } else {
            self.unexpected(format!("`{punctuation}`"))
        }
    }

    /// Reads this word.
    pub fn expect_word(&mut self, word: &str) -> Result<Span, ParseError> {
        let span = self.peek().span;
        if self.eat_word(word) {
            Ok(span)
        } else {
            self.unexpected(format!("`{word}`"))
        }
    }

    /// Reads the end of the text.
    pub fn expect_end(&mut self) -> Result<(), ParseError> {
        match self.peek().kind {
            TokenKind::End => Ok(()),
            _ => self.unexpected("the end of the text"),
        }
    }

    /// Reads any word; `what` is what it should be.
    pub fn word(&mut self, what: &str) -> Result<(&'t str, Span), ParseError> {
        match self.peek() {
            Token {
                kind: TokenKind::Word(word),
                span,
            } => {
                self.advance();
                Ok((word, span))
            }
            _ => self.unexpected(what),
        }
    }

    /// Reads `%name`.
    pub fn value_name(&mut self) -> Result<(&'t str, Span), ParseError> {
        match self.peek() {
            Token {
                kind: TokenKind::Value(name),
                span,
            } => {
                self.advance();
                Ok((name, span))
            }
            _ => self.unexpected("a `%name`"),
        }
    }

    /// Reads `@name`.
    pub fn symbol(&mut self) -> Result<(&'t str, Span), ParseError> {
        match self.peek() {
            Token {
                kind: TokenKind::Symbol(name),
                span,
            } => {
                self.advance();
                Ok((name, span))
            }
            _ => self.unexpected("an `@name`"),
        }
    }

    /// Reads an integer of a Rust type; `what` is what it should be.
    pub fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, ParseError> {
        let parsed = match self.peek().kind {
            TokenKind::Number(text) => text.parse().ok(),
            _ => None,
        };
        match parsed {
            Some(value) => {
                self.advance();
                Ok(value)
            }
            None => self.unexpected(what),
        }
    }

    /// Reads a scalar of type `ty`.
    pub fn scalar(&mut self, ty: ScalarType) -> Result<Scalar, ParseError> {
        let literal = self.literal()?;
        literal.scalar(ty)
    }

    /// Reads a literal whose type stands elsewhere.
    pub fn literal(&mut self) -> Result<Literal<'t>, ParseError> {
        match self.peek() {
            Token {
                kind: TokenKind::Number(text) | TokenKind::Word(text),
                span,
            } => {
                self.advance();
                Ok(Literal { text, span })
            }
            _ => self.unexpected("a number, `true` or `false`"),
        }
    }

    /// Reads `index` or an element type.
    pub fn scalar_type(&mut self) -> Result<ScalarType, ParseError> {
        let ty = match self.peek().kind {
            TokenKind::Word(word) => ScalarType::from_name(word),
            _ => None,
        };
        match ty {
            Some(ty) => {
                self.advance();
                Ok(ty)
            }
            None => self.unexpected("a type"),
        }
    }

    /// Reads a type of scalars, vectors or rows.
    pub fn value_type(&mut self) -> Result<Type, ParseError> {
        let (count, close) = if self.eat("<") {
            (self.integer("a number of lanes")?, ">")
        } else if self.eat("[") {
            (self.integer("a number of elements")?, "]")
        } else {
            return self.scalar_type().map(Type::Scalar);
        };
        self.expect_word("x")?;
        let scalar = self.scalar_type()?;
        let ty = match (close, u32::try_from(count)) {
            (">", Ok(lanes)) => Type::Vector(scalar, lanes),
            (">", Err(_)) => return self.unexpected("fewer lanes"),
            _ => Type::Row(scalar, count),
        };
        self.expect(close)?;
        Ok(ty)
    }

    /// Reads an element type.
    pub fn element_type(&mut self) -> Result<ElementType, ParseError> {
        let element = match self.peek().kind {
            TokenKind::Word(word) => ElementType::from_name(word),
            _ => None,
        };
        match element {
            Some(element) => {
                self.advance();
                Ok(element)
            }
            None => self.unexpected("an element type"),
        }
    }

    /// Reads `open item, item, ... close`; the list may be empty.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(",") {
                return self.unexpected(format!("`,` or `{close}`"));
            }
        }
    }

    /// Reads `f32[2,3]`.
    pub fn shape(&mut self) -> Result<(ElementType, Vec<u64>), ParseError> {
        let element = self.element_type()?;
        let dims = self.list("[", "]", |c| c.integer("a size"))?;
        Ok((element, dims))
    }

    /// Reads all buffer declarations that stand here, and declares their names in `scope`.
    pub fn buffers<T>(
        &mut self,
        scope: &mut Scope<'t, T>,
        named: impl Fn(BufferId) -> T,
    ) -> Result<PrimaryMap<BufferId, Buffer>, ParseError> {
        let mut buffers: PrimaryMap<BufferId, Buffer> = PrimaryMap::new();
        let mut ids: HashMap<&str, BufferId> = HashMap::new();
        // The input that is copied may be declared further down.
        let mut copies = Vec::new();
        loop {
            let start = self.peek().span;
            let word = match self.peek().kind {
                TokenKind::Word(word @ ("input" | "output" | "temp")) => word,
                _ => break,
            };
            self.advance();
            let (name, name_span) = self.value_name()?;
            self.expect(":")?;
            let (element, dims) = self.shape()?;
            let sorted = self.eat("{");
            if sorted {
                self.expect_word("sorted")?;
                self.expect("}")?;
            }
            let id = buffers.next_key();
            let mut init = Init::Undefined;
            if word != "input" && self.eat("=") {
                if let TokenKind::Value(from) = self.peek().kind {
                    copies.push((id, from, self.advance().span));
                } else {
                    init = Init::Splat(self.scalar(element.into())?);
                }
            }
            scope.declare(name, name_span, named(id))?;
            ids.insert(name, id);
            buffers.push(Buffer {
                name: name.to_owned(),
                element,
                dims,
                role: match word {
                    "input" => Role::Input,
                    "output" => Role::Output(init),
                    _ => Role::Temp(init),
                },
                sorted,
                span: self.since(start),
            });
        }
        for (to, from, span) in copies {
            let Some(&from_id) = ids.get(from) else {
                return Err(ParseError::Unknown {
                    name: format!("%{from}"),
                    span,
                });
            };
            match &mut buffers[to].role {
                Role::Input => {}
                Role::Output(init) | Role::Temp(init) => *init = Init::Copy(from_id),
            }
        }
        Ok(buffers)
    }

    /// Reads an operation if its word is next; `operand` reads one operand.
    pub fn arith<V>(
        &mut self,
        mut operand: impl FnMut(&mut Self) -> Result<V, ParseError>,
    ) -> Result<Option<Arith<V>>, ParseError> {
        let TokenKind::Word(word) = self.peek().kind else {
            return Ok(None);
        };
        if let Some(op) = UnaryOp::from_name(word) {
            self.advance();
            return Ok(Some(Arith::Unary(op, operand(self)?)));
        }
        if let Some(op) = BinaryOp::from_name(word) {
            self.advance();
            let a = operand(self)?;
            self.expect(",")?;
            return Ok(Some(Arith::Binary(op, a, operand(self)?)));
        }
        if let Some(op) = CompareOp::from_name(word) {
            self.advance();
            let a = operand(self)?;
            self.expect(",")?;
            return Ok(Some(Arith::Compare(op, a, operand(self)?)));
        }
        Ok(match word {
            "constant" => {
                self.advance();
                let literal = self.literal()?;
                self.expect(":")?;
                Some(Arith::Constant(literal.scalar(self.scalar_type()?)?))
            }
            "select" => {
                self.advance();
                let condition = operand(self)?;
                self.expect(",")?;
                let on_true = operand(self)?;
                self.expect(",")?;
                Some(Arith::Select(condition, on_true, operand(self)?))
            }
            "convert" => {
                self.advance();
                let a = operand(self)?;
                self.expect_word("to")?;
                Some(Arith::Convert(a, self.scalar_type()?))
            }
            _ => None,
        })
    }
}

impl<'t> Cursor<'t> {
    /// Reads a computation if its word is next; `operand` reads one operand.
    pub fn compute<V>(
        &mut self,
        mut operand: impl FnMut(&mut Self) -> Result<V, ParseError>,
    ) -> Result<Option<Compute<V>>, ParseError> {
        if self.eat_word("broadcast") {
            let value = operand(self)?;
            let lanes = self.count()?;
            return Ok(Some(Compute::Broadcast { value, lanes }));
        }
        if self.eat_word("lanes") {
            let base = operand(self)?;
            self.expect_word("step")?;
            let step = self.integer("a step")?;
            let lanes = self.count()?;
            return Ok(Some(Compute::Lanes { base, step, lanes }));
        }
        Ok(self.arith(operand)?.map(Compute::Arith))
    }

    /// Reads `: 8`.
    pub(crate) fn count(&mut self) -> Result<u32, ParseError> {
        self.expect(":")?;
        self.integer("a number of lanes")
    }
}

/// A number or `true` or `false`, before its type is known.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'t> {
    text: &'t str,
    span: Span,
}

impl Literal<'_> {
    /// The value of this type that the literal spells.
    pub fn scalar(self, ty: ScalarType) -> Result<Scalar, ParseError> {
        Scalar::parse(self.text, ty).ok_or_else(|| ParseError::Literal {
            literal: self.text.to_owned(),
            ty,
            span: self.span,
        })
    }
}

/// The names visible at a place, in nested blocks. A name visible from outside cannot be defined again.
#[derive(Clone, Debug)]
pub struct Scope<'t, T> {
    visible: HashMap<&'t str, (T, Span)>,
    /// Names in the order of their definitions.
    order: Vec<&'t str>,
    /// Number of names visible when each open block began.
    blocks: Vec<usize>,
}

impl<'t, T> Scope<'t, T> {
    /// Nothing visible, no block open.
    pub fn new() -> Self {
        Scope {
            visible: HashMap::new(),
            order: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Opens a block.
    pub fn enter(&mut self) {
        self.blocks.push(self.order.len());
    }

    /// Closes the innermost block: its names are gone.
    pub fn leave(&mut self) {
        let length = self.blocks.pop().unwrap_or(0);
        for name in self.order.drain(length.min(self.order.len())..) {
            self.visible.remove(name);
        }
    }

    /// Gives a name, without its sigil, a meaning in the innermost block.
    pub fn declare(&mut self, name: &'t str, span: Span, meaning: T) -> Result<(), ParseError> {
        if let Some((_, first)) = self.visible.get(name) {
            return Err(ParseError::Duplicate {
                name: format!("%{name}"),
                span,
                first: *first,
            });
        }
        self.visible.insert(name, (meaning, span));
        self.order.push(name);
        Ok(())
    }

    /// The meaning of a name, without its sigil.
    pub fn find(&self, name: &str, span: Span) -> Result<&T, ParseError> {
        match self.visible.get(name) {
            Some((meaning, _)) => Ok(meaning),
            None => Err(ParseError::Unknown {
                name: format!("%{name}"),
                span,
            }),
        }
    }
}

impl<'t, T: Copy> Scope<'t, T> {
    /// Reads a name that stands for a thing of one kind.
    pub fn read<V: Meaning<T>>(&self, cursor: &mut Cursor<'_>) -> Result<V, ParseError> {
        let TokenKind::Value(name) = cursor.peek().kind else {
            return cursor.unexpected(V::WHAT);
        };
        match V::of(*self.find(name, cursor.peek().span)?) {
            Some(meaning) => {
                cursor.advance();
                Ok(meaning)
            }
            None => cursor.unexpected(V::WHAT),
        }
    }
}

/// A kind of thing that a `%name` can stand for; `N` is whatever it may stand for in one IR.
pub trait Meaning<N>: Copy {
    /// What an error calls it.
    const WHAT: &'static str;

    /// The thing, if the name stands for one of this kind.
    fn of(name: N) -> Option<Self>;
}

/// What a `%name` can stand for in one IR.
macro_rules! names {
    ($($variant:ident($type:ty) $what:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Name { $($variant($type),)* }

        $(
            impl $crate::core::text::Meaning<Name> for $type {
                const WHAT: &'static str = $what;

                fn of(name: Name) -> Option<Self> {
                    if let Name::$variant(meaning) = name { Some(meaning) } else { None }
                }
            }

            impl From<$type> for Name {
                fn from(meaning: $type) -> Name {
                    Name::$variant(meaning)
                }
            }
        )*
    };
}
pub(crate) use names;

impl<T> Default for Scope<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}
