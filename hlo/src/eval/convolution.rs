//! `convolution`: a dot of the elements under each window with the kernel.

use super::array::{Array, count, size};
use super::dot::{self, Pairs};
use super::error::{Fault, Outcome};
use super::movement::pad_array;
use super::operation::Operation;
use super::window::Slide;
use crate::attribute::AttributeValue;

/// `convolution` with any dimension numbers, dilations, and feature or batch groups.
pub(super) fn convolution(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [input, kernel] = op.exactly()?;
    let Some(AttributeValue::ConvolutionDims(labels)) = op.instruction.attribute("dim_labels")
    else {
        return Err(Fault::malformed("dim_labels is missing"));
    };
    let known = |dim: Option<i64>, rank: usize| {
        dim.and_then(|d| usize::try_from(d).ok())
            .filter(|&d| d < rank)
            .ok_or_else(|| Fault::malformed("dim_labels do not fit the operands"))
    };
    let all = |dims: &[i64], rank| {
        dims.iter()
            .map(|&d| known(Some(d), rank))
            .collect::<Outcome<Vec<usize>>>()
    };
    let (rank, kernel_rank) = (input.rank(), kernel.rank());
    let spatial = rank.saturating_sub(2);
    let input_order = [
        vec![
            known(labels.input_batch, rank)?,
            known(labels.input_feature, rank)?,
        ],
        all(&labels.input_spatial, rank)?,
    ]
    .concat();
    let kernel_order = [
        vec![
            known(labels.kernel_input_feature, kernel_rank)?,
            known(labels.kernel_output_feature, kernel_rank)?,
        ],
        all(&labels.kernel_spatial, kernel_rank)?,
    ]
    .concat();
    let output_order = [
        vec![
            known(labels.output_batch, rank)?,
            known(labels.output_feature, rank)?,
        ],
        all(&labels.output_spatial, rank)?,
    ]
    .concat();
    for (order, rank) in [
        (&input_order, rank),
        (&kernel_order, kernel_rank),
        (&output_order, rank),
    ] {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, &d)| i != d) || order.len() != rank {
            return Err(Fault::malformed("dim_labels do not fit the operands"));
        }
    }
    if kernel_rank != rank {
        return Err(Fault::expected(
            format_args!("a kernel of rank {rank}"),
            kernel_rank,
        ));
    }
    let groups = |name| match op.instruction.integer(name) {
        None => Ok(1),
        Some(count) => size(name, count),
    };
    let (features, batches) = (groups("feature_group_count")?, groups("batch_group_count")?);
    let input = input.transposed(&input_order)?;
    let kernel = kernel.transposed(&kernel_order)?;
    let slides = slides(op, &input.dims[2..], &kernel.dims[2..])?;
    let element = op.declared()?.element;

    let kernel = reversed(kernel, &slides)?;
    let input = spread(op, input, &slides)?;
    let (batch, feature) = (input.dims[0], input.dims[1]);
    let (depth, outputs) = (kernel.dims[0], kernel.dims[1]);
    let together = features.checked_mul(batches).filter(|&n| n > 0);
    let together = together.ok_or_else(|| Fault::malformed("a group count of 0"))?;
    if batch % batches != 0
        || features > 1 && batches > 1
        || feature != depth.saturating_mul(features)
        || outputs % together != 0
    {
        return Err(Fault::malformed("the groups do not divide the dimensions"));
    }
    let windows: Vec<usize> = slides.iter().map(|s| s.outputs).collect();
    let extents: Vec<usize> = slides.iter().map(|s| s.size).collect();

    // Elements under each window: group, batch, window positions, feature, window elements.
    let strides = input.strides();
    let (per_batch, per_feature) = (batch / batches, feature / features);
    let group_stride = if batches > 1 {
        strides[0] * per_batch as isize
    } else {
        strides[1] * per_feature as isize
    };
    let mut dims = vec![together, per_batch];
    dims.extend(&windows);
    dims.push(per_feature);
    dims.extend(&extents);
    let mut source = vec![group_stride, strides[0]];
    let along = |by: fn(&Slide) -> usize| {
        let dims = slides.iter().zip(&strides[2..]);
        dims.map(move |(slide, stride)| stride.saturating_mul(by(slide) as isize))
    };
    source.extend(along(|slide| slide.stride));
    source.push(strides[1]);
    source.extend(along(|slide| slide.step));
    let total = count(&dims)?;
    op.context.meter.work(total)?;
    op.context
        .meter
        .scratch(total.saturating_mul(2 * element.bytes()))?;
    let patches = input.gathered(dims, 0, &source)?;

    // The kernel: feature, group, output features of the group, window elements.
    let mut kernel_dims = vec![depth, together, outputs / together];
    kernel_dims.extend(&extents);
    let kernel = kernel.with_dims(kernel_dims)?;
    let first = 2 + spatial;
    let pairs = Pairs {
        lhs_batch: vec![0],
        rhs_batch: vec![1],
        lhs_contracting: (first..first + 1 + spatial).collect(),
        rhs_contracting: std::iter::once(0).chain(3..3 + spatial).collect(),
    };
    let result = dot::general(op, patches, kernel, &pairs, element)?;
    // The product: group, batch, window positions, output features of the group.
    let mut order = vec![1, 0, 2 + spatial];
    order.extend(2..2 + spatial);
    let mut dims = vec![per_batch, outputs];
    dims.extend(&windows);
    let result = result.transposed(&order)?.with_dims(dims)?;
    let mut back = vec![0; rank];
    output_order
        .iter()
        .enumerate()
        .for_each(|(i, &d)| back[d] = i);
    result.transposed(&back)
}

fn slides(op: &Operation<'_, '_>, bounds: &[usize], extents: &[usize]) -> Outcome<Vec<Slide>> {
    let slides = super::window::slides(op, bounds)?;
    match slides.iter().zip(extents).find(|(s, e)| s.size != **e) {
        Some((slide, extent)) => Err(Fault::expected(
            format_args!("a window of {extent}, as the kernel"),
            slide.size,
        )),
        None => Ok(slides),
    }
}

/// The kernel read backwards where the window says so.
fn reversed(kernel: Array, slides: &[Slide]) -> Outcome<Array> {
    if kernel.count() == 0 {
        return Ok(kernel);
    }
    let mut source = kernel.strides();
    let mut from = 0;
    for (dim, slide) in slides.iter().enumerate().filter(|(_, s)| s.reversed) {
        from += source[2 + dim] * (slide.size as isize - 1);
        source[2 + dim] = -source[2 + dim];
    }
    kernel.gathered(kernel.dims.clone(), from, &source)
}

/// The input with its padding and spacing as zeros.
fn spread(op: &mut Operation<'_, '_>, input: Array, slides: &[Slide]) -> Outcome<Array> {
    let mut padding = vec![(0, 0, 0); 2];
    padding.extend(slides.iter().map(|s| (s.low, s.high, s.spacing as i64 - 1)));
    let zero = Array::zeroed(input.element, Vec::new())?;
    pad_array(&input, &zero, &padding, op)
}
