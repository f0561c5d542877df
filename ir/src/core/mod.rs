//! What all IRs share.
//!
//! Reading order: types, scalars and their operations; buffers and the arrays that they hold when
//! a program runs; the text; what can be wrong with a program; what every IR provides.

pub mod arith;
pub mod array;
pub mod buffer;
pub mod check;
pub mod diag;
pub mod memory;
pub mod op;
pub mod program;
pub mod scalar;
pub mod text;
pub mod types;
pub mod typing;
pub mod value;

pub use array::{Array, ArrayError, Native};
pub use buffer::{Buffer, BufferId, Init, Role};
pub use diag::{Diagnostics, EvalError, ParseError, Problem, Rule, VerifyError};
pub use memory::{Limits, Memory, Steps};
pub use op::{Arith, BinaryOp, CombineOp, CompareOp, UnaryOp};
pub use program::Ir;
pub use scalar::Scalar;
pub use types::{ElementType, ScalarType, Span};
pub use typing::TypeError;
pub use value::ValueData;
