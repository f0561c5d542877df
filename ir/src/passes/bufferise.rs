//! Bufferise (O2): the vectors of one look-up travel as one row, with one token.
//!
//! For each innermost loop of lanes with constant bounds that is in another loop and fires a callback in each iteration: each vector that the callback takes
//! is appended to a row, and the callback moves behind the loop, where it takes the row and iterates over it itself. Positions, masks
//! and what is computed from them and from streams outside are computed there, not sent. Nothing else fires in the loop, so
//! the callback does the same in the same order.
//!
//! A loop stays as it is if it is in no other loop (its vectors are no part of a look-up), if a scalar is read in each of its
//! iterations, or if a row would have more bytes than [`Options::row_bytes`] or a chunk of the data queue, or all rows of the look-up more
//! than half of the access unit's queues hold.
//!
//! Before:
//! ```text
//! slc.func @copy {
//!   input %x: f32[4,20]
//!   output %y: f32[4,20]
//!   slc.for %r = 0 to 4 step 1 {
//!     slcv.for<8> %d = 0 to 20 step 1 mask %m {
//!       %e = slcv.mem_stream<8> %x[%r, %d] mask %m
//!       slc.callback {
//!         %m_0 = slc.from_stream %m
//!         %r_0 = slc.from_stream %r
//!         %d_0 = slc.from_stream %d
//!         %e_0 = slc.from_stream %e
//!         store<8> %e_0, %y[%r_0, %d_0] mask %m_0
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @copy {
//!   input %x: f32[4,20]
//!   output %y: f32[4,20]
//!   slc.for %r = 0 to 4 step 1 {
//!     %e_row = slcv.buf_stream [20 x f32]
//!     slcv.for<8> %d = 0 to 20 step 1 mask %m {
//!       %e = slcv.mem_stream<8> %x[%r, %d] mask %m
//!       slcv.to_buffer %e, %e_row mask %m
//!     }
//!     slc.callback {
//!       %r_0 = slc.from_stream %r
//!       %row = slcv.from_buffer %e_row
//!       scf.for<8> %d_0 = 0 to 20 step 1 mask %m_0 {
//!         %e_0 = element<8> %row[%d_0] mask %m_0
//!         store<8> %e_0, %y[%r_0, %d_0] mask %m_0
//!       }
//!     }
//!   }
//! }
//! ```

use cranelift_entity::EntitySet;
use hashbrown::{HashMap, HashSet};

use super::Options;
use super::rewrite::{self, constant, define, value};
use crate::core::code::For;
use crate::core::text::Names;
use crate::core::{Arith, BinaryOp, Bound, Code, Compute, Lanes, Scalar, Span, Type, Value};
use crate::slc::{
    Body, Callback, Effect, Expr, Func, Loop, Statement, Step, Stream, StreamDef, StreamExpr,
};

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut names = rewrite::names(func);
    let mut body = std::mem::take(&mut func.body);
    for step in &mut body.steps {
        if let Step::For(inner) = step {
            visit(&mut inner.body, func, &mut names, options);
        }
    }
    func.body = body;
}

/// Recursion is as deep as loops nest.
fn visit(body: &mut Body, func: &mut Func, names: &mut Names, options: &Options) {
    let mut steps: Vec<Step> = Vec::with_capacity(body.steps.len());
    let mut left = std::mem::take(&mut body.steps).into_iter().peekable();
    while let Some(step) = left.next() {
        let Step::For(mut inner) = step else {
            steps.push(step);
            continue;
        };
        visit(&mut inner.body, func, names, options);
        let Some(plan) = Plan::new(&inner, func, options) else {
            steps.push(Step::For(inner));
            continue;
        };
        let mut callback = plan.apply(&mut inner, func, names, &mut body.streams);
        // One event, one callback: what stood behind the loop comes after.
        if let Some(Step::Callback(next)) = left.next_if(|step| matches!(step, Step::Callback(_))) {
            rewrite::append(&mut callback.code, &next.code);
        }
        steps.push(Step::For(inner));
        steps.push(Step::Callback(callback));
    }
    body.steps = steps;
}

/// What becomes of a loop.
struct Plan {
    lower: i64,
    upper: i64,
    positions: u64,
    lanes: Lanes<Stream>,
    /// Streams of the loop that the callback computes itself.
    computed: EntitySet<Stream>,
    /// Streams that become rows.
    rows: Vec<Stream>,
}

impl Plan {
    fn new(inner: &Loop, func: &Func, options: &Options) -> Option<Plan> {
        let lanes = inner.lanes?;
        let (Bound::Constant(lower), Bound::Constant(upper)) = (inner.lower, inner.upper) else {
            return None;
        };
        let [Step::Callback(callback)] = inner.body.steps.as_slice() else {
            return None;
        };
        let own: HashSet<Stream> = inner.body.streams.iter().map(|def| def.stream).collect();
        let mut computed = EntitySet::new();
        computed.insert(inner.induction);
        if let Some(mask) = lanes.mask {
            computed.insert(mask);
        }
        let outside =
            |s: Stream| !own.contains(&s) && s != inner.induction && Some(s) != lanes.mask;
        for def in &inner.body.streams {
            if let StreamExpr::Compute(compute) = &def.expr {
                let known = |s: &&Stream| computed.contains(**s) || outside(**s);
                if compute.operands().iter().all(known) {
                    computed.insert(def.stream);
                }
            }
        }
        let positions = inner.positions()?;
        let mut rows = Vec::new();
        let mut all_bytes = 0u64;
        for (_, &stream) in callback.code.takes() {
            if outside(stream) || computed.contains(stream) || rows.contains(&stream) {
                continue;
            }
            let Type::Vector(scalar, _) = func.streams.get(stream)?.ty else {
                return None;
            };
            let bytes = Type::Row(scalar, positions).bytes();
            all_bytes = bytes.saturating_add(all_bytes);
            if bytes > options.longest_row() || all_bytes > options.resources.row_bytes() {
                return None;
            }
            rows.push(stream);
        }
        Some(Plan {
            lower,
            upper,
            positions,
            lanes,
            computed,
            rows,
        })
    }

    /// Takes the callback out of the loop.
    fn apply(
        &self,
        inner: &mut Loop,
        func: &mut Func,
        names: &mut Names,
        around: &mut Vec<StreamDef>,
    ) -> Callback {
        let mut row_of = HashMap::new();
        for &stream in &self.rows {
            let data = &func.streams[stream];
            let (name, span) = (format!("{}_row", data.name), data.span);
            let scalar = data.ty.scalar();
            let ty = Type::Row(scalar, self.positions);
            let row = rewrite::stream(func, names, &name, ty, span);
            around.push(StreamDef {
                stream: row,
                expr: StreamExpr::Row(scalar, self.positions),
            });
            inner.body.effects.push(Effect::ToBuffer {
                stream,
                row,
                mask: self.lanes.mask,
                span,
            });
            row_of.insert(stream, row);
        }
        let mut callback = Callback::default();
        for step in std::mem::take(&mut inner.body.steps) {
            if let Step::Callback(taken) = step {
                callback = taken;
            }
        }
        let code = &mut callback.code;
        let mut iteration = Iteration {
            plan: self,
            inner,
            func,
            position: value(code, "position", Type::INDEX, inner.span),
            mask: None,
            known: HashMap::new(),
            before: Vec::new(),
            body: Vec::new(),
            at: None,
        };
        iteration.run(code, &row_of);
        callback
    }
}

/// The loop of the execute unit that is being made.
struct Iteration<'p> {
    plan: &'p Plan,
    inner: &'p Loop,
    func: &'p Func,
    position: Value,
    mask: Option<Value>,
    /// Values that stand for streams.
    known: HashMap<Stream, Value>,
    before: Vec<Statement>,
    body: Vec<Statement>,
    /// Where in a row lane 0 is.
    at: Option<Value>,
}

impl Iteration<'_> {
    fn run(&mut self, code: &mut Code<Stream>, row_of: &HashMap<Stream, Stream>) {
        let count = self.plan.lanes.count;
        if let Some(mask) = self.plan.lanes.mask {
            let data = &self.func.streams[mask];
            let defined = value(code, &data.name.clone(), data.ty, data.span);
            self.mask = Some(defined);
            self.known.insert(mask, defined);
        }
        let name = self.func.streams[self.inner.induction].name.clone();
        if let Some(data) = code.values.get_mut(self.position) {
            data.name = name;
        }
        self.known.insert(self.inner.induction, self.position);
        let mut same = HashMap::new();
        let mut rest = Vec::new();
        for statement in std::mem::take(&mut code.body) {
            let Statement::Let(taken, Expr::Take(stream)) = statement else {
                rest.push(statement);
                continue;
            };
            if let Some(&row) = row_of.get(&stream) {
                let ty = self.func.streams[row].ty;
                let row = define(code, &mut self.before, "row", ty, Expr::Take(row));
                let element = Expr::Element {
                    row,
                    index: self.at(code),
                    lanes: Some(Lanes {
                        count,
                        mask: self.mask,
                    }),
                };
                self.body.push(Statement::Let(taken, element));
            } else if self.plan.computed.contains(stream) {
                let computed = self.computed(stream, code);
                // The value that was taken has the better name.
                if let (Some(name), Some(data)) = (
                    code.values.get(taken).map(|data| data.name.clone()),
                    code.values.get_mut(computed),
                ) {
                    data.name = name;
                }
                same.insert(taken, computed);
            } else {
                self.known.entry(stream).or_insert(taken);
                self.before.push(Statement::Let(taken, Expr::Take(stream)));
            }
        }
        rewrite::replace_values(&mut rest, &same);
        self.body.append(&mut rest);
        code.body = std::mem::take(&mut self.before);
        code.body.push(Statement::For(For {
            position: self.position,
            lower: Bound::Constant(self.plan.lower),
            upper: Bound::Constant(self.plan.upper),
            step: self.inner.step,
            lanes: Some(Lanes {
                count,
                mask: self.mask,
            }),
            body: std::mem::take(&mut self.body),
            span: self.inner.span,
        }));
    }

    /// Element of a row at which lane 0 is.
    fn at(&mut self, code: &mut Code<Stream>) -> Value {
        if let Some(at) = self.at {
            return at;
        }
        let mut at = self.position;
        let mut by = |op, n, at, code: &mut Code<Stream>| {
            let n = constant(code, &mut self.body, "n", Scalar::Index(n));
            let expr = Expr::Compute(Compute::Arith(Arith::Binary(op, at, n)));
            define(code, &mut self.body, "at", Type::INDEX, expr)
        };
        if self.plan.lower != 0 {
            at = by(BinaryOp::Sub, self.plan.lower, at, code);
        }
        if self.inner.step != 1 {
            at = by(BinaryOp::Div, self.inner.step, at, code);
        }
        self.at = Some(at);
        at
    }

    /// A value that is what a stream would be; streams are made from ones further up in the body.
    fn computed(&mut self, stream: Stream, code: &mut Code<Stream>) -> Value {
        let mut needed: HashSet<Stream> = HashSet::from_iter([stream]);
        for def in self.inner.body.streams.iter().rev() {
            if needed.contains(&def.stream) {
                needed.extend(def.expr.operands().into_iter().copied());
            }
        }
        for def in &self.inner.body.streams {
            let StreamExpr::Compute(compute) = &def.expr else {
                continue;
            };
            if !needed.contains(&def.stream) || self.known.contains_key(&def.stream) {
                continue;
            }
            for &operand in compute.operands() {
                if !self.known.contains_key(&operand) {
                    let data = &self.func.streams[operand];
                    let taken = value(code, &data.name.clone(), data.ty, Span::default());
                    self.before.push(Statement::Let(taken, Expr::Take(operand)));
                    self.known.insert(operand, taken);
                }
            }
            let expr = Expr::Compute(compute.map(|s| self.known_as(*s)));
            let data = &self.func.streams[def.stream];
            let made = define(code, &mut self.body, &data.name.clone(), data.ty, expr);
            self.known.insert(def.stream, made);
        }
        self.known_as(stream)
    }

    fn known_as(&self, stream: Stream) -> Value {
        self.known.get(&stream).copied().unwrap_or(self.position)
    }
}
