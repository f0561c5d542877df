//! `ragged-dot`: a dot in which groups of one dimension of the left operand are apart.

use super::array::{Array, count, others, positions, size};
use super::dot::{self, Pairs};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::strided::StridedCopy;
use crate::opcode::Opcode;

/// `ragged-dot` of one ragged dimension, whose groups have the sizes that the third operand
/// lists. The ragged dimension decides what a group is multiplied with:
///
/// - a free dimension: with the part of the right operand at the group's number in
///   `rhs_group_dims`; rows beyond the last group are zero;
/// - a contracting dimension: with the same range of the right operand; the result has the groups
///   as its first dimension;
/// - a batch dimension: with its own batch, so that groups make no difference.
pub(super) fn ragged_dot(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [lhs, rhs, sizes] = op.exactly()?;
    let element = op.declared()?.element;
    let pairs = Pairs {
        lhs_batch: positions(
            "lhs_batch_dims",
            op.integers_or_empty("lhs_batch_dims"),
            lhs.rank(),
        )?,
        rhs_batch: positions(
            "rhs_batch_dims",
            op.integers_or_empty("rhs_batch_dims"),
            rhs.rank(),
        )?,
        lhs_contracting: positions(
            "lhs_contracting_dims",
            op.integers_or_empty("lhs_contracting_dims"),
            lhs.rank(),
        )?,
        rhs_contracting: positions(
            "rhs_contracting_dims",
            op.integers_or_empty("rhs_contracting_dims"),
            rhs.rank(),
        )?,
    };
    let ragged = match positions(
        "lhs_ragged_dims",
        op.integers("lhs_ragged_dims")?,
        lhs.rank(),
    )?[..]
    {
        [dim] => dim,
        _ => return Err(Fault::unsupported("several ragged dimensions")),
    };
    if pairs.lhs_batch.contains(&ragged) {
        return dot::general(op, lhs, rhs, &pairs, element);
    }
    if sizes.rank() != 1 {
        return Err(Fault::unsupported("group sizes that differ by batch"));
    }
    let groups = groups(&sizes, lhs.dims[ragged])?;
    if pairs.lhs_contracting.contains(&ragged) {
        let mut parts = Vec::with_capacity(groups.len());
        for range in groups {
            let part = only(&lhs, ragged, range)?;
            parts.push(dot::general(op, part, rhs.clone(), &pairs, element)?);
        }
        return stacked(parts, op);
    }
    let group = match positions(
        "rhs_group_dims",
        op.integers_or_empty("rhs_group_dims"),
        rhs.rank(),
    )?[..]
    {
        [dim] if rhs.dims[dim] == groups.len() => dim,
        _ => {
            return Err(Fault::malformed(
                "rhs_group_dims do not fit the group sizes",
            ));
        }
    };
    // Without its group dimension the right operand has one dimension less.
    let shifted = |dims: &[usize]| dims.iter().map(|&d| d - usize::from(d > group)).collect();
    let pairs = Pairs {
        rhs_batch: shifted(&pairs.rhs_batch),
        rhs_contracting: shifted(&pairs.rhs_contracting),
        ..pairs
    };
    let mut sum: Option<Array> = None;
    for (number, range) in groups.into_iter().enumerate() {
        let part = only(&lhs, ragged, range)?;
        let product = dot::general(op, part, at(&rhs, group, number)?, &pairs, element)?;
        sum = Some(match sum {
            Some(sum) => added(sum, &product)?,
            None => product,
        });
    }
    sum.ok_or_else(|| Fault::unsupported("no groups"))
}

/// The range of each group, cut off at `bound`.
fn groups(sizes: &Array, bound: usize) -> Outcome<Vec<std::ops::Range<usize>>> {
    let mut end = 0usize;
    sizes
        .indices(0, sizes.count())?
        .into_iter()
        .map(|wanted| {
            let start = end;
            end = end.saturating_add(size("a group size", wanted)?).min(bound);
            Ok(start..end)
        })
        .collect()
}

/// The array with zeros outside of a range of one dimension.
fn only(array: &Array, dim: usize, range: std::ops::Range<usize>) -> Outcome<Array> {
    let mut out = Array::zeroed(array.element, array.dims.clone())?;
    let strides = array.strides();
    let mut counts = array.dims.clone();
    counts[dim] = range.len();
    let from = range.start as isize * strides[dim];
    StridedCopy::new(array.element.bytes(), &counts, &strides, &strides).run(
        &array.data,
        from,
        out.bytes_mut(),
        from,
    )?;
    Ok(out)
}

/// The part at one position of a dimension, without that dimension.
fn at(array: &Array, dim: usize, position: usize) -> Outcome<Array> {
    let rest = others(array.rank(), &[dim]);
    let strides = array.strides();
    let dims = rest.iter().map(|&d| array.dims[d]).collect();
    let source: Vec<isize> = rest.iter().map(|&d| strides[d]).collect();
    array.gathered(dims, position as isize * strides[dim], &source)
}

fn added(mut sum: Array, other: &Array) -> Outcome<Array> {
    let add = super::elementwise::binary(&Opcode::Add, sum.element)?;
    let mut out = vec![0; sum.data.len()];
    add(&[&sum.data, &other.data], &mut out);
    sum.bytes_mut().copy_from_slice(&out);
    Ok(sum)
}

/// Arrays of equal dimensions as one, along a new first dimension.
fn stacked(parts: Vec<Array>, op: &Operation<'_, '_>) -> Outcome<Array> {
    let (element, dims) = op.result()?;
    let mut bytes = Vec::with_capacity(count(&dims)?.saturating_mul(element.bytes()));
    parts
        .iter()
        .for_each(|part| bytes.extend_from_slice(&part.data));
    Array::new(element, dims, bytes)
}
