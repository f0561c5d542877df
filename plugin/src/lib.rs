//! hlo2dae seen from outside: the compiler behind one facade, its C ABI and XLA's custom calls.
//!
//! [`compile::compile`] is the whole pipeline; the command line, the C ABI and the custom calls are three ways to call it.

pub mod check;
pub mod compile;
pub mod emit;
pub mod engine;
pub mod error;
pub mod format;
pub mod inputs;
pub mod npz;
pub mod report;
pub mod run;

mod bridge;
mod capi;
mod dot;
mod element;
mod fence;
mod foreign;
mod module;
mod program;
mod status;
mod xla;

pub use error::Error;
