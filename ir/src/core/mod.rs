//! What all IRs share.
//!
//! Reading order: types, scalars and their operations; buffers and the arrays that they hold when
//! a program runs; accesses to them; streams and code, which SLC and DLC are made of; the text; what can be
//! wrong with a program; what every IR provides.

pub mod access;
pub mod arith;
pub mod array;
pub mod buffer;
pub mod check;
pub mod code;
pub mod compute;
pub mod datum;
pub mod diag;
pub mod exp;
pub mod hints;
pub mod memory;
pub mod op;
pub mod program;
pub(crate) mod rows;
pub mod scalar;
pub mod stream;
pub mod text;
pub mod types;
pub mod typing;
pub mod value;

pub use access::{Access, Bound, Lanes};
pub use arith::Operand;
pub use array::{Array, ArrayError, Native};
pub use buffer::{Buffer, BufferId, Init, Role, in_place};
pub use code::{Code, Value};
pub use compute::Compute;
pub use datum::Datum;
pub use diag::{Diagnostics, EvalError, ParseError, Problem, Rule, VerifyError};
pub use hints::{LoopHints, MAX_CORES, ReadHints, ReadLevel};
pub use memory::{Limits, Memory, Steps};
pub use op::{Arith, BinaryOp, CombineOp, CompareOp, UnaryOp};
pub use program::Ir;
pub use scalar::Scalar;
pub use stream::{Effect, StreamExpr};
pub use types::{ElementType, LANES, ScalarType, Span, Type};
pub use typing::TypeError;
pub use value::ValueData;
