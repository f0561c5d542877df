//! Runs code: the semantics of the [module documentation](super), line by line.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::{Code, Expr, For, Statement, Value};
use crate::core::access::Bound;
use crate::core::compute::{loop_mask, next_position};
use crate::core::datum::{Datum, zero};
use crate::core::diag::EvalError;
use crate::core::memory::{Memory, Steps};
use crate::core::scalar::Scalar;
use crate::core::types::Span;

/// What the values, or streams, are now.
pub(crate) type Data<E> = SecondaryMap<E, Option<Datum>>;

/// What one of them is now.
pub(crate) fn get<E: EntityRef + std::fmt::Display>(
    data: &Data<E>,
    entity: E,
    span: Span,
) -> Result<&Datum, EvalError> {
    data[entity]
        .as_ref()
        .ok_or_else(|| EvalError::stuck(span, format!("{entity} has no value")))
}

/// One run of a code.
pub(crate) struct Run<'r, 'm, S, F> {
    code: &'r Code<S>,
    memory: &'r mut Memory<'m>,
    steps: &'r mut Steps,
    /// Gives an operand.
    take: F,
    values: Data<Value>,
    /// What an operation without a place of its own is said to stand at.
    span: Span,
}

impl<'r, 'm, S, F> Run<'r, 'm, S, F>
where
    F: FnMut(&S, Span) -> Result<Datum, EvalError>,
{
    /// Runs a valid code; `span` is where it is.
    pub(crate) fn run(
        code: &'r Code<S>,
        memory: &'r mut Memory<'m>,
        steps: &'r mut Steps,
        span: Span,
        take: F,
    ) -> Result<(), EvalError> {
        let mut run = Run {
            code,
            memory,
            steps,
            take,
            values: SecondaryMap::new(),
            span,
        };
        run.block(&code.body)
    }

    /// Recursion is as deep as blocks nest, which the verifier bounds.
    fn block(&mut self, statements: &[Statement<S>]) -> Result<(), EvalError> {
        for statement in statements {
            self.steps.step()?;
            match statement {
                Statement::Let(value, expr) => {
                    let data = self.code.values.get(*value);
                    let span = data.map_or(self.span, |data| data.span);
                    let datum = self.expr(expr, span)?;
                    self.values[*value] = Some(datum);
                }
                Statement::Store {
                    value,
                    access,
                    span,
                } => {
                    let access = access.try_map(|&v| self.get(v, *span).cloned())?;
                    let value = get(&self.values, *value, *span)?;
                    access.store(self.memory, value, *span)?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span,
                } => {
                    let branch = if self.get(*condition, *span)?.condition(*span)? {
                        then
                    } else {
                        otherwise
                    };
                    self.block(branch)?;
                }
                Statement::For(inner) => self.traverse(inner)?,
            }
        }
        Ok(())
    }

    fn traverse(&mut self, inner: &For<S>) -> Result<(), EvalError> {
        let mut position = self.bound(inner.lower, inner.span)?;
        let upper = self.bound(inner.upper, inner.span)?;
        let count = inner.lanes.map(|lanes| lanes.count);
        while position < upper {
            self.steps.step()?;
            self.values[inner.position] = Some(Datum::Scalar(Scalar::Index(position)));
            if let Some(lanes) = inner.lanes
                && let Some(mask) = lanes.mask
            {
                self.values[mask] = Some(loop_mask(position, upper, inner.step, lanes.count));
            }
            self.block(&inner.body)?;
            match next_position(position, inner.step, count) {
                Some(next) => position = next,
                // No position beyond is below the upper bound.
                None => break,
            }
        }
        Ok(())
    }

    fn bound(&self, bound: Bound<Value>, span: Span) -> Result<i64, EvalError> {
        match bound {
            Bound::Constant(position) => Ok(position),
            Bound::Value(value) => self.get(value, span)?.index(span),
        }
    }

    fn expr(&mut self, expr: &Expr<S>, span: Span) -> Result<Datum, EvalError> {
        match expr {
            Expr::Take(source) => (self.take)(source, span),
            Expr::Compute(compute) => compute
                .try_map(|&v| self.get(v, span).cloned())?
                .evaluate()
                .map_err(|error| EvalError::stuck(span, error)),
            Expr::Load(access) => {
                let access = access.try_map(|&v| self.get(v, span).cloned())?;
                access.load(self.memory, span)
            }
            Expr::Element { row, index, lanes } => {
                let index = self.get(*index, span)?.index(span)?;
                let ty = self.code.values.get(*row).map(|data| data.ty.scalar());
                let row = self.get(*row, span)?.scalars();
                let mask = lanes.and_then(|lanes| lanes.mask);
                let mask = mask.map(|mask| self.get(mask, span)).transpose()?;
                Datum::collect(lanes.map(|lanes| lanes.count), |k| {
                    let element = index.checked_add(k.into());
                    let element = element.and_then(|at| row.get(usize::try_from(at).ok()?));
                    let active = match mask {
                        None => true,
                        Some(mask) => mask.active(k, span)?,
                    };
                    match (active, element, ty) {
                        (true, Some(&element), _) => Ok(element),
                        (false, _, Some(ty)) => Ok(zero(ty)),
                        (false, _, None) | (true, None, _) => Err(EvalError::OutsideRow {
                            index: index.saturating_add(k.into()),
                            elements: row.len(),
                            span,
                        }),
                    }
                })
            }
            Expr::Reduce {
                op,
                vector,
                init,
                mask,
            } => {
                let mut result = self.get(*init, span)?.scalar(span)?;
                let mask = mask.map(|mask| self.get(mask, span)).transpose()?;
                for (lane, &scalar) in (0..).zip(self.get(*vector, span)?.scalars()) {
                    let active = match mask {
                        None => true,
                        Some(mask) => mask.active(lane, span)?,
                    };
                    if active {
                        let combined = op.apply(result, scalar);
                        result = combined.map_err(|error| EvalError::stuck(span, error))?;
                    }
                }
                Ok(Datum::Scalar(result))
            }
        }
    }

    fn get(&self, value: Value, span: Span) -> Result<&Datum, EvalError> {
        get(&self.values, value, span)
    }
}
