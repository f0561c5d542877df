//! Accumulate: sums stay in the execute unit over a bag, and each element of an output is stored once for each bag.
//!
//! Of an output that starts as one value, let one callback load and store elements at positions of loops around it, and let some of
//! these loops not be among the positions: then the same elements are visited again and again. The outermost such loop is the
//! bag. The callback works on a temporary in place of the output, which has the dimensions whose positions are those of loops
//! inside the bag. Behind the bag, loops over these positions store the temporary's elements to the output and set them back. So
//! nothing is loaded at the begin of a bag: the temporary starts as the output does, since
//!
//! * all loops around the bag are among the positions: no element belongs to two bags;
//! * no other callback in or before the nest touches the output;
//! * loops inside the bag whose positions are used have constant bounds.
//!
//! Every element is computed by the same operations in the same order.
//!
//! Before:
//! ```text
//! slc.func @bags {
//!   input %table: f32[100,20]
//!   input %ids: s32[4,10]
//!   output %out: f32[4,20] = 0.0
//!   slc.for %b = 0 to 4 step 1 {
//!     slc.for %l = 0 to 10 step 1 {
//!       %id = slc.mem_stream %ids[%b, %l]
//!       %row = slc.alu_stream convert %id to index
//!       slc.for %d = 0 to 20 step 1 {
//!         %x = slc.mem_stream %table[%row, %d]
//!         slc.callback {
//!           %b_0 = slc.from_stream %b
//!           %d_0 = slc.from_stream %d
//!           %x_0 = slc.from_stream %x
//!           %old = load %out[%b_0, %d_0]
//!           %new = add %old, %x_0
//!           store %new, %out[%b_0, %d_0]
//!         }
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @bags {
//!   input %table: f32[100,20]
//!   input %ids: s32[4,10]
//!   output %out: f32[4,20] = 0.0
//!   temp %out_sum: f32[20] = 0.0
//!   slc.for %b = 0 to 4 step 1 {
//!     slc.for %l = 0 to 10 step 1 {
//!       %id = slc.mem_stream %ids[%b, %l]
//!       %row = slc.alu_stream convert %id to index
//!       slc.for %d = 0 to 20 step 1 {
//!         %x = slc.mem_stream %table[%row, %d]
//!         slc.callback {
//!           %b_0 = slc.from_stream %b
//!           %d_0 = slc.from_stream %d
//!           %x_0 = slc.from_stream %x
//!           %old = load %out_sum[%d_0]
//!           %new = add %old, %x_0
//!           store %new, %out_sum[%d_0]
//!         }
//!       }
//!     }
//!     slc.for %d_2 = 0 to 20 step 1 {
//!       slc.callback {
//!         %b_0 = slc.from_stream %b
//!         %d_0 = slc.from_stream %d_2
//!         %sum = load %out_sum[%d_0]
//!         store %sum, %out[%b_0, %d_0]
//!         %first = constant 0.0: f32
//!         store %first, %out_sum[%d_0]
//!       }
//!     }
//!   }
//! }
//! ```

use hashbrown::HashMap;

use super::Options;
use super::rewrite::{self, constant, define};
use crate::core::{
    Access, Buffer, BufferId, Code, Init, LoopHints, Role, Scalar, Span, Type, Value,
};
use crate::slc::{Body, Callback, Effect, Expr, Func, Loop, Statement, Step, Stream};

pub(super) fn run(func: &mut Func, _: &Options) {
    let outputs: Vec<BufferId> = func.buffers.keys().collect();
    for output in outputs {
        if let Some(plan) = Plan::new(func, output) {
            plan.apply(func);
        }
    }
}

/// An output that is accumulated.
struct Plan {
    output: BufferId,
    first: Scalar,
    /// The steps on the way to the callback, itself the last.
    path: Vec<usize>,
    /// How many loops are around the bag.
    bag: usize,
    /// The positions that the output is accessed at; those inside the bag with their loops, which are without body.
    positions: Vec<(Stream, Option<Loop>)>,
    /// The loops among them in the order in which they nest.
    nest: Vec<Stream>,
}

impl Plan {
    fn new(func: &Func, output: BufferId) -> Option<Plan> {
        let Role::Output(Init::Splat(first)) = func.buffers.get(output)?.role else {
            return None;
        };
        let stored = |effect: &Effect| match effect {
            Effect::Store { access, .. } => access.buffer == output,
            Effect::ToBuffer { .. } => false,
        };
        if func.bodies().iter().any(|b| b.effects.iter().any(stored)) {
            return None;
        }
        let mut paths = Vec::new();
        touching(&func.body, output, &mut Vec::new(), &mut paths);
        // In the order of the text: the first, and no other of its nest.
        let (first_path, others) = paths.split_first()?;
        let root = first_path.first()?;
        if others.iter().any(|other| other.first() == Some(root)) {
            return None;
        }
        let (loops, callback) = along(&func.body, first_path)?;
        let streams = places(&callback.code, output)?;
        let depth_of = |stream: &Stream| loops.iter().position(|l| l.induction == *stream);
        let depths: Vec<usize> = streams.iter().map(depth_of).collect::<Option<_>>()?;
        let bag = (0..loops.len()).find(|depth| !depths.contains(depth))?;
        let mut positions = Vec::new();
        for (at, (&stream, &depth)) in streams.iter().zip(&depths).enumerate() {
            let around = loops.get(depth)?;
            let counted = around.lanes.is_none() && around.positions().is_some();
            if depths.iter().take(at).any(|other| *other == depth) || depth > bag && !counted {
                return None;
            }
            let shape = (depth > bag).then(|| Loop {
                hints: LoopHints::default(),
                body: Body::default(),
                ..(*around).clone()
            });
            positions.push((stream, shape));
        }
        let inside = loops.iter().skip(bag).map(|l| l.induction);
        Some(Plan {
            output,
            first,
            bag,
            nest: inside.filter(|s| streams.contains(s)).collect(),
            positions,
            path: first_path.clone(),
        })
    }

    fn apply(&self, func: &mut Func) {
        let mut names = rewrite::names(func);
        let buffer = &func.buffers[self.output];
        let inside = |(_, shape): &&(Stream, Option<Loop>)| shape.is_some();
        let dims = buffer.dims.iter().zip(&self.positions);
        let sum = Buffer {
            name: names.fresh(&format!("{}_sum", buffer.name)),
            element: buffer.element,
            dims: dims
                .filter(|(_, p)| inside(p))
                .map(|(dim, _)| *dim)
                .collect(),
            role: Role::Temp(Init::Splat(self.first)),
            sorted: false,
            span: Span::default(),
        };
        let element = Type::Scalar(buffer.element.into());
        let sum = func.buffers.push(sum);
        if let Some(code) = code_at(&mut func.body, &self.path) {
            let kept: Vec<bool> = self.positions.iter().map(|p| inside(&p)).collect();
            redirect(&mut code.body, self.output, sum, &kept);
        }

        let mut code = Code::default();
        let mut body = Vec::new();
        let mut moved: HashMap<Stream, Stream> = HashMap::new();
        for (stream, shape) in &self.positions {
            if shape.is_some() {
                let name = func.streams[*stream].name.clone();
                let span = func.streams[*stream].span;
                let again = rewrite::stream(func, &mut names, &name, Type::INDEX, span);
                moved.insert(*stream, again);
            }
        }
        let mut all = Vec::new();
        let mut own = Vec::new();
        for (stream, shape) in &self.positions {
            let source = moved.get(stream).copied().unwrap_or(*stream);
            let name = format!("{}_0", func.streams[*stream].name);
            let take = Expr::Take(source);
            let value = define(&mut code, &mut body, &name, Type::INDEX, take);
            all.push(value);
            own.extend(shape.is_some().then_some(value));
        }
        let place = Access::element(sum, own);
        let load = Expr::Load(place.clone());
        let value = define(&mut code, &mut body, "sum", element, load);
        let store = |value, access, body: &mut Vec<Statement>| {
            let span = Span::default();
            body.push(Statement::Store {
                value,
                access,
                span,
            });
        };
        store(value, Access::element(self.output, all), &mut body);
        let first = constant(&mut code, &mut body, "first", self.first);
        store(first, place, &mut body);
        code.body = body;
        let mut step = Step::Callback(Callback {
            code,
            span: Span::default(),
        });
        for stream in self.nest.iter().rev() {
            let position = self.positions.iter().find(|(s, _)| s == stream);
            let Some(shape) = position.and_then(|(_, shape)| shape.as_ref()) else {
                continue;
            };
            step = Step::For(Loop {
                induction: moved.get(stream).copied().unwrap_or(*stream),
                body: Body {
                    steps: vec![step],
                    ..Body::default()
                },
                ..shape.clone()
            });
        }
        insert_behind(&mut func.body, &self.path, self.bag, step);
    }
}

/// The callbacks that touch a buffer, each as the steps on the way to it; recursion is as deep as loops nest.
fn touching(body: &Body, buffer: BufferId, way: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    for (at, step) in body.steps.iter().enumerate() {
        way.push(at);
        match step {
            Step::For(inner) => touching(&inner.body, buffer, way, found),
            Step::Callback(callback) => {
                if rewrite::accesses(&callback.code).any(|access| access.buffer == buffer) {
                    found.push(way.clone());
                }
            }
        }
        way.pop();
    }
}

/// The loops around the callback at the end of a way, and the callback.
fn along<'f>(mut body: &'f Body, path: &[usize]) -> Option<(Vec<&'f Loop>, &'f Callback)> {
    let mut loops = Vec::new();
    for &at in path {
        match body.steps.get(at)? {
            Step::For(inner) => {
                loops.push(inner);
                body = &inner.body;
            }
            Step::Callback(callback) => return Some((loops, callback)),
        }
    }
    None
}

fn code_at<'f>(mut body: &'f mut Body, path: &[usize]) -> Option<&'f mut Code<Stream>> {
    for &at in path {
        match body.steps.get_mut(at)? {
            Step::For(inner) => body = &mut inner.body,
            Step::Callback(callback) => return Some(&mut callback.code),
        }
    }
    None
}

/// The streams that are the indices of every access to a buffer, if all have the same and something is loaded and stored.
fn places(code: &Code<Stream>, buffer: BufferId) -> Option<Vec<Stream>> {
    let taken: HashMap<Value, Stream> = code.takes().map(|(v, s)| (v, *s)).collect();
    let mut found: Option<Vec<Stream>> = None;
    let (mut loads, mut stores) = (false, false);
    for statement in code.statements() {
        let access = match statement {
            Statement::Let(_, Expr::Load(access)) if access.buffer == buffer => {
                loads = true;
                access
            }
            Statement::Store { access, .. } if access.buffer == buffer => {
                stores = true;
                access
            }
            Statement::Let(_, _)
            | Statement::Store { .. }
            | Statement::If { .. }
            | Statement::For(_) => continue,
        };
        let indices = access.indices.iter().map(|v| taken.get(v).copied());
        let indices: Vec<Stream> = indices.collect::<Option<_>>()?;
        if access.lanes.is_some() || found.as_ref().is_some_and(|found| *found != indices) {
            return None;
        }
        found = Some(indices);
    }
    found.filter(|_| loads && stores)
}

/// Accesses another buffer in place of one, at some of the indices; recursion is as deep as blocks nest.
fn redirect(statements: &mut [Statement], from: BufferId, to: BufferId, kept: &[bool]) {
    let change = |access: &mut Access<Value>| {
        if access.buffer == from {
            access.buffer = to;
            let mut keep = kept.iter();
            access.indices.retain(|_| keep.next() == Some(&true));
        }
    };
    for statement in statements {
        match statement {
            Statement::Let(_, Expr::Load(access)) | Statement::Store { access, .. } => {
                change(access);
            }
            Statement::Let(_, _) => {}
            Statement::If {
                then, otherwise, ..
            } => {
                redirect(then, from, to, kept);
                redirect(otherwise, from, to, kept);
            }
            Statement::For(inner) => redirect(&mut inner.body, from, to, kept),
        }
    }
}

/// Inserts a step behind the loop that has `bag` loops around it on this way.
fn insert_behind(mut body: &mut Body, path: &[usize], bag: usize, step: Step) {
    for &at in path.iter().take(bag) {
        match body.steps.get_mut(at) {
            Some(Step::For(inner)) => body = &mut inner.body,
            Some(Step::Callback(_)) | None => return,
        }
    }
    let Some(at) = path.get(bag).map(|at| at + 1) else {
        return;
    };
    // One event, one callback.
    if let Step::Callback(mut first) = step {
        if let Some(Step::Callback(next)) = body.steps.get_mut(at) {
            rewrite::append(&mut first.code, &next.code);
            next.code = first.code;
        } else {
            body.steps
                .insert(at.min(body.steps.len()), Step::Callback(first));
        }
    } else {
        body.steps.insert(at.min(body.steps.len()), step);
    }
}
