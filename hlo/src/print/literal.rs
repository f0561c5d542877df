//! Values: nested braces, and floats in the digits that XLA prints.

use std::fmt::{self, Display, Formatter};

use half::{bf16, f16};

use super::join;
use crate::literal::Literal;
use crate::minifloat;
use crate::shape::{ArrayShape, PrimitiveType};

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Array { shape, data } => print_dense(f, shape, data),
            Literal::Leading { shape, first } => print_element(f, shape.element, first, false),
            Literal::Elided(_) => f.write_str("{...}"),
            Literal::Tuple(elements) => {
                f.write_str("( ")?;
                join(f, ", ", elements, |f, e| write!(f, "{e}"))?;
                f.write_str(" )")
            }
            Literal::Token => f.write_str("token"),
        }
    }
}

/// A literal with its shape before every array.
pub(super) fn print_shaped_literal(f: &mut Formatter<'_>, literal: &Literal) -> fmt::Result {
    match literal {
        Literal::Array { shape, .. } | Literal::Leading { shape, .. } | Literal::Elided(shape) => {
            let mut shape = shape.clone();
            if shape.rank() > 0 && shape.layout.is_none() {
                shape.layout = Some(crate::shape::Layout::row_major(shape.rank()));
            }
            write!(f, "{shape} {literal}")
        }
        Literal::Tuple(elements) => {
            f.write_str("( ")?;
            join(f, ", ", elements, print_shaped_literal)?;
            f.write_str(" )")
        }
        Literal::Token => write!(f, "{literal}"),
    }
}

/// Braces nest as deep as the array has dimensions; the outer ones of rank 4 and more number
/// their members.
fn print_dense(f: &mut Formatter<'_>, shape: &ArrayShape, data: &[u8]) -> fmt::Result {
    let rank = shape.rank();
    let mut elements = data.chunks_exact(shape.element.bytes());
    if rank == 0 {
        return match elements.next() {
            Some(bytes) => print_element(f, shape.element, bytes, true),
            None => Ok(()),
        };
    }
    // How many members of each open brace are printed.
    let mut open: Vec<i64> = vec![0];
    open_brace(f, shape, 0, 0)?;
    while let Some(printed) = open.last_mut() {
        let member = *printed;
        *printed += 1;
        let depth = open.len() - 1;
        if shape.dims.get(depth).is_none_or(|&size| member >= size) {
            close_brace(f, shape, depth)?;
            open.pop();
            continue;
        }
        if member > 0 {
            f.write_str(", ")?;
        }
        if depth + 1 < rank {
            open_brace(f, shape, depth + 1, member)?;
            open.push(0);
        } else if let Some(bytes) = elements.next() {
            print_element(f, shape.element, bytes, false)?;
        }
    }
    Ok(())
}

/// Whether a blank stands inside the braces of this depth.
fn spaced(shape: &ArrayShape, depth: usize) -> bool {
    shape.rank() > 1 && (depth + 1 < shape.rank() || shape.dims.get(depth).is_some_and(|&n| n > 1))
}

fn open_brace(f: &mut Formatter<'_>, shape: &ArrayShape, depth: usize, member: i64) -> fmt::Result {
    f.write_str("{")?;
    if shape.rank() > 3 && depth > 0 && depth + 1 < shape.rank() {
        write!(f, " /*i{}={member}*/", depth - 1)?;
        if shape.dims.get(depth).is_some_and(|&n| n == 0) {
            return Ok(());
        }
    }
    f.write_str(if spaced(shape, depth) { " " } else { "" })
}

fn close_brace(f: &mut Formatter<'_>, shape: &ArrayShape, depth: usize) -> fmt::Result {
    f.write_str(if spaced(shape, depth) { " }" } else { "}" })
}

fn print_element(
    f: &mut Formatter<'_>,
    element: PrimitiveType,
    bytes: &[u8],
    scalar: bool,
) -> fmt::Result {
    use PrimitiveType as P;
    if element.is_complex() {
        let (re, im) = bytes.split_at(bytes.len() / 2);
        let part = if element == P::C64 { P::F32 } else { P::F64 };
        f.write_str("(")?;
        print_element(f, part, re, scalar)?;
        f.write_str(", ")?;
        print_element(f, part, im, scalar)?;
        return f.write_str(")");
    }
    let mut wide = [0u8; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    let word = u64::from_le_bytes(wide);
    if element == P::Pred {
        return match (scalar, word != 0) {
            (true, truth) => write!(f, "{truth}"),
            (false, truth) => write!(f, "{}", i32::from(truth)),
        };
    }
    if element.is_unsigned_integer() {
        return write!(f, "{word}");
    }
    if element.is_signed_integer() {
        let shift = 64 - 8 * bytes.len() as u32;
        return write!(f, "{}", ((word << shift) as i64) >> shift);
    }
    f.write_str(&float_text(element, word))
}

/// A float as XLA prints it: the fewest digits of two widths that read back as the same value.
fn float_text(element: PrimitiveType, word: u64) -> String {
    use PrimitiveType as P;
    let (value, mantissa) = match element {
        P::F64 => (f64::from_bits(word), 52),
        P::F32 => (f64::from(f32::from_bits(word as u32)), 23),
        P::F16 => (f16::from_bits(word as u16).to_f64(), 10),
        P::BF16 => (bf16::from_bits(word as u16).to_f64(), 7),
        P::F8E5M2 | P::F8E5M2FNUZ => (minifloat::decode(element, word as u8).unwrap_or(0.0), 2),
        P::F8E3M4 => (minifloat::decode(element, word as u8).unwrap_or(0.0), 4),
        P::F8E8M0FNU => (minifloat::decode(element, word as u8).unwrap_or(0.0), 0),
        P::F4E2M1FN => (minifloat::decode(element, word as u8).unwrap_or(0.0), 1),
        _ => (minifloat::decode(element, word as u8).unwrap_or(0.0), 3),
    };
    if value.is_nan() {
        return nan_text(element, word, mantissa);
    }
    if value == 0.0 && value.is_sign_negative() {
        // XLA prints `-0`, which is read as an integer and loses its sign.
        return "-0.0".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    match element {
        P::F64 => shortest(value, 15, 17, |s| s.parse::<f64>().ok() == Some(value)),
        P::F32 => shortest(value, 6, 9, |s| {
            s.parse::<f32>().ok().map(f64::from) == Some(value)
        }),
        _ => {
            // The digits that tell any two neighbours apart.
            let digits = (1.0 + f64::from(mantissa + 1) * std::f64::consts::LOG10_2).ceil();
            general(value, digits as usize)
        }
    }
}

fn nan_text(element: PrimitiveType, word: u64, mantissa: u32) -> String {
    use PrimitiveType as P;
    let bits = element.bits();
    let has_payload = matches!(
        element,
        P::F64 | P::F32 | P::F16 | P::BF16 | P::F8E5M2 | P::F8E4M3 | P::F8E3M4
    );
    let has_sign = element != P::F8E8M0FNU;
    let sign = if has_sign && word >> (bits - 1) & 1 == 1 {
        "-"
    } else {
        ""
    };
    let payload = word & ((1u64 << mantissa) - 1);
    if has_payload && payload != 1 << (mantissa - 1) {
        format!("{sign}nan({payload:#x})")
    } else {
        format!("{sign}nan")
    }
}

/// `value` in `few` digits if those are enough, else in `many`.
pub(super) fn shortest(
    value: f64,
    few: usize,
    many: usize,
    enough: impl Fn(&str) -> bool,
) -> String {
    let short = general(value, few);
    if enough(&short) {
        short
    } else {
        general(value, many)
    }
}

/// C's `%.{digits}g`.
pub(crate) fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| {
        if s.contains('.') {
            s.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            s.to_owned()
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    } else {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        trim(&format!("{value:.decimals$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_format_is_that_of_c() {
        for (value, digits, text) in [
            (0.1, 6, "0.1"),
            (1e10, 6, "1e+10"),
            (123456.0, 6, "123456"),
            (1234567.0, 6, "1.23457e+06"),
            (1.4013e-45, 6, "1.4013e-45"),
            (-0.0, 6, "-0"),
            (0.0001, 6, "0.0001"),
            (0.00001, 6, "1e-05"),
            (9.9999999, 6, "10"),
        ] {
            assert_eq!(general(value, digits), text);
        }
    }
}
