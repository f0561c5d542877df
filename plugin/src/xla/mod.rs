//! Embedding regions as custom calls of XLA, on the host CPU.
//!
//! A call carries the text of its program; no file, no number of a registry. Two ways in:
//!
//! | | target | program | checks |
//! |---|---|---|---|
//! | typed FFI | [`TYPED_TARGET`] | attribute `program`, optional attribute `engine` | number, element type, rank and dimensions of every buffer |
//! | untyped, status-returning | [`UNTYPED_TARGET`] | the opaque text, optional first line `engine NAME` | none are possible: XLA hands over bare pointers |
//!
//! The typed call parses and compiles the program when XLA instantiates the call site, once, and
//! finds it again at every execution. Without a named engine it runs natively, on XLA's own threads and in XLA's own
//! memory, without a copy. The untyped call has no such stage: it keeps compiled
//! programs by their text.

pub mod abi;
mod frame;
pub mod host;
pub mod state;
pub mod tensorflow;
pub mod threads;
pub mod typed;
pub mod untyped;

#[cfg(test)]
#[allow(unsafe_code, reason = "plays XLA")]
mod tests;

/// Name of the typed call.
pub const TYPED_TARGET: &str = "hlo2dae";
/// Name of the untyped call.
pub const UNTYPED_TARGET: &str = "hlo2dae_untyped";
/// Name under which the type of a call site's state is registered.
pub const STATE_TYPE: &str = "hlo2dae_call_site";
