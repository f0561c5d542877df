//! What tests of kernels share: memory that begins anywhere and ends where its allocation ends, sizes, and values that are hard to compute with.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use hlo2dae_ir::core::{ElementType, Scalar, ScalarType};
use proptest::prelude::*;

/// Bytes that begin `shift` bytes behind the border of a cache line and end where their allocation ends, so that the address
/// sanitizer sees the first byte that is one too far.
pub(crate) struct Placed {
    start: *mut u8,
    layout: Layout,
    shift: usize,
}

/// What stands before the bytes.
const BEFORE: u8 = 0x5a;

impl Placed {
    pub fn new(shift: usize, bytes: &[u8]) -> Placed {
        // No allocation has no bytes: nothing is one byte behind its border.
        let shift = if bytes.is_empty() {
            shift.max(1)
        } else {
            shift
        };
        let layout = Layout::from_size_align(shift + bytes.len(), 64).unwrap();
        // SAFETY: the layout has bytes.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        let mut placed = Placed {
            start,
            layout,
            shift,
        };
        placed.allocation()[..shift].fill(BEFORE);
        placed.bytes_mut().copy_from_slice(bytes);
        placed
    }

    fn allocation(&mut self) -> &mut [u8] {
        // SAFETY: the allocation is as large, holds bytes, and is borrowed as long as this.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.layout.size()) }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: as for `allocation`, behind the shift.
        unsafe {
            std::slice::from_raw_parts(self.start.add(self.shift), self.layout.size() - self.shift)
        }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let shift = self.shift;
        &mut self.allocation()[shift..]
    }

    /// Whether nothing before the bytes was written.
    pub fn is_intact(&mut self) -> bool {
        let shift = self.shift;
        self.allocation()[..shift].iter().all(|&b| b == BEFORE)
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start, self.layout) }
    }
}

/// Elements of a row: all tails of all vectors, and a few that are long.
pub(crate) fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1usize..=200, 1 => prop::sample::select(&[256usize, 300, 1000, 1024][..])]
}

/// Bytes between the border of a cache line and a buffer.
pub(crate) fn shifts() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0usize), 2 => 1usize..64]
}

/// Offsets of rows of `size` elements in a buffer of `rows * size`, some of them outside: by one, by a row, or as far as numbers go.
pub(crate) fn offsets_about(size: usize, rows: usize) -> impl Strategy<Value = Vec<i64>> {
    let (size, len) = (size as i64, (size * rows) as i64);
    let inside = 0..=(len - size).max(0);
    let outside = prop::sample::select(vec![
        -1,
        -size,
        len - size + 1,
        len,
        len + size,
        i64::MIN,
        i64::MIN + 1,
        i64::MAX,
        i64::MAX - size,
        i64::MAX / 8,
        i64::MAX / 4 + 1,
    ]);
    (
        prop::collection::vec(inside, 0..20),
        prop::collection::vec((any::<prop::sample::Index>(), outside), 0..2),
    )
        .prop_map(|(mut offsets, outside)| {
            for (at, offset) in outside {
                offsets.insert(at.index(offsets.len() + 1), offset);
            }
            offsets
        })
}

/// Rows of a size, a number of them in a buffer, and offsets of some to read and to write.
pub(crate) fn rows_about() -> impl Strategy<Value = (usize, usize, Vec<i64>, Vec<i64>)> {
    (1usize..40, 0usize..5).prop_flat_map(|(size, rows)| {
        let offsets = || offsets_about(size, rows);
        (Just(size), Just(rows), offsets(), offsets()).prop_map(|(size, rows, mut src, mut dst)| {
            let n = src.len().min(dst.len());
            src.truncate(n);
            dst.truncate(n);
            (size, rows, src, dst)
        })
    })
}

/// Whether a row of `size` elements from `offset` on lies in a buffer of `len`.
pub(crate) fn lies_inside(offset: i64, size: usize, len: usize) -> bool {
    offset >= 0 && offset as u128 + size as u128 <= len as u128
}

/// An element: most are small, some the ends of their type, zeros of both signs, tiny, infinite, or no number.
pub(crate) fn value(random: &mut fastrand::Rng, element: ElementType) -> Scalar {
    let ty = ScalarType::Element(element);
    let (min, max) = Scalar::range(ty);
    match random.u8(..40) {
        0 => min,
        1 => max,
        2 => Scalar::zero(ty),
        3 => Scalar::F64(-0.0).convert(ty),
        4 => Scalar::F64(f64::NAN).convert(ty),
        // Below what is normal, for floats.
        5 => Scalar::from_bits(ty, 1 + random.u64(..8)),
        6 => Scalar::F64(1.0).convert(ty),
        // Not a bool that is no bool.
        7 if element != ElementType::Bool => Scalar::from_bits(ty, random.u64(..)),
        _ => Scalar::F64(random.f64() * 40.0 - 20.0).convert(ty),
    }
}

/// Elements of a type, and their bytes.
pub(crate) fn values(
    random: &mut fastrand::Rng,
    element: ElementType,
    n: usize,
) -> (Vec<Scalar>, Vec<u8>) {
    let values: Vec<Scalar> = (0..n).map(|_| value(random, element)).collect();
    let bytes = values.iter().flat_map(|v| bytes_of(*v, element)).collect();
    (values, bytes)
}

/// The bytes of an element.
pub(crate) fn bytes_of(value: Scalar, element: ElementType) -> Vec<u8> {
    value.bits().to_le_bytes()[..element.bytes()].to_vec()
}

/// The elements that are in bytes.
pub(crate) fn elements(bytes: &[u8], element: ElementType) -> Vec<Scalar> {
    let each = bytes.chunks_exact(element.bytes());
    each.map(|bytes| {
        let mut bits = [0; 8];
        bits[..bytes.len()].copy_from_slice(bytes);
        Scalar::from_bits(element.into(), u64::from_le_bytes(bits))
    })
    .collect()
}

/// Whether two values are the same to the bit; one that is no number is as good as another.
pub(crate) fn same(a: Scalar, b: Scalar) -> bool {
    let is_nan = |v: Scalar| match v.convert(ElementType::F64.into()) {
        Scalar::F64(v) => v.is_nan(),
        _ => false,
    };
    a.ty() == b.ty() && (a.bits() == b.bits() || (is_nan(a) && is_nan(b)))
}

/// The first place where two rows differ.
pub(crate) fn difference(expected: &[Scalar], found: &[Scalar]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!(
            "{} elements instead of {}",
            found.len(),
            expected.len()
        ));
    }
    let at = expected
        .iter()
        .zip(found)
        .position(|(e, f)| !same(*e, *f))?;
    Some(format!(
        "element {at} is {} instead of {}",
        found[at], expected[at]
    ))
}
