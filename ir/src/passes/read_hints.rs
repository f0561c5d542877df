//! Read hints: which reads come again.
//!
//! A read whose place is itself read (a row of a table) may come again, sooner or later: it goes to the core's own second-level cache
//! first, and [`Options::reuse`] says how many of the last rows stay in the access unit. A read that has the positions of all loops
//! around it among its plain indices, and is the only one of its input, comes once: its lines need not stay. Any other read keeps
//! the hints that it has.
//!
//! Before:
//! ```text
//! slc.func @gather {
//!   input %table: f32[100,16]
//!   input %ids: s32[10]
//!   output %out: f32[10,16]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k]
//!     %row = slc.alu_stream convert %id to index
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d]
//!       slcv.store_stream<8> %x, %out[%k, %d]
//!     }
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @gather {
//!   input %table: f32[100,16]
//!   input %ids: s32[10]
//!   output %out: f32[10,16]
//!   slc.for %k = 0 to 10 step 1 {
//!     %id = slc.mem_stream %ids[%k] {nontemporal}
//!     %row = slc.alu_stream convert %id to index
//!     slcv.for<8> %d = 0 to 16 step 1 {
//!       %x = slcv.mem_stream<8> %table[%row, %d] {level = l2}
//!       slcv.store_stream<8> %x, %out[%k, %d]
//!     }
//!   }
//! }
//! ```

use hashbrown::{HashMap, HashSet};

use super::Options;
use crate::core::{BufferId, ReadHints, ReadLevel};
use crate::slc::{Body, Func, Step, Stream, StreamExpr};

pub(super) fn run(func: &mut Func, options: &Options) {
    let mut readers: HashMap<BufferId, usize> = HashMap::new();
    for body in func.bodies() {
        for def in &body.streams {
            if let StreamExpr::Mem { access, .. } = &def.expr {
                *readers.entry(access.buffer).or_default() += 1;
            }
        }
    }
    let mut visit = Visit {
        readers,
        loops: Vec::new(),
        read: HashSet::new(),
        reuse: options.reuse,
    };
    visit.body(&mut func.body);
}

struct Visit {
    /// How many streams read each input.
    readers: HashMap<BufferId, usize>,
    /// The positions of the loops around.
    loops: Vec<Stream>,
    /// Streams that are made from what was read.
    read: HashSet<Stream>,
    reuse: Option<u32>,
}

impl Visit {
    /// Recursion is as deep as loops nest.
    fn body(&mut self, body: &mut Body) {
        for def in &mut body.streams {
            let depends = def
                .expr
                .operands()
                .into_iter()
                .any(|s| self.read.contains(s));
            if depends {
                self.read.insert(def.stream);
            }
            if let StreamExpr::Mem { access, hints } = &mut def.expr {
                self.read.insert(def.stream);
                let mut places = access.indices.iter();
                if places.any(|s| self.read.contains(s)) {
                    hints.level = Some(ReadLevel::L2);
                    hints.reuse = self.reuse.or(hints.reuse);
                } else if self.readers.get(&access.buffer) == Some(&1)
                    && self.loops.iter().all(|s| access.indices.contains(s))
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
                self.loops.push(inner.induction);
                // Where a loop begins may have been read; where it then is, comes in order.
                self.body(&mut inner.body);
                self.loops.pop();
            }
        }
    }
}
