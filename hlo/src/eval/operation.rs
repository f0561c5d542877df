//! One instruction to be computed, and the table of who computes it.

use super::array::{Array, dims_of};
use super::elementwise;
use super::error::{Fault, Outcome};
use super::limits::Meter;
use super::movement;
use crate::attribute::AttributeValue;
use crate::literal::Literal;
use crate::module::{Instruction, Module};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, PrimitiveType};

/// An instruction, its operands' values, and what may be used up on it.
pub(super) struct Operation<'a, 'o> {
    pub(super) module: &'a Module,
    pub(super) instruction: &'a Instruction,
    pub(super) operands: Vec<Literal>,
    pub(super) meter: &'a mut Meter<'o>,
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
        O::Bitcast => movement::bitcast(op)?,
        O::BitcastConvert => movement::bitcast_convert(op)?,
        O::Broadcast => movement::broadcast(op)?,
        O::Concatenate => movement::concatenate(op)?,
        O::DynamicSlice => movement::dynamic_slice(op)?,
        O::DynamicUpdateSlice => movement::dynamic_update_slice(op)?,
        O::GetDimensionSize => movement::get_dimension_size(op)?,
        O::Iota => movement::iota(op)?,
        O::Pad => movement::pad(op)?,
        O::Reshape | O::DynamicReshape => movement::reshape(op)?,
        O::Reverse => movement::reverse(op)?,
        O::SetDimensionSize => movement::set_dimension_size(op)?,
        O::Slice => movement::slice(op)?,
        O::Transpose => movement::transpose(op)?,
        opcode => match elementwise::on_arrays(op)? {
            Some(array) => array,
            None => return Err(Fault::unsupported(opcode.name())),
        },
    };
    Ok(array.into_literal())
}
