//! Values of constants, and of everything that the evaluator computes.

use std::sync::Arc;

use crate::shape::{ArrayShape, Shape};

/// A value: an array's elements or a tuple of values.
///
/// Array elements are held row-major (whatever the layout), little-endian, one after the other,
/// [`crate::PrimitiveType::bytes`] each; `pred` is 0 or 1; sub-byte integers are sign- or
/// zero-extended to one byte; complex is real then imaginary.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// An array, rank 0 included.
    Array {
        /// Element type and dimensions.
        shape: ArrayShape,
        /// `element_count * element.bytes()` bytes.
        data: Arc<[u8]>,
    },
    /// An array whose text was elided (`{...}`): the shape is known, the values are not.
    Elided(ArrayShape),
    /// A tuple.
    Tuple(Vec<Literal>),
    /// A token.
    Token,
}

impl Literal {
    /// The shape of the value.
    pub fn shape(&self) -> Shape {
        match self {
            Literal::Array { shape, .. } | Literal::Elided(shape) => Shape::Array(shape.clone()),
            Literal::Tuple(elements) => Shape::Tuple(elements.iter().map(Literal::shape).collect()),
            Literal::Token => Shape::Token,
        }
    }
}
