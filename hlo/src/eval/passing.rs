//! Opcodes that hand a value on: barriers, domains, the two halves of asynchronous operations,
//! and collectives in which nobody else takes part.

use super::array::Array;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use crate::attribute::AttributeValue;
use crate::groups::{self, Groups};
use crate::literal::Literal;
use crate::module::Module;
use crate::shape::{PrimitiveType, Shape};

/// The operands as the instruction's value: the single one, or a tuple of several.
pub(super) fn identity(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let mut operands = std::mem::take(&mut op.operands);
    match operands.len() {
        0 => Err(Fault::malformed("expected an operand")),
        1 => Ok(operands.remove(0)),
        _ => Ok(Literal::Tuple(operands)),
    }
}

/// The first operand.
pub(super) fn first(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    op.operands.truncate(1);
    identity(op)
}

/// The value of an operation that was started, which is an element of what starting it gave.
pub(super) fn done(op: &mut Operation<'_, '_>, element: usize) -> Outcome<Literal> {
    match first(op)? {
        Literal::Tuple(mut elements) if element < elements.len() => {
            Ok(elements.swap_remove(element))
        }
        _ => Err(Fault::expected(
            "the tuple of a started operation",
            "another value",
        )),
    }
}

/// What starting an operation gives: a tuple with operands and result at its first two places,
/// in the order of `result_first`, and context that nobody reads.
pub(super) fn started(
    shape: &Shape,
    operands: Literal,
    result: Literal,
    result_first: bool,
) -> Outcome<Literal> {
    let Shape::Tuple(parts) = shape else {
        return Err(Fault::malformed(
            "a started operation is not declared as a tuple",
        ));
    };
    let mut elements = if result_first {
        vec![result, operands]
    } else {
        vec![operands, result]
    };
    for part in parts.iter().skip(2) {
        elements.push(zeros(part)?);
    }
    Ok(Literal::Tuple(elements))
}

/// The value of a shape without arrays inside of tuples that is all zeros.
pub(super) fn zeros(shape: &Shape) -> Outcome<Literal> {
    match shape {
        Shape::Array(array) => {
            Ok(Array::zeroed(array.element, super::array::dims_of(array)?)?.into_literal())
        }
        Shape::Token => Ok(Literal::Token),
        Shape::Tuple(parts) if parts.is_empty() => Ok(Literal::Tuple(Vec::new())),
        Shape::Tuple(_) | Shape::Opaque | Shape::Buffer(_) => {
            Err(Fault::unsupported("the context of this operation"))
        }
    }
}

/// `replica_count * num_partitions`.
fn participants(module: &Module) -> i64 {
    let (replicas, partitions) = groups::devices(module);
    replicas.saturating_mul(partitions)
}

/// A fault unless the collective has a single participant: because there is just one, or every
/// group has one member.
pub(super) fn alone(op: &Operation<'_, '_>) -> Outcome<()> {
    if Groups::of(op.instruction).are_single() || participants(op.module) == 1 {
        Ok(())
    } else {
        Err(Fault::unsupported(format!(
            "{} over several participants",
            op.instruction.opcode
        )))
    }
}

/// A collective of a single participant: what it sends is what it receives.
pub(super) fn collective(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    alone(op)?;
    identity(op)
}

/// The start of such a collective whose value holds operand and result.
pub(super) fn collective_start(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    alone(op)?;
    let value = identity(op)?;
    started(&op.instruction.shape, value.clone(), value, false)
}

/// `collective-permute` among one: the value if it is sent to itself, else zeros.
pub(super) fn permute(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    if participants(op.module) != 1 {
        return Err(Fault::unsupported(format!(
            "{} over several participants",
            op.instruction.opcode
        )));
    }
    let pairs = match op.instruction.attribute("source_target_pairs") {
        Some(AttributeValue::IntegerLists(pairs)) => pairs.clone(),
        _ => Vec::new(),
    };
    let value = identity(op)?;
    if pairs.iter().any(|pair| pair[..] == [0, 0]) {
        return Ok(value);
    }
    let array = Array::from_literal(value)?;
    Ok(Array::zeroed(array.element, array.dims)?.into_literal())
}

/// `collective-permute-start`.
pub(super) fn permute_start(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let operand = op.operands.first().cloned();
    let operand = operand.ok_or_else(|| Fault::malformed("expected an operand"))?;
    let result = permute(op)?;
    started(&op.instruction.shape, operand, result, false)
}

/// `copy-start`.
pub(super) fn copy_start(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let value = first(op)?;
    started(&op.instruction.shape, value.clone(), value, true)
}

/// `partition-id` and `replica-id`: the only participant is number 0.
pub(super) fn identifier(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    if participants(op.module) != 1 {
        return Err(Fault::unsupported(format!(
            "{} in a module for several partitions",
            op.instruction.opcode
        )));
    }
    Array::zeroed(PrimitiveType::U32, Vec::new())
}
