//! What lowerings and passes have to know. An analysis computes and never changes a program.

pub mod decoupling;

pub use decoupling::{Decoupling, Obstacles};
