//! Values of constants: `dense<...>`.
//!
//! | values | text |
//! |---|---|
//! | all alike, also more than are held | `dense<1.5>` |
//! | few, or narrower than a byte, or truth values | `dense<[[1, 2], [3, 4]]>` |
//! | many | `dense<"0x...">`, the bytes in the order of memory |
//! | none | `dense<>` |
//! | elided | `dense_resource<__elided__>`, MLIR's own mark: the text can be read, not compiled |
//!
//! A float is decimal where that reads back as the same bits, and bits in hexadecimal otherwise (NaN, infinities).

use std::fmt::Write;

use half::{bf16, f16};

use super::error::Reason;
use super::text::tensor_type;
use crate::literal::Literal;
use crate::minifloat;
use crate::shape::{ArrayShape, PrimitiveType};

/// Arrays of more elements are written as bytes.
const MANY: usize = 64;

/// The value of a constant that is no tuple, with its type.
pub(super) fn dense(literal: &Literal) -> Result<String, Reason> {
    let (shape, text) = match literal {
        Literal::Array { shape, data } => (shape, format!("dense<{}>", elements(shape, data))),
        Literal::Leading { shape, first } if first.iter().all(|&byte| byte == 0) => {
            (shape, format!("dense<{}>", element(shape.element, first)))
        }
        Literal::Leading { shape, .. } => {
            return Err(Reason::form(
                "a constant of few elements or of equal ones",
                format!("{} by its first element", tensor_type(shape)?),
            ));
        }
        Literal::Elided(shape) => (shape, "dense_resource<__elided__>".to_owned()),
        Literal::Tuple(_) => return Err(Reason::form("an array", "a tuple")),
        Literal::Token => return Err(Reason::form("an array", "a token")),
    };
    Ok(format!("{text} : {}", tensor_type(shape)?))
}

/// An `f32` attribute.
pub(super) fn single(value: f64) -> String {
    let bits = u64::from((value as f32).to_bits());
    format!("{} : f32", float(PrimitiveType::F32, bits))
}

/// An `f64` attribute.
pub(super) fn double(value: f64) -> String {
    float(PrimitiveType::F64, value.to_bits())
}

fn elements(shape: &ArrayShape, data: &[u8]) -> String {
    let size = shape.element.bytes();
    let mut values = data.chunks_exact(size);
    let Some(first) = values.next() else {
        return String::new();
    };
    if values.all(|value| value == first) {
        return element(shape.element, first);
    }
    if data.len() / size > MANY && shape.element.bits() >= 8 && shape.element != PrimitiveType::Pred
    {
        return bytes(data);
    }
    let mut text = String::new();
    // How many elements the inner dimensions from each one on hold together.
    let mut blocks: Vec<usize> = Vec::with_capacity(shape.rank());
    let mut block = 1usize;
    for &dim in shape.dims.iter().rev() {
        block = block.saturating_mul(usize::try_from(dim).unwrap_or(1).max(1));
        blocks.push(block);
    }
    for (i, value) in data.chunks_exact(size).enumerate() {
        let opened = blocks.iter().filter(|&&block| i % block == 0).count();
        let closed = blocks.iter().filter(|&&block| (i + 1) % block == 0).count();
        if i > 0 {
            text.push_str(", ");
        }
        text.extend(std::iter::repeat_n('[', opened));
        text.push_str(&element(shape.element, value));
        text.extend(std::iter::repeat_n(']', closed));
    }
    text
}

fn bytes(data: &[u8]) -> String {
    let mut text = String::with_capacity(2 * data.len() + 4);
    text.push_str("\"0x");
    for byte in data {
        let _ = write!(text, "{byte:02X}");
    }
    text.push('"');
    text
}

fn element(element_type: PrimitiveType, bytes: &[u8]) -> String {
    if element_type.is_complex() {
        let (real, imaginary) = bytes.split_at(bytes.len() / 2);
        let part = if element_type == PrimitiveType::C64 {
            PrimitiveType::F32
        } else {
            PrimitiveType::F64
        };
        return format!("({}, {})", element(part, real), element(part, imaginary));
    }
    let mut wide = [0u8; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    let word = u64::from_le_bytes(wide);
    if element_type == PrimitiveType::Pred {
        (word != 0).to_string()
    } else if element_type.is_unsigned_integer() {
        word.to_string()
    } else if element_type.is_signed_integer() {
        let shift = 64u32.saturating_sub(8 * bytes.len() as u32);
        (((word << shift) as i64) >> shift).to_string()
    } else {
        float(element_type, word)
    }
}

/// A decimal number if there is one that is read as these bits, else the bits.
fn float(element: PrimitiveType, word: u64) -> String {
    use PrimitiveType as P;
    let hexadecimal = || {
        let digits = element.bytes() * 2;
        format!("0x{word:0digits$X}")
    };
    let (value, text) = match element {
        P::F64 => {
            let value = f64::from_bits(word);
            (value, decimal(value, format!("{value:?}")))
        }
        P::F32 => {
            let value = f32::from_bits(word as u32);
            (
                f64::from(value),
                decimal(value.into(), format!("{value:?}")),
            )
        }
        P::F16 => {
            let value = f16::from_bits(word as u16).to_f64();
            (value, decimal(value, format!("{value:?}")))
        }
        P::BF16 => {
            let value = bf16::from_bits(word as u16).to_f64();
            (value, decimal(value, format!("{value:?}")))
        }
        _ => {
            let value = minifloat::decode(element, word as u8).unwrap_or(f64::NAN);
            (value, decimal(value, format!("{value:?}")))
        }
    };
    // MLIR reads a number as a double and rounds that.
    let read = text.parse::<f64>().ok();
    let exact = match element {
        P::F32 => read.map(|v| (v as f32).to_bits()) == Some(word as u32),
        _ => read.map(f64::to_bits) == Some(value.to_bits()),
    };
    if value.is_finite() && exact {
        text
    } else {
        hexadecimal()
    }
}

/// MLIR's spelling of what `Debug` prints: a point before the exponent.
fn decimal(value: f64, debug: String) -> String {
    match debug.split_once('e') {
        Some((mantissa, exponent)) if value.is_finite() => {
            let point = if mantissa.contains('.') { "" } else { ".0" };
            format!("{mantissa}{point}e{exponent}")
        }
        _ => debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(literal: Literal) -> String {
        dense(&literal).unwrap()
    }

    #[test]
    fn floats_are_decimal_or_bits() {
        let values = [
            1.0f32,
            -0.0,
            0.1,
            1e-45,
            3.402_823_5e38,
            f32::NAN,
            f32::INFINITY,
        ];
        assert_eq!(
            text(Literal::from_elements([7], &values).unwrap()),
            "dense<[1.0, -0.0, 0.1, 1.0e-45, 3.4028235e38, 0x7FC00000, 0x7F800000]> : tensor<7xf32>"
        );
        let half = [f16::from_f32(0.1), f16::INFINITY];
        assert_eq!(
            text(Literal::from_elements([2], &half).unwrap()),
            "dense<[0.0999755859375, 0x7C00]> : tensor<2xf16>"
        );
        let complex = [[1.5f64, f64::NEG_INFINITY]];
        assert_eq!(
            text(Literal::from_elements([1], &complex).unwrap()),
            "dense<(1.5, 0xFFF0000000000000)> : tensor<1xcomplex<f64>>"
        );
    }

    #[test]
    fn brackets_nest_as_dimensions_do() {
        assert_eq!(
            text(Literal::from_elements([2, 1, 2], &[1i32, 2, 3, 4]).unwrap()),
            "dense<[[[1, 2]], [[3, 4]]]> : tensor<2x1x2xi32>"
        );
        assert_eq!(
            text(Literal::from_elements([2, 0], &[0i8; 0]).unwrap()),
            "dense<> : tensor<2x0xi8>"
        );
        assert_eq!(
            text(Literal::from_elements([3], &[7u64; 3]).unwrap()),
            "dense<7> : tensor<3xui64>"
        );
    }

    #[test]
    fn many_elements_are_bytes_but_truth_values_are_not() {
        let mut numbers = [1i16; 65];
        numbers[64] = 0x0203;
        let printed = text(Literal::from_elements([65], &numbers).unwrap());
        assert!(printed.starts_with("dense<\"0x01000100") && printed.contains("0302\">"));
        let mut truths = [true; 65];
        truths[0] = false;
        let printed = text(Literal::from_elements([65], &truths).unwrap());
        assert!(printed.starts_with("dense<[false, true, true"));
    }
}
