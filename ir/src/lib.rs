//! The ladder of IRs from an embedding region down to a decoupled program.
//!
//! Every IR is a Rust type of its own with a text form that is printed and parsed back, a
//! verifier and an evaluator ([`core::Ir`]). [`core`] holds what they share: element types, scalars
//! and their arithmetic, buffers, diagnostics, the lexer. [`lower`] leads from each IR to the next.
//!
//! | IR | what it says |
//! |---|---|
//! | [`region`] | what is looked up, by what, combined how: iteration spaces, reads, combines |
//! | [`scf`] | loops, loads, stores, arithmetic |
//! | [`slc`] | which loops and loads the access unit runs (streams), which code the execute unit runs (callbacks) |
//! | [`dlc`] | the two programs, joined only by a control queue and a data queue |
//!
//! # The running example
//!
//! An embedding bag: for each bag `b`, the sum of the table's rows that its ids name.
//!
//! ```text
#![doc = include_str!("../tests/ladder/embedding_bag.region")]
//! ```
//!
//! As loops:
//!
//! ```text
#![doc = include_str!("../tests/ladder/embedding_bag.scf")]
//! ```
//!
//! As streams and callbacks:
//!
//! ```text
#![doc = include_str!("../tests/ladder/embedding_bag.slc")]
//! ```
//!
//! As two programs:
//!
//! ```text
#![doc = include_str!("../tests/ladder/embedding_bag.dlc")]
//! ```
//!
//! All of them compute the same:
//!
//! ```
//! use hlo2dae_ir::core::{Array, Ir, Limits};
//! use hlo2dae_ir::lower::{region_to_scf, scf_to_slc, slc_to_dlc};
//! use hlo2dae_ir::region::Region;
//!
//! let region: Region = "region @bag {
//!   input %table: f32[3,2]
//!   input %ids: s32[2,2]
//!   output %out: f32[2,2] = 0.0
//!   nest (%b = 2, %l = 2, %d = 2) {
//!     %id = read %ids[%b, %l]
//!     %row = index %id {clamp 0..2}
//!     %x = read %table[%row, %d]
//!     combine add %out[%b, %d], %x
//!   }
//! }".parse()?;
//! let func = region_to_scf(&region)?;
//! let streams = scf_to_slc(&func)?;
//! let decoupled = slc_to_dlc(&streams)?;
//!
//! let table = Array::from_elements(&[3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! let ids = Array::from_elements(&[2, 2], &[0, 2, 1, 7])?;
//! let inputs = [table, ids];
//! let sums = [Array::from_elements(&[2, 2], &[6.0f32, 8.0, 8.0, 10.0])?];
//! let limits = Limits::default();
//! assert_eq!(region.evaluate(&inputs, &limits)?, sums);
//! assert_eq!(func.evaluate(&inputs, &limits)?, sums);
//! assert_eq!(streams.evaluate(&inputs, &limits)?, sums);
//! assert_eq!(decoupled.evaluate(&inputs, &limits)?, sums);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How to add an operation
//!
//! A scalar operation, the same in all IRs:
//!
//! 1. its name in the table of [`core::op`];
//! 2. the types that it takes in [`core::typing`], the table of the module included;
//! 3. its value in [`core::arith`], and what is special about it in the list of the module.
//!
//! The compiler names every match that has to know it, in the other crates too. Text, verifiers and evaluators
//! follow by themselves, and so do the tests that go over all operations; add
//! one with the values that are special. `cargo test -p hlo2dae-ir core` proves it.
//!
//! A statement or expression of one IR:
//!
//! 1. grammar and semantics in the documentation of the IR's module, then the variant;
//! 2. `print`, `parse`, `verify` (a numbered rule, and a wrong program with its diagnostic in
//!    `tests/IR/errors`), `eval`;
//! 3. the lowerings from above and to below, with a program in `tests/region` or `tests/lower`
//!    (`BLESS=1 cargo test -p hlo2dae-ir` writes what comes out of it: read it);
//! 4. the random programs of `tests/support`, so that the laws are tried on it.

pub mod analysis;
pub mod any;
pub mod core;
pub mod dlc;
pub mod lower;
pub mod passes;
pub mod region;
pub mod scf;
pub mod slc;

pub use any::Program;
