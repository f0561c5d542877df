//! Tests that need all crates: case folders, engines against each other, frameworks.
//!
//! # Case folders
//!
//! `cases/NAME/` holds one model and what every stage of the pipeline makes of it:
//!
//! | file | what it holds | made from |
//! |---|---|---|
//! | `case.toml` | seed, arguments, tolerance, expected regions: [`case::Spec`] | written by hand |
//! | `00-input.hlo` | what a framework printed | `python/dumps` |
//! | `10-graph.hlo` and all others | the stages of [`stage::STAGES`] | the file that the stage names |
//!
//! Every stage file is checked twice: it must equal what its source file gives, and it is itself the source of the next
//! stage, read back from the disk. A change in one stage is a change in its file and, only where it matters, below.
//!
//! `BLESS=1` rewrites stage files ([`golden`]); nothing else does. A folder is a closed set: a file that no stage lists, a
//! missing stage file and an unknown key of `case.toml` are failures.

pub mod case;
pub mod classes;
pub mod engines;
pub mod exchange;
pub mod fill;
pub mod golden;
pub mod graphs;
pub mod harness;
pub mod programs;
pub mod python;
pub mod stage;
pub mod survey;
pub mod texts;
pub mod truth;
pub mod worker;
pub mod workspace;
