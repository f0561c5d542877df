//! Runs SLC: the semantics of the [module documentation](super), line by line.
//!
//! Access and execute unit take turns here, the execute unit as early as it can. Any other order
//! that keeps the callbacks' sequence gives the same result, for streams read inputs only.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::{Body, Bound, Callback, Expr, Func, Loop, Statement, Step, Stream, StreamExpr, Value};
use crate::core::{Arith, BufferId, EvalError, Limits, Memory, Scalar, Span, Steps};

/// Runs a valid program.
pub(super) fn run(func: &Func, memory: &mut Memory<'_>, limits: &Limits) -> Result<(), EvalError> {
    let mut run = Run {
        func,
        memory,
        steps: Steps::new(limits),
        elements: SecondaryMap::new(),
        values: SecondaryMap::new(),
    };
    run.iteration(&func.body)
}

struct Run<'a, 'm, 'b> {
    func: &'a Func,
    memory: &'m mut Memory<'b>,
    steps: Steps,
    /// The present element of each stream.
    elements: SecondaryMap<Stream, Option<Scalar>>,
    /// The values of the callback that fires.
    values: SecondaryMap<Value, Option<Scalar>>,
}

impl<'a> Run<'a, '_, '_> {
    fn iteration(&mut self, body: &'a Body) -> Result<(), EvalError> {
        for def in &body.streams {
            self.steps.step()?;
            let span = self.span(def.stream);
            let element = match &def.expr {
                StreamExpr::Mem { buffer, indices } => {
                    load(self.memory, *buffer, indices, &self.elements, span)?
                }
                StreamExpr::Alu(arith) => compute(arith, &self.elements, span)?,
            };
            self.elements[def.stream] = Some(element);
        }
        for step in &body.steps {
            match step {
                Step::For(inner) => self.traverse(inner)?,
                Step::Callback(callback) => {
                    self.values.clear();
                    self.statements(callback, &callback.body)?;
                }
            }
        }
        Ok(())
    }

    fn traverse(&mut self, inner: &'a Loop) -> Result<(), EvalError> {
        let mut position = self.bound(inner.lower, inner.span)?;
        let upper = self.bound(inner.upper, inner.span)?;
        while position < upper {
            self.steps.step()?;
            self.elements[inner.induction] = Some(Scalar::Index(position));
            self.iteration(&inner.body)?;
            match position.checked_add(inner.step) {
                Some(next) => position = next,
                // No position beyond is below the upper bound.
                None => break,
            }
        }
        Ok(())
    }

    fn bound(&self, bound: Bound, span: Span) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(position) => Ok(position),
            Bound::Stream(stream) => index(&self.elements, stream, span),
        }
    }

    fn statements(
        &mut self,
        callback: &'a Callback,
        statements: &'a [Statement],
    ) -> Result<(), EvalError> {
        for statement in statements {
            self.steps.step()?;
            match statement {
                Statement::Let(value, expr) => {
                    let span = callback
                        .values
                        .get(*value)
                        .map_or(callback.span, |v| v.span);
                    let result = match expr {
                        Expr::FromStream(stream) => get(&self.elements, *stream, span)?,
                        Expr::Arith(arith) => compute(arith, &self.values, span)?,
                        Expr::Load { buffer, indices } => {
                            load(self.memory, *buffer, indices, &self.values, span)?
                        }
                    };
                    self.values[*value] = Some(result);
                }
                Statement::Store {
                    buffer,
                    indices,
                    value,
                    span,
                } => {
                    let value = get(&self.values, *value, *span)?;
                    let indices = all(indices, &self.values, *span)?;
                    self.memory.store(*buffer, &indices, value, *span)?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span,
                } => match get(&self.values, *condition, *span)? {
                    Scalar::Bool(true) => self.statements(callback, then)?,
                    Scalar::Bool(false) => self.statements(callback, otherwise)?,
                    other => {
                        let what = format!("the condition is {}, not bool", other.ty());
                        return Err(EvalError::stuck(*span, what));
                    }
                },
            }
        }
        Ok(())
    }

    fn span(&self, stream: Stream) -> Span {
        let data = self.func.streams.get(stream);
        data.map_or_else(Span::default, |data| data.span)
    }
}

/// The scalars that the streams, or the values of a callback, have now.
type Scalars<E> = SecondaryMap<E, Option<Scalar>>;

fn get<E: EntityRef + std::fmt::Display>(
    scalars: &Scalars<E>,
    entity: E,
    span: Span,
) -> Result<Scalar, EvalError> {
    scalars[entity].ok_or_else(|| EvalError::stuck(span, format!("{entity} has no value")))
}

fn index<E: EntityRef + std::fmt::Display>(
    scalars: &Scalars<E>,
    entity: E,
    span: Span,
) -> Result<i64, EvalError> {
    match get(scalars, entity, span)? {
        Scalar::Index(position) => Ok(position),
        other => {
            let what = format!("{entity} is {}, not index", other.ty());
            Err(EvalError::stuck(span, what))
        }
    }
}

fn all<E: EntityRef + std::fmt::Display>(
    indices: &[E],
    scalars: &Scalars<E>,
    span: Span,
) -> Result<Vec<i64>, EvalError> {
    indices.iter().map(|&e| index(scalars, e, span)).collect()
}

fn load<E: EntityRef + std::fmt::Display>(
    memory: &Memory<'_>,
    buffer: BufferId,
    indices: &[E],
    scalars: &Scalars<E>,
    span: Span,
) -> Result<Scalar, EvalError> {
    memory.load(buffer, &all(indices, scalars, span)?, span)
}

fn compute<E: EntityRef + std::fmt::Display>(
    arith: &Arith<E>,
    scalars: &Scalars<E>,
    span: Span,
) -> Result<Scalar, EvalError> {
    let arith = arith.try_map(|&e| get(scalars, e, span))?;
    arith
        .evaluate()
        .map_err(|error| EvalError::stuck(span, error))
}
