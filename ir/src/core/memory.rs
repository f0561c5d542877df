//! Memory: the arrays of a program's buffers while it runs. Used by every evaluator and by the
//! emulated machine, so that all of them fail alike.

use std::borrow::Cow;

use cranelift_entity::{PrimaryMap, SecondaryMap};

use super::array::Array;
use super::buffer::{Buffer, BufferId, Init, Role};
use super::diag::EvalError;
use super::op::CombineOp;
use super::scalar::Scalar;
use super::text;
use super::types::Span;

/// What a run may take; a program that takes more ends with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Statements executed, loop iterations included.
    pub steps: u64,
    /// Bytes of all buffers together.
    pub bytes: u64,
}

impl Default for Limits {
    /// Some minutes, and 16 GiB.
    fn default() -> Self {
        Limits {
            steps: 10_000_000_000,
            bytes: 16 << 30,
        }
    }
}

/// Counts the steps of one run.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    limit: u64,
    left: u64,
}

impl Steps {
    /// A run that has taken no step.
    pub fn new(limits: &Limits) -> Steps {
        Steps {
            limit: limits.steps,
            left: limits.steps,
        }
    }

    /// One more step.
    pub fn step(&mut self) -> Result<(), EvalError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(EvalError::Steps { limit: self.limit }),
        }
    }

    /// Steps taken.
    pub fn taken(&self) -> u64 {
        self.limit - self.left
    }
}

/// The arrays of a program's buffers.
#[derive(Clone, Debug)]
pub struct Memory<'a> {
    buffers: &'a PrimaryMap<BufferId, Buffer>,
    /// Inputs are borrowed: they are large and never written.
    arrays: PrimaryMap<BufferId, Cow<'a, Array>>,
    /// Of a buffer without initial value, the elements that have been written.
    written: SecondaryMap<BufferId, Option<Vec<bool>>>,
}

impl<'a> Memory<'a> {
    /// The memory in which a program starts: inputs as passed, in the order of the declarations;
    /// outputs and temporaries as their initial values say.
    pub fn new(
        buffers: &'a PrimaryMap<BufferId, Buffer>,
        inputs: &'a [Array],
        limits: &Limits,
    ) -> Result<Memory<'a>, EvalError> {
        let expected = buffers.values().filter(|b| b.role == Role::Input).count();
        if inputs.len() != expected {
            return Err(EvalError::InputCount {
                expected,
                found: inputs.len(),
            });
        }
        let total = buffers.values().try_fold(0u64, |total, b| {
            let bytes = Array::byte_size(b.element, &b.dims)?;
            total
                .checked_add(bytes as u64)
                .filter(|&total| total <= limits.bytes)
        });
        if total.is_none() {
            return Err(EvalError::Memory {
                limit: limits.bytes,
            });
        }

        let mut arrays = PrimaryMap::with_capacity(buffers.len());
        let mut written = SecondaryMap::new();
        let mut inputs = inputs.iter();
        // Copies come last: the input that they copy may be declared after them.
        let mut copies = Vec::new();
        for (id, buffer) in buffers {
            let error = |error| EvalError::Array {
                buffer: buffer.name.clone(),
                error,
            };
            let array = match &buffer.role {
                Role::Input => {
                    let array = inputs.next().ok_or(EvalError::InputCount {
                        expected,
                        found: expected,
                    })?;
                    if array.element != buffer.element || array.dims != buffer.dims {
                        return Err(EvalError::Input {
                            buffer: buffer.name.clone(),
                            expected: text::shape(buffer.element, &buffer.dims),
                            found: text::shape(array.element, &array.dims),
                        });
                    }
                    array.check().map_err(error)?;
                    Cow::Borrowed(array)
                }
                Role::Output(init) | Role::Temp(init) => match init {
                    Init::Splat(value) => {
                        Cow::Owned(Array::splat(*value, &buffer.dims).map_err(error)?)
                    }
                    Init::Undefined | Init::Copy(_) => {
                        let array = Array::zeros(buffer.element, &buffer.dims).map_err(error)?;
                        match init {
                            Init::Copy(from) => copies.push((id, *from)),
                            Init::Undefined => written[id] = Some(vec![false; array.len()]),
                            Init::Splat(_) => {}
                        }
                        Cow::Owned(array)
                    }
                },
            };
            arrays.push(array);
        }
        for (to, from) in copies {
            let data = arrays
                .get(from)
                .map(|array: &Cow<'_, Array>| array.data.clone());
            let data = data.filter(|data| data.len() == arrays[to].data.len());
            arrays[to].to_mut().data = data.ok_or_else(|| {
                EvalError::stuck(buffers[to].span, "a copy of something of another size")
            })?;
        }
        Ok(Memory {
            buffers,
            arrays,
            written,
        })
    }

    /// The declarations.
    pub fn buffers(&self) -> &'a PrimaryMap<BufferId, Buffer> {
        self.buffers
    }

    /// The present contents of a buffer.
    pub fn array(&self, buffer: BufferId) -> Option<&Array> {
        self.arrays.get(buffer).map(Cow::as_ref)
    }

    /// Row-major position of an element that must be in the buffer.
    pub fn position(
        &self,
        buffer: BufferId,
        indices: &[i64],
        span: Span,
    ) -> Result<usize, EvalError> {
        let array = self.existing(buffer, span)?;
        array
            .position(indices)
            .ok_or_else(|| EvalError::OutOfBounds {
                buffer: self.name(buffer),
                indices: indices.to_vec(),
                dims: array.dims.clone(),
                span,
            })
    }

    /// The element at a position; it must have been written.
    pub fn load_at(
        &self,
        buffer: BufferId,
        position: usize,
        span: Span,
    ) -> Result<Scalar, EvalError> {
        if let Some(written) = &self.written[buffer]
            && written.get(position) == Some(&false)
        {
            return Err(EvalError::Uninitialised {
                buffer: self.name(buffer),
                position,
                span,
            });
        }
        let array = self.existing(buffer, span)?;
        array
            .get(position)
            .ok_or_else(|| self.outside(buffer, position, span))
    }

    /// Writes the element at a position.
    pub fn store_at(
        &mut self,
        buffer: BufferId,
        position: usize,
        value: Scalar,
        span: Span,
    ) -> Result<(), EvalError> {
        if !self.buffers.get(buffer).is_some_and(Buffer::is_written) {
            return Err(EvalError::stuck(
                span,
                format!("%{} cannot be written", self.name(buffer)),
            ));
        }
        let array = self.arrays[buffer].to_mut();
        if array.set(position, value).is_none() {
            return Err(if value.ty() == array.element.into() {
                self.outside(buffer, position, span)
            } else {
                EvalError::stuck(
                    span,
                    format!("%{} cannot hold {}", self.name(buffer), value.ty()),
                )
            });
        }
        if let Some(written) = &mut self.written[buffer]
            && let Some(element) = written.get_mut(position)
        {
            *element = true;
        }
        Ok(())
    }

    /// The element at these indices.
    pub fn load(&self, buffer: BufferId, indices: &[i64], span: Span) -> Result<Scalar, EvalError> {
        self.load_at(buffer, self.position(buffer, indices, span)?, span)
    }

    /// Writes the element at these indices.
    pub fn store(
        &mut self,
        buffer: BufferId,
        indices: &[i64],
        value: Scalar,
        span: Span,
    ) -> Result<(), EvalError> {
        let position = self.position(buffer, indices, span)?;
        self.store_at(buffer, position, value, span)
    }

    /// Combines a value into the element at these indices.
    pub fn combine(
        &mut self,
        op: CombineOp,
        buffer: BufferId,
        indices: &[i64],
        value: Scalar,
        span: Span,
    ) -> Result<(), EvalError> {
        let position = self.position(buffer, indices, span)?;
        let value = match op {
            CombineOp::Replace => value,
            CombineOp::Add
            | CombineOp::Mul
            | CombineOp::Min
            | CombineOp::Max
            | CombineOp::And
            | CombineOp::Or
            | CombineOp::Xor
            | CombineOp::Sub => op
                .apply(self.load_at(buffer, position, span)?, value)
                .map_err(|error| EvalError::stuck(span, error))?,
        };
        self.store_at(buffer, position, value, span)
    }

    /// The outputs, in the order of the declarations; every element must have been written.
    pub fn into_outputs(self) -> Result<Vec<Array>, EvalError> {
        for (buffer, declared) in self.buffers {
            if let Role::Output(_) = declared.role
                && let Some(written) = &self.written[buffer]
                && let Some(position) = written.iter().position(|&w| !w)
            {
                return Err(EvalError::Uninitialised {
                    buffer: declared.name.clone(),
                    position,
                    span: declared.span,
                });
            }
        }
        let outputs = self.arrays.into_iter().zip(self.buffers.values());
        Ok(outputs
            .filter(|(_, buffer)| matches!(buffer.role, Role::Output(_)))
            .map(|((_, array), _)| array.into_owned())
            .collect())
    }

    fn existing(&self, buffer: BufferId, span: Span) -> Result<&Array, EvalError> {
        self.array(buffer)
            .ok_or_else(|| EvalError::stuck(span, format!("{buffer} does not exist")))
    }

    fn outside(&self, buffer: BufferId, position: usize, span: Span) -> EvalError {
        EvalError::OutOfBounds {
            buffer: self.name(buffer),
            indices: vec![position as i64],
            dims: self
                .array(buffer)
                .map_or_else(Vec::new, |array| array.dims.clone()),
            span,
        }
    }

    fn name(&self, buffer: BufferId) -> String {
        self.buffers
            .get(buffer)
            .map_or_else(|| buffer.to_string(), |b| b.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ElementType;

    fn buffers() -> PrimaryMap<BufferId, Buffer> {
        let buffer = |name: &str, role| Buffer {
            name: name.to_owned(),
            element: ElementType::S32,
            dims: vec![2],
            role,
            sorted: false,
            span: Span::default(),
        };
        // The copy is declared before the input that it copies.
        PrimaryMap::from_iter([
            buffer("copy", Role::Output(Init::Copy(BufferId::from_u32(1)))),
            buffer("x", Role::Input),
            buffer("splat", Role::Output(Init::Splat(Scalar::S32(7)))),
            buffer("scratch", Role::Temp(Init::Undefined)),
        ])
    }

    fn array(elements: &[i32]) -> Array {
        Array::from_elements(&[elements.len() as u64], elements).expect("the sizes agree")
    }

    #[test]
    fn buffers_start_as_declared_and_outputs_come_back_in_order() {
        let (buffers, inputs) = (buffers(), [array(&[3, 4])]);
        let mut memory = Memory::new(&buffers, &inputs, &Limits::default()).expect("valid");
        let [copy, x, splat, scratch] = [0, 1, 2, 3].map(BufferId::from_u32);
        let (here, new) = (Span::default(), Scalar::S32(5));
        assert!(memory.store(x, &[0], new, here).is_err());
        assert!(memory.store(copy, &[2], new, here).is_err());
        assert!(memory.store(copy, &[0], Scalar::S64(5), here).is_err());
        assert!(memory.load(scratch, &[1], here).is_err());
        assert_eq!(memory.store(scratch, &[1], new, here), Ok(()));
        assert_eq!(memory.load(scratch, &[1], here), Ok(new));
        assert_eq!(
            memory.combine(CombineOp::Add, copy, &[1], new, here),
            Ok(())
        );
        assert_eq!(
            memory.combine(CombineOp::Replace, splat, &[0], new, here),
            Ok(())
        );
        assert_eq!(
            memory.into_outputs(),
            Ok(vec![array(&[3, 9]), array(&[5, 7])])
        );
        assert_eq!(inputs, [array(&[3, 4])]);
    }

    #[test]
    fn inputs_that_are_not_as_declared_are_refused() {
        let buffers = buffers();
        let refused = |inputs: &[Array]| {
            let memory = Memory::new(&buffers, inputs, &Limits::default());
            memory
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(refused(&[]), "expected 1 inputs, found 0");
        let short = refused(&[array(&[1])]);
        assert_eq!(short, "input %x takes s32[2], found s32[1]");
        let mut broken = array(&[1, 2]);
        broken.data.pop();
        assert!(refused(&[broken]).starts_with("%x: "));
    }
}
