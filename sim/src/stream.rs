//! Stream text: what the access unit pushes, in order, with the callback that it is for.
//!
//! ```text
//! stream @embedding_bag
//! token @accumulate  iterate %tu_d  %b=0 %l=0 %d=0
//!   operand %b = 0: index
//!   operand %d = 0: index
//!   operand %x = 0.25: f32
//! done
//! summary: 1 tokens, 3 operands, 20 bytes
//! ```
//!
//! One line for each token: the case, the event and the traversal unit that it is pushed for, and the positions
//! of the units around, outermost first; one line for each operand: the stream and its value,
//! in the form that constants have in every IR, so that it is read back as the same bits. A vector has its lanes
//! (`<0.25, 0.5>: <2 x f32>`), a row its elements (`[0.25, 0.5, 1.0]: [3 x f32]`). What the access unit writes itself has
//! one line for each write: where the first element goes and all of them, `write %out[0, 8] = <0.25, 0.5>: f32`. A
//! text of limited length has `... N tokens, N operands more` in place of what was left out; the summary
//! counts everything.

use std::fmt::Write as _;

use hlo2dae_backend::Artifact;
use hlo2dae_ir::core::{Array, Scalar, Type};

use crate::config::Config;
use crate::emulator::Emulator;
use crate::error::SimError;
use crate::trace::{Operand, Token, Trace, Write};

/// A trace that writes stream text.
#[derive(Clone, Debug)]
pub struct StreamText {
    text: String,
    /// Tokens to be written.
    limit: u64,
    tokens: u64,
    operands: u64,
    bytes: u64,
    /// Operands of the tokens that were written.
    written_operands: u64,
    /// Elements that the access unit wrote itself.
    writes: u64,
    done: bool,
}

impl StreamText {
    /// The text of a program's pushes; only the first `limit` tokens and their operands are written.
    pub fn new(program: &str, limit: u64) -> StreamText {
        StreamText {
            text: format!("stream @{program}\n"),
            limit,
            tokens: 0,
            operands: 0,
            bytes: 0,
            written_operands: 0,
            writes: 0,
            done: false,
        }
    }

    /// The text, with its summary.
    pub fn finish(mut self) -> String {
        // Writing to a string does not fail.
        if self.tokens > self.limit {
            let _ = writeln!(
                self.text,
                "... {} tokens, {} operands more",
                self.tokens - self.limit,
                self.operands - self.written_operands
            );
        }
        if self.done {
            self.text.push_str("done\n");
        }
        let _ = write!(
            self.text,
            "summary: {} tokens, {} operands, {} bytes",
            self.tokens, self.operands, self.bytes
        );
        if self.writes > 0 {
            let _ = write!(self.text, ", {} elements written", self.writes);
        }
        self.text.push('\n');
        self.text
    }
}

impl Trace for StreamText {
    fn token(&mut self, token: &Token<'_>) {
        self.tokens += 1;
        if self.tokens > self.limit {
            return;
        }
        let (case, event, unit) = (token.case, token.event.name(), token.unit);
        let _ = write!(self.text, "token @{case}  {event} %{unit}");
        for (n, (name, position)) in token.positions.iter().enumerate() {
            let space = if n == 0 { "  " } else { " " };
            let _ = write!(self.text, "{space}%{name}={position}");
        }
        self.text.push('\n');
    }

    fn operand(&mut self, operand: &Operand<'_>) {
        self.operands += 1;
        self.bytes += operand.ty.bytes();
        if self.tokens > self.limit {
            return;
        }
        self.written_operands += 1;
        let _ = write!(self.text, "  operand %{} = ", operand.stream);
        let (open, close) = match operand.ty {
            Type::Scalar(_) => ("", ""),
            Type::Vector(..) => ("<", ">"),
            Type::Row(..) => ("[", "]"),
        };
        list(&mut self.text, open, close, operand.scalars.iter());
        let _ = writeln!(self.text, ": {}", operand.ty);
    }

    fn write(&mut self, write: &Write<'_>) {
        self.writes += write.elements.len() as u64;
        let Some((first, value)) = write.elements.first() else {
            return;
        };
        // Writes without tokens are limited like tokens.
        if self.tokens > self.limit || self.writes > self.limit.saturating_mul(64) {
            return;
        }
        let indices: Vec<String> = first.iter().map(i64::to_string).collect();
        let _ = write!(
            self.text,
            "write %{}[{}] = ",
            write.buffer,
            indices.join(", ")
        );
        let many = write.elements.len() > 1;
        let (open, close) = if many { ("<", ">") } else { ("", "") };
        list(
            &mut self.text,
            open,
            close,
            write.elements.iter().map(|(_, v)| v),
        );
        let _ = writeln!(self.text, ": {}", value.ty());
    }

    fn done(&mut self) {
        self.done = true;
    }
}

fn list<'a>(text: &mut String, open: &str, close: &str, scalars: impl Iterator<Item = &'a Scalar>) {
    text.push_str(open);
    for (n, scalar) in scalars.enumerate() {
        let _ = write!(text, "{}{scalar}", if n == 0 { "" } else { ", " });
    }
    text.push_str(close);
}

/// The stream text of a run with these inputs.
pub fn stream_text(artifact: &Artifact, inputs: &[Array], limit: u64) -> Result<String, SimError> {
    let mut text = StreamText::new(&artifact.name, limit);
    Emulator::new(artifact, Config::default())?.run_traced(inputs, &mut text)?;
    Ok(text.finish())
}
