//! What passes are told: by the machine, and by whoever runs them.
//!
//! ```text
//! passes    = pass ("," pass)*
//! pass      = NAME ("{" parameter ("," parameter)* "}")?
//! parameter = NAME "=" INTEGER
//! ```

use std::ops::RangeInclusive;

use super::{PASSES, Pass, PassError};
use crate::core::LANES;

/// What passes can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lanes of a vector, one of [`LANES`].
    pub lanes: u32,
    /// The longest row that travels as one operand, in bytes; no row is longer than the machine takes.
    pub row_bytes: u64,
    /// So many rows that were read last are kept in the access unit.
    pub reuse: Option<u32>,
    /// So many look-ups are in flight, in place of as many as the machine's lanes and queues hold.
    pub in_flight: Option<u32>,
    /// Reads run so many look-ups ahead, in place of as many as the machine's outstanding requests allow.
    pub distance: Option<u32>,
    /// The machine that the program is for.
    pub resources: Resources,
    /// Whether the program is verified after each pass, not only after the last.
    pub verify_each: bool,
}

/// What passes know of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Cores, each with an access unit and an execute unit.
    pub cores: u32,
    /// Lanes of an access unit's layer.
    pub lanes: u32,
    /// Bytes of stream queues in a lane.
    pub queue_bytes: u64,
    /// The least entries of a stream's queue.
    pub entries: u32,
    /// Bytes of a chunk of the data queue: no operand has more.
    pub chunk_bytes: u64,
    /// Cache lines on their way.
    pub outstanding_requests: u32,
    /// Bytes of a cache line.
    pub line_bytes: u32,
}

impl Default for Resources {
    /// One core of a Tensor Marshaling Unit.
    fn default() -> Self {
        Resources {
            cores: 1,
            lanes: 8,
            queue_bytes: 2048,
            entries: 2,
            chunk_bytes: 4096,
            outstanding_requests: 128,
            line_bytes: 64,
        }
    }
}

impl Resources {
    /// Bytes of one entry of a lane's queues.
    pub(super) fn entry_bytes(&self) -> u64 {
        self.queue_bytes / u64::from(self.entries.max(1))
    }

    /// Bytes of one entry of the rows of a look-up: half of what all lanes hold.
    pub(super) fn row_bytes(&self) -> u64 {
        self.entry_bytes().saturating_mul(self.lanes.into()) / 2
    }
}

impl Default for Options {
    /// 8 lanes, and rows of 64 KiB.
    fn default() -> Self {
        Options {
            lanes: 8,
            row_bytes: 64 << 10,
            reuse: None,
            in_flight: None,
            distance: None,
            resources: Resources::default(),
            verify_each: false,
        }
    }
}

impl Options {
    /// The longest row that travels as one operand, in bytes: it has a chunk.
    pub(super) fn longest_row(&self) -> u64 {
        self.row_bytes.min(self.resources.chunk_bytes)
    }
}

/// Something that a pass can be told, as `pass{name=value}`.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it says, in one line.
    pub summary: &'static str,
    /// What it is if nobody says.
    pub default: &'static str,
    /// What it can be.
    pub range: RangeInclusive<u32>,
    set: fn(&mut Options, u32),
}

/// Most rows that are kept, most look-ups in flight, most cores.
const MOST: u32 = 1 << 10;

pub(super) static VECTOR: &[Parameter] = &[Parameter {
    name: "lanes",
    summary: "lanes of a vector",
    default: "8",
    range: LANES,
    set: |options, n| options.lanes = n,
}];

pub(super) static ROWS: &[Parameter] = &[Parameter {
    name: "row_bytes",
    summary: "the longest row that is one operand",
    default: "65536, no more than a chunk of the data queue",
    range: 1..=u32::MAX,
    set: |options, n| options.row_bytes = n.into(),
}];

pub(super) static CORES: &[Parameter] = &[Parameter {
    name: "cores",
    summary: "cores that share the positions",
    default: "those of the machine",
    range: 1..=MOST,
    set: |options, n| options.resources.cores = n,
}];

pub(super) static IN_FLIGHT: &[Parameter] = &[Parameter {
    name: "lanes",
    summary: "look-ups in flight",
    default: "as many as the machine's lanes and queues hold",
    range: 1..=MOST,
    set: |options, n| options.in_flight = Some(n),
}];

pub(super) static DISTANCE: &[Parameter] = &[Parameter {
    name: "distance",
    summary: "look-ups that reads run ahead",
    default: "as many as the machine's outstanding requests allow",
    range: 1..=MOST,
    set: |options, n| options.distance = Some(n),
}];

pub(super) static WINDOW: &[Parameter] = &[Parameter {
    name: "reuse",
    summary: "rows read last that the access unit keeps",
    default: "none",
    range: 1..=MOST,
    set: |options, n| options.reuse = Some(n),
}];

/// The passes of a list: what stands between the commas that are in no braces.
pub fn split(list: &str) -> Vec<&str> {
    let mut depth = 0u32;
    list.split(|c| {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

/// A pass and what it is told.
pub(super) fn find(text: &str, options: &Options) -> Result<(&'static Pass, Options), PassError> {
    let (name, given) = match text.split_once('{') {
        Some((name, rest)) => {
            let given = rest.trim_end().strip_suffix('}');
            let given = given.ok_or_else(|| PassError::Braces {
                text: text.to_owned(),
            })?;
            (name.trim(), given)
        }
        None => (text.trim(), ""),
    };
    let pass = PASSES.iter().find(|pass| pass.name == name);
    let pass = pass.ok_or_else(|| PassError::Unknown {
        name: name.to_owned(),
    })?;
    let mut options = *options;
    for setting in given.split(',').filter(|text| !text.trim().is_empty()) {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let (key, value) = (key.trim(), value.trim());
        let known = pass.parameters.iter().find(|p| p.name == key);
        let parameter = known.ok_or_else(|| PassError::Parameter {
            pass: pass.name,
            name: key.to_owned(),
        })?;
        let number: Option<u32> = value.parse().ok();
        let number = number.filter(|n| parameter.range.contains(n));
        let number = number.ok_or_else(|| PassError::Value {
            pass: pass.name,
            parameter: parameter.name,
            value: value.to_owned(),
            least: *parameter.range.start(),
            most: *parameter.range.end(),
        })?;
        (parameter.set)(&mut options, number);
    }
    Ok((pass, options))
}
