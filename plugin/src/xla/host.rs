//! The XLAs of a process: TensorFlow and JAX each bring one, with its own registries.
//!
//! The identity that an XLA assigns to our state type is its own. Handlers are therefore made once
//! for each host, and a host has a static place for what its XLA assigned.

use std::sync::atomic::AtomicI64;

use super::abi;

/// What is kept about one XLA.
pub struct Host {
    /// Assigned by XLA when the state type is registered.
    pub type_id: abi::TypeId,
}

impl Host {
    const fn new() -> Self {
        Host {
            type_id: abi::TypeId(AtomicI64::new(0)),
        }
    }
}

/// Names a [`Host`] in a type, so that handlers can be made for it.
pub trait Hosted: 'static {
    /// The host.
    fn host() -> &'static Host;
}

/// The XLA inside of TensorFlow.
pub struct TensorFlow;
/// The XLA inside of jaxlib.
pub struct Jax;

impl Hosted for TensorFlow {
    fn host() -> &'static Host {
        static HOST: Host = Host::new();
        &HOST
    }
}

impl Hosted for Jax {
    fn host() -> &'static Host {
        static HOST: Host = Host::new();
        &HOST
    }
}
