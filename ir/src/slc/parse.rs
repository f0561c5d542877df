//! Text to SLC; the grammar is in the [module documentation](super).

use std::str::FromStr;

use cranelift_entity::PrimaryMap;

use super::{
    Body, Bound, Callback, Expr, Func, Loop, MAX_DEPTH, Statement, Step, Stream, StreamDef,
    StreamExpr, Value,
};
use crate::core::text::{Cursor, Scope, TokenKind};
use crate::core::{Arith, Buffer, BufferId, ParseError, ScalarType, Span, ValueData};

impl FromStr for Func {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Func, ParseError> {
        let mut cursor = Cursor::new(text)?;
        cursor.expect_word("slc.func")?;
        let (name, _) = cursor.symbol()?;
        cursor.expect("{")?;
        let mut scope = Scope::new();
        let buffers = cursor.buffers(&mut scope, Name::Buffer)?;
        let mut parser = Parser {
            cursor,
            scope,
            buffers,
            streams: PrimaryMap::new(),
        };
        let body = parser.body(0)?;
        parser.cursor.expect_end()?;
        Ok(Func {
            name: name.to_owned(),
            buffers: parser.buffers,
            streams: parser.streams,
            body,
        })
    }
}

/// What a `%name` stands for.
#[derive(Clone, Copy, Debug)]
enum Name {
    Buffer(BufferId),
    Stream(Stream),
    Value(Value),
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    scope: Scope<'t, Name>,
    buffers: PrimaryMap<BufferId, Buffer>,
    streams: PrimaryMap<Stream, ValueData>,
}

impl<'t> Parser<'t> {
    /// `body "}"`, inside `depth` loops.
    fn body(&mut self, depth: usize) -> Result<Body, ParseError> {
        let mut body = Body::default();
        while let TokenKind::Value(_) = self.cursor.peek().kind {
            body.streams.push(self.stream_def()?);
        }
        while !self.cursor.eat("}") {
            let start = self.cursor.peek().span;
            body.steps.push(if self.cursor.eat_word("slc.for") {
                Step::For(self.traversal(start, depth)?)
            } else if self.cursor.eat_word("slc.callback") {
                Step::Callback(self.callback(start, depth)?)
            } else if body.steps.is_empty() {
                return self
                    .cursor
                    .unexpected("a stream, `slc.for`, `slc.callback` or `}`");
            } else {
                return self.cursor.unexpected(
                    "`slc.for`, `slc.callback` or `}` (streams stand before all steps)",
                );
            });
        }
        Ok(body)
    }

    fn stream_def(&mut self) -> Result<StreamDef, ParseError> {
        let (name, start) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let (ty, expr) = if self.cursor.eat_word("slc.mem_stream") {
            let (buffer, indices) = self.access(stream)?;
            let ty = self.element(buffer);
            (ty, StreamExpr::Mem { buffer, indices })
        } else if self.cursor.eat_word("slc.alu_stream") {
            let Some(arith) = self.arith(stream)? else {
                return self.cursor.unexpected("an operation");
            };
            (result_type(&arith, &self.streams), StreamExpr::Alu(arith))
        } else {
            return self
                .cursor
                .unexpected("`slc.mem_stream` or `slc.alu_stream`");
        };
        let stream = self.define_stream(name, start, ty)?;
        Ok(StreamDef { stream, expr })
    }

    fn define_stream(
        &mut self,
        name: &'t str,
        start: Span,
        ty: ScalarType,
    ) -> Result<Stream, ParseError> {
        let stream = self.streams.push(ValueData {
            name: name.to_owned(),
            ty,
            span: self.cursor.since(start),
        });
        self.scope.declare(name, start, Name::Stream(stream))?;
        Ok(stream)
    }

    /// A loop, behind `slc.for` and inside `depth` others.
    fn traversal(&mut self, start: Span, depth: usize) -> Result<Loop, ParseError> {
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let lower = self.bound()?;
        self.cursor.expect_word("to")?;
        let upper = self.bound()?;
        self.cursor.expect_word("step")?;
        let step = self.cursor.integer("a step")?;
        let span = self.cursor.since(start);
        self.nested(depth)?;
        self.cursor.expect("{")?;
        self.scope.enter();
        let position = self.streams.push(ValueData {
            name: name.to_owned(),
            ty: ScalarType::Index,
            span: name_span,
        });
        self.scope
            .declare(name, name_span, Name::Stream(position))?;
        let body = self.body(depth + 1)?;
        self.scope.leave();
        Ok(Loop {
            induction: position,
            lower,
            upper,
            step,
            body,
            span,
        })
    }

    fn bound(&mut self) -> Result<Bound, ParseError> {
        if let TokenKind::Value(_) = self.cursor.peek().kind {
            let (name, span) = self.cursor.value_name()?;
            return stream(&self.scope, name, span).map(Bound::Stream);
        }
        self.cursor
            .integer("an integer or a stream")
            .map(Bound::Constant)
    }

    /// A callback, behind `slc.callback` and inside `depth` loops.
    fn callback(&mut self, start: Span, depth: usize) -> Result<Callback, ParseError> {
        let mut callback = Callback {
            span: self.cursor.since(start),
            ..Callback::default()
        };
        callback.body = self.block(&mut callback.values, depth)?;
        Ok(callback)
    }

    /// `"{" statement* "}"`, inside `depth` loops and guards.
    fn block(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData>,
        depth: usize,
    ) -> Result<Vec<Statement>, ParseError> {
        self.cursor.expect("{")?;
        self.scope.enter();
        let mut statements = Vec::new();
        while !self.cursor.eat("}") {
            statements.push(self.statement(values, depth)?);
        }
        self.scope.leave();
        Ok(statements)
    }

    fn statement(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData>,
        depth: usize,
    ) -> Result<Statement, ParseError> {
        let start = self.cursor.peek().span;
        if self.cursor.eat_word("store") {
            let (name, span) = self.cursor.value_name()?;
            let stored = value(&self.scope, name, span)?;
            self.cursor.expect(",")?;
            let (buffer, indices) = self.access(value)?;
            return Ok(Statement::Store {
                buffer,
                indices,
                value: stored,
                span: self.cursor.since(start),
            });
        }
        if self.cursor.eat_word("scf.if") {
            let (name, span) = self.cursor.value_name()?;
            let condition = value(&self.scope, name, span)?;
            let span = self.cursor.since(start);
            self.nested(depth)?;
            let then = self.block(values, depth + 1)?;
            let otherwise = if self.cursor.eat_word("else") {
                self.block(values, depth + 1)?
            } else {
                Vec::new()
            };
            return Ok(Statement::If {
                condition,
                then,
                otherwise,
                span,
            });
        }
        let TokenKind::Value(name) = self.cursor.peek().kind else {
            return self.cursor.unexpected("a value, `store`, `scf.if` or `}`");
        };
        self.cursor.advance();
        self.cursor.expect("=")?;
        let (ty, expr) = if self.cursor.eat_word("slc.from_stream") {
            let (name, span) = self.cursor.value_name()?;
            let stream = stream(&self.scope, name, span)?;
            (self.streams[stream].ty, Expr::FromStream(stream))
        } else if self.cursor.eat_word("load") {
            let (buffer, indices) = self.access(value)?;
            (self.element(buffer), Expr::Load { buffer, indices })
        } else if let Some(arith) = self.arith(value)? {
            (result_type(&arith, values), Expr::Arith(arith))
        } else {
            return self
                .cursor
                .unexpected("`slc.from_stream`, `load` or an operation");
        };
        let defined = values.push(ValueData {
            name: name.to_owned(),
            ty,
            span: self.cursor.since(start),
        });
        self.scope.declare(name, start, Name::Value(defined))?;
        Ok(Statement::Let(defined, expr))
    }

    /// `%buffer "[" %index,* "]"`.
    fn access<V>(&mut self, find: Find<V>) -> Result<(BufferId, Vec<V>), ParseError> {
        let (name, span) = self.cursor.value_name()?;
        let buffer = match self.scope.find(name, span)? {
            Name::Buffer(buffer) => *buffer,
            Name::Stream(_) | Name::Value(_) => return mismatch("a buffer", name, span),
        };
        let Parser { cursor, scope, .. } = self;
        let indices = cursor.list("[", "]", |cursor| {
            let (name, span) = cursor.value_name()?;
            find(scope, name, span)
        })?;
        Ok((buffer, indices))
    }

    /// An operation, if one is next.
    fn arith<V>(&mut self, find: Find<V>) -> Result<Option<Arith<V>>, ParseError> {
        let Parser { cursor, scope, .. } = self;
        cursor.arith(|cursor| {
            let (name, span) = cursor.value_name()?;
            find(scope, name, span)
        })
    }

    /// What stands here is inside `depth` loops and guards.
    fn nested(&self, depth: usize) -> Result<(), ParseError> {
        if depth < MAX_DEPTH {
            Ok(())
        } else {
            self.cursor.unexpected(format!(
                "at most {MAX_DEPTH} loops and guards around one another"
            ))
        }
    }

    fn element(&self, buffer: BufferId) -> ScalarType {
        self.buffers[buffer].element.into()
    }
}

/// Finds what a name stands for where one kind of thing is expected.
type Find<V> = fn(&Scope<'_, Name>, &str, Span) -> Result<V, ParseError>;

fn stream(scope: &Scope<'_, Name>, name: &str, span: Span) -> Result<Stream, ParseError> {
    match scope.find(name, span)? {
        Name::Stream(stream) => Ok(*stream),
        Name::Buffer(_) | Name::Value(_) => mismatch("a stream", name, span),
    }
}

fn value(scope: &Scope<'_, Name>, name: &str, span: Span) -> Result<Value, ParseError> {
    match scope.find(name, span)? {
        Name::Value(value) => Ok(*value),
        Name::Stream(_) => mismatch(
            "a value (`slc.from_stream` makes one from a stream)",
            name,
            span,
        ),
        Name::Buffer(_) => mismatch("a value", name, span),
    }
}

fn mismatch<T>(expected: &str, name: &str, span: Span) -> Result<T, ParseError> {
    Err(ParseError::Unexpected {
        expected: expected.to_owned(),
        found: format!("`%{name}`"),
        span,
    })
}

/// The type of the result; of an operation on wrong operands, which the verifier reports, any.
fn result_type<E: cranelift_entity::EntityRef>(
    arith: &Arith<E>,
    table: &PrimaryMap<E, ValueData>,
) -> ScalarType {
    let typed = arith.map(|&e| table[e].ty);
    let first = typed.operands().next().copied();
    typed
        .result_type()
        .unwrap_or(first.unwrap_or(ScalarType::Index))
}
