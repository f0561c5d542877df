//! `reduce-window` and `select-and-scatter`.

use super::array::{Array, count, others, size, strides};
use super::combine::{Combiner, Precision, bytes_as};
use super::context::Context;
use super::error::{Fault, Outcome};
use super::operation::Operation;
use super::program::Program;
use super::reduce::inputs_and_inits;
use super::strided::StridedCopy;
use crate::attribute::{AttributeValue, WindowDim};
use crate::shape::PrimitiveType;

/// One dimension of a window that slides over `bound` elements.
#[derive(Clone)]
pub(super) struct Slide {
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) low: i64,
    pub(super) high: i64,
    /// Step between the window's elements.
    pub(super) step: usize,
    /// Spacing of the array's elements.
    pub(super) spacing: usize,
    pub(super) reversed: bool,
    pub(super) bound: usize,
    /// Number of positions of the window.
    pub(super) outputs: usize,
}

impl Slide {
    pub(super) fn new(dim: &WindowDim, bound: usize) -> Outcome<Slide> {
        let positive = |what, value| match size(what, value) {
            Ok(0) | Err(_) => Err(Fault::expected(format_args!("{what} of at least 1"), value)),
            Ok(value) => Ok(value),
        };
        let spacing = positive("a base dilation", dim.base_dilation)?;
        let step = positive("a window dilation", dim.window_dilation)?;
        let stride = positive("a window stride", dim.stride)?;
        let extent = size("a window size", dim.size)?;
        let spread = if bound == 0 {
            0
        } else {
            (bound as i128 - 1) * spacing as i128 + 1
        };
        let padded = spread + i128::from(dim.padding_low) + i128::from(dim.padding_high);
        let reach = (extent as i128 - 1) * step as i128 + 1;
        let outputs = if extent == 0 || padded < reach {
            0
        } else {
            (padded - reach) / stride as i128 + 1
        };
        Ok(Slide {
            size: extent,
            stride,
            low: dim.padding_low,
            high: dim.padding_high,
            step,
            spacing,
            reversed: dim.reversal,
            bound,
            outputs: usize::try_from(outputs)
                .map_err(|_| Fault::malformed("a window slides too far"))?,
        })
    }

    /// The elements under the window at `output`, in order. Windows may be much longer than the
    /// array: only elements between the window's ends are looked at.
    fn elements(&self, output: usize) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let (step, spacing) = (self.step as i128, self.spacing as i128);
        let start = output as i128 * self.stride as i128 - i128::from(self.low);
        let end = start + (self.size as i128 - 1) * step;
        let bound = self.bound as i128;
        let first = -(-start).div_euclid(spacing);
        let past = end.div_euclid(spacing) + 1;
        (first.clamp(0, bound)..past.clamp(0, bound))
            .filter(move |element| (element * spacing - start) % step == 0)
            .map(|element| element as usize)
    }

    /// The window just picks out every element.
    fn is_trivial(&self) -> bool {
        (self.size, self.stride, self.spacing, self.low, self.high) == (1, 1, 1, 0, 0)
    }
}

/// The window of the instruction over an array of `dims`; without the attribute every dimension
/// is a window of 1.
pub(super) fn slides(op: &Operation<'_, '_>, dims: &[usize]) -> Outcome<Vec<Slide>> {
    let window = match op.instruction.attribute("window") {
        Some(AttributeValue::Window(window)) => window.clone(),
        _ => Vec::new(),
    };
    if window.is_empty() {
        let trivial = WindowDim {
            size: 1,
            stride: 1,
            padding_low: 0,
            padding_high: 0,
            window_dilation: 1,
            base_dilation: 1,
            reversal: false,
        };
        return dims
            .iter()
            .map(|&bound| Slide::new(&trivial, bound))
            .collect();
    }
    if window.len() != dims.len() {
        return Err(Fault::expected(
            format_args!("a window of {} dimensions", dims.len()),
            window.len(),
        ));
    }
    window
        .iter()
        .zip(dims)
        .map(|(dim, &bound)| Slide::new(dim, bound))
        .collect()
}

/// `reduce-window`: elements of the padding do not take part.
pub(super) fn reduce_window(op: &mut Operation<'_, '_>) -> Outcome<Vec<Array>> {
    let (inputs, inits) = inputs_and_inits(op)?;
    let computation = op.called("to_apply")?;
    let mut combiner = Combiner::new(op.context, computation, inputs.len(), Precision::Exact)?;
    let work = combiner.work().to_vec();
    let elements = op.elements()?;
    if combiner.inputs() != work || elements.len() != work.len() {
        return Err(Fault::unsupported(
            "a window whose computation changes types",
        ));
    }
    let slides = slides(op, &inputs[0].dims)?;
    let sliding: Vec<usize> = (0..slides.len())
        .filter(|&d| !slides[d].is_trivial())
        .collect();
    let dims: Vec<usize> = slides.iter().map(|s| s.outputs).collect();
    let outputs = count(&dims)?;
    let total: usize = inputs
        .iter()
        .map(Array::count)
        .fold(0, usize::saturating_add);
    op.context.meter.scratch(
        total
            .saturating_mul(24)
            .saturating_add(outputs.saturating_mul(16)),
    )?;
    let mut arrays = inputs
        .into_iter()
        .zip(&work)
        .map(|(input, &work)| input.converted(work))
        .collect::<Outcome<Vec<_>>>()?;
    if sliding.len() > 1 && !combiner.reorders() {
        let covered = slides.iter().fold(1usize, |n, s| n.saturating_mul(s.size));
        op.context.meter.work(
            outputs
                .saturating_mul(covered)
                .saturating_mul(combiner.cost()),
        )?;
        return boxes(
            op.context,
            &mut combiner,
            &arrays,
            &inits,
            &slides,
            &elements,
        );
    }
    for &dim in &sliding {
        arrays = slide(op, &mut combiner, arrays, dim, &slides[dim])?;
    }
    // The initial value takes part once; alone where the window is on no element at all.
    let mut results = inits
        .iter()
        .zip(&work)
        .map(|(init, &work)| Ok(bytes_as(init, work)?.repeat(outputs)))
        .collect::<Outcome<Vec<_>>>()?;
    let mut left: Vec<&mut [u8]> = results.iter_mut().map(Vec::as_mut_slice).collect();
    let right: Vec<&[u8]> = arrays.iter().map(|a| &*a.data).collect();
    op.context
        .meter
        .work(outputs.saturating_mul(combiner.cost()))?;
    combiner.combine(op.context, &mut left, &right)?;
    let mut results = results
        .into_iter()
        .zip(&work)
        .map(|(bytes, &work)| Array::new(work, dims.clone(), bytes))
        .collect::<Outcome<Vec<_>>>()?;
    for dim in sliding {
        for output in 0..slides[dim].outputs {
            if slides[dim].elements(output).next().is_none() {
                for (result, init) in results.iter_mut().zip(&inits) {
                    fill_plane(result, dim, output, init)?;
                }
            }
        }
    }
    results
        .into_iter()
        .zip(elements)
        .map(|(result, element)| result.converted(element))
        .collect()
}

/// Sets all elements at `position` of `dim` to a scalar.
fn fill_plane(array: &mut Array, dim: usize, position: usize, value: &Array) -> Outcome<()> {
    let value = value.clone().converted(array.element)?;
    let target = array.strides();
    let mut counts = array.dims.clone();
    counts[dim] = 1;
    let to = position as isize * target[dim];
    let source = vec![0; counts.len()];
    StridedCopy::new(array.element.bytes(), &counts, &source, &target).run(
        &value.data,
        0,
        array.bytes_mut(),
        to,
    )
}

/// A row of every array.
type Row = Vec<Vec<u8>>;

fn combine(
    context: &mut Context<'_>,
    combiner: &mut Combiner,
    mut left: Row,
    right: &[&[u8]],
) -> Outcome<Row> {
    let mut slices: Vec<&mut [u8]> = left.iter_mut().map(Vec::as_mut_slice).collect();
    combiner.combine(context, &mut slices, right)?;
    Ok(left)
}

fn slices(row: &Row) -> Vec<&[u8]> {
    row.iter().map(Vec::as_slice).collect()
}

/// Slides a window along one dimension. A window that is on no element gives zeros.
fn slide(
    op: &mut Operation<'_, '_>,
    combiner: &mut Combiner,
    arrays: Vec<Array>,
    dim: usize,
    window: &Slide,
) -> Outcome<Vec<Array>> {
    let rank = arrays[0].rank();
    let mut order = vec![dim];
    order.extend(others(rank, &[dim]));
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
    let mut dims: Vec<usize> = order.iter().map(|&d| arrays[0].dims[d]).collect();
    let lanes = count(&dims[1..])?;
    dims[0] = window.outputs;
    count(&dims)?;
    let arrays = arrays
        .into_iter()
        .map(|array| array.transposed(&order))
        .collect::<Outcome<Vec<_>>>()?;
    let row = |element: usize| -> Vec<&[u8]> {
        arrays
            .iter()
            .map(|array| {
                let bytes = lanes * array.element.bytes();
                &array.data[element * bytes..(element + 1) * bytes]
            })
            .collect()
    };
    let mut out: Vec<Vec<u8>> = arrays
        .iter()
        .map(|array| Vec::with_capacity(window.outputs * lanes * array.element.bytes()))
        .collect();
    let mut queue = Queue::default();
    let mut pushed = 0;
    let contiguous = window.step == 1 && window.spacing == 1;
    for output in 0..window.outputs {
        let result = if contiguous {
            let mut under = window.elements(output);
            let first = under.next();
            let last = first.map(|first| under.next_back().unwrap_or(first));
            if let (Some(first), Some(last)) = (first, last) {
                op.context
                    .meter
                    .work(lanes.saturating_mul(combiner.cost()))?;
                while pushed <= last {
                    op.context
                        .meter
                        .work(lanes.saturating_mul(2 * combiner.cost()))?;
                    queue.push(op.context, combiner, pushed, &row(pushed))?;
                    pushed += 1;
                }
                queue.pop_before(op.context, combiner, first, &row)?;
            }
            match first {
                Some(_) => queue.value(op.context, combiner)?,
                None => None,
            }
        } else {
            let mut sum: Option<Row> = None;
            for element in window.elements(output) {
                op.context
                    .meter
                    .work(lanes.saturating_mul(combiner.cost()))?;
                sum = Some(match sum {
                    Some(sum) => combine(op.context, combiner, sum, &row(element))?,
                    None => row(element).into_iter().map(<[u8]>::to_vec).collect(),
                });
            }
            sum
        };
        for (i, out) in out.iter_mut().enumerate() {
            match &result {
                Some(row) => out.extend_from_slice(&row[i]),
                None => out.resize(out.len() + lanes * arrays[i].element.bytes(), 0),
            }
        }
    }
    out.into_iter()
        .zip(&arrays)
        .map(|(bytes, array)| Array::new(array.element, dims.clone(), bytes)?.transposed(&back))
        .collect()
}

/// The combination of a queue of rows, at a constant number of combinations a row: the older
/// rows are held as the combinations of each with all older rows that follow it, the newer ones
/// as one combination.
#[derive(Default)]
struct Queue {
    /// Position of the oldest row.
    first: usize,
    /// `older[i]` combines the last `i + 1` of the older rows.
    older: Vec<Row>,
    newer: Option<Row>,
    /// One past the position of the newest row.
    end: usize,
}

impl Queue {
    fn push(
        &mut self,
        context: &mut Context<'_>,
        combiner: &mut Combiner,
        position: usize,
        row: &[&[u8]],
    ) -> Outcome<()> {
        self.newer = Some(match self.newer.take() {
            Some(newer) => combine(context, combiner, newer, row)?,
            None => row.iter().map(|r| r.to_vec()).collect(),
        });
        self.end = position + 1;
        Ok(())
    }

    fn pop_before<'r>(
        &mut self,
        context: &mut Context<'_>,
        combiner: &mut Combiner,
        position: usize,
        row: &impl Fn(usize) -> Vec<&'r [u8]>,
    ) -> Outcome<()> {
        while self.first < position {
            if self.older.is_empty() {
                // All that is left is newer: it becomes the older part.
                self.newer = None;
                for element in (position.min(self.end)..self.end).rev() {
                    let next: Row = row(element).into_iter().map(<[u8]>::to_vec).collect();
                    let next = match self.older.last() {
                        Some(after) => combine(context, combiner, next, &slices(after))?,
                        None => next,
                    };
                    self.older.push(next);
                }
                self.first = position;
            } else {
                self.older.pop();
                self.first += 1;
            }
        }
        Ok(())
    }

    fn value(&self, context: &mut Context<'_>, combiner: &mut Combiner) -> Outcome<Option<Row>> {
        match (self.older.last(), &self.newer) {
            (Some(older), Some(newer)) => {
                combine(context, combiner, older.clone(), &slices(newer)).map(Some)
            }
            (Some(row), None) | (None, Some(row)) => Ok(Some(row.clone())),
            (None, None) => Ok(None),
        }
    }
}

/// Windows over several dimensions by a computation that keeps its order: element by element.
fn boxes(
    context: &mut Context<'_>,
    combiner: &mut Combiner,
    arrays: &[Array],
    inits: &[Array],
    slides: &[Slide],
    elements: &[PrimitiveType],
) -> Outcome<Vec<Array>> {
    let dims: Vec<usize> = slides.iter().map(|s| s.outputs).collect();
    let source = strides(&arrays[0].dims);
    let work = combiner.work().to_vec();
    let inits = inits
        .iter()
        .zip(&work)
        .map(|(init, &work)| bytes_as(init, work))
        .collect::<Outcome<Vec<_>>>()?;
    let mut out: Vec<Vec<u8>> = vec![Vec::new(); arrays.len()];
    for_each_position(&dims, |output| {
        let mut sum = inits.clone();
        for_each_under(slides, output, &source, |element| {
            let row: Vec<&[u8]> = arrays
                .iter()
                .map(|a| {
                    let size = a.element.bytes();
                    &a.data[element * size..(element + 1) * size]
                })
                .collect();
            sum = combine(context, combiner, std::mem::take(&mut sum), &row)?;
            Ok(())
        })?;
        out.iter_mut()
            .zip(&sum)
            .for_each(|(out, sum)| out.extend_from_slice(sum));
        Ok(())
    })?;
    out.into_iter()
        .zip(work.iter().zip(elements))
        .map(|(bytes, (&work, &element))| Array::new(work, dims.clone(), bytes)?.converted(element))
        .collect()
}

/// Calls `visit` with every position within `dims`, row-major.
fn for_each_position(
    dims: &[usize],
    mut visit: impl FnMut(&[usize]) -> Outcome<()>,
) -> Outcome<()> {
    if dims.contains(&0) {
        return Ok(());
    }
    let mut position = vec![0; dims.len()];
    loop {
        visit(&position)?;
        let mut dim = dims.len();
        loop {
            if dim == 0 {
                return Ok(());
            }
            dim -= 1;
            position[dim] += 1;
            if position[dim] < dims[dim] {
                break;
            }
            position[dim] = 0;
        }
    }
}

/// Calls `visit` with every element under the window at `output`, row-major.
fn for_each_under(
    slides: &[Slide],
    output: &[usize],
    strides: &[isize],
    mut visit: impl FnMut(usize) -> Outcome<()>,
) -> Outcome<()> {
    let under: Vec<Vec<usize>> = slides
        .iter()
        .zip(output)
        .map(|(slide, &output)| slide.elements(output).collect())
        .collect();
    let sizes: Vec<usize> = under.iter().map(Vec::len).collect();
    for_each_position(&sizes, |position| {
        let element = position
            .iter()
            .zip(&under)
            .zip(strides)
            .map(|((&p, under), &s)| under[p] * s as usize);
        visit(element.sum())
    })
}

/// `select-and-scatter`: each source element goes to the element of its window that `select`
/// prefers to all later ones.
pub(super) fn select_and_scatter(op: &mut Operation<'_, '_>) -> Outcome<Array> {
    let [operand, source, init] = op.exactly()?;
    let (select, scatter) = (op.called("select")?, op.called("scatter")?);
    let mut select = Program::compile(op.context, select, 1)?;
    let mut scatter = Combiner::new(op.context, scatter, 1, Precision::Single)?;
    if select.parameters() != [operand.element; 2]
        || select.results() != [PrimitiveType::Pred]
        || init.count() != 1
    {
        return Err(Fault::malformed("the computations do not fit the operands"));
    }
    let slides = slides(op, &operand.dims)?;
    let dims: Vec<usize> = slides.iter().map(|s| s.outputs).collect();
    if source.dims != dims {
        return Err(Fault::expected(
            format_args!("a source of {dims:?}"),
            format_args!("{:?}", source.dims),
        ));
    }
    let covered = slides.iter().fold(1usize, |n, s| n.saturating_mul(s.size));
    op.context.meter.work(
        source
            .count()
            .saturating_mul(covered)
            .saturating_mul(select.cost()),
    )?;
    let element = op.declared()?.element;
    let work = scatter.work()[0];
    let mut out = init.filled(operand.dims.clone())?.converted(work)?;
    let source = source.converted(scatter.inputs()[0])?;
    let strides = operand.strides();
    let bytes = out.bytes_mut();
    let mut number = 0;
    for_each_position(&dims, |output| {
        let at = |element: usize| {
            let size = operand.element.bytes();
            &operand.data[element * size..(element + 1) * size]
        };
        let mut selected: Option<usize> = None;
        for_each_under(&slides, output, &strides, |element| {
            if let Some(selected) = selected {
                select.set(0, at(selected));
                select.set(1, at(element));
                select.run(op.context, 1)?;
                if select.get(0, 1) == [1] {
                    return Ok(());
                }
            }
            selected = Some(element);
            Ok(())
        })?;
        if let Some(selected) = selected {
            let (from, to) = (source.element.bytes(), work.bytes());
            scatter.combine(
                op.context,
                &mut [&mut bytes[selected * to..(selected + 1) * to]],
                &[&source.data[number * from..(number + 1) * from]],
            )?;
        }
        number += 1;
        Ok(())
    })?;
    out.converted(element)
}
