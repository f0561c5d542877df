//! Text to SCF.

use std::str::FromStr;

use super::{Bound, Builder, Expr, Func, Value, ValueData};
use crate::core::text::{Cursor, Scope, TokenKind, names};
use crate::core::{BufferId, Ir as _, ParseError, ScalarType};

names! {
    Buffer(BufferId) "a buffer",
    Value(Value) "a value",
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    scope: Scope<'t, Name>,
    builder: Builder,
}

impl FromStr for Func {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Func, ParseError> {
        let mut cursor = Cursor::new(text)?;
        let mut scope = Scope::new();
        cursor.expect_word(Func::KEYWORD)?;
        let (name, _) = cursor.symbol()?;
        cursor.expect("{")?;
        let buffers = cursor.buffers(&mut scope, Name::Buffer)?;
        let mut parser = Parser {
            cursor,
            scope,
            builder: Builder::new(name, buffers),
        };
        // The blocks are open in the builder, so that nested text takes no stack.
        while parser.statement()? {}
        parser.cursor.expect_end()?;
        Ok(parser.builder.finish())
    }
}

impl Parser<'_> {
    /// A statement, the head of one with blocks, or the end of a block; false at the end of the function.
    fn statement(&mut self) -> Result<bool, ParseError> {
        let start = self.cursor.peek().span;
        match self.cursor.peek().kind {
            TokenKind::Punctuation("}") => {
                self.cursor.advance();
                self.scope.leave();
                if matches!(self.cursor.peek().kind, TokenKind::Word("else")) {
                    if !self.builder.open_else() {
                        return self.cursor.unexpected("a statement or `}`");
                    }
                    self.cursor.advance();
                    self.cursor.expect("{")?;
                    self.scope.enter();
                    return Ok(true);
                }
                return Ok(self.builder.close());
            }
            TokenKind::Word("store") => {
                self.cursor.advance();
                let value = self.value()?;
                self.cursor.expect(",")?;
                let buffer = self.buffer()?;
                let indices = self.indices()?;
                let span = self.cursor.since(start);
                self.builder.store(value, buffer, indices, span);
            }
            TokenKind::Word("scf.for") => {
                self.cursor.advance();
                let (name, name_span) = self.cursor.value_name()?;
                self.cursor.expect("=")?;
                let begin = self.bound()?;
                self.cursor.expect_word("to")?;
                let end = self.bound()?;
                self.cursor.expect_word("step")?;
                let step = self.cursor.integer("the step")?;
                let span = self.cursor.since(start);
                self.cursor.expect("{")?;
                let position = self.builder.open_for(name, (begin, end, step), span);
                self.scope.enter();
                self.scope.declare(name, name_span, Name::Value(position))?;
            }
            TokenKind::Word("scf.if") => {
                self.cursor.advance();
                let condition = self.value()?;
                let span = self.cursor.since(start);
                self.cursor.expect("{")?;
                self.builder.open_if(condition, span);
                self.scope.enter();
            }
            TokenKind::Value(name) => {
                let name_span = self.cursor.advance().span;
                self.cursor.expect("=")?;
                let (expr, ty) = self.expr()?;
                let data = ValueData {
                    name: name.to_owned(),
                    ty,
                    span: self.cursor.since(start),
                };
                let value = self.builder.define(data, expr);
                self.scope.declare(name, name_span, Name::Value(value))?;
            }
            _ => return self.cursor.unexpected("a statement or `}`"),
        }
        Ok(true)
    }

    /// An expression and its type; where the operands' types are wrong, the verifier will say so.
    fn expr(&mut self) -> Result<(Expr, ScalarType), ParseError> {
        if self.cursor.eat_word("load") {
            let buffer = self.buffer()?;
            let indices = self.indices()?;
            let declared = self.builder.func().buffers.get(buffer);
            let ty = declared.map_or(ScalarType::Index, |b| b.element.into());
            return Ok((Expr::Load { buffer, indices }, ty));
        }
        let scope = &self.scope;
        let Some(arith) = self.cursor.arith(|cursor| scope.read(cursor))? else {
            return self.cursor.unexpected("`load` or an arithmetic operation");
        };
        let values = &self.builder.func().values;
        let ty = arith.parsed_type(|v| values.get(*v).map(|data| data.ty));
        Ok((Expr::Arith(arith), ty))
    }

    fn bound(&mut self) -> Result<Bound, ParseError> {
        match self.cursor.peek().kind {
            TokenKind::Value(_) => self.value().map(Bound::Value),
            _ => self
                .cursor
                .integer("a bound: an integer or a `%name`")
                .map(Bound::Constant),
        }
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
