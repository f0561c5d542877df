//! Element types as Rust types, read from and written to foreign bytes.

use half::{bf16, f16};
use hlo2dae_ir::core::{BinaryOp, Native, Operand};

/// An element type.
pub(crate) trait Element: Native + Operand + Default + Send + Sync + 'static {
    /// The element at `p`, aligned or not.
    ///
    /// # Safety
    /// The bytes of an element are readable.
    unsafe fn read(p: *const u8) -> Self;

    /// Writes the element at `p`, aligned or not.
    ///
    /// # Safety
    /// The bytes of an element are writable.
    unsafe fn write(p: *mut u8, value: Self);

    /// Fills `out` from `p` on.
    ///
    /// # Safety
    /// The bytes of so many elements are readable.
    #[inline(always)]
    unsafe fn read_many(p: *const u8, out: &mut [Self]) {
        for (k, out) in out.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *out = unsafe { Self::read(p.add(k * size_of::<Self>())) };
        }
    }

    /// Writes all of `values` from `p` on.
    ///
    /// # Safety
    /// The bytes of so many elements are writable.
    #[inline(always)]
    unsafe fn write_many(p: *mut u8, values: &[Self]) {
        // SAFETY: the caller's promise; an element's bytes are plain.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr().cast::<u8>(), p, size_of_val(values));
        }
    }

    /// The operation on a type that takes it; `a` otherwise, which verified programs do not see.
    #[inline(always)]
    fn apply(op: BinaryOp, a: Self, b: Self) -> Self {
        Self::binary(op, a, b).unwrap_or(a)
    }
}

macro_rules! plain {
    ($($t:ty,)*) => {$(
        impl Element for $t {
            #[inline(always)]
            unsafe fn read(p: *const u8) -> $t {
                // SAFETY: the caller's promise; every pattern of bits is a value.
                unsafe { p.cast::<$t>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn write(p: *mut u8, value: $t) {
                // SAFETY: the caller's promise.
                unsafe { p.cast::<$t>().write_unaligned(value) }
            }

            #[inline(always)]
            unsafe fn read_many(p: *const u8, out: &mut [$t]) {
                let bytes = size_of_val(out);
                // SAFETY: the caller's promise; every pattern of bits is a value.
                unsafe { std::ptr::copy_nonoverlapping(p, out.as_mut_ptr().cast::<u8>(), bytes) }
            }
        }
    )*};
}

plain! { i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, }

impl Element for bool {
    #[inline(always)]
    unsafe fn read(p: *const u8) -> bool {
        // SAFETY: the caller's promise; any byte but 0 counts as true.
        unsafe { p.read() != 0 }
    }

    #[inline(always)]
    unsafe fn write(p: *mut u8, value: bool) {
        // SAFETY: the caller's promise.
        unsafe { p.write(u8::from(value)) }
    }
}
