//! What a run did, counted. Plain data: printing is elsewhere.

use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// Counts of one run. They depend on the program and its inputs only, not on capacities or schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Tokens pushed, without the closing `done`.
    pub tokens: u64,
    /// Operands pushed.
    pub operands: u64,
    /// Bytes of the operands pushed; an `index` has 8.
    pub operand_bytes: u64,
    /// Traversal units, in the order of the program.
    pub units: Vec<UnitStats>,
    /// Cases, in the order of the program.
    pub cases: Vec<CaseStats>,
    /// Buffers, in the order of the declarations.
    pub buffers: Vec<BufferStats>,
}

/// Counts of a traversal unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitStats {
    /// Name without `%`.
    pub name: String,
    /// How often it was activated.
    pub activations: u64,
    /// Positions, over all activations.
    pub iterations: u64,
}

/// Counts of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStats {
    /// Name without `@`.
    pub name: String,
    /// How often it ran.
    pub activations: u64,
}

/// Requests to a buffer, each for one element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferStats {
    /// Name without `%`.
    pub name: String,
    /// Bytes of an element.
    pub element_bytes: u64,
    /// Reads by the access unit.
    pub streamed: u64,
    /// Reads by the execute unit.
    pub loaded: u64,
    /// Writes by the execute unit.
    pub stored: u64,
}

impl Stats {
    /// Elements that the access unit read.
    pub fn access_requests(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.streamed).sum()
    }

    /// Bytes that the access unit read.
    pub fn access_bytes(&self) -> u64 {
        let bytes = |buffer: &BufferStats| buffer.streamed.saturating_mul(buffer.element_bytes);
        self.buffers.iter().map(bytes).sum()
    }

    /// Elements that the execute unit read and wrote.
    pub fn execute_requests(&self) -> u64 {
        let requests = |buffer: &BufferStats| buffer.loaded + buffer.stored;
        self.buffers.iter().map(requests).sum()
    }
}

/// What happened since `earlier`, an earlier count of the same program. What `earlier` has more of is 0.
impl Sub<&Stats> for &Stats {
    type Output = Stats;

    fn sub(self, earlier: &Stats) -> Stats {
        let mut since = self.clone();
        let less = |count: &mut u64, by: u64| *count = count.saturating_sub(by);
        less(&mut since.tokens, earlier.tokens);
        less(&mut since.operands, earlier.operands);
        less(&mut since.operand_bytes, earlier.operand_bytes);
        for (unit, earlier) in since.units.iter_mut().zip(&earlier.units) {
            less(&mut unit.activations, earlier.activations);
            less(&mut unit.iterations, earlier.iterations);
        }
        for (case, earlier) in since.cases.iter_mut().zip(&earlier.cases) {
            less(&mut case.activations, earlier.activations);
        }
        for (buffer, earlier) in since.buffers.iter_mut().zip(&earlier.buffers) {
            less(&mut buffer.streamed, earlier.streamed);
            less(&mut buffer.loaded, earlier.loaded);
            less(&mut buffer.stored, earlier.stored);
        }
        since
    }
}
