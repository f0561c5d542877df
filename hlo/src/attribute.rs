//! Attributes: a name and a value, kept in the order of the text.
//!
//! The parser types a value by the attribute's name where the name is known and keeps it as
//! written where it is not, so that nothing is lost on the way back to text. Groups of attributes
//! that belong together (the dimension numbers of a gather) are read through typed views.

use std::sync::Arc;

use crate::module::{ComputationId, Span};

/// `name=value` after an instruction's operands, a computation's body or the module's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Name as written.
    pub name: Arc<str>,
    /// Typed where the name is known.
    pub value: AttributeValue,
    /// Where `name=value` stands.
    pub span: Span,
}

/// The value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// `true` or `false`.
    Bool(bool),
    /// `index_vector_dim=1`.
    Integer(i64),
    /// `dimensions={0,1}`.
    Integers(Vec<i64>),
    /// A bare word, such as `direction=LT` or `kind=kLoop`.
    Word(Arc<str>),
    /// A quoted string, unescaped.
    Text(String),
    /// `to_apply=%add`.
    Computation(ComputationId),
    /// `branch_computations={%a, %b}`.
    Computations(Vec<ComputationId>),
    /// `slice={[0:32:1], [0:10]}`: start, limit, stride of each dimension.
    Slices(Vec<(i64, i64, i64)>),
    /// `padding=0_1x2_3_1`: low, high, interior of each dimension.
    Padding(Vec<(i64, i64, i64)>),
    /// Any other value, exactly as written (braces balanced).
    Raw(String),
}

/// Dimension numbers of a `gather`, as XLA's semantics name them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are XLA's own")]
pub struct GatherDims {
    pub offset_dims: Vec<i64>,
    pub collapsed_slice_dims: Vec<i64>,
    pub start_index_map: Vec<i64>,
    pub operand_batching_dims: Vec<i64>,
    pub start_indices_batching_dims: Vec<i64>,
    pub index_vector_dim: i64,
    pub slice_sizes: Vec<i64>,
    pub indices_are_sorted: bool,
}

/// Dimension numbers of a `scatter`, as XLA's semantics name them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are XLA's own")]
pub struct ScatterDims {
    pub update_window_dims: Vec<i64>,
    pub inserted_window_dims: Vec<i64>,
    pub scatter_dims_to_operand_dims: Vec<i64>,
    pub input_batching_dims: Vec<i64>,
    pub scatter_indices_batching_dims: Vec<i64>,
    pub index_vector_dim: i64,
    pub indices_are_sorted: bool,
    pub unique_indices: bool,
}

/// Dimension numbers of a `dot`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are XLA's own")]
pub struct DotDims {
    pub lhs_batch: Vec<i64>,
    pub rhs_batch: Vec<i64>,
    pub lhs_contracting: Vec<i64>,
    pub rhs_contracting: Vec<i64>,
}

impl crate::Instruction {
    fn integers_or_empty(&self, attribute: &str) -> Vec<i64> {
        self.integers(attribute)
            .map(<[i64]>::to_vec)
            .unwrap_or_default()
    }

    fn flag(&self, attribute: &str) -> bool {
        self.attribute(attribute) == Some(&AttributeValue::Bool(true))
    }

    /// The dimension numbers of a gather; `None` on any other opcode or when one that XLA
    /// requires is missing.
    pub fn gather_dims(&self) -> Option<GatherDims> {
        (self.opcode == crate::Opcode::Gather).then_some(())?;
        Some(GatherDims {
            offset_dims: self.integers("offset_dims")?.to_vec(),
            collapsed_slice_dims: self.integers("collapsed_slice_dims")?.to_vec(),
            start_index_map: self.integers("start_index_map")?.to_vec(),
            operand_batching_dims: self.integers_or_empty("operand_batching_dims"),
            start_indices_batching_dims: self.integers_or_empty("start_indices_batching_dims"),
            index_vector_dim: self.integer("index_vector_dim")?,
            slice_sizes: self.integers("slice_sizes")?.to_vec(),
            indices_are_sorted: self.flag("indices_are_sorted"),
        })
    }

    /// The dimension numbers of a scatter; `None` as for [`crate::Instruction::gather_dims`].
    pub fn scatter_dims(&self) -> Option<ScatterDims> {
        (self.opcode == crate::Opcode::Scatter).then_some(())?;
        Some(ScatterDims {
            update_window_dims: self.integers("update_window_dims")?.to_vec(),
            inserted_window_dims: self.integers("inserted_window_dims")?.to_vec(),
            scatter_dims_to_operand_dims: self.integers("scatter_dims_to_operand_dims")?.to_vec(),
            input_batching_dims: self.integers_or_empty("input_batching_dims"),
            scatter_indices_batching_dims: self.integers_or_empty("scatter_indices_batching_dims"),
            index_vector_dim: self.integer("index_vector_dim")?,
            indices_are_sorted: self.flag("indices_are_sorted"),
            unique_indices: self.flag("unique_indices"),
        })
    }

    /// The dimension numbers of a dot; absent lists are empty. `None` on any other opcode.
    pub fn dot_dims(&self) -> Option<DotDims> {
        (self.opcode == crate::Opcode::Dot).then(|| DotDims {
            lhs_batch: self.integers_or_empty("lhs_batch_dims"),
            rhs_batch: self.integers_or_empty("rhs_batch_dims"),
            lhs_contracting: self.integers_or_empty("lhs_contracting_dims"),
            rhs_contracting: self.integers_or_empty("rhs_contracting_dims"),
        })
    }
}
