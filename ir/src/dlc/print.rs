//! DLC to text; [`super::parse`] has the grammar.

use std::fmt::{self, Display, Formatter};

use super::{
    Access, AccessOp, Bound, Callback, Case, CaseId, Expr, Program, Statement, Stream, StreamData,
    StreamExpr, Tu, TuData, Value,
};
use crate::core::text;

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "dlc.program @{} {{", self.name)?;
        text::print_buffers(f, "  ", &self.buffers)?;
        writeln!(f, "  access {{")?;
        for op in &self.access.body {
            f.write_str("    ")?;
            match op {
                AccessOp::NewTu(tu) => self.unit(f, *tu)?,
                AccessOp::Stream(stream) => self.stream(f, *stream)?,
                AccessOp::RegisterCallback(callback) => self.callback(f, callback)?,
            }
        }
        writeln!(f, "  }}")?;
        writeln!(f, "  execute {{")?;
        writeln!(f, "    compute_loop {{")?;
        for case in self.execute.cases.values() {
            writeln!(f, "      case @{} {{", case.name)?;
            self.block(f, case, &case.body, 8)?;
            writeln!(f, "      }}")?;
        }
        writeln!(f, "    }}")?;
        writeln!(f, "  }}")?;
        writeln!(f, "}}")
    }
}

impl Program {
    fn unit(&self, f: &mut Formatter<'_>, tu: Tu) -> fmt::Result {
        let access = &self.access;
        let Some(TuData {
            name,
            parent,
            begin,
            end,
            step,
            span: _,
        }) = access.units.get(tu)
        else {
            return writeln!(f, "%{tu} = new_tu");
        };
        let kind = match (begin, end) {
            (Bound::Constant(_), Bound::Constant(_)) => "dense",
            (Bound::Stream(_), _) | (_, Bound::Stream(_)) => "range",
        };
        write!(f, "%{name} = new_tu {kind} ")?;
        access.bound(f, *begin)?;
        f.write_str(" to ")?;
        access.bound(f, *end)?;
        write!(f, " step {step}")?;
        if let Some(parent) = parent {
            write!(f, " in %{}", access.unit_name(*parent))?;
        }
        writeln!(f)
    }

    fn stream(&self, f: &mut Formatter<'_>, stream: Stream) -> fmt::Result {
        let access = &self.access;
        let Some(StreamData {
            name,
            ty: _,
            unit,
            expr,
            span: _,
        }) = access.streams.get(stream)
        else {
            return writeln!(f, "%{stream} = get_ind_var");
        };
        let unit = access.unit_name(*unit);
        write!(f, "%{name} = ")?;
        match expr {
            StreamExpr::InductionVariable => return writeln!(f, "get_ind_var %{unit}"),
            StreamExpr::Mem { buffer, indices } => {
                f.write_str("mem_stream ")?;
                text::print_buffer_name(f, &self.buffers, *buffer)?;
                f.write_str("[")?;
                text::print_list(f, indices, |index| access.stream_name(*index))?;
                f.write_str("]")?;
            }
            StreamExpr::Alu(arith) => {
                f.write_str("alu_stream ")?;
                text::print_arith(f, arith, |operand| access.stream_name(*operand))?;
            }
        }
        writeln!(f, " in %{unit}")
    }

    fn callback(&self, f: &mut Formatter<'_>, callback: &Callback) -> fmt::Result {
        let Callback {
            unit,
            event,
            case,
            operands,
            span: _,
        } = callback;
        write!(
            f,
            "register_callback %{} {} @{} {{",
            self.access.unit_name(*unit),
            event.name(),
            self.case_name(*case)
        )?;
        if operands.is_empty() {
            return writeln!(f, "}}");
        }
        writeln!(f)?;
        for operand in operands {
            let name = self.access.stream_name(operand.stream);
            writeln!(f, "      register_operand %{name}")?;
        }
        writeln!(f, "    }}")
    }

    /// Recursion is as deep as `scf.if`s nest.
    fn block(
        &self,
        f: &mut Formatter<'_>,
        case: &Case,
        statements: &[Statement],
        indent: usize,
    ) -> fmt::Result {
        for statement in statements {
            write!(f, "{:indent$}", "")?;
            match statement {
                Statement::Let(value, expr) => {
                    write!(f, "%{} = ", case.value_name(*value))?;
                    match expr {
                        Expr::Pop => match case.values.get(*value) {
                            Some(data) => write!(f, "pop_operand: {}", data.ty)?,
                            None => f.write_str("pop_operand")?,
                        },
                        Expr::Arith(arith) => {
                            text::print_arith(f, arith, |value| case.value_name(*value))?;
                        }
                        Expr::Load { buffer, indices } => {
                            f.write_str("load ")?;
                            text::print_buffer_name(f, &self.buffers, *buffer)?;
                            f.write_str("[")?;
                            text::print_list(f, indices, |value| case.value_name(*value))?;
                            f.write_str("]")?;
                        }
                    }
                    writeln!(f)?;
                }
                Statement::Store {
                    buffer,
                    indices,
                    value,
                    span: _,
                } => {
                    write!(f, "store %{}, ", case.value_name(*value))?;
                    text::print_buffer_name(f, &self.buffers, *buffer)?;
                    f.write_str("[")?;
                    text::print_list(f, indices, |value| case.value_name(*value))?;
                    f.write_str("]\n")?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: _,
                } => {
                    writeln!(f, "scf.if %{} {{", case.value_name(*condition))?;
                    self.block(f, case, then, indent + 2)?;
                    if !otherwise.is_empty() {
                        writeln!(f, "{:indent$}}} else {{", "")?;
                        self.block(f, case, otherwise, indent + 2)?;
                    }
                    writeln!(f, "{:indent$}}}", "")?;
                }
            }
        }
        Ok(())
    }

    /// Name of a case without `@`; the id if there is no such case.
    fn case_name(&self, case: CaseId) -> String {
        let data = self.execute.cases.get(case);
        data.map_or_else(|| case.to_string(), |data| data.name.clone())
    }
}

impl Access {
    fn bound(&self, f: &mut Formatter<'_>, bound: Bound) -> fmt::Result {
        match bound {
            Bound::Constant(value) => write!(f, "{value}"),
            Bound::Stream(stream) => write!(f, "%{}", self.stream_name(stream)),
        }
    }

    /// Name of a unit without `%`; the id if there is no such unit.
    pub(super) fn unit_name(&self, tu: Tu) -> String {
        let data = self.units.get(tu);
        data.map_or_else(|| tu.to_string(), |data| data.name.clone())
    }

    /// Name of a stream without `%`; the id if there is no such stream.
    pub(super) fn stream_name(&self, stream: Stream) -> String {
        let data = self.streams.get(stream);
        data.map_or_else(|| stream.to_string(), |data| data.name.clone())
    }
}

impl Case {
    /// Name of a value without `%`; the id if there is no such value.
    fn value_name(&self, value: Value) -> String {
        let data = self.values.get(value);
        data.map_or_else(|| value.to_string(), |data| data.name.clone())
    }
}
