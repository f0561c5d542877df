//! Text to code.

use super::{Code, Expr, For, MAX_DEPTH, Statement, Value};
use crate::core::access::{Access, Lanes, parse_bound, parse_lanes, parse_mask};
use crate::core::buffer::{Buffer, BufferId};
use crate::core::diag::ParseError;
use crate::core::op::CombineOp;
use crate::core::text::{Cursor, Meaning, Scope, TokenKind};
use crate::core::types::{Span, Type};
use crate::core::value::ValueData;
use cranelift_entity::PrimaryMap;

/// Reads where an operand comes from, and its type, if its word is next.
pub(crate) type Take<'p, 't, N, S> =
    &'p dyn Fn(&mut Cursor<'t>, &Scope<'t, N>) -> Result<Option<(S, Type)>, ParseError>;

/// Reads one code.
pub(crate) struct Parser<'p, 't, N, S> {
    pub cursor: &'p mut Cursor<'t>,
    pub scope: &'p mut Scope<'t, N>,
    pub buffers: &'p PrimaryMap<BufferId, Buffer>,
    /// The word of `take`, for errors.
    pub word: &'static str,
    pub take: Take<'p, 't, N, S>,
}

impl<'t, N, S> Parser<'_, 't, N, S>
where
    N: Copy + From<Value>,
    Value: Meaning<N>,
    BufferId: Meaning<N>,
{
    /// A code, inside `depth` loops.
    pub(crate) fn code(&mut self, depth: usize) -> Result<Code<S>, ParseError> {
        let mut code = Code::default();
        code.body = self.block(&mut code.values, depth)?;
        Ok(code)
    }

    fn block(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData<Type>>,
        depth: usize,
    ) -> Result<Vec<Statement<S>>, ParseError> {
        self.cursor.expect("{")?;
        self.scope.enter();
        let statements = self.statements(values, depth)?;
        self.scope.leave();
        Ok(statements)
    }

    /// Statements to the end of the block that is open.
    fn statements(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData<Type>>,
        depth: usize,
    ) -> Result<Vec<Statement<S>>, ParseError> {
        let mut statements = Vec::new();
        while !self.cursor.eat("}") {
            statements.push(self.statement(values, depth)?);
        }
        Ok(statements)
    }

    fn statement(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData<Type>>,
        depth: usize,
    ) -> Result<Statement<S>, ParseError> {
        let start = self.cursor.peek().span;
        if self.cursor.eat_word("store") {
            let lanes = parse_lanes(self.cursor)?;
            let value = self.scope.read(self.cursor)?;
            self.cursor.expect(",")?;
            let access = Access::parse(self.cursor, self.scope, lanes)?;
            let span = self.cursor.since(start);
            return Ok(Statement::Store {
                value,
                access,
                span,
            });
        }
        if self.cursor.eat_word("scf.if") {
            let condition = self.scope.read(self.cursor)?;
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
        if self.cursor.eat_word("scf.for") {
            return self.traversal(values, start, depth).map(Statement::For);
        }
        if !matches!(self.cursor.peek().kind, TokenKind::Value(_)) {
            return self
                .cursor
                .unexpected("a value, `store`, `scf.if`, `scf.for` or `}`");
        }
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let (expr, ty) = self.expr(values)?;
        let value = values.push(ValueData {
            name: name.to_owned(),
            ty,
            span: self.cursor.since(start),
        });
        self.scope.declare(name, name_span, N::from(value))?;
        Ok(Statement::Let(value, expr))
    }

    /// A loop, behind its word.
    fn traversal(
        &mut self,
        values: &mut PrimaryMap<Value, ValueData<Type>>,
        start: Span,
        depth: usize,
    ) -> Result<For<S>, ParseError> {
        let count = parse_lanes(self.cursor)?;
        let (name, name_span) = self.cursor.value_name()?;
        self.cursor.expect("=")?;
        let lower = parse_bound(self.cursor, self.scope)?;
        self.cursor.expect_word("to")?;
        let upper = parse_bound(self.cursor, self.scope)?;
        self.cursor.expect_word("step")?;
        let step = self.cursor.integer("a step")?;
        self.scope.enter();
        let position = values.push(ValueData {
            name: name.to_owned(),
            ty: Type::INDEX,
            span: name_span,
        });
        self.scope.declare(name, name_span, N::from(position))?;
        let mut lanes = None;
        if let Some(count) = count {
            let mut mask = None;
            if self.cursor.eat_word("mask") {
                let (name, span) = self.cursor.value_name()?;
                let defined = values.push(ValueData {
                    name: name.to_owned(),
                    ty: Type::Vector(Type::BOOL.scalar(), count),
                    span,
                });
                self.scope.declare(name, span, N::from(defined))?;
                mask = Some(defined);
            }
            lanes = Some(Lanes { count, mask });
        }
        let span = self.cursor.since(start);
        self.nested(depth)?;
        self.cursor.expect("{")?;
        let body = self.statements(values, depth + 1)?;
        self.scope.leave();
        Ok(For {
            position,
            lower,
            upper,
            step,
            lanes,
            body,
            span,
        })
    }

    fn expr(
        &mut self,
        values: &PrimaryMap<Value, ValueData<Type>>,
    ) -> Result<(Expr<S>, Type), ParseError> {
        if let Some((source, ty)) = (self.take)(self.cursor, self.scope)? {
            return Ok((Expr::Take(source), ty));
        }
        if self.cursor.eat_word("load") {
            let lanes = parse_lanes(self.cursor)?;
            let access = Access::parse(self.cursor, self.scope, lanes)?;
            let ty = access.ty(self.buffers).unwrap_or(Type::INDEX);
            return Ok((Expr::Load(access), ty));
        }
        if self.cursor.eat_word("element") {
            let count = parse_lanes(self.cursor)?;
            let row = self.scope.read(self.cursor)?;
            self.cursor.expect("[")?;
            let index = self.scope.read(self.cursor)?;
            self.cursor.expect("]")?;
            let lanes = match count {
                None => None,
                Some(count) => Some(Lanes {
                    count,
                    mask: parse_mask(self.cursor, self.scope)?,
                }),
            };
            let ty = Type::of(type_of(values, row).scalar(), count);
            return Ok((Expr::Element { row, index, lanes }, ty));
        }
        if self.cursor.eat_word("reduce") {
            let op = match self.cursor.peek().kind {
                TokenKind::Word(word) => CombineOp::from_name(word),
                _ => None,
            };
            let Some(op) = op else {
                return self.cursor.unexpected("an operation that combines");
            };
            self.cursor.advance();
            let vector = self.scope.read(self.cursor)?;
            self.cursor.expect(",")?;
            let init = self.scope.read(self.cursor)?;
            let mask = parse_mask(self.cursor, self.scope)?;
            let ty = Type::Scalar(type_of(values, init).scalar());
            let expr = Expr::Reduce {
                op,
                vector,
                init,
                mask,
            };
            return Ok((expr, ty));
        }
        let scope = &*self.scope;
        match self.cursor.compute(|cursor| scope.read(cursor))? {
            Some(compute) => {
                let ty = compute.parsed_type(|&v| type_of(values, v));
                Ok((Expr::Compute(compute), ty))
            }
            None => self.cursor.unexpected(format!(
                "`{}`, `load`, `element`, `reduce` or an operation",
                self.word
            )),
        }
    }

    /// What stands here is inside `depth` loops and blocks.
    fn nested(&self, depth: usize) -> Result<(), ParseError> {
        if depth < MAX_DEPTH {
            Ok(())
        } else {
            self.cursor.unexpected(format!(
                "at most {MAX_DEPTH} loops and blocks around one another"
            ))
        }
    }
}

/// Type of a value; a name of another code that is still visible cannot be.
fn type_of(values: &PrimaryMap<Value, ValueData<Type>>, value: Value) -> Type {
    values.get(value).map_or(Type::INDEX, |data| data.ty)
}
