//! Arrays: what buffers hold when a program runs.

use half::{bf16, f16};

use super::scalar::Scalar;
use super::types::{ElementType, ScalarType};

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

/// Contents that do not make an array: your input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    /// More bytes than memory has addresses, or than the system grants.
    #[error("an array of {element}{dims:?} is too large")]
    TooLarge {
        /// Element type.
        element: ElementType,
        /// Size of each dimension.
        dims: Vec<u64>,
    },
    /// The number of bytes or elements is not that of the dimensions.
    #[error("{element}{dims:?} takes {expected} bytes, found {found}")]
    WrongSize {
        /// Element type.
        element: ElementType,
        /// Size of each dimension.
        dims: Vec<u64>,
        /// Bytes that the dimensions take.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// An element of another type than the array's.
    #[error("an array of {expected} cannot hold a value of {found}")]
    WrongElement {
        /// Type of the array.
        expected: ElementType,
        /// Type of the value.
        found: ScalarType,
    },
}

/// A Rust type that is an element type.
pub trait Native: Copy {
    /// The element type.
    const ELEMENT: ElementType;

    /// The value as a scalar.
    fn scalar(self) -> Scalar;

    /// The value of a scalar of this type.
    fn from_scalar(scalar: Scalar) -> Option<Self>;
}

macro_rules! native {
    ($($variant:ident $t:ty,)*) => {$(
        impl Native for $t {
            const ELEMENT: ElementType = ElementType::$variant;

            fn scalar(self) -> Scalar {
                Scalar::$variant(self)
            }

            fn from_scalar(scalar: Scalar) -> Option<$t> {
                if let Scalar::$variant(v) = scalar { Some(v) } else { None }
            }
        }
    )*};
}

native! {
    Bool bool,
    S8 i8, S16 i16, S32 i32, S64 i64,
    U8 u8, U16 u16, U32 u32, U64 u64,
    F16 f16, BF16 bf16, F32 f32, F64 f64,
}

impl Array {
    /// Bytes of an array; `None` on overflow.
    pub fn byte_size(element: ElementType, dims: &[u64]) -> Option<usize> {
        // A zero anywhere makes an empty array, however large the other sizes are.
        if dims.contains(&0) {
            return Some(0);
        }
        dims.iter()
            .try_fold(element.bytes(), |n, &d| {
                n.checked_mul(usize::try_from(d).ok()?)
            })
            .filter(|&bytes| isize::try_from(bytes).is_ok())
    }

    /// An array of zeros.
    pub fn zeros(element: ElementType, dims: &[u64]) -> Result<Array, ArrayError> {
        let too_large = || ArrayError::TooLarge {
            element,
            dims: dims.to_vec(),
        };
        let bytes = Self::byte_size(element, dims).ok_or_else(too_large)?;
        let mut data = Vec::new();
        data.try_reserve_exact(bytes).map_err(|_| too_large())?;
        data.resize(bytes, 0);
        Ok(Array {
            element,
            dims: dims.to_vec(),
            data,
        })
    }

    /// An array with this value everywhere.
    pub fn splat(value: Scalar, dims: &[u64]) -> Result<Array, ArrayError> {
        let ScalarType::Element(element) = value.ty() else {
            return Err(ArrayError::WrongElement {
                expected: ElementType::S64,
                found: value.ty(),
            });
        };
        let mut array = Array::zeros(element, dims)?;
        if value.bits() != 0 {
            let pattern = value.bits().to_le_bytes();
            for slot in array.data.chunks_exact_mut(element.bytes()) {
                slot.copy_from_slice(&pattern[..slot.len()]);
            }
        }
        Ok(array)
    }

    /// An array of these bytes; `bool` bytes other than 0 become 1.
    pub fn from_bytes(
        element: ElementType,
        dims: &[u64],
        mut data: Vec<u8>,
    ) -> Result<Array, ArrayError> {
        if element == ElementType::Bool {
            data.iter_mut().for_each(|b| *b = u8::from(*b != 0));
        }
        let array = Array {
            element,
            dims: dims.to_vec(),
            data,
        };
        array.check()?;
        Ok(array)
    }

    /// An array of these elements, row-major.
    pub fn from_elements<T: Native>(dims: &[u64], elements: &[T]) -> Result<Array, ArrayError> {
        let bytes = T::ELEMENT.bytes();
        let mut data = Vec::with_capacity(elements.len().saturating_mul(bytes));
        for v in elements {
            data.extend_from_slice(&v.scalar().bits().to_le_bytes()[..bytes]);
        }
        Array::from_bytes(T::ELEMENT, dims, data)
    }

    /// An array of these scalars, row-major.
    pub fn from_scalars(
        element: ElementType,
        dims: &[u64],
        scalars: impl IntoIterator<Item = Scalar>,
    ) -> Result<Array, ArrayError> {
        let mut data = Vec::new();
        for v in scalars {
            if v.ty() != ScalarType::Element(element) {
                return Err(ArrayError::WrongElement {
                    expected: element,
                    found: v.ty(),
                });
            }
            data.extend_from_slice(&v.bits().to_le_bytes()[..element.bytes()]);
        }
        Array::from_bytes(element, dims, data)
    }

    /// Whether the number of bytes is that of the dimensions.
    pub fn check(&self) -> Result<(), ArrayError> {
        let Some(expected) = Self::byte_size(self.element, &self.dims) else {
            return Err(ArrayError::TooLarge {
                element: self.element,
                dims: self.dims.clone(),
            });
        };
        if expected == self.data.len() {
            Ok(())
        } else {
            Err(ArrayError::WrongSize {
                element: self.element,
                dims: self.dims.clone(),
                expected,
                found: self.data.len(),
            })
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.element.bytes()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Row-major position of an element; `None` outside the array or for a wrong number of indices.
    pub fn position(&self, indices: &[i64]) -> Option<usize> {
        if indices.len() != self.dims.len() {
            return None;
        }
        indices
            .iter()
            .zip(&self.dims)
            .try_fold(0usize, |position, (&i, &d)| {
                let i = u64::try_from(i).ok().filter(|&i| i < d)?;
                position
                    .checked_mul(usize::try_from(d).ok()?)?
                    .checked_add(usize::try_from(i).ok()?)
            })
    }

    /// The element at a row-major position.
    pub fn get(&self, position: usize) -> Option<Scalar> {
        let bytes = self.element.bytes();
        let start = position.checked_mul(bytes)?;
        let slot = self.data.get(start..start.checked_add(bytes)?)?;
        let mut word = [0; 8];
        word.get_mut(..bytes)?.copy_from_slice(slot);
        Some(Scalar::from_bits(
            ScalarType::Element(self.element),
            u64::from_le_bytes(word),
        ))
    }

    /// The element at these indices.
    pub fn at(&self, indices: &[i64]) -> Option<Scalar> {
        self.get(self.position(indices)?)
    }

    /// Writes the element at a row-major position; `None`, and nothing written, outside the array
    /// or for a value of another type.
    #[must_use = "`None` says that nothing was written"]
    pub fn set(&mut self, position: usize, value: Scalar) -> Option<()> {
        if value.ty() != ScalarType::Element(self.element) {
            return None;
        }
        let bytes = self.element.bytes();
        let start = position.checked_mul(bytes)?;
        let slot = self.data.get_mut(start..start.checked_add(bytes)?)?;
        slot.copy_from_slice(value.bits().to_le_bytes().get(..bytes)?);
        Some(())
    }

    /// All elements, row-major.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// All elements as a Rust type; `None` when it is not the array's element type.
    pub fn elements<T: Native>(&self) -> Option<Vec<T>> {
        self.scalars().map(T::from_scalar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_row_major_and_nowhere_else() {
        let elements: Vec<i16> = (0..6).collect();
        let mut array = Array::from_elements(&[2, 3], &elements).expect("the sizes agree");
        assert_eq!(array.at(&[1, 0]), Some(Scalar::S16(3)));
        for outside in [&[2, 0][..], &[0, 3], &[-1, 0], &[1], &[0, 0, 0]] {
            assert_eq!(array.at(outside), None);
        }
        assert_eq!(array.set(5, Scalar::S16(-7)), Some(()));
        assert_eq!(array.set(6, Scalar::S16(-7)), None);
        assert_eq!(array.set(0, Scalar::S32(-7)), None);
        assert_eq!(array.set(usize::MAX, Scalar::S16(-7)), None);
        assert_eq!(array.elements(), Some(vec![0i16, 1, 2, 3, 4, -7]));
        assert_eq!(array.elements::<u16>(), None);
    }

    #[test]
    fn every_element_type_goes_to_bytes_and_back() {
        for &element in ElementType::ALL {
            let one = Scalar::F64(1.0).convert(element.into());
            let array = Array::splat(one, &[3]).expect("small");
            let again = Array::from_bytes(element, &[3], array.data.clone());
            assert_eq!(again.as_ref(), Ok(&array));
            let scalars = Array::from_scalars(element, &[3], array.scalars());
            assert_eq!((scalars, array.at(&[2])), (again, Some(one)));
        }
    }

    #[test]
    fn sizes_that_do_not_agree_or_overflow_are_errors() {
        let dims = [u64::MAX, u64::MAX];
        let too_large = Array::zeros(ElementType::U8, &dims);
        assert!(matches!(too_large, Err(ArrayError::TooLarge { .. })));
        assert_eq!(
            Array::zeros(ElementType::U8, &[u64::MAX, 0]).map(|a| a.len()),
            Ok(0)
        );
        let short = Array::from_bytes(ElementType::F32, &[2], vec![0; 7]);
        assert!(matches!(
            short,
            Err(ArrayError::WrongSize {
                expected: 8,
                found: 7,
                ..
            })
        ));
    }

    #[test]
    fn bytes_of_bool_are_zero_or_one() {
        let array = Array::from_bytes(ElementType::Bool, &[3], vec![0, 2, 255]);
        assert_eq!(array.map(|a| a.data), Ok(vec![0, 1, 1]));
    }
}
