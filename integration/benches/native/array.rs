//! Memory that begins at a cache line, as that of frameworks does.

use hlo2dae_backend::native::kernels::pages;

const LINE: usize = 64;

/// Bytes from a cache line on; zero at first, in pages that the system gives at the first touch.
pub struct Bytes {
    memory: Vec<u8>,
    first: usize,
}

impl Bytes {
    /// So many zeros.
    pub fn zeros(len: usize) -> Bytes {
        let memory = vec![0; len + LINE];
        let first = memory.as_ptr().addr().next_multiple_of(LINE) - memory.as_ptr().addr();
        let mut bytes = Bytes { memory, first };
        bytes.memory.truncate(first + len);
        bytes
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
        pages::collapse(bytes.get());
        bytes
    }

    pub fn get(&self) -> &[u8] {
        &self.memory[self.first..]
    }

    pub fn get_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..]
    }

    pub fn f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.get())
    }

    pub fn f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.get_mut())
    }
}
