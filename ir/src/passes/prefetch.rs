//! Prefetch: reads run ahead of the look-ups that need them.
//!
//! An innermost loop whose iterations read at places that they read before asks for these places so many positions ahead that as many
//! cache lines are on their way as the machine can have: its outstanding requests over the lines of one look-up. What a loop in the
//! look-up reads at consecutive positions lies in consecutive lines; a loop of unknown length counts as one iteration.
//!
//! Before:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,24]
//!   input %ids: s32[400]
//!   output %out: f32[24] = 0.0
//!   slc.for %l = 0 to 400 step 1 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     slc.for %d = 0 to 24 step 1 {
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
//!   input %table: f32[100,24]
//!   input %ids: s32[400]
//!   output %out: f32[24] = 0.0
//!   slc.for %l = 0 to 400 step 1 prefetch 64 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     slc.for %d = 0 to 24 step 1 {
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

use super::lookups::{self, Lookup};
use super::{Options, Resources};
use crate::slc::Func;

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut body = std::mem::take(&mut func.body);
    let resources = options.resources;
    lookups::change(&mut body, &mut |inner| {
        let lines = lookups::of(inner)
            .iter()
            .map(|lookup| lines(lookup, func, &resources))
            .fold(0, u64::saturating_add);
        let most = u64::from(resources.outstanding_requests) / lines.max(1);
        let distance = options.distance.map_or(most, u64::from);
        let positions = inner.positions().unwrap_or(u64::MAX);
        let distance = u32::try_from(distance.min(positions)).unwrap_or(u32::MAX);
        inner.hints.prefetch.get_or_insert(distance.max(1));
    });
    func.body = body;
}

/// Cache lines that a look-up's read asks for, over the loops that are around it in the look-up.
fn lines(lookup: &Lookup<'_>, func: &Func, resources: &Resources) -> u64 {
    let access = lookup.access;
    let lanes = u64::from(access.lanes.map_or(1, |lanes| lanes.count));
    let iterations = |inner: &crate::slc::Loop| inner.positions().unwrap_or(lanes);
    let Some((innermost, around)) = lookup.inside.split_last() else {
        return lanes;
    };
    let width = func.buffers.get(access.buffer);
    let width = width.map_or(1, |buffer| buffer.element.bytes() as u64);
    let consecutive = innermost.step == 1 && access.indices.last() == Some(&innermost.induction);
    let run = if consecutive {
        let bytes = iterations(innermost).saturating_mul(width);
        bytes.div_ceil(resources.line_bytes.max(1).into())
    } else {
        iterations(innermost)
    };
    let around = around.iter().map(|inner| inner.positions().unwrap_or(1));
    around.fold(run, u64::saturating_mul)
}
