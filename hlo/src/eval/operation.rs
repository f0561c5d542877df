//! One instruction to be computed, and the table of who computes it.

use super::array::{Array, dims_of};
use super::context::Context;
use super::error::{Fault, Outcome};
use super::{
    batch_norm, convolution, custom_call, dot, elementwise, fft, indexed, linalg, movement,
    passing, ragged, random, reduce, scan, sort, window,
};
use crate::attribute::AttributeValue;
use crate::literal::Literal;
use crate::module::{ComputationId, Instruction, Module};
use crate::opcode::{Opcode, binary_opcodes, unary_opcodes};
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// An instruction, its operands' values, and the evaluation that it is a part of.
pub(super) struct Operation<'a, 'o> {
    pub(super) module: &'a Module,
    pub(super) instruction: &'a Instruction,
    pub(super) operands: Vec<Literal>,
    pub(super) context: &'a mut Context<'o>,
}

impl<'a> Operation<'a, '_> {
    /// Takes all operands, which must be arrays.
    pub(super) fn arrays(&mut self) -> Outcome<Vec<Array>> {
        std::mem::take(&mut self.operands)
            .into_iter()
            .map(Array::from_literal)
            .collect()
    }

    /// Takes the operands, of which there must be exactly `N`, all arrays.
    pub(super) fn exactly<const N: usize>(&mut self) -> Outcome<[Array; N]> {
        self.arrays()?
            .try_into()
            .map_err(|found: Vec<Array>| Fault::expected(format_args!("{N} operands"), found.len()))
    }

    /// The declared array shape of the result.
    pub(super) fn declared(&self) -> Outcome<&'a ArrayShape> {
        self.instruction
            .array()
            .ok_or_else(|| Fault::malformed("the result is not declared as an array"))
    }

    /// The declared array shape of an operand.
    pub(super) fn operand_shape(&self, operand: usize) -> Outcome<&'a ArrayShape> {
        self.instruction
            .operands
            .get(operand)
            .and_then(|&id| self.module.instructions[id].array())
            .ok_or_else(|| Fault::malformed(format!("operand {operand} is not an array")))
    }

    /// The declared element type and dimensions of the result.
    pub(super) fn result(&self) -> Outcome<(PrimitiveType, Vec<usize>)> {
        let shape = self.declared()?;
        Ok((shape.element, dims_of(shape)?))
    }

    /// The list of integers that `attribute` must have.
    pub(super) fn integers(&self, attribute: &str) -> Outcome<&'a [i64]> {
        self.instruction
            .integers(attribute)
            .ok_or_else(|| Fault::malformed(format!("{attribute} is missing")))
    }

    /// The list of integers of `attribute`, empty when it is absent.
    pub(super) fn integers_or_empty(&self, attribute: &str) -> &'a [i64] {
        self.instruction.integers(attribute).unwrap_or_default()
    }

    /// The declared result with all bytes zero.
    pub(super) fn zeroed(&self) -> Outcome<Array> {
        let (element, dims) = self.result()?;
        Array::zeroed(element, dims)
    }

    /// The integer that `attribute` must have.
    pub(super) fn integer(&self, attribute: &str) -> Outcome<i64> {
        self.instruction
            .integer(attribute)
            .ok_or_else(|| Fault::malformed(format!("{attribute} is missing")))
    }

    /// The word of `attribute`.
    pub(super) fn word(&self, attribute: &str) -> Option<&'a str> {
        match self.instruction.attribute(attribute)? {
            AttributeValue::Word(word) => Some(word),
            AttributeValue::Text(text) | AttributeValue::Raw(text) => Some(text),
            _ => None,
        }
    }

    /// The computation that `attribute` must name.
    pub(super) fn called(&self, attribute: &str) -> Outcome<ComputationId> {
        self.instruction
            .called(attribute)
            .ok_or_else(|| Fault::malformed(format!("{attribute} names no computation")))
    }

    /// The declared element types of the result: of the array, or of each array of the tuple.
    pub(super) fn elements(&self) -> Outcome<Vec<PrimitiveType>> {
        let parts = match &*self.instruction.shape {
            Shape::Tuple(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        parts
            .iter()
            .map(|part| part.as_array().map(|shape| shape.element))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Fault::malformed("the result is not declared as arrays"))
    }

    /// The results as declared: the single one itself, or a tuple of all.
    pub(super) fn tupled(&self, mut results: Vec<Array>) -> Outcome<Literal> {
        match &*self.instruction.shape {
            Shape::Tuple(_) => {
                let results = results.into_iter().map(Array::into_literal);
                Ok(Literal::Tuple(results.collect()))
            }
            _ => match results.pop() {
                Some(result) if results.is_empty() => Ok(result.into_literal()),
                _ => Err(Fault::malformed(
                    "several results are not declared as a tuple",
                )),
            },
        }
    }

    /// Whether `attribute` is `true`.
    pub(super) fn flag(&self, attribute: &str) -> bool {
        self.instruction.attribute(attribute) == Some(&AttributeValue::Bool(true))
    }
}

/// The value of an instruction that is neither control flow nor a tuple.
pub(super) fn apply(mut operation: Operation<'_, '_>) -> Outcome<Literal> {
    use Opcode as O;
    let op = &mut operation;
    let array = match &op.instruction.opcode {
        O::AddDependency | O::AsyncUpdate | O::AllReduceDone | O::Domain | O::OptBarrier => {
            return passing::first(op);
        }
        O::Copy if !matches!(op.operands[..], [Literal::Array { .. }]) => {
            return passing::identity(op);
        }
        O::AfterAll => return Ok(Literal::Token),
        O::AllGather
        | O::AllReduce
        | O::AllReduceStart
        | O::AllToAll
        | O::CollectiveBroadcast
        | O::ReduceScatter => return passing::collective(op),
        O::AllGatherStart => return passing::collective_start(op),
        O::CollectivePermute => return passing::permute(op),
        O::CollectivePermuteStart => return passing::permute_start(op),
        O::CopyStart => return passing::copy_start(op),
        O::CopyDone => return passing::done(op, 0),
        O::AllGatherDone | O::AsyncDone | O::CollectivePermuteDone => {
            return passing::done(op, 1);
        }
        O::CustomCall => return custom_call::custom_call(op),
        O::PartitionId | O::ReplicaId => passing::identifier(op)?,
        O::BatchNormInference => batch_norm::inference(op)?,
        O::BatchNormTraining => {
            let results = batch_norm::training(op)?;
            return op.tupled(results);
        }
        O::BatchNormGrad => {
            let results = batch_norm::gradient(op)?;
            return op.tupled(results);
        }
        O::Cholesky => linalg::cholesky(op)?,
        O::Fft => fft::fft(op)?,
        O::RaggedDot => ragged::ragged_dot(op)?,
        O::RngBitGenerator => {
            let results = random::bit_generator(op)?;
            return op.tupled(results);
        }
        O::TriangularSolve => linalg::triangular_solve(op)?,
        O::Bitcast => movement::bitcast(op)?,
        O::BitcastConvert => movement::bitcast_convert(op)?,
        O::Broadcast => movement::broadcast(op)?,
        O::Concatenate => movement::concatenate(op)?,
        O::Convolution => convolution::convolution(op)?,
        O::Dot => dot::dot(op)?,
        O::DynamicSlice => movement::dynamic_slice(op)?,
        O::DynamicUpdateSlice => movement::dynamic_update_slice(op)?,
        O::Gather => indexed::gather(op)?,
        O::GetDimensionSize => movement::get_dimension_size(op)?,
        O::Iota => movement::iota(op)?,
        O::Map => reduce::map(op)?,
        O::Pad => movement::pad(op)?,
        O::Reduce => {
            let results = reduce::reduce(op)?;
            return op.tupled(results);
        }
        O::ReduceWindow => {
            let results = window::reduce_window(op)?;
            return op.tupled(results);
        }
        O::SelectAndScatter => window::select_and_scatter(op)?,
        O::Reshape | O::DynamicReshape => movement::reshape(op)?,
        O::Reverse => movement::reverse(op)?,
        O::Scatter => {
            let results = indexed::scatter(op)?;
            return op.tupled(results);
        }
        O::SetDimensionSize => movement::set_dimension_size(op)?,
        O::Slice => movement::slice(op)?,
        O::Sort => {
            let results = sort::sort(op)?;
            return op.tupled(results);
        }
        O::Topk => {
            let results = sort::topk(op)?;
            return op.tupled(results);
        }
        O::Transpose => movement::transpose(op)?,
        O::RaggedAllToAll => ragged::all_to_all(op)?,
        O::Rng => random::rng(op)?,
        O::RngGetAndUpdateState => random::get_and_update_state(op)?,
        O::ScaledDot => dot::scaled_dot(op)?,
        O::Scan => return scan::scan(op),
        // What is handed to the host is the operand, which the observer sees.
        O::Outfeed => return Ok(Literal::Token),
        O::Infeed | O::Recv | O::RecvDone | O::Send | O::SendDone => {
            return Err(Fault::unsupported(format!(
                "{}: an evaluation has no host and no other device to exchange data with",
                op.instruction.opcode
            )));
        }
        unary_opcodes!()
        | binary_opcodes!()
        | O::Clamp
        | O::Compare
        | O::Convert
        | O::Copy
        | O::ReducePrecision
        | O::Select
        | O::StochasticConvert => elementwise::on_arrays(op)?,
        O::AsyncStart
        | O::Call
        | O::Conditional
        | O::Constant
        | O::Fusion
        | O::GetTupleElement
        | O::Parameter
        | O::Tuple
        | O::While => {
            return Err(Fault::malformed(format!(
                "{} is no operation on values",
                op.instruction.opcode
            )));
        }
    };
    Ok(array.into_literal())
}
