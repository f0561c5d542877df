//! Vectors of `f32`, and rows of narrower elements read as such.
//!
//! A kernel is written once, for every [`Simd`]; [`Portable`] is the one that the others are tested against.

use half::{bf16, f16};
use hlo2dae_ir::core::BinaryOp;

use super::element::Element;

/// A vector of `f32`.
///
/// # Safety
/// Functions are to be called where the CPU has the instructions that the implementation names; pointers are
/// valid for the elements that are read or written, aligned or not.
pub(crate) trait Simd: Copy {
    /// The vector.
    type V: Copy;
    /// Elements of it.
    const LANES: usize;
    /// Whether sixteen vectors stay in registers beside what is done with them.
    const MANY: bool = false;
    /// Whether a part of a vector is loaded as fast as all of it.
    const PARTS: bool = false;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// All lanes from memory.
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `n` lanes from memory, the others 0.
    unsafe fn load_part(p: *const f32, n: usize) -> Self::V;
    /// All lanes to memory.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n` lanes to memory.
    unsafe fn store_part(p: *mut f32, v: Self::V, n: usize);
    /// All lanes to memory that is a multiple of the vector's size, past the caches.
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { Self::store(p, v) }
    }
    /// Lets what was streamed before be seen before what is stored from here on.
    #[inline(always)]
    unsafe fn fence() {}
    /// Sum.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// Difference.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// Without sign.
    unsafe fn abs(a: Self::V) -> Self::V;
    /// Product.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Quotient.
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// Larger; NaN if either is, `-0.0` below `0.0`.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Smaller; NaN if either is, `-0.0` below `0.0`.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Eight or sixteen `s8`.
    unsafe fn load_s8(p: *const u8) -> Self::V;
    /// The same of `u8`.
    unsafe fn load_u8(p: *const u8) -> Self::V;
    /// The same of `f16`.
    unsafe fn load_f16(p: *const u8) -> Self::V;
    /// The same of `bf16`.
    unsafe fn load_bf16(p: *const u8) -> Self::V;
    /// The sum of the lanes, pairwise.
    unsafe fn sum(v: Self::V) -> f32;
}

/// The element type of a row that is read as `f32`.
///
/// # Safety
/// As for [`Simd`].
pub(crate) trait Source {
    /// Bytes of an element.
    const BYTES: usize;
    /// Whether parts are loaded with [`Simd::load_part`].
    const PARTS: bool = false;
    /// All lanes.
    unsafe fn load<S: Simd>(p: *const u8) -> S::V;
    /// The first `n` lanes, the others 0.
    #[inline(always)]
    unsafe fn load_part<S: Simd>(p: *const u8, n: usize) -> S::V {
        let mut bytes = [0u8; 64];
        // SAFETY: `n` elements are readable, and at most 16 of at most 4 bytes fit.
        unsafe {
            std::ptr::copy_nonoverlapping(p, bytes.as_mut_ptr(), n.min(S::LANES) * Self::BYTES);
            Self::load::<S>(bytes.as_ptr())
        }
    }
}

macro_rules! sources {
    ($($name:ident $bytes:literal $load:ident,)*) => {$(
        #[doc = concat!("Rows read with `", stringify!($load), "`.")]
        pub(crate) struct $name;
        impl Source for $name {
            const BYTES: usize = $bytes;
            #[inline(always)]
            unsafe fn load<S: Simd>(p: *const u8) -> S::V {
                // SAFETY: the caller's promise.
                unsafe { S::$load(p) }
            }
        }
    )*};
}

sources! {
    S8 1 load_s8,
    U8 1 load_u8,
    F16 2 load_f16,
    Bf16 2 load_bf16,
}

/// Rows of `f32`.
pub(crate) struct F32;
impl Source for F32 {
    const BYTES: usize = 4;
    const PARTS: bool = true;
    #[inline(always)]
    unsafe fn load<S: Simd>(p: *const u8) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { S::load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(p: *const u8, n: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { S::load_part(p.cast(), n) }
    }
}

/// Loops over eight elements, for every CPU.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Portable {
    #[inline(always)]
    fn zip(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
        let mut r = [0.0; 8];
        for ((r, a), b) in r.iter_mut().zip(a).zip(b) {
            *r = f(a, b);
        }
        r
    }
}

impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> [f32; 8] {
        let mut v = [0.0; 8];
        // SAFETY: `n` elements are readable.
        unsafe {
            std::ptr::copy_nonoverlapping(
                p.cast::<u8>(),
                v.as_mut_ptr().cast::<u8>(),
                n.min(8) * 4,
            );
        }
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 8]) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: [f32; 8], n: usize) {
        // SAFETY: `n` elements are writable.
        unsafe {
            std::ptr::copy_nonoverlapping(v.as_ptr().cast::<u8>(), p.cast::<u8>(), n.min(8) * 4);
        }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn abs(a: [f32; 8]) -> [f32; 8] {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| f32::apply(BinaryOp::Max, a, b))
    }
    #[inline(always)]
    unsafe fn min(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        Self::zip(a, b, |a, b| f32::apply(BinaryOp::Min, a, b))
    }
    #[inline(always)]
    unsafe fn load_s8(p: *const u8) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; 8]>().read_unaligned() }.map(|bits| f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; 8]>().read_unaligned() }.map(|bits| bf16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn sum(v: [f32; 8]) -> f32 {
        let [a, b, c, d, e, f, g, h] = v;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}
