//! What is shipped: the two programs of a decoupled machine, and what they expect of their caller.

use std::fmt;

use cranelift_entity::PrimaryMap;
use hlo2dae_ir::core::{Buffer, BufferId, Role};

use crate::{access, execute};

/// A compiled program.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// Name without `@`.
    pub name: String,
    /// The buffers. The caller gives the inputs and takes the outputs, both in this order.
    pub buffers: PrimaryMap<BufferId, Buffer>,
    /// What the access unit runs.
    pub access: access::Program,
    /// What the execute unit runs.
    pub execute: execute::Program,
}

impl Artifact {
    /// The buffers that the caller gives, in order.
    pub fn inputs(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        self.buffers.iter().filter(|(_, buffer)| match buffer.role {
            Role::Input => true,
            Role::Output(_) | Role::Temp(_) => false,
        })
    }

    /// The buffers that the caller takes, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        self.buffers.iter().filter(|(_, buffer)| match buffer.role {
            Role::Output(_) => true,
            Role::Input | Role::Temp(_) => false,
        })
    }

    /// The access program as text for people.
    pub fn access_text(&self) -> impl fmt::Display + '_ {
        access::Text {
            name: &self.name,
            program: &self.access,
            buffers: &self.buffers,
            cases: &self.execute.cases,
        }
    }

    /// The execute program as text for people.
    pub fn execute_text(&self) -> impl fmt::Display + '_ {
        execute::Text {
            name: &self.name,
            program: &self.execute,
            buffers: &self.buffers,
        }
    }
}
