//! Text to region.

use std::str::FromStr;

use cranelift_entity::PrimaryMap;

use super::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};
use crate::core::text::{Cursor, Scope, TokenKind, names};
use crate::core::{Buffer, BufferId, CombineOp, Ir as _, ParseError, ScalarType, Span, ValueData};

names! {
    Buffer(BufferId) "a buffer",
    Value(Value) "a value",
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    scope: Scope<'t, Name>,
    buffers: PrimaryMap<BufferId, Buffer>,
}

impl FromStr for Region {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Region, ParseError> {
        let mut cursor = Cursor::new(text)?;
        let mut scope = Scope::new();
        cursor.expect_word(Region::KEYWORD)?;
        let (name, _) = cursor.symbol()?;
        cursor.expect("{")?;
        let buffers = cursor.buffers(&mut scope, Name::Buffer)?;
        let mut parser = Parser {
            cursor,
            scope,
            buffers,
        };
        let mut nests = Vec::new();
        while !parser.cursor.eat("}") {
            nests.push(parser.nest()?);
        }
        parser.cursor.expect_end()?;
        Ok(Region {
            name: name.to_owned(),
            buffers: parser.buffers,
            nests,
        })
    }
}

impl<'t> Parser<'t> {
    fn nest(&mut self) -> Result<Nest, ParseError> {
        if !self.cursor.eat_word("nest") {
            return self
                .cursor
                .unexpected("`nest`, a buffer declaration or `}`");
        }
        let mut nest = Nest::default();
        self.scope.enter();
        self.cursor.expect("(")?;
        while !self.cursor.eat(")") {
            if !nest.body.is_empty() {
                self.cursor.expect(",")?;
            }
            let (name, span) = self.cursor.value_name()?;
            self.cursor.expect("=")?;
            let size = self.cursor.integer("the size of the axis")?;
            let axis = self.define(&mut nest, (name, span), span, ScalarType::Index)?;
            nest.body.push(Statement::Axis(axis, Extent::Dense(size)));
        }
        self.cursor.expect("{")?;
        while !self.cursor.eat("}") {
            let statement = self.statement(&mut nest)?;
            nest.body.push(statement);
        }
        self.scope.leave();
        Ok(nest)
    }

    fn statement(&mut self, nest: &mut Nest) -> Result<Statement, ParseError> {
        let start = self.cursor.peek().span;
        match self.cursor.peek().kind {
            TokenKind::Word("axis") => {
                self.cursor.advance();
                let name = self.cursor.value_name()?;
                self.cursor.expect("=")?;
                let extent = match self.cursor.peek().kind {
                    TokenKind::Value(_) => {
                        let begin = self.value()?;
                        self.cursor.expect("..")?;
                        Extent::Range(begin, self.value()?)
                    }
                    _ => Extent::Dense(self.cursor.integer("a size or `%begin..%end`")?),
                };
                let span = self.cursor.since(start);
                let axis = self.define(nest, name, span, ScalarType::Index)?;
                Ok(Statement::Axis(axis, extent))
            }
            TokenKind::Word("combine") => {
                self.cursor.advance();
                let op = match self.cursor.peek().kind {
                    TokenKind::Word(word) => CombineOp::from_name(word),
                    _ => None,
                };
                let Some(op) = op else {
                    return self.cursor.unexpected("a combiner");
                };
                self.cursor.advance();
                let buffer = self.buffer()?;
                let indices = self.indices()?;
                self.cursor.expect(",")?;
                let value = self.value()?;
                Ok(Statement::Combine {
                    op,
                    buffer,
                    indices,
                    value,
                    span: self.cursor.since(start),
                })
            }
            TokenKind::Value(_) => {
                let name = self.cursor.value_name()?;
                self.cursor.expect("=")?;
                let (expr, ty) = self.expr(nest)?;
                let span = self.cursor.since(start);
                let value = self.define(nest, name, span, ty)?;
                Ok(Statement::Let(value, expr))
            }
            _ => self.cursor.unexpected("a statement or `}`"),
        }
    }

    /// An expression and its type; where the operands' types are wrong, the verifier will say so.
    fn expr(&mut self, nest: &Nest) -> Result<(Expr, ScalarType), ParseError> {
        if self.cursor.eat_word("index") {
            let value = self.value()?;
            self.cursor.expect("{")?;
            let mut wrap = None;
            if self.cursor.eat_word("wrap") {
                wrap = Some(self.cursor.integer("a size")?);
                self.cursor.expect(",")?;
            }
            let mode = match self.cursor.peek().kind {
                TokenKind::Word("clamp") => IndexMode::Clamp,
                TokenKind::Word("fill") => IndexMode::Fill,
                TokenKind::Word("drop") => IndexMode::Drop,
                TokenKind::Word("promise") => IndexMode::Promise,
                _ => {
                    return self
                        .cursor
                        .unexpected("`clamp`, `fill`, `drop` or `promise`");
                }
            };
            self.cursor.advance();
            let lo = self.cursor.integer("the lower bound")?;
            self.cursor.expect("..")?;
            let hi = self.cursor.integer("the upper bound")?;
            self.cursor.expect("}")?;
            let expr = Expr::Index {
                value,
                wrap,
                mode,
                lo,
                hi,
            };
            return Ok((expr, ScalarType::Index));
        }
        if self.cursor.eat_word("read") {
            let buffer = self.buffer()?;
            let indices = self.indices()?;
            let ty = match self.buffers.get(buffer) {
                Some(declared) => ScalarType::Element(declared.element),
                None => ScalarType::Index,
            };
            let mut fill = None;
            if self.cursor.eat("{") {
                self.cursor.expect_word("fill")?;
                fill = Some(self.cursor.scalar(ty)?);
                self.cursor.expect("}")?;
            }
            let expr = Expr::Read {
                buffer,
                indices,
                fill,
            };
            return Ok((expr, ty));
        }
        let scope = &self.scope;
        let Some(arith) = self.cursor.arith(|cursor| scope.read(cursor))? else {
            return self
                .cursor
                .unexpected("`read`, `index` or an arithmetic operation");
        };
        let ty = arith.parsed_type(|v| nest.values.get(*v).map(|data| data.ty));
        Ok((Expr::Arith(arith), ty))
    }

    fn define(
        &mut self,
        nest: &mut Nest,
        (name, name_span): (&'t str, Span),
        span: Span,
        ty: ScalarType,
    ) -> Result<Value, ParseError> {
        let value = nest.values.next_key();
        self.scope.declare(name, name_span, Name::Value(value))?;
        Ok(nest.values.push(ValueData {
            name: name.to_owned(),
            ty,
            span,
        }))
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        self.scope.read(&mut self.cursor)
    }

    fn indices(&mut self) -> Result<Vec<Value>, ParseError> {
        let scope = &self.scope;
        self.cursor.list("[", "]", |cursor| scope.read(cursor))
    }

    fn buffer(&mut self) -> Result<BufferId, ParseError> {
        self.scope.read(&mut self.cursor)
    }
}
