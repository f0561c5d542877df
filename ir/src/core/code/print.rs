//! Code to text.

use std::fmt;

use cranelift_entity::PrimaryMap;

use super::{Code, Expr, For, Statement, Value};
use crate::core::access::{Bound, print_lanes};
use crate::core::buffer::{Buffer, BufferId};
use crate::core::types::Type;
use crate::core::value::ValueData;

/// Prints one code; `take` prints where an operand of a type comes from.
pub(crate) struct Printer<'a, S, F> {
    pub code: &'a Code<S>,
    pub buffers: &'a PrimaryMap<BufferId, Buffer>,
    pub take: F,
}

impl<S, F> Printer<'_, S, F> {
    /// Prints the lines of the code, after `indent` spaces.
    pub(crate) fn print<W: fmt::Write>(&mut self, f: &mut W, indent: usize) -> fmt::Result
    where
        F: FnMut(&mut W, &S, Option<Type>) -> fmt::Result,
    {
        let code = self.code;
        self.block(f, &code.body, indent)
    }

    /// Recursion is as deep as blocks nest.
    fn block<W: fmt::Write>(
        &mut self,
        f: &mut W,
        block: &[Statement<S>],
        indent: usize,
    ) -> fmt::Result
    where
        F: FnMut(&mut W, &S, Option<Type>) -> fmt::Result,
    {
        for statement in block {
            write!(f, "{:indent$}", "")?;
            match statement {
                Statement::Let(value, expr) => {
                    write!(f, "%{} = ", self.name(*value))?;
                    let ty = self.code.values.get(*value).map(|data| data.ty);
                    self.expr(f, expr, ty)?;
                    f.write_char('\n')?;
                }
                Statement::Store {
                    value,
                    access,
                    span: _,
                } => {
                    f.write_str("store")?;
                    print_lanes(f, access.count())?;
                    write!(f, " %{}, ", self.name(*value))?;
                    access.print(f, self.buffers, |&v| self.name(v))?;
                    f.write_char('\n')?;
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: _,
                } => {
                    writeln!(f, "scf.if %{} {{", self.name(*condition))?;
                    self.block(f, then, indent + 2)?;
                    if !otherwise.is_empty() {
                        writeln!(f, "{:indent$}}} else {{", "")?;
                        self.block(f, otherwise, indent + 2)?;
                    }
                    writeln!(f, "{:indent$}}}", "")?;
                }
                Statement::For(inner) => {
                    self.header(f, inner)?;
                    self.block(f, &inner.body, indent + 2)?;
                    writeln!(f, "{:indent$}}}", "")?;
                }
            }
        }
        Ok(())
    }

    fn header<W: fmt::Write>(&self, f: &mut W, inner: &For<S>) -> fmt::Result {
        f.write_str("scf.for")?;
        print_lanes(f, inner.lanes.map(|lanes| lanes.count))?;
        write!(f, " %{} = ", self.name(inner.position))?;
        self.bound(f, inner.lower)?;
        f.write_str(" to ")?;
        self.bound(f, inner.upper)?;
        write!(f, " step {}", inner.step)?;
        self.mask(f, inner.lanes.and_then(|lanes| lanes.mask))?;
        f.write_str(" {\n")
    }

    fn expr<W: fmt::Write>(&mut self, f: &mut W, expr: &Expr<S>, ty: Option<Type>) -> fmt::Result
    where
        F: FnMut(&mut W, &S, Option<Type>) -> fmt::Result,
    {
        match expr {
            Expr::Take(source) => (self.take)(f, source, ty),
            Expr::Compute(compute) => compute.print(f, |&v| self.name(v)),
            Expr::Load(access) => {
                f.write_str("load")?;
                print_lanes(f, access.count())?;
                f.write_char(' ')?;
                access.print(f, self.buffers, |&v| self.name(v))
            }
            Expr::Element { row, index, lanes } => {
                f.write_str("element")?;
                print_lanes(f, lanes.map(|lanes| lanes.count))?;
                write!(f, " %{}[%{}]", self.name(*row), self.name(*index))?;
                self.mask(f, lanes.and_then(|lanes| lanes.mask))
            }
            Expr::Reduce {
                op,
                vector,
                init,
                mask,
            } => {
                let (vector, init) = (self.name(*vector), self.name(*init));
                write!(f, "reduce {op} %{vector}, %{init}")?;
                self.mask(f, *mask)
            }
        }
    }

    fn bound<W: fmt::Write>(&self, f: &mut W, bound: Bound<Value>) -> fmt::Result {
        match bound {
            Bound::Constant(position) => write!(f, "{position}"),
            Bound::Value(value) => write!(f, "%{}", self.name(value)),
        }
    }

    fn mask<W: fmt::Write>(&self, f: &mut W, mask: Option<Value>) -> fmt::Result {
        match mask {
            Some(mask) => write!(f, " mask %{}", self.name(mask)),
            None => Ok(()),
        }
    }

    fn name(&self, value: Value) -> String {
        name(&self.code.values, value)
    }
}

/// The name, or the id of what does not exist.
pub(crate) fn name<E: cranelift_entity::EntityRef + fmt::Display>(
    table: &PrimaryMap<E, ValueData<Type>>,
    entity: E,
) -> String {
    table
        .get(entity)
        .map_or_else(|| entity.to_string(), |data| data.name.clone())
}
