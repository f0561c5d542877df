//! Text to tokens.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{
    char, digit1, hex_digit1, multispace1, not_line_ending, one_of, satisfy,
};
use nom::combinator::{not, opt, peek, recognize, value};
use nom::multi::many0_count;
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser as _};

use crate::core::diag::ParseError;
use crate::core::types::Span;

/// A token and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: TokenKind<'t>,
    /// Where it is.
    pub span: Span,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind<'t> {
    /// `%name`, without the `%`.
    Value(&'t str),
    /// `@name`, without the `@`.
    Symbol(&'t str),
    /// A bare word: keyword, operation, type, `true`, `false`.
    Word(&'t str),
    /// `-1`, `1.5e-7`, `inf`, `nan`, `nan(0x7fc00001)`.
    Number(&'t str),
    /// One of `{ } ( ) [ ] < > , : = ; -> ..`.
    Punctuation(&'static str),
    /// The end of the text.
    End,
}

const PUNCTUATION: [&str; 14] = [
    "->", "..", "{", "}", "(", ")", "[", "]", "<", ">", ",", ":", "=", ";",
];

/// Letter, digit or `_`.
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What may stand between two parts of a name.
pub fn is_joiner(c: char) -> bool {
    c == '.' || c == '-'
}

/// Bytes of the name that `text` starts with.
pub fn name_length(text: &str) -> Option<usize> {
    let (rest, _) = name(text).ok()?;
    Some(text.len() - rest.len())
}

/// `name = part (("." | "-") part)*`, `part = [A-Za-z0-9_]+`.
fn name(text: &str) -> IResult<&str, &str> {
    let part = || take_while1(is_name_char);
    recognize(pair(
        part(),
        many0_count(preceded(satisfy(is_joiner), part())),
    ))
    .parse(text)
}

/// `word = [A-Za-z_] part ("." part)*`.
fn word(text: &str) -> IResult<&str, &str> {
    let part = || take_while1(is_name_char);
    let start = peek(satisfy(|c| c.is_ascii_alphabetic() || c == '_'));
    recognize((start, part(), many0_count((char('.'), part())))).parse(text)
}

/// `number = "-"? (digits ("." digits)? ([eE] [+-]? digits)? | "inf") | "nan" ("(0x" hex ")")?`.
fn number(text: &str) -> IResult<&str, &str> {
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    let decimal = recognize((digit1, opt((char('.'), digit1)), opt(exponent)));
    let bits = (tag("(0x"), hex_digit1, char(')'));
    let end = || not(satisfy(is_name_char));
    alt((
        recognize((opt(char('-')), alt((decimal, tag("inf"))), end())),
        recognize((tag("nan"), alt((recognize(bits), recognize(end()))))),
    ))
    .parse(text)
}

fn punctuation(text: &str) -> IResult<&str, &'static str> {
    for p in PUNCTUATION {
        if let Some(rest) = text.strip_prefix(p) {
            return Ok((rest, p));
        }
    }
    Err(nom::Err::Error(nom::error::Error::new(
        text,
        nom::error::ErrorKind::Tag,
    )))
}

/// Space and comments.
fn blank(text: &str) -> IResult<&str, ()> {
    let comment = terminated(tag("//"), not_line_ending);
    value((), many0_count(alt((multispace1, recognize(comment))))).parse(text)
}

fn token(text: &str) -> IResult<&str, TokenKind<'_>> {
    alt((
        preceded(char('%'), name).map(TokenKind::Value),
        preceded(char('@'), name).map(TokenKind::Symbol),
        number.map(TokenKind::Number),
        word.map(TokenKind::Word),
        punctuation.map(TokenKind::Punctuation),
    ))
    .parse(text)
}

/// All tokens of a text, the last one [`TokenKind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let length = u32::try_from(text.len()).map_err(|_| ParseError::TooLong)?;
    let place = |rest: &str| length - rest.len() as u32;
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        // Skipping blanks takes any text.
        rest = blank(rest).map_or(rest, |(rest, ())| rest);
        let start = place(rest);
        if rest.is_empty() {
            let span = Span { start, end: start };
            tokens.push(Token {
                kind: TokenKind::End,
                span,
            });
            return Ok(tokens);
        }
        match token(rest) {
            Ok((after, kind)) => {
                let span = Span {
                    start,
                    end: place(after),
                };
                tokens.push(Token { kind, span });
                rest = after;
            }
            Err(_) => {
                let found = rest.chars().next().unwrap_or_default();
                let expected = match found {
                    '%' | '@' => "a name after the sigil",
                    _ => "a token",
                };
                return Err(ParseError::Unexpected {
                    expected: expected.to_owned(),
                    found: format!("`{found}`"),
                    span: Span {
                        start,
                        end: start + found.len_utf8() as u32,
                    },
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        let tokens = tokens(text).expect("lexes");
        tokens
            .iter()
            .map(|t| t.kind)
            .take(tokens.len() - 1)
            .collect()
    }

    #[test]
    fn a_range_is_not_part_of_a_name_or_a_number() {
        use TokenKind::*;
        assert_eq!(
            kinds("%a.5..%b-c 0..999 -1..1.5"),
            [
                Value("a.5"),
                Punctuation(".."),
                Value("b-c"),
                Number("0"),
                Punctuation(".."),
                Number("999"),
                Number("-1"),
                Punctuation(".."),
                Number("1.5"),
            ]
        );
    }

    #[test]
    fn special_floats_are_numbers_and_longer_words_are_not() {
        use TokenKind::*;
        assert_eq!(
            kinds("inf -inf nan nan(0x7fc1) nano infinite scf.for // comment"),
            [
                Number("inf"),
                Number("-inf"),
                Number("nan"),
                Number("nan(0x7fc1)"),
                Word("nano"),
                Word("infinite"),
                Word("scf.for"),
            ]
        );
    }

    #[test]
    fn a_stray_character_is_an_error_at_its_place() {
        let error = tokens("add ? b").expect_err("no token");
        let ParseError::Unexpected { found, span, .. } = error else {
            unreachable!("{error}")
        };
        assert_eq!((found.as_str(), span.range()), ("`?`", 4..5));
    }
}
