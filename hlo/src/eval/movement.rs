//! Operations that move elements without looking at them.

use super::array::{Array, count, dims_of, positions, size};
use super::elementwise;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::strided::StridedCopy;
use crate::attribute::AttributeValue;
use crate::shape::{ArrayShape, PrimitiveType};

impl Array {
    /// An array of `dims` whose elements are those of this one, walked by `source` strides from
    /// element `from`.
    pub(super) fn gathered(
        &self,
        dims: Vec<usize>,
        from: isize,
        source: &[isize],
    ) -> Outcome<Array> {
        let mut out = Array::zeroed(self.element, dims)?;
        let target = out.strides();
        StridedCopy::new(self.element.bytes(), &out.dims.clone(), source, &target).run(
            &self.data,
            from,
            out.bytes_mut(),
            0,
        )?;
        Ok(out)
    }

    /// Dimension `i` of the result is dimension `permutation[i]` of this array.
    pub(super) fn transposed(self, permutation: &[usize]) -> Outcome<Array> {
        if permutation.iter().enumerate().all(|(i, &p)| i == p) {
            return Ok(self);
        }
        let strides = self.strides();
        let dims = permutation.iter().map(|&p| self.dims[p]).collect();
        let source: Vec<isize> = permutation.iter().map(|&p| strides[p]).collect();
        self.gathered(dims, 0, &source)
    }

    /// The array cut off, or extended with zeros, to these dimensions.
    pub(super) fn resized(self, dims: Vec<usize>) -> Outcome<Array> {
        if self.dims == dims {
            return Ok(self);
        }
        let common: Vec<usize> = std::iter::zip(&self.dims, &dims)
            .map(|(&a, &b)| a.min(b))
            .collect();
        let mut out = Array::zeroed(self.element, dims)?;
        let target = out.strides();
        StridedCopy::new(self.element.bytes(), &common, &self.strides(), &target).run(
            &self.data,
            0,
            out.bytes_mut(),
            0,
        )?;
        Ok(out)
    }

    /// All elements equal to the single one of this array.
    pub(super) fn filled(&self, dims: Vec<usize>) -> Outcome<Array> {
        let source = vec![0; dims.len()];
        self.gathered(dims, 0, &source)
    }

    /// The elements as another element type.
    pub(super) fn converted(self, to: PrimitiveType) -> Outcome<Array> {
        if self.element == to {
            return Ok(self);
        }
        let mut out = Array::zeroed(to, self.dims.clone())?;
        elementwise::convert(self.element, to)?(&[&self.data], out.bytes_mut());
        Ok(out)
    }
}

/// `broadcast`: dimension `i` of the operand becomes dimension `dimensions[i]`.
pub(super) fn broadcast(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let mut dims = dims_of(op.declared()?)?;
    let targets = positions("dimensions", op.integers_or_empty("dimensions"), dims.len())?;
    if targets.len() != operand.rank() {
        return Err(Fault::expected(
            format_args!("{} dimensions", operand.rank()),
            targets.len(),
        ));
    }
    let mut source = vec![0; dims.len()];
    let operand_strides = operand.strides();
    for (i, &target) in targets.iter().enumerate() {
        let dynamic = op.declared()?.dynamic.get(target) == Some(&true);
        if dynamic {
            dims[target] = operand.dims[i];
        }
        if operand.dims[i] == dims[target] {
            source[target] = operand_strides[i];
        } else if operand.dims[i] != 1 {
            return Err(Fault::expected(
                format_args!("dimension {i} of the operand to be {}", dims[target]),
                operand.dims[i],
            ));
        }
    }
    op.context.meter.work(count(&dims)?)?;
    operand.gathered(dims, 0, &source)
}

/// `reshape`; a single dynamic dimension of the result takes what the others leave.
pub(super) fn reshape(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let operand = op.arrays()?.into_iter().next();
    let operand = operand.ok_or_else(|| Fault::malformed("expected an operand"))?;
    let shape = op.declared()?;
    let dynamic: Vec<usize> = (0..shape.rank())
        .filter(|&i| shape.dynamic.get(i) == Some(&true))
        .collect();
    if let [free] = dynamic[..] {
        let mut dims = shape
            .dims
            .iter()
            .map(|&d| {
                if d == ArrayShape::UNBOUNDED {
                    Ok(1)
                } else {
                    size("a dimension", d)
                }
            })
            .collect::<Outcome<Vec<_>>>()?;
        dims[free] = 1;
        dims[free] = operand.count().checked_div(count(&dims)?).unwrap_or(0);
        return operand.with_dims(dims);
    }
    operand.with_dims(dims_of(shape)?)
}

/// `transpose`.
pub(super) fn transpose(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let permutation = positions(
        "dimensions",
        op.integers_or_empty("dimensions"),
        operand.rank(),
    )?;
    if permutation.len() != operand.rank() {
        return Err(Fault::malformed("dimensions are no permutation"));
    }
    op.context.meter.work(operand.count())?;
    operand.transposed(&permutation)
}

/// `reverse`.
pub(super) fn reverse(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    op.context.meter.work(operand.count())?;
    if operand.count() == 0 {
        return Ok(operand);
    }
    let mut source = operand.strides();
    let mut from = 0;
    for dim in positions("dimensions", op.integers("dimensions")?, operand.rank())? {
        from += source[dim] * (operand.dims[dim] as isize - 1);
        source[dim] = -source[dim];
    }
    operand.gathered(operand.dims.clone(), from, &source)
}

/// `slice`.
pub(super) fn slice(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let Some(AttributeValue::Slices(slices)) = op.instruction.attribute("slice") else {
        return Err(Fault::malformed("slice is missing"));
    };
    if slices.len() != operand.rank() {
        return Err(Fault::expected(
            format_args!("{} ranges", operand.rank()),
            slices.len(),
        ));
    }
    let strides = operand.strides();
    let (mut dims, mut source, mut from) = (Vec::new(), Vec::new(), 0);
    for (i, &(start, limit, step)) in slices.iter().enumerate() {
        let bound = operand.dims[i];
        let dynamic = op.declared()?.is_dynamic();
        let (start, limit) = (size("a slice start", start)?, size("a slice limit", limit)?);
        let limit = if dynamic { limit.min(bound) } else { limit };
        let step = size("a slice stride", step)?;
        if step == 0 || start > limit || limit > bound {
            return Err(Fault::expected(
                format_args!("a range within 0..{bound}"),
                format_args!("[{start}:{limit}:{step}]"),
            ));
        }
        dims.push((limit - start).div_ceil(step));
        from += start as isize * strides[i];
        source.push(strides[i].saturating_mul(step as isize));
    }
    op.context.meter.work(count(&dims)?)?;
    operand.gathered(dims, from, &source)
}

/// `concatenate`.
pub(super) fn concatenate(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let operands = op.arrays()?;
    let first = operands
        .first()
        .ok_or_else(|| Fault::malformed("expected operands"))?;
    let &[dim] = &positions("dimensions", op.integers("dimensions")?, first.rank())?[..] else {
        return Err(Fault::malformed("expected one dimension"));
    };
    let mut dims = first.dims.clone();
    dims[dim] = 0;
    for operand in &operands {
        let mut expected = dims.clone();
        expected[dim] = *operand.dims.get(dim).unwrap_or(&0);
        if operand.element != first.element || operand.dims != expected {
            return Err(Fault::expected(
                format_args!("{}{expected:?}", first.element),
                format_args!("{}{:?}", operand.element, operand.dims),
            ));
        }
        dims[dim] = dims[dim].saturating_add(operand.dims[dim]);
    }
    op.context.meter.work(count(&dims)?)?;
    let mut out = Array::zeroed(first.element, dims)?;
    let target = out.strides();
    let mut at = 0;
    for operand in &operands {
        StridedCopy::new(
            operand.element.bytes(),
            &operand.dims,
            &operand.strides(),
            &target,
        )
        .run(&operand.data, 0, out.bytes_mut(), at)?;
        at += operand.dims[dim] as isize * target[dim];
    }
    Ok(out)
}

/// `pad`: low, high and interior padding; negative low and high cut off.
pub(super) fn pad(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand, value] = op.exactly()?;
    let value = value.expect(operand.element, &[])?;
    let Some(AttributeValue::Padding(padding)) = op.instruction.attribute("padding") else {
        return Err(Fault::malformed("padding is missing"));
    };
    pad_array(&operand, &value, padding, op)
}

/// Padding of an array by a scalar: low, high and interior of each dimension.
pub(super) fn pad_array(
    operand: &Array,
    value: &Array,
    padding: &[(i64, i64, i64)],
    op: &mut Operation<'_, '_>,
) -> Outcome<Array> {
    if padding.len() != operand.rank() {
        return Err(Fault::expected(
            format_args!("padding of {} dimensions", operand.rank()),
            padding.len(),
        ));
    }
    let (mut dims, mut counts) = (Vec::new(), Vec::new());
    let (mut starts, mut firsts) = (Vec::new(), Vec::new());
    for (&n, &(low, high, interior)) in operand.dims.iter().zip(padding) {
        let step = i128::from(interior) + 1;
        if step < 1 {
            return Err(Fault::expected("interior padding of at least 0", interior));
        }
        let (n, low, high) = (n as i128, i128::from(low), i128::from(high));
        let spread = if n > 0 { (n - 1) * step + 1 } else { 0 };
        let extent = (low + high + spread).max(0);
        // Element i goes to low + i * step: those within 0..extent stay.
        let first = if low < 0 { (-low + step - 1) / step } else { 0 };
        let last = (extent - low + step - 1).div_euclid(step).min(n);
        counts.push((last - first).max(0) as usize);
        firsts.push(first.min(n) as isize);
        starts.push((low + first * step).max(0) as isize);
        dims.push(usize::try_from(extent).map_err(|_| Fault::malformed("too much padding"))?);
    }
    op.context.meter.work(count(&dims)?)?;
    let mut out = value.filled(dims)?;
    if counts.contains(&0) {
        return Ok(out);
    }
    let (source, unit) = (operand.strides(), out.strides());
    let target: Vec<isize> = unit
        .iter()
        .zip(padding)
        .map(|(&s, p)| {
            s.saturating_mul(isize::try_from(p.2).unwrap_or(isize::MAX).saturating_add(1))
        })
        .collect();
    let from = firsts.iter().zip(&source).map(|(f, s)| f * s).sum();
    let to = starts.iter().zip(&unit).map(|(f, s)| f * s).sum();
    StridedCopy::new(operand.element.bytes(), &counts, &source, &target).run(
        &operand.data,
        from,
        out.bytes_mut(),
        to,
    )?;
    Ok(out)
}

/// The clamped start of each dimension, from one scalar a dimension or a single vector.
fn starts(indices: &[Array], dims: &[usize], sizes: &[usize]) -> Outcome<Vec<isize>> {
    let values = match indices {
        [vector] if vector.rank() == 1 => vector.indices(0, vector.count())?,
        scalars => scalars
            .iter()
            .map(|index| index.index_at(0))
            .collect::<Outcome<_>>()?,
    };
    if values.len() != dims.len() || sizes.len() != dims.len() {
        return Err(Fault::expected(
            format_args!("{} start indices and sizes", dims.len()),
            format_args!("{} and {}", values.len(), sizes.len()),
        ));
    }
    values
        .iter()
        .zip(dims.iter().zip(sizes))
        .map(|(&start, (&dim, &size))| {
            let room = dim
                .checked_sub(size)
                .ok_or_else(|| Fault::expected(format_args!("a size of at most {dim}"), size))?;
            Ok(start.clamp(0, room as i64) as isize)
        })
        .collect()
}

fn offset(starts: &[isize], strides: &[isize]) -> isize {
    starts.iter().zip(strides).map(|(a, b)| a * b).sum()
}

/// `dynamic-slice`.
pub(super) fn dynamic_slice(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let mut arrays = op.arrays()?;
    if arrays.is_empty() {
        return Err(Fault::malformed("expected operands"));
    }
    let indices = arrays.split_off(1);
    let operand = &arrays[0];
    let sizes = op
        .integers("dynamic_slice_sizes")?
        .iter()
        .map(|&s| size("a slice size", s))
        .collect::<Outcome<Vec<_>>>()?;
    let starts = starts(&indices, &operand.dims, &sizes)?;
    op.context.meter.work(count(&sizes)?)?;
    let strides = operand.strides();
    operand.gathered(sizes, offset(&starts, &strides), &strides)
}

/// `dynamic-update-slice`, in place when nobody else holds the operand.
pub(super) fn dynamic_update_slice(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let mut arrays = op.arrays()?;
    if arrays.len() < 2 {
        return Err(Fault::malformed("expected an operand and an update"));
    }
    let indices = arrays.split_off(2);
    let (Some(update), Some(mut operand)) = (arrays.pop(), arrays.pop()) else {
        return Err(Fault::malformed("expected an operand and an update"));
    };
    if update.element != operand.element {
        return Err(Fault::expected(operand.element, update.element));
    }
    let starts = starts(&indices, &operand.dims, &update.dims)?;
    op.context.meter.work(update.count())?;
    let target = operand.strides();
    StridedCopy::new(
        update.element.bytes(),
        &update.dims,
        &update.strides(),
        &target,
    )
    .run(
        &update.data,
        0,
        operand.bytes_mut(),
        offset(&starts, &target),
    )?;
    Ok(operand)
}

/// `iota`.
pub(super) fn iota(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let (element, dims) = op.result()?;
    let axis = positions(
        "iota_dimension",
        &[op.integer("iota_dimension")?],
        dims.len(),
    )?[0];
    op.context.meter.work(count(&dims)?)?;
    // A dimension may be long in an array without elements.
    let length = if dims.contains(&0) { 0 } else { dims[axis] };
    let mut bytes = Vec::with_capacity(length * 8);
    (0..length as i64).for_each(|i| bytes.extend_from_slice(&i.to_le_bytes()));
    let line = Array::new(PrimitiveType::S64, vec![length], bytes)?.converted(element)?;
    let mut source = vec![0; dims.len()];
    source[axis] = 1;
    line.gathered(dims, 0, &source)
}

/// `get-dimension-size`.
pub(super) fn get_dimension_size(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand] = op.exactly()?;
    let dim = dimension(op, &operand)?;
    let value = i32::try_from(operand.dims[dim])
        .map_err(|_| Fault::unsupported("a dimension size beyond 32 bits"))?;
    Array::new(PrimitiveType::S32, Vec::new(), value.to_le_bytes().to_vec())
}

/// `set-dimension-size`: the value really has that size from now on, at most its bound.
pub(super) fn set_dimension_size(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand, wanted] = op.exactly()?;
    let dim = dimension(op, &operand)?;
    let bound = dims_of(op.declared()?)?.get(dim).copied().unwrap_or(0);
    let wanted = size("a dimension size", wanted.index_at(0)?)?.min(bound);
    let mut dims = operand.dims.clone();
    dims[dim] = wanted;
    op.context.meter.work(count(&dims)?)?;
    operand.resized(dims)
}

fn dimension(op: &Operation<'_, '_>, operand: &Array) -> Outcome<usize> {
    match positions("dimensions", op.integers("dimensions")?, operand.rank())?[..] {
        [dim] => Ok(dim),
        _ => Err(Fault::malformed("expected one dimension")),
    }
}

/// `bitcast`: the memory of the operand, laid out as declared, read by the result's layout.
pub(super) fn bitcast(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let from = op.operand_shape(0)?;
    let to = op.declared()?;
    let [operand] = op.exactly()?;
    op.context.meter.work(operand.count())?;
    let memory = operand.transposed(&major_to_minor(from)?)?;
    let memory = if from.element == to.element {
        memory
    } else {
        let (bytes, size) = (memory.data.len(), to.element.bytes());
        let cast = bits_as(memory, to.element)?;
        cast.with_dims(vec![bytes / size])?
    };
    let order = major_to_minor(to)?;
    let dims = dims_of(to)?;
    let laid_out = memory.with_dims(order.iter().map(|&d| dims[d]).collect())?;
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
    laid_out.transposed(&back)
}

/// The dimensions of a shape from the slowest varying to the fastest.
fn major_to_minor(shape: &ArrayShape) -> Outcome<Vec<usize>> {
    match &shape.layout {
        Some(layout) if layout.minor_to_major.len() == shape.rank() => {
            let mut order = positions("the layout", &layout.minor_to_major, shape.rank())?;
            order.reverse();
            Ok(order)
        }
        _ => Ok((0..shape.rank()).collect()),
    }
}

/// `bitcast-convert` between element types of different widths: a trailing dimension holds the
/// parts of the wider element, the lowest bits first.
pub(super) fn bitcast_convert(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let (element, dims) = op.result()?;
    let [operand] = op.exactly()?;
    op.context.meter.work(operand.count())?;
    bits_as(operand, element)?.with_dims(dims)
}

/// The array's bits, as a vector of another element type; dimensions are the caller's business.
fn bits_as(operand: Array, to: PrimitiveType) -> Outcome<Array> {
    let (from_bits, to_bits) = (operand.element.bits(), to.bits());
    if from_bits >= 8 && to_bits >= 8 {
        let total = operand.data.len();
        if !total.is_multiple_of(to.bytes()) {
            return Err(Fault::malformed(format!("{total} bytes are no {to}s")));
        }
        return Array::new(to, vec![total / to.bytes()], operand.data);
    }
    // Types narrower than a byte are packed tightly before they are cut anew.
    let mut bits = Vec::with_capacity(operand.count() * from_bits as usize);
    for bytes in operand.data.chunks(operand.element.bytes()) {
        bits.extend((0..from_bits).map(|i| bytes[i as usize / 8] >> (i % 8) & 1));
    }
    let mut out = Vec::new();
    for element in bits.chunks_exact(to_bits as usize) {
        let mut bytes = vec![0u8; to.bytes()];
        for (i, bit) in element.iter().enumerate() {
            bytes[i / 8] |= bit << (i % 8);
        }
        if to.is_signed_integer() && to_bits < 8 && element.last() == Some(&1) {
            bytes[0] |= u8::MAX << to_bits;
        }
        out.extend(bytes);
    }
    Array::new(to, vec![out.len() / to.bytes()], out)
}
