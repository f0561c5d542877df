//! What comparisons and combiners compute.

use hlo2dae_hlo::{AttributeValue, Instruction, InstructionId, Module, Opcode, PrimitiveType};
use hlo2dae_ir::core::{CombineOp, CompareOp};

use super::NoMap;

/// The comparison that a `compare` makes.
pub(super) fn compare_op(instruction: &Instruction) -> Result<CompareOp, NoMap> {
    if let Some(AttributeValue::Word(order)) = instruction.attribute("type")
        && *order == "TOTALORDER"
    {
        return Err(NoMap("it compares floats in total order"));
    }
    match instruction.attribute("direction") {
        Some(AttributeValue::Word(word)) => match *word {
            "EQ" => Ok(CompareOp::Eq),
            "NE" => Ok(CompareOp::Ne),
            "LT" => Ok(CompareOp::Lt),
            "LE" => Ok(CompareOp::Le),
            "GT" => Ok(CompareOp::Gt),
            "GE" => Ok(CompareOp::Ge),
            _ => Err(NoMap("its direction is unknown")),
        },
        _ => Err(NoMap("it has no direction")),
    }
}

/// The combine that a two-parameter scalar computation is.
pub(super) fn combine_op(module: &Module, instruction: &Instruction) -> Option<CombineOp> {
    let body = &module.computations[instruction.called("to_apply")?];
    let &[element, value] = body.parameters.as_slice() else {
        return None;
    };
    let wide = |id: InstructionId| {
        let element = module.instructions[id].array().map(|array| array.element);
        element == Some(PrimitiveType::F32)
    };
    // Arithmetic of `f16` and `bf16` is that of `f32`, rounded: it may be spelled so.
    let through = |id: InstructionId, is_result: bool| {
        let conversion = &module.instructions[id];
        let inner = *conversion.operands.first()?;
        let narrow = |id: InstructionId| {
            matches!(
                module.instructions[id].array()?.element,
                PrimitiveType::F16 | PrimitiveType::BF16
            )
            .then_some(())
        };
        let (narrow_side, wide_side) = if is_result { (id, inner) } else { (inner, id) };
        (conversion.opcode == Opcode::Convert && wide(wide_side)).then_some(())?;
        narrow(narrow_side).map(|()| inner)
    };
    let root = through(body.root, true).unwrap_or(body.root);
    if root == value {
        return Some(CombineOp::Replace);
    }
    let is_widened = root != body.root;
    let root = &module.instructions[root];
    let &[lhs, rhs] = root.operands.as_slice() else {
        return None;
    };
    let (lhs, rhs) = match is_widened {
        true => (through(lhs, false)?, through(rhs, false)?),
        false => (lhs, rhs),
    };
    let in_order = (lhs, rhs) == (element, value);
    if !in_order && (rhs, lhs) != (element, value) {
        return None;
    }
    match root.opcode {
        Opcode::Add => Some(CombineOp::Add),
        Opcode::Multiply => Some(CombineOp::Mul),
        Opcode::Minimum => Some(CombineOp::Min),
        Opcode::Maximum => Some(CombineOp::Max),
        Opcode::And => Some(CombineOp::And),
        Opcode::Or => Some(CombineOp::Or),
        Opcode::Xor => Some(CombineOp::Xor),
        Opcode::Subtract if in_order => Some(CombineOp::Sub),
        _ => None,
    }
}
