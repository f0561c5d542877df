//! Elements that lie one behind the other, in runs.

use hlo2dae_ir::core::ElementType;

use super::super::ahead::fetch;
use super::super::column::index::{Coded, Decode, Decoded};
use super::super::element::Element;
use super::{Memory, Outside};
use crate::native::machine::Isa;

impl Memory<'_> {
    /// Elements one behind the other: for each run `(offset, count)`, the `count` elements of the buffer from `offset` on.
    pub fn load_runs<T: Element>(
        &self,
        buffer: usize,
        runs: impl IntoIterator<Item = (i64, usize)>,
        mut out: &mut [T],
    ) -> Result<(), Outside> {
        self.each_run::<T>(buffer, runs, |from, count| {
            let (run, rest) = std::mem::take(&mut out)
                .split_at_mut_checked(count)
                .ok_or(Outside)?;
            out = rest;
            // SAFETY: a run that lies in the buffer.
            unsafe { T::read_many(from, run) };
            Ok(())
        })
    }

    /// The same of indices, decoded.
    pub fn decode_runs(
        &self,
        isa: Isa,
        buffer: usize,
        runs: impl IntoIterator<Item = (i64, usize)>,
        decode: Decode,
        out: Decoded<'_>,
    ) -> Result<(), Outside> {
        match self.raw(buffer).ok_or(Outside)?.element {
            ElementType::S32 => self.decode_typed::<i32>(isa, buffer, runs, decode, out),
            ElementType::U32 => self.decode_typed::<u32>(isa, buffer, runs, decode, out),
            ElementType::S64 => self.decode_typed::<i64>(isa, buffer, runs, decode, out),
            _ => Err(Outside),
        }
    }

    /// Indices where they lie, from element `first` on; none if they do not lie as integers have to.
    pub fn indices(&self, buffer: usize, first: i64, n: usize) -> Result<&[i32], Outside> {
        let raw = self.typed::<i32>(self.read(buffer, first, first, n)?)?;
        let data = raw.data.wrapping_add(first as usize * size_of::<i32>());
        if !data.addr().is_multiple_of(align_of::<i32>()) {
            return Err(Outside);
        }
        // SAFETY: they lie in the buffer, where integers may be; nests do not read what is written meanwhile.
        Ok(unsafe { std::slice::from_raw_parts(data.cast(), n) })
    }

    fn decode_typed<T: Coded>(
        &self,
        isa: Isa,
        buffer: usize,
        runs: impl IntoIterator<Item = (i64, usize)>,
        decode: Decode,
        mut out: Decoded<'_>,
    ) -> Result<(), Outside> {
        self.each_run::<T>(buffer, runs, |from, count| {
            let mut decoded = |x: &[T]| {
                let out = out.take(x.len());
                out.and_then(|out| T::decode(isa, decode, x, out))
                    .ok_or(Outside)
            };
            if from.addr().is_multiple_of(align_of::<T>()) {
                // SAFETY: a run that lies in the buffer, of integers where they may be; nests do not read what is written meanwhile.
                return decoded(unsafe { std::slice::from_raw_parts(from.cast(), count) });
            }
            let mut aligned = [T::default(); 64];
            for first in (0..count).step_by(aligned.len()) {
                let n = aligned.len().min(count - first);
                let aligned = aligned.get_mut(..n).unwrap_or(&mut []);
                // SAFETY: a part of the run.
                unsafe { T::read_many(from.add(first * size_of::<T>()), aligned) };
                decoded(aligned)?;
            }
            Ok(())
        })
    }

    /// Calls `f` with the place of the first element of each run `(offset, count)`, and their number: all lie in the buffer.
    fn each_run<T: Element>(
        &self,
        buffer: usize,
        runs: impl IntoIterator<Item = (i64, usize)>,
        mut f: impl FnMut(*const u8, usize) -> Result<(), Outside>,
    ) -> Result<(), Outside> {
        let raw = self.buffers.get(buffer).copied().ok_or(Outside)?;
        self.typed::<T>(raw)?;
        let elements = raw.bytes / size_of::<T>();
        let mut f = |offset: i64, count: usize| {
            let first = usize::try_from(offset).map_err(|_| Outside)?;
            let end = first.checked_add(count).filter(|&end| end <= elements);
            let end = end.ok_or(Outside)?;
            f(raw.data.wrapping_add(first * size_of::<T>()), count)?;
            // The next as many are likely to be wanted when these are done with.
            let next = raw.data.wrapping_add(end * size_of::<T>());
            fetch::<false>(next, (count * size_of::<T>()).div_ceil(64));
            Ok(())
        };
        // Runs that go on where the one before ends are one.
        let (mut first, mut last) = (0i64, 0i64);
        for (offset, count) in runs {
            if count == 0 {
                continue;
            }
            if first < last && offset != last {
                f(first, last.wrapping_sub(first) as usize)?;
            }
            if first == last || offset != last {
                first = offset;
            }
            last = offset.checked_add(count as i64).ok_or(Outside)?;
        }
        if first < last {
            f(first, last.wrapping_sub(first) as usize)?;
        }
        Ok(())
    }
}
