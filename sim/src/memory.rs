//! The bytes of the buffers: the caller's inputs and outputs, used where they are, and temporaries.

use std::ops::Range;

use cranelift_entity::PrimaryMap;
use hlo2dae_ir::core::{
    Array, ArrayError, Buffer, BufferId, EvalError, Init, Limits, Role, Scalar, text,
};

use crate::code::{Address, LaneAccess, Place, Width};

/// The memory of one run.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    buffers: &'a PrimaryMap<BufferId, Buffer>,
    inputs: Vec<&'a [u8]>,
    written: Vec<Written<'a>>,
}

/// A buffer that the program writes.
#[derive(Debug)]
struct Written<'a> {
    bytes: Bytes<'a>,
    /// Which elements have been written, of a buffer without initial value.
    defined: Option<Vec<bool>>,
}

/// The elements that an access of lanes touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// These, side by side.
    Run(Range<usize>),
    /// So many, wherever.
    Lanes(u64),
}

impl Touched {
    /// How many.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        match self {
            Touched::Run(run) => run.len() as u64,
            Touched::Lanes(count) => *count,
        }
    }
}

/// What temporaries held: one for each buffer that the program writes, of which outputs are not kept.
#[derive(Debug)]
pub(crate) struct Temporaries(Vec<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    defined: Option<Vec<bool>>,
}

#[derive(Debug)]
enum Bytes<'a> {
    Caller(&'a mut [u8]),
    Own(Vec<u8>),
}

impl Bytes<'_> {
    #[inline]
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Caller(bytes) => bytes,
            Bytes::Own(bytes) => bytes,
        }
    }

    #[inline]
    fn get_mut(&mut self) -> &mut [u8] {
        match self {
            Bytes::Caller(bytes) => bytes,
            Bytes::Own(bytes) => bytes,
        }
    }
}

/// Where each buffer's bytes are in a [`Memory`].
pub(crate) fn places(buffers: &PrimaryMap<BufferId, Buffer>) -> PrimaryMap<BufferId, Place> {
    let (mut inputs, mut written) = (0, 0);
    let mut next = |buffer: &Buffer| {
        let count = if buffer.is_written() {
            &mut written
        } else {
            &mut inputs
        };
        let place = *count;
        *count += 1;
        if buffer.is_written() {
            Place::Written(place)
        } else {
            Place::Input(place)
        }
    };
    buffers.values().map(&mut next).collect()
}

impl<'a> Memory<'a> {
    /// The memory in which a program starts: inputs and outputs are the caller's bytes, in the order of the
    /// declarations; outputs and temporaries are set to their initial values.
    pub(crate) fn new(
        buffers: &'a PrimaryMap<BufferId, Buffer>,
        inputs: &[&'a [u8]],
        outputs: Vec<&'a mut [u8]>,
        limits: &Limits,
    ) -> Result<Memory<'a>, EvalError> {
        let is_input = |buffer: &&Buffer| !buffer.is_written();
        let expected = buffers.values().filter(is_input).count();
        if inputs.len() != expected {
            return Err(EvalError::InputCount {
                expected,
                found: inputs.len(),
            });
        }
        let mut memory = Memory {
            buffers,
            inputs: Vec::with_capacity(inputs.len()),
            written: Vec::new(),
        };
        let mut outputs = outputs.into_iter();
        let mut left = limits.bytes;
        for (buffer, bytes) in buffers.values().filter(is_input).zip(inputs) {
            memory.inputs.push(fitting(buffer, bytes.len(), *bytes)?);
        }
        for buffer in buffers.values().filter(|b| b.is_written()) {
            let bytes = match &buffer.role {
                Role::Output(_) => match outputs.next() {
                    Some(bytes) => Bytes::Caller(fitting(buffer, bytes.len(), bytes)?),
                    None => return Err(EvalError::stuck(buffer.span, "an output is missing")),
                },
                Role::Input | Role::Temp(_) => {
                    let size = Array::byte_size(buffer.element, &buffer.dims);
                    let rest = size.and_then(|size| left.checked_sub(size as u64));
                    left = rest.ok_or(EvalError::Memory {
                        limit: limits.bytes,
                    })?;
                    let zeros = Array::zeros(buffer.element, &buffer.dims);
                    Bytes::Own(zeros.map_err(|error| array_error(buffer, error))?.data)
                }
            };
            memory.written.push(Written {
                bytes,
                defined: None,
            });
        }
        memory.initialise()?;
        Ok(memory)
    }

    fn initialise(&mut self) -> Result<(), EvalError> {
        let places = places(self.buffers);
        for (id, buffer) in self.buffers {
            let (Role::Output(init) | Role::Temp(init)) = &buffer.role else {
                continue;
            };
            let Place::Written(place) = places[id] else {
                continue;
            };
            let written = &mut self.written[place as usize];
            let bytes = written.bytes.get_mut();
            match init {
                Init::Undefined => {
                    let elements = bytes.len() / buffer.element.bytes();
                    written.defined = Some(vec![false; elements]);
                }
                Init::Splat(value) => fill(bytes, *value, buffer.element.bytes()),
                Init::Copy(from) => {
                    let source = match places.get(*from) {
                        Some(Place::Input(input)) => self.inputs[*input as usize],
                        Some(Place::Written(_)) | None => &[],
                    };
                    if source.len() != bytes.len() {
                        let what = "a copy of something of another size";
                        return Err(EvalError::stuck(buffer.span, what));
                    }
                    bytes.copy_from_slice(source);
                }
            }
        }
        Ok(())
    }

    /// Every element of every output must have been written.
    pub(crate) fn finish(self) -> Result<(), EvalError> {
        let buffers = self.buffers.values().filter(|b| b.is_written());
        for (buffer, written) in buffers.zip(&self.written) {
            let missing = |defined: &Vec<bool>| defined.iter().position(|&d| !d);
            if let Role::Output(_) = buffer.role
                && let Some(position) = written.defined.as_ref().and_then(missing)
            {
                return Err(EvalError::Uninitialised {
                    buffer: buffer.name.clone(),
                    position,
                    span: buffer.span,
                });
            }
        }
        Ok(())
    }

    /// The word of an element.
    #[inline]
    pub(crate) fn load(&self, address: &Address, file: &[u64]) -> Result<u64, EvalError> {
        let Some(position) = address.position(file) else {
            return Err(self.outside(address, file));
        };
        let bytes = match address.place {
            Place::Input(place) => self.inputs[place as usize],
            Place::Written(place) => {
                let written = &self.written[place as usize];
                if written.defined.as_ref().is_some_and(|d| !d[position]) {
                    return Err(self.uninitialised(address, position));
                }
                written.bytes.get()
            }
        };
        Ok(get(bytes, position, address.width))
    }

    /// Writes the low bytes of a word to an element.
    #[inline]
    pub(crate) fn store(
        &mut self,
        address: &Address,
        file: &[u64],
        word: u64,
    ) -> Result<(), EvalError> {
        let Some(position) = address.position(file) else {
            return Err(self.outside(address, file));
        };
        self.put(address, position, word)
    }

    #[inline]
    fn put(&mut self, address: &Address, position: usize, word: u64) -> Result<(), EvalError> {
        let Place::Written(place) = address.place else {
            return Err(EvalError::stuck(address.span, "an input is written"));
        };
        let written = &mut self.written[place as usize];
        if let Some(defined) = &mut written.defined {
            defined[position] = true;
        }
        let bytes = written.bytes.get_mut();
        match address.width {
            Width::One => bytes[position] = word as u8,
            Width::Two => *element_mut(bytes, position) = (word as u16).to_le_bytes(),
            Width::Four => *element_mut(bytes, position) = (word as u32).to_le_bytes(),
            Width::Eight => *element_mut(bytes, position) = word.to_le_bytes(),
        }
        Ok(())
    }

    /// Reads the active lanes to the words from `to`, zero to the others.
    #[inline]
    pub(crate) fn load_lanes(
        &self,
        access: &LaneAccess,
        file: &mut [u64],
        to: u32,
    ) -> Result<Touched, EvalError> {
        let (bytes, defined) = match access.address.place {
            Place::Input(place) => (self.inputs[place as usize], None),
            Place::Written(place) => {
                let written = &self.written[place as usize];
                (written.bytes.get(), written.defined.as_deref())
            }
        };
        let to = to as usize;
        if let Some(run) = access.contiguous(file)
            && defined.is_none_or(|defined| defined[run.clone()].iter().all(|&d| d))
        {
            let (active, rest) = file[to..to + access.lanes as usize].split_at_mut(run.len());
            read_run(bytes, run.clone(), access.address.width, active);
            rest.fill(0);
            return Ok(Touched::Run(run));
        }
        let mut active = 0;
        for lane in 0..access.lanes {
            let mut word = 0;
            if access.active(lane, file) {
                let Some(position) = access.position(lane, file) else {
                    return Err(self.lane_outside(access, lane, file));
                };
                if defined.is_some_and(|defined| !defined[position]) {
                    return Err(self.uninitialised(&access.address, position));
                }
                word = get(bytes, position, access.address.width);
                active += 1;
            }
            file[to + lane as usize] = word;
        }
        Ok(Touched::Lanes(active))
    }

    /// Writes the active lanes of the words from `value`, in order.
    #[inline]
    pub(crate) fn store_lanes(
        &mut self,
        access: &LaneAccess,
        file: &[u64],
        value: u32,
    ) -> Result<Touched, EvalError> {
        if let Some(run) = access.contiguous(file)
            && let Place::Written(place) = access.address.place
        {
            let written = &mut self.written[place as usize];
            if let Some(defined) = &mut written.defined {
                defined[run.clone()].fill(true);
            }
            let words = &file[value as usize..value as usize + run.len()];
            let bytes = written.bytes.get_mut();
            write_run(bytes, run.clone(), access.address.width, words);
            return Ok(Touched::Run(run));
        }
        let mut active = 0;
        for lane in 0..access.lanes {
            if !access.active(lane, file) {
                continue;
            }
            let Some(position) = access.position(lane, file) else {
                return Err(self.lane_outside(access, lane, file));
            };
            self.put(&access.address, position, file[(value + lane) as usize])?;
            active += 1;
        }
        Ok(Touched::Lanes(active))
    }

    /// What the temporaries hold now.
    pub(crate) fn temporaries(&self) -> Temporaries {
        let declared = self.buffers.values().filter(|b| b.is_written());
        let kept = |(buffer, written): (&Buffer, &Written<'_>)| match buffer.role {
            Role::Temp(_) => Some(Kept {
                bytes: written.bytes.get().to_vec(),
                defined: written.defined.clone(),
            }),
            Role::Input | Role::Output(_) => None,
        };
        Temporaries(declared.zip(&self.written).map(kept).collect())
    }

    /// The temporaries hold again what they held.
    pub(crate) fn restore(&mut self, temporaries: &Temporaries) {
        for (written, kept) in self.written.iter_mut().zip(&temporaries.0) {
            if let Some(kept) = kept {
                written.bytes.get_mut().copy_from_slice(&kept.bytes);
                written.defined.clone_from(&kept.defined);
            }
        }
    }

    #[cold]
    fn uninitialised(&self, address: &Address, position: usize) -> EvalError {
        EvalError::Uninitialised {
            buffer: self.name(address.buffer),
            position,
            span: address.span,
        }
    }

    #[cold]
    fn outside(&self, address: &Address, file: &[u64]) -> EvalError {
        let index = |term: &crate::code::Term| file[term.at as usize] as i64;
        self.out_of_bounds(address, address.terms.iter().map(index).collect())
    }

    #[cold]
    fn lane_outside(&self, access: &LaneAccess, lane: u32, file: &[u64]) -> EvalError {
        self.out_of_bounds(&access.address, access.indices(lane, file))
    }

    fn out_of_bounds(&self, address: &Address, indices: Vec<i64>) -> EvalError {
        EvalError::OutOfBounds {
            buffer: self.name(address.buffer),
            indices,
            dims: address.terms.iter().map(|term| term.dim).collect(),
            span: address.span,
        }
    }

    fn name(&self, buffer: BufferId) -> String {
        let declared = self.buffers.get(buffer);
        declared.map_or_else(|| buffer.to_string(), |declared| declared.name.clone())
    }
}

/// The word of an element.
#[inline]
fn get(bytes: &[u8], position: usize, width: Width) -> u64 {
    match width {
        Width::One => u64::from(bytes[position]),
        Width::Two => u64::from(u16::from_le_bytes(element(bytes, position))),
        Width::Four => u64::from(u32::from_le_bytes(element(bytes, position))),
        Width::Eight => u64::from_le_bytes(element(bytes, position)),
    }
}

/// The words of contiguous elements.
#[inline]
fn read_run(bytes: &[u8], run: Range<usize>, width: Width, to: &mut [u64]) {
    fn read<const N: usize>(from: &[[u8; N]], to: &mut [u64], word: impl Fn([u8; N]) -> u64) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = word(*from);
        }
    }
    match width {
        Width::One => read(&bytes.as_chunks().0[run], to, |b: [u8; 1]| b[0].into()),
        Width::Two => read(&bytes.as_chunks().0[run], to, |b| {
            u16::from_le_bytes(b).into()
        }),
        Width::Four => read(&bytes.as_chunks().0[run], to, |b| {
            u32::from_le_bytes(b).into()
        }),
        Width::Eight => read(&bytes.as_chunks().0[run], to, u64::from_le_bytes),
    }
}

/// Writes the low bytes of words to contiguous elements.
#[inline]
fn write_run(bytes: &mut [u8], run: Range<usize>, width: Width, from: &[u64]) {
    fn write<const N: usize>(from: &[u64], to: &mut [[u8; N]], bytes: impl Fn(u64) -> [u8; N]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = bytes(*from);
        }
    }
    match width {
        Width::One => write(from, &mut bytes.as_chunks_mut().0[run], |w| [w as u8]),
        Width::Two => write(from, &mut bytes.as_chunks_mut().0[run], |w| {
            (w as u16).to_le_bytes()
        }),
        Width::Four => write(from, &mut bytes.as_chunks_mut().0[run], |w| {
            (w as u32).to_le_bytes()
        }),
        Width::Eight => write(from, &mut bytes.as_chunks_mut().0[run], u64::to_le_bytes),
    }
}

/// The `N` bytes of an element. Memory has the size that its declaration says, and the position is inside.
#[inline]
fn element<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    bytes.as_chunks::<N>().0[position]
}

#[inline]
fn element_mut<const N: usize>(bytes: &mut [u8], position: usize) -> &mut [u8; N] {
    &mut bytes.as_chunks_mut::<N>().0[position]
}

fn fill(bytes: &mut [u8], value: Scalar, width: usize) {
    let pattern = value.bits().to_le_bytes();
    for slot in bytes.chunks_exact_mut(width) {
        slot.copy_from_slice(&pattern[..slot.len()]);
    }
}

/// `bytes`, if there are as many as the buffer takes.
fn fitting<T>(buffer: &Buffer, found: usize, bytes: T) -> Result<T, EvalError> {
    match Array::byte_size(buffer.element, &buffer.dims) {
        Some(expected) if expected == found => Ok(bytes),
        Some(_) | None => Err(EvalError::Input {
            buffer: buffer.name.clone(),
            expected: text::shape(buffer.element, &buffer.dims),
            found: format!("{found} bytes"),
        }),
    }
}

pub(crate) fn array_error(buffer: &Buffer, error: ArrayError) -> EvalError {
    EvalError::Array {
        buffer: buffer.name.clone(),
        error,
    }
}

/// Whether an array is what an input takes.
pub(crate) fn check_input(buffer: &Buffer, array: &Array) -> Result<(), EvalError> {
    if array.element != buffer.element || array.dims != buffer.dims {
        return Err(EvalError::Input {
            buffer: buffer.name.clone(),
            expected: text::shape(buffer.element, &buffer.dims),
            found: text::shape(array.element, &array.dims),
        });
    }
    array.check().map_err(|error| array_error(buffer, error))
}
