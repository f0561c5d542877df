//! The native engine.

pub mod kernels;
pub mod machine;
pub mod prefetch;
