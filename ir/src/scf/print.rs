//! SCF to text.

use std::fmt::{self, Display, Formatter};

use super::{Bound, Expr, Func, Statement, Value, Visit};
use crate::core::text;

impl Display for Func {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "scf.func @{} {{", self.name)?;
        text::print_buffers(f, "  ", &self.buffers)?;
        let mut depth = 1usize;
        let indent = |f: &mut Formatter<'_>, depth: usize| write!(f, "{:1$}", "", 2 * depth);
        for visit in self.walk() {
            match visit {
                Visit::Statement(statement) => {
                    indent(f, depth)?;
                    self.print_statement(f, statement)?;
                    f.write_str("\n")?;
                    match statement {
                        Statement::Let(..) | Statement::Store { .. } => {}
                        Statement::For { .. } | Statement::If { .. } => depth += 1,
                    }
                }
                Visit::Else(_) => {
                    indent(f, depth - 1)?;
                    f.write_str("} else {\n")?;
                }
                Visit::End(_) => {
                    depth -= 1;
                    indent(f, depth)?;
                    f.write_str("}\n")?;
                }
            }
        }
        f.write_str("}\n")
    }
}

impl Func {
    /// Name of a value, or its id if it does not exist.
    pub(super) fn name_of(&self, value: Value) -> String {
        match self.values.get(value) {
            Some(data) => data.name.clone(),
            None => value.to_string(),
        }
    }

    /// A statement without its blocks.
    fn print_statement(&self, f: &mut Formatter<'_>, statement: &Statement) -> fmt::Result {
        let name = |value: &Value| self.name_of(*value);
        let bound = |bound: &Bound| match bound {
            Bound::Constant(n) => n.to_string(),
            Bound::Value(value) => format!("%{}", name(value)),
        };
        match statement {
            Statement::Let(value, Expr::Arith(arith)) => {
                write!(f, "%{} = ", name(value))?;
                text::print_arith(f, arith, name)
            }
            Statement::Let(value, Expr::Load { buffer, indices }) => {
                write!(f, "%{} = load ", name(value))?;
                text::print_buffer_name(f, &self.buffers, *buffer)?;
                f.write_str("[")?;
                text::print_list(f, indices, name)?;
                f.write_str("]")
            }
            Statement::Store {
                value,
                buffer,
                indices,
                span: _,
            } => {
                write!(f, "store %{}, ", name(value))?;
                text::print_buffer_name(f, &self.buffers, *buffer)?;
                f.write_str("[")?;
                text::print_list(f, indices, name)?;
                f.write_str("]")
            }
            Statement::For {
                position,
                begin,
                end,
                step,
                body: _,
            } => {
                let (position, begin, end) = (name(position), bound(begin), bound(end));
                write!(f, "scf.for %{position} = {begin} to {end} step {step} {{")
            }
            Statement::If {
                condition,
                on_true: _,
                on_false: _,
                span: _,
            } => write!(f, "scf.if %{} {{", name(condition)),
        }
    }
}
