//! What follows the `:` of a layout.
//!
//! ```text
//! property = [A-Z]+ group+ | group
//! group    = '(' anything balanced ')'
//! ```

use super::lex::{Parsed, expected, skip};

/// Properties up to the closing `}`, blanks removed; `text` is the whole text.
pub(crate) fn properties<'a>(_text: &str, input: &'a str) -> Parsed<'a, String> {
    let mut out = String::new();
    let mut rest = skip(input);
    let mut depth = 0usize;
    loop {
        rest = skip(rest);
        let Some(c) = rest.chars().next() else {
            return expected(rest, "`}`");
        };
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Ok((rest, out)),
            '}' => depth -= 1,
            _ => {}
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
}
