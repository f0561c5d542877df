//! The evaluator's arrays: a literal whose shape is known to fit its bytes.

use std::sync::Arc;

use super::error::{Fault, Outcome};
use crate::literal::{Literal, spelled};
use crate::shape::{ArrayShape, PrimitiveType};

/// Row-major elements; `data` has as many bytes as element type and dimensions say.
#[derive(Clone)]
pub(super) struct Array {
    pub(super) element: PrimitiveType,
    pub(super) dims: Vec<usize>,
    pub(super) data: Arc<[u8]>,
}

/// Elements of an array of these dimensions; a fault where memory could not address them.
pub(super) fn count(dims: &[usize]) -> Outcome<usize> {
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n <= isize::MAX as usize / 32)
        .ok_or_else(|| Fault::malformed(format!("an array of {dims:?} is too large")))
}

/// Elements between neighbours in each dimension of a row-major array. The product of `dims`
/// is known to be representable.
pub(super) fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(dims[i] as isize);
    }
    strides
}

/// `values` as positions below `limit`, each at most once.
pub(super) fn positions(what: &str, values: &[i64], limit: usize) -> Outcome<Vec<usize>> {
    let mut seen = vec![false; limit];
    values
        .iter()
        .map(|&value| {
            let position = usize::try_from(value).ok().filter(|&p| p < limit);
            match position {
                Some(p) if !seen[p] => {
                    seen[p] = true;
                    Ok(p)
                }
                Some(p) => Err(Fault::malformed(format!("{what} has {p} twice"))),
                None => Err(Fault::expected(format_args!("{what} in 0..{limit}"), value)),
            }
        })
        .collect()
}

/// The positions below `limit` that are not in `some`.
pub(super) fn others(limit: usize, some: &[usize]) -> Vec<usize> {
    (0..limit).filter(|p| !some.contains(p)).collect()
}

/// A non-negative size.
pub(super) fn size(what: &str, value: i64) -> Outcome<usize> {
    usize::try_from(value).map_err(|_| Fault::expected(format_args!("{what} of at least 0"), value))
}

/// The static dimensions of a shape (the bounds of dynamic ones).
pub(super) fn dims_of(shape: &ArrayShape) -> Outcome<Vec<usize>> {
    shape.dims.iter().map(|&d| size("a dimension", d)).collect()
}

impl Array {
    /// All bytes zero.
    pub(super) fn zeroed(element: PrimitiveType, dims: Vec<usize>) -> Outcome<Array> {
        let bytes = count(&dims)? * element.bytes();
        Ok(Array {
            element,
            dims,
            data: std::iter::repeat_n(0, bytes).collect(),
        })
    }

    /// An array of bytes that fit.
    pub(super) fn new(
        element: PrimitiveType,
        dims: Vec<usize>,
        data: impl Into<Arc<[u8]>>,
    ) -> Outcome<Array> {
        let data = data.into();
        if count(&dims)? * element.bytes() == data.len() {
            Ok(Array {
                element,
                dims,
                data,
            })
        } else {
            Err(Fault::malformed(format!(
                "{element}{dims:?} cannot hold {} bytes",
                data.len()
            )))
        }
    }

    /// The literal as an array.
    pub(super) fn from_literal(literal: Literal) -> Outcome<Array> {
        match literal {
            Literal::Array { shape, data } => {
                if shape.byte_size() != Some(data.len()) {
                    return Err(Fault::expected(
                        format_args!("the bytes of {}", spelled(&shape)),
                        format_args!("{} bytes", data.len()),
                    ));
                }
                Ok(Array {
                    element: shape.element,
                    dims: dims_of(&shape)?,
                    data,
                })
            }
            Literal::Leading { .. } => Err(Fault::expected(
                "an array of which every element is held",
                "one given by its first element",
            )),
            Literal::Elided(_) => Err(Fault::Elided),
            Literal::Tuple(_) => Err(Fault::expected("an array", "a tuple")),
            Literal::Token => Err(Fault::expected("an array", "a token")),
        }
    }

    pub(super) fn into_literal(self) -> Literal {
        let dims: Vec<i64> = self.dims.iter().map(|&d| d as i64).collect();
        Literal::Array {
            shape: ArrayShape::new(self.element, dims),
            data: self.data,
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements.
    pub(super) fn count(&self) -> usize {
        self.data.len() / self.element.bytes()
    }

    pub(super) fn strides(&self) -> Vec<isize> {
        strides(&self.dims)
    }

    /// The bytes to change: in place when nobody else holds them.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        Arc::make_mut(&mut self.data)
    }

    /// The same elements under other dimensions.
    pub(super) fn with_dims(self, dims: Vec<usize>) -> Outcome<Array> {
        if count(&dims)? == self.count() {
            Ok(Array { dims, ..self })
        } else {
            Err(Fault::expected(
                format_args!("{} elements", self.count()),
                format_args!("dimensions {dims:?}"),
            ))
        }
    }

    /// Element `index` of an integer array, saturated to `i64`.
    pub(super) fn index_at(&self, index: usize) -> Outcome<i64> {
        let values = self.indices(index, 1)?;
        Ok(values.first().copied().unwrap_or(0))
    }

    /// `count` elements from `first` of an integer array, saturated to `i64`.
    pub(super) fn indices(&self, first: usize, count: usize) -> Outcome<Vec<i64>> {
        use super::domain::{Codec, Domain};
        let size = self.element.bytes();
        let bytes = self
            .data
            .get(first * size..(first + count) * size)
            .ok_or_else(|| Fault::malformed("indices end early"))?;
        if let Some(codec) = i64::codec_of(self.element) {
            return Ok(Codec::load_all(&codec, bytes));
        }
        let codec = u64::codec_of(self.element)
            .ok_or_else(|| Fault::expected("integer indices", self.element))?;
        let saturated = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        Ok(codec.load_all(bytes).into_iter().map(saturated).collect())
    }

    /// The array, when its element type and dimensions are these.
    pub(super) fn expect(self, element: PrimitiveType, dims: &[usize]) -> Outcome<Array> {
        if self.element == element && self.dims == dims {
            Ok(self)
        } else {
            Err(Fault::expected(
                format_args!("{element}{dims:?}"),
                format_args!("{}{:?}", self.element, self.dims),
            ))
        }
    }
}
