//! Spellings of MLIR: strings, symbols, value names, types and attributes.

use std::fmt::Write;
use std::sync::Arc;

use super::error::Reason;
use crate::module::Name;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Most values that a tuple is flattened into.
const MAX_VALUES: usize = 1 << 16;
/// Deepest tuple that is flattened.
const MAX_DEPTH: usize = 64;

/// The spelling of a type.
pub(super) type Type = Arc<str>;

/// A string in quotes; all that is not printable ASCII as two hexadecimal digits.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                let _ = write!(quoted, "\\{byte:02X}");
            }
            _ => quoted.push(char::from(byte)),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether `text` may stand as a key or a symbol without quotes.
fn is_bare(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.'))
}

/// The name of an attribute in a dictionary.
pub(super) fn key(name: &str) -> String {
    if is_bare(name) {
        name.to_owned()
    } else {
        string(name)
    }
}

/// `@name`.
pub(super) fn symbol(name: &str) -> String {
    format!("@{}", key(name))
}

/// A name for a value, without `%`: what MLIR does not read becomes `_`.
pub(super) fn value_name(name: &str) -> Name {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '-');
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !digit && !name.is_empty() && name.chars().all(legal) {
        return name.into();
    }
    let head = if digit || name.is_empty() { "_" } else { "" };
    let tail = name.chars().map(|c| if legal(c) { c } else { '_' });
    head.chars().chain(tail).collect::<String>().into()
}

/// `[1, 2]`.
pub(super) fn list<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", joined(items))
}

/// `1, 2`.
pub(super) fn joined<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for (i, item) in items.into_iter().enumerate() {
        let _ = write!(text, "{}{item}", if i > 0 { ", " } else { "" });
    }
    text
}

/// `array<i64: 1, 2>`.
pub(super) fn integers(values: impl IntoIterator<Item = i64>) -> String {
    array("i64", values)
}

/// `array<i1: true, false>`.
pub(super) fn booleans(values: impl IntoIterator<Item = bool>) -> String {
    array("i1", values)
}

fn array<T: std::fmt::Display>(element: &str, values: impl IntoIterator<Item = T>) -> String {
    let values = joined(values);
    if values.is_empty() {
        format!("array<{element}>")
    } else {
        format!("array<{element}: {values}>")
    }
}

/// `3 : i64`.
pub(super) fn integer(value: i64) -> String {
    format!("{value} : i64")
}

/// `3 : i32`.
pub(super) fn integer32(value: i64) -> String {
    format!("{value} : i32")
}

/// `dense<[[0, 1], [2, 3]]> : tensor<2x2xi64>`; all rows have `width` members.
pub(super) fn matrix(rows: &[Vec<i64>], width: usize) -> String {
    let text = if rows.is_empty() || width == 0 {
        String::new()
    } else {
        list(rows.iter().map(list))
    };
    format!("dense<{text}> : tensor<{}x{width}xi64>", rows.len())
}

/// The layout of an array as a custom call states it; a scalar, or what is no array, has none.
pub(super) fn layout(shape: &Shape) -> String {
    let rank = shape.as_array().map_or(0, ArrayShape::rank);
    let order: Vec<i64> = match shape.as_array().and_then(|array| array.layout.as_ref()) {
        Some(layout) if layout.minor_to_major.len() == rank => layout.minor_to_major.clone(),
        _ => (0..rank as i64).rev().collect(),
    };
    let text = if rank == 0 {
        String::new()
    } else {
        list(order)
    };
    format!("dense<{text}> : tensor<{rank}xindex>")
}

/// The type of an element.
pub(super) fn element_type(element: PrimitiveType) -> Result<&'static str, Reason> {
    use PrimitiveType as P;
    Ok(match element {
        P::Pred => "i1",
        P::S2 => "i2",
        P::S4 => "i4",
        P::S8 => "i8",
        P::S16 => "i16",
        P::S32 => "i32",
        P::S64 => "i64",
        P::U2 => "ui2",
        P::U4 => "ui4",
        P::U8 => "ui8",
        P::U16 => "ui16",
        P::U32 => "ui32",
        P::U64 => "ui64",
        P::F4E2M1FN => "f4E2M1FN",
        P::F8E3M4 => "f8E3M4",
        P::F8E4M3 => "f8E4M3",
        P::F8E4M3FN => "f8E4M3FN",
        P::F8E4M3B11FNUZ => "f8E4M3B11FNUZ",
        P::F8E4M3FNUZ => "f8E4M3FNUZ",
        P::F8E5M2 => "f8E5M2",
        P::F8E5M2FNUZ => "f8E5M2FNUZ",
        P::F8E8M0FNU => "f8E8M0FNU",
        P::F16 => "f16",
        P::BF16 => "bf16",
        P::F32 => "f32",
        P::F64 => "f64",
        P::C64 => "complex<f32>",
        P::C128 => "complex<f64>",
        // `i1` is a truth value.
        P::S1 | P::U1 => return Err(Reason::NoType(element.to_string())),
    })
}

/// `tensor<2x3xf32>`; a dimension with a bound is `?` and its bound stands behind.
pub(super) fn tensor_type(shape: &ArrayShape) -> Result<Type, Reason> {
    let mut text = String::from("tensor<");
    let is_dynamic = |dim: usize| shape.dynamic.get(dim) == Some(&true);
    for (dim, &size) in shape.dims.iter().enumerate() {
        if size == ArrayShape::UNBOUNDED || is_dynamic(dim) {
            text.push_str("?x");
        } else {
            let _ = write!(text, "{size}x");
        }
    }
    text.push_str(element_type(shape.element)?);
    let bounded = |(dim, &size): (usize, &i64)| is_dynamic(dim) && size != ArrayShape::UNBOUNDED;
    if shape.dims.iter().enumerate().any(bounded) {
        let bounds = shape.dims.iter().enumerate().map(|(dim, size)| {
            if bounded((dim, size)) {
                size.to_string()
            } else {
                "?".to_owned()
            }
        });
        let _ = write!(text, ", #stablehlo.bounds<{}>", joined(bounds));
    }
    text.push('>');
    Ok(text.into())
}

/// The type of a value that is no tuple.
pub(super) fn leaf_type(shape: &Shape) -> Result<Type, Reason> {
    match shape {
        Shape::Array(array) => tensor_type(array),
        Shape::Token => Ok("!stablehlo.token".into()),
        Shape::Tuple(_) | Shape::Opaque | Shape::Buffer(_) => {
            Err(Reason::NoType(shape.to_string()))
        }
    }
}

/// The type of one value, tuples as such; `shape` is one whose [`leaves`] were found.
pub(super) fn whole_type(shape: &Shape) -> Result<Type, Reason> {
    let Shape::Tuple(parts) = shape else {
        return leaf_type(shape);
    };
    let parts: Result<Vec<Type>, Reason> = parts.iter().map(whole_type).collect();
    Ok(format!("tuple<{}>", joined(parts?)).into())
}

/// What a shape consists of once tuples are flattened.
pub(super) fn leaves(shape: &Shape) -> Result<Vec<&Shape>, Reason> {
    let limit = Reason::Tuple {
        values: MAX_VALUES,
        depth: MAX_DEPTH,
    };
    let mut found = Vec::new();
    let mut pending = vec![(shape, 0)];
    // Empty tuples are no values, yet there may be many.
    let mut visited = 0;
    while let Some((shape, depth)) = pending.pop() {
        visited += 1;
        match shape {
            Shape::Tuple(parts)
                if depth < MAX_DEPTH && pending.len() + parts.len() <= MAX_VALUES =>
            {
                pending.extend(parts.iter().rev().map(|part| (part, depth + 1)));
            }
            Shape::Tuple(_) => return Err(limit),
            Shape::Array(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => found.push(shape),
        }
        if visited > 2 * MAX_VALUES || found.len() > MAX_VALUES {
            return Err(limit);
        }
    }
    Ok(found)
}

/// The types of the [`leaves`].
pub(super) fn types(shape: &Shape) -> Result<Vec<Type>, Reason> {
    leaves(shape)?.into_iter().map(leaf_type).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_mlir_reads() {
        for (name, legal) in [
            ("add.1", "add.1"),
            ("2nd", "_2nd"),
            ("", "_"),
            ("a/b:c", "a_b_c"),
            ("x-y", "x-y"),
            ("α", "_"),
        ] {
            assert_eq!(&*value_name(name), legal);
        }
        assert_eq!(symbol("f.1"), "@f.1");
        assert_eq!(symbol("a-b"), "@\"a-b\"");
    }

    #[test]
    fn strings_are_escaped_bytewise() {
        assert_eq!(string("a\"b\\\nα"), r#""a\22b\5C\0A\CE\B1""#);
    }

    #[test]
    fn bounds_stand_behind_the_element_type() {
        let mut shape = ArrayShape::new(PrimitiveType::F32, [4, 8]);
        assert_eq!(&*tensor_type(&shape).unwrap(), "tensor<4x8xf32>");
        shape.dynamic = vec![false, true];
        assert_eq!(
            &*tensor_type(&shape).unwrap(),
            "tensor<4x?xf32, #stablehlo.bounds<?, 8>>"
        );
        shape.dims = vec![4, ArrayShape::UNBOUNDED];
        assert_eq!(&*tensor_type(&shape).unwrap(), "tensor<4x?xf32>");
    }

    #[test]
    fn a_tuple_that_doubles_at_every_level_is_refused() {
        let mut shape = Shape::Token;
        for _ in 0..20 {
            shape = Shape::Tuple(vec![shape.clone(), shape]);
        }
        assert!(matches!(leaves(&shape), Err(Reason::Tuple { .. })));
    }
}
