//! The execute unit's program, decoded: one list of instructions for each case.
//!
//! The unit pops a token, runs the case that it names to the end of its list, and starts over, until
//! the token is `done`. Registers live no longer than one run of their case. Jumps go forward.
//!
//! ```text
//! execute @embedding_bag {
//!   c0 @accumulate {
//!     0: r0 %b: index = pop
//!     1: r1 %d: index = pop
//!     2: r2 %x: f32 = pop
//!     3: r3 %acc: f32 = load %out[r0, r1]
//!     4: r4 %sum: f32 = add r3, r2
//!     5: store r4, %out[r0, r1]
//!   }
//! }
//! ```

use std::fmt;

use cranelift_entity::{PrimaryMap, entity_impl};
use hlo2dae_ir::core::{Arith, Buffer, BufferId, ScalarType, Span};

/// A case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(u32);
entity_impl!(CaseId, "c");

/// A register of a case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u32);
entity_impl!(Reg, "r");

/// The program of the execute unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The cases of the compute loop.
    pub cases: PrimaryMap<CaseId, Case>,
}

/// What is done for one token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Name without `@`.
    pub name: String,
    /// The registers.
    pub registers: PrimaryMap<Reg, RegData>,
    /// The instructions, from the first to beyond the last.
    pub code: Vec<Instruction>,
    /// What the case stands for.
    pub span: Span,
}

/// What a register holds.
#[derive(Clone, Debug, PartialEq)]
pub struct RegData {
    /// Name of the value, without `%`.
    pub name: String,
    /// Its type.
    pub ty: ScalarType,
    /// What it stands for.
    pub span: Span,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// Takes the next operand of the data queue, and waits for it.
    Pop {
        /// Where it goes.
        to: Reg,
    },
    /// Scalar arithmetic.
    Compute {
        /// Where the result goes.
        to: Reg,
        /// What is computed.
        arith: Arith<Reg>,
    },
    /// Reads an element.
    Load {
        /// Where it goes.
        to: Reg,
        /// Any buffer.
        buffer: BufferId,
        /// One coordinate for each dimension.
        indices: Vec<Reg>,
    },
    /// Writes an element.
    Store {
        /// An output or temporary.
        buffer: BufferId,
        /// One coordinate for each dimension.
        indices: Vec<Reg>,
        /// What is written.
        value: Reg,
        /// What the store stands for.
        span: Span,
    },
    /// Goes on at instruction `target` when the condition is false.
    BranchUnless {
        /// A `bool`.
        condition: Reg,
        /// A later instruction, or the end of the list.
        target: usize,
    },
    /// Goes on at instruction `target`.
    Jump {
        /// A later instruction, or the end of the list.
        target: usize,
    },
}

/// Prints an execute program; [`crate::Artifact::execute_text`] makes it.
pub(crate) struct Text<'a> {
    pub name: &'a str,
    pub program: &'a Program,
    pub buffers: &'a PrimaryMap<BufferId, Buffer>,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "execute @{} {{", self.name)?;
        for (id, case) in &self.program.cases {
            writeln!(f, "  {id} @{} {{", case.name)?;
            for (at, instruction) in case.code.iter().enumerate() {
                write!(f, "    {at}: ")?;
                self.instruction(f, case, instruction)?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

impl Text<'_> {
    fn instruction(
        &self,
        f: &mut fmt::Formatter<'_>,
        case: &Case,
        instruction: &Instruction,
    ) -> fmt::Result {
        let define = |f: &mut fmt::Formatter<'_>, to: Reg| match case.registers.get(to) {
            Some(data) => write!(f, "{to} %{}: {} = ", data.name, data.ty),
            None => write!(f, "{to} = "),
        };
        match instruction {
            Instruction::Pop { to } => {
                define(f, *to)?;
                f.write_str("pop")?;
            }
            Instruction::Compute { to, arith } => {
                define(f, *to)?;
                write_arith(f, arith)?;
            }
            Instruction::Load {
                to,
                buffer,
                indices,
            } => {
                define(f, *to)?;
                f.write_str("load ")?;
                write_element(f, self.buffers, *buffer, indices)?;
            }
            Instruction::Store {
                buffer,
                indices,
                value,
                span: _,
            } => {
                write!(f, "store {value}, ")?;
                write_element(f, self.buffers, *buffer, indices)?;
            }
            Instruction::BranchUnless { condition, target } => {
                write!(f, "branch_unless {condition} to {target}")?;
            }
            Instruction::Jump { target } => write!(f, "jump to {target}")?,
        }
        writeln!(f)
    }
}

/// `add r3, r2`.
pub(crate) fn write_arith<V: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    arith: &Arith<V>,
) -> fmt::Result {
    f.write_str(arith.name())?;
    if let Arith::Constant(scalar) = arith {
        write!(f, " {scalar}")?;
    }
    for (n, operand) in arith.operands().enumerate() {
        write!(f, "{}{operand}", if n > 0 { ", " } else { " " })?;
    }
    if let Arith::Convert(_, to) = arith {
        write!(f, " to {to}")?;
    }
    Ok(())
}

/// `%out[r0, r1]`.
pub(crate) fn write_element<V: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    buffers: &PrimaryMap<BufferId, Buffer>,
    buffer: BufferId,
    indices: &[V],
) -> fmt::Result {
    match buffers.get(buffer) {
        Some(data) => write!(f, "%{}[", data.name)?,
        None => write!(f, "{buffer}[")?,
    }
    for (n, index) in indices.iter().enumerate() {
        write!(f, "{}{index}", if n > 0 { ", " } else { "" })?;
    }
    f.write_str("]")
}
