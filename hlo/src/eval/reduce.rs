//! `reduce` and `map`.

use super::array::{Array, count, others, positions};
use super::combine::{Combiner, Precision, bytes_as};
use super::context::Context;
use super::domain::CHUNK;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::program::Program;
use crate::shape::PrimitiveType;

/// The arrays and their initial values of an operation on `arity` of each.
pub(super) fn inputs_and_inits(op: &mut Operation<'_, '_>) -> Outcome<(Vec<Array>, Vec<Array>)> {
    let mut inputs = op.arrays()?;
    if inputs.is_empty() || inputs.len() % 2 == 1 {
        return Err(Fault::expected(
            "as many initial values as arrays",
            format_args!("{} operands", inputs.len()),
        ));
    }
    let inits = inputs.split_off(inputs.len() / 2);
    for (input, init) in inputs.iter().zip(&inits) {
        if input.dims != inputs[0].dims || init.count() != 1 {
            return Err(Fault::malformed(
                "the arrays' dimensions differ or an initial value is no scalar",
            ));
        }
    }
    Ok((inputs, inits))
}

/// `reduce`.
pub(super) fn reduce(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let (inputs, inits) = inputs_and_inits(op)?;
    let rank = inputs[0].rank();
    let reduced = positions("dimensions", op.integers("dimensions")?, rank)?;
    let kept = others(rank, &reduced);
    let computation = op.called("to_apply")?;
    let mut combiner = Combiner::new(op.context, computation, inputs.len(), Precision::Exact)?;
    let dims: Vec<usize> = kept.iter().map(|&d| inputs[0].dims[d]).collect();
    op.context.meter.work(
        inputs[0]
            .count()
            .max(count(&dims)?)
            .saturating_mul(combiner.cost()),
    )?;
    op.context
        .meter
        .scratch(inputs.iter().map(|i| i.data.len()).sum())?;
    let mut order = reduced;
    order.sort_unstable();
    order.extend(&kept);
    let elements = op.elements()?;
    let rows = inputs
        .into_iter()
        .map(|input| input.transposed(&order))
        .collect::<Outcome<Vec<_>>>()?;
    reduce_rows(op.context, &mut combiner, &rows, &inits, &dims, &elements)
}

/// Reduces the leading dimensions of `inputs`, all but the trailing `dims`.
pub(super) fn reduce_rows(
    context: &mut Context<'_>,
    combiner: &mut Combiner,
    inputs: &[Array],
    inits: &[Array],
    dims: &[usize],
    elements: &[PrimitiveType],
) -> Outcome<Vec<Array>> {
    let lanes = count(dims)?;
    let work = combiner.work().to_vec();
    let mut accumulators = inits
        .iter()
        .zip(&work)
        .map(|(init, &work)| Ok(bytes_as(init, work)?.repeat(lanes)))
        .collect::<Outcome<Vec<_>>>()?;
    let rows: Vec<(&[u8], PrimitiveType)> = inputs.iter().map(|i| (&*i.data, i.element)).collect();
    match &rows[..] {
        &[(bytes, element)] if combiner.reorders() => {
            fold_any_order(context, combiner, &mut accumulators, bytes, element, lanes)?;
        }
        _ => combiner.fold(context, &mut accumulators, &rows, lanes)?,
    }
    if elements.len() != work.len() {
        return Err(Fault::expected(
            format_args!("{} results", work.len()),
            elements.len(),
        ));
    }
    accumulators
        .into_iter()
        .zip(work.iter().zip(elements))
        .map(|(bytes, (&work, &element))| {
            Array::new(work, dims.to_vec(), bytes)?.converted(element)
        })
        .collect()
}

/// Folds rows that may be combined in any order: when they are short, several at a time as one
/// long row, whose parts are then combined in turn.
fn fold_any_order(
    context: &mut Context<'_>,
    combiner: &mut Combiner,
    accumulators: &mut [Vec<u8>],
    bytes: &[u8],
    element: PrimitiveType,
    lanes: usize,
) -> Outcome<()> {
    let rows = (bytes.len() / element.bytes())
        .checked_div(lanes)
        .unwrap_or(0);
    let together = (CHUNK / lanes.max(1)).min(rows / 2);
    if together < 2 {
        return combiner.fold(context, accumulators, &[(bytes, element)], lanes);
    }
    let long = together * lanes;
    let (first, rest) = bytes.split_at(long * element.bytes());
    let (whole, tail) = rest.split_at((rows / together - 1) * long * element.bytes());
    let work = combiner.work()[0];
    let first = Array::new(element, vec![long], first.to_vec())?;
    let mut partial = [bytes_as(&first, work)?];
    combiner.fold(context, &mut partial, &[(whole, element)], long)?;
    fold_any_order(context, combiner, accumulators, &partial[0], work, lanes)?;
    combiner.fold(context, accumulators, &[(tail, element)], lanes)
}

/// `map`.
pub(super) fn map(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let inputs = op.arrays()?;
    let computation = op.called("to_apply")?;
    let mut program = Program::compile(op.context, computation, CHUNK)?;
    let (element, _) = op.result()?;
    let dims = match inputs.first() {
        Some(first) => first.dims.clone(),
        None => op.result()?.1,
    };
    let found: Vec<PrimitiveType> = inputs.iter().map(|i| i.element).collect();
    if program.parameters() != found
        || program.results() != [element]
        || inputs.iter().any(|i| i.dims != dims)
    {
        return Err(Fault::malformed(
            "the operands do not fit the computation's parameters",
        ));
    }
    let mut out = Array::zeroed(element, dims)?;
    let total = out.count();
    op.context
        .meter
        .work(total.saturating_mul(program.cost()))?;
    let target = out.bytes_mut();
    for first in (0..total).step_by(program.capacity()) {
        let n = (total - first).min(program.capacity());
        for (i, input) in inputs.iter().enumerate() {
            let size = input.element.bytes();
            program.set(i, &input.data[first * size..(first + n) * size]);
        }
        program.run(op.context, n)?;
        let size = element.bytes();
        target[first * size..(first + n) * size].copy_from_slice(program.get(0, n));
    }
    Ok(out)
}
