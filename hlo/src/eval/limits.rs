//! Keeping an evaluation within [`EvalOptions`].

use super::EvalOptions;
use super::error::{Fault, Limit, Outcome};

/// What an evaluation has used so far.
pub(super) struct Meter<'o> {
    options: &'o EvalOptions,
    element_operations: u64,
    instructions: u64,
    /// Upper bound of the bytes of live values: those at the last audit and all reserved since.
    bytes: u64,
}

impl<'o> Meter<'o> {
    pub(super) fn new(options: &'o EvalOptions) -> Self {
        Meter {
            options,
            element_operations: 0,
            instructions: 0,
            bytes: 0,
        }
    }

    /// One more instruction.
    pub(super) fn instruction(&mut self) -> Outcome<()> {
        self.instructions += 1;
        within(
            Limit::Instructions,
            self.instructions,
            self.options.instructions,
        )
    }

    /// `count` more element operations.
    pub(super) fn work(&mut self, count: usize) -> Outcome<()> {
        self.element_operations = self.element_operations.saturating_add(count as u64);
        within(
            Limit::ElementOperations,
            self.element_operations,
            self.options.element_operations,
        )
    }

    pub(super) fn call_depth(&self, depth: usize) -> Outcome<()> {
        within(Limit::CallDepth, depth as u64, self.options.call_depth)
    }

    pub(super) fn tuple_depth(&self, depth: usize) -> Outcome<()> {
        within(Limit::TupleDepth, depth as u64, self.options.tuple_depth)
    }

    /// Whether the bytes of live values should be counted before `bytes` more are reserved: the
    /// upper bound has reached half of the allowance.
    pub(super) fn wants_audit(&self, bytes: u64) -> bool {
        self.bytes.saturating_add(bytes) > self.options.live_bytes / 2
    }

    /// Upper bound of the bytes of live values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes of live values are known to be `live`.
    pub(super) fn audited(&mut self, live: u64) {
        self.bytes = live;
    }

    /// Room for `bytes` more.
    pub(super) fn reserve(&mut self, bytes: u64) -> Outcome<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        within(Limit::LiveBytes, self.bytes, self.options.live_bytes)
    }

    /// Room for `bytes` that die with the current operation.
    pub(super) fn scratch(&self, bytes: usize) -> Outcome<()> {
        let total = self.bytes.saturating_add(bytes as u64);
        within(Limit::LiveBytes, total, self.options.live_bytes)
    }
}

fn within(limit: Limit, used: u64, allowed: u64) -> Outcome<()> {
    if used <= allowed {
        Ok(())
    } else {
        Err(Fault::Limit { limit, allowed })
    }
}
