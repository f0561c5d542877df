//! Simplify: what is not needed goes, what is needed once is done once.
//!
//! * Arithmetic on constants is a constant; adding 0 and multiplying `index` by 1 is nothing; a bound that is a constant stream is a
//!   constant.
//! * A stream made from streams of bodies further out moves there, to the outermost loop that has them all. Arithmetic may always
//!   move. A read moves out of a loop only if the loop surely has a position: else it would read what is not read now.
//! * Of two equal streams, both visible, one goes. So does the second take of a stream, and the second of two equal computations
//!   in a code.
//! * Streams and values that nothing uses go, and callbacks and loops that then do nothing.
//!
//! Before:
//! ```text
//! slc.func @scaled {
//!   input %x: f32[8]
//!   input %w: f32[4]
//!   output %y: f32[4,8]
//!   slc.for %r = 0 to 4 step 1 {
//!     slc.for %i = 0 to 8 step 1 {
//!       %e = slc.mem_stream %x[%i]
//!       %unused = slc.mem_stream %x[%i]
//!       %f = slc.mem_stream %w[%r]
//!       %p = slc.alu_stream mul %e, %f
//!       slc.callback {
//!         %r_0 = slc.from_stream %r
//!         %i_0 = slc.from_stream %i
//!         %again = slc.from_stream %i
//!         %p_0 = slc.from_stream %p
//!         store %p_0, %y[%r_0, %again]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @scaled {
//!   input %x: f32[8]
//!   input %w: f32[4]
//!   output %y: f32[4,8]
//!   slc.for %r = 0 to 4 step 1 {
//!     %f = slc.mem_stream %w[%r]
//!     slc.for %i = 0 to 8 step 1 {
//!       %e = slc.mem_stream %x[%i]
//!       %p = slc.alu_stream mul %e, %f
//!       slc.callback {
//!         %r_0 = slc.from_stream %r
//!         %i_0 = slc.from_stream %i
//!         %p_0 = slc.from_stream %p
//!         store %p_0, %y[%r_0, %i_0]
//!       }
//!     }
//!   }
//! }
//! ```

use cranelift_entity::{EntitySet, SecondaryMap};
use hashbrown::HashMap;

use super::{Options, rewrite};
use crate::core::{Arith, BinaryOp, Bound, Code, Compute, Scalar, Value};
use crate::slc::{Body, Effect, Expr, Func, Loop, Statement, Step, Stream, StreamDef, StreamExpr};

pub(super) fn run(func: &mut Func, _: &Options) {
    fold(func);
    hoist(func);
    share(func);
    for_each_code(&mut func.body, &mut |code| {
        share_values(code);
        drop_values(code);
    });
    drop_streams(func);
    drop_steps(&mut func.body);
    // Bounds of loops that are gone.
    drop_streams(func);
}

/// Recursion is as deep as loops nest.
fn for_each_code(body: &mut Body, visit: &mut dyn FnMut(&mut Code<Stream>)) {
    for step in &mut body.steps {
        match step {
            Step::For(inner) => for_each_code(&mut inner.body, visit),
            Step::Callback(callback) => visit(&mut callback.code),
        }
    }
}

/// Folds constants.
fn fold(func: &mut Func) {
    let mut known: HashMap<Stream, Scalar> = HashMap::new();
    let mut same: HashMap<Stream, Stream> = HashMap::new();
    fold_body(&mut func.body, &mut known, &mut same);
    drop_defs(&mut func.body, &|stream| same.contains_key(&stream));
    rewrite::replace_streams(func, &same);
}

fn fold_body(
    body: &mut Body,
    known: &mut HashMap<Stream, Scalar>,
    same: &mut HashMap<Stream, Stream>,
) {
    for def in &mut body.streams {
        let renamed = def.expr.map(|s| same.get(s).copied().unwrap_or(*s));
        def.expr = renamed;
        let StreamExpr::Compute(Compute::Arith(arith)) = &def.expr else {
            continue;
        };
        if let Some(other) = unchanged(arith, known) {
            same.insert(def.stream, other);
        }
        let scalars = arith.try_map(|s| known.get(s).copied().ok_or(()));
        if let Ok(scalars) = scalars
            && let Ok(scalar) = scalars.evaluate()
        {
            known.insert(def.stream, scalar);
            def.expr = StreamExpr::Compute(Compute::Arith(Arith::Constant(scalar)));
        }
    }
    for step in &mut body.steps {
        let Step::For(inner) = step else {
            continue;
        };
        for bound in [&mut inner.lower, &mut inner.upper] {
            if let Bound::Value(stream) = bound
                && let Some(Scalar::Index(position)) = known.get(stream)
            {
                *bound = Bound::Constant(*position);
            }
        }
        fold_body(&mut inner.body, known, same);
    }
}

/// The operand that `index` arithmetic gives as it is.
fn unchanged(arith: &Arith<Stream>, known: &HashMap<Stream, Scalar>) -> Option<Stream> {
    let Arith::Binary(op, a, b) = arith else {
        return None;
    };
    let is = |s: &Stream, n: i64| known.get(s) == Some(&Scalar::Index(n));
    match op {
        BinaryOp::Add if is(b, 0) => Some(*a),
        BinaryOp::Add if is(a, 0) => Some(*b),
        BinaryOp::Sub if is(b, 0) => Some(*a),
        BinaryOp::Mul | BinaryOp::Div if is(b, 1) => Some(*a),
        BinaryOp::Mul if is(a, 1) => Some(*b),
        _ => None,
    }
}

/// Moves streams to the outermost body that they can stand in.
fn hoist(func: &mut Func) {
    let mut depth = SecondaryMap::new();
    let mut out = hoist_body(&mut func.body, 0, 0, &mut depth);
    // Nothing is further out than the function's own body.
    func.body.streams.append(&mut out.remove_at(0));
}

/// Streams that move out, by the depth that they move to.
#[derive(Default)]
struct Moving(Vec<(usize, StreamDef)>);

impl Moving {
    fn remove_at(&mut self, depth: usize) -> Vec<StreamDef> {
        let (here, further) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(to, _)| *to == depth);
        self.0 = further;
        here.into_iter().map(|(_, def)| def).collect()
    }
}

/// The body inside `level` loops; reads may move out to `sure` loops around.
fn hoist_body(
    body: &mut Body,
    level: usize,
    sure: usize,
    depth: &mut SecondaryMap<Stream, usize>,
) -> Moving {
    let mut moving = Moving::default();
    let mut stay = Vec::new();
    for def in std::mem::take(&mut body.streams) {
        let needs = def.expr.operands().into_iter().map(|s| depth[*s]).max();
        let needs = needs.unwrap_or(0);
        let to = match &def.expr {
            StreamExpr::Compute(_) => needs,
            StreamExpr::Mem { .. } => needs.max(sure),
            StreamExpr::Row(_, _) => level,
        };
        // The function's own body would be one more traversal unit around all others.
        let to = to.max(level.min(1));
        depth[def.stream] = to;
        if to < level {
            moving.0.push((to, def));
        } else {
            stay.push(def);
        }
    }
    body.streams = stay;
    for step in &mut body.steps {
        let Step::For(inner) = step else {
            continue;
        };
        depth[inner.induction] = level + 1;
        if let Some(mask) = inner.lanes.and_then(|lanes| lanes.mask) {
            depth[mask] = level + 1;
        }
        let runs = inner.positions().is_some_and(|positions| positions > 0);
        let sure = if runs { sure } else { level + 1 };
        let mut from_inside = hoist_body(&mut inner.body, level + 1, sure, depth);
        body.streams.append(&mut from_inside.remove_at(level));
        moving.0.append(&mut from_inside.0);
    }
    moving
}

/// Of equal streams keeps the one that is seen first.
fn share(func: &mut Func) {
    let mut same = HashMap::new();
    let mut seen = Vec::new();
    share_body(&func.body, &mut seen, &mut same);
    drop_defs(&mut func.body, &|stream| same.contains_key(&stream));
    rewrite::replace_streams(func, &same);
}

fn share_body(
    body: &Body,
    seen: &mut Vec<(StreamExpr, Stream)>,
    same: &mut HashMap<Stream, Stream>,
) {
    let outside = seen.len();
    for def in &body.streams {
        let expr = def.expr.map(|s| same.get(s).copied().unwrap_or(*s));
        if let StreamExpr::Row(_, _) = expr {
            continue;
        }
        match seen.iter().find(|(other, _)| *other == expr) {
            Some(&(_, first)) => {
                same.insert(def.stream, first);
            }
            None => seen.push((expr, def.stream)),
        }
    }
    for inner in body.loops() {
        share_body(&inner.body, seen, same);
    }
    seen.truncate(outside);
}

fn drop_defs(body: &mut Body, gone: &dyn Fn(Stream) -> bool) {
    body.streams.retain(|def| !gone(def.stream));
    for step in &mut body.steps {
        if let Step::For(inner) = step {
            drop_defs(&mut inner.body, gone);
        }
    }
}

/// Drops streams that nothing uses, and rows that are not taken.
fn drop_streams(func: &mut Func) {
    let mut used = EntitySet::new();
    let mut left: Vec<Stream> = Vec::new();
    let mut made_from: SecondaryMap<Stream, Vec<Stream>> = SecondaryMap::new();
    for body in func.bodies() {
        for def in &body.streams {
            let operands = def.expr.operands().into_iter().copied();
            made_from[def.stream].extend(operands);
        }
        for effect in &body.effects {
            match effect {
                // What is appended is used if the row is.
                Effect::ToBuffer { row, .. } => {
                    made_from[*row].extend(effect.operands().into_iter().copied());
                }
                Effect::Store { .. } => left.extend(effect.operands().into_iter().copied()),
            }
        }
        for inner in body.loops() {
            let Loop { lower, upper, .. } = inner;
            left.extend([lower, upper].into_iter().filter_map(|bound| bound.value()));
        }
        for callback in body.callbacks() {
            left.extend(callback.code.takes().map(|(_, stream)| *stream));
        }
    }
    while let Some(stream) = left.pop() {
        if used.insert(stream) {
            left.extend(&made_from[stream]);
        }
    }
    drop_unused(&mut func.body, &used);
}

fn drop_unused(body: &mut Body, used: &EntitySet<Stream>) {
    body.streams.retain(|def| used.contains(def.stream));
    body.effects.retain(|effect| match effect {
        Effect::ToBuffer { row, .. } => used.contains(*row),
        Effect::Store { .. } => true,
    });
    for step in &mut body.steps {
        if let Step::For(inner) = step {
            drop_unused(&mut inner.body, used);
        }
    }
}

/// Callbacks that do nothing go, then loops that do nothing; callbacks that then stand side by side are one.
fn drop_steps(body: &mut Body) {
    let mut steps: Vec<Step> = Vec::with_capacity(body.steps.len());
    for mut step in std::mem::take(&mut body.steps) {
        match &mut step {
            Step::For(inner) => {
                drop_steps(&mut inner.body);
                if inner.body.steps.is_empty() && inner.body.effects.is_empty() {
                    continue;
                }
            }
            Step::Callback(callback) => {
                if callback.code.body.is_empty() {
                    continue;
                }
                if let Some(Step::Callback(before)) = steps.last_mut() {
                    rewrite::append(&mut before.code, &callback.code);
                    continue;
                }
            }
        }
        steps.push(step);
    }
    body.steps = steps;
}

/// Of equal takes and computations keeps the first.
fn share_values(code: &mut Code<Stream>) {
    let mut same = HashMap::new();
    let mut seen = Vec::new();
    share_block(&mut code.body, &mut seen, &mut same);
}

fn share_block(
    block: &mut Vec<Statement>,
    seen: &mut Vec<(Expr, Value)>,
    same: &mut HashMap<Value, Value>,
) {
    let outside = seen.len();
    rewrite::replace_values(block, same);
    let mut kept = Vec::with_capacity(block.len());
    for mut statement in std::mem::take(block) {
        rewrite::replace_values(std::slice::from_mut(&mut statement), same);
        match &mut statement {
            Statement::Let(value, expr) => {
                let pure = match expr {
                    Expr::Take(_) | Expr::Compute(_) | Expr::Element { .. } => true,
                    // What is loaded may have been stored in between.
                    Expr::Load(_) => false,
                    Expr::Reduce { .. } => true,
                };
                if pure {
                    if let Some((_, first)) = seen.iter().find(|(other, _)| other == expr) {
                        same.insert(*value, *first);
                        continue;
                    }
                    seen.push((expr.clone(), *value));
                }
            }
            Statement::If {
                then, otherwise, ..
            } => {
                share_block(then, seen, same);
                share_block(otherwise, seen, same);
            }
            Statement::For(inner) => share_block(&mut inner.body, seen, same),
            Statement::Store { .. } => {}
        }
        kept.push(statement);
    }
    *block = kept;
    seen.truncate(outside);
}

/// Drops definitions that nothing uses, and blocks without a statement.
fn drop_values(code: &mut Code<Stream>) {
    loop {
        let mut used = EntitySet::new();
        for statement in code.statements() {
            for value in statement.operands() {
                used.insert(value);
            }
        }
        let mut changed = false;
        drop_block(&mut code.body, &used, &mut changed);
        if !changed {
            return;
        }
    }
}

fn drop_block(block: &mut Vec<Statement>, used: &EntitySet<Value>, changed: &mut bool) {
    let before = block.len();
    for statement in block.iter_mut() {
        match statement {
            Statement::If {
                then, otherwise, ..
            } => {
                drop_block(then, used, changed);
                drop_block(otherwise, used, changed);
            }
            Statement::For(inner) => drop_block(&mut inner.body, used, changed),
            Statement::Let(_, _) | Statement::Store { .. } => {}
        }
    }
    block.retain(|statement| match statement {
        Statement::Let(value, _) => used.contains(*value),
        Statement::Store { .. } => true,
        Statement::If {
            then, otherwise, ..
        } => !then.is_empty() || !otherwise.is_empty(),
        Statement::For(inner) => !inner.body.is_empty(),
    });
    *changed |= block.len() != before;
}
