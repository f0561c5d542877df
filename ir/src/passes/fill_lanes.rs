//! Fill lanes: look-ups that wait for memory wait side by side.
//!
//! An innermost loop whose iterations read at places that they read before keeps several of them in flight, each on lanes of its own.
//! So everything in the loop is there as often, and a vector or a row in it lies over a share of the lanes. There are as many as
//! the machine has lanes, or half as many, and so on, so that the queues surely have room: in no lane would all streams of the program
//! together take more than its queue bytes.
//!
//! A loop that takes vectors of positions looks up on its lanes already. Tokens come in the order of the positions, as ever.
//!
//! Before:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,16]
//!   input %ids: s32[40]
//!   output %out: f32[16] = 0.0
//!   slc.for %l = 0 to 40 step 1 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     %x_row = slcv.buf_stream [16 x f32]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d]
//!       slcv.to_buffer %x, %x_row
//!     }
//!     slc.callback {
//!       %xs = slcv.from_buffer %x_row
//!       scf.for<8> %i = 0 to 16 step 1 {
//!         %e = element<8> %xs[%i]
//!         %old = load<8> %out[%i]
//!         %new = add %old, %e
//!         store<8> %new, %out[%i]
//!       }
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @bag {
//!   input %table: f32[100,16]
//!   input %ids: s32[40]
//!   output %out: f32[16] = 0.0
//!   slc.for %l = 0 to 40 step 1 lanes 8 {
//!     %id = slc.mem_stream %ids[%l]
//!     %row = slc.alu_stream convert %id to index
//!     %x_row = slcv.buf_stream [16 x f32]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d]
//!       slcv.to_buffer %x, %x_row
//!     }
//!     slc.callback {
//!       %xs = slcv.from_buffer %x_row
//!       scf.for<8> %i = 0 to 16 step 1 {
//!         %e = element<8> %xs[%i]
//!         %old = load<8> %out[%i]
//!         %new = add %old, %e
//!         store<8> %new, %out[%i]
//!       }
//!     }
//!   }
//! }
//! ```

use cranelift_entity::PrimaryMap;

use super::{Options, Resources, lookups};
use crate::core::{Arith, Compute, Type, ValueData};
use crate::slc::{Body, Func, Loop, Stream, StreamExpr};

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut body = std::mem::take(&mut func.body);
    let queues = Queues {
        streams: &func.streams,
        resources: options.resources,
    };
    let nests = body.loops().map(|inner| queues.nest(inner, 1));
    let mut taken = nests.fold(queues.own(&body, 1, 1), u64::saturating_add);
    lookups::change(&mut body, &mut |inner| {
        if inner.hints.lanes.is_some() {
            return;
        }
        let alone = queues.nest(inner, 1);
        let rest = taken.saturating_sub(alone);
        let most = inner.positions().unwrap_or(u64::MAX);
        let mut copies = options.in_flight.unwrap_or(options.resources.lanes);
        copies = copies.min(u32::try_from(most).unwrap_or(u32::MAX));
        let together = |copies: u32| rest.saturating_add(queues.nest(inner, copies));
        let room = options.resources.entry_bytes();
        while options.in_flight.is_none() && copies > 1 && together(copies) > room {
            copies /= 2;
        }
        if copies > 1 {
            taken = together(copies);
            inner.hints.lanes = Some(copies);
        }
    });
    func.body = body;
}

struct Queues<'f> {
    streams: &'f PrimaryMap<Stream, ValueData<Type>>,
    resources: Resources,
}

impl Queues<'_> {
    /// The most bytes that one entry of the queues of a loop, and of all in it, takes in a lane, if it is there so many times.
    /// Recursion is as deep as loops nest.
    fn nest(&self, inner: &Loop, copies: u32) -> u64 {
        let copies = copies.saturating_mul(inner.hints.lanes.unwrap_or(1).max(1));
        let lanes = inner.lanes.map_or(1, |lanes| lanes.count);
        let mask = inner.lanes.and_then(|lanes| lanes.mask);
        let made = [Some(inner.induction), mask].into_iter().flatten();
        let made = made.map(|stream| self.stream(stream, copies, lanes));
        let within = inner.body.loops().map(|inner| self.nest(inner, copies));
        made.chain(within)
            .fold(self.own(&inner.body, copies, lanes), u64::saturating_add)
    }

    /// The same of what a body itself defines, in a loop of so many lanes.
    fn own(&self, body: &Body, copies: u32, lanes: u32) -> u64 {
        let queued = body.streams.iter().filter(|def| {
            !matches!(
                def.expr,
                StreamExpr::Compute(Compute::Arith(Arith::Constant(_)))
            )
        });
        queued
            .map(|def| self.stream(def.stream, copies, lanes))
            .fold(0, u64::saturating_add)
    }

    fn stream(&self, stream: Stream, copies: u32, lanes: u32) -> u64 {
        let Some(data) = self.streams.get(stream) else {
            return 0;
        };
        let share = u64::from(self.resources.lanes / copies.max(1)).max(1);
        let one = Type::Scalar(data.ty.scalar()).bytes();
        let elements = match data.ty {
            Type::Scalar(_) => 1,
            Type::Vector(_, count) => u64::from(count).div_ceil(u64::from(lanes).min(share)),
            Type::Row(_, elements) => elements.div_ceil(share),
        };
        elements.saturating_mul(one)
    }
}
