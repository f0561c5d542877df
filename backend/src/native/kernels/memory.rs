//! The memory of one run: every buffer as foreign bytes that all threads of the run see.
//!
//! Everything here checks where it reads and writes. What it cannot check is that two threads do not write the same element: see
//! [`Memory::new`].

use std::marker::PhantomData;

use hlo2dae_ir::core::{BinaryOp, CombineOp, ElementType, Native, Operand, Scalar, ScalarType};

use super::element::Element;
use crate::native::machine::Isa;

mod runs;

/// A read or write outside a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside;

/// Where the elements of one buffer are.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    data: *mut u8,
    bytes: usize,
    element: ElementType,
    writable: bool,
}

/// All buffers of one run, by their number.
pub(crate) struct Memory<'a> {
    buffers: Vec<Raw>,
    lifetime: PhantomData<&'a mut [u8]>,
}

// SAFETY: the bytes are borrowed for the lifetime of the memory, inputs shared and all others exclusively; that threads write
// apart from one another is the promise given to `Memory::new`.
unsafe impl Send for Memory<'_> {}
// SAFETY: as above.
unsafe impl Sync for Memory<'_> {}

/// Bytes of one buffer, to make a [`Memory`] of.
pub(crate) enum Bytes<'a> {
    /// An input.
    Read(&'a [u8]),
    /// An output or a temporary.
    Write(&'a mut [u8]),
}

impl<'a> Memory<'a> {
    /// The buffers in the order of their numbers.
    ///
    /// Threads may share it under the one rule of the engine, which `run::split` keeps: in one nest, no two threads touch an element
    /// of a buffer that the nest writes.
    pub fn new(buffers: impl Iterator<Item = (ElementType, Bytes<'a>)>) -> Memory<'a> {
        Memory {
            buffers: buffers
                .map(|(element, bytes)| match bytes {
                    Bytes::Read(bytes) => Raw {
                        data: bytes.as_ptr().cast_mut(),
                        bytes: bytes.len(),
                        element,
                        writable: false,
                    },
                    Bytes::Write(bytes) => Raw {
                        data: bytes.as_mut_ptr(),
                        bytes: bytes.len(),
                        element,
                        writable: true,
                    },
                })
                .collect(),
            lifetime: PhantomData,
        }
    }

    /// The same memory, but for one buffer of `f32`.
    pub fn with<'b>(&'b self, buffer: usize, values: &'b mut [f32]) -> Memory<'b> {
        let mut buffers = self.buffers.clone();
        if let Some(raw) = buffers.get_mut(buffer) {
            *raw = Raw {
                data: values.as_mut_ptr().cast(),
                bytes: size_of_val(values),
                element: ElementType::F32,
                writable: true,
            };
        }
        Memory {
            buffers,
            lifetime: PhantomData,
        }
    }

    /// The same memory and one more input, of `f32`, with its number.
    pub fn beside<'b>(&'b self, values: &'b [f32]) -> (Memory<'b>, usize) {
        let mut buffers = self.buffers.clone();
        let number = buffers.len();
        buffers.push(Raw {
            data: values.as_ptr().cast_mut().cast(),
            bytes: size_of_val(values),
            element: ElementType::F32,
            writable: false,
        });
        let memory = Memory {
            buffers,
            lifetime: PhantomData,
        };
        (memory, number)
    }

    /// Bytes of a buffer.
    pub fn bytes(&self, buffer: usize) -> usize {
        self.buffers.get(buffer).map_or(0, |raw| raw.bytes)
    }

    /// One element.
    pub fn load(&self, buffer: usize, offset: i64) -> Result<Scalar, Outside> {
        let raw = self.read(buffer, offset, offset, 1)?;
        let mut bits = [0u8; 8];
        let size = raw.element.bytes();
        // SAFETY: the element lies in the buffer, and no element has more than 8 bytes.
        unsafe {
            let from = raw.data.add(offset as usize * size);
            std::ptr::copy_nonoverlapping(from, bits.as_mut_ptr(), size);
        }
        Ok(Scalar::from_bits(
            ScalarType::Element(raw.element),
            u64::from_le_bytes(bits),
        ))
    }

    /// Writes one element, of the buffer's type.
    pub fn store(&self, buffer: usize, offset: i64, value: Scalar) -> Result<(), Outside> {
        let raw = self.write(buffer, offset, offset, 1)?;
        if value.ty() != ScalarType::Element(raw.element) {
            return Err(Outside);
        }
        let size = raw.element.bytes();
        let bits = value.bits().to_le_bytes();
        // SAFETY: the element lies in the buffer, and no element has more than 8 bytes.
        unsafe {
            let to = raw.data.add(offset as usize * size);
            std::ptr::copy_nonoverlapping(bits.as_ptr(), to, size);
        }
        Ok(())
    }

    /// `out[k] = buffer[offsets[k]]`.
    pub fn gather<T: Element>(
        &self,
        buffer: usize,
        offsets: &[i64],
        out: &mut [T],
    ) -> Result<(), Outside> {
        let (low, high) = span(offsets);
        if offsets.is_empty() {
            return Ok(());
        }
        let raw = self.typed::<T>(self.read(buffer, low, high, 1)?)?;
        if let Some(out) = out.get_mut(..offsets.len())
            && are_consecutive(offsets)
        {
            let from = raw.data.wrapping_add(low as usize * size_of::<T>());
            // SAFETY: from the smallest to the largest offset, which lie in the buffer.
            unsafe { T::read_many(from, out) };
            return Ok(());
        }
        for (out, &offset) in out.iter_mut().zip(offsets) {
            // SAFETY: between the smallest and the largest offset, which lie in the buffer.
            *out = unsafe { T::read(raw.data.add(offset as usize * size_of::<T>())) };
        }
        Ok(())
    }

    /// Rows: `out[k * size + d] = buffer[offsets[k] + d * stride]` for `d < size`; at a negative offset, `fill` if there is one.
    pub fn gather_rows<T: Element>(
        &self,
        buffer: usize,
        offsets: &[i64],
        stride: i64,
        size: usize,
        fill: Option<T>,
        out: &mut [T],
    ) -> Result<(), Outside> {
        let (low, high) = span(offsets);
        let Some(steps) = size.checked_sub(1) else {
            return Ok(());
        };
        if offsets.is_empty() || (high < 0 && fill.is_some()) {
            out.iter_mut().for_each(|v| *v = fill.unwrap_or(*v));
            return Ok(());
        }
        let reach = (steps as i64).checked_mul(stride).ok_or(Outside)?;
        let low = match fill {
            None => low,
            // Where rows go backwards, the lowest counts that is a row.
            Some(_) if low < 0 && reach < 0 => {
                let inside = offsets.iter().copied().filter(|&offset| offset >= 0);
                inside.min().unwrap_or(0)
            }
            Some(_) => low.max(0),
        };
        let first = low.checked_add(reach.min(0)).ok_or(Outside)?;
        let last = high.checked_add(reach.max(0)).ok_or(Outside)?;
        let raw = self.typed::<T>(self.read(buffer, first, last, 1)?)?;
        for (&offset, row) in offsets.iter().zip(out.chunks_exact_mut(size)) {
            if offset < 0
                && let Some(fill) = fill
            {
                row.fill(fill);
                continue;
            }
            let from = raw.data.wrapping_add(offset as usize * size_of::<T>());
            if stride == 1 {
                // SAFETY: the row lies between the first and the last element, which lie in the buffer.
                unsafe { T::read_many(from, row) };
            } else {
                for (d, out) in row.iter_mut().enumerate() {
                    let at = (d as i64).wrapping_mul(stride) as usize;
                    // SAFETY: as above.
                    *out = unsafe { T::read(from.wrapping_add(at.wrapping_mul(size_of::<T>()))) };
                }
            }
        }
        Ok(())
    }

    /// Prefetches rows of `bytes` bytes.
    pub fn fetch_rows(&self, buffer: usize, offsets: &[i64], bytes: usize) {
        if let Some(raw) = self.buffers.get(buffer) {
            let size = raw.element.bytes();
            let lines = super::ahead::lines(raw.data, bytes);
            for &offset in offsets {
                let row = raw.data.wrapping_add((offset as usize).wrapping_mul(size));
                super::ahead::fetch::<false>(row, lines);
            }
        }
    }

    /// `buffer[offsets[k]] = op(buffer[offsets[k]], values[k])`, in order.
    pub fn scatter<T: Element>(
        &self,
        op: CombineOp,
        buffer: usize,
        offsets: &[i64],
        values: &[T],
    ) -> Result<(), Outside> {
        let (low, high) = span(offsets);
        if offsets.is_empty() {
            return Ok(());
        }
        let raw = self.typed::<T>(self.write(buffer, low, high, 1)?)?;
        let pairs = offsets.iter().copied().zip(values.iter().copied());
        // SAFETY (all): between the smallest and the largest offset, which lie in the buffer.
        match op.binary() {
            None if are_consecutive(offsets) => unsafe {
                let values = values.get(..offsets.len()).ok_or(Outside)?;
                T::write_many(raw.data.add(low as usize * size_of::<T>()), values);
            },
            None => pairs.for_each(|(offset, value)| unsafe {
                T::write(raw.data.add(offset as usize * size_of::<T>()), value);
            }),
            Some(BinaryOp::Add) => unsafe {
                combine(raw, pairs, |a, b| T::apply(BinaryOp::Add, a, b));
            },
            Some(BinaryOp::Max) => unsafe {
                combine(raw, pairs, |a, b| T::apply(BinaryOp::Max, a, b))
            },
            Some(BinaryOp::Min) => unsafe {
                combine(raw, pairs, |a, b| T::apply(BinaryOp::Min, a, b))
            },
            Some(op) => unsafe { combine(raw, pairs, |a, b| T::apply(op, a, b)) },
        }
        Ok(())
    }

    /// Rows: for each `k`, `buffer[offsets[k] + d] = op(.., values[k * size + d])` for `d < size`, in order.
    pub fn scatter_rows<T: Element>(
        &self,
        op: CombineOp,
        buffer: usize,
        offsets: &[i64],
        values: &[T],
        size: usize,
    ) -> Result<(), Outside> {
        let (low, high) = span(offsets);
        if offsets.is_empty() || size == 0 {
            return Ok(());
        }
        let raw = self.typed::<T>(self.write(buffer, low, high, size)?)?;
        for (&offset, row) in offsets.iter().zip(values.chunks_exact(size)) {
            let to = raw.data.wrapping_add(offset as usize * size_of::<T>());
            let at = |d: usize| to.wrapping_add(d * size_of::<T>());
            // SAFETY (all): the row at every offset lies in the buffer.
            match op.binary() {
                None => unsafe { T::write_many(to, row) },
                Some(BinaryOp::Add) => {
                    for (d, &value) in row.iter().enumerate() {
                        unsafe { T::write(at(d), T::apply(BinaryOp::Add, T::read(at(d)), value)) };
                    }
                }
                Some(BinaryOp::Max) => {
                    for (d, &value) in row.iter().enumerate() {
                        unsafe { T::write(at(d), T::apply(BinaryOp::Max, T::read(at(d)), value)) };
                    }
                }
                Some(op) => {
                    for (d, &value) in row.iter().enumerate() {
                        unsafe { T::write(at(d), T::apply(op, T::read(at(d)), value)) };
                    }
                }
            }
        }
        Ok(())
    }

    /// Reductions: for each `k`, `buffer[offsets[k]]` combined with all of `values[k * size..][..size]`.
    ///
    /// A row of floats is added up in eight interleaved parts.
    pub fn scatter_folds<T: Element>(
        &self,
        op: CombineOp,
        buffer: usize,
        offsets: &[i64],
        values: &[T],
        size: usize,
    ) -> Result<(), Outside> {
        let Some(binary) = op.binary() else {
            // The last of a row stays.
            let last: Vec<T> = match size {
                0 => return Ok(()),
                size => values
                    .chunks_exact(size)
                    .filter_map(|row| row.last().copied())
                    .collect(),
            };
            return self.scatter(op, buffer, offsets, &last);
        };
        let (low, high) = span(offsets);
        if offsets.is_empty() || size == 0 {
            return Ok(());
        }
        let raw = self.typed::<T>(self.write(buffer, low, high, 1)?)?;
        for (&offset, row) in offsets.iter().zip(values.chunks_exact(size)) {
            let at = raw.data.wrapping_add(offset as usize * size_of::<T>());
            // SAFETY: between the smallest and the largest offset, which lie in the buffer.
            let old = unsafe { T::read(at) };
            let new = match binary {
                BinaryOp::Add => fold(old, row, |a, b| T::apply(BinaryOp::Add, a, b)),
                BinaryOp::Sub => row.iter().fold(old, |a, &b| T::apply(BinaryOp::Sub, a, b)),
                op => fold(old, row, |a, b| T::apply(op, a, b)),
            };
            // SAFETY: as above.
            unsafe { T::write(at, new) };
        }
        Ok(())
    }

    /// Writes `value` to the elements `first..last`.
    pub fn fill(
        &self,
        buffer: usize,
        first: usize,
        last: usize,
        value: Scalar,
    ) -> Result<(), Outside> {
        if first >= last {
            return Ok(());
        }
        let raw = self.write(buffer, first as i64, last as i64 - 1, 1)?;
        let size = raw.element.bytes();
        if value.ty() != ScalarType::Element(raw.element) {
            return Err(Outside);
        }
        // SAFETY: the elements lie in the buffer, and nobody else has them.
        unsafe { set(raw.data.add(first * size), last - first, size, value.bits()) };
        Ok(())
    }

    /// A buffer for kernels, if rows of `size` elements from each offset between `low` and `high` lie in it.
    pub(super) fn read(
        &self,
        buffer: usize,
        low: i64,
        high: i64,
        size: usize,
    ) -> Result<Raw, Outside> {
        let raw = self.buffers.get(buffer).ok_or(Outside)?;
        let end = usize::try_from(high)
            .ok()
            .and_then(|high| high.checked_add(size));
        match end {
            Some(end) if low >= 0 && end <= raw.bytes / raw.element.bytes() => Ok(*raw),
            _ => Err(Outside),
        }
    }

    /// The same, of a buffer that is written.
    pub(super) fn write(
        &self,
        buffer: usize,
        low: i64,
        high: i64,
        size: usize,
    ) -> Result<Raw, Outside> {
        let raw = self.read(buffer, low, high, size)?;
        if raw.writable { Ok(raw) } else { Err(Outside) }
    }

    fn typed<T: Native>(&self, raw: Raw) -> Result<Raw, Outside> {
        if raw.element == T::ELEMENT {
            Ok(raw)
        } else {
            Err(Outside)
        }
    }

    /// A buffer, for advice about its pages.
    pub(super) fn raw(&self, buffer: usize) -> Option<Raw> {
        self.buffers.get(buffer).copied()
    }
}

impl Raw {
    /// First byte.
    pub(super) fn data(&self) -> *mut u8 {
        self.data
    }

    /// Number of bytes.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }

    /// Element type.
    pub(super) fn element(&self) -> ElementType {
        self.element
    }
}

/// Gives `elements` elements of `size` bytes a value, by its bits.
///
/// # Safety
/// They are in memory that may be written; no element has more than 8 bytes.
#[inline(always)]
pub(super) unsafe fn set(to: *mut u8, elements: usize, size: usize, bits: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        if bits == 0 {
            std::ptr::write_bytes(to, 0, elements * size);
            return;
        }
        let pattern = bits.to_le_bytes();
        for element in 0..elements {
            std::ptr::copy_nonoverlapping(pattern.as_ptr(), to.add(element * size), size);
        }
    }
}

/// `buffer[offset] = op(buffer[offset], value)`, in order. What one lookup leaves the next takes from a register if it is for the
/// same element: it need not wait for the store.
///
/// # Safety
/// Offsets lie in the buffer, which is writable and has this element type.
#[inline(always)]
unsafe fn combine<T: Element>(
    raw: Raw,
    pairs: impl Iterator<Item = (i64, T)>,
    op: impl Fn(T, T) -> T,
) {
    let mut last = None;
    let mut sum = T::default();
    for (offset, value) in pairs {
        // SAFETY: the caller's promise.
        unsafe {
            let at = raw.data.add(offset as usize * size_of::<T>());
            if last != Some(offset) {
                sum = T::read(at);
                last = Some(offset);
            }
            sum = op(sum, value);
            T::write(at, sum);
        }
    }
}

/// Makes a function of offsets that runs `$body` as it was compiled for the CPU.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident -> $result:ty) => {
        $(#[$doc])*
        #[inline]
        $vis fn $name(offsets: &[i64]) -> $result {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl")]
            fn avx512(offsets: &[i64]) -> $result {
                $body(offsets)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2(offsets: &[i64]) -> $result {
                $body(offsets)
            }
            // SAFETY: the CPU has it.
            unsafe {
                match Isa::best() {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => avx512(offsets),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => avx2(offsets),
                    _ => $body(offsets),
                }
            }
        }
    };
}

widest! {
    /// The smallest and the largest; of nothing, a range that no buffer has.
    pub(crate) fn span = span_of -> (i64, i64)
}
widest! {
    /// Whether no offset is less than that before.
    pub(crate) fn never_decrease = never_decrease_of -> bool
}
widest! {
    /// Whether each offset is one more than that before.
    fn are_consecutive = are_consecutive_of -> bool
}

#[inline(always)]
fn span_of(offsets: &[i64]) -> (i64, i64) {
    let mut span = (i64::MAX, i64::MIN);
    for &offset in offsets {
        span = (span.0.min(offset), span.1.max(offset));
    }
    span
}

#[inline(always)]
fn never_decrease_of(offsets: &[i64]) -> bool {
    pairs_are(offsets, |before, after| before <= after)
}

#[inline(always)]
fn are_consecutive_of(offsets: &[i64]) -> bool {
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
        return true;
    };
    last.wrapping_sub(first) == offsets.len() as i64 - 1
        && pairs_are(offsets, |before, after| after.wrapping_sub(before) == 1)
}

/// Whether it is so of each offset and the next.
#[inline(always)]
fn pairs_are(offsets: &[i64], so: impl Fn(i64, i64) -> bool) -> bool {
    let next = offsets.get(1..).unwrap_or(&[]);
    // Without a branch, so that it is done in vectors.
    let mut all = true;
    for (&before, &after) in offsets.iter().zip(next) {
        all &= so(before, after);
    }
    all
}

/// `old` combined with a row, in eight interleaved parts when there is more than one round of them.
#[inline(always)]
fn fold<T: Operand>(old: T, row: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut rounds = row.chunks_exact(8);
    let Some(first) = rounds.next() else {
        return row.iter().fold(old, |a, &b| f(a, b));
    };
    let mut parts = [old; 8];
    parts.copy_from_slice(first);
    for round in rounds.by_ref() {
        for (part, &value) in parts.iter_mut().zip(round) {
            *part = f(*part, value);
        }
    }
    let [a, b, c, d, e, g, h, i] = parts;
    let sum = f(f(f(a, e), f(c, h)), f(f(b, g), f(d, i)));
    f(old, rounds.remainder().iter().fold(sum, |a, &b| f(a, b)))
}

#[cfg(test)]
mod tests;
