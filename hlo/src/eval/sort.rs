//! `sort` and `topk`. Both are stable.

use super::array::{Array, others, positions, size};
use super::elementwise::{self, Lanes};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::program::Program;
use crate::shape::PrimitiveType;

/// The positions `0..count`, sorted so that equal ones keep their order. Any function will do as
/// `less`; one that is no order gives some permutation.
fn sorted(
    count: usize,
    mut less: impl FnMut(usize, usize) -> Outcome<bool>,
) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut merged = Vec::with_capacity(count);
    let mut width = 1;
    while width < count {
        merged.clear();
        for run in order.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let (Some(&l), Some(&r)) = (left.first(), right.first()) {
                if less(r, l)? {
                    merged.push(r);
                    right = &right[1..];
                } else {
                    merged.push(l);
                    left = &left[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        width *= 2;
    }
    Ok(order)
}

/// Comparisons that sorting `count` elements takes.
fn comparisons(count: usize) -> usize {
    count.saturating_mul(count.max(2).ilog2() as usize + 1)
}

/// Dimensions in the order that makes `last` the last one, and the way back.
fn to_last(rank: usize, last: usize) -> (Vec<usize>, Vec<usize>) {
    let mut order = others(rank, &[last]);
    order.push(last);
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
    (order, back)
}

/// `sort` of several arrays at once by a comparator of scalars.
pub(super) fn sort(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let operands = op.arrays()?;
    let first = operands
        .first()
        .ok_or_else(|| Fault::malformed("expected operands"))?;
    let dims = first.dims.clone();
    let axis = match positions("dimensions", op.integers("dimensions")?, dims.len())?[..] {
        [axis] => axis,
        _ => return Err(Fault::malformed("expected one dimension")),
    };
    let comparator = op.called("to_apply")?;
    let mut program = Program::compile(op.context, comparator, 1)?;
    let pairs: Vec<PrimitiveType> = operands.iter().flat_map(|o| [o.element; 2]).collect();
    if program.parameters() != pairs
        || program.results() != [PrimitiveType::Pred]
        || operands.iter().any(|o| o.dims != dims)
    {
        return Err(Fault::malformed("the comparator does not fit the operands"));
    }
    let length = dims[axis];
    let lines = first.count().checked_div(length).unwrap_or(0);
    op.context.meter.work(
        comparisons(length)
            .saturating_mul(lines)
            .saturating_mul(program.cost()),
    )?;
    let (order, back) = to_last(dims.len(), axis);
    let operands = operands
        .into_iter()
        .map(|operand| operand.transposed(&order))
        .collect::<Outcome<Vec<_>>>()?;
    let mut results = operands.clone();
    for line in 0..lines {
        let first = line * length;
        let permutation = sorted(length, |a, b| {
            for (i, operand) in operands.iter().enumerate() {
                let size = operand.element.bytes();
                let at = |position: usize| {
                    let start = (first + position) * size;
                    &operand.data[start..start + size]
                };
                program.set(2 * i, at(a));
                program.set(2 * i + 1, at(b));
            }
            program.run(op.context, 1)?;
            Ok(program.get(0, 1) == [1])
        })?;
        for (operand, result) in operands.iter().zip(&mut results) {
            let size = operand.element.bytes();
            let bytes = result.bytes_mut();
            for (to, from) in permutation.iter().enumerate() {
                let (to, from) = ((first + to) * size, (first + from) * size);
                bytes[to..to + size].copy_from_slice(&operand.data[from..from + size]);
            }
        }
    }
    results
        .into_iter()
        .map(|result| result.transposed(&back))
        .collect()
}

/// `topk`: the `k` first values and their positions along the last dimension.
pub(super) fn topk(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let [operand] = op.exactly()?;
    let k = size("k", op.integer("k")?)?;
    top(op, &operand, k, op.flag("largest"))
}

/// The `k` largest (or smallest) values along the last dimension in total order, equal ones in
/// theirs, and their positions.
pub(super) fn top(
    op: &mut Operation<'_, '_>,
    operand: &Array,
    k: usize,
    largest: bool,
) -> Outcome<Vec<Array>> {
    let length = match operand.dims.last() {
        Some(&length) if k <= length => length,
        _ => {
            return Err(Fault::expected(
                format_args!("a last dimension of at least {k}"),
                format_args!("{:?}", operand.dims),
            ));
        }
    };
    let before: Lanes =
        elementwise::compare_lanes(if largest { "GT" } else { "LT" }, true, operand.element)?;
    op.context.meter.work(comparisons(operand.count()))?;
    let mut dims = operand.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = k;
    }
    let size = operand.element.bytes();
    let (mut values, mut indices) = (Vec::new(), Vec::new());
    for line in operand.data.chunks_exact((length * size).max(1)) {
        let at = |position: usize| &line[position * size..(position + 1) * size];
        let order = sorted(length, |a, b| {
            let mut result = [0];
            before(&[at(a), at(b)], &mut result);
            Ok(result == [1])
        })?;
        for &position in &order[..k] {
            values.extend_from_slice(at(position));
            indices.extend_from_slice(&(position as i32).to_le_bytes());
        }
    }
    Ok(vec![
        Array::new(operand.element, dims.clone(), values)?,
        Array::new(PrimitiveType::S32, dims, indices)?,
    ])
}
