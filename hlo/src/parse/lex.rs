//! Words of HLO text.
//!
//! ```text
//! blank   = (' ' | '\t' | '\r' | '\n' | '//' to the end of the line | '/*' to '*/')*
//! ident   = [A-Za-z_][A-Za-z0-9_.-]*
//! name    = '%' ident | ident ':'? , the latter neither glued to '=' nor a reserved word
//! integer = '-'? [0-9]+
//! string  = '"' ... '"' | "'" ... "'" , C escapes, line breaks allowed
//! ```
//!
//! Every parser takes the rest of the text and skips blanks before its word, never after it. The
//! length of the rest is the place: no parser carries a position.

use std::borrow::Cow;

use memchr::memchr2;
use nom::IResult;

use super::error::{Fault, ParseError};
use crate::module::Span;
use crate::shape::PrimitiveType;

/// What a parser of this crate returns.
pub(crate) type Parsed<'a, T> = IResult<&'a str, T, Fault>;

/// Words that cannot be names because they mean something.
const RESERVED: [&str; 19] = [
    "true",
    "false",
    "inf",
    "nan",
    "HloModule",
    "ENTRY",
    "ROOT",
    "FileLocations",
    "FileNames",
    "FunctionNames",
    "StackFrames",
    "maximal",
    "replicated",
    "manual",
    "last_tile_dim_replicate",
    "shard_as",
    "shard_like",
    "unknown",
    "unreduced",
];

const IDENT: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
        b += 1;
    }
    table
};

fn is_ident_byte(b: u8) -> bool {
    IDENT[b as usize]
}

/// An `Expected` failure at `input`.
pub(crate) fn expected<'a, T>(input: &'a str, what: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Error(Fault::Expected {
        rest: skip(input).len(),
        what,
    }))
}

/// A complete error that no alternative can mend.
pub(crate) fn fail<T>(error: ParseError) -> Result<T, nom::Err<Fault>> {
    Err(nom::Err::Failure(Fault::Error(Box::new(error))))
}

/// The rest after blanks and comments.
#[inline(always)]
pub(crate) fn skip(input: &str) -> &str {
    match input.as_bytes() {
        [b' ', b, ..] if *b > b' ' && *b != b'/' => input.get(1..).unwrap_or(""),
        [b, ..] if *b > b' ' && *b != b'/' => input,
        _ => skip_all(input),
    }
}

fn skip_all(mut input: &str) -> &str {
    loop {
        let blank = input
            .bytes()
            .position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
            .unwrap_or(input.len());
        input = input.get(blank..).unwrap_or("");
        if !input.starts_with('/') {
            return input;
        }
        if input.starts_with("//") {
            let line = input.find(['\n', '\r']).unwrap_or(input.len());
            input = input.get(line..).unwrap_or("");
        } else if let Some(body) = input.strip_prefix("/*") {
            match body.find("*/") {
                Some(end) => input = body.get(end + 2..).unwrap_or(""),
                // Unterminated: the comment's start is where the next word fails.
                None => return input,
            }
        } else {
            return input;
        }
    }
}

/// The next byte after blanks, not consumed.
pub(crate) fn peek(input: &str) -> Option<u8> {
    skip(input).bytes().next()
}

/// The punctuation `mark`.
pub(crate) fn punct<'a>(input: &'a str, mark: &'static str) -> Parsed<'a, ()> {
    match skip(input).strip_prefix(mark) {
        Some(rest) => Ok((rest, ())),
        None => expected(
            input,
            match mark {
                "(" => "`(`",
                ")" => "`)`",
                "{" => "`{`",
                "}" => "`}`",
                "[" => "`[`",
                "]" => "`]`",
                "," => "`,`",
                "=" => "`=`",
                ":" => "`:`",
                "->" => "`->`",
                _ => mark,
            },
        ),
    }
}

/// The rest after `mark`, when it comes next.
pub(crate) fn after<'a>(input: &'a str, mark: &str) -> Option<&'a str> {
    skip(input).strip_prefix(mark)
}

/// `ident`, directly here.
fn raw_ident(input: &str) -> Option<(&str, &str)> {
    let bytes = input.as_bytes();
    let first = *bytes.first()?;
    if !(first.is_ascii_alphabetic() || first == b'_') {
        return None;
    }
    let end = bytes
        .iter()
        .position(|&b| !is_ident_byte(b))
        .unwrap_or(bytes.len());
    let (ident, rest) = input.split_at_checked(end)?;
    Some((rest, ident))
}

/// `ident`, whatever follows.
pub(crate) fn ident<'a>(input: &'a str, what: &'static str) -> Parsed<'a, &'a str> {
    match raw_ident(skip(input)) {
        Some(parsed) => Ok(parsed),
        None => expected(input, what),
    }
}

/// The word `word`, not a longer one.
pub(crate) fn keyword<'a>(input: &'a str, word: &str) -> Option<&'a str> {
    let rest = skip(input).strip_prefix(word)?;
    if rest.bytes().next().is_some_and(is_ident_byte) {
        None
    } else {
        Some(rest)
    }
}

/// Whether `word` is the name of a type, which no name may be.
pub(crate) fn is_type_name(word: &str) -> bool {
    matches!(word, "token" | "opaque") || PrimitiveType::from_name(word).is_some()
}

/// `name`, without its `%`.
pub(crate) fn name<'a>(input: &'a str, what: &'static str) -> Parsed<'a, &'a str> {
    let start = skip(input);
    if let Some(rest) = start.strip_prefix('%') {
        return match raw_ident(rest) {
            Some(parsed) => Ok(parsed),
            None => expected(input, what),
        };
    }
    let Some((rest, ident)) = raw_ident(start) else {
        return expected(input, what);
    };
    match rest.bytes().next() {
        Some(b':') => Ok((rest.get(1..).unwrap_or(""), ident)),
        Some(b'=') => expected(input, what),
        _ if reserved(ident).is_some() || dim_labels(start).is_some() => expected(input, what),
        _ => Ok((rest, ident)),
    }
}

/// `ident=`, glued; without the `=`.
pub(crate) fn attribute_name<'a>(input: &'a str) -> Parsed<'a, &'a str> {
    match raw_ident(skip(input)) {
        Some((rest, ident)) => match rest.strip_prefix('=') {
            Some(rest) => Ok((rest, ident)),
            None => expected(input, "an attribute `name=`"),
        },
        None => expected(input, "an attribute `name=`"),
    }
}

/// `integer` that fits 64 signed bits.
pub(crate) fn integer(input: &str) -> Parsed<'_, i64> {
    let start = skip(input);
    let digits = start.strip_prefix('-').unwrap_or(start);
    let sign = start.len() - digits.len();
    let end = digits
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(digits.len());
    let value = (end > 0)
        .then(|| start.get(..sign + end))
        .flatten()
        .and_then(|n| n.parse().ok());
    match (value, start.get(sign + end..)) {
        (Some(value), Some(rest)) => Ok((rest, value)),
        _ => expected(input, "an integer"),
    }
}

/// `true` or `false`.
pub(crate) fn boolean(input: &str) -> Parsed<'_, bool> {
    if let Some(rest) = keyword(input, "true") {
        Ok((rest, true))
    } else if let Some(rest) = keyword(input, "false") {
        Ok((rest, false))
    } else {
        expected(input, "`true` or `false`")
    }
}

/// How many bytes there are up to and with the quote that ends a string.
pub(crate) fn string_end(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut end = 0;
    loop {
        end += memchr2(quote, b'\\', bytes.get(end..)?)? + 1;
        if bytes.get(end - 1) == Some(&quote) {
            return Some(end);
        }
        end += 1;
    }
}

/// The quoted text and its quotes, escapes untouched; nothing else is looked at.
pub(crate) fn raw_string(input: &str) -> Parsed<'_, &str> {
    let start = skip(input);
    let bytes = start.as_bytes();
    if let Some((&quote @ (b'"' | b'\''), inside)) = bytes.split_first()
        && let Some(end) = string_end(inside, quote)
        && let Some((text, rest)) = start.split_at_checked(end + 1)
    {
        return Ok((rest, text));
    }
    expected(input, "a quoted string")
}

/// `string`, unescaped.
pub(crate) fn string(input: &str) -> Parsed<'_, Cow<'_, str>> {
    let (rest, raw) = raw_string(input)?;
    let inner = raw.get(1..raw.len() - 1).unwrap_or("");
    if !inner.contains('\\') {
        return Ok((rest, Cow::Borrowed(inner)));
    }
    match unescape(inner) {
        Some(text) => Ok((rest, Cow::Owned(text))),
        None => expected(input, "a string of valid escapes"),
    }
}

/// Resolves C escapes; bytes that make no UTF-8 become replacement characters.
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().peekable();
    while let Some(b) = bytes.next() {
        if b != b'\\' {
            out.push(b);
            continue;
        }
        match bytes.next()? {
            b'a' => out.push(0x07),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            c @ (b'\\' | b'?' | b'\'' | b'"') => out.push(c),
            c @ b'0'..=b'7' => {
                let mut value = u32::from(c - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(&d @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(d - b'0');
                            bytes.next();
                        }
                        _ => break,
                    }
                }
                out.push(u8::try_from(value).ok()?);
            }
            b'x' | b'X' => {
                let mut value: Option<u32> = None;
                while let Some(d) = bytes.peek().and_then(|&d| char::from(d).to_digit(16)) {
                    value = Some(value.unwrap_or(0).checked_mul(16)?.checked_add(d)?);
                    bytes.next();
                }
                out.push(u8::try_from(value?).ok()?);
            }
            u @ (b'u' | b'U') => {
                let mut value = 0u32;
                for _ in 0..if u == b'u' { 4 } else { 8 } {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    value = value.checked_mul(16)?.checked_add(digit)?;
                }
                let mut utf8 = [0; 4];
                out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut utf8).as_bytes());
            }
            _ => return None,
        }
    }
    Some(match String::from_utf8(out) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    })
}

/// `[0-9bf?]{2,}_[0-9io?]{2,}->[0-9bf?]{2,}`, directly here.
pub(crate) fn dim_labels(input: &str) -> Option<(&str, [&str; 3])> {
    fn letters(input: &str, extra: [u8; 2]) -> Option<(&str, &str)> {
        let end = input
            .bytes()
            .position(|b| !(b.is_ascii_digit() || b == b'?' || extra.contains(&b)))
            .unwrap_or(input.len());
        if end < 2 {
            return None;
        }
        let (letters, rest) = input.split_at_checked(end)?;
        Some((rest, letters))
    }
    let (rest, lhs) = letters(input, [b'b', b'f'])?;
    let (rest, rhs) = letters(rest.strip_prefix('_')?, [b'i', b'o'])?;
    let (rest, out) = letters(rest.strip_prefix("->")?, [b'b', b'f'])?;
    Some((rest, [lhs, rhs, out]))
}

/// A list in `open` and `close`, separated by commas, none at its end.
pub(crate) fn list<'a, T>(
    input: &'a str,
    open: &'static str,
    close: &'static str,
    mut element: impl FnMut(&'a str) -> Parsed<'a, T>,
) -> Parsed<'a, Vec<T>> {
    let mut elements = Vec::new();
    let (rest, ()) = each(input, open, close, |i| {
        let (rest, value) = element(i)?;
        elements.push(value);
        Ok((rest, ()))
    })?;
    Ok((rest, elements))
}

/// A [`list`] whose elements are the reader's own matter.
pub(crate) fn each<'a>(
    input: &'a str,
    open: &'static str,
    close: &'static str,
    mut element: impl FnMut(&'a str) -> Parsed<'a, ()>,
) -> Parsed<'a, ()> {
    let (mut input, ()) = punct(input, open)?;
    if let Some(rest) = after(input, close) {
        return Ok((rest, ()));
    }
    loop {
        let (rest, ()) = element(input)?;
        if let Some(rest) = after(rest, close) {
            return Ok((rest, ()));
        }
        input = match after(rest, ",") {
            Some(next) => next,
            None => return expected(rest, or_comma(close)),
        };
    }
}

/// A comma or what ends a list.
fn or_comma(close: &'static str) -> &'static str {
    match close {
        ")" => "`,` or `)`",
        "}" => "`,` or `}`",
        "]" => "`,` or `]`",
        _ => "`,` or the end of the list",
    }
}

/// The byte after the last that is not blank before `input` ends and `rest` begins.
pub(crate) fn span_of(text: &str, from: &str, to: &str) -> Span {
    let start = text.len().saturating_sub(skip(from).len());
    Span::new(start, text.len().saturating_sub(to.len()).max(start))
}

/// What stands at `input`, to say what was found, and how many bytes it has.
pub(crate) fn found_at(input: &str) -> (String, usize) {
    let start = skip(input);
    let Some(first) = start.chars().next() else {
        return ("the end of the text".to_owned(), 0);
    };
    if start.starts_with("/*") {
        return ("a comment that does not end".to_owned(), start.len());
    }
    if matches!(first, '"' | '\'') {
        return match raw_string(start) {
            Ok((_, text)) if text.len() <= 40 => (format!("`{text}`"), text.len()),
            Ok((_, text)) => ("a string".to_owned(), text.len()),
            Err(_) => ("a string that does not end".to_owned(), 1),
        };
    }
    let end = start
        .bytes()
        .enumerate()
        .position(|(i, b)| !(is_ident_byte(b) || (i == 0 && b == b'%')))
        .unwrap_or(start.len());
    let word = start
        .get(..end.min(60))
        .filter(|w| !w.is_empty() && *w != "%");
    match word {
        Some(word) => (format!("`{word}`"), word.len()),
        None => (format!("`{}`", first.escape_debug()), first.len_utf8()),
    }
}

/// Why a word cannot be a name, if it cannot.
pub(crate) fn reserved(word: &str) -> Option<&'static str> {
    if is_type_name(word) {
        return Some("the name of a type");
    }
    // Most names have a number at their end, and no reserved word has.
    let numbered = word.ends_with(|c: char| c.is_ascii_digit());
    (!numbered && RESERVED.contains(&word)).then_some("a reserved word")
}
