//! HLO text as a typed graph, and back.
//!
//! `parse` reads what XLA prints, [`Module`] is the graph, `Display` prints it again, `verify`
//! checks it and `eval` executes it slowly and obviously: the reference for every other engine.
//! The crate knows nothing of embeddings.
//!
//! Reading order: [`shape`], [`module`], [`attribute`], then the parser.

pub mod attribute;
mod canonical;
mod equal;
pub mod eval;
mod groups;
mod infer;
pub mod literal;
pub mod metadata;
pub mod minifloat;
pub mod module;
pub mod opcode;
pub mod parse;
mod print;
pub mod shape;
pub mod stablehlo;
pub mod verify;

pub use attribute::{
    Attribute, AttributeValue, ConvolutionDims, DotDims, GatherDims, ScatterDims, Signature,
    WindowDim,
};
pub use literal::Literal;
pub use metadata::SourceLine;
pub use module::{
    Computation, ComputationId, Instruction, InstructionId, Module, Name, Payload, Span,
};
pub use opcode::Opcode;
pub use parse::error::{ParseError, ParseErrors, line_column};
pub use parse::{parse_attribute, parse_module, parse_shape};
pub use print::PrintOptions;
pub use shape::{ArrayShape, Layout, PrimitiveType, Shape};
pub use verify::{Verified, VerifyError, VerifyErrors, verify};
