//! Keep rows: a row that is the same at every position of a loop is sent once, and kept by the execute unit.
//!
//! Let a body state a row, and one loop in it fill the row, with what depends on nothing in the body. Then a row before the loop around the
//! body is filled instead, by a loop like that one, and a callback stores it in a temporary, which the callbacks of the body load from. What
//! is read is read before the loop, and even if the loop has no position; so either the loop surely has one, or the
//! indices are positions that lie in the input. What then nothing uses is for `simplify`.
//!
//! Before:
//! ```text
//! slc.func @scores {
//!   input %x: f32[4,16]
//!   input %lengths: s32[4]
//!   output %z: f32[4,16] = 0.0
//!   slc.for %v = 0 to 4 step 1 {
//!     %length = slc.mem_stream %lengths[%v]
//!     %end = slc.alu_stream convert %length to index
//!     slc.for %p = 0 to %end step 1 {
//!       %x_row = slcv.buf_stream [16 x f32]
//!       slcv.for<8> %d = 0 to 16 step 1 {
//!         %e = slcv.mem_stream<8> %x[%v, %d]
//!         slcv.to_buffer %e, %x_row
//!       }
//!       slc.callback {
//!         %v_0 = slc.from_stream %v
//!         %row = slcv.from_buffer %x_row
//!         scf.for<8> %i = 0 to 16 step 1 {
//!           %xs = element<8> %row[%i]
//!           %old = load<8> %z[%v_0, %i]
//!           %new = add %old, %xs
//!           store<8> %new, %z[%v_0, %i]
//!         }
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @scores {
//!   input %x: f32[4,16]
//!   input %lengths: s32[4]
//!   output %z: f32[4,16] = 0.0
//!   temp %x_row_kept: f32[16]
//!   slc.for %v = 0 to 4 step 1 {
//!     %length = slc.mem_stream %lengths[%v]
//!     %end = slc.alu_stream convert %length to index
//!     %x_row_2 = slcv.buf_stream [16 x f32]
//!     slcv.for<8> %d_2 = 0 to 16 step 1 {
//!       %e_2 = slcv.mem_stream<8> %x[%v, %d_2]
//!       slcv.to_buffer %e_2, %x_row_2
//!     }
//!     slc.callback {
//!       %row = slcv.from_buffer %x_row_2
//!       scf.for<8> %d_3 = 0 to 16 step 1 {
//!         %element = element<8> %row[%d_3]
//!         store<8> %element, %x_row_kept[%d_3]
//!       }
//!     }
//!     slc.for %p = 0 to %end step 1 {
//!       slcv.for<8> %d = 0 to 16 step 1 {
//!         %e = slcv.mem_stream<8> %x[%v, %d]
//!       }
//!       slc.callback {
//!         %v_0 = slc.from_stream %v
//!         scf.for<8> %i = 0 to 16 step 1 {
//!           %xs = load<8> %x_row_kept[%i]
//!           %old = load<8> %z[%v_0, %i]
//!           %new = add %old, %xs
//!           store<8> %new, %z[%v_0, %i]
//!         }
//!       }
//!     }
//!   }
//! }
//! ```

use cranelift_entity::SecondaryMap;
use hashbrown::{HashMap, HashSet};

use super::Options;
use super::rewrite::{self, Definition, define, value};
use crate::core::code::For;
use crate::core::text::Names;
use crate::core::{
    Access, Bound, Buffer, BufferId, Code, ElementType, Init, Lanes, LoopHints, Role, ScalarType,
    Span, Type, Value,
};
use crate::slc::{
    Body, Callback, Effect, Expr, Func, Loop, Statement, Step, Stream, StreamDef, StreamExpr,
};

pub(super) fn run(func: &mut Func, _: &Options) {
    let definitions = rewrite::definitions(func);
    let mut names = rewrite::names(func);
    let mut body = std::mem::take(&mut func.body);
    for step in &mut body.steps {
        if let Step::For(root) = step {
            visit(&mut root.body, func, &mut names, &definitions);
        }
    }
    func.body = body;
}

/// Recursion is as deep as loops nest.
fn visit(
    body: &mut Body,
    func: &mut Func,
    names: &mut Names,
    definitions: &SecondaryMap<Stream, Option<Definition>>,
) {
    let mut steps: Vec<Step> = Vec::with_capacity(body.steps.len());
    for step in std::mem::take(&mut body.steps) {
        let Step::For(mut around) = step else {
            steps.push(step);
            continue;
        };
        visit(&mut around.body, func, names, definitions);
        for kept in candidates(&around, func, definitions) {
            let (filling, store) = kept.before(func, names, &mut body.streams);
            let buffer = store.buffer;
            kept.inside(&mut around.body, buffer);
            steps.push(Step::For(filling));
            steps.push(Step::Callback(store.callback));
        }
        steps.push(Step::For(around));
    }
    body.steps = steps;
}

/// A row that can be kept.
struct Kept {
    row: Stream,
    scalar: ElementType,
    elements: u64,
    /// The loop that fills it, with this read and this append only.
    filling: Loop,
    read: StreamDef,
    mask: Option<Stream>,
}

/// What stands before the loop: the callback, and the temporary that it stores to.
struct Store {
    callback: Callback,
    buffer: BufferId,
}

/// The rows of a loop's body that do not depend on it.
fn candidates(
    around: &Loop,
    func: &Func,
    definitions: &SecondaryMap<Stream, Option<Definition>>,
) -> Vec<Kept> {
    let mut defined: HashSet<Stream> = HashSet::new();
    defined.insert(around.induction);
    defined.extend(around.lanes.and_then(|lanes| lanes.mask));
    defined.extend(around.body.streams.iter().map(|def| def.stream));
    let mut appends: HashMap<Stream, usize> = HashMap::new();
    rewrite::appends(&around.body, &mut appends);
    let surely = around.positions().is_some_and(|positions| positions > 0);
    let mut found = Vec::new();
    for inner in around.body.loops() {
        let (Bound::Constant(_), Bound::Constant(_)) = (inner.lower, inner.upper) else {
            continue;
        };
        for effect in &inner.body.effects {
            let Effect::ToBuffer {
                stream, row, mask, ..
            } = effect
            else {
                continue;
            };
            let stated = around.body.streams.iter().find(|def| def.stream == *row);
            let Some(StreamExpr::Row(ScalarType::Element(scalar), elements)) =
                stated.map(|def| &def.expr)
            else {
                continue;
            };
            let reads = &inner.body.streams;
            let Some(read) = reads.iter().find(|def| def.stream == *stream) else {
                continue;
            };
            let StreamExpr::Mem { access, .. } = &read.expr else {
                continue;
            };
            let own = inner.lanes.and_then(|lanes| lanes.mask);
            let outside = |s: &Stream| {
                *s == inner.induction
                    || Some(*s) == own
                    || !defined.contains(s) && !reads.iter().any(|def| def.stream == *s)
            };
            let free = read.expr.operands().into_iter().all(outside)
                && mask.as_ref().is_none_or(outside)
                && appends.get(row) == Some(&1)
                && inner.body.loops().next().is_none();
            let zero_based = inner.lower == Bound::Constant(0) && inner.step == 1;
            if !free || !zero_based || !(surely || inside(access, func, definitions)) {
                continue;
            }
            found.push(Kept {
                row: *row,
                scalar: *scalar,
                elements: *elements,
                filling: Loop {
                    hints: LoopHints::default(),
                    body: Body::default(),
                    ..inner.clone()
                },
                read: read.clone(),
                mask: *mask,
            });
        }
    }
    found
}

/// Whether every index is a position that lies in the input.
fn inside(
    access: &Access<Stream>,
    func: &Func,
    definitions: &SecondaryMap<Stream, Option<Definition>>,
) -> bool {
    let Some(buffer) = func.buffers.get(access.buffer) else {
        return false;
    };
    let mut indices = access.indices.iter().zip(&buffer.dims);
    indices.all(|(index, dim)| match &definitions[*index] {
        Some(Definition::Position(shape)) => match (shape.lower, shape.upper) {
            (Bound::Constant(lower), Bound::Constant(upper)) => {
                lower >= 0 && u64::try_from(upper).is_ok_and(|upper| upper <= *dim)
            }
            (Bound::Value(_), _) | (_, Bound::Value(_)) => false,
        },
        Some(Definition::Mask(_) | Definition::Line(_)) | None => false,
    })
}

impl Kept {
    /// The loop that fills the row before the loop around, and the callback that keeps it.
    fn before(
        &self,
        func: &mut Func,
        names: &mut Names,
        streams: &mut Vec<StreamDef>,
    ) -> (Loop, Store) {
        let scalar = ScalarType::Element(self.scalar);
        let again = |stream: Stream, func: &mut Func, names: &mut Names| {
            let data = func.streams[stream].clone();
            rewrite::stream(func, names, &data.name, data.ty, data.span)
        };
        let row_name = func.streams[self.row].name.clone();
        let buffer = func.buffers.push(Buffer {
            name: names.fresh(&format!("{row_name}_kept")),
            element: self.scalar,
            dims: vec![self.elements],
            role: Role::Temp(Init::Undefined),
            sorted: false,
            span: Span::default(),
        });
        let row = again(self.row, func, names);
        streams.push(StreamDef {
            stream: row,
            expr: StreamExpr::Row(scalar, self.elements),
        });
        let induction = again(self.filling.induction, func, names);
        let own = self.filling.lanes.and_then(|lanes| lanes.mask);
        let mask = own.map(|mask| again(mask, func, names));
        let read = again(self.read.stream, func, names);
        let moved = |s: Stream| match s {
            s if s == self.filling.induction => induction,
            s if Some(s) == own => mask.unwrap_or(s),
            s => s,
        };
        let lanes = self.filling.lanes.map(|lanes| Lanes {
            count: lanes.count,
            mask,
        });
        let filling = Loop {
            induction,
            lanes,
            body: Body {
                streams: vec![StreamDef {
                    stream: read,
                    expr: self.read.expr.map(|s| moved(*s)),
                }],
                effects: vec![Effect::ToBuffer {
                    stream: read,
                    row,
                    mask: self.mask.map(moved),
                    span: Span::default(),
                }],
                steps: Vec::new(),
            },
            ..self.filling.clone()
        };
        let position = func.streams[self.filling.induction].name.clone();
        let callback = self.keep(row, buffer, &position);
        (filling, Store { callback, buffer })
    }

    /// Stores a row.
    fn keep(&self, row: Stream, buffer: BufferId, position: &str) -> Callback {
        let scalar = ScalarType::Element(self.scalar);
        let mut code: Code<Stream> = Code::default();
        let mut body = Vec::new();
        let ty = Type::Row(scalar, self.elements);
        let row = define(&mut code, &mut body, "row", ty, Expr::Take(row));
        let span = Span::default();
        let index = value(&mut code, position, Type::INDEX, span);
        let lanes = self.filling.lanes.map(|lanes| Lanes {
            count: lanes.count,
            mask: lanes.mask.map(|_| {
                let ty = Type::Vector(ScalarType::BOOL, lanes.count);
                value(&mut code, "mask", ty, span)
            }),
        });
        let mut inside = Vec::new();
        let ty = Type::of(scalar, lanes.map(|lanes| lanes.count));
        let element = Expr::Element { row, index, lanes };
        let element = define(&mut code, &mut inside, "element", ty, element);
        inside.push(Statement::Store {
            value: element,
            access: Access {
                buffer,
                indices: vec![index],
                lanes,
            },
            span,
        });
        body.push(Statement::For(For {
            position: index,
            lower: self.filling.lower.map(|_| index),
            upper: self.filling.upper.map(|_| index),
            step: self.filling.step,
            lanes,
            body: inside,
            span,
        }));
        code.body = body;
        Callback { code, span }
    }

    /// Uses the temporary in place of the row.
    fn inside(&self, body: &mut Body, buffer: BufferId) {
        body.streams.retain(|def| def.stream != self.row);
        for step in &mut body.steps {
            match step {
                Step::For(inner) => {
                    inner.body.effects.retain(|effect| match effect {
                        Effect::ToBuffer { row, .. } => *row != self.row,
                        Effect::Store { .. } => true,
                    });
                    self.inside(&mut inner.body, buffer);
                }
                Step::Callback(callback) => {
                    let code = &mut callback.code;
                    let taken = code.takes().filter(|(_, stream)| **stream == self.row);
                    let taken: HashSet<Value> = taken.map(|(value, _)| value).collect();
                    load(&mut code.body, &taken, buffer);
                }
            }
        }
    }
}

/// Loads elements from a buffer in place of rows; recursion is as deep as blocks nest.
fn load(statements: &mut Vec<Statement>, rows: &HashSet<Value>, buffer: BufferId) {
    statements.retain(|statement| match statement {
        Statement::Let(value, Expr::Take(_)) => !rows.contains(value),
        Statement::Let(_, _)
        | Statement::Store { .. }
        | Statement::If { .. }
        | Statement::For(_) => true,
    });
    for statement in statements {
        match statement {
            Statement::Let(_, expr) => {
                if let Expr::Element { row, index, lanes } = expr
                    && rows.contains(row)
                {
                    *expr = Expr::Load(Access {
                        buffer,
                        indices: vec![*index],
                        lanes: *lanes,
                    });
                }
            }
            Statement::If {
                then, otherwise, ..
            } => {
                load(then, rows, buffer);
                load(otherwise, rows, buffer);
            }
            Statement::For(inner) => load(&mut inner.body, rows, buffer),
            Statement::Store { .. } => {}
        }
    }
}
