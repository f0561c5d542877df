//! SLC to text. What is printed can be read back.

use std::fmt::{self, Write as _};

use super::{Body, Bound, Callback, Func, Loop, Step, Stream};
use crate::core::Type;
use crate::core::access::print_lanes;
use crate::core::code::{Printer as CodePrinter, name};
use crate::core::stream::{Dialect, print_effect, print_stream};
use crate::core::text::print_buffers;

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "slc.func @{} {{", self.name)?;
        print_buffers(f, "  ", &self.buffers)?;
        Printer { func: self, f }.body(&self.body, 1)?;
        f.write_str("}\n")
    }
}

struct Printer<'a, 'f> {
    func: &'a Func,
    f: &'a mut fmt::Formatter<'f>,
}

impl Printer<'_, '_> {
    /// Recursion is as deep as loops nest.
    fn body(&mut self, body: &Body, depth: usize) -> fmt::Result {
        let (func, buffers) = (self.func, &self.func.buffers);
        for def in &body.streams {
            self.indent(depth)?;
            write!(self.f, "%{} = ", self.stream(def.stream))?;
            let stream = |&s: &Stream| name(&func.streams, s);
            print_stream(self.f, Dialect::Slc, &def.expr, buffers, stream)?;
            self.f.write_char('\n')?;
        }
        for effect in &body.effects {
            self.indent(depth)?;
            let stream = |&s: &Stream| name(&func.streams, s);
            print_effect(self.f, Dialect::Slc, effect, buffers, stream)?;
            self.f.write_char('\n')?;
        }
        for step in &body.steps {
            self.indent(depth)?;
            match step {
                Step::For(inner) => {
                    self.header(inner)?;
                    self.body(&inner.body, depth + 1)?;
                }
                Step::Callback(callback) => {
                    self.f.write_str("slc.callback {\n")?;
                    self.callback(callback, depth + 1)?;
                }
            }
            self.indent(depth)?;
            self.f.write_str("}\n")?;
        }
        Ok(())
    }

    fn header(&mut self, inner: &Loop) -> fmt::Result {
        let count = inner.lanes.map(|lanes| lanes.count);
        let word = if count.is_some() {
            "slcv.for"
        } else {
            "slc.for"
        };
        self.f.write_str(word)?;
        print_lanes(self.f, count)?;
        let [lower, upper] = [inner.lower, inner.upper].map(|bound| match bound {
            Bound::Constant(position) => position.to_string(),
            Bound::Value(stream) => format!("%{}", self.stream(stream)),
        });
        let (position, step) = (self.stream(inner.induction), inner.step);
        write!(self.f, " %{position} = {lower} to {upper} step {step}")?;
        if let Some(mask) = inner.lanes.and_then(|lanes| lanes.mask) {
            write!(self.f, " mask %{}", self.stream(mask))?;
        }
        writeln!(self.f, "{} {{", inner.hints)
    }

    fn callback(&mut self, callback: &Callback, depth: usize) -> fmt::Result {
        let func = self.func;
        let take = |f: &mut fmt::Formatter<'_>, &stream: &Stream, _: Option<Type>| {
            let word = take_word(func.streams.get(stream).map(|data| data.ty));
            write!(f, "{word} %{}", name(&func.streams, stream))
        };
        let mut printer = CodePrinter {
            code: &callback.code,
            buffers: &func.buffers,
            take,
        };
        printer.print(self.f, 2 * depth)
    }

    fn indent(&mut self, depth: usize) -> fmt::Result {
        write!(self.f, "{:1$}", "", 2 * depth)
    }

    fn stream(&self, stream: Stream) -> String {
        name(&self.func.streams, stream)
    }
}

/// The word that takes from a stream of this type.
pub(super) fn take_word(ty: Option<Type>) -> &'static str {
    match ty {
        Some(Type::Row(_, _)) => "slcv.from_buffer",
        Some(Type::Scalar(_) | Type::Vector(_, _)) | None => "slc.from_stream",
    }
}
