//! Read hints: which reads come again.
//!
//! A read whose place is itself read (a row of a table) may come again, sooner or later: it goes to the core's own second-level cache
//! first, and [`Options::reuse`] says how many of the last rows stay in the access unit. A read whose every line is for one access alone
//! need not stay: it is the only read of its input, goes over it in row-major order, and each access begins where a line does. Where
//! consecutive accesses share a line, the line has to stay. Any other read keeps the hints that it has.
//!
//! Before:
//! ```text
//! slc.func @gradients {
//!   input %g: f64[10,16]
//!   input %ids: s32[10]
//!   output %out: f64[10,16]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %g[%k, %d]
//!       slcv.store_stream<8> %x, %out[%k, %d]
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @gradients {
//!   input %g: f64[10,16]
//!   input %ids: s32[10]
//!   output %out: f64[10,16]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k]
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %g[%k, %d] {nontemporal}
//!       slcv.store_stream<8> %x, %out[%k, %d]
//!     }
//!   }
//! }
//! ```

use hashbrown::{HashMap, HashSet};

use super::Options;
use crate::core::{Access, Bound, Buffer, BufferId, ReadHints, ReadLevel};
use crate::slc::{Body, Func, Loop, Step, Stream, StreamExpr};

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut readers: HashMap<BufferId, usize> = HashMap::new();
    for body in func.bodies() {
        for def in &body.streams {
            if let StreamExpr::Mem { access, .. } = &def.expr {
                *readers.entry(access.buffer).or_default() += 1;
            }
        }
    }
    let mut body = std::mem::take(&mut func.body);
    let mut visit = Visit {
        func,
        readers,
        loops: Vec::new(),
        read: HashSet::new(),
        options,
    };
    visit.body(&mut body);
    func.body = body;
}

struct Visit<'f> {
    func: &'f Func,
    /// How many streams read each input.
    readers: HashMap<BufferId, usize>,
    /// The loops around.
    loops: Vec<Around>,
    /// Streams that are made from what was read.
    read: HashSet<Stream>,
    options: &'f Options,
}

/// A loop around a read.
struct Around {
    position: Stream,
    lower: Bound<Stream>,
    /// Elements from one iteration to the next, if the position is the last index.
    advance: u64,
}

impl Around {
    fn of(inner: &Loop) -> Around {
        let lanes = inner.lanes.map_or(1, |lanes| lanes.count);
        let step = u64::try_from(inner.step).unwrap_or(0);
        Around {
            position: inner.induction,
            lower: inner.lower,
            advance: step.saturating_mul(lanes.into()),
        }
    }
}

impl Visit<'_> {
    /// Recursion is as deep as loops nest.
    fn body(&mut self, body: &mut Body) {
        for def in &mut body.streams {
            let mut operands = def.expr.operands().into_iter();
            if operands.any(|s| self.read.contains(s)) {
                self.read.insert(def.stream);
            }
            if let StreamExpr::Mem { access, hints } = &mut def.expr {
                self.read.insert(def.stream);
                let mut places = access.indices.iter();
                if places.any(|s| self.read.contains(s)) {
                    hints.level = Some(ReadLevel::L2);
                    hints.reuse = self.options.reuse.or(hints.reuse);
                } else if self.readers.get(&access.buffer) == Some(&1) && self.has_its_lines(access)
                {
                    *hints = ReadHints {
                        nontemporal: true,
                        ..*hints
                    };
                }
            }
        }
        for step in &mut body.steps {
            if let Step::For(inner) = step {
                self.loops.push(Around::of(inner));
                // Where a loop begins may have been read; where it then is, comes in order.
                self.body(&mut inner.body);
                self.loops.pop();
            }
        }
    }

    /// Whether each access touches whole lines, which no other access touches.
    fn has_its_lines(&self, access: &Access<Stream>) -> bool {
        let buffer = self.func.buffers.get(access.buffer);
        let (Some(buffer), Some(innermost)) = (buffer, self.loops.last()) else {
            return false;
        };
        let positions = self.loops.iter().map(|around| around.position);
        let in_order = access.indices.iter().copied().eq(positions);
        let Bound::Constant(lower) = innermost.lower else {
            return false;
        };
        let lanes = access.lanes.map_or(1, |lanes| lanes.count);
        let row = match buffer.dims.as_slice() {
            // There is no next row.
            [_] => 0,
            dims => dims.last().copied().unwrap_or(1),
        };
        let whole = |elements: u64| self.in_lines(buffer, elements);
        in_order
            && u64::from(lanes) <= innermost.advance
            && whole(innermost.advance)
            && whole(row)
            && u64::try_from(lower).is_ok_and(whole)
    }

    fn in_lines(&self, buffer: &Buffer, elements: u64) -> bool {
        let line = u64::from(self.options.resources.line_bytes.max(1));
        let bytes = elements.checked_mul(buffer.element.bytes() as u64);
        bytes.is_some_and(|bytes| bytes % line == 0)
    }
}
