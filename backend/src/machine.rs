//! What a machine has: the resources that [`crate::allocate`] gives out.

use serde::{Deserialize, Serialize};

/// A machine that programs are compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Name for messages, the command line and artifacts.
    pub name: String,
    /// Its access unit.
    pub access_unit: AccessUnit,
}

/// The resources of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessUnit {
    /// Lanes of a layer.
    pub lanes: u32,
    /// Layers: how deep the units of one launch may nest.
    pub layers: u32,
    /// Bytes of stream queues that a lane has, for all layers together.
    pub queue_bytes: u64,
    /// The least entries of a stream's queue: with 2, one is filled while the other is used.
    pub entries: u32,
    /// Bytes of a chunk of the data queue. An operand lies in one chunk.
    pub chunk_bytes: u64,
    /// Cache-line requests that may be on their way.
    pub outstanding_requests: u32,
    /// Bytes of a cache line.
    pub line_bytes: u64,
}

impl Default for Machine {
    /// The Tensor Marshaling Unit. Its least entries and its chunks are free parameters: nothing published states them.
    fn default() -> Self {
        Machine {
            name: "tmu".to_owned(),
            access_unit: AccessUnit {
                lanes: 8,
                layers: 4,
                queue_bytes: 2048,
                entries: 2,
                chunk_bytes: 4096,
                outstanding_requests: 128,
                line_bytes: 64,
            },
        }
    }
}

impl Machine {
    /// A machine that has as much as any program takes.
    pub fn unbounded() -> Machine {
        Machine {
            name: "unbounded".to_owned(),
            access_unit: AccessUnit {
                lanes: u32::MAX,
                layers: u32::MAX,
                queue_bytes: u64::MAX,
                chunk_bytes: u64::MAX,
                outstanding_requests: u32::MAX,
                ..Machine::default().access_unit
            },
        }
    }
}
