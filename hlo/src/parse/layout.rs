//! What follows the `:` of a layout.
//!
//! ```text
//! properties = levels? tiles? alignment? index? pointer? element? space? splits? prefix?
//! levels     = 'D(' level (',' level)* ')'  where  level = ('D' | 'C' | 'S' | 'H') '+'? '~'?
//! tiles      = 'T' ('(' (integer | '*'), ... ')')+
//! alignment  = 'L(' integer ')'        tail padding, in elements
//! index      = '#(' unsigned type ')'
//! pointer    = '*(' unsigned type ')'
//! element    = 'E(' integer ')'        bits of an element
//! space      = 'S(' integer ')'        memory space
//! splits     = 'SC' ('(' integer ':' integer, ... ')')+
//! prefix     = 'M(' integer ')'        bytes of dynamic shape metadata
//! ```
//!
//! The levels of sparse arrays are read and mean nothing any more; a physical shape (`P(...)`)
//! belongs to sparse arrays only and is an error.

use std::fmt::Write;

use super::lex::{Parsed, after, expected, ident, integer, keyword, list, peek, punct, skip};
use crate::shape::PrimitiveType;

/// Properties up to the closing `}`, in canonical spelling.
pub(crate) fn properties(input: &str) -> Parsed<'_, String> {
    let mut out = String::new();
    let mut rest = input;
    if let Some(next) = keyword(rest, "D") {
        (rest, _) = list(next, "(", ")", level)?;
    }
    if let Some(next) = keyword(rest, "T") {
        out.push('T');
        rest = next;
        loop {
            let (next, tile) = list(rest, "(", ")", tile_dimension)?;
            push(&mut out, format_args!("({})", tile.join(",")));
            rest = next;
            if peek(rest) != Some(b'(') {
                break;
            }
        }
    }
    rest = number(rest, "L", 1, &mut out)?.0;
    for mark in ["#", "*"] {
        if let Some(next) = after(rest, mark) {
            let (next, ()) = punct(next, "(")?;
            let (end, word) = ident(next, "an unsigned integer type")?;
            if !PrimitiveType::from_name(word).is_some_and(PrimitiveType::is_unsigned_integer) {
                return expected(next, "an unsigned integer type");
            }
            push(&mut out, format_args!("{mark}({word})"));
            (rest, ()) = punct(end, ")")?;
        }
    }
    rest = number(rest, "E", 0, &mut out)?.0;
    rest = number(rest, "S", 0, &mut out)?.0;
    if let Some(next) = keyword(rest, "SC") {
        out.push_str("SC");
        rest = next;
        loop {
            let (next, ()) = punct(rest, "(")?;
            let (next, dimension) = integer(next)?;
            let (next, indices) = list(next, ":", ")", integer)?;
            let indices: Vec<String> = indices.iter().map(i64::to_string).collect();
            push(
                &mut out,
                format_args!("({dimension}:{})", indices.join(",")),
            );
            rest = next;
            if peek(rest) != Some(b'(') {
                break;
            }
        }
    }
    if keyword(rest, "P").is_some() {
        return expected(rest, "no physical shape, for only sparse arrays have one");
    }
    rest = number(rest, "M", 0, &mut out)?.0;
    if peek(rest) != Some(b'}') {
        return expected(rest, "a property of the layout or `}`");
    }
    Ok((skip(rest), out))
}

fn push(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{value}");
}

fn level(input: &str) -> Parsed<'_, ()> {
    let (rest, word) = ident(input, "`D`, `C`, `S` or `H`")?;
    if !matches!(word, "D" | "C" | "S" | "H") {
        return expected(input, "`D`, `C`, `S` or `H`");
    }
    let rest = after(rest, "+").unwrap_or(rest);
    Ok((after(rest, "~").unwrap_or(rest), ()))
}

fn tile_dimension(input: &str) -> Parsed<'_, String> {
    if let Some(rest) = after(input, "*") {
        return Ok((rest, "*".to_owned()));
    }
    let (rest, size) = integer(input)?;
    Ok((rest, size.to_string()))
}

/// `letter(integer)`, dropped when it says the default.
fn number<'a>(input: &'a str, letter: &str, default: i64, out: &mut String) -> Parsed<'a, ()> {
    let Some(rest) = keyword(input, letter) else {
        return Ok((input, ()));
    };
    let (rest, ()) = punct(rest, "(")?;
    let (rest, value) = integer(rest)?;
    if value != default {
        push(out, format_args!("{letter}({value})"));
    }
    punct(rest, ")")
}
