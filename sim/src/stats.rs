//! What a run did, counted. Plain data: printing is elsewhere.

use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// Counts of one run. They depend on the program and its inputs only, not on capacities or schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// Tokens pushed, without the closing `done`.
    pub tokens: u64,
    /// Operands pushed; a vector or row is one.
    pub operands: u64,
    /// Bytes of the operands pushed; an `index` has 8.
    pub operand_bytes: u64,
    /// How often the host started the access unit: once for the program's own units, and at each position of a loop that the host
    /// runs around others.
    pub launches: u64,
    /// Traversal units, in the order of the program.
    pub units: Vec<UnitStats>,
    /// Cases, in the order of the program.
    pub cases: Vec<CaseStats>,
    /// Buffers, in the order of the declarations.
    pub buffers: Vec<BufferStats>,
    /// The counts of each core, where a root was dealt to several; what ran on one core counts for the first.
    pub cores: Vec<Stats>,
}

/// Counts of a traversal unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitStats {
    /// Name without `%`.
    pub name: String,
    /// How often it was activated; a root that is dealt to cores, once on each.
    pub activations: u64,
    /// Iterations, over all activations: positions, or groups of them in a vector unit.
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

/// Requests to a buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferStats {
    /// Name without `%`.
    pub name: String,
    /// Bytes of an element.
    pub element_bytes: u64,
    /// Elements that the access unit read.
    pub streamed: u64,
    /// Elements that loops of the host read.
    pub host_streamed: u64,
    /// Cache lines that the access unit asked for.
    pub lines: Lines,
    /// Lines that the access unit still had from rows that it keeps.
    pub reuse_hits: u64,
    /// Elements that the execute unit read.
    pub loaded: u64,
    /// Instructions with which it did.
    pub loads: u64,
    /// Elements that the execute unit wrote.
    pub stored: u64,
    /// Instructions with which it did.
    pub stores: u64,
    /// Elements that the access unit wrote.
    pub written: u64,
    /// Instructions with which it did.
    pub writes: u64,
}

/// Lines asked for, by where they are read from. Within one read, each line is asked for once; reads do not know of one
/// another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// From the last-level cache: all that no hint sends elsewhere.
    pub llc: u64,
    /// From the second-level cache of the core.
    pub l2: u64,
    /// Of both, those that are not to stay.
    pub nontemporal: u64,
}

impl Lines {
    /// Lines asked for, wherever from.
    pub fn total(&self) -> u64 {
        self.llc + self.l2
    }
}

impl Stats {
    /// Elements that the access unit read.
    pub fn access_requests(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.streamed).sum()
    }

    /// Cache lines that the access unit asked for.
    pub fn access_lines(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.lines.total()).sum()
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

    /// Instructions with which the execute unit wrote.
    pub fn stores(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.stores).sum()
    }

    /// Every count of both, one by one. Lists of different length are of different programs: what only one has stays.
    fn zip(&mut self, other: &Stats, f: &impl Fn(&mut u64, u64)) {
        f(&mut self.tokens, other.tokens);
        f(&mut self.operands, other.operands);
        f(&mut self.operand_bytes, other.operand_bytes);
        f(&mut self.launches, other.launches);
        for (unit, other) in self.units.iter_mut().zip(&other.units) {
            f(&mut unit.activations, other.activations);
            f(&mut unit.iterations, other.iterations);
        }
        for (case, other) in self.cases.iter_mut().zip(&other.cases) {
            f(&mut case.activations, other.activations);
        }
        for (buffer, other) in self.buffers.iter_mut().zip(&other.buffers) {
            let BufferStats {
                name: _,
                element_bytes: _,
                streamed,
                host_streamed,
                lines:
                    Lines {
                        llc,
                        l2,
                        nontemporal,
                    },
                reuse_hits,
                loaded,
                loads,
                stored,
                stores,
                written,
                writes,
            } = buffer;
            f(streamed, other.streamed);
            f(host_streamed, other.host_streamed);
            f(llc, other.lines.llc);
            f(l2, other.lines.l2);
            f(nontemporal, other.lines.nontemporal);
            f(reuse_hits, other.reuse_hits);
            f(loaded, other.loaded);
            f(loads, other.loads);
            f(stored, other.stored);
            f(stores, other.stores);
            f(written, other.written);
            f(writes, other.writes);
        }
        for (core, other) in self.cores.iter_mut().zip(&other.cores) {
            core.zip(other, f);
        }
    }

    /// Adds what another run of the same program did.
    pub fn add(&mut self, other: &Stats) {
        self.zip(other, &|count, by| *count = count.saturating_add(by));
    }
}

/// What happened since `earlier`, an earlier count of the same program. What `earlier` has more of is 0.
impl Sub<&Stats> for &Stats {
    type Output = Stats;

    fn sub(self, earlier: &Stats) -> Stats {
        let mut since = self.clone();
        since.zip(earlier, &|count, by| *count = count.saturating_sub(by));
        since
    }
}
