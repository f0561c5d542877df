//! Memory that begins at a cache line, as that of frameworks does; if it is large, at a large page, and ends with one, so that
//! [`pages::collapse`] reaches all of it.

use hlo2dae_backend::native::kernels::pages;

const LINE: usize = 64;
const LARGE_PAGE: usize = 2 << 20;

/// Bytes, zero at first, in pages that the system gives at the first touch.
pub struct Bytes {
    memory: Vec<u8>,
    first: usize,
    len: usize,
}

impl Bytes {
    /// So many zeros.
    pub fn zeros(len: usize) -> Bytes {
        let unit = if len < LARGE_PAGE { LINE } else { LARGE_PAGE };
        let memory = vec![0; len.next_multiple_of(unit) + unit];
        let first = memory.as_ptr().addr().next_multiple_of(unit) - memory.as_ptr().addr();
        Bytes { memory, first, len }
    }

    /// These.
    pub fn of(values: impl IntoIterator<Item = u8>, len: usize) -> Bytes {
        let mut bytes = Bytes::zeros(len);
        bytes
            .get_mut()
            .iter_mut()
            .zip(values)
            .for_each(|(byte, value)| *byte = value);
        bytes
    }

    /// As many ones, of `f32`, in large pages where the system has them.
    pub fn ones(len: usize) -> Bytes {
        let mut bytes = Bytes::zeros(4 * len);
        bytes.f32_mut().fill(1.0);
        bytes.collapse();
        bytes
    }

    /// Puts it into large pages where the system has them.
    pub fn collapse(&self) {
        if self.len >= LARGE_PAGE {
            let len = self.len.next_multiple_of(LARGE_PAGE);
            pages::collapse(&self.memory[self.first..][..len]);
        }
    }

    pub fn get(&self) -> &[u8] {
        &self.memory[self.first..][..self.len]
    }

    pub fn get_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..][..self.len]
    }

    pub fn f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.get())
    }

    pub fn f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.get_mut())
    }
}
