//! Store streams: what is only moved, the access unit writes itself.
//!
//! Where a callback is all that an innermost body does, and it only stores what it takes, the stores become effects of the access unit, and
//! no token is left. What the callback computes on the way becomes streams: `index` and integer arithmetic, conditions, constants and
//! choices. Arithmetic on floats stays with the execute unit. The outputs are touched nowhere else, so that nobody can tell when
//! they are written.
//!
//! Before:
//! ```text
//! slc.func @gather {
//!   input %table: f32[100,24]
//!   input %ids: s32[10]
//!   output %out: f32[10,24]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k]
//!     %row = slc.alu_stream convert %id to index
//!     slcv.for<8> %d = 0 to 24 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d]
//!       slc.callback {
//!         %k_0 = slc.from_stream %k
//!         %d_0 = slc.from_stream %d
//!         %x_0 = slc.from_stream %x
//!         store<8> %x_0, %out[%k_0, %d_0]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @gather {
//!   input %table: f32[100,24]
//!   input %ids: s32[10]
//!   output %out: f32[10,24]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k]
//!     %row = slc.alu_stream convert %id to index
//!     slcv.for<8> %d = 0 to 24 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d]
//!       slcv.store_stream<8> %x, %out[%k, %d]
//!     }
//!   }
//! }
//! ```

use hashbrown::HashMap;

use super::{Options, rewrite};
use crate::core::text::Names;
use crate::core::{Arith, BufferId, Code, Compute, Role, Type, Value};
use crate::slc::{Body, Effect, Expr, Func, Statement, Step, Stream, StreamDef, StreamExpr};

pub(super) fn run(func: &mut Func, _: &Options) {
    let mut touched: HashMap<BufferId, usize> = HashMap::new();
    for body in func.bodies() {
        for callback in body.callbacks() {
            let mut buffers: Vec<BufferId> = rewrite::accesses(&callback.code)
                .map(|access| access.buffer)
                .collect();
            buffers.sort_unstable();
            buffers.dedup();
            for buffer in buffers {
                *touched.entry(buffer).or_default() += 1;
            }
        }
    }
    let mut names = rewrite::names(func);
    let mut body = std::mem::take(&mut func.body);
    visit(&mut body, func, &mut names, &touched);
    func.body = body;
}

/// Recursion is as deep as loops nest.
fn visit(body: &mut Body, func: &mut Func, names: &mut Names, touched: &HashMap<BufferId, usize>) {
    for step in &mut body.steps {
        let Step::For(inner) = step else {
            continue;
        };
        visit(&mut inner.body, func, names, touched);
        if let [Step::Callback(callback)] = inner.body.steps.as_slice()
            && moves(&callback.code, func, touched)
        {
            let code = callback.code.clone();
            inner.body.steps.clear();
            effects(&code, &mut inner.body, func, names);
        }
    }
}

/// Whether a code only stores what it takes, to outputs that no other code touches.
fn moves(code: &Code<Stream>, func: &Func, touched: &HashMap<BufferId, usize>) -> bool {
    code.body.iter().all(|statement| match statement {
        Statement::Let(value, expr) => match expr {
            Expr::Take(stream) => {
                let ty = func.streams.get(*stream).map(|data| data.ty);
                !matches!(ty, Some(Type::Row(_, _)) | None)
            }
            Expr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. }) => true,
            Expr::Compute(Compute::Arith(arith)) => match arith {
                Arith::Constant(_) | Arith::Select(_, _, _) => true,
                Arith::Unary(_, _)
                | Arith::Binary(_, _, _)
                | Arith::Compare(_, _, _)
                | Arith::Convert(_, _) => {
                    let operands = arith.operands().chain(std::iter::once(value));
                    let mut types = operands.filter_map(|v| code.values.get(*v));
                    types.all(|data| !data.ty.scalar().is_float())
                }
            },
            Expr::Load(_) | Expr::Element { .. } | Expr::Reduce { .. } => false,
        },
        Statement::Store { access, .. } => {
            let role = func.buffers.get(access.buffer).map(|buffer| &buffer.role);
            matches!(role, Some(Role::Output(_))) && touched.get(&access.buffer) == Some(&1)
        }
        Statement::If { .. } | Statement::For(_) => false,
    })
}

fn effects(code: &Code<Stream>, body: &mut Body, func: &mut Func, names: &mut Names) {
    let mut streams: HashMap<Value, Stream> = HashMap::new();
    for statement in &code.body {
        match statement {
            Statement::Let(value, Expr::Take(stream)) => {
                streams.insert(*value, *stream);
            }
            Statement::Let(value, Expr::Compute(compute)) => {
                let Some(data) = code.values.get(*value) else {
                    continue;
                };
                let expr = compute.try_map(|v| streams.get(v).copied().ok_or(()));
                let Ok(expr) = expr else { continue };
                let stream = rewrite::stream(func, names, &data.name, data.ty, data.span);
                streams.insert(*value, stream);
                body.streams.push(StreamDef {
                    stream,
                    expr: StreamExpr::Compute(expr),
                });
            }
            Statement::Store {
                value,
                access,
                span,
            } => {
                let access = access.try_map(|v| streams.get(v).copied().ok_or(()));
                if let (Some(&stream), Ok(access)) = (streams.get(value), access) {
                    body.effects.push(Effect::Store {
                        stream,
                        access,
                        span: *span,
                    });
                }
            }
            Statement::Let(_, _) | Statement::If { .. } | Statement::For(_) => {}
        }
    }
}
