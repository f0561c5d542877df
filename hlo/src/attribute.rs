//! Attributes: a name and a value, kept in the order of the text.
//!
//! The parser types a value by the attribute's name. Structures that only matter to XLA's own
//! passes (sharding, metadata, device groups) are checked and kept as canonical text. Groups of
//! attributes that belong together (the dimension numbers of a gather) are read through typed
//! views.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::literal::Literal;
use crate::module::{ComputationId, InstructionId, Span};
use crate::shape::Shape;

/// The shapes of a computation's parameters and of its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The parameters, by number.
    pub parameters: Vec<Arc<Shape>>,
    /// The result.
    pub result: Arc<Shape>,
}

/// `name=value` after an instruction's operands, a computation's body or the module's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Name as written, one of those that the parser knows.
    pub name: &'static str,
    /// Typed where the name is known.
    pub value: AttributeValue,
    /// Where `name=value` stands.
    pub span: Span,
}

/// The value of an [`Attribute`].
// With a tag of eight bytes no value begins at an odd address, where moving it would be slow.
#[derive(Clone, Debug, PartialEq)]
#[repr(u64)]
pub enum AttributeValue {
    /// `true` or `false`.
    Bool(bool),
    /// `index_vector_dim=1`.
    Integer(i64),
    /// `epsilon=0.001`.
    Float(f64),
    /// `dimensions={0,1}`.
    Integers(SmallVec<[i64; 2]>),
    /// `source_target_pairs={{0,1},{1,0}}`.
    IntegerLists(Vec<Vec<i64>>),
    /// A bare word, such as `direction=LT` or `kind=kLoop`.
    Word(&'static str),
    /// A quoted string, unescaped.
    Text(Arc<str>),
    /// `to_apply=%add`.
    Computation(ComputationId),
    /// `branch_computations={%a, %b}`.
    Computations(Vec<ComputationId>),
    /// `control-predecessors={%a, %b}`.
    Instructions(Vec<InstructionId>),
    /// `slice={[0:32:1], [0:10]}`: start, limit, stride of each dimension.
    Slices(Vec<(i64, i64, i64)>),
    /// `padding=0_1x2_3_1`: low, high, interior of each dimension.
    Padding(Vec<(i64, i64, i64)>),
    /// `window={size=2x2 stride=2x2}`: one entry a dimension.
    Window(Vec<WindowDim>),
    /// `dim_labels=b01f_01io->b01f`.
    ConvolutionDims(Box<ConvolutionDims>),
    /// `outfeed_shape=f32[2]{0}`.
    Shape(Arc<Shape>),
    /// `operand_layout_constraints={f32[2]{0}, s32[]}`.
    Shapes(Vec<Arc<Shape>>),
    /// `entry_computation_layout={(f32[2]{0})->f32[2]{0}}`: parameters and result.
    Signature(Box<Signature>),
    /// `literal=s32[2]{0} {1, 2}`.
    Literal(Arc<Literal>),
    /// Any other structure (`metadata`, `sharding`, `replica_groups`, ...), in canonical spelling.
    Raw(Arc<str>),
}

impl AttributeValue {
    /// The computations that the value names.
    pub fn computations(&self) -> &[ComputationId] {
        match self {
            AttributeValue::Computation(id) => std::slice::from_ref(id),
            AttributeValue::Computations(ids) => ids,
            _ => &[],
        }
    }
}

/// One dimension of a `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowDim {
    /// Elements that the window covers.
    pub size: i64,
    /// Step between windows.
    pub stride: i64,
    /// Padding before the first element; negative removes elements.
    pub padding_low: i64,
    /// Padding after the last element; negative removes elements.
    pub padding_high: i64,
    /// Step between elements of the window (`rhs_dilate`).
    pub window_dilation: i64,
    /// Spacing of the operand's elements (`lhs_dilate`).
    pub base_dilation: i64,
    /// Whether the window is read backwards.
    pub reversal: bool,
}

impl Default for WindowDim {
    fn default() -> Self {
        WindowDim {
            size: 1,
            stride: 1,
            padding_low: 0,
            padding_high: 0,
            window_dilation: 1,
            base_dilation: 1,
            reversal: false,
        }
    }
}

/// Dimension numbers of a `convolution`: which dimension of each array plays which part.
///
/// `None` marks a dimension whose part is unknown (`?`); only custom calls have those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are XLA's own")]
pub struct ConvolutionDims {
    pub input_batch: Option<i64>,
    pub input_feature: Option<i64>,
    pub input_spatial: Vec<i64>,
    pub kernel_input_feature: Option<i64>,
    pub kernel_output_feature: Option<i64>,
    pub kernel_spatial: Vec<i64>,
    pub output_batch: Option<i64>,
    pub output_feature: Option<i64>,
    pub output_spatial: Vec<i64>,
    /// Ranks of input, kernel and output; more than the parts above when some are `?`.
    pub ranks: [usize; 3],
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
