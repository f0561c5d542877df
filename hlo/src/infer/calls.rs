//! Tuples, operations that call computations, communication and ordering.

use super::{
    Inferred, Outcome, Rule, Site, array_of, broken, dims_fit, in_rank, require, shapes_fit,
    size_of, sizes_fit,
};
use crate::attribute::AttributeValue;
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Tuples inside one another and leaves in all that a tuple may have. Without a limit, a line `tuple(x, x)`
/// would double what the line before it takes.
const MAX_TUPLE_DEPTH: usize = 100;
const MAX_TUPLE_LEAVES: usize = 1 << 16;

/// Depth and leaves of a shape, an empty tuple being a leaf.
fn extent(shape: &Shape) -> (usize, usize) {
    let (mut deepest, mut leaves) = (0, 0);
    let mut pending = vec![(shape, 0)];
    while let Some((shape, depth)) = pending.pop() {
        match shape {
            Shape::Tuple(parts) if !parts.is_empty() => {
                pending.extend(parts.iter().map(|part| (part, depth + 1)));
            }
            _ => {
                deepest = deepest.max(depth);
                leaves += 1;
            }
        }
    }
    (deepest, leaves)
}

pub(super) fn tuple(site: &Site<'_>) -> Inferred<Shape> {
    let (mut deepest, mut leaves) = (0, 0);
    for i in 0..site.operands.len() {
        let (depth, count) = extent(site.operand(i)?);
        deepest = deepest.max(depth + 1);
        leaves += count;
        require(
            deepest <= MAX_TUPLE_DEPTH && leaves <= MAX_TUPLE_LEAVES,
            Rule::OperandKind,
            || {
                format!(
                    "at most {MAX_TUPLE_DEPTH} tuples inside one another and {MAX_TUPLE_LEAVES} leaves"
                )
            },
            || format!("{deepest} and {leaves}"),
        )?;
    }
    (0..site.operands.len())
        .map(|i| site.operand(i).cloned())
        .collect::<Inferred<Vec<_>>>()
        .map(Shape::Tuple)
}

pub(super) fn get_tuple_element(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.operand(0)?;
    let Shape::Tuple(elements) = operand else {
        return broken(Rule::OperandKind, "a tuple", operand);
    };
    let index = in_rank("index", site.integer("index")?, elements.len())?;
    match elements.get(index) {
        Some(element) => Ok(element.clone()),
        None => broken(Rule::AttributeRange, "an element of the tuple", index),
    }
}

/// Operands from `first` on must be the parameters of a computation.
fn passes(site: &Site<'_>, first: usize, what: &str, parameters: &[&Shape]) -> Inferred<()> {
    let passed = site.operands.len().saturating_sub(first);
    require(
        passed == parameters.len(),
        Rule::Signature,
        || format!("{} operands, the parameters of `{what}`", parameters.len()),
        || passed.to_string(),
    )?;
    for (i, parameter) in parameters.iter().enumerate() {
        let operand = site.operand(first + i)?;
        require(
            shapes_fit(operand, parameter),
            Rule::Signature,
            || {
                format!(
                    "{parameter} as operand {}, parameter {i} of `{what}`",
                    first + i
                )
            },
            || operand.to_string(),
        )?;
    }
    Ok(())
}

pub(super) fn call(site: &Site<'_>) -> Inferred<Shape> {
    let (parameters, result) = site.signature("to_apply")?;
    passes(site, 0, "to_apply", &parameters)?;
    Ok(result.clone())
}

pub(super) fn fusion(site: &Site<'_>) -> Inferred<Outcome> {
    let (parameters, result) = site.signature("calls")?;
    passes(site, 0, "calls", &parameters)?;
    Ok(Outcome::Exactly(result.clone()))
}

pub(super) fn while_loop(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let (condition, test) = site.signature("condition")?;
    passes(site, 0, "condition", &condition)?;
    require(
        is_pred(test),
        Rule::Signature,
        || "pred[] as result of `condition`".to_owned(),
        || test.to_string(),
    )?;
    let (body, result) = site.signature("body")?;
    passes(site, 0, "body", &body)?;
    let state = site.operand(0)?;
    require(
        shapes_fit(result, state),
        Rule::Signature,
        || format!("{state} as result of `body`"),
        || result.to_string(),
    )?;
    Ok(state.clone())
}

fn is_pred(shape: &Shape) -> bool {
    shape
        .as_array()
        .is_some_and(|a| a.element == PrimitiveType::Pred && a.rank() == 0)
}

pub(super) fn conditional(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(1)?;
    let selector = site.scalar(0)?;
    let mut branches = Vec::new();
    match selector.element {
        PrimitiveType::Pred => {
            branches.push(site.signature("true_computation")?);
            branches.push(site.signature("false_computation")?);
        }
        PrimitiveType::S32 => {
            if let Some(AttributeValue::Computations(ids)) = site.value("branch_computations") {
                for &id in ids {
                    branches.push(site.signature_of(id)?);
                }
            }
        }
        other => return broken(Rule::ElementType, "pred or s32 as operand 0", other),
    }
    site.count(1 + branches.len())?;
    let Some((_, first)) = branches.first() else {
        return broken(Rule::Signature, "at least one branch", 0);
    };
    for (i, (parameters, result)) in branches.iter().enumerate() {
        let operand = site.operand(1 + i)?;
        require(
            matches!(parameters.as_slice(), [only] if shapes_fit(only, operand)),
            Rule::Signature,
            || format!("branch {i} to take {operand}"),
            || {
                let shapes: Vec<String> = parameters.iter().map(|p| p.to_string()).collect();
                shapes.join(", ")
            },
        )?;
        require(
            shapes_fit(result, first),
            Rule::Signature,
            || format!("{first} as result of branch {i}"),
            || result.to_string(),
        )?;
    }
    Ok((*first).clone())
}

pub(super) fn map(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(1)?;
    let operands = site.arrays(0..site.operands.len())?;
    let Some(first) = operands.first() else {
        return broken(Rule::OperandCount, "at least one operand", 0);
    };
    let (parameters, result) = site.signature("to_apply")?;
    require(
        parameters.len() == operands.len(),
        Rule::Signature,
        || format!("{} parameters of `to_apply`", operands.len()),
        || parameters.len().to_string(),
    )?;
    for (i, (operand, parameter)) in operands.iter().zip(&parameters).enumerate() {
        require(
            dims_fit(&operand.dims, &first.dims),
            Rule::Dimensions,
            || format!("operands of the dimensions of {first}"),
            || format!("{operand} as operand {i}"),
        )?;
        require(
            parameter
                .as_array()
                .is_some_and(|p| p.rank() == 0 && p.element == operand.element),
            Rule::Signature,
            || format!("{}[] as parameter {i} of `to_apply`", operand.element),
            || parameter.to_string(),
        )?;
    }
    match result.as_array() {
        Some(scalar) if scalar.rank() == 0 => Ok(Shape::Array(array_of(
            scalar.element,
            first.dims.clone(),
            first.dynamic.clone(),
        ))),
        _ => broken(Rule::Signature, "a scalar as result of `to_apply`", result),
    }
}

pub(super) fn sort(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(1)?;
    let operands = site.arrays(0..site.operands.len())?;
    let Some(first) = operands.first() else {
        return broken(Rule::OperandCount, "at least one operand", 0);
    };
    site.dimension(first.rank())?;
    let (parameters, result) = site.signature("to_apply")?;
    require(
        parameters.len() == 2 * operands.len() && is_pred(result),
        Rule::Signature,
        || format!("{} scalars to pred[] as `to_apply`", 2 * operands.len()),
        || format!("{} parameters to {result}", parameters.len()),
    )?;
    for (i, operand) in operands.iter().enumerate() {
        require(
            dims_fit(&operand.dims, &first.dims),
            Rule::Dimensions,
            || format!("operands of the dimensions of {first}"),
            || format!("{operand} as operand {i}"),
        )?;
        for parameter in parameters.iter().skip(2 * i).take(2) {
            require(
                parameter
                    .as_array()
                    .is_some_and(|p| p.rank() == 0 && p.element == operand.element),
                Rule::Signature,
                || {
                    format!(
                        "{}[] as parameters {} and {}",
                        operand.element,
                        2 * i,
                        2 * i + 1
                    )
                },
                || parameter.to_string(),
            )?;
        }
    }
    if operands.len() == 1 {
        Ok(Shape::Array((*first).clone()))
    } else {
        tuple(site)
    }
}

pub(super) fn scan(site: &Site<'_>) -> Inferred<Shape> {
    let (parameters, result) = site.signature("to_apply")?;
    let carries = usize::try_from(site.integer("num_carries")?).unwrap_or(0);
    let inputs = site.operands.len().saturating_sub(carries);
    require(
        carries >= 1 && inputs >= 1 && site.operands.len() == parameters.len(),
        Rule::OperandCount,
        || format!("inputs and carries, {} together", parameters.len()),
        || format!("{inputs} inputs and {carries} carries"),
    )?;
    let Shape::Tuple(returned) = result else {
        return broken(Rule::Signature, "a tuple as result of `to_apply`", result);
    };
    require(
        returned.len() >= carries,
        Rule::Signature,
        || format!("at least {carries} results of `to_apply`"),
        || returned.len().to_string(),
    )?;
    let outputs = returned.len() - carries;
    let scanned = site.array(0)?;
    let along = site.dimension(scanned.rank())?;
    let length = size_of(scanned, along);
    for i in 1..inputs {
        let input = site.array(i)?;
        require(
            sizes_fit(size_of(input, along), length),
            Rule::Dimensions,
            || format!("{length} steps in operand {i}"),
            || input.to_string(),
        )?;
    }
    let mut shapes = Vec::with_capacity(returned.len());
    for (i, shape) in returned.iter().enumerate() {
        let Shape::Array(step) = shape else {
            return broken(Rule::Signature, "arrays as results of `to_apply`", shape);
        };
        if i >= outputs {
            shapes.push(shape.clone());
            continue;
        }
        // Each step's result becomes one position of the scanned dimension.
        let mut dims = step.dims.clone();
        if step.rank() == scanned.rank() {
            if let Some(size) = dims.get_mut(along) {
                *size = length;
            }
        } else {
            dims.insert(along.min(dims.len()), length);
        }
        shapes.push(Shape::Array(array_of(step.element, dims, Vec::new())));
    }
    Ok(Shape::Tuple(shapes))
}

fn stated<'m>(site: &Site<'m>) -> Inferred<&'m Shape> {
    match site.stated {
        Some(shape) => Ok(shape),
        None => broken(Rule::Result, "a stated shape", "none"),
    }
}

pub(super) fn custom_call(site: &Site<'_>) -> Inferred<Outcome> {
    stated(site)?;
    if let Some(AttributeValue::Shapes(constraints)) = site.value("operand_layout_constraints") {
        site.count(constraints.len())?;
        for (i, constraint) in constraints.iter().enumerate() {
            let operand = site.operand(i)?;
            require(
                shapes_fit(operand, constraint),
                Rule::OperandKind,
                || format!("{constraint} as operand {i}"),
                || operand.to_string(),
            )?;
        }
    }
    Ok(Outcome::Stated)
}

pub(super) fn asynchronous(site: &Site<'_>) -> Inferred<Outcome> {
    let shape = stated(site)?;
    if site.opcode == Opcode::AsyncDone {
        site.count(1)?;
    }
    if site.opcode != Opcode::AsyncStart {
        let chain = site.operand(0)?;
        require(
            matches!(chain, Shape::Tuple(parts) if parts.len() >= 2),
            Rule::OperandKind,
            || "an asynchronous operation as operand 0".to_owned(),
            || chain.to_string(),
        )?;
        if let (Opcode::AsyncDone, Shape::Tuple(parts)) = (site.opcode, chain)
            && let Some(output) = parts.get(1)
        {
            require(
                shapes_fit(output, shape),
                Rule::Result,
                || output.to_string(),
                || shape.to_string(),
            )?;
        }
    } else {
        require(
            matches!(shape, Shape::Tuple(parts) if parts.len() >= 2),
            Rule::Result,
            || "((operands), output, state ...)".to_owned(),
            || shape.to_string(),
        )?;
        // A start may leave the last parameters to its updates.
        let (parameters, _) = site.signature("calls")?;
        let passed = parameters.get(..site.operands.len());
        passes(site, 0, "calls", passed.unwrap_or(&parameters))?;
    }
    Ok(Outcome::Stated)
}

pub(super) fn after_all(site: &Site<'_>) -> Inferred<Shape> {
    for i in 0..site.operands.len() {
        token(site, i)?;
    }
    Ok(Shape::Token)
}

fn token(site: &Site<'_>, index: usize) -> Inferred<()> {
    let operand = site.operand(index)?;
    require(
        *operand == Shape::Token,
        Rule::OperandKind,
        || format!("a token as operand {index}"),
        || operand.to_string(),
    )
}

pub(super) fn add_dependency(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    token(site, 1)?;
    Ok(site.operand(0)?.clone())
}

pub(super) fn transfer(site: &Site<'_>) -> Inferred<Outcome> {
    let shape = stated(site)?;
    match site.opcode {
        Opcode::Infeed | Opcode::Recv => {
            site.count(1)?;
            token(site, 0)?;
        }
        Opcode::Outfeed | Opcode::Send => {
            site.count(2)?;
            token(site, 1)?;
        }
        _ => site.count(1)?,
    }
    let tuple_of = |n: usize| matches!(shape, Shape::Tuple(parts) if parts.len() == n);
    let (fits, expected) = match site.opcode {
        Opcode::Infeed => (tuple_of(2), "(data, token[])"),
        Opcode::Recv | Opcode::Send => (tuple_of(3), "(data, u32[], token[])"),
        Opcode::RecvDone => (tuple_of(2), "(data, token[])"),
        _ => (*shape == Shape::Token, "token[]"),
    };
    require(
        fits,
        Rule::Result,
        || expected.to_owned(),
        || shape.to_string(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn copy_async(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let operand = site.operand(0)?;
    let shape = stated(site)?;
    if site.opcode == Opcode::CopyStart {
        require(
            matches!(shape, Shape::Tuple(parts)
                if parts.len() >= 2 && parts.iter().take(2).all(|p| shapes_fit(p, operand))),
            Rule::Result,
            || format!("({operand}, {operand}, u32[])"),
            || shape.to_string(),
        )?;
        return Ok(Outcome::Stated);
    }
    match operand {
        Shape::Tuple(parts) => match parts.first() {
            Some(copied) => Ok(Outcome::Exactly(copied.clone())),
            None => broken(Rule::OperandKind, "a started copy", operand),
        },
        other => broken(Rule::OperandKind, "a started copy", other),
    }
}

/// Collectives whose result has the operands' shapes.
pub(super) fn same_as_operands(site: &Site<'_>) -> Inferred<Outcome> {
    site.at_least(1)?;
    let shape = stated(site)?;
    // A dynamic root of a broadcast is an operand that is not broadcast.
    if site.opcode == Opcode::CollectiveBroadcast && site.flag("has_dynamic_root") {
        return Ok(Outcome::Stated);
    }
    if site.operands.len() == 1 {
        let operand = site.operand(0)?;
        require(
            shapes_fit(operand, shape),
            Rule::Result,
            || operand.to_string(),
            || shape.to_string(),
        )?;
        return Ok(Outcome::Stated);
    }
    let all = tuple(site)?;
    require(
        shapes_fit(&all, shape),
        Rule::Result,
        || all.to_string(),
        || shape.to_string(),
    )?;
    Ok(Outcome::Stated)
}

/// Collectives that change sizes by the number of devices, which the text need not state.
pub(super) fn collective(site: &Site<'_>) -> Inferred<Outcome> {
    site.at_least(1)?;
    let shape = stated(site)?;
    let ranks = |shape: &Shape| -> Vec<(PrimitiveType, usize)> {
        match shape {
            Shape::Array(ArrayShape { element, dims, .. }) => vec![(*element, dims.len())],
            Shape::Tuple(parts) => parts
                .iter()
                .filter_map(Shape::as_array)
                .map(|a| (a.element, a.rank()))
                .collect(),
            Shape::Token | Shape::Opaque | Shape::Buffer(_) => Vec::new(),
        }
    };
    if matches!(
        site.opcode,
        Opcode::AllGather | Opcode::ReduceScatter | Opcode::AllToAll
    ) {
        let operands: Vec<_> = (0..site.operands.len())
            .map(|i| site.operand(i).map(ranks))
            .collect::<Inferred<Vec<_>>>()?
            .concat();
        require(
            operands == ranks(shape),
            Rule::Result,
            || "arrays of the operands' types and ranks".to_owned(),
            || shape.to_string(),
        )?;
    }
    Ok(Outcome::Stated)
}
