//! What a machine has: the resources that the compiler gives out, as a TOML file states them.
//!
//! ```toml
//! name = "tmu"
//! cores = 1                   # each with an access unit and an execute unit
//!
//! [access_unit]
//! lanes = 8                   # of a layer
//! layers = 4                  # how deep the units of one launch may nest
//! queue_bytes = 2048          # of stream queues in a lane, all layers together
//! entries = 2                 # the least that a stream's queue holds
//! chunk_bytes = 4096          # of a chunk of the data queue; an operand lies in one
//! outstanding_requests = 128  # cache lines on their way
//! line_bytes = 64             # of a cache line
//! ```
//!
//! Every number is at least 1, and there are at most [`MAX_CORES`] cores; a line has a power of two of bytes. The machines of [`Machine::BUILT_IN`] come with the
//! compiler; any other one is a file.

use std::str::FromStr;

use hlo2dae_ir::core::{MAX_CORES, Span, text};
use hlo2dae_ir::passes::Resources;
use miette::{Diagnostic, SourceSpan};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A machine that programs are compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Name for messages, the command line and artifacts.
    pub name: String,
    /// Cores, each with an access unit and an execute unit.
    pub cores: u32,
    /// The access unit of a core.
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
    pub line_bytes: u32,
}

/// Why a text states no machine.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
pub enum MachineError {
    /// Your input: the text is not TOML, or has a key too many or too few.
    #[error("no machine: {message}")]
    #[diagnostic(help(
        "a machine has a name and the table access_unit; `hlo2dae machines tmu` prints one"
    ))]
    Text {
        /// What is wrong.
        message: String,
        /// Where.
        #[label("here")]
        span: SourceSpan,
    },
    /// Your input: a name that the texts of programs could not spell.
    #[error("`{name}` cannot name a machine")]
    #[diagnostic(help("a name has letters, digits and `_`, and starts with no digit"))]
    Name {
        /// The name.
        name: String,
    },
    /// Your input: a resource that no machine could work with.
    #[error("{key} is {found}, expected {expected}")]
    #[diagnostic(help("change {key} in the machine's file"))]
    Resource {
        /// The key of the file.
        key: &'static str,
        /// Its value.
        found: u64,
        /// What it has to be.
        expected: &'static str,
    },
}

impl Default for Machine {
    /// The Tensor Marshaling Unit, `machines/tmu.toml`.
    fn default() -> Self {
        Machine {
            name: "tmu".to_owned(),
            cores: 1,
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
    /// Name and file of each machine that comes with the compiler, the default one first.
    pub const BUILT_IN: &'static [(&'static str, &'static str)] = &[
        ("tmu", include_str!("../machines/tmu.toml")),
        ("tmu8", include_str!("../machines/tmu8.toml")),
        ("small", include_str!("../machines/small.toml")),
    ];

    /// The file of the machine of this name that comes with the compiler.
    pub fn built_in(name: &str) -> Option<&'static str> {
        let mut all = Machine::BUILT_IN.iter();
        all.find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// What passes know of it.
    pub fn resources(&self) -> Resources {
        let unit = &self.access_unit;
        Resources {
            cores: self.cores,
            lanes: unit.lanes,
            queue_bytes: unit.queue_bytes,
            entries: unit.entries,
            chunk_bytes: unit.chunk_bytes,
            outstanding_requests: unit.outstanding_requests,
            line_bytes: unit.line_bytes,
        }
    }

    fn check(&self) -> Result<(), MachineError> {
        let name = &self.name;
        if !text::is_name(name) {
            return Err(MachineError::Name { name: name.clone() });
        }
        let AccessUnit {
            lanes,
            layers,
            queue_bytes,
            entries,
            chunk_bytes,
            outstanding_requests,
            line_bytes,
        } = self.access_unit;
        let numbers = [
            ("cores", self.cores.into()),
            ("lanes", lanes.into()),
            ("layers", layers.into()),
            ("queue_bytes", queue_bytes),
            ("entries", entries.into()),
            ("chunk_bytes", chunk_bytes),
            ("outstanding_requests", outstanding_requests.into()),
        ];
        if let Some(&(key, found)) = numbers.iter().find(|(_, number)| *number == 0) {
            let expected = "at least 1";
            return Err(MachineError::Resource {
                key,
                found,
                expected,
            });
        }
        if self.cores > MAX_CORES {
            return Err(MachineError::Resource {
                key: "cores",
                found: self.cores.into(),
                expected: "at most 1024",
            });
        }
        if !line_bytes.is_power_of_two() {
            return Err(MachineError::Resource {
                key: "line_bytes",
                found: line_bytes.into(),
                expected: "a power of two",
            });
        }
        Ok(())
    }
}

impl FromStr for Machine {
    type Err = MachineError;

    fn from_str(text: &str) -> Result<Machine, MachineError> {
        let machine: Machine = toml::from_str(text).map_err(|error| MachineError::Text {
            message: error.message().to_owned(),
            span: error.span().map_or(Span::default().into(), Into::into),
        })?;
        machine.check()?;
        Ok(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_come_with_the_compiler_have_their_names() {
        for (name, text) in Machine::BUILT_IN {
            assert_eq!(text.parse::<Machine>().unwrap().name, *name);
            assert_eq!(Machine::built_in(name), Some(*text));
        }
        assert_eq!(
            Machine::built_in("tmu").unwrap().parse(),
            Ok(Machine::default())
        );
        assert_eq!(Machine::built_in("TMU"), None);
    }

    #[test]
    fn passes_know_the_default_machine() {
        assert_eq!(Machine::default().resources(), Resources::default());
    }

    #[test]
    fn a_machine_is_printed_as_its_file() {
        let text = toml::to_string(&Machine::default()).unwrap();
        assert_eq!(text.parse(), Ok(Machine::default()));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let tmu = Machine::built_in("tmu").unwrap();
        let told = |from: &str, to: &str| {
            assert!(tmu.contains(from), "{from}");
            let error = tmu.replace(from, to).parse::<Machine>().unwrap_err();
            error.to_string()
        };
        assert_eq!(
            told("lanes = 8", "lanes = 0"),
            "lanes is 0, expected at least 1"
        );
        assert_eq!(
            told("cores = 1", "cores = 1025"),
            "cores is 1025, expected at most 1024"
        );
        assert_eq!(
            told("line_bytes = 64", "line_bytes = 48"),
            "line_bytes is 48, expected a power of two"
        );
        assert_eq!(
            told("\"tmu\"", "\"my machine\""),
            "`my machine` cannot name a machine"
        );
        assert!(told("lanes = 8", "lanes = -8").starts_with("no machine: "));
        assert!(told("layers = 4\n", "").contains("missing field `layers`"));
        assert!(told("lanes = 8", "lanes = 8\nlines = 8").contains("unknown field `lines`"));
        let error = "name = 3".parse::<Machine>().unwrap_err();
        assert!(
            matches!(error, MachineError::Text { span, .. } if span.offset() == 7),
            "{error:?}"
        );
    }
}
