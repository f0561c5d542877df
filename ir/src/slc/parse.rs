//! Text to SLC; the grammar is in the [module documentation](super).

use std::str::FromStr;

use cranelift_entity::PrimaryMap;

use super::print::take_word;
use super::{Body, Callback, Func, Loop, MAX_DEPTH, Step, Stream, StreamDef, Value};
use crate::core::access::{parse_bound, parse_lanes};
use crate::core::code::Parser as CodeParser;
use crate::core::stream::{Dialect, parse_effect, parse_stream};
use crate::core::text::{Cursor, Scope, TokenKind, names};
use crate::core::{Buffer, BufferId, Lanes, LoopHints, ParseError, Span, Type, ValueData};

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

names! {
    Buffer(BufferId) "a buffer",
    Stream(Stream) "a stream",
    Value(Value) "a value (`slc.from_stream` makes one from a stream)",
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    scope: Scope<'t, Name>,
    buffers: PrimaryMap<BufferId, Buffer>,
    streams: PrimaryMap<Stream, ValueData<Type>>,
}

impl<'t> Parser<'t> {
    /// `body "}"`, inside `depth` loops.
    fn body(&mut self, depth: usize) -> Result<Body, ParseError> {
        let mut body = Body::default();
        while let TokenKind::Value(_) = self.cursor.peek().kind {
            body.streams.push(self.stream_def()?);
        }
        while let Some(effect) = parse_effect(&mut self.cursor, Dialect::Slc, &self.scope)? {
            body.effects.push(effect);
        }
        while !self.cursor.eat("}") {
            let start = self.cursor.peek().span;
            body.steps.push(if self.cursor.eat_word("slc.for") {
                Step::For(self.traversal(start, depth, false)?)
            } else if self.cursor.eat_word("slcv.for") {
                Step::For(self.traversal(start, depth, true)?)
            } else if self.cursor.eat_word("slc.callback") {
                Step::Callback(self.callback(start, depth)?)
            } else if body.steps.is_empty() && body.effects.is_empty() {
                return self
                    .cursor
                    .unexpected("a stream, an effect, `slc.for`, `slc.callback` or `}`");
            } else {
                return self.cursor.unexpected(
                    "`slc.for`, `slc.callback` or `}` (streams stand before all effects, and those before all steps)",
                );
            });
        }
        Ok(body)
    }

    fn stream_def(&mut self) -> Result<StreamDef, ParseError> {
        let (name, start) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let streams = &self.streams;
        let parsed = parse_stream(
            &mut self.cursor,
            Dialect::Slc,
            &self.scope,
            &self.buffers,
            |stream: Stream| streams.get(stream).map_or(Type::INDEX, |data| data.ty),
        )?;
        let Some((expr, ty)) = parsed else {
            return self
                .cursor
                .unexpected(format!("one of {}", Dialect::Slc.streams()));
        };
        let stream = self.define(name, start, self.cursor.since(start), ty)?;
        Ok(StreamDef { stream, expr })
    }

    fn define(
        &mut self,
        name: &'t str,
        name_span: Span,
        span: Span,
        ty: Type,
    ) -> Result<Stream, ParseError> {
        let name_owned = name.to_owned();
        let stream = self.streams.push(ValueData {
            name: name_owned,
            ty,
            span,
        });
        self.scope.declare(name, name_span, Name::Stream(stream))?;
        Ok(stream)
    }

    /// A loop, behind its word and inside `depth` others.
    fn traversal(&mut self, start: Span, depth: usize, vector: bool) -> Result<Loop, ParseError> {
        let count = parse_lanes(&mut self.cursor)?;
        if vector != count.is_some() {
            let what = if vector {
                "`<`"
            } else {
                "no lanes: those are `slcv.for`"
            };
            return self.cursor.unexpected(what);
        }
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let lower = parse_bound(&mut self.cursor, &self.scope)?;
        self.cursor.expect_word("to")?;
        let upper = parse_bound(&mut self.cursor, &self.scope)?;
        self.cursor.expect_word("step")?;
        let step = self.cursor.integer("a step")?;
        self.scope.enter();
        let induction = self.define(name, name_span, name_span, Type::INDEX)?;
        let mut lanes = None;
        if let Some(count) = count {
            let mut mask = None;
            if self.cursor.eat_word("mask") {
                let (name, span) = self.cursor.value_name()?;
                let ty = Type::Vector(Type::BOOL.scalar(), count);
                mask = Some(self.define(name, span, span, ty)?);
            }
            lanes = Some(Lanes { count, mask });
        }
        let hints = LoopHints::parse(&mut self.cursor)?;
        let span = self.cursor.since(start);
        if depth >= MAX_DEPTH {
            return self
                .cursor
                .unexpected(format!("at most {MAX_DEPTH} loops around one another"));
        }
        self.cursor.expect("{")?;
        let body = self.body(depth + 1)?;
        self.scope.leave();
        Ok(Loop {
            induction,
            lower,
            upper,
            step,
            lanes,
            hints,
            body,
            span,
        })
    }

    /// A callback, behind `slc.callback` and inside `depth` loops.
    fn callback(&mut self, start: Span, depth: usize) -> Result<Callback, ParseError> {
        let span = self.cursor.since(start);
        let streams = &self.streams;
        let take = |cursor: &mut Cursor<'t>, scope: &Scope<'t, Name>| {
            let TokenKind::Word(word @ ("slc.from_stream" | "slcv.from_buffer")) =
                cursor.peek().kind
            else {
                return Ok(None);
            };
            cursor.advance();
            let place = cursor.clone();
            let stream: Stream = scope.read(cursor)?;
            let ty = streams.get(stream).map_or(Type::INDEX, |data| data.ty);
            if take_word(Some(ty)) != word {
                return place.unexpected(match ty {
                    Type::Row(_, _) => "a stream, not a row: `slcv.from_buffer` takes that",
                    Type::Scalar(_) | Type::Vector(_, _) => {
                        "a row (`slc.from_stream` takes from a stream)"
                    }
                });
            }
            Ok(Some((stream, ty)))
        };
        let mut parser = CodeParser {
            cursor: &mut self.cursor,
            scope: &mut self.scope,
            buffers: &self.buffers,
            word: "slc.from_stream",
            take: &take,
        };
        let code = parser.code(depth)?;
        Ok(Callback { code, span })
    }
}
