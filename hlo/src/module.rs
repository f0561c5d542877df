//! The graph: a module owns computations, a computation lists instructions.
//!
//! Instructions of all computations live in one table, so that a side table over
//! [`InstructionId`] covers the whole module. HLO text defines before it uses, and so does the
//! table: an operand's id is smaller than its user's, a called computation's id is smaller than
//! its caller's. Walking a table in order is a topological walk.

use std::sync::Arc;

use cranelift_entity::{PrimaryMap, entity_impl};
use smallvec::SmallVec;

use crate::attribute::{Attribute, AttributeValue};
use crate::literal::Literal;
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, Shape};

/// A computation of a [`Module`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComputationId(u32);
entity_impl!(ComputationId, "computation");

/// An instruction of a [`Module`], whichever computation it stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstructionId(u32);
entity_impl!(InstructionId, "instruction");

/// The name of an instruction or a computation: short ones stand in the value itself.
pub type Name = smol_str::SmolStr;

/// A range of bytes of the text that something was read from.
///
/// Things that were not read from text carry the empty span at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }
}

impl From<Span> for miette::SourceSpan {
    fn from(span: Span) -> Self {
        (
            span.start as usize,
            span.end.saturating_sub(span.start) as usize,
        )
            .into()
    }
}

/// An HLO module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Name after `HloModule`; empty when the text has no such line.
    pub name: String,
    /// Header attributes in the order of the text, `entry_computation_layout` among them.
    pub attributes: Vec<Attribute>,
    /// `FileNames`, `FunctionNames`, `FileLocations` and `StackFrames`, which metadata refers to.
    pub source_tables: Vec<SourceTable>,
    /// All computations, callees before callers.
    pub computations: PrimaryMap<ComputationId, Computation>,
    /// All instructions, operands before users.
    pub instructions: PrimaryMap<InstructionId, Instruction>,
    /// The computation marked `ENTRY`, or the last one.
    pub entry: ComputationId,
}

/// One of the numbered tables that stand before the computations of an optimised module.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceTable {
    /// `FileNames`, `FunctionNames`, `FileLocations` or `StackFrames`.
    pub name: String,
    /// The lines, each the number and the rest of the line as written.
    pub rows: Vec<(u64, String)>,
}

/// A named list of instructions with one result.
#[derive(Clone, Debug)]
pub struct Computation {
    /// Name without `%`.
    pub name: Name,
    /// Instructions in the order of the text.
    pub instructions: Vec<InstructionId>,
    /// Parameters by number.
    pub parameters: Vec<InstructionId>,
    /// The instruction marked `ROOT`, or the last one.
    pub root: InstructionId,
    /// Attributes after the closing brace, such as `execution_thread`.
    pub attributes: Vec<Attribute>,
    /// Where the name stands.
    pub span: Span,
}

/// What stands between the parentheses of an instruction and is not an operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Nothing but operands.
    None,
    /// The number of a `parameter`.
    Parameter(u64),
    /// The value of a `constant`.
    Constant(Arc<Literal>),
}

/// One HLO instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Name without `%`.
    pub name: Name,
    /// Result shape; equal shapes of one module share an allocation.
    pub shape: Arc<Shape>,
    /// What it computes.
    pub opcode: Opcode,
    /// Operands in order, all of the same computation.
    pub operands: SmallVec<[InstructionId; 4]>,
    /// Parameter number or constant value.
    pub payload: Payload,
    /// Attributes in the order of the text, called computations among them.
    pub attributes: Vec<Attribute>,
    /// The computation that it stands in.
    pub parent: ComputationId,
    /// Where the name stands.
    pub span: Span,
}

// A large module has millions of them, and the time to read it follows from the memory that it takes.
const _: () = assert!(size_of::<Instruction>() <= 112 && size_of::<Attribute>() <= 56);

impl Instruction {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| &a.value)
    }

    /// The single computation named by `attribute` (`to_apply`, `calls`, `body`, ...).
    pub fn called(&self, attribute: &str) -> Option<ComputationId> {
        match self.attribute(attribute)? {
            AttributeValue::Computation(id) => Some(*id),
            _ => None,
        }
    }

    /// All computations that the instruction calls, in the order of the text.
    pub fn called_computations(&self) -> impl Iterator<Item = ComputationId> + '_ {
        self.attributes
            .iter()
            .flat_map(|a| a.value.computations())
            .copied()
    }

    /// A list of integers such as `dimensions={0,1}`.
    pub fn integers(&self, attribute: &str) -> Option<&[i64]> {
        match self.attribute(attribute)? {
            AttributeValue::Integers(values) => Some(values),
            _ => None,
        }
    }

    /// A single integer such as `index_vector_dim=1`.
    pub fn integer(&self, attribute: &str) -> Option<i64> {
        match self.attribute(attribute)? {
            AttributeValue::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The constant's value, when this is a `constant`.
    pub fn literal(&self) -> Option<&Literal> {
        match &self.payload {
            Payload::Constant(literal) => Some(literal),
            Payload::None | Payload::Parameter(_) => None,
        }
    }

    /// The array shape of the result; `None` for tuples, tokens and opaque values.
    pub fn array(&self) -> Option<&ArrayShape> {
        self.shape.as_array()
    }
}

impl Module {
    /// The entry computation.
    pub fn entry(&self) -> &Computation {
        &self.computations[self.entry]
    }

    /// `computation/instruction`, the name by which reports call an instruction.
    pub fn path(&self, id: InstructionId) -> String {
        let instruction = &self.instructions[id];
        format!(
            "{}/{}",
            self.computations[instruction.parent].name, instruction.name
        )
    }
}
