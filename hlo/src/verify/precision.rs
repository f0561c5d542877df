//! Rule V13: which floating-point types may meet in one instruction.

use crate::infer::{Inferred, Rule, broken, require};
use crate::module::{Instruction, Module};
use crate::opcode::Opcode;
use crate::shape::{PrimitiveType, Shape};

/// Whether an opcode hands values on as they are, or states the type that it accumulates in: its
/// operands may be floats of several types.
fn may_mix(opcode: Opcode) -> bool {
    use Opcode as O;
    matches!(
        opcode,
        O::AllGather
            | O::AllGatherDone
            | O::AllGatherStart
            | O::AllReduce
            | O::AllReduceDone
            | O::AllReduceStart
            | O::AsyncDone
            | O::AsyncStart
            | O::AsyncUpdate
            | O::Call
            | O::Conditional
            | O::Convolution
            | O::CopyDone
            | O::CopyStart
            | O::CustomCall
            | O::Domain
            | O::Dot
            | O::Fusion
            | O::GetTupleElement
            | O::Infeed
            | O::OptBarrier
            | O::Outfeed
            | O::RaggedDot
            | O::Recv
            | O::RecvDone
            | O::ReduceWindow
            | O::ScaledDot
            | O::Scan
            | O::Send
            | O::SendDone
            | O::Sort
            | O::Tuple
            | O::While
    )
}

/// The first floating-point type of a shape that is not `expected`; the first of all becomes it.
fn other_float(shape: &Shape, expected: &mut Option<PrimitiveType>) -> Option<PrimitiveType> {
    let mut pending = vec![shape];
    while let Some(shape) = pending.pop() {
        match shape {
            Shape::Array(array) | Shape::Buffer(array) if array.element.is_float() => {
                if *expected.get_or_insert(array.element) != array.element {
                    return Some(array.element);
                }
            }
            Shape::Tuple(parts) => pending.extend(parts.iter().rev()),
            Shape::Array(_) | Shape::Buffer(_) | Shape::Token | Shape::Opaque => {}
        }
    }
    None
}

/// Fails where operands are floats of several types, or a combiner takes others than it is given.
pub(super) fn check(module: &Module, instruction: &Instruction) -> Inferred<()> {
    let shape = |operand| &*module.instructions[operand].shape;
    if !may_mix(instruction.opcode) {
        let mut expected = None;
        for (i, &operand) in instruction.operands.iter().enumerate() {
            let other = other_float(shape(operand), &mut expected);
            if let (Some(other), Some(expected)) = (other, expected) {
                return broken(
                    Rule::Precision,
                    format!("floating-point operands of one type, {expected}"),
                    format!("{other} in operand {i}"),
                );
            }
        }
    }
    if !matches!(
        instruction.opcode,
        Opcode::Map | Opcode::Reduce | Opcode::ReduceWindow
    ) {
        return Ok(());
    }
    let Some(computation) = instruction.called("to_apply") else {
        return Ok(());
    };
    let parameters = &module.computations[computation].parameters;
    for (i, (&operand, &parameter)) in instruction.operands.iter().zip(parameters).enumerate() {
        let element = |id| shape(id).as_array().map(|array| array.element);
        if let (Some(given), Some(taken)) = (element(operand), element(parameter)) {
            require(
                given == taken,
                Rule::Precision,
                || format!("{given} as parameter {i} of `to_apply`, like operand {i}"),
                || taken.to_string(),
            )?;
        }
    }
    Ok(())
}
