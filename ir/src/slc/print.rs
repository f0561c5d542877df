//! SLC to text. What is printed can be read back.

use std::fmt::{self, Write as _};

use cranelift_entity::{EntityRef, PrimaryMap};

use super::{Body, Bound, Callback, Expr, Func, Statement, Step, Stream, StreamExpr};
use crate::core::text::{print_arith, print_buffer_name, print_buffers, print_list};
use crate::core::{BufferId, ValueData};

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
    fn body(&mut self, body: &Body, depth: usize) -> fmt::Result {
        for def in &body.streams {
            self.indent(depth)?;
            write!(self.f, "%{} = ", self.stream(def.stream))?;
            match &def.expr {
                StreamExpr::Mem { buffer, indices } => {
                    self.f.write_str("slc.mem_stream ")?;
                    let streams = &self.func.streams;
                    self.access(*buffer, indices, |&s| name(streams, s))?;
                }
                StreamExpr::Alu(arith) => {
                    self.f.write_str("slc.alu_stream ")?;
                    print_arith(self.f, arith, |&s| name(&self.func.streams, s))?;
                }
            }
            self.f.write_char('\n')?;
        }
        for step in &body.steps {
            self.indent(depth)?;
            match step {
                Step::For(inner) => {
                    let [lower, upper] = [inner.lower, inner.upper].map(|bound| match bound {
                        Bound::Constant(position) => position.to_string(),
                        Bound::Stream(stream) => format!("%{}", self.stream(stream)),
                    });
                    let (position, step) = (self.stream(inner.induction), inner.step);
                    writeln!(
                        self.f,
                        "slc.for %{position} = {lower} to {upper} step {step} {{"
                    )?;
                    self.body(&inner.body, depth + 1)?;
                }
                Step::Callback(callback) => {
                    self.f.write_str("slc.callback {\n")?;
                    self.statements(callback, &callback.body, depth + 1)?;
                }
            }
            self.indent(depth)?;
            self.f.write_str("}\n")?;
        }
        Ok(())
    }

    fn statements(
        &mut self,
        callback: &Callback,
        statements: &[Statement],
        depth: usize,
    ) -> fmt::Result {
        let values = &callback.values;
        for statement in statements {
            self.indent(depth)?;
            match statement {
                Statement::Let(value, expr) => {
                    write!(self.f, "%{} = ", name(values, *value))?;
                    match expr {
                        Expr::FromStream(stream) => {
                            write!(self.f, "slc.from_stream %{}", self.stream(*stream))?;
                        }
                        Expr::Arith(arith) => {
                            print_arith(self.f, arith, |&v| name(values, v))?;
                        }
                        Expr::Load { buffer, indices } => {
                            self.f.write_str("load ")?;
                            self.access(*buffer, indices, |&v| name(values, v))?;
                        }
                    }
                }
                Statement::Store {
                    buffer,
                    indices,
                    value,
                    span: _,
                } => {
                    write!(self.f, "store %{}, ", name(values, *value))?;
                    self.access(*buffer, indices, |&v| name(values, v))?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: _,
                } => {
                    writeln!(self.f, "scf.if %{} {{", name(values, *condition))?;
                    self.statements(callback, then, depth + 1)?;
                    if !otherwise.is_empty() {
                        self.indent(depth)?;
                        self.f.write_str("} else {\n")?;
                        self.statements(callback, otherwise, depth + 1)?;
                    }
                    self.indent(depth)?;
                    self.f.write_char('}')?;
                }
            }
            self.f.write_char('\n')?;
        }
        Ok(())
    }

    /// `%buffer[%i, %j]`.
    fn access<V, N: fmt::Display>(
        &mut self,
        buffer: BufferId,
        indices: &[V],
        name: impl FnMut(&V) -> N,
    ) -> fmt::Result {
        print_buffer_name(self.f, &self.func.buffers, buffer)?;
        self.f.write_char('[')?;
        print_list(self.f, indices, name)?;
        self.f.write_char(']')
    }

    fn indent(&mut self, depth: usize) -> fmt::Result {
        write!(self.f, "{:1$}", "", 2 * depth)
    }

    fn stream(&self, stream: Stream) -> String {
        name(&self.func.streams, stream)
    }
}

/// The name, or the id of what does not exist.
fn name<E: EntityRef + fmt::Display>(table: &PrimaryMap<E, ValueData>, entity: E) -> String {
    table
        .get(entity)
        .map_or_else(|| entity.to_string(), |data| data.name.clone())
}
