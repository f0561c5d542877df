//! Hints: how a machine reads and runs, never what a program means.
//!
//! ```text
//! read hints = "{" hint,* "}"                          hint = "level" "=" ("l2" | "llc") | "nontemporal" | "reuse" "=" INTEGER
//! loop hints = ("lanes" INTEGER)? ("cores" INTEGER)? ("prefetch" INTEGER)?
//! ```
//!
//! Hints change how a machine reads, never what. `level`: where a miss goes first. `nontemporal`: the line is
//! not read again, and need not stay. `reuse = n`: the last `n` rows read are kept in the access unit, since
//! they tend to be read again.

use std::fmt;

use super::check::Checker;
use super::diag::ParseError;
use super::text::Cursor;
use super::types::Span;

/// How a stream is read; says nothing about what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReadHints {
    /// The cache that reads go to first.
    pub level: Option<ReadLevel>,
    /// What is read is not read again.
    pub nontemporal: bool,
    /// So many rows are kept in the access unit.
    pub reuse: Option<u32>,
}

/// A cache of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// The core's own second level.
    L2,
    /// The last level, shared by all cores.
    Llc,
}

impl ReadLevel {
    /// Both.
    pub const ALL: [ReadLevel; 2] = [ReadLevel::L2, ReadLevel::Llc];

    /// The spelling in the text.
    pub fn name(self) -> &'static str {
        match self {
            ReadLevel::L2 => "l2",
            ReadLevel::Llc => "llc",
        }
    }
}

impl fmt::Display for ReadHints {
    /// `{level = l2, nontemporal, reuse = 4}`; nothing if there is no hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level.map(|level| format!("level = {}", level.name()));
        let nontemporal = self.nontemporal.then(|| "nontemporal".to_owned());
        let reuse = self.reuse.map(|rows| format!("reuse = {rows}"));
        let hints: Vec<String> = [level, nontemporal, reuse].into_iter().flatten().collect();
        if hints.is_empty() {
            return Ok(());
        }
        write!(f, "{{{}}}", hints.join(", "))
    }
}

impl ReadHints {
    /// Reads `{...}`, if it is next.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<ReadHints, ParseError> {
        let mut hints = ReadHints::default();
        if !cursor.eat("{") {
            return Ok(hints);
        }
        loop {
            if cursor.eat_word("level") {
                cursor.expect("=")?;
                let level = ReadLevel::ALL
                    .into_iter()
                    .find(|l| cursor.eat_word(l.name()));
                if level.is_none() {
                    return cursor.unexpected("`l2` or `llc`");
                }
                hints.level = level;
            } else if cursor.eat_word("nontemporal") {
                hints.nontemporal = true;
            } else if cursor.eat_word("reuse") {
                cursor.expect("=")?;
                hints.reuse = Some(cursor.integer("a number of rows")?);
            } else {
                return cursor.unexpected("`level`, `nontemporal` or `reuse`");
            }
            if cursor.eat("}") {
                return Ok(hints);
            }
            if !cursor.eat(",") {
                return cursor.unexpected("`,` or `}`");
            }
        }
    }
}

/// The most cores that share a loop.
pub const MAX_CORES: u32 = 1024;

/// How a machine runs a loop; says nothing about what the loop does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoopHints {
    /// So many positions are in flight at once, each on a lane of the traversal unit.
    pub lanes: Option<u32>,
    /// The positions are dealt to so many cores.
    pub cores: Option<u32>,
    /// The access unit asks for what it reads so many positions ahead.
    pub prefetch: Option<u32>,
}

impl LoopHints {
    /// The hints that are given, by their words.
    pub fn given(self) -> impl Iterator<Item = (&'static str, u32)> {
        let hints = [
            ("lanes", self.lanes),
            ("cores", self.cores),
            ("prefetch", self.prefetch),
        ];
        hints.into_iter().filter_map(|(word, n)| Some((word, n?)))
    }

    /// Reads those that are next.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<LoopHints, ParseError> {
        let mut hint = |word| {
            if cursor.eat_word(word) {
                cursor.integer("a number").map(Some)
            } else {
                Ok(None)
            }
        };
        Ok(LoopHints {
            lanes: hint("lanes")?,
            cores: hint("cores")?,
            prefetch: hint("prefetch")?,
        })
    }

    /// Every number is at least 1, and only a loop that nothing is around is dealt to cores, at most [`MAX_CORES`].
    pub(crate) fn check(self, rule: u32, root: bool, span: Span, checker: &mut Checker<'_>) {
        for (word, n) in self.given() {
            if n == 0 {
                let sentence = format!("`{word}` is at least 1");
                checker.broken(rule, span, sentence);
            }
        }
        if self.cores.is_some_and(|cores| cores > MAX_CORES) {
            let sentence = format!("a loop is dealt to at most {MAX_CORES} cores");
            checker.broken(rule, span, sentence);
        }
        if self.cores.is_some() && !root {
            let sentence = "only a loop that is in no other loop is dealt to cores";
            checker.broken(rule, span, sentence);
        }
    }
}

impl fmt::Display for LoopHints {
    /// A space, then the hint, for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given()
            .try_for_each(|(word, n)| write!(f, " {word} {n}"))
    }
}
