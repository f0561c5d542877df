//! `ragged-dot`: a dot in which groups of one dimension of the left operand are apart; and
//! `ragged-all-to-all`.

use super::array::{Array, count, others, positions, size};
use super::dot::{self, Pairs};
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::passing;
use super::strided::StridedCopy;

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
    let pairs = Pairs::of(op, &lhs, &rhs)?;
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
        let mut contracted = pairs.lhs_contracting.iter().zip(&pairs.rhs_contracting);
        let partner = contracted.find(|&(&l, _)| l == ragged);
        let (_, &partner) =
            partner.ok_or_else(|| Fault::malformed("contracting dimensions do not pair up"))?;
        for range in groups {
            let left = part(&lhs, ragged, range.clone())?;
            let right = part(&rhs, partner, range)?;
            parts.push(dot::general(op, left, right, &pairs, element)?);
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
    // The ragged dimension comes after those of the batch and the free ones before it.
    let before = |dims: &[usize]| dims.iter().filter(|&&d| d < ragged).count();
    let free = ragged - before(&pairs.lhs_batch) - before(&pairs.lhs_contracting);
    let along = pairs.lhs_batch.len() + free;
    let mut out = op.zeroed()?;
    for (number, range) in groups.into_iter().enumerate() {
        let start = range.start;
        let left = part(&lhs, ragged, range)?;
        let product = dot::general(op, left, at(&rhs, group, number)?, &pairs, element)?;
        put(&mut out, along, start, &product)?;
    }
    Ok(out)
}

/// `ragged-all-to-all` among one participant: ranges of rows of the first operand that replace
/// rows of the second one.
pub(super) fn all_to_all(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    passing::alone(op)?;
    let [input, mut output, from, sizes, to, received] = op.exactly()?;
    let (rows, limit) = match (&input.dims[..], &output.dims[..]) {
        ([rows, rest @ ..], [limit, others @ ..]) if rest == others => (*rows, *limit),
        _ => {
            return Err(Fault::expected(
                format_args!("rows like those of {:?}", output.dims),
                format_args!("{:?}", input.dims),
            ));
        }
    };
    let all = |array: &Array| array.indices(0, array.count());
    let (from, sizes, to, received) = (all(&from)?, all(&sizes)?, all(&to)?, all(&received)?);
    if sizes != received || from.len() != sizes.len() || to.len() != sizes.len() {
        return Err(Fault::malformed(
            "offsets, sent and received sizes of one participant differ",
        ));
    }
    op.context.meter.work(output.count())?;
    for ((&from, &to), &rows_sent) in from.iter().zip(&to).zip(&sizes) {
        let (from, to) = (size("an offset", from)?, size("an offset", to)?);
        let sent = size("a size", rows_sent)?;
        let ends = |first: usize, limit| first.checked_add(sent).filter(|&end| end <= limit);
        let (Some(end), Some(_)) = (ends(from, rows), ends(to, limit)) else {
            return Err(Fault::malformed(format!(
                "{sent} rows from {from} of {rows} to {to} of {limit}"
            )));
        };
        put(&mut output, 0, to, &part(&input, 0, from..end)?)?;
    }
    Ok(output)
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

/// A range of one dimension.
fn part(array: &Array, dim: usize, range: std::ops::Range<usize>) -> Outcome<Array> {
    let strides = array.strides();
    let mut dims = array.dims.clone();
    dims[dim] = range.len();
    array.gathered(dims, range.start as isize * strides[dim], &strides)
}

/// Puts `part` at `start` of one dimension of an array that differs from it only there.
fn put(array: &mut Array, dim: usize, start: usize, part: &Array) -> Outcome<()> {
    let target = array.strides();
    let to = start as isize * target[dim];
    let copy = StridedCopy::new(part.element.bytes(), &part.dims, &part.strides(), &target);
    copy.run(&part.data, 0, array.bytes_mut(), to)
}

/// The part at one position of a dimension, without that dimension.
fn at(array: &Array, dim: usize, position: usize) -> Outcome<Array> {
    let rest = others(array.rank(), &[dim]);
    let strides = array.strides();
    let dims = rest.iter().map(|&d| array.dims[d]).collect();
    let source: Vec<isize> = rest.iter().map(|&d| strides[d]).collect();
    array.gathered(dims, position as isize * strides[dim], &source)
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
