//! The only part of the engine that touches memory by address: rows, columns, pages.
//!
//! | module | job |
//! |---|---|
//! | `memory` | buffers as foreign bytes; checked loads and stores, one by one, by columns, by rows |
//! | [`column`] | scalar operations on columns |
//! | `ahead` | rows fetched ahead of their use |
//! | `accumulate` | rows added into rows of `f32`, a bag in registers |
//! | `copy` | rows copied, past the caches if wanted |
//! | `fold` | rows reduced to one value: dot products, distances |
//! | [`limit`] | what memory gives: plain loops to hold kernels against |
//! | [`pages`] | advice to the system about large buffers |
//!
//! Functions here are safe to call with any argument: offsets are checked against their buffers, once for each call, before
//! a loop uses them unchecked. A vector kernel is the same source as its portable twin, instantiated for another vector (`simd`).
#![allow(
    unsafe_code,
    reason = "foreign memory by address, and vector instructions"
)]

pub(crate) mod accumulate;
mod ahead;
pub(crate) mod column;
pub(crate) mod copy;
pub(crate) mod element;
pub(crate) mod fold;
pub mod limit;
pub(crate) mod memory;
pub mod pages;
pub(crate) mod simd;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;
