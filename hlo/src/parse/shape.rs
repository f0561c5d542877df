//! Shapes.
//!
//! ```text
//! shape  = '(' (shape (',' shape)*)? ')' | 'b(' array ')' | 'token[]' | 'opaque[]' | array
//! array  = type '[' (dim (',' dim)*)? ']' layout?
//! dim    = integer | '<=' integer | '?'
//! layout = '{' (integer (',' integer)*)? (':' property*)? '}'
//! ```
//!
//! A `{` after `]` opens a layout only if an integer or `:` follows; a computation's body may
//! stand there as well. An array without a stated layout has its dimensions in row-major order.

use super::error::ParseError;
use super::lex::{Parsed, after, expected, fail, ident, integer, peek, punct, skip, span_of};
use crate::shape::{ArrayShape, Layout, PrimitiveType, Shape};

/// Greatest nesting of tuples.
pub(crate) const MAX_TUPLE_DEPTH: usize = 100;

/// Whether a shape, and not a name, stands at `input`.
pub(crate) fn starts_shape(input: &str) -> bool {
    let start = skip(input);
    if start.starts_with('(') || start.starts_with("b(") {
        return true;
    }
    let end = start
        .bytes()
        .position(|b| !b.is_ascii_alphanumeric())
        .unwrap_or(start.len());
    match (start.get(..end), start.get(end..)) {
        (Some(word), Some(rest)) => {
            (word == "token" || word == "opaque" || PrimitiveType::from_name(word).is_some())
                && !rest.starts_with(['_', '.', '-', '=', ':'])
        }
        _ => false,
    }
}

/// `shape`; `text` is the whole text.
pub(crate) fn shape<'a>(text: &str, input: &'a str) -> Parsed<'a, Shape> {
    nested(text, input, 0)
}

fn nested<'a>(text: &str, input: &'a str, depth: usize) -> Parsed<'a, Shape> {
    let start = skip(input);
    if start.starts_with('(') {
        if depth >= MAX_TUPLE_DEPTH {
            return fail(ParseError::TooDeep {
                limit: MAX_TUPLE_DEPTH,
                at: span_of(text, start, start.get(1..).unwrap_or("")),
            });
        }
        let (rest, elements) = super::lex::list(start, "(", ")", |i| nested(text, i, depth + 1))?;
        return Ok((rest, Shape::Tuple(elements)));
    }
    if let Some(inner) = start.strip_prefix("b(") {
        let (rest, array) = array(text, inner)?;
        let (rest, ()) = punct(rest, ")")?;
        return match array {
            Shape::Array(array) => Ok((rest, Shape::Buffer(array))),
            Shape::Tuple(_) | Shape::Token | Shape::Opaque | Shape::Buffer(_) => {
                expected(inner, "an array shape")
            }
        };
    }
    array(text, start)
}

/// Whether a layout, and not a body, stands at `input`.
pub(super) fn opens_layout(input: &str) -> bool {
    let inside = after(input, "{").and_then(peek);
    inside.is_some_and(|b| b.is_ascii_digit() || b == b'-' || b == b':')
}

fn array<'a>(text: &str, input: &'a str) -> Parsed<'a, Shape> {
    let (rest, word) = ident(input, "a shape")?;
    let special = match word {
        "token" => Some(Shape::Token),
        "opaque" => Some(Shape::Opaque),
        _ => None,
    };
    if let Some(shape) = special {
        let (rest, ()) = punct(rest, "[")?;
        let (rest, ()) = punct(rest, "]")?;
        return Ok((rest, shape));
    }
    let Some(element) = PrimitiveType::from_name(word) else {
        return expected(input, "a shape");
    };
    let mut array = ArrayShape::new(element, Vec::new());
    let (mut rest, ()) = punct(rest, "[")?;
    if let Some(end) = after(rest, "]") {
        rest = end;
    } else {
        loop {
            let (next, (size, dynamic)) = dim(rest)?;
            array.dims.push(size);
            if dynamic {
                array.dynamic.resize(array.dims.len() - 1, false);
                array.dynamic.push(true);
            }
            if let Some(end) = after(next, "]") {
                rest = end;
                break;
            }
            rest = match after(next, ",") {
                Some(next) => next,
                None => return expected(next, "`,` or `]`"),
            };
        }
    }
    if array.is_dynamic() {
        array.dynamic.resize(array.dims.len(), false);
    }
    if opens_layout(rest) {
        let (end, stated) = layout(rest)?;
        if stated.minor_to_major.len() != array.rank() {
            return fail(ParseError::Invalid {
                message: format!(
                    "the layout orders {} dimensions, the array has {}",
                    stated.minor_to_major.len(),
                    array.rank()
                ),
                at: span_of(text, rest, end),
            });
        }
        array.layout = Some(stated);
        rest = end;
    } else if array.rank() > 0 {
        array.layout = Some(Layout::row_major(array.rank()));
    }
    Ok((rest, Shape::Array(array)))
}

fn dim(input: &str) -> Parsed<'_, (i64, bool)> {
    if let Some(rest) = after(input, "?") {
        return Ok((rest, (ArrayShape::UNBOUNDED, true)));
    }
    let (start, dynamic) = match after(input, "<=") {
        Some(rest) => (rest, true),
        None => (input, false),
    };
    let (rest, size) = integer(start)?;
    if size < 0 {
        return expected(start, "a dimension's size, at least 0");
    }
    Ok((rest, (size, dynamic)))
}

fn layout(input: &str) -> Parsed<'_, Layout> {
    let (mut rest, ()) = punct(input, "{")?;
    let mut minor_to_major = Vec::new();
    while !matches!(peek(rest), Some(b':' | b'}')) {
        let (next, dim) = integer(rest)?;
        minor_to_major.push(dim);
        rest = match after(next, ",") {
            Some(next) => next,
            None => next,
        };
    }
    let mut suffix = String::new();
    if let Some(properties) = after(rest, ":") {
        let (end, spelled) = super::layout::properties(properties)?;
        suffix = spelled;
        rest = end;
    }
    let (rest, ()) = punct(rest, "}")?;
    Ok((
        rest,
        Layout {
            minor_to_major,
            suffix,
        },
    ))
}
