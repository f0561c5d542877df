//! The access unit's program, decoded: what its traversal units are configured with.
//!
//! Every stream has a slot, which holds its current value. The order of everything is that of DLC
//! ([`hlo2dae_ir::dlc`]): an activation of a unit does its `begin` pushes; for each position its streams
//! in order, its `iterate` pushes and one activation of each child in order; its `end` pushes.
//!
//! ```text
//! access @embedding_bag {
//!   u0 %tu_b: dense 0 to 32 step 1 {
//!     s0 %b: index = position
//!   }
//!   u1 %tu_d: dense 0 to 24 step 1 in u0 {
//!     s1 %d: index = position
//!     s2 %x: f32 = read %table[s0, s1]
//!     on iterate push @accumulate(s0, s1, s2)
//!   }
//! }
//! ```

use std::fmt;

use cranelift_entity::{PrimaryMap, entity_impl};
use hlo2dae_ir::core::{Arith, Buffer, BufferId, ScalarType, Span};
use hlo2dae_ir::dlc::Event;

use crate::execute::{CaseId, write_arith, write_element};

/// A traversal unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(u32);
entity_impl!(UnitId, "u");

/// The place of a stream's current value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);
entity_impl!(Slot, "s");

/// The program of the access unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The slots.
    pub slots: PrimaryMap<Slot, SlotData>,
    /// The traversal units, parents before their children.
    pub units: PrimaryMap<UnitId, Unit>,
    /// The units activated once each, in order.
    pub roots: Vec<UnitId>,
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotData {
    /// Name of the stream, without `%`.
    pub name: String,
    /// Type of its values.
    pub ty: ScalarType,
    /// What the stream stands for.
    pub span: Span,
}

/// A traversal unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Name without `%`.
    pub name: String,
    /// The unit that activates it; the program itself if none.
    pub parent: Option<UnitId>,
    /// The units that it activates at each position, in order.
    pub children: Vec<UnitId>,
    /// First position.
    pub begin: Bound,
    /// Positions stay below it.
    pub end: Bound,
    /// Distance of positions, at least 1.
    pub step: i64,
    /// What advances at each position, in order.
    pub streams: Vec<Stream>,
    /// What is pushed, in order.
    pub callbacks: Vec<Callback>,
    /// What the unit stands for.
    pub span: Span,
}

/// A bound of a traversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Fixed in the program.
    Constant(i64),
    /// The value of an ancestor's stream when the unit is activated.
    Slot(Slot),
}

/// A stream and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Where its value goes.
    pub slot: Slot,
    /// Where its value comes from.
    pub source: Source,
}

/// Where a stream's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The position of the unit.
    Position,
    /// An element of an input.
    Read {
        /// The input.
        buffer: BufferId,
        /// One coordinate for each dimension.
        indices: Vec<Slot>,
    },
    /// Arithmetic on slots.
    Compute(Arith<Slot>),
}

/// A push: the token of a case, then operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    /// When.
    pub event: Event,
    /// The token.
    pub case: CaseId,
    /// The operands, in order.
    pub operands: Vec<Slot>,
    /// What the callback stands for.
    pub span: Span,
}

impl Unit {
    /// The pushes of one event, in order.
    pub fn on(&self, event: Event) -> impl Iterator<Item = &Callback> {
        self.callbacks.iter().filter(move |c| c.event == event)
    }
}

/// Prints an access program; [`crate::Artifact::access_text`] makes it.
pub(crate) struct Text<'a> {
    pub name: &'a str,
    pub program: &'a Program,
    pub buffers: &'a PrimaryMap<BufferId, Buffer>,
    pub cases: &'a PrimaryMap<CaseId, crate::execute::Case>,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "access @{} {{", self.name)?;
        for (id, unit) in &self.program.units {
            self.unit(f, id, unit)?;
        }
        writeln!(f, "}}")
    }
}

impl Text<'_> {
    fn unit(&self, f: &mut fmt::Formatter<'_>, id: UnitId, unit: &Unit) -> fmt::Result {
        let kind = match (unit.begin, unit.end) {
            (Bound::Constant(_), Bound::Constant(_)) => "dense",
            (Bound::Slot(_), _) | (_, Bound::Slot(_)) => "range",
        };
        write!(
            f,
            "  {id} %{}: {kind} {} to {} step {}",
            unit.name, unit.begin, unit.end, unit.step
        )?;
        if let Some(parent) = unit.parent {
            write!(f, " in {parent}")?;
        }
        writeln!(f, " {{")?;
        for stream in &unit.streams {
            write!(f, "    {}", stream.slot)?;
            if let Some(data) = self.program.slots.get(stream.slot) {
                write!(f, " %{}: {}", data.name, data.ty)?;
            }
            f.write_str(" = ")?;
            match &stream.source {
                Source::Position => f.write_str("position")?,
                Source::Read { buffer, indices } => {
                    f.write_str("read ")?;
                    write_element(f, self.buffers, *buffer, indices)?;
                }
                Source::Compute(arith) => write_arith(f, arith)?,
            }
            writeln!(f)?;
        }
        for event in Event::ALL {
            for callback in unit.on(event) {
                write!(f, "    on {} push ", event.name())?;
                match self.cases.get(callback.case) {
                    Some(case) => write!(f, "@{}", case.name)?,
                    None => write!(f, "{}", callback.case)?,
                }
                let operands: Vec<String> = callback.operands.iter().map(Slot::to_string).collect();
                writeln!(f, "({})", operands.join(", "))?;
            }
        }
        writeln!(f, "  }}")
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Constant(value) => write!(f, "{value}"),
            Bound::Slot(slot) => write!(f, "{slot}"),
        }
    }
}
