//! Checks the numbered rules of the [module documentation](super).

use hashbrown::HashSet;

use super::{Body, Bound, Effect, Func, Loop, MAX_DEPTH, Step, Stream, StreamExpr};
use crate::core::check::{Checker, Scope};
use crate::core::code::{self, check_lane_loop};
use crate::core::compute::positions;
use crate::core::rows;
use crate::core::stream::{Rules, check_effect, check_exclusive, check_stream};
use crate::core::{Diagnostics, Ir as _, Lanes, Type};

const NAMES: u32 = 1;
const BUFFERS: u32 = 2;
const SCOPE: u32 = 3;
const TYPES: u32 = 4;
const ACCESS: u32 = 5;
const LOOP: u32 = 6;
const ROLE: u32 = 7;
const EVENT: u32 = 8;
const ROWS: u32 = 9;
const DEPTH: u32 = 10;
const EXCLUSIVE: u32 = 11;
const HINTS: u32 = 12;

const RULES: Rules = Rules {
    types: TYPES,
    access: ACCESS,
    role: ROLE,
};

/// All rules that a program breaks.
pub(super) fn verify(func: &Func) -> Result<(), Diagnostics> {
    let mut checker = Checker::new(Func::NAME, &func.buffers);
    let names = checker.program_names(NAMES, &func.name);
    checker.buffers(BUFFERS);
    let mut verifier = Verifier {
        checker,
        names,
        streams: Scope::new(&func.streams, NAMES, SCOPE),
    };
    verifier.body(&func.body, 0);
    let Verifier {
        streams,
        mut checker,
        ..
    } = verifier;
    streams.finish(&mut checker);
    let bodies = func.bodies();
    let effects = bodies.iter().flat_map(|body| &body.effects);
    let codes = bodies.iter().flat_map(|body| body.callbacks());
    let codes = codes.map(|callback| &callback.code);
    check_exclusive(EXCLUSIVE, effects, codes, &mut checker);
    checker.finish()?;
    // What is not well formed so far cannot be counted.
    let mut checker = Checker::new(Func::NAME, &func.buffers);
    let name = |stream| code::name(&func.streams, stream);
    rows::check(ROWS, &row_steps(func, &func.body), &mut checker, &name);
    checker.finish()
}

/// What one iteration does to rows.
fn row_steps(func: &Func, body: &Body) -> Vec<rows::Step<Stream>> {
    let mut steps = Vec::new();
    for def in &body.streams {
        if let StreamExpr::Row(_, elements) = def.expr {
            steps.push(rows::Step::New {
                row: def.stream,
                elements,
                span: func.streams[def.stream].span,
            });
        }
    }
    for effect in &body.effects {
        if let Effect::ToBuffer {
            stream,
            row,
            mask,
            span,
        } = effect
        {
            steps.push(rows::Step::Append {
                row: *row,
                lanes: func.streams[*stream].ty.lanes(),
                mask: *mask,
                span: *span,
            });
        }
    }
    for step in &body.steps {
        match step {
            Step::For(inner) => steps.push(rows::Step::Loop {
                positions: inner.positions(),
                lanes: inner.lanes.map(|lanes| lanes.count),
                mask: inner.lanes.and_then(|lanes| lanes.mask),
                body: row_steps(func, &inner.body),
            }),
            Step::Callback(callback) => {
                for (value, &row) in callback.code.takes() {
                    if let Type::Row(_, _) = func.streams[row].ty {
                        let span = callback.code.values[value].span;
                        steps.push(rows::Step::Take { row, span });
                    }
                }
            }
        }
    }
    steps
}

impl Loop {
    /// The number of positions, if the bounds are constant.
    pub fn positions(&self) -> Option<u64> {
        match (self.lower, self.upper) {
            (Bound::Constant(lower), Bound::Constant(upper)) => {
                Some(positions(lower, upper, self.step))
            }
            (Bound::Value(_), _) | (_, Bound::Value(_)) => None,
        }
    }
}

struct Verifier<'a> {
    checker: Checker<'a>,
    /// Names that can be seen.
    names: HashSet<&'a str>,
    streams: Scope<'a, Stream>,
}

impl<'a> Verifier<'a> {
    fn body(&mut self, body: &'a Body, depth: usize) {
        let outside = self.streams.visible();
        for def in &body.streams {
            let span = self.streams.span(def.stream);
            let streams = &self.streams;
            let used = |stream: Stream, checker: &mut Checker<'_>| {
                let data = streams.used(stream, span, checker)?;
                Some((data.name.clone(), data.ty))
            };
            let ty = check_stream(&def.expr, RULES, span, &mut self.checker, used);
            self.define(def.stream, ty);
        }
        for effect in &body.effects {
            let streams = &self.streams;
            check_effect(effect, RULES, &mut self.checker, |stream, checker| {
                let data = streams.used(stream, effect.span(), checker)?;
                Some((data.name.clone(), data.ty))
            });
        }
        for (at, step) in body.steps.iter().enumerate() {
            match step {
                Step::For(inner) => self.traversal(inner, depth),
                Step::Callback(callback) => {
                    let before = at.checked_sub(1).and_then(|at| body.steps.get(at));
                    if let Some(Step::Callback(_)) = before {
                        let sentence = "two callbacks side by side would be one event";
                        self.checker.broken(EVENT, callback.span, sentence);
                    }
                    let streams = &self.streams;
                    code::verify(
                        &callback.code,
                        &mut self.names,
                        depth,
                        &mut self.checker,
                        |stream, data, checker| {
                            let taken = checker.within(Func::NAME, |checker| {
                                streams.used(*stream, data.span, checker)
                            })?;
                            Some(taken.ty)
                        },
                    );
                }
            }
        }
        self.streams.leave(outside, &mut self.names);
    }

    fn define(&mut self, stream: Stream, ty: Option<Type>) {
        let defined = self
            .streams
            .define(stream, &mut self.names, &mut self.checker);
        if let (Some(data), Some(ty)) = (defined, ty) {
            self.checker.has_type(TYPES, data, ty, data.span);
        }
    }

    fn traversal(&mut self, inner: &'a Loop, depth: usize) {
        for bound in [inner.lower, inner.upper] {
            if let Bound::Value(stream) = bound
                && let Some(data) = self.streams.used(stream, inner.span, &mut self.checker)
            {
                self.checker.has_type(LOOP, data, Type::INDEX, inner.span);
            }
        }
        check_lane_loop(
            LOOP,
            [inner.lower, inner.upper],
            inner.step,
            inner.lanes,
            inner.span,
            &mut self.checker,
        );
        inner
            .hints
            .check(HINTS, depth == 0, inner.span, &mut self.checker);
        if depth >= MAX_DEPTH {
            let sentence = format!("loops and blocks are nested more than {MAX_DEPTH} deep");
            return self.checker.broken(DEPTH, inner.span, sentence);
        }
        let outside = self.streams.visible();
        self.define(inner.induction, Some(Type::INDEX));
        if let Some(Lanes {
            count,
            mask: Some(mask),
        }) = inner.lanes
        {
            self.define(mask, Some(Type::Vector(Type::BOOL.scalar(), count)));
        }
        self.body(&inner.body, depth + 1);
        self.streams.leave(outside, &mut self.names);
    }
}
