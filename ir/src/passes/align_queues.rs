//! Align queues (O3): the execute unit counts what it can count, so that no index is in the data queue.
//!
//! A stream is *countable* if it is the position of a loop with a constant lower bound, a constant, or arithmetic, `broadcast` or `lanes`
//! of countable streams. A callback that takes one computes it instead, from a counter for each position: a temporary of rank 0
//! that starts as the lower bound. Whatever fires last in an iteration of the loop adds the step; whatever fires behind the loop
//! sets it back, unless the loop is in no other and so runs once. Where no callback is in that place, one is made, for a
//! token each. A position behind a lower bound that is not constant, or of a loop that is dealt to cores, stays an operand.
//!
//! Before:
//! ```text
//! slc.func @sums {
//!   input %x: f32[4,8]
//!   output %y: f32[4] = 0.0
//!   slc.for %b = 0 to 4 step 1 {
//!     slc.for %i = 0 to 8 step 1 {
//!       %e = slc.mem_stream %x[%b, %i]
//!       slc.callback {
//!         %b_0 = slc.from_stream %b
//!         %e_0 = slc.from_stream %e
//!         %old = load %y[%b_0]
//!         %new = add %old, %e_0
//!         store %new, %y[%b_0]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @sums {
//!   input %x: f32[4,8]
//!   output %y: f32[4] = 0.0
//!   temp %b_count: s64[] = 0
//!   slc.for %b = 0 to 4 step 1 {
//!     slc.for %i = 0 to 8 step 1 {
//!       %e = slc.mem_stream %x[%b, %i]
//!       slc.callback {
//!         %counted = load %b_count[]
//!         %b_0 = convert %counted to index
//!         %e_0 = slc.from_stream %e
//!         %old = load %y[%b_0]
//!         %new = add %old, %e_0
//!         store %new, %y[%b_0]
//!       }
//!     }
//!     slc.callback {
//!       %counted = load %b_count[]
//!       %step = constant 1: s64
//!       %next = add %counted, %step
//!       store %next, %b_count[]
//!     }
//!   }
//! }
//! ```

use cranelift_entity::SecondaryMap;
use hashbrown::HashMap;

use super::Options;
use super::rewrite::{self, Definition, constant, define};
use crate::core::text::Names;
use crate::core::{
    Access, Arith, BinaryOp, Bound, Buffer, BufferId, Code, CompareOp, Compute, ElementType, Init,
    Role, Scalar, ScalarType, Span, Type, Value,
};
use crate::slc::{Body, Callback, Expr, Func, Statement, Step, Stream, StreamExpr};

const S64: ScalarType = ScalarType::Element(ElementType::S64);

pub(super) fn run(func: &mut Func, _: &Options) {
    let mut pass = Pass {
        definitions: rewrite::definitions(func),
        names: rewrite::names(func),
        countable: HashMap::new(),
        counters: HashMap::new(),
    };
    let mut body = std::mem::take(&mut func.body);
    pass.take(&mut body, func);
    pass.count(&mut body, true);
    func.body = body;
}

struct Pass {
    definitions: SecondaryMap<Stream, Option<Definition>>,
    names: Names,
    countable: HashMap<Stream, bool>,
    /// The counter of each position that a callback needs.
    counters: HashMap<Stream, BufferId>,
}

impl Pass {
    /// Replaces takes by what is computed from counters; recursion is as deep as loops nest.
    fn take(&mut self, body: &mut Body, func: &mut Func) {
        for step in &mut body.steps {
            match step {
                Step::For(inner) => self.take(&mut inner.body, func),
                Step::Callback(callback) => self.callback(callback, func),
            }
        }
    }

    fn callback(&mut self, callback: &mut Callback, func: &mut Func) {
        let code = &mut callback.code;
        let mut known = HashMap::new();
        let mut statements = Vec::with_capacity(code.body.len());
        for statement in std::mem::take(&mut code.body) {
            match statement {
                Statement::Let(value, Expr::Take(stream)) if self.is_countable(stream) => {
                    let expr = self.expr(stream, code, &mut statements, &mut known, func);
                    known.insert(stream, value);
                    statements.push(Statement::Let(value, expr));
                }
                other => statements.push(other),
            }
        }
        code.body = statements;
    }

    /// Streams are made from streams defined before them, so the walk ends; their number bounds its depth, which is why
    /// it keeps its own stack.
    fn is_countable(&mut self, stream: Stream) -> bool {
        let mut left = vec![stream];
        while let Some(&next) = left.last() {
            if self.countable.contains_key(&next) {
                left.pop();
                continue;
            }
            let needs: Vec<Stream> = match &self.definitions[next] {
                Some(Definition::Line(StreamExpr::Compute(compute))) => {
                    compute.operands().into_iter().copied().collect()
                }
                Some(Definition::Mask(shape)) => vec![shape.induction],
                Some(Definition::Position(_) | Definition::Line(_)) | None => Vec::new(),
            };
            let unknown: Vec<Stream> = needs
                .iter()
                .copied()
                .filter(|s| !self.countable.contains_key(s))
                .collect();
            if !unknown.is_empty() {
                left.extend(unknown);
                continue;
            }
            let all = needs.iter().all(|s| self.countable.get(s) == Some(&true));
            let countable = match &self.definitions[next] {
                // A core has some of the positions only: it cannot count them.
                Some(Definition::Position(shape)) => {
                    matches!(shape.lower, Bound::Constant(_)) && shape.hints.cores.is_none()
                }
                Some(Definition::Mask(shape)) => {
                    all && matches!(shape.upper, Bound::Constant(_)) && shape.lanes.is_some()
                }
                Some(Definition::Line(StreamExpr::Compute(_))) => all,
                Some(Definition::Line(StreamExpr::Mem { .. } | StreamExpr::Row(_, _))) | None => {
                    false
                }
            };
            self.countable.insert(next, countable);
            left.pop();
        }
        self.countable.get(&stream) == Some(&true)
    }

    /// What a countable stream is, made of values in front of it.
    fn expr(
        &mut self,
        stream: Stream,
        code: &mut Code<Stream>,
        into: &mut Vec<Statement>,
        known: &mut HashMap<Stream, Value>,
        func: &mut Func,
    ) -> Expr {
        // Everything that it is made from, innermost first.
        let mut order = Vec::new();
        let mut left = vec![stream];
        while let Some(next) = left.pop() {
            if next != stream && known.contains_key(&next) {
                continue;
            }
            order.push(next);
            match &self.definitions[next] {
                Some(Definition::Line(StreamExpr::Compute(compute))) => {
                    left.extend(compute.operands().into_iter().copied());
                }
                Some(Definition::Mask(shape)) => left.push(shape.induction),
                Some(Definition::Position(_) | Definition::Line(_)) | None => {}
            }
        }
        for &inner in order.iter().rev() {
            if inner == stream || known.contains_key(&inner) {
                continue;
            }
            let expr = self.one(inner, code, into, known, func);
            let data = &func.streams[inner];
            let value = define(code, into, &data.name.clone(), data.ty, expr);
            known.insert(inner, value);
        }
        self.one(stream, code, into, known, func)
    }

    /// What a countable stream is, made of known values.
    fn one(
        &mut self,
        stream: Stream,
        code: &mut Code<Stream>,
        into: &mut Vec<Statement>,
        known: &HashMap<Stream, Value>,
        func: &mut Func,
    ) -> Expr {
        let of = |s: Stream| known.get(&s).copied().unwrap_or(Value::from_u32(0));
        match self.definitions[stream].clone() {
            Some(Definition::Line(StreamExpr::Compute(compute))) => {
                Expr::Compute(compute.map(|&s| of(s)))
            }
            Some(Definition::Mask(shape)) => {
                let lanes = shape.lanes.unwrap_or(1);
                let many = Type::Vector(ScalarType::Index, lanes);
                let base = of(shape.induction);
                let step = shape.step;
                let at = Expr::Compute(Compute::Lanes { base, step, lanes });
                let at = define(code, into, "lanes", many, at);
                let upper = match shape.upper {
                    Bound::Constant(upper) => upper,
                    Bound::Value(_) => i64::MAX,
                };
                let value = constant(code, into, "upper", Scalar::Index(upper));
                let upper = Expr::Compute(Compute::Broadcast { value, lanes });
                let upper = define(code, into, "uppers", many, upper);
                Expr::Compute(Compute::Arith(Arith::Compare(CompareOp::Lt, at, upper)))
            }
            Some(Definition::Position(_) | Definition::Line(_)) | None => {
                let counter = self.counter(stream, func);
                let load = Expr::Load(Access::element(counter, Vec::new()));
                let counted = define(code, into, "counted", S64.into(), load);
                Expr::Compute(Compute::Arith(Arith::Convert(counted, ScalarType::Index)))
            }
        }
    }

    fn counter(&mut self, position: Stream, func: &mut Func) -> BufferId {
        if let Some(&counter) = self.counters.get(&position) {
            return counter;
        }
        let lower = match &self.definitions[position] {
            Some(Definition::Position(shape)) => match shape.lower {
                Bound::Constant(lower) => lower,
                Bound::Value(_) => 0,
            },
            Some(Definition::Mask(_) | Definition::Line(_)) | None => 0,
        };
        let name = format!("{}_count", func.streams[position].name);
        let counter = func.buffers.push(Buffer {
            name: self.names.fresh(&name),
            element: ElementType::S64,
            dims: Vec::new(),
            role: Role::Temp(Init::Splat(Scalar::S64(lower))),
            sorted: false,
            span: Span::default(),
        });
        self.counters.insert(position, counter);
        counter
    }

    /// Steps the counters and sets them back; recursion is as deep as loops nest.
    fn count(&self, body: &mut Body, root: bool) {
        let mut at = 0;
        while at < body.steps.len() {
            let Some(Step::For(inner)) = body.steps.get_mut(at) else {
                at += 1;
                continue;
            };
            self.count(&mut inner.body, false);
            at += 1;
            let Some(&counter) = self.counters.get(&inner.induction) else {
                continue;
            };
            let (step, lanes) = (inner.step, inner.lanes.map(|lanes| lanes.count));
            // What fires last in an iteration is its last step, if that is a callback.
            let steps = &inner.body.steps;
            let end = match steps.last() {
                Some(Step::Callback(_)) => steps.len() - 1,
                Some(Step::For(_)) | None => steps.len(),
            };
            let lower = inner.lower;
            change_callback(&mut inner.body, end, |code| {
                step_counter(counter, step, lanes, code);
            });
            if !root && let Bound::Constant(lower) = lower {
                change_callback(body, at, |code| set_counter(counter, lower, code));
            }
        }
    }
}

/// Changes the callback that is step `at`; one is made if there is none.
fn change_callback(body: &mut Body, at: usize, change: impl FnOnce(&mut Code<Stream>)) {
    match body.steps.get_mut(at) {
        Some(Step::Callback(callback)) => change(&mut callback.code),
        Some(Step::For(_)) | None => {
            let mut callback = Callback::default();
            change(&mut callback.code);
            let at = at.min(body.steps.len());
            body.steps.insert(at, Step::Callback(callback));
        }
    }
}

fn step_counter(counter: BufferId, step: i64, lanes: Option<u32>, code: &mut Code<Stream>) {
    let mut body = std::mem::take(&mut code.body);
    let place = Access::element(counter, Vec::new());
    let load = Expr::Load(place.clone());
    let counted = define(code, &mut body, "counted", S64.into(), load);
    // Beyond the largest number there is no position.
    let step = step.wrapping_mul(lanes.unwrap_or(1).into());
    let step = constant(code, &mut body, "step", Scalar::S64(step));
    let next = Expr::Compute(Compute::Arith(Arith::Binary(BinaryOp::Add, counted, step)));
    let next = define(code, &mut body, "next", S64.into(), next);
    body.push(Statement::Store {
        value: next,
        access: place,
        span: Span::default(),
    });
    code.body = body;
}

fn set_counter(counter: BufferId, lower: i64, code: &mut Code<Stream>) {
    let mut body = std::mem::take(&mut code.body);
    let first = constant(code, &mut body, "first", Scalar::S64(lower));
    body.push(Statement::Store {
        value: first,
        access: Access::element(counter, Vec::new()),
        span: Span::default(),
    });
    code.body = body;
}
