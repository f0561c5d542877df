//! The ladder of IRs from an embedding region down to a decoupled program.
//!
//! Every IR is a Rust type of its own with a text form that is printed and parsed back, a
//! verifier and an evaluator. `core` holds what they share: element types, scalars and their
//! arithmetic, buffers, diagnostics, the lexer.
//!
//! | IR | what it says |
//! |---|---|
//! | [`region`] | what is looked up, by what, combined how: iteration spaces, reads, combines |
//! | [`scf`] | loops, loads, stores, arithmetic |
//! | [`slc`] | which loops and loads the access unit runs (streams), which code the execute unit runs (callbacks) |
//! | [`dlc`] | the two programs, joined only by a control queue and a data queue |

pub mod analysis;
pub mod any;
pub mod core;
pub mod dlc;
pub mod lower;
pub mod region;
pub mod scf;
pub mod slc;

pub use any::Program;
