//! What lowerings and passes have to know. An analysis computes and never changes a program.

pub mod decoupling;
mod obstacle;

pub use decoupling::Decoupling;
pub use obstacle::{Because, Obstacle, Obstacles};
