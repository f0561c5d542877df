//! Vectorise (O1): an innermost loop takes [`Options::lanes`] positions at a time.
//!
//! A loop becomes one of lanes if it holds no loop and its positions do not interfere. Streams do not: they read inputs. Of the callback, what
//! depends on the position becomes a vector, the rest stays scalar; and for each buffer that it stores to, either
//!
//! * every access to the buffer has the position, plain, as the same index: then no two lanes touch one element; or
//! * the callback loads one element, whose place does not depend on the position, combines something into it, and stores it
//!   back: then the lanes are combined in their order by `reduce`. The operation is associative and commutative, and what is in the
//!   buffer stands first, as in `reduce`.
//!
//! Otherwise the loop stays scalar. `scf.if` on a condition that differs between lanes becomes masks. Where the position is the last index of
//! an access, and no other index depends on it, the access is contiguous; else it has an index for each lane.
//!
//! Before:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,20]
//!   input %ids: s32[10]
//!   output %out: f32[20] = 0.0
//!   slc.for %l = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     slc.for %d = 0 to 20 step 1 {
//!       %x = slc.mem_stream %table[%row, %d]
//!       slc.callback {
//!         %d_0 = slc.from_stream %d
//!         %x_0 = slc.from_stream %x
//!         %old = load %out[%d_0]
//!         %new = add %old, %x_0
//!         store %new, %out[%d_0]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,20]
//!   input %ids: s32[10]
//!   output %out: f32[20] = 0.0
//!   slc.for %l = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     slcv.for<8> %d = 0 to 20 step 1 mask %d_mask {
//!       %x = slcv.mem_stream<8> %table[%row, %d] mask %d_mask
//!       slc.callback {
//!         %mask = slc.from_stream %d_mask
//!         %d_0 = slc.from_stream %d
//!         %x_0 = slc.from_stream %x
//!         %old = load<8> %out[%d_0] mask %mask
//!         %new = add %old, %x_0
//!         store<8> %new, %out[%d_0] mask %mask
//!       }
//!     }
//!   }
//! }
//! ```

mod code;
mod legal;

use cranelift_entity::SecondaryMap;
use hashbrown::HashMap;

use super::{Options, rewrite};
use crate::core::text::Names;
use crate::core::{Access, Compute, Lanes, Span, Type};
use crate::slc::{Body, Effect, Func, Loop, Step, Stream, StreamDef, StreamExpr};

use legal::Legal;

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut names = rewrite::names(func);
    let mut body = std::mem::take(&mut func.body);
    visit(&mut body, func, &mut names, options.lanes);
    func.body = body;
}

/// Recursion is as deep as loops nest.
fn visit(body: &mut Body, func: &mut Func, names: &mut Names, lanes: u32) {
    for step in &mut body.steps {
        let Step::For(inner) = step else {
            continue;
        };
        if inner.body.loops().next().is_some() {
            visit(&mut inner.body, func, names, lanes);
        } else if let Some(legal) = Legal::new(inner, func) {
            apply(inner, legal, func, names, lanes);
        }
    }
}

/// How an access of a loop of lanes is made.
fn lanes_of<V: Copy + PartialEq>(
    access: &Access<V>,
    position: impl Fn(V) -> bool,
    varies: impl Fn(V) -> bool,
    step: i64,
) -> Shape {
    let Some((&last, others)) = access.indices.split_last() else {
        return Shape::Scalar;
    };
    if !access.indices.iter().any(|&index| varies(index)) {
        return Shape::Scalar;
    }
    if position(last) && step == 1 && !others.iter().any(|&index| varies(index)) {
        return Shape::Contiguous;
    }
    Shape::Each
}

/// Where the lanes of an access are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// All lanes at one place.
    Scalar,
    /// Side by side along the last dimension.
    Contiguous,
    /// Each lane has its own index.
    Each,
}

fn apply(inner: &mut Loop, legal: Legal, func: &mut Func, names: &mut Names, count: u32) {
    let full = inner
        .positions()
        .is_some_and(|positions| positions % u64::from(count) == 0);
    let mask = (!full).then(|| {
        let name = format!("{}_mask", func.streams[inner.induction].name);
        let ty = Type::Vector(Type::BOOL.scalar(), count);
        rewrite::stream(func, names, &name, ty, inner.span)
    });
    let lanes = Lanes { count, mask };
    let mut streams = Streams {
        func,
        names,
        inner: (inner.induction, inner.step),
        lanes,
        varies: &legal.streams,
        vectors: HashMap::new(),
        defs: Vec::new(),
    };
    for def in std::mem::take(&mut inner.body.streams) {
        streams.define(def);
    }
    for effect in &mut inner.body.effects {
        if let Effect::Store { stream, access, .. } = effect {
            *stream = streams.vector(*stream);
            *access = streams.access(access);
        }
    }
    inner.body.streams = streams.defs;
    for step in &mut inner.body.steps {
        if let Step::Callback(callback) = step {
            callback.code = code::vectorise(&callback.code, &legal, inner.step, lanes);
        }
    }
    inner.lanes = Some(lanes);
}

/// The streams of a loop that becomes one of lanes.
struct Streams<'f> {
    func: &'f mut Func,
    names: &'f mut Names,
    /// Position and step of the loop.
    inner: (Stream, i64),
    lanes: Lanes<Stream>,
    varies: &'f SecondaryMap<Stream, bool>,
    /// The vector of what is scalar.
    vectors: HashMap<Stream, Stream>,
    defs: Vec<StreamDef>,
}

impl Streams<'_> {
    fn define(&mut self, def: StreamDef) {
        let StreamDef { stream, expr } = def;
        if !self.varies[stream] {
            self.defs.push(StreamDef { stream, expr });
            return;
        }
        let expr = match expr {
            StreamExpr::Mem { access, hints } => StreamExpr::Mem {
                access: self.access(&access),
                hints,
            },
            StreamExpr::Compute(Compute::Arith(arith)) => {
                StreamExpr::Compute(Compute::Arith(arith.map(|&s| self.vector(s))))
            }
            // Not of a loop that is vectorised.
            StreamExpr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. })
            | StreamExpr::Row(_, _) => expr,
        };
        if let Some(data) = self.func.streams.get_mut(stream) {
            data.ty = Type::Vector(data.ty.scalar(), self.lanes.count);
        }
        self.defs.push(StreamDef { stream, expr });
    }

    fn access(&mut self, access: &Access<Stream>) -> Access<Stream> {
        let (position, step) = self.inner;
        let varies = self.varies;
        let shape = lanes_of(access, |s| s == position, |s| varies[s], step);
        let indices = match shape {
            Shape::Scalar | Shape::Contiguous => access.indices.clone(),
            Shape::Each => access
                .indices
                .iter()
                .map(|&s| if varies[s] { self.vector(s) } else { s })
                .collect(),
        };
        Access {
            buffer: access.buffer,
            indices,
            lanes: (shape != Shape::Scalar).then_some(self.lanes),
        }
    }

    /// A stream that has, for each lane, what `stream` has there.
    fn vector(&mut self, stream: Stream) -> Stream {
        let (position, step) = self.inner;
        if self.varies[stream] && stream != position {
            return stream;
        }
        if let Some(&vector) = self.vectors.get(&stream) {
            return vector;
        }
        let lanes = self.lanes.count;
        let (expr, suffix) = if stream == position {
            let base = stream;
            (Compute::Lanes { base, step, lanes }, "lanes")
        } else {
            let value = stream;
            (Compute::Broadcast { value, lanes }, "all")
        };
        let data = &self.func.streams[stream];
        let (name, ty) = (format!("{}_{suffix}", data.name), data.ty);
        let ty = Type::Vector(ty.scalar(), lanes);
        let vector = rewrite::stream(self.func, self.names, &name, ty, Span::default());
        let expr = StreamExpr::Compute(expr);
        self.defs.push(StreamDef {
            stream: vector,
            expr,
        });
        self.vectors.insert(stream, vector);
        vector
    }
}
