//! Text to DLC.
//!
//! ```text
//! program  = "dlc.program" @NAME "{" buffer* access execute "}"
//! access   = "access" "{" (unit | stream | callback)* "}"
//! unit     = %tu "=" "new_tu" ("dense" | "range") bound "to" bound "step" INT ("in" %tu)?
//! bound    = INT | %stream
//! stream   = %s "=" ( "get_ind_var" %tu
//!                   | "mem_stream" %buffer "[" %stream,* "]" "in" %tu
//!                   | "alu_stream" arith "in" %tu )
//! callback = "register_callback" %tu EVENT @case "{" ("register_operand" %stream)* "}"
//! EVENT    = "begin" | "iterate" | "end"
//! execute  = "execute" "{" "compute_loop" "{" case* "}" "}"
//! case     = "case" @NAME block
//! block    = "{" statement* "}"
//! statement = %v "=" ("pop_operand" ":" TYPE | "load" %buffer "[" %v,* "]" | arith)
//!           | "store" %v "," %buffer "[" %v,* "]"
//!           | "scf.if" %v block ("else" block)?
//! ```
//!
//! `buffer` and `arith` are those of all IRs ([`crate::core::text`]). A unit is `dense` if both bounds are
//! numbers, else `range`.

use std::str::FromStr;

use cranelift_entity::PrimaryMap;
use hashbrown::HashMap;

use super::verify::MAX_DEPTH;
use super::{
    Access, Bound, Callback, Case, CaseId, Event, Execute, Expr, Operand, Program, Statement,
    Stream, StreamData, StreamExpr, Tu, TuData, Value,
};
use crate::core::text::{Cursor, Scope, TokenKind};
use crate::core::{Arith, Buffer, BufferId, ParseError, ScalarType, Span, ValueData};

/// What a `%name` stands for. Units, streams, buffers and values share one space of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Buffer(BufferId),
    Unit(Tu),
    Stream(Stream),
    Value(Value),
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
            super::AccessOp::NewTu(_) | super::AccessOp::Stream(_) => None,
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
            } else {
                return self
                    .cursor
                    .unexpected("a `%name`, `register_callback` or `}`");
            }
        }
        Ok((access, cases))
    }

    /// `unit | stream`.
    fn definition(&mut self, access: &mut Access) -> Result<(), ParseError> {
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        if self.cursor.eat_word("new_tu") {
            let tu = self.unit(access, name, name_span)?;
            return self.scope.declare(name, name_span, Name::Unit(tu));
        }
        let (ty, expr, unit) = if self.cursor.eat_word("get_ind_var") {
            (
                ScalarType::Index,
                StreamExpr::InductionVariable,
                self.unit_use()?,
            )
        } else if self.cursor.eat_word("mem_stream") {
            let (buffer, indices) = self.element(stream)?;
            let ty = self.element_type(buffer);
            self.cursor.expect_word("in")?;
            (ty, StreamExpr::Mem { buffer, indices }, self.unit_use()?)
        } else if self.cursor.eat_word("alu_stream") {
            let Some(arith) = self.cursor.arith(|cursor| stream(&self.scope, cursor))? else {
                return self.cursor.unexpected("an operation");
            };
            let ty = result_type(&arith, |stream| access.streams[*stream].ty);
            self.cursor.expect_word("in")?;
            (ty, StreamExpr::Alu(arith), self.unit_use()?)
        } else {
            return self
                .cursor
                .unexpected("`new_tu`, `get_ind_var`, `mem_stream` or `alu_stream`");
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
        let begin = self.bound(range)?;
        self.cursor.expect_word("to")?;
        // One bound of a range may be a number, both may not.
        let number = match begin {
            Bound::Constant(_) => range,
            Bound::Stream(_) => false,
        };
        if number && !matches!(self.cursor.peek().kind, TokenKind::Value(_)) {
            return self
                .cursor
                .unexpected("a `%name`: a range between numbers is `dense`");
        }
        let end = self.bound(range)?;
        self.cursor.expect_word("step")?;
        let step = self.cursor.integer("a step")?;
        let parent = if self.cursor.eat_word("in") {
            Some(self.unit_use()?)
        } else {
            None
        };
        Ok(access.new_tu(TuData {
            name: name.to_owned(),
            parent,
            begin,
            end,
            step,
            span: self.cursor.since(start),
        }))
    }

    /// `bound`; a stream only if `range`.
    fn bound(&mut self, range: bool) -> Result<Bound, ParseError> {
        match self.cursor.peek().kind {
            TokenKind::Value(_) if range => {
                stream(&self.scope, &mut self.cursor).map(Bound::Stream)
            }
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
        let unit = self.unit_use()?;
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
                stream: stream(&self.scope, &mut self.cursor)?,
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
            let mut case = Case {
                name: name.to_owned(),
                span,
                ..Case::default()
            };
            case.body = self.block(&mut case.values, 0)?;
            let id = execute.cases.push(case);
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

    /// `block`, inside `depth` others.
    fn block(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData>,
        depth: usize,
    ) -> Result<Vec<Statement>, ParseError> {
        if depth > MAX_DEPTH {
            return self
                .cursor
                .unexpected(format!("at most {MAX_DEPTH} blocks inside one another"));
        }
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
            let stored = value(&self.scope, &mut self.cursor)?;
            self.cursor.expect(",")?;
            let (buffer, indices) = self.element(value)?;
            let span = self.cursor.since(start);
            return Ok(Statement::Store {
                buffer,
                indices,
                value: stored,
                span,
            });
        }
        if self.cursor.eat_word("scf.if") {
            let condition = value(&self.scope, &mut self.cursor)?;
            let span = self.cursor.since(start);
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
        if !matches!(self.cursor.peek().kind, TokenKind::Value(_)) {
            return self
                .cursor
                .unexpected("a `%name`, `store`, `scf.if` or `}`");
        }
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let (ty, expr) = if self.cursor.eat_word("pop_operand") {
            self.cursor.expect(":")?;
            (self.cursor.scalar_type()?, Expr::Pop)
        } else if self.cursor.eat_word("load") {
            let (buffer, indices) = self.element(value)?;
            (self.element_type(buffer), Expr::Load { buffer, indices })
        } else if let Some(arith) = self.cursor.arith(|cursor| value(&self.scope, cursor))? {
            let ty = result_type(&arith, |value| values[*value].ty);
            (ty, Expr::Arith(arith))
        } else {
            return self
                .cursor
                .unexpected("`pop_operand`, `load` or an operation");
        };
        let value = values.push(ValueData {
            name: name.to_owned(),
            ty,
            span: self.cursor.since(name_span),
        });
        self.scope.declare(name, name_span, Name::Value(value))?;
        Ok(Statement::Let(value, expr))
    }

    fn unit_use(&mut self) -> Result<Tu, ParseError> {
        named(
            &self.scope,
            &mut self.cursor,
            "the name of a traversal unit",
            |n| match n {
                Name::Unit(tu) => Some(tu),
                Name::Buffer(_) | Name::Stream(_) | Name::Value(_) => None,
            },
        )
    }

    /// `%buffer "[" %index,* "]"`.
    fn element<V>(&mut self, index: Use<'t, V>) -> Result<(BufferId, Vec<V>), ParseError> {
        let buffer = named(
            &self.scope,
            &mut self.cursor,
            "the name of a buffer",
            |n| match n {
                Name::Buffer(buffer) => Some(buffer),
                Name::Unit(_) | Name::Stream(_) | Name::Value(_) => None,
            },
        )?;
        let indices = self
            .cursor
            .list("[", "]", |cursor| index(&self.scope, cursor))?;
        Ok((buffer, indices))
    }

    fn element_type(&self, buffer: BufferId) -> ScalarType {
        self.buffers[buffer].element.into()
    }
}

/// Reads a use of a name.
type Use<'t, V> = fn(&Scope<'t, Name>, &mut Cursor<'t>) -> Result<V, ParseError>;

fn stream<'t>(scope: &Scope<'t, Name>, cursor: &mut Cursor<'t>) -> Result<Stream, ParseError> {
    named(scope, cursor, "the name of a stream", |n| match n {
        Name::Stream(stream) => Some(stream),
        Name::Buffer(_) | Name::Unit(_) | Name::Value(_) => None,
    })
}

fn value<'t>(scope: &Scope<'t, Name>, cursor: &mut Cursor<'t>) -> Result<Value, ParseError> {
    named(scope, cursor, "the name of a value", |n| match n {
        Name::Value(value) => Some(value),
        Name::Buffer(_) | Name::Unit(_) | Name::Stream(_) => None,
    })
}

/// Reads a name that stands for what `pick` takes.
fn named<'t, T>(
    scope: &Scope<'t, Name>,
    cursor: &mut Cursor<'t>,
    expected: &str,
    pick: impl Fn(Name) -> Option<T>,
) -> Result<T, ParseError> {
    let (name, span) = cursor.value_name()?;
    pick(*scope.find(name, span)?).ok_or_else(|| ParseError::Unexpected {
        expected: expected.to_owned(),
        found: format!("`%{name}`"),
        span,
    })
}

/// Type of an operation's result. Of one that does not take its operands the type of the first:
/// the verifier has an error for it anyway.
fn result_type<V>(arith: &Arith<V>, ty: impl Fn(&V) -> ScalarType) -> ScalarType {
    let first = arith.operands().next().map_or(ScalarType::BOOL, &ty);
    arith.map(&ty).result_type().unwrap_or(first)
}
