//! Merge rows: a row that one look-up streams twice is read once.
//!
//! Two rows of one body that two loops of it fill in the same way (the same bounds, the same reads of the same places) are one row: the
//! first. It is full when the second one would be, and stays so. What then nothing uses is for `simplify`.
//!
//! Before:
//! ```text
//! slc.func @twice {
//!   input %y: f32[5,16]
//!   input %u: s32[6]
//!   output %z: f32[6] = 0.0
//!   slc.for %p = 0 to 6 step 1 {
//!     %id = slc.mem_stream %u[%p]
//!     %v = slc.alu_stream convert %id to index
//!     %a_row = slcv.buf_stream [16 x f32]
//!     %b_row = slcv.buf_stream [16 x f32]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %a = slcv.mem_stream<8> %y[%v, %d]
//!       slcv.to_buffer %a, %a_row
//!     }
//!     slcv.for<8> %e = 0 to 16 step 1 {
//!       %b = slcv.mem_stream<8> %y[%v, %e]
//!       slcv.to_buffer %b, %b_row
//!     }
//!     slc.callback {
//!       %p_0 = slc.from_stream %p
//!       %one = slcv.from_buffer %a_row
//!       %other = slcv.from_buffer %b_row
//!       %first = constant 0: index
//!       %x = element %one[%first]
//!       %y_0 = element %other[%first]
//!       %sum = add %x, %y_0
//!       store %sum, %z[%p_0]
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @twice {
//!   input %y: f32[5,16]
//!   input %u: s32[6]
//!   output %z: f32[6] = 0.0
//!   slc.for %p = 0 to 6 step 1 {
//!     %id = slc.mem_stream %u[%p]
//!     %v = slc.alu_stream convert %id to index
//!     %a_row = slcv.buf_stream [16 x f32]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %a = slcv.mem_stream<8> %y[%v, %d]
//!       slcv.to_buffer %a, %a_row
//!     }
//!     slcv.for<8> %e = 0 to 16 step 1 {
//!       %b = slcv.mem_stream<8> %y[%v, %e]
//!     }
//!     slc.callback {
//!       %p_0 = slc.from_stream %p
//!       %one = slcv.from_buffer %a_row
//!       %other = slcv.from_buffer %a_row
//!       %first = constant 0: index
//!       %x = element %one[%first]
//!       %y_0 = element %other[%first]
//!       %sum = add %x, %y_0
//!       store %sum, %z[%p_0]
//!     }
//!   }
//! }
//! ```

use hashbrown::HashMap;

use super::{Options, rewrite};
use crate::core;
use crate::slc::{Body, Bound, Effect, Func, Loop, Step, Stream, StreamExpr};

pub(super) fn run(func: &mut Func, _: &Options) {
    let mut same = HashMap::new();
    visit(&mut func.body, &mut same);
    rewrite::replace_streams(func, &same);
}

/// A stream of a loop as another loop may have it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Position,
    Mask,
    /// From outside the loop.
    Outside(Stream),
}

/// How a row is filled.
#[derive(Debug, PartialEq)]
struct Filling {
    bounds: [Bound; 2],
    step: i64,
    lanes: Option<u32>,
    read: core::StreamExpr<Part>,
    mask: Option<Part>,
}

/// Recursion is as deep as loops nest.
fn visit(body: &mut Body, same: &mut HashMap<Stream, Stream>) {
    // Rows that are filled by one append each.
    let mut appends: HashMap<Stream, usize> = HashMap::new();
    rewrite::appends(body, &mut appends);
    let own = |row: &Stream| body.streams.iter().any(|def| def.stream == *row);
    let mut seen: Vec<(Stream, Filling)> = Vec::new();
    let mut gone: Vec<Stream> = Vec::new();
    for inner in body.loops() {
        for effect in &inner.body.effects {
            let Effect::ToBuffer {
                stream, row, mask, ..
            } = effect
            else {
                continue;
            };
            if !own(row) || appends.get(row) != Some(&1) {
                continue;
            }
            let Some(filling) = filling(inner, *stream, *mask) else {
                continue;
            };
            match seen.iter().find(|(_, other)| *other == filling) {
                Some((first, _)) => {
                    same.insert(*row, *first);
                    gone.push(*row);
                }
                None => seen.push((*row, filling)),
            }
        }
    }
    body.streams.retain(|def| !gone.contains(&def.stream));
    for step in &mut body.steps {
        let Step::For(inner) = step else {
            continue;
        };
        inner.body.effects.retain(|effect| match effect {
            Effect::ToBuffer { row, .. } => !gone.contains(row),
            Effect::Store { .. } => true,
        });
        visit(&mut inner.body, same);
    }
}

/// How an append of a loop fills its row, if it appends what the loop reads.
fn filling(inner: &Loop, stream: Stream, mask: Option<Stream>) -> Option<Filling> {
    let defs = &inner.body.streams;
    let expr = &defs.iter().find(|def| def.stream == stream)?.expr;
    if !matches!(expr, StreamExpr::Mem { .. }) {
        return None;
    }
    let own_mask = inner.lanes.and_then(|lanes| lanes.mask);
    let part = |s: Stream| {
        if s == inner.induction {
            Some(Part::Position)
        } else if Some(s) == own_mask {
            Some(Part::Mask)
        } else if defs.iter().any(|def| def.stream == s) {
            None
        } else {
            Some(Part::Outside(s))
        }
    };
    if expr.operands().into_iter().any(|s| part(*s).is_none()) {
        return None;
    }
    let mask = match mask {
        None => None,
        Some(mask) => Some(part(mask)?),
    };
    Some(Filling {
        bounds: [inner.lower, inner.upper],
        step: inner.step,
        lanes: inner.lanes.map(|lanes| lanes.count),
        read: expr.map(|s| part(*s).unwrap_or(Part::Outside(*s))),
        mask,
    })
}
