//! DLC to text; [`super::parse`] has the grammar.

use std::fmt::{self, Display, Formatter};

use super::{
    Access, AccessOp, Bound, Callback, CaseId, Effect, Pop, Program, Stream, StreamData,
    StreamExpr, Tu, TuData,
};
use crate::core::access::print_lanes;
use crate::core::code::Printer as CodePrinter;
use crate::core::stream::{Dialect, print_effect, print_stream};
use crate::core::{Type, text};

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
                AccessOp::Effect(unit, effect) => self.effect(f, *unit, effect)?,
                AccessOp::RegisterCallback(callback) => self.callback(f, callback)?,
            }
        }
        writeln!(f, "  }}")?;
        writeln!(f, "  execute {{")?;
        writeln!(f, "    compute_loop {{")?;
        for case in self.execute.cases.values() {
            writeln!(f, "      case @{} {{", case.name)?;
            let mut printer = CodePrinter {
                code: &case.code,
                buffers: &self.buffers,
                take: |f: &mut Formatter<'_>, _: &Pop, ty: Option<Type>| match ty {
                    Some(ty) => write!(f, "pop_operand: {ty}"),
                    None => f.write_str("pop_operand"),
                },
            };
            printer.print(f, 8)?;
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
            lanes,
            hints,
            span: _,
        }) = access.units.get(tu)
        else {
            return writeln!(f, "%{tu} = new_tu");
        };
        let kind = match (begin, end) {
            (Bound::Constant(_), Bound::Constant(_)) => "dense",
            (Bound::Value(_), _) | (_, Bound::Value(_)) => "range",
        };
        write!(f, "%{name} = new_tu {kind}")?;
        print_lanes(f, *lanes)?;
        f.write_str(" ")?;
        access.bound(f, *begin)?;
        f.write_str(" to ")?;
        access.bound(f, *end)?;
        write!(f, " step {step}{hints}")?;
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
            StreamExpr::Mask => return writeln!(f, "get_mask %{unit}"),
            StreamExpr::Made(expr) => {
                let name = |stream: &Stream| access.stream_name(*stream);
                print_stream(f, Dialect::Dlc, expr, &self.buffers, name)?;
            }
        }
        writeln!(f, " in %{unit}")
    }

    fn effect(&self, f: &mut Formatter<'_>, unit: Tu, effect: &Effect) -> fmt::Result {
        let name = |stream: &Stream| self.access.stream_name(*stream);
        print_effect(f, Dialect::Dlc, effect, &self.buffers, name)?;
        writeln!(f, " in %{}", self.access.unit_name(unit))
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
            Bound::Value(stream) => write!(f, "%{}", self.stream_name(stream)),
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
