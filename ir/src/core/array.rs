//! Arrays: what buffers hold when a program runs.

use super::types::ElementType;

/// A dense row-major array, little-endian, `bool` one byte of 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Element type.
    pub element: ElementType,
    /// Size of each dimension.
    pub dims: Vec<u64>,
    /// `product(dims) * element.bytes()` bytes.
    pub data: Vec<u8>,
}
