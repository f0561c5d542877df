//! `gather` and `scatter`: windows whose starts are read from an array.

use super::array::{Array, count, others, positions, size, strides};
use super::combine::{Combiner, Precision};
use super::context::Context;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::strided::StridedCopy;

/// The start indices of all windows, and which dimensions of the indexed array they are for.
struct Starts {
    /// Dimensions of the indices without the index vector.
    batch: Vec<usize>,
    /// The index vectors one after the other.
    indices: Vec<i64>,
    /// For each entry of an index vector, the dimension of the indexed array.
    map: Vec<usize>,
    /// Dimensions of the indexed array that are at the batch's own position: `(dimension, which
    /// batch dimension)`.
    batching: Vec<(usize, usize)>,
}

impl Starts {
    fn new(
        indices: Array,
        index_vector_dim: i64,
        map: &[i64],
        operand_batching: &[i64],
        indices_batching: &[i64],
        operand_rank: usize,
    ) -> Outcome<Starts> {
        let rank = indices.rank();
        let vector = size("index_vector_dim", index_vector_dim)?;
        if vector > rank {
            return Err(Fault::expected(
                format_args!("index_vector_dim of at most {rank}"),
                vector,
            ));
        }
        let map = positions("the indexed dimensions", map, operand_rank)?;
        let width = indices.dims.get(vector).copied().unwrap_or(1);
        if width != map.len() {
            return Err(Fault::expected(
                format_args!("index vectors of {}", map.len()),
                width,
            ));
        }
        let operand_batching =
            positions("the batching dimensions", operand_batching, operand_rank)?;
        let indices_batching = positions(
            "the batching dimensions of the indices",
            indices_batching,
            rank,
        )?;
        if operand_batching.len() != indices_batching.len() || indices_batching.contains(&vector) {
            return Err(Fault::malformed("the batching dimensions do not pair up"));
        }
        let batching = operand_batching
            .into_iter()
            .zip(indices_batching)
            .map(|(operand, batch)| (operand, batch - usize::from(batch > vector)))
            .collect();
        let mut order = others(rank, &[vector]);
        let batch: Vec<usize> = order.iter().map(|&d| indices.dims[d]).collect();
        if vector < rank {
            order.push(vector);
        }
        let indices = indices.transposed(&order)?;
        Ok(Starts {
            batch,
            indices: indices.indices(0, indices.count())?,
            map,
            batching,
        })
    }

    /// Calls `visit` with the position in the batch and the start of each window, as `rank`
    /// indices into the indexed array.
    fn for_each(
        &self,
        rank: usize,
        mut visit: impl FnMut(&[usize], &[i64]) -> Outcome<()>,
    ) -> Outcome<()> {
        let windows = count(&self.batch)?;
        let mut position = vec![0usize; self.batch.len()];
        let mut start = vec![0i64; rank];
        for window in 0..windows {
            let first = window * self.map.len();
            for (&dim, &index) in self.map.iter().zip(&self.indices[first..]) {
                start[dim] = index;
            }
            for &(dim, batch) in &self.batching {
                start[dim] = position[batch] as i64;
            }
            visit(&position, &start)?;
            for (p, &bound) in position.iter_mut().zip(&self.batch).rev() {
                *p += 1;
                if *p < bound {
                    break;
                }
                *p = 0;
            }
        }
        Ok(())
    }
}

fn offset(position: &[usize], strides: &[isize]) -> isize {
    position
        .iter()
        .zip(strides)
        .map(|(&p, s)| p as isize * s)
        .sum()
}

/// `gather`: each start is clamped so that its window lies inside of the operand.
pub(super) fn gather(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand, indices] = op.exactly()?;
    let attributes = op
        .instruction
        .gather_dims()
        .ok_or_else(|| Fault::malformed("dimension numbers are missing"))?;
    let rank = operand.rank();
    let mut sizes = attributes
        .slice_sizes
        .iter()
        .map(|&s| size("a slice size", s))
        .collect::<Outcome<Vec<_>>>()?;
    // A slice of a whole dynamic dimension is as large as that dimension is.
    let declared = op.operand_shape(0)?;
    for (d, (wanted, &actual)) in sizes.iter_mut().zip(&operand.dims).enumerate() {
        if declared.dynamic.get(d) == Some(&true) {
            *wanted = actual.min(*wanted);
        }
    }
    if sizes.len() != rank || sizes.iter().zip(&operand.dims).any(|(s, d)| s > d) {
        return Err(Fault::expected(
            format_args!("slice sizes within {:?}", operand.dims),
            format_args!("{sizes:?}"),
        ));
    }
    let starts = Starts::new(
        indices,
        attributes.index_vector_dim,
        &attributes.start_index_map,
        &attributes.operand_batching_dims,
        &attributes.start_indices_batching_dims,
        rank,
    )?;
    let mut gone = attributes.collapsed_slice_dims.clone();
    gone.extend(&attributes.operand_batching_dims);
    let gone = positions("collapsed_slice_dims and batching dimensions", &gone, rank)?;
    if gone.iter().any(|&d| sizes[d] > 1) {
        return Err(Fault::malformed(
            "a dropped dimension has a slice of more than 1",
        ));
    }
    let window = others(rank, &gone);
    let out_rank = window.len() + starts.batch.len();
    let offsets = positions("offset_dims", &attributes.offset_dims, out_rank)?;
    if offsets.len() != window.len() {
        return Err(Fault::expected(
            format_args!("{} offset_dims", window.len()),
            offsets.len(),
        ));
    }
    let batch_dims = others(out_rank, &offsets);
    let mut dims = vec![0; out_rank];
    for (&dim, &size) in batch_dims.iter().zip(&starts.batch) {
        dims[dim] = size;
    }
    for (&dim, &from) in offsets.iter().zip(&window) {
        dims[dim] = sizes[from];
    }
    op.context.meter.work(count(&dims)?)?;
    let mut out = Array::zeroed(operand.element, dims)?;
    // A dropped dimension of an empty operand has an empty slice: there is nothing to read.
    if out.count() == 0 || sizes.contains(&0) {
        return Ok(out);
    }
    let (source, target) = (operand.strides(), out.strides());
    let pick = |dims: &[usize], strides: &[isize]| -> Vec<isize> {
        dims.iter().map(|&d| strides[d]).collect()
    };
    let counts: Vec<usize> = window.iter().map(|&d| sizes[d]).collect();
    let copy = StridedCopy::new(
        operand.element.bytes(),
        &counts,
        &pick(&window, &source),
        &pick(&offsets, &target),
    );
    let batch_strides = pick(&batch_dims, &target);
    let bytes = out.bytes_mut();
    starts.for_each(rank, |position, start| {
        let from = (0..rank)
            .map(|d| {
                let room = operand.dims[d] - sizes[d];
                start[d].clamp(0, room as i64) as isize * source[d]
            })
            .sum();
        copy.run(&operand.data, from, bytes, offset(position, &batch_strides))
    })?;
    Ok(out)
}

/// `scatter`: an update whose window does not lie inside of the operand is dropped.
pub(super) fn scatter(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let mut operands = op.arrays()?;
    if operands.len() < 3 || operands.len() % 2 == 0 {
        return Err(Fault::expected(
            "operands, indices and as many updates",
            format_args!("{} arrays", operands.len()),
        ));
    }
    let arity = operands.len() / 2;
    let mut updates = operands.split_off(arity);
    let indices = updates.remove(0);
    let attributes = op
        .instruction
        .scatter_dims()
        .ok_or_else(|| Fault::malformed("dimension numbers are missing"))?;
    let (dims, update_dims) = (operands[0].dims.clone(), updates[0].dims.clone());
    if operands.iter().any(|o| o.dims != dims) || updates.iter().any(|u| u.dims != update_dims) {
        return Err(Fault::malformed(
            "operands or updates differ in their dimensions",
        ));
    }
    let (rank, update_rank) = (dims.len(), update_dims.len());
    let starts = Starts::new(
        indices,
        attributes.index_vector_dim,
        &attributes.scatter_dims_to_operand_dims,
        &attributes.input_batching_dims,
        &attributes.scatter_indices_batching_dims,
        rank,
    )?;
    let mut gone = attributes.inserted_window_dims.clone();
    gone.extend(&attributes.input_batching_dims);
    let gone = positions("inserted_window_dims and batching dimensions", &gone, rank)?;
    let window = others(rank, &gone);
    let from = positions(
        "update_window_dims",
        &attributes.update_window_dims,
        update_rank,
    )?;
    let batch_dims = others(update_rank, &from);
    let batch: Vec<usize> = batch_dims.iter().map(|&d| update_dims[d]).collect();
    if from.len() != window.len() || batch != starts.batch {
        return Err(Fault::malformed(
            "the updates do not fit operand and indices",
        ));
    }
    let mut extent = vec![1; rank];
    for (&dim, &from) in window.iter().zip(&from) {
        extent[dim] = update_dims[from];
    }
    let computation = op.called("to_apply")?;
    let mut combiner = Combiner::new(op.context, computation, arity, Precision::Single)?;
    op.context
        .meter
        .work(updates[0].count().saturating_mul(combiner.cost()))?;
    let elements = op.elements()?;
    if elements.len() != arity {
        return Err(Fault::expected(
            format_args!("{arity} results"),
            elements.len(),
        ));
    }
    let mut results = operands
        .into_iter()
        .zip(combiner.work())
        .map(|(operand, &work)| operand.converted(work))
        .collect::<Outcome<Vec<_>>>()?;
    let updates = updates
        .into_iter()
        .zip(combiner.inputs())
        .map(|(update, work)| update.converted(work))
        .collect::<Outcome<Vec<_>>>()?;
    let (target, source) = (strides(&dims), strides(&update_dims));
    let counts: Vec<usize> = window.iter().map(|&d| extent[d]).collect();
    let target_window: Vec<isize> = window.iter().map(|&d| target[d]).collect();
    let source_window: Vec<isize> = from.iter().map(|&d| source[d]).collect();
    let batch_strides: Vec<isize> = batch_dims.iter().map(|&d| source[d]).collect();
    let room: Option<Vec<i64>> = (0..rank)
        .map(|d| Some(dims[d].checked_sub(extent[d])? as i64))
        .collect();
    let mut targets: Vec<&mut [u8]> = results.iter_mut().map(Array::bytes_mut).collect();
    // Without room no window fits anywhere; without elements there is nothing to write.
    if let Some(room) = room
        && !update_dims.contains(&0)
    {
        let mut windows = Windows {
            copy: updates
                .iter()
                .map(|u| {
                    StridedCopy::new(u.element.bytes(), &counts, &source_window, &target_window)
                })
                .collect(),
            sources: updates.iter().map(|u| &*u.data).collect(),
            work: combiner.work().iter().map(|w| w.bytes()).collect(),
            inputs: updates.iter().map(|u| u.element.bytes()).collect(),
            combiner: &mut combiner,
            context: op.context,
        };
        starts.for_each(rank, |position, start| {
            if start.iter().zip(&room).any(|(s, room)| s < &0 || s > room) {
                return Ok(());
            }
            let to = start
                .iter()
                .zip(&target)
                .map(|(&s, t)| s as isize * t)
                .sum();
            windows.combine(offset(position, &batch_strides), &mut targets, to)
        })?;
    }
    results
        .into_iter()
        .zip(elements)
        .map(|(result, element)| result.converted(element))
        .collect()
}

/// Combines windows of the updates into the operands.
struct Windows<'a, 'o> {
    copy: Vec<StridedCopy>,
    sources: Vec<&'a [u8]>,
    combiner: &'a mut Combiner,
    context: &'a mut Context<'o>,
    /// Bytes of an element of each accumulator and of what is combined into it.
    work: Vec<usize>,
    inputs: Vec<usize>,
}

impl Windows<'_, '_> {
    fn combine(&mut self, from: isize, targets: &mut [&mut [u8]], to: isize) -> Outcome<()> {
        if self.combiner.replaces() {
            for ((copy, source), target) in self.copy.iter().zip(&self.sources).zip(targets) {
                copy.run(source, from, target, to)?;
            }
            return Ok(());
        }
        let Some(walk) = self.copy.first() else {
            return Ok(());
        };
        let (work, inputs) = (&self.work[..], &self.inputs[..]);
        walk.for_each_run(from, to, |from, to, count, from_stride, to_stride| {
            let (count, repeat, from_step, to_step) = if from_stride == 1 && to_stride == 1 {
                (count, 1, 0, 0)
            } else {
                (1, count, from_stride, to_stride)
            };
            for i in 0..repeat as isize {
                let (from, to) = ((from + i * from_step) as usize, (to + i * to_step) as usize);
                if let ([target], [source]) = (&mut *targets, &self.sources[..]) {
                    let left = &mut target[to * work[0]..(to + count) * work[0]];
                    let right = &source[from * inputs[0]..(from + count) * inputs[0]];
                    self.combiner.combine(self.context, &mut [left], &[right])?;
                    continue;
                }
                let mut left: Vec<&mut [u8]> = targets
                    .iter_mut()
                    .zip(work)
                    .map(|(t, size)| &mut t[to * size..(to + count) * size])
                    .collect();
                let right: Vec<&[u8]> = self
                    .sources
                    .iter()
                    .zip(inputs)
                    .map(|(s, size)| &s[from * size..(from + count) * size])
                    .collect();
                self.combiner.combine(self.context, &mut left, &right)?;
            }
            Ok(())
        })
    }
}
