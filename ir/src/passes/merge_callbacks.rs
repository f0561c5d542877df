//! Merge callbacks: one token where nothing happens in between.
//!
//! In a body, a callback, loops that fire nothing, and another callback become one callback in the place of the second: the
//! streams of the body are the same at both events, and rows that are full stay full. So one look-up that is several loops,
//! such as the score and the sum of message passing, is one token. An operand that both take is pushed once.
//!
//! Before:
//! ```text
//! slc.func @two {
//!   input %x: f32[8]
//!   output %n: f32[] = 0.0
//!   slc.callback {
//!     %one = constant 1.0: f32
//!     store %one, %n[]
//!   }
//!   slc.for %i = 0 to 8 step 1 {
//!   }
//!   slc.callback {
//!     %two = constant 2.0: f32
//!     store %two, %n[]
//!   }
//! }
//! ```
//! After:
//! ```text
//! slc.func @two {
//!   input %x: f32[8]
//!   output %n: f32[] = 0.0
//!   slc.for %i = 0 to 8 step 1 {
//!   }
//!   slc.callback {
//!     %one = constant 1.0: f32
//!     store %one, %n[]
//!     %two = constant 2.0: f32
//!     store %two, %n[]
//!   }
//! }
//! ```

use super::{Options, rewrite};
use crate::slc::{Body, Callback, Func, Step};

pub(super) fn run(func: &mut Func, _: &Options) {
    merge(&mut func.body);
}

/// Recursion is as deep as loops nest.
fn merge(body: &mut Body) {
    let mut steps = Vec::with_capacity(body.steps.len());
    // The callback that waits, and the loops that it can wait behind.
    let mut waiting: Option<(Callback, Vec<Step>)> = None;
    for step in std::mem::take(&mut body.steps) {
        match step {
            Step::For(mut inner) => {
                merge(&mut inner.body);
                let quiet = !fires(&inner.body);
                match &mut waiting {
                    Some((_, passed)) if quiet => passed.push(Step::For(inner)),
                    _ => {
                        release(&mut waiting, &mut steps);
                        steps.push(Step::For(inner));
                    }
                }
            }
            Step::Callback(callback) => {
                let callback = match waiting.take() {
                    None => callback,
                    Some((mut first, passed)) => {
                        rewrite::append(&mut first.code, &callback.code);
                        steps.extend(passed);
                        first
                    }
                };
                waiting = Some((callback, Vec::new()));
            }
        }
    }
    release(&mut waiting, &mut steps);
    body.steps = steps;
}

/// Nothing joined the callback: it stays where it was.
fn release(waiting: &mut Option<(Callback, Vec<Step>)>, steps: &mut Vec<Step>) {
    if let Some((callback, passed)) = waiting.take() {
        steps.push(Step::Callback(callback));
        steps.extend(passed);
    }
}

/// Whether a callback fires in an iteration.
pub(super) fn fires(body: &Body) -> bool {
    let mut left = vec![body];
    while let Some(body) = left.pop() {
        if body.callbacks().next().is_some() {
            return true;
        }
        left.extend(body.loops().map(|inner| &inner.body));
    }
    false
}
