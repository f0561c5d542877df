//! Text to DLC.
//!
//! ```text
//! program  = "dlc.program" @NAME "{" buffer* access execute "}"
//! access   = "access" "{" (unit | definition | effects | callback)* "}"
//! unit     = %tu "=" "new_tu" ("dense" | "range") lanes? bound "to" bound "step" INT hints ("in" %tu)?
//! bound    = INT | %stream
//! definition = %s "=" ("get_ind_var" %tu | "get_mask" %tu | stream "in" %tu)
//! effects  = effect "in" %tu
//! callback = "register_callback" %tu EVENT @case "{" ("register_operand" %stream)* "}"
//! EVENT    = "begin" | "iterate" | "end"
//! execute  = "execute" "{" "compute_loop" "{" case* "}" "}"
//! case     = "case" @NAME block
//! take     = "pop_operand" ":" type
//! ```
//!
//! `buffer` is that of all IRs ([`crate::core::text`]), `stream`, `effect` and `hints` are those of [`crate::core::stream`], `block`
//! is that of [`crate::core::code`]. A unit is `dense` if both bounds are numbers, else `range`.

use std::str::FromStr;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use super::{
    Access, Bound, Callback, Case, CaseId, Event, Execute, Operand, Pop, Program, Stream,
    StreamData, StreamExpr, Tu, TuData, Value,
};
use crate::core::access::parse_lanes;
use crate::core::code::Parser as CodeParser;
use crate::core::stream::{Dialect, parse_effect, parse_stream};
use crate::core::text::{Cursor, Scope, TokenKind, names};
use crate::core::{Buffer, BufferId, LoopHints, ParseError, Span, Type};

// Units, streams, buffers and values share one space of names.
names! {
    Buffer(BufferId) "the name of a buffer",
    Unit(Tu) "the name of a traversal unit",
    Stream(Stream) "the name of a stream",
    Value(Value) "the name of a value",
}

impl FromStr for Program {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Program, ParseError> {
        let mut cursor = Cursor::new(text)?;
        cursor.expect_word("dlc.program")?;
        let (name, _) = cursor.symbol()?;
        cursor.expect("{")?;
        let mut scope = Scope::new();
        let buffers = cursor.buffers(&mut scope, Name::Buffer)?;
        let mut parser = Parser {
            cursor,
            scope,
            buffers,
        };
        parser.scope.enter();
        let (mut access, cases) = parser.access()?;
        parser.scope.leave();
        let (execute, by_name) = parser.execute()?;
        parser.cursor.expect("}")?;
        parser.cursor.expect_end()?;
        let callbacks = access.body.iter_mut().filter_map(|op| match op {
            super::AccessOp::RegisterCallback(callback) => Some(callback),
            super::AccessOp::NewTu(_)
            | super::AccessOp::Stream(_)
            | super::AccessOp::Effect(_, _) => None,
        });
        for (callback, (name, span)) in callbacks.zip(cases) {
            let Some(&(case, _)) = by_name.get(name) else {
                let name = format!("@{name}");
                return Err(ParseError::Unknown { name, span });
            };
            callback.case = case;
        }
        Ok(Program {
            name: name.to_owned(),
            buffers: parser.buffers,
            access,
            execute,
        })
    }
}

/// The cases by name, and where they are.
type Cases<'t> = HashMap<&'t str, (CaseId, Span)>;

/// A use of `@name`.
type Symbol<'t> = (&'t str, Span);

struct Parser<'t> {
    cursor: Cursor<'t>,
    scope: Scope<'t, Name>,
    buffers: PrimaryMap<BufferId, Buffer>,
}

impl<'t> Parser<'t> {
    /// `access`, and for each callback the name of its case, which is defined further down.
    fn access(&mut self) -> Result<(Access, Vec<Symbol<'t>>), ParseError> {
        let mut access = Access::default();
        let mut cases = Vec::new();
        self.cursor.expect_word("access")?;
        self.cursor.expect("{")?;
        while !self.cursor.eat("}") {
            if let TokenKind::Value(_) = self.cursor.peek().kind {
                self.definition(&mut access)?;
            } else if self.cursor.peek().kind == TokenKind::Word("register_callback") {
                cases.push(self.callback(&mut access)?);
            } else if let Some(effect) = parse_effect(&mut self.cursor, Dialect::Dlc, &self.scope)?
            {
                self.cursor.expect_word("in")?;
                let unit = self.scope.read(&mut self.cursor)?;
                access.effect(unit, effect);
            } else {
                return self
                    .cursor
                    .unexpected("a `%name`, an effect, `register_callback` or `}`");
            }
        }
        Ok((access, cases))
    }

    /// `unit | definition`.
    fn definition(&mut self, access: &mut Access) -> Result<(), ParseError> {
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        if self.cursor.eat_word("new_tu") {
            let tu = self.unit(access, name, name_span)?;
            return self.scope.declare(name, name_span, Name::Unit(tu));
        }
        let (ty, expr, unit) = if self.cursor.eat_word("get_ind_var") {
            let unit = self.scope.read(&mut self.cursor)?;
            (Type::INDEX, StreamExpr::InductionVariable, unit)
        } else if self.cursor.eat_word("get_mask") {
            let unit: Tu = self.scope.read(&mut self.cursor)?;
            let lanes = access.units.get(unit).and_then(|data| data.lanes);
            let ty = Type::of(Type::BOOL.scalar(), lanes);
            (ty, StreamExpr::Mask, unit)
        } else {
            let ty = |stream: Stream| access.streams.get(stream).map_or(Type::INDEX, |s| s.ty);
            let buffers = &self.buffers;
            let parsed = parse_stream(&mut self.cursor, Dialect::Dlc, &self.scope, buffers, ty)?;
            let Some((expr, ty)) = parsed else {
                return self.cursor.unexpected(format!(
                    "one of `new_tu`, `get_ind_var`, `get_mask`, {}",
                    Dialect::Dlc.streams()
                ));
            };
            self.cursor.expect_word("in")?;
            let unit = self.scope.read(&mut self.cursor)?;
            (ty, StreamExpr::Made(expr), unit)
        };
        let stream = access.stream(StreamData {
            name: name.to_owned(),
            ty,
            unit,
            expr,
            span: self.cursor.since(name_span),
        });
        self.scope.declare(name, name_span, Name::Stream(stream))
    }

    /// `unit`, behind `new_tu`.
    fn unit(&mut self, access: &mut Access, name: &str, start: Span) -> Result<Tu, ParseError> {
        let range = self.cursor.eat_word("range");
        if !range && !self.cursor.eat_word("dense") {
            return self.cursor.unexpected("`dense` or `range`");
        }
        let lanes = parse_lanes(&mut self.cursor)?;
        let begin = self.bound(range)?;
        self.cursor.expect_word("to")?;
        // One bound of a range may be a number, both may not.
        let number = match begin {
            Bound::Constant(_) => range,
            Bound::Value(_) => false,
        };
        if number && !matches!(self.cursor.peek().kind, TokenKind::Value(_)) {
            return self
                .cursor
                .unexpected("a `%name`: a range between numbers is `dense`");
        }
        let end = self.bound(range)?;
        self.cursor.expect_word("step")?;
        let step = self.cursor.integer("a step")?;
        let hints = LoopHints::parse(&mut self.cursor)?;
        let parent = if self.cursor.eat_word("in") {
            Some(self.scope.read(&mut self.cursor)?)
        } else {
            None
        };
        Ok(access.new_tu(TuData {
            name: name.to_owned(),
            parent,
            begin,
            end,
            step,
            lanes,
            hints,
            span: self.cursor.since(start),
        }))
    }

    /// `bound`; a stream only if `range`.
    fn bound(&mut self, range: bool) -> Result<Bound, ParseError> {
        match self.cursor.peek().kind {
            TokenKind::Value(_) if range => self.scope.read(&mut self.cursor).map(Bound::Value),
            _ if range => self
                .cursor
                .integer("a number or a `%name`")
                .map(Bound::Constant),
            _ => self
                .cursor
                .integer("a number: bounds of `dense` are constant")
                .map(Bound::Constant),
        }
    }

    /// `callback`; its case is filled in when all cases are known.
    fn callback(&mut self, access: &mut Access) -> Result<Symbol<'t>, ParseError> {
        let start = self.cursor.expect_word("register_callback")?;
        let unit = self.scope.read(&mut self.cursor)?;
        let word = self.cursor.peek().kind;
        let event = Event::ALL
            .into_iter()
            .find(|event| word == TokenKind::Word(event.name()));
        let Some(event) = event else {
            return self.cursor.unexpected("`begin`, `iterate` or `end`");
        };
        self.cursor.advance();
        let case = self.cursor.symbol()?;
        let span = self.cursor.since(start);
        self.cursor.expect("{")?;
        let mut operands = Vec::new();
        while !self.cursor.eat("}") {
            let start = self.cursor.peek().span;
            if !self.cursor.eat_word("register_operand") {
                return self.cursor.unexpected("`register_operand` or `}`");
            }
            operands.push(Operand {
                stream: self.scope.read(&mut self.cursor)?,
                span: self.cursor.since(start),
            });
        }
        access.register(Callback {
            unit,
            event,
            case: CaseId::from_u32(0),
            operands,
            span,
        });
        Ok(case)
    }

    /// `execute`, and the cases by name.
    fn execute(&mut self) -> Result<(Execute, Cases<'t>), ParseError> {
        let mut execute = Execute::default();
        let mut by_name = Cases::new();
        self.cursor.expect_word("execute")?;
        self.cursor.expect("{")?;
        self.cursor.expect_word("compute_loop")?;
        self.cursor.expect("{")?;
        while !self.cursor.eat("}") {
            if !self.cursor.eat_word("case") {
                return self.cursor.unexpected("`case` or `}`");
            }
            let (name, span) = self.cursor.symbol()?;
            let mut parser = CodeParser {
                cursor: &mut self.cursor,
                scope: &mut self.scope,
                buffers: &self.buffers,
                word: "pop_operand",
                take: &|cursor: &mut Cursor<'t>, _: &Scope<'t, Name>| {
                    if !cursor.eat_word("pop_operand") {
                        return Ok(None);
                    }
                    cursor.expect(":")?;
                    Ok(Some((Pop, cursor.value_type()?)))
                },
            };
            let code = parser.code(0)?;
            let id = execute.cases.push(Case {
                name: name.to_owned(),
                code,
                span,
            });
            if let Some((_, first)) = by_name.insert(name, (id, span)) {
                return Err(ParseError::Duplicate {
                    name: format!("@{name}"),
                    span,
                    first,
                });
            }
        }
        self.cursor.expect("}")?;
        Ok((execute, by_name))
    }
}
