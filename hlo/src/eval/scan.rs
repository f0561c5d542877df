//! `scan`: a loop over one dimension that carries values along.

use super::array::{Array, count, positions, size};
use super::error::{Fault, Outcome};
use super::machine;
use super::operation::Operation;
use super::strided::StridedCopy;
use crate::literal::Literal;
use crate::shape::Shape;

/// `scan`. The operands are the scanned arrays and the initial carries. Each step applies the
/// computation to the arrays' parts at one position of the scanned dimension, from the first to
/// the last or back, and to the carries; it returns what the position of the outputs holds, then
/// the new carries. The value is all outputs, then the last carries.
pub(super) fn scan(op: &mut Operation<'_, '_>) -> Outcome<Literal> {
    let computation = op.called("to_apply")?;
    let mut inputs = op.arrays()?;
    let carries = size("num_carries", op.integer("num_carries")?)?;
    let scanned = inputs
        .len()
        .checked_sub(carries)
        .ok_or_else(|| Fault::malformed("more carries than operands"))?;
    let mut carried: Vec<Literal> = inputs
        .split_off(scanned)
        .into_iter()
        .map(Array::into_literal)
        .collect();
    let first = inputs
        .first()
        .ok_or_else(|| Fault::malformed("nothing to scan"))?;
    let along = match positions("dimensions", op.integers("dimensions")?, first.rank())?[..] {
        [along] => along,
        _ => return Err(Fault::malformed("expected one dimension")),
    };
    let length = first.dims[along];
    if inputs.iter().any(|i| i.dims.get(along) != Some(&length)) {
        return Err(Fault::malformed("the scanned dimensions differ"));
    }
    let module = op.module;
    let parameters = &module.computations[computation].parameters;
    let slices = inputs
        .iter()
        .zip(parameters)
        .map(|(input, &parameter)| {
            Part::new(input.clone(), along, module.instructions[parameter].array())
        })
        .collect::<Outcome<Vec<_>>>()?;
    let shapes = match &*op.instruction.shape {
        Shape::Tuple(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let outputs = shapes.len().checked_sub(carries);
    let outputs = outputs.ok_or_else(|| Fault::malformed("fewer results than carries"))?;
    let mut stacks = shapes[..outputs]
        .iter()
        .map(|shape| {
            let shape = shape.as_array();
            let shape = shape.ok_or_else(|| Fault::malformed("an output is no array"))?;
            let whole = Array::zeroed(shape.element, super::array::dims_of(shape)?)?;
            let along = along.min(whole.rank().saturating_sub(1));
            if whole.dims.get(along) != Some(&length) {
                return Err(Fault::expected(
                    format_args!("{length} steps in dimension {along}"),
                    format_args!("{:?}", whole.dims),
                ));
            }
            Part::new(whole, along, None)
        })
        .collect::<Outcome<Vec<_>>>()?;
    let backwards = op.flag("is_reverse");
    for step in 0..length {
        let position = if backwards { length - 1 - step } else { step };
        let mut arguments = slices
            .iter()
            .map(|slice| Ok(slice.read(position)?.into_literal()))
            .collect::<Outcome<Vec<_>>>()?;
        let moved: usize = slices.iter().chain(&stacks).map(|part| part.elements).sum();
        op.context.meter.work(moved)?;
        arguments.append(&mut carried);
        let mut results = match machine::apply_computation(op.context, computation, arguments)? {
            Literal::Tuple(results) => results,
            other => vec![other],
        };
        if results.len() != shapes.len() {
            return Err(Fault::expected(
                format_args!("{} results of a step", shapes.len()),
                results.len(),
            ));
        }
        carried = results.split_off(outputs);
        for (stack, result) in stacks.iter_mut().zip(results) {
            stack.write(position, &Array::from_literal(result)?)?;
        }
    }
    let mut values: Vec<Literal> = stacks.into_iter().map(|s| s.whole.into_literal()).collect();
    values.append(&mut carried);
    Ok(match (&*op.instruction.shape, values.len()) {
        (Shape::Tuple(_), _) => Literal::Tuple(values),
        (_, 1) => values.remove(0),
        _ => {
            return Err(Fault::malformed(
                "several results are not declared as a tuple",
            ));
        }
    })
}

/// The parts of an array at the positions of one dimension.
struct Part {
    whole: Array,
    along: usize,
    /// Dimensions of a part.
    dims: Vec<usize>,
    elements: usize,
}

impl Part {
    /// Parts without the dimension, or of the declared shape, which may keep it at size 1.
    fn new(whole: Array, along: usize, declared: Option<&crate::ArrayShape>) -> Outcome<Part> {
        let mut dims = whole.dims.clone();
        if along < dims.len() {
            dims.remove(along);
        }
        let elements = count(&dims)?;
        if let Some(declared) = declared {
            let declared = super::array::dims_of(declared)?;
            if count(&declared)? != elements {
                return Err(Fault::expected(
                    format_args!("a computation of {dims:?}"),
                    format_args!("{declared:?}"),
                ));
            }
            dims = declared;
        }
        Ok(Part {
            whole,
            along,
            dims,
            elements,
        })
    }

    /// Counts and strides of a part inside of the whole, and where the part begins.
    fn place(&self, position: usize) -> (Vec<usize>, Vec<isize>, isize) {
        let (mut counts, strides) = (self.whole.dims.clone(), self.whole.strides());
        let start = position as isize * strides[self.along];
        counts[self.along] = 1;
        (counts, strides, start)
    }

    fn read(&self, position: usize) -> Outcome<Array> {
        let (counts, strides, start) = self.place(position);
        self.whole
            .gathered(counts, start, &strides)?
            .with_dims(self.dims.clone())
    }

    fn write(&mut self, position: usize, part: &Array) -> Outcome<()> {
        let (counts, strides, start) = self.place(position);
        if part.element != self.whole.element || part.count() != self.elements {
            return Err(Fault::expected(
                format_args!("{}{:?} from a step", self.whole.element, self.dims),
                format_args!("{}{:?}", part.element, part.dims),
            ));
        }
        let source = super::array::strides(&counts);
        StridedCopy::new(part.element.bytes(), &counts, &source, &strides).run(
            &part.data,
            0,
            self.whole.bytes_mut(),
            start,
        )
    }
}
