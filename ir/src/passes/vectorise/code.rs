//! A code of a loop of lanes.

use hashbrown::HashMap;

use super::legal::Legal;
use super::{Shape, lanes_of};
use crate::core::{Access, Arith, BinaryOp, Code, Compute, Lanes, Span, Type, UnaryOp, Value};
use crate::passes::rewrite::{define, value};
use crate::slc::{Expr, Statement, Stream};

/// The code of the loop's lanes, with the same ids for what was there; `step` is the loop's.
pub(super) fn vectorise(
    code: &Code<Stream>,
    legal: &Legal,
    step: i64,
    lanes: Lanes<Stream>,
) -> Code<Stream> {
    let mut emitter = Emitter {
        code: Code {
            values: code.values.clone(),
            body: Vec::new(),
        },
        legal,
        step,
        count: lanes.count,
        vectors: HashMap::new(),
        order: Vec::new(),
    };
    for (value, data) in &mut emitter.code.values {
        if legal.values[value] && !legal.positions.contains(&value) {
            data.ty = Type::Vector(data.ty.scalar(), lanes.count);
        }
    }
    let mut into = Vec::new();
    let mask = lanes.mask.map(|mask| {
        let ty = Type::Vector(Type::BOOL.scalar(), lanes.count);
        define(&mut emitter.code, &mut into, "mask", ty, Expr::Take(mask))
    });
    emitter.block(&code.body, mask, false, &mut into);
    emitter.code.body = into;
    emitter.code
}

struct Emitter<'l> {
    code: Code<Stream>,
    legal: &'l Legal,
    step: i64,
    count: u32,
    /// The vectors of what is scalar.
    vectors: HashMap<Value, Value>,
    /// The keys of `vectors` in the order in which they came.
    order: Vec<Value>,
}

impl Emitter<'_> {
    /// `mask` are the lanes that do this; `masked` if those are not simply the loop's. Recursion is as deep as blocks nest.
    fn block(
        &mut self,
        statements: &[Statement],
        mask: Option<Value>,
        masked: bool,
        into: &mut Vec<Statement>,
    ) {
        for statement in statements {
            match statement {
                Statement::Let(value, expr) => {
                    let expr = self.expr(*value, expr, mask, masked, into);
                    into.push(Statement::Let(*value, expr));
                }
                Statement::Store {
                    value,
                    access,
                    span,
                } => {
                    let access = self.access(access, mask, false, into);
                    let value = match access.lanes {
                        Some(_) => self.vector(*value, into),
                        None => *value,
                    };
                    into.push(Statement::Store {
                        value,
                        access,
                        span: *span,
                    });
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span,
                } => {
                    if self.legal.values[*condition] {
                        self.masked(*condition, then, otherwise, mask, into);
                        continue;
                    }
                    let then = self.nested(then, mask, masked);
                    let otherwise = self.nested(otherwise, mask, masked);
                    into.push(Statement::If {
                        condition: *condition,
                        then,
                        otherwise,
                        span: *span,
                    });
                }
                // Not in a code that is vectorised.
                Statement::For(_) => {}
            }
        }
    }

    fn nested(
        &mut self,
        statements: &[Statement],
        mask: Option<Value>,
        masked: bool,
    ) -> Vec<Statement> {
        let outside = self.order.len();
        let mut inside = Vec::new();
        self.block(statements, mask, masked, &mut inside);
        for value in self.order.drain(outside..) {
            self.vectors.remove(&value);
        }
        inside
    }

    /// Both branches, each for its lanes.
    fn masked(
        &mut self,
        condition: Value,
        then: &[Statement],
        otherwise: &[Statement],
        mask: Option<Value>,
        into: &mut Vec<Statement>,
    ) {
        let condition = self.vector(condition, into);
        let ty = Type::Vector(Type::BOOL.scalar(), self.count);
        for (branch, holds) in [(then, true), (otherwise, false)] {
            if branch.is_empty() {
                continue;
            }
            let mut lanes = condition;
            let mut compute = |code: &mut Code<Stream>, arith| {
                let expr = Expr::Compute(Compute::Arith(arith));
                define(code, into, "active", ty, expr)
            };
            if !holds {
                lanes = compute(&mut self.code, Arith::Unary(UnaryOp::Not, lanes));
            }
            if let Some(mask) = mask {
                let both = Arith::Binary(BinaryOp::And, mask, lanes);
                lanes = compute(&mut self.code, both);
            }
            self.block(branch, Some(lanes), true, into);
        }
    }

    fn expr(
        &mut self,
        value: Value,
        expr: &Expr,
        mask: Option<Value>,
        masked: bool,
        into: &mut Vec<Statement>,
    ) -> Expr {
        match expr {
            Expr::Compute(Compute::Arith(arith)) => {
                if let Some(&reduction) = self.legal.reductions.get(&value) {
                    return Expr::Reduce {
                        op: reduction.op,
                        vector: self.vector(reduction.term, into),
                        init: reduction.old,
                        mask,
                    };
                }
                let arith = if self.legal.values[value] {
                    arith.map(|&v| self.vector(v, into))
                } else {
                    arith.clone()
                };
                Expr::Compute(Compute::Arith(arith))
            }
            Expr::Load(access) => Expr::Load(self.access(access, mask, masked, into)),
            Expr::Take(_)
            | Expr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. })
            | Expr::Element { .. }
            | Expr::Reduce { .. } => expr.clone(),
        }
    }

    /// `each` if lanes that are not active must not take part, even if all lanes go to one place.
    fn access(
        &mut self,
        access: &Access<Value>,
        mask: Option<Value>,
        each: bool,
        into: &mut Vec<Statement>,
    ) -> Access<Value> {
        let legal = self.legal;
        let shape = lanes_of(
            access,
            |v| legal.positions.contains(&v),
            |v| legal.values[v],
            self.step,
        );
        let mut indices = access.indices.clone();
        match shape {
            Shape::Scalar if each => {
                if let Some(last) = indices.last_mut() {
                    *last = self.vector(*last, into);
                }
            }
            Shape::Scalar => return access.clone(),
            Shape::Contiguous => {}
            Shape::Each => {
                for index in &mut indices {
                    if legal.values[*index] {
                        *index = self.vector(*index, into);
                    }
                }
            }
        }
        let count = self.count;
        Access {
            buffer: access.buffer,
            indices,
            lanes: Some(Lanes { count, mask }),
        }
    }

    /// A value that has, for each lane, what `value` has there.
    fn vector(&mut self, scalar: Value, into: &mut Vec<Statement>) -> Value {
        let position = self.legal.positions.contains(&scalar);
        if self.legal.values[scalar] && !position {
            return scalar;
        }
        if let Some(&vector) = self.vectors.get(&scalar) {
            return vector;
        }
        let lanes = self.count;
        let compute = if position {
            let (base, step) = (scalar, self.step);
            Compute::Lanes { base, step, lanes }
        } else {
            let value = scalar;
            Compute::Broadcast { value, lanes }
        };
        let data = self.code.values.get(scalar);
        let (name, ty) = data.map_or(("v", Type::INDEX), |data| (data.name.as_str(), data.ty));
        let name = format!("{name}_{}", if position { "lanes" } else { "all" });
        let ty = Type::Vector(ty.scalar(), lanes);
        let vector = value(&mut self.code, &name, ty, Span::default());
        into.push(Statement::Let(vector, Expr::Compute(compute)));
        self.vectors.insert(scalar, vector);
        self.order.push(scalar);
        vector
    }
}
