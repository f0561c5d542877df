//! Split cores: the positions of an outermost loop are dealt to the cores of the machine, a block of them to each.
//!
//! No core may need what another one does:
//!
//! * of every output that the loop stores to, each access in the loop has the loop's position as one index, always the same: no
//!   element belongs to two positions;
//! * a temporary is one number, is touched in the loop only, and is stored to before anything else is done with it;
//! * no callback stands right before or behind the loop, and no stream in front of all loops: they would be those of one core.
//!
//! Positions of such a loop cannot be counted by the execute unit, which has some of them only: one is sent where it is needed. That is
//! why this is for machines with several cores, and does nothing for others.
//!
//! Before:
//! ```text
//! slc.func @bags {
//!   input %table: f32[100,20]
//!   input %ids: s32[64,10]
//!   output %out: f32[64,20] = 0.0
//!   slc.for %b = 0 to 64 step 1 {
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
//! After `split_cores{cores=4}`:
//! ```text
//! slc.func @bags {
//!   input %table: f32[100,20]
//!   input %ids: s32[64,10]
//!   output %out: f32[64,20] = 0.0
//!   slc.for %b = 0 to 64 step 1 cores 4 {
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

use std::fmt::Debug;
use std::hash::Hash;

use hashbrown::HashMap;

use super::{Options, rewrite};
use crate::core::{Access, BufferId, Code, Role, Value};
use crate::slc::{Body, Effect, Expr, Func, Loop, Statement, Step, Stream};

pub(super) fn run(func: &mut Func, options: &Options) {
    let cores = options.resources.cores;
    let steps = 0..func.body.steps.len();
    let dealt: Vec<usize> = steps.filter(|&at| can_be_dealt(func, at)).collect();
    for at in dealt {
        let Some(Step::For(root)) = func.body.steps.get_mut(at) else {
            continue;
        };
        let positions = root.positions().unwrap_or(u64::MAX);
        let cores = cores.min(u32::try_from(positions).unwrap_or(u32::MAX));
        if cores > 1 {
            root.hints.cores.get_or_insert(cores);
        }
    }
}

/// Whether no position of the loop that is this step of the program needs what another one does.
fn can_be_dealt(func: &Func, at: usize) -> bool {
    let steps = &func.body.steps;
    let Some(step @ Step::For(root)) = steps.get(at) else {
        return false;
    };
    if !func.body.streams.is_empty() || !func.body.effects.is_empty() {
        return false;
    }
    let callback = |at: Option<usize>| {
        let step = at.and_then(|at| steps.get(at));
        matches!(step, Some(Step::Callback(_)))
    };
    if callback(at.checked_sub(1)) || callback(at.checked_add(1)) {
        return false;
    }
    func.buffers.iter().all(|(id, buffer)| match buffer.role {
        Role::Input => true,
        Role::Output(_) => {
            let mut touched = Touched::default();
            touched.body(&root.body, id, root.induction);
            !touched.stored
                || touched
                    .common
                    .is_some_and(|dims| dims.iter().any(|is_position| *is_position))
        }
        Role::Temp(_) => {
            let mut others = steps.iter().enumerate().filter(|(n, _)| *n != at);
            !touches_step(step, id)
                || buffer.dims.is_empty()
                    && !others.any(|(_, step)| touches_step(step, id))
                    && stored_first(root, id)
        }
    })
}

/// What a loop does with an output.
#[derive(Default)]
struct Touched {
    stored: bool,
    /// The dimensions that every access has the position at.
    common: Option<Vec<bool>>,
}

impl Touched {
    /// Recursion is as deep as loops nest.
    fn body(&mut self, body: &Body, buffer: BufferId, position: Stream) {
        for effect in &body.effects {
            if let Effect::Store { access, .. } = effect
                && access.buffer == buffer
            {
                self.stored = true;
                self.access(access, |stream| *stream == position);
            }
        }
        for step in &body.steps {
            match step {
                Step::For(inner) => self.body(&inner.body, buffer, position),
                Step::Callback(callback) => self.code(&callback.code, buffer, position),
            }
        }
    }

    fn code(&mut self, code: &Code<Stream>, buffer: BufferId, position: Stream) {
        let taken: HashMap<Value, Stream> = code.takes().map(|(v, s)| (v, *s)).collect();
        for statement in code.statements() {
            self.stored |=
                matches!(statement, Statement::Store { access, .. } if access.buffer == buffer);
        }
        for access in rewrite::accesses(code).filter(|access| access.buffer == buffer) {
            self.access(access, |value| taken.get(value) == Some(&position));
        }
    }

    fn access<V: Copy + Eq + Hash + Debug>(
        &mut self,
        access: &Access<V>,
        is_position: impl Fn(&V) -> bool,
    ) {
        let last = access.indices.len().saturating_sub(1);
        let own = access.indices.iter().enumerate().map(|(dim, index)| {
            // Lanes go along the last dimension.
            is_position(index) && (access.lanes.is_none() || dim < last)
        });
        self.common = Some(match &self.common {
            None => own.collect(),
            Some(known) => known.iter().zip(own).map(|(a, b)| *a && b).collect(),
        });
    }
}

/// Recursion is as deep as loops nest.
fn touches(body: &Body, buffer: BufferId) -> bool {
    let stores = |effect: &Effect| match effect {
        Effect::Store { access, .. } => access.buffer == buffer,
        Effect::ToBuffer { .. } => false,
    };
    body.effects.iter().any(stores) || body.steps.iter().any(|step| touches_step(step, buffer))
}

fn touches_step(step: &Step, buffer: BufferId) -> bool {
    match step {
        Step::For(inner) => touches(&inner.body, buffer),
        Step::Callback(callback) => {
            rewrite::accesses(&callback.code).any(|access| access.buffer == buffer)
        }
    }
}

/// Whether an iteration of the loop, or of one in it that alone touches the temporary, stores to it before anything else.
fn stored_first(around: &Loop, temporary: BufferId) -> bool {
    let steps = around.body.steps.iter();
    let mut touching = steps.filter(|step| touches_step(step, temporary));
    match (touching.next(), touching.next()) {
        (Some(Step::For(inner)), None) => stored_first(inner, temporary),
        (Some(Step::Callback(callback)), _) => {
            let first = callback
                .code
                .body
                .iter()
                .find_map(|statement| match statement {
                    Statement::Let(_, Expr::Load(access)) => {
                        (access.buffer == temporary).then_some(false)
                    }
                    Statement::Store { access, .. } => (access.buffer == temporary).then_some(true),
                    Statement::Let(_, _) => None,
                    // What a block does, it may not do.
                    Statement::If { .. } | Statement::For(_) => Some(false),
                });
            first == Some(true)
        }
        (Some(Step::For(_)), Some(_)) | (None, _) => false,
    }
}
