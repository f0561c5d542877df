//! Values of constants.
//!
//! ```text
//! literal = '(' literal (',' literal)* ')' | nest | element
//! nest    = '{' (nest | element | ',')* '}' , as deep as the array has dimensions
//!         | '{' '...' '}' , values elided
//! element = 'true' | 'false' | integer | decimal | '-'? 'inf' | '-'? 'nan' ('(' '0x' hex ')')?
//!         | '(' element ',' element ')' , complex
//! ```
//!
//! Commas between elements mean nothing. An element without braces where the shape is an array
//! sets the first one; the others are zero. A complex number cannot stand so.

use half::{bf16, f16};

use super::error::ParseError;
use super::lex::{Parsed, expected, fail, keyword, peek, punct, skip, span_of};
use crate::literal::Literal;
use crate::minifloat;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Elements that a constant given by its first element alone may have.
const MAX_FILLED: usize = 1 << 24;

/// One number or truth value as written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Element {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Decimal(f64),
    /// The bits below the quiet bit are the payload; `None` for a NaN as the hardware makes it.
    Nan {
        negative: bool,
        payload: Option<u64>,
    },
}

/// A literal of the given shape; `text` is the whole text.
pub(crate) fn literal<'a>(text: &str, input: &'a str, shape: &Shape) -> Parsed<'a, Literal> {
    match shape {
        Shape::Tuple(shapes) => {
            let (mut rest, ()) = punct(input, "(")?;
            let mut elements = Vec::with_capacity(shapes.len());
            for (i, shape) in shapes.iter().enumerate() {
                if i > 0 {
                    rest = punct(rest, ",")?.0;
                }
                let (next, element) = literal(text, rest, shape)?;
                elements.push(element);
                rest = next;
            }
            let (rest, ()) = punct(rest, ")")?;
            Ok((rest, Literal::Tuple(elements)))
        }
        Shape::Array(array) => dense(text, input, array),
        Shape::Token | Shape::Opaque | Shape::Buffer(_) => {
            expected(input, "a constant of array or tuple shape")
        }
    }
}

fn invalid<T>(
    text: &str,
    at: &str,
    to: &str,
    message: String,
) -> Result<T, nom::Err<super::error::Fault>> {
    fail(ParseError::Invalid {
        message,
        at: span_of(text, at, to),
    })
}

fn dense<'a>(text: &str, input: &'a str, array: &ArrayShape) -> Parsed<'a, Literal> {
    let rank = array.rank();
    let mut shape = array.clone();
    shape.layout = None;
    shape.dynamic = Vec::new();
    // How many members each open brace has seen.
    let mut seen: Vec<i64> = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    let mut rest = input;
    loop {
        let start = skip(rest);
        let Some(next) = start.bytes().next() else {
            return expected(start, "a value");
        };
        let tail = start.get(1..).unwrap_or("");
        match next {
            b'{' => {
                if seen.len() >= rank {
                    return invalid(
                        text,
                        start,
                        tail,
                        format!(
                            "braces nested deeper than the {rank} dimensions of {}",
                            shape_text(array)
                        ),
                    );
                }
                count(text, start, tail, array, &mut seen)?;
                seen.push(0);
                rest = tail;
            }
            b'}' => {
                let Some(members) = seen.pop() else {
                    return expected(start, "a value");
                };
                let wanted = array.dims.get(seen.len()).copied().unwrap_or(0);
                if members != wanted {
                    return invalid(
                        text,
                        start,
                        tail,
                        format!(
                            "expected {wanted} members in dimension {}, found {members}",
                            seen.len()
                        ),
                    );
                }
                rest = tail;
            }
            b',' if !seen.is_empty() => rest = tail,
            b'.' if start.starts_with("...") => {
                let end = start.get(3..).unwrap_or("");
                if seen.len() != 1 {
                    return invalid(
                        text,
                        start,
                        end,
                        "`...` stands for a whole array only, directly inside its outer braces"
                            .to_owned(),
                    );
                }
                let (end, ()) = punct(end, "}")?;
                return Ok((end, Literal::Elided(shape)));
            }
            _ => {
                // Complex numbers never stand for a whole array.
                if !seen.is_empty() || array.element.is_complex() {
                    if seen.len() != rank {
                        return invalid(
                            text,
                            start,
                            tail,
                            format!(
                                "expected values in {rank} levels of braces, found one in {}",
                                seen.len()
                            ),
                        );
                    }
                    count(text, start, tail, array, &mut seen)?;
                }
                rest = element(text, start, array.element, &mut data)?.0;
            }
        }
        if seen.is_empty() {
            break;
        }
    }
    let size = array.byte_size().unwrap_or(usize::MAX);
    if data.len() < size {
        if size > MAX_FILLED {
            return Ok((
                rest,
                Literal::Leading {
                    shape,
                    first: data.into(),
                },
            ));
        }
        data.resize(size, 0);
    }
    Ok((
        rest,
        Literal::Array {
            shape,
            data: data.into(),
        },
    ))
}

fn shape_text(array: &ArrayShape) -> String {
    Shape::Array(array.clone()).to_string()
}

/// Counts a member of the innermost open brace.
fn count(
    text: &str,
    start: &str,
    tail: &str,
    array: &ArrayShape,
    seen: &mut [i64],
) -> Result<(), nom::Err<super::error::Fault>> {
    let depth = seen.len();
    if let Some(members) = seen.last_mut() {
        *members += 1;
        let wanted = array.dims.get(depth - 1).copied().unwrap_or(0);
        if *members > wanted {
            return invalid(
                text,
                start,
                tail,
                format!(
                    "expected {wanted} members in dimension {}, found more",
                    depth - 1
                ),
            );
        }
    }
    Ok(())
}

/// One element, appended to `data` in the encoding of [`Literal`].
fn element<'a>(
    text: &str,
    input: &'a str,
    to: PrimitiveType,
    data: &mut Vec<u8>,
) -> Parsed<'a, ()> {
    if to.is_complex() {
        let (rest, ()) = punct(input, "(")?;
        let part = if to == PrimitiveType::C64 {
            PrimitiveType::F32
        } else {
            PrimitiveType::F64
        };
        let (rest, ()) = element(text, rest, part, data)?;
        let (rest, ()) = punct(rest, ",")?;
        let (rest, ()) = element(text, rest, part, data)?;
        let (rest, ()) = punct(rest, ")")?;
        return Ok((rest, ()));
    }
    let (rest, value) = number(input)?;
    if let Err(message) = store(value, to, data) {
        return invalid(text, input, rest, message);
    }
    Ok((rest, ()))
}

/// A number or truth value as written.
fn number(input: &str) -> Parsed<'_, Element> {
    let start = skip(input);
    let bytes = start.as_bytes();
    let negative = bytes.first() == Some(&b'-');
    let body = start.get(usize::from(negative)..).unwrap_or("");
    if let Some(rest) = keyword(body, "inf").filter(|_| !body.starts_with(' ')) {
        let value = f64::INFINITY;
        return Ok((
            rest,
            Element::Decimal(if negative { -value } else { value }),
        ));
    }
    if let Some(rest) = body.strip_prefix("nan") {
        return nan(input, rest, negative);
    }
    if !negative {
        if let Some(rest) = keyword(body, "true") {
            return Ok((rest, Element::Bool(true)));
        }
        if let Some(rest) = keyword(body, "false") {
            return Ok((rest, Element::Bool(false)));
        }
    }
    let digits = |from: usize| {
        bytes
            .get(from..)
            .and_then(|b| b.iter().position(|b| !b.is_ascii_digit()))
            .map_or(bytes.len(), |n| from + n)
    };
    let sign = usize::from(negative);
    let whole = digits(sign);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
        end = digits(end + 1);
    }
    let point = end > whole;
    if whole == sign && (end <= sign + 1 || !negative) {
        return expected(input, "a value");
    }
    let mut decimal = point;
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_end = digits(exponent);
        if exponent_end > exponent {
            end = exponent_end;
            decimal = true;
        }
    }
    let (Some(word), Some(rest)) = (start.get(..end), start.get(end..)) else {
        return expected(input, "a value");
    };
    let value = if decimal {
        word.parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .map(Element::Decimal)
    } else {
        word.parse()
            .map(Element::Signed)
            .or_else(|_| word.parse().map(Element::Unsigned))
            .ok()
    };
    match value {
        Some(value)
            if !rest
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') =>
        {
            Ok((rest, value))
        }
        _ => expected(input, "a value that fits 64 bits"),
    }
}

fn nan<'a>(input: &'a str, rest: &'a str, negative: bool) -> Parsed<'a, Element> {
    let Some(hex) = rest.strip_prefix("(0x") else {
        if rest.starts_with('(')
            || rest
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            return expected(input, "a value");
        }
        return Ok((
            rest,
            Element::Nan {
                negative,
                payload: None,
            },
        ));
    };
    let payload = hex.find(')').and_then(|end| {
        let payload = u64::from_str_radix(hex.get(..end)?, 16).ok()?;
        (payload > 0 && payload < 1 << 52).then_some((hex.get(end + 1..)?, payload))
    });
    match payload {
        Some((rest, payload)) => Ok((
            rest,
            Element::Nan {
                negative,
                payload: Some(payload),
            },
        )),
        None => expected(input, "a NaN payload of 1 to 52 bits"),
    }
}

/// Appends `value` as an element of type `to`; says why it is none.
fn store(value: Element, to: PrimitiveType, data: &mut Vec<u8>) -> Result<(), String> {
    use PrimitiveType as P;
    if to == P::Pred {
        let truth = match value {
            Element::Bool(b) => b,
            Element::Signed(i) => i != 0,
            Element::Unsigned(u) => u != 0,
            Element::Decimal(_) | Element::Nan { .. } => {
                return Err("expected `true`, `false` or an integer".to_owned());
            }
        };
        data.push(u8::from(truth));
        return Ok(());
    }
    if to.is_integer() {
        return store_integer(value, to, data);
    }
    match value {
        Element::Bool(_) => Err(format!(
            "expected a number of type {to}, found a truth value"
        )),
        Element::Nan { negative, payload } => store_nan(negative, payload, to, data),
        Element::Signed(i) => store_float(i as f64, to, data),
        Element::Unsigned(u) => store_float(u as f64, to, data),
        Element::Decimal(d) => store_float(d, to, data),
    }
}

fn store_integer(value: Element, to: PrimitiveType, data: &mut Vec<u8>) -> Result<(), String> {
    let bits = to.bits();
    let wide = match value {
        Element::Signed(i) if to == PrimitiveType::U64 => i128::from(i as u64),
        Element::Signed(i) => i128::from(i),
        // 64-bit values wrap into the type of the other sign, as XLA reads them.
        Element::Unsigned(u) if to == PrimitiveType::S64 => i128::from(u as i64),
        Element::Unsigned(u) => i128::from(u),
        Element::Bool(_) | Element::Decimal(_) | Element::Nan { .. } => {
            return Err(format!("expected an integer of type {to}"));
        }
    };
    let (low, high) = if to.is_signed_integer() {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    } else {
        (0, (1i128 << bits) - 1)
    };
    if wide < low || wide > high {
        return Err(format!(
            "{wide} is outside {to}, which holds {low} to {high}"
        ));
    }
    data.extend_from_slice(wide.to_le_bytes().get(..to.bytes()).unwrap_or(&[]));
    Ok(())
}

fn store_float(value: f64, to: PrimitiveType, data: &mut Vec<u8>) -> Result<(), String> {
    use PrimitiveType as P;
    // What rounds to a finite value is inside, even when it is written a little too large.
    let (finite, largest) = match to {
        P::F64 => (true, f64::MAX),
        P::F32 => ((value as f32).is_finite(), f64::from(f32::MAX)),
        P::F16 => (f16::from_f64(value).is_finite(), f64::from(f16::MAX)),
        P::BF16 => (bf16::from_f64(value).is_finite(), f64::from(bf16::MAX)),
        _ => {
            let largest = minifloat::largest(to).unwrap_or(f64::MAX);
            (value.abs() <= largest, largest)
        }
    };
    if value.is_finite() && !finite {
        return Err(format!(
            "{value:e} is outside {to}, which holds {:e} to {largest:e}",
            -largest
        ));
    }
    match to {
        P::F64 => data.extend_from_slice(&value.to_le_bytes()),
        P::F32 => data.extend_from_slice(&(value as f32).to_le_bytes()),
        P::F16 => data.extend_from_slice(&f16::from_f64(value).to_le_bytes()),
        P::BF16 => data.extend_from_slice(&bf16::from_f64(value).to_le_bytes()),
        _ => match minifloat::encode(to, value) {
            Some(byte) => data.push(byte),
            None => return Err(format!("constants of type {to} have no text")),
        },
    }
    Ok(())
}

fn store_nan(
    negative: bool,
    payload: Option<u64>,
    to: PrimitiveType,
    data: &mut Vec<u8>,
) -> Result<(), String> {
    use PrimitiveType as P;
    // Sign, exponent and width of the mantissa of the IEEE-like formats.
    let (bits, mantissa) = match to {
        P::F64 => (64, 52),
        P::F32 => (32, 23),
        P::F16 => (16, 10),
        P::BF16 => (16, 7),
        P::F8E5M2 => (8, 2),
        P::F8E4M3 => (8, 3),
        P::F8E3M4 => (8, 4),
        _ => {
            if let Some(payload) = payload {
                return Err(format!("NaN payload {payload:#x}: {to} has no payloads"));
            }
            let nan = if negative { -f64::NAN } else { f64::NAN };
            return match minifloat::encode(to, nan) {
                Some(byte) => {
                    data.push(byte);
                    Ok(())
                }
                None => Err(format!("constants of type {to} have no text")),
            };
        }
    };
    let all = (1u64 << mantissa) - 1;
    let payload = payload.unwrap_or(1 << (mantissa - 1));
    if payload > all {
        return Err(format!(
            "NaN payload {payload:#x} is outside {to}, which holds up to {all:#x}"
        ));
    }
    let exponent = ((1u64 << (bits - 1)) - 1) & !all;
    let sign = u64::from(negative) << (bits - 1);
    let word = sign | exponent | payload;
    data.extend_from_slice(word.to_le_bytes().get(..bits / 8).unwrap_or(&[]));
    Ok(())
}

/// `shape literal`, shapes before every element of a tuple: what `literal=` takes.
pub(crate) fn shaped_literal<'a>(text: &str, input: &'a str, depth: usize) -> Parsed<'a, Literal> {
    if peek(input) == Some(b'(') {
        if depth >= super::shape::MAX_TUPLE_DEPTH {
            return fail(ParseError::TooDeep {
                limit: super::shape::MAX_TUPLE_DEPTH,
                at: span_of(text, input, skip(input).get(1..).unwrap_or("")),
            });
        }
        let (rest, elements) =
            super::lex::list(input, "(", ")", |i| shaped_literal(text, i, depth + 1))?;
        return Ok((rest, Literal::Tuple(elements)));
    }
    let (rest, shape) = super::shape::shape(text, input)?;
    literal(text, rest, &shape)
}
