//! What all IRs share.

pub mod array;
pub mod buffer;
pub mod op;
pub mod scalar;
pub mod types;

pub use array::Array;
pub use buffer::{Buffer, BufferId, Init, Role};
pub use op::{Arith, BinaryOp, CombineOp, CompareOp, UnaryOp};
pub use scalar::Scalar;
pub use types::{ElementType, ScalarType, Span};
