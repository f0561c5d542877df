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
///
/// The sizes are one list for all, or one for each position in the dimensions around the ragged one:
/// the batch dimensions, and then those of the ragged one's kind that come before it.
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
    let contracted = pairs.lhs_contracting.contains(&ragged);
    if sizes.rank() != 1 {
        let around = if contracted {
            let listed = pairs.lhs_contracting.iter().copied();
            listed.take_while(|&d| d != ragged).collect()
        } else {
            let taken = [&pairs.lhs_batch[..], &pairs.lhs_contracting].concat();
            let mut free = others(lhs.rank(), &taken);
            free.retain(|&d| d < ragged);
            free
        };
        let groups = Groups::of(
            &sizes,
            &lhs,
            [&pairs.lhs_batch[..], &around].concat(),
            ragged,
        )?;
        return if contracted {
            contracted_by_position(op, &lhs, &rhs, &pairs, &groups)
        } else {
            free_by_position(op, &lhs, &rhs, &pairs, &groups)
        };
    }
    let groups = groups(&sizes.indices(0, sizes.count())?, lhs.dims[ragged])?;
    if contracted {
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
    let (group, pairs, along) = grouped(op, &lhs, &rhs, pairs, ragged, groups.len())?;
    let mut out = op.zeroed()?;
    for (number, range) in groups.into_iter().enumerate() {
        let start = range.start;
        let left = part(&lhs, ragged, range)?;
        let product = dot::general(op, left, at(&rhs, group, number)?, &pairs, element)?;
        put(&mut out, along, start, &product)?;
    }
    Ok(out)
}

/// The right operand's group dimension, how the operands pair up without it, and the result's ragged dimension.
fn grouped(
    op: &Operation<'_, '_>,
    lhs: &Array,
    rhs: &Array,
    pairs: Pairs,
    ragged: usize,
    groups: usize,
) -> Outcome<(usize, Pairs, usize)> {
    let stated = op.integers_or_empty("rhs_group_dims");
    let group = match positions("rhs_group_dims", stated, rhs.rank())?[..] {
        [dim] if rhs.dims[dim] == groups => dim,
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
    let along = in_result(&pairs, lhs, ragged);
    Ok((group, pairs, along))
}

/// The result's dimension that a batch or free dimension of the left operand becomes.
fn in_result(pairs: &Pairs, lhs: &Array, dim: usize) -> usize {
    let taken = [&pairs.lhs_batch[..], &pairs.lhs_contracting].concat();
    let order = [pairs.lhs_batch.clone(), others(lhs.rank(), &taken)].concat();
    order.iter().position(|&d| d == dim).unwrap_or(0)
}

/// Groups whose sizes differ by position.
struct Groups {
    /// The left operand's dimensions that give the position, and the ragged one.
    around: Vec<usize>,
    ragged: usize,
    /// The range of each group, by position.
    ranges: Vec<Vec<std::ops::Range<usize>>>,
    count: usize,
}

impl Groups {
    fn of(sizes: &Array, lhs: &Array, around: Vec<usize>, ragged: usize) -> Outcome<Groups> {
        let wanted: Vec<usize> = around.iter().map(|&d| lhs.dims[d]).collect();
        let count = match sizes.dims.split_last() {
            Some((&count, positions)) if positions == wanted => count,
            _ => {
                return Err(Fault::expected(
                    format_args!("group sizes for each position in {wanted:?}"),
                    format_args!("{:?}", sizes.dims),
                ));
            }
        };
        let positions = self::count(&wanted)?;
        let ranges = (0..positions).map(|position| {
            let sizes = sizes.indices(position * count, count)?;
            groups(&sizes, lhs.dims[ragged])
        });
        Ok(Groups {
            ranges: ranges.collect::<Outcome<_>>()?,
            around,
            ragged,
            count,
        })
    }

    /// Copies what is of group `number` from one array to another of the same dimensions, of which `dims` says which one
    /// a dimension of the left operand is.
    fn copy(
        &self,
        number: usize,
        from: &Array,
        to: &mut Array,
        dims: impl Fn(usize) -> usize,
    ) -> Outcome<()> {
        let strides = from.strides();
        let ragged = dims(self.ragged);
        let mut counts = from.dims.clone();
        for &dim in &self.around {
            counts[dims(dim)] = 1;
        }
        for (position, ranges) in self.ranges.iter().enumerate() {
            let range = &ranges[number];
            counts[ragged] = range.len();
            let mut at = range.start as isize * strides[ragged];
            let mut rest = position;
            for dim in self.around.iter().rev().map(|&dim| dims(dim)) {
                at += (rest % from.dims[dim]) as isize * strides[dim];
                rest /= from.dims[dim];
            }
            let copy = StridedCopy::new(from.element.bytes(), &counts, &strides, &strides);
            copy.run(&from.data, at, to.bytes_mut(), at)?;
        }
        Ok(())
    }
}

/// One product a group, of operands that are zero outside of it.
fn contracted_by_position(
    op: &mut Operation<'_, '_>,
    lhs: &Array,
    rhs: &Array,
    pairs: &Pairs,
    groups: &Groups,
) -> Outcome<Array> {
    let element = op.declared()?.element;
    let left: Vec<usize> = [&pairs.lhs_batch[..], &pairs.lhs_contracting].concat();
    let right: Vec<usize> = [&pairs.rhs_batch[..], &pairs.rhs_contracting].concat();
    if left.len() != right.len() {
        return Err(Fault::malformed(
            "batch or contracting dimensions do not pair up",
        ));
    }
    let partner = |dim| left.iter().position(|&d| d == dim).map_or(0, |n| right[n]);
    if left
        .iter()
        .zip(&right)
        .any(|(&l, &r)| lhs.dims[l] != rhs.dims[r])
    {
        return Err(Fault::malformed(
            "batch or contracting dimensions differ in size",
        ));
    }
    let mut parts = Vec::with_capacity(groups.count);
    for number in 0..groups.count {
        let mut own = Array::zeroed(lhs.element, lhs.dims.clone())?;
        groups.copy(number, lhs, &mut own, |dim| dim)?;
        let mut other = Array::zeroed(rhs.element, rhs.dims.clone())?;
        groups.copy(number, rhs, &mut other, partner)?;
        parts.push(dot::general(op, own, other, pairs, element)?);
    }
    stacked(parts, op)
}

/// Every row of the result is of the product with its own group's part of the right operand.
fn free_by_position(
    op: &mut Operation<'_, '_>,
    lhs: &Array,
    rhs: &Array,
    pairs: &Pairs,
    groups: &Groups,
) -> Outcome<Array> {
    let element = op.declared()?.element;
    let (group, pairs, _) = grouped(op, lhs, rhs, pairs.clone(), groups.ragged, groups.count)?;
    let mut out = op.zeroed()?;
    for number in 0..groups.count {
        let product = dot::general(op, lhs.clone(), at(rhs, group, number)?, &pairs, element)?;
        if product.dims != out.dims {
            return Err(Fault::expected(
                format_args!("a result of {:?}", product.dims),
                format_args!("{:?}", out.dims),
            ));
        }
        groups.copy(number, &product, &mut out, |dim| {
            in_result(&pairs, lhs, dim)
        })?;
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
fn groups(sizes: &[i64], bound: usize) -> Outcome<Vec<std::ops::Range<usize>>> {
    let mut end = 0usize;
    sizes
        .iter()
        .map(|&wanted| {
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
