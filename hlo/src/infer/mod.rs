//! Result shapes: what follows from opcode, operands and attributes.
//!
//! One function an opcode states XLA's shape semantics: it either returns the only possible result
//! shape or the rule that is broken. The parser asks where the text states no shape; the verifier
//! asks for every instruction and compares. Dimensions of unknown size (`?`) fit any size.
//!
//! A shape that the text does not state has the layout that XLA gives it: elementwise results that
//! of their first operand (of the predicate, if it is an array), a transpose the order in which its
//! operand's elements lie in memory, what is copied or updated that of the operand, everything else
//! the row-major one. The verifier does not compare layouts.

mod calls;
mod elementwise;
mod linear;
mod structure;
mod windows;

use std::fmt;

use cranelift_entity::PrimaryMap;

use crate::attribute::{Attribute, AttributeValue};
use crate::module::{Computation, ComputationId, Instruction, InstructionId, Payload};
use crate::opcode::{Opcode, binary_opcodes, unary_opcodes};
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Rules of well-formed HLO; the module of [`crate::verify()`] explains them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "explained in the list of rules")]
pub enum Rule {
    Graph,
    OperandCount,
    OperandKind,
    ElementType,
    Dimensions,
    Result,
    AttributeRange,
    AttributeLength,
    Signature,
    Bounds,
    Parameters,
    EntryLayout,
    Precision,
}

impl Rule {
    /// Number in the list of rules.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}", self.number())
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) expected: String,
    pub(crate) found: String,
}

pub(crate) type Inferred<T> = Result<T, Violation>;

/// A broken rule as an error.
pub(crate) fn broken<T>(
    rule: Rule,
    expected: impl Into<String>,
    found: impl fmt::Display,
) -> Inferred<T> {
    Err(Violation {
        rule,
        expected: expected.into(),
        found: found.to_string(),
    })
}

/// Fails with the rule unless `holds`.
pub(crate) fn require(
    holds: bool,
    rule: Rule,
    expected: impl FnOnce() -> String,
    found: impl FnOnce() -> String,
) -> Inferred<()> {
    if holds {
        Ok(())
    } else {
        broken(rule, expected(), found())
    }
}

/// An instruction as far as its result shape depends on it.
pub(crate) struct Site<'m> {
    pub(crate) instructions: &'m PrimaryMap<InstructionId, Instruction>,
    pub(crate) computations: &'m PrimaryMap<ComputationId, Computation>,
    pub(crate) opcode: Opcode,
    pub(crate) operands: &'m [InstructionId],
    pub(crate) attributes: &'m [Attribute],
    pub(crate) payload: &'m Payload,
    /// The shape that the text states.
    pub(crate) stated: Option<&'m Shape>,
}

/// What [`infer`] finds.
pub(crate) enum Outcome {
    /// The only possible shape.
    Exactly(Shape),
    /// The stated shape is possible; others are as well.
    Stated,
}

/// The result shape of an instruction.
pub(crate) fn infer(site: &Site<'_>) -> Inferred<Outcome> {
    use Opcode as O;
    let exactly = |shape: Shape| Ok(Outcome::Exactly(shape));
    match site.opcode {
        unary_opcodes!() => exactly(elementwise::unary(site)?),
        binary_opcodes!() => exactly(elementwise::binary(site)?),
        O::Compare => exactly(elementwise::compare(site)?),
        O::Select => exactly(elementwise::select(site)?),
        O::Clamp => exactly(elementwise::clamp(site)?),
        O::Convert => elementwise::convert(site),
        O::StochasticConvert => elementwise::stochastic_convert(site),
        O::BitcastConvert => elementwise::bitcast_convert(site),
        O::Bitcast => elementwise::bitcast(site),
        O::ReducePrecision => exactly(elementwise::reduce_precision(site)?),
        O::Map => exactly(calls::map(site)?),

        O::Copy | O::OptBarrier | O::Domain => exactly(elementwise::same(site)?),
        O::Parameter => structure::parameter(site),
        O::Constant => structure::constant(site),
        O::Iota => structure::iota(site),
        O::Broadcast => structure::broadcast(site),
        O::Reshape => structure::reshape(site),
        O::DynamicReshape => structure::dynamic_reshape(site),
        O::Transpose => exactly(structure::transpose(site)?),
        O::Reverse => exactly(structure::reverse(site)?),
        O::Slice => exactly(structure::slice(site)?),
        O::DynamicSlice => exactly(structure::dynamic_slice(site)?),
        O::DynamicUpdateSlice => exactly(structure::dynamic_update_slice(site)?),
        O::Concatenate => exactly(structure::concatenate(site)?),
        O::Pad => exactly(structure::pad(site)?),
        O::Gather => exactly(windows::gather(site)?),
        O::Scatter => exactly(windows::scatter(site)?),
        O::GetDimensionSize => exactly(structure::get_dimension_size(site)?),
        O::SetDimensionSize => exactly(structure::set_dimension_size(site)?),

        O::Reduce => exactly(windows::reduce(site)?),
        O::ReduceWindow => exactly(windows::reduce_window(site)?),
        O::SelectAndScatter => exactly(windows::select_and_scatter(site)?),
        O::Sort => exactly(calls::sort(site)?),
        O::Topk => exactly(structure::topk(site)?),
        O::Scan => exactly(calls::scan(site)?),

        O::Dot => linear::dot(site),
        O::RaggedDot => linear::ragged_dot(site),
        O::ScaledDot => linear::scaled_dot(site),
        O::Convolution => linear::convolution(site),
        O::Fft => exactly(linear::fft(site)?),
        O::Cholesky => exactly(linear::cholesky(site)?),
        O::TriangularSolve => exactly(linear::triangular_solve(site)?),
        O::BatchNormTraining | O::BatchNormInference | O::BatchNormGrad => {
            exactly(linear::batch_norm(site)?)
        }

        O::Tuple => exactly(calls::tuple(site)?),
        O::GetTupleElement => exactly(calls::get_tuple_element(site)?),
        O::Call => exactly(calls::call(site)?),
        O::Fusion => calls::fusion(site),
        O::While => exactly(calls::while_loop(site)?),
        O::Conditional => exactly(calls::conditional(site)?),
        O::CustomCall => calls::custom_call(site),
        O::AsyncStart | O::AsyncUpdate | O::AsyncDone => calls::asynchronous(site),
        O::AfterAll => exactly(calls::after_all(site)?),
        O::AddDependency => exactly(calls::add_dependency(site)?),
        O::Infeed | O::Outfeed | O::Send | O::SendDone | O::Recv | O::RecvDone => {
            calls::transfer(site)
        }
        O::CopyStart | O::CopyDone => calls::copy_async(site),

        O::AllReduce | O::AllReduceDone | O::AllReduceStart | O::CollectiveBroadcast => {
            calls::same_as_operands(site)
        }
        O::AllGather
        | O::AllGatherDone
        | O::AllGatherStart
        | O::AllToAll
        | O::CollectivePermute
        | O::CollectivePermuteDone
        | O::CollectivePermuteStart
        | O::RaggedAllToAll
        | O::ReduceScatter => calls::collective(site),
        O::PartitionId | O::ReplicaId => {
            site.count(0)?;
            exactly(Shape::Array(ArrayShape::new(PrimitiveType::U32, [])))
        }
        O::Rng => structure::rng(site),
        O::RngBitGenerator => structure::rng_bit_generator(site),
        O::RngGetAndUpdateState => exactly(structure::rng_get_and_update_state(site)?),
    }
}

impl<'m> Site<'m> {
    /// Fails unless there are exactly `n` operands.
    pub(crate) fn count(&self, n: usize) -> Inferred<()> {
        require(
            self.operands.len() == n,
            Rule::OperandCount,
            || format!("{n} operands"),
            || self.operands.len().to_string(),
        )
    }

    /// Fails unless there are at least `n` operands.
    pub(crate) fn at_least(&self, n: usize) -> Inferred<()> {
        require(
            self.operands.len() >= n,
            Rule::OperandCount,
            || format!("at least {n} operands"),
            || self.operands.len().to_string(),
        )
    }

    /// Shape of an operand.
    pub(crate) fn operand(&self, index: usize) -> Inferred<&'m Shape> {
        match self
            .operands
            .get(index)
            .and_then(|&id| self.instructions.get(id))
        {
            Some(instruction) => Ok(&instruction.shape),
            None => broken(
                Rule::OperandCount,
                format!("at least {} operands", index + 1),
                self.operands.len(),
            ),
        }
    }

    /// Array shape of an operand.
    pub(crate) fn array(&self, index: usize) -> Inferred<&'m ArrayShape> {
        let shape = self.operand(index)?;
        match shape.as_array() {
            Some(array) => Ok(array),
            None => broken(
                Rule::OperandKind,
                format!("an array as operand {index}"),
                shape,
            ),
        }
    }

    /// An operand that must be a scalar.
    pub(crate) fn scalar(&self, index: usize) -> Inferred<&'m ArrayShape> {
        let array = self.array(index)?;
        require(
            array.rank() == 0,
            Rule::Dimensions,
            || format!("a scalar as operand {index}"),
            || array.to_string(),
        )?;
        Ok(array)
    }

    /// Array shapes of the operands from `start` up to `end`.
    pub(crate) fn arrays(&self, range: std::ops::Range<usize>) -> Inferred<Vec<&'m ArrayShape>> {
        range.map(|i| self.array(i)).collect()
    }

    fn attribute(&self, name: &str) -> Option<&'m AttributeValue> {
        self.attributes
            .iter()
            .find(|a| a.name == name)
            .map(|a| &a.value)
    }

    /// A list of integers; empty when absent.
    pub(crate) fn integers(&self, name: &str) -> &'m [i64] {
        match self.attribute(name) {
            Some(AttributeValue::Integers(values)) => values,
            _ => &[],
        }
    }

    /// A number; `default` when absent.
    pub(crate) fn integer_or(&self, name: &str, default: i64) -> i64 {
        match self.attribute(name) {
            Some(AttributeValue::Integer(value)) => *value,
            _ => default,
        }
    }

    /// A number that must be stated.
    pub(crate) fn integer(&self, name: &str) -> Inferred<i64> {
        match self.attribute(name) {
            Some(AttributeValue::Integer(value)) => Ok(*value),
            _ => broken(
                Rule::AttributeRange,
                format!("a number as `{name}`"),
                "none",
            ),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.attribute(name) == Some(&AttributeValue::Bool(true))
    }

    pub(crate) fn word(&self, name: &str) -> Option<&'m str> {
        match self.attribute(name) {
            Some(AttributeValue::Word(word)) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'m AttributeValue> {
        self.attribute(name)
    }

    /// The one dimension of `dimensions={d}`, inside the rank.
    pub(crate) fn dimension(&self, rank: usize) -> Inferred<usize> {
        match self.integers("dimensions") {
            &[dim] => in_rank("dimensions", dim, rank),
            list => broken(
                Rule::AttributeLength,
                "one dimension in `dimensions`",
                list.len(),
            ),
        }
    }

    /// Parameter shapes and result shape of a computation.
    pub(crate) fn signature(&self, name: &str) -> Inferred<(Vec<&'m Shape>, &'m Shape)> {
        match self.attribute(name) {
            Some(AttributeValue::Computation(id)) => self.signature_of(*id),
            _ => broken(
                Rule::Signature,
                format!("a computation as `{name}`"),
                "none",
            ),
        }
    }

    pub(crate) fn signature_of(&self, id: ComputationId) -> Inferred<(Vec<&'m Shape>, &'m Shape)> {
        let signature = self.computations.get(id).and_then(|computation| {
            let parameters: Option<Vec<&Shape>> = computation
                .parameters
                .iter()
                .map(|&p| Some(&*self.instructions.get(p)?.shape))
                .collect();
            let root = self.instructions.get(computation.root)?;
            Some((parameters?, &*root.shape))
        });
        match signature {
            Some(signature) => Ok(signature),
            None => broken(Rule::Graph, "a computation of this module", "another one"),
        }
    }

    /// The stated shape, which must be an array.
    pub(crate) fn stated_array(&self) -> Inferred<&'m ArrayShape> {
        match self.stated {
            Some(Shape::Array(array)) => Ok(array),
            Some(other) => broken(Rule::Result, "an array", other),
            None => broken(Rule::Result, "a stated shape", "none"),
        }
    }
}

/// `dim` as an index below `rank`.
pub(crate) fn in_rank(what: &str, dim: i64, rank: usize) -> Inferred<usize> {
    match usize::try_from(dim) {
        Ok(d) if d < rank => Ok(d),
        _ => broken(
            Rule::AttributeRange,
            format!("`{what}` within the {rank} dimensions"),
            dim,
        ),
    }
}

/// Dimensions inside the rank, each once.
pub(crate) fn dims_in_rank(what: &str, dims: &[i64], rank: usize) -> Inferred<Vec<usize>> {
    let mut seen = vec![false; rank];
    dims.iter()
        .map(|&dim| {
            let index = in_rank(what, dim, rank)?;
            match seen.get_mut(index) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    return broken(
                        Rule::AttributeRange,
                        format!("each dimension once in `{what}`"),
                        format!("{dim} twice"),
                    );
                }
            }
            Ok(index)
        })
        .collect()
}

/// Whether two sizes are equal or one is unknown.
pub(crate) fn sizes_fit(a: i64, b: i64) -> bool {
    a == b || a == ArrayShape::UNBOUNDED || b == ArrayShape::UNBOUNDED
}

/// Whether the dimensions agree as far as they are known.
pub(crate) fn dims_fit(a: &[i64], b: &[i64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| sizes_fit(a, b))
}

/// Whether two shapes agree as far as they are known, layouts aside.
pub(crate) fn shapes_fit(a: &Shape, b: &Shape) -> bool {
    match (a, b) {
        (Shape::Array(a), Shape::Array(b)) | (Shape::Buffer(a), Shape::Buffer(b)) => {
            a.element == b.element && dims_fit(&a.dims, &b.dims)
        }
        (Shape::Tuple(a), Shape::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| shapes_fit(a, b))
        }
        (Shape::Token, Shape::Token) | (Shape::Opaque, Shape::Opaque) => true,
        (
            Shape::Array(_) | Shape::Tuple(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_),
            _,
        ) => false,
    }
}

/// The size of a dimension of an array.
pub(crate) fn size_of(array: &ArrayShape, dim: usize) -> i64 {
    array.dims.get(dim).copied().unwrap_or(1)
}

/// A row-major array, dimensions dynamic where `dynamic` says so.
pub(crate) fn array_of(element: PrimitiveType, dims: Vec<i64>, dynamic: Vec<bool>) -> ArrayShape {
    let mut array = ArrayShape::new(element, dims);
    if dynamic.contains(&true) {
        array.dynamic = dynamic;
    }
    if array.rank() > 0 {
        array.layout = Some(crate::shape::Layout::row_major(array.rank()));
    }
    array
}

/// Whether a dimension is dynamic.
pub(crate) fn is_dynamic(array: &ArrayShape, dim: usize) -> bool {
    array.dynamic.get(dim) == Some(&true)
}

/// The array with this element type; the layout stays, except how wide an element is in memory
/// where it takes whole bytes.
pub(crate) fn with_element(array: &ArrayShape, element: PrimitiveType) -> ArrayShape {
    let mut array = array.clone();
    array.element = element;
    if let Some(layout) = array.layout.as_mut().filter(|_| element.bits() >= 8) {
        layout.set_element_size(None);
    }
    array
}

/// Whether two element types may meet in one operation: equal, or both floating point.
pub(crate) fn elements_fit(a: PrimitiveType, b: PrimitiveType) -> bool {
    a == b || (a.is_float() && b.is_float())
}

/// The more precise of two element types that fit.
pub(crate) fn wider(a: PrimitiveType, b: PrimitiveType) -> PrimitiveType {
    if b.bits() > a.bits() { b } else { a }
}
