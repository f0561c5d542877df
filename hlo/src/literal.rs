//! Values of constants, and of everything that the evaluator computes.

use std::sync::Arc;

use half::{bf16, f16};
use miette::Diagnostic;
use thiserror::Error;

use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// A value: an array's elements or a tuple of values.
///
/// Array elements are held row-major (whatever the layout), little-endian, one after the other,
/// [`crate::PrimitiveType::bytes`] each; `pred` is 0 or 1; sub-byte integers are sign- or
/// zero-extended to one byte; complex is real then imaginary.
///
/// An array of the evaluator's whose declared shape has dynamic dimensions has the sizes of this
/// very value as its dimensions, not the bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// An array, rank 0 included.
    Array {
        /// Element type and dimensions.
        shape: ArrayShape,
        /// `element_count * element.bytes()` bytes.
        data: Arc<[u8]>,
    },
    /// An array of so many elements that they are not held: the first one is given, the others are
    /// zero.
    Leading {
        /// Element type and dimensions.
        shape: ArrayShape,
        /// The first element's bytes.
        first: Arc<[u8]>,
    },
    /// An array whose text was elided (`{...}`): the shape is known, the values are not.
    Elided(ArrayShape),
    /// A tuple.
    Tuple(Vec<Literal>),
    /// A token.
    Token,
}

/// Bytes or elements that do not make an array of the wanted shape: your input.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("{shape} takes {expected}, found {found}")]
pub struct LiteralError {
    /// The wanted shape, as HLO spells it without a layout.
    pub shape: String,
    /// What it needs.
    pub expected: String,
    /// What was given.
    pub found: String,
}

/// A Rust type that holds one element of a [`PrimitiveType`].
pub trait Native: Copy {
    /// The element type that it holds.
    const ELEMENT: PrimitiveType;
    /// Appends the element's bytes.
    fn write(self, bytes: &mut Vec<u8>);
    /// Reads elements from bytes that are a whole number of them.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! natives {
    ($($native:ty: $element:ident $bytes:literal,)*) => {$(
        impl Native for $native {
            const ELEMENT: PrimitiveType = PrimitiveType::$element;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks::<$bytes>().0.iter().map(|b| <$native>::from_le_bytes(*b)).collect()
            }
        }
    )*};
}

natives! {
    i8: S8 1, i16: S16 2, i32: S32 4, i64: S64 8,
    u8: U8 1, u16: U16 2, u32: U32 4, u64: U64 8,
    f16: F16 2, bf16: BF16 2, f32: F32 4, f64: F64 8,
}

impl Native for bool {
    const ELEMENT: PrimitiveType = PrimitiveType::Pred;
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
    fn read(bytes: &[u8]) -> Vec<Self> {
        bytes.iter().map(|&b| b != 0).collect()
    }
}

/// Real and imaginary part.
impl Native for [f32; 2] {
    const ELEMENT: PrimitiveType = PrimitiveType::C64;
    fn write(self, bytes: &mut Vec<u8>) {
        self.into_iter().for_each(|part| part.write(bytes));
    }
    fn read(bytes: &[u8]) -> Vec<Self> {
        f32::read(bytes).as_chunks::<2>().0.to_vec()
    }
}

/// Real and imaginary part.
impl Native for [f64; 2] {
    const ELEMENT: PrimitiveType = PrimitiveType::C128;
    fn write(self, bytes: &mut Vec<u8>) {
        self.into_iter().for_each(|part| part.write(bytes));
    }
    fn read(bytes: &[u8]) -> Vec<Self> {
        f64::read(bytes).as_chunks::<2>().0.to_vec()
    }
}

impl Literal {
    /// An array of the given bytes, which stand as described at [`Literal`].
    pub fn from_bytes(
        shape: ArrayShape,
        data: impl Into<Arc<[u8]>>,
    ) -> Result<Literal, LiteralError> {
        let data = data.into();
        if shape.byte_size() == Some(data.len()) {
            return Ok(Literal::Array { shape, data });
        }
        Err(LiteralError {
            expected: match shape.byte_size() {
                Some(bytes) => format!("{bytes} bytes"),
                None => "static dimensions of a representable size".into(),
            },
            found: format!("{} bytes", data.len()),
            shape: spelled(&shape),
        })
    }

    /// An array of the given elements, row-major.
    pub fn from_elements<T: Native>(
        dims: impl Into<Vec<i64>>,
        elements: &[T],
    ) -> Result<Literal, LiteralError> {
        let mut bytes = Vec::with_capacity(size_of_val(elements));
        elements.iter().for_each(|e| e.write(&mut bytes));
        Literal::from_bytes(ArrayShape::new(T::ELEMENT, dims), bytes)
    }

    /// An array of rank 0.
    pub fn scalar<T: Native>(element: T) -> Literal {
        let mut bytes = Vec::with_capacity(size_of::<T>());
        element.write(&mut bytes);
        Literal::Array {
            shape: ArrayShape::new(T::ELEMENT, []),
            data: bytes.into(),
        }
    }

    /// The elements when this is an array of `T`'s element type.
    pub fn elements<T: Native>(&self) -> Option<Vec<T>> {
        let (shape, data) = self.as_array()?;
        (shape.element == T::ELEMENT).then(|| T::read(data))
    }

    /// The same value with every element of its arrays held.
    pub(crate) fn expanded(&self) -> Literal {
        match self {
            Literal::Leading { shape, first } => {
                let mut data = vec![0; shape.byte_size().unwrap_or(0)];
                if let Some(start) = data.get_mut(..first.len()) {
                    start.copy_from_slice(first);
                }
                Literal::Array {
                    shape: shape.clone(),
                    data: data.into(),
                }
            }
            Literal::Tuple(elements) => {
                Literal::Tuple(elements.iter().map(Literal::expanded).collect())
            }
            Literal::Array { .. } | Literal::Elided(_) | Literal::Token => self.clone(),
        }
    }

    /// Shape and bytes, unless this is not an array or its values are not held.
    pub fn as_array(&self) -> Option<(&ArrayShape, &Arc<[u8]>)> {
        match self {
            Literal::Array { shape, data } => Some((shape, data)),
            Literal::Leading { .. } | Literal::Elided(_) | Literal::Tuple(_) | Literal::Token => {
                None
            }
        }
    }

    /// The elements widened to `f64`, for comparisons with a tolerance; `None` for complex
    /// arrays and everything that is not an array.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        let (shape, data) = self.as_array()?;
        crate::eval::widen(shape.element, data)
    }

    /// All arrays and tokens of nested tuples, depth first; a value that is no tuple is its own
    /// single leaf.
    pub fn leaves(&self) -> Vec<&Literal> {
        let mut leaves = Vec::new();
        let mut pending = vec![self];
        while let Some(literal) = pending.pop() {
            match literal {
                Literal::Tuple(elements) => pending.extend(elements.iter().rev()),
                Literal::Array { .. }
                | Literal::Leading { .. }
                | Literal::Elided(_)
                | Literal::Token => leaves.push(literal),
            }
        }
        leaves
    }

    /// The shape of the value.
    pub fn shape(&self) -> Shape {
        match self {
            Literal::Array { shape, .. }
            | Literal::Leading { shape, .. }
            | Literal::Elided(shape) => Shape::Array(shape.clone()),
            Literal::Tuple(elements) => Shape::Tuple(elements.iter().map(Literal::shape).collect()),
            Literal::Token => Shape::Token,
        }
    }
}

/// `f32[2,3]`, for messages.
pub(crate) fn spelled(shape: &ArrayShape) -> String {
    let dims: Vec<String> = shape
        .dims
        .iter()
        .map(|&d| {
            if d == ArrayShape::UNBOUNDED {
                "?".into()
            } else {
                d.to_string()
            }
        })
        .collect();
    format!("{}[{}]", shape.element, dims.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_the_way_through_bytes() {
        let literal = Literal::from_elements([2, 2], &[1.5f32, -0.0, f32::INFINITY, 3.0]).unwrap();
        assert_eq!(
            literal.elements::<f32>().unwrap(),
            [1.5, -0.0, f32::INFINITY, 3.0]
        );
        assert_eq!(literal.elements::<i32>(), None);
        let literal = Literal::from_elements([1], &[[1.0f64, -2.0]]).unwrap();
        assert_eq!(literal.elements::<[f64; 2]>().unwrap(), [[1.0, -2.0]]);
    }

    #[test]
    fn wrong_count_is_an_error() {
        let error = Literal::from_elements([2, 3], &[1i32; 5]).unwrap_err();
        assert_eq!(error.to_string(), "s32[2,3] takes 24 bytes, found 20 bytes");
        assert!(Literal::from_elements([-1], &[0u8; 0]).is_err());
        assert!(Literal::from_elements([i64::MAX, i64::MAX], &[0u8; 0]).is_err());
    }

    #[test]
    fn leaves_come_in_text_order() {
        let nested = Literal::Tuple(vec![
            Literal::Tuple(vec![Literal::scalar(1i32), Literal::Token]),
            Literal::scalar(2i32),
        ]);
        assert_eq!(
            nested.leaves(),
            [
                &Literal::scalar(1i32),
                &Literal::Token,
                &Literal::scalar(2i32)
            ]
        );
    }

    #[test]
    fn narrow_integers_widen_with_their_sign() {
        let shape = ArrayShape::new(PrimitiveType::S4, [2]);
        let literal = Literal::from_bytes(shape, vec![0xf9, 7]).unwrap();
        assert_eq!(literal.to_f64().unwrap(), [-7.0, 7.0]);
    }
}
