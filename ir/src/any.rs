//! A program of whichever IR its text is in.

use std::fmt;
use std::str::FromStr;

use crate::core::{Ir, ParseError, Span};
use crate::{dlc, region, scf, slc};

/// A program of any IR. The first word of the text tells which: `region`, `scf.func`, `slc.func`,
/// `dlc.program`; comments may stand before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Program {
    /// What is looked up, by what, combined how.
    Region(region::Region),
    /// Loops, loads, stores.
    Scf(scf::Func),
    /// Streams and callbacks.
    Slc(slc::Func),
    /// Access program and execute program.
    Dlc(dlc::Program),
}

macro_rules! programs {
    ($($variant:ident $type:ty,)*) => {
        impl Program {
            /// The words that a program's text may start with.
            pub const KEYWORDS: &'static [&'static str] = &[$(<$type>::KEYWORD,)*];

            /// Name of the program, without `@`.
            pub fn name(&self) -> &str {
                match self { $(Program::$variant(program) => program.name(),)* }
            }

            /// Name of the IR.
            pub fn ir(&self) -> &'static str {
                match self { $(Program::$variant(_) => <$type>::NAME,)* }
            }
        }

        impl fmt::Display for Program {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Program::$variant(program) => program.fmt(f),)* }
            }
        }

        impl FromStr for Program {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Program, ParseError> {
                let (word, span) = first_word(text);
                $(if word == <$type>::KEYWORD {
                    return text.parse().map(Program::$variant);
                })*
                Err(ParseError::Unexpected {
                    expected: Program::KEYWORDS.join(", "),
                    found: if word.is_empty() { "the end".into() } else { format!("`{word}`") },
                    span,
                })
            }
        }

        $(impl From<$type> for Program {
            fn from(program: $type) -> Program {
                Program::$variant(program)
            }
        })*
    };
}

programs! {
    Region region::Region,
    Scf scf::Func,
    Slc slc::Func,
    Dlc dlc::Program,
}

impl Program {
    /// Whether a text starts as a program does; anything else may be HLO.
    pub fn starts(text: &str) -> bool {
        Program::KEYWORDS.contains(&first_word(text).0)
    }

    /// Reads programs that follow one another, each starting on a line of its own.
    pub fn parse_all(text: &str) -> Result<Vec<Program>, ParseError> {
        let starts_program = |line: &str| {
            Program::KEYWORDS.iter().any(|word| {
                line.strip_prefix(word)
                    .is_some_and(|rest| rest.starts_with([' ', '@']))
            })
        };
        let mut starts = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if starts_program(line) {
                starts.push(at);
            }
            at += line.len();
        }
        // What stands before the second program, comments included, belongs to the first.
        let first = if starts.len() > 1 {
            starts[1]
        } else {
            text.len()
        };
        let mut programs = vec![text[..first].parse()?];
        let ends = starts.iter().skip(2).copied().chain([text.len()]);
        for (&start, end) in starts.iter().skip(1).zip(ends) {
            // What stands before is blanked out, so that places in errors are places in the text.
            let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
            let before: String = text.bytes().take(start).map(blank).collect();
            programs.push((before + &text[start..end]).parse()?);
        }
        Ok(programs)
    }
}

/// The first word after white space and comments, or the character that is not a word.
fn first_word(text: &str) -> (&str, Span) {
    let mut rest = text.trim_start();
    while rest.starts_with("//") {
        rest = rest
            .split_once('\n')
            .map_or("", |(_, after)| after)
            .trim_start();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let end = match rest.find(|c| !is_word(c)) {
        Some(0) => rest.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
        None => rest.len(),
    };
    let start = text.len() - rest.len();
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    (
        &rest[..end],
        Span {
            start: place(start),
            end: place(start + end),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_tells_the_ir() {
        let text = "// a comment\n\n  region @empty {\n}\n";
        let program: Program = text.parse().unwrap();
        assert_eq!(program.ir(), "region");
        assert_eq!(program.to_string().parse(), Ok(program));
    }

    #[test]
    fn other_text_is_told_what_was_expected() {
        for (text, found) in [
            ("", "the end"),
            ("// only a comment", "the end"),
            ("HloModule m", "`HloModule`"),
            ("é", "`é`"),
        ] {
            match text.parse::<Program>() {
                Err(ParseError::Unexpected { found: f, .. }) => assert_eq!(f, found),
                other => panic!("{other:?}"),
            }
        }
    }
}
