//! Region to text.

use std::fmt::{self, Display, Formatter};

use super::{Expr, Extent, IndexMode, Nest, Region, Statement, Value};
use crate::core::text;

impl Display for IndexMode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IndexMode::Clamp => "clamp",
            IndexMode::Fill => "fill",
            IndexMode::Drop => "drop",
            IndexMode::Promise => "promise",
        })
    }
}

impl Display for Region {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Region {
            name,
            buffers: _,
            nests,
        } = self;
        writeln!(f, "region @{name} {{")?;
        text::print_buffers(f, "  ", &self.buffers)?;
        for nest in nests {
            self.print_nest(f, nest)?;
        }
        writeln!(f, "}}")
    }
}

impl Nest {
    /// Name of a value, or its id if it does not exist.
    pub(super) fn name_of(&self, value: Value) -> String {
        match self.values.get(value) {
            Some(data) => data.name.clone(),
            None => value.to_string(),
        }
    }
}

impl Region {
    fn print_nest(&self, f: &mut Formatter<'_>, nest: &Nest) -> fmt::Result {
        let name = |value: &Value| nest.name_of(*value);
        f.write_str("  nest (")?;
        let mut header = 0;
        for statement in &nest.body {
            let Statement::Axis(axis, Extent::Dense(size)) = statement else {
                break;
            };
            let comma = if header == 0 { "" } else { ", " };
            write!(f, "{comma}%{} = {size}", name(axis))?;
            header += 1;
        }
        f.write_str(") {\n")?;
        for statement in nest.body.iter().skip(header) {
            f.write_str("    ")?;
            match statement {
                Statement::Axis(axis, Extent::Dense(size)) => {
                    write!(f, "axis %{} = {size}", name(axis))?;
                }
                Statement::Axis(axis, Extent::Range(begin, end)) => {
                    write!(f, "axis %{} = %{}..%{}", name(axis), name(begin), name(end))?;
                }
                Statement::Let(value, expr) => {
                    write!(f, "%{} = ", name(value))?;
                    self.print_expr(f, nest, expr)?;
                }
                Statement::Combine {
                    op,
                    buffer,
                    indices,
                    value,
                    span: _,
                } => {
                    write!(f, "combine {op} ")?;
                    text::print_buffer_name(f, &self.buffers, *buffer)?;
                    f.write_str("[")?;
                    text::print_list(f, indices, name)?;
                    write!(f, "], %{}", name(value))?;
                }
            }
            f.write_str("\n")?;
        }
        f.write_str("  }\n")
    }

    fn print_expr(&self, f: &mut Formatter<'_>, nest: &Nest, expr: &Expr) -> fmt::Result {
        let name = |value: &Value| nest.name_of(*value);
        match expr {
            Expr::Arith(arith) => text::print_arith(f, arith, name),
            Expr::Index {
                value,
                wrap,
                mode,
                lo,
                hi,
            } => {
                write!(f, "index %{} {{", name(value))?;
                if let Some(n) = wrap {
                    write!(f, "wrap {n}, ")?;
                }
                write!(f, "{mode} {lo}..{hi}}}")
            }
            Expr::Read {
                buffer,
                indices,
                fill,
            } => {
                f.write_str("read ")?;
                text::print_buffer_name(f, &self.buffers, *buffer)?;
                f.write_str("[")?;
                text::print_list(f, indices, name)?;
                f.write_str("]")?;
                match fill {
                    Some(fill) => write!(f, " {{fill {fill}}}"),
                    None => Ok(()),
                }
            }
        }
    }
}
