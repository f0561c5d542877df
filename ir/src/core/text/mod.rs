//! The text that all IRs share: tokens, names, buffer declarations, arithmetic.
//!
//! ```text
//! buffer = ("input" | "output" | "temp") %NAME ":" TYPE "[" SIZE,* "]" ("{" "sorted" "}")? ("=" (SCALAR | %NAME))?
//! arith  = "constant" SCALAR ":" TYPE
//!        | UNARY %a | BINARY %a "," %b | COMPARE %a "," %b
//!        | "select" %condition "," %on_true "," %on_false
//!        | "convert" %a "to" TYPE
//! ```
//!
//! Space, line ends and comments (`//` to the end of the line) mean nothing. A name is made of
//! letters, digits, `_`, and of `.` or `-` before one of these; values and buffers are written
//! `%name`, programs and callbacks `@name`. Inputs have no `=`; without it a written buffer has
//! no initial value.

mod cursor;
mod lex;

use std::fmt::{self, Write as _};

use cranelift_entity::PrimaryMap;
use hashbrown::HashSet;

pub(crate) use cursor::names;
pub use cursor::{Cursor, Literal, Meaning, Scope};
pub use lex::{Token, TokenKind};

use super::buffer::{Buffer, BufferId, Init, Role};
use super::op::Arith;
use super::types::ElementType;

/// Whether `name` can stand behind `%` or `@`.
pub fn is_name(name: &str) -> bool {
    lex::name_length(name) == Some(name.len())
}

/// A name made of `foreign`: what cannot be part of a name becomes `_`.
pub fn to_name(foreign: &str) -> String {
    let mut name = String::with_capacity(foreign.len());
    for (i, c) in foreign.char_indices() {
        let rest = foreign.get(i + c.len_utf8()..).unwrap_or_default();
        let joins = rest.starts_with(lex::is_name_char);
        let fits = lex::is_name_char(c) || (lex::is_joiner(c) && i > 0 && joins);
        name.push(if fits { c } else { '_' });
    }
    if name.is_empty() {
        name.push('_');
    }
    name
}

/// Gives out names that differ from one another.
#[derive(Clone, Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// `wish`, or `wish_2`, `wish_3`, ... if that was given out before.
    pub fn fresh(&mut self, wish: &str) -> String {
        let wish = to_name(wish);
        let mut name = wish.clone();
        let mut n = 2u64;
        while !self.taken.insert(name.clone()) {
            name = format!("{wish}_{n}");
            n += 1;
        }
        name
    }
}

/// `f32[2,3]`.
pub fn shape(element: ElementType, dims: &[u64]) -> String {
    let mut text = format!("{element}[");
    for (i, d) in dims.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}{d}", if i == 0 { "" } else { "," });
    }
    text.push(']');
    text
}

/// Prints the declarations, one a line, after `indent`.
pub fn print_buffers(
    f: &mut impl fmt::Write,
    indent: &str,
    buffers: &PrimaryMap<BufferId, Buffer>,
) -> fmt::Result {
    for Buffer {
        name,
        element,
        dims,
        role,
        sorted,
        span: _,
    } in buffers.values()
    {
        let (word, init) = match role {
            Role::Input => ("input", None),
            Role::Output(init) => ("output", Some(init)),
            Role::Temp(init) => ("temp", Some(init)),
        };
        write!(f, "{indent}{word} %{name}: {}", shape(*element, dims))?;
        if *sorted {
            f.write_str(" {sorted}")?;
        }
        match init {
            None | Some(Init::Undefined) => {}
            Some(Init::Splat(value)) => write!(f, " = {value}")?,
            Some(Init::Copy(from)) => {
                f.write_str(" = ")?;
                print_buffer_name(f, buffers, *from)?;
            }
        }
        f.write_char('\n')?;
    }
    Ok(())
}

/// Prints `%name`, or the id of a buffer that does not exist.
pub fn print_buffer_name(
    f: &mut impl fmt::Write,
    buffers: &PrimaryMap<BufferId, Buffer>,
    buffer: BufferId,
) -> fmt::Result {
    match buffers.get(buffer) {
        Some(declared) => write!(f, "%{}", declared.name),
        None => write!(f, "%{buffer}"),
    }
}

/// Prints an operation; `name` gives each operand's name without `%`.
pub fn print_arith<V, N: fmt::Display>(
    f: &mut impl fmt::Write,
    arith: &Arith<V>,
    mut name: impl FnMut(&V) -> N,
) -> fmt::Result {
    f.write_str(arith.name())?;
    if let Arith::Constant(scalar) = arith {
        write!(f, " {scalar}: {}", scalar.ty())?;
    }
    for (i, operand) in arith.operands().enumerate() {
        write!(f, "{}%{}", if i == 0 { " " } else { ", " }, name(operand))?;
    }
    if let Arith::Convert(_, to) = arith {
        write!(f, " to {to}")?;
    }
    Ok(())
}

/// Prints `%a, %b, %c`; `name` gives each value's name without `%`.
pub fn print_list<V, N: fmt::Display>(
    f: &mut impl fmt::Write,
    values: &[V],
    mut name: impl FnMut(&V) -> N,
) -> fmt::Result {
    for (i, value) in values.iter().enumerate() {
        write!(f, "{}%{}", if i == 0 { "" } else { ", " }, name(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_become_names_and_names_stay() {
        for foreign in [
            "a b",
            "",
            ".x",
            "x.",
            "a..b",
            "all-reduce.5",
            "-1",
            "é%",
            "1e-7",
        ] {
            let name = to_name(foreign);
            assert!(is_name(&name), "{foreign} {name}");
            assert!(!is_name(foreign) || name == foreign, "{foreign} {name}");
        }
        assert!(!is_name("a..b") && !is_name("") && !is_name("a b"));
    }

    #[test]
    fn names_given_out_differ() {
        let mut names = Names::default();
        let given = ["x", "x", "x_2", "x"].map(|wish| names.fresh(wish));
        assert_eq!(given, ["x", "x_2", "x_2_2", "x_3"]);
    }
}
