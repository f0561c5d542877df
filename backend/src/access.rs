//! The access unit's program: its instructions, as the unit is configured with them.
//!
//! An instruction `unit` starts a traversal unit; what follows, up to the next one, belongs to it. Every stream has a
//! slot, which holds its current value. The order of everything is that of DLC ([`hlo2dae_ir::dlc`]): an activation of a
//! unit does its `begin` pushes; for each position its streams and effects in order, its `iterate` pushes and one
//! activation of each child in order; its `end` pushes.
//!
//! ```text
//! access @embedding_bag for @tmu {
//!   input %table: f32[1000,24]
//!   input %ids: s32[32]
//!   output %out: f32[32,24] = 0.0
//!   unit u0 %tu_b: dense 0 to 32 step 1 at layer 0 lane 0 lanes 1 entries 64 {
//!     s0 %b: index = position
//!     s1 %id: s32 = read %ids[s0]
//!     s2 %row: index = convert s1 to index
//!   }
//!   unit u1 %tu_d: dense 0 to 24 step 1 vector 8 in u0 at layer 1 lane 0 lanes 8 entries 64 {
//!     s3 %d: index = position
//!     s4 %x: <8 x f32> = read<8> %table[s2, s3]
//!     push iterate @accumulate(s0, s3, s4)
//!   }
//! }
//! ```
//!
//! A unit placed on the `host` is a loop of the program that drives the machine: it launches the units below it anew at each
//! of its positions, with the slots of the host's loops as parameters.

use std::fmt;

use cranelift_entity::{PrimaryMap, entity_impl};
use hlo2dae_ir::core::{Access, Arith, Bound, LoopHints, ReadHints, Span};
use hlo2dae_ir::dlc::Event;

use crate::execute::CaseId;
use crate::isa::{Def, NewUnit, Vector, instructions};
use crate::value::ValueData;

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
    /// Name and type of each slot, in the order of their definitions.
    pub slots: PrimaryMap<Slot, ValueData>,
    /// The traversal units, in the order of their definitions.
    pub units: PrimaryMap<UnitId, UnitData>,
    /// The instructions.
    pub code: Vec<Instruction>,
}

/// A traversal unit and what belongs to it.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The unit.
    pub unit: &'a Unit,
    /// What follows it, up to the next unit.
    pub body: Vec<&'a Instruction>,
    /// The units that it activates, in order.
    pub children: Vec<UnitId>,
}

impl Program {
    /// The units in the order of their definitions, and those that the program itself activates. The program is a verified one: a unit's
    /// parent stands before it.
    pub fn tree(&self) -> (PrimaryMap<UnitId, Node<'_>>, Vec<UnitId>) {
        let mut units: PrimaryMap<UnitId, Node<'_>> = PrimaryMap::new();
        let mut roots = Vec::new();
        for instruction in &self.code {
            if let Instruction::Unit(unit) = instruction {
                let id = units.push(Node {
                    unit,
                    body: Vec::new(),
                    children: Vec::new(),
                });
                match unit.parent {
                    Some(parent) => units[parent].children.push(id),
                    None => roots.push(id),
                }
            } else if let Some(node) = units.values_mut().last() {
                node.body.push(instruction);
            }
        }
        (units, roots)
    }
}

/// What a traversal unit is called.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitData {
    /// Name without `%`.
    pub name: String,
    /// What the unit stands for.
    pub span: Span,
}

/// The positions that a unit goes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Traversal {
    /// Between constants.
    Dense {
        /// First position.
        begin: i64,
        /// Positions stay below it.
        end: i64,
    },
    /// Between bounds that streams of ancestors give.
    Range {
        /// First position.
        begin: Bound<Slot>,
        /// Positions stay below it.
        end: Bound<Slot>,
    },
    /// So many from where a stream of an ancestor says.
    Index {
        /// First position.
        begin: Slot,
        /// Positions stay below `begin + length`.
        length: i64,
    },
}

/// Where a unit runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On the host, as a loop that launches the units below.
    Host,
    /// On lanes of a layer.
    Layer {
        /// The layer, 0 for the outermost units of a launch.
        layer: u32,
        /// The first lane.
        first_lane: u32,
        /// How many lanes.
        lanes: u32,
        /// Entries that each stream's queue has.
        entries: u32,
    },
}

instructions! {
    /// An instruction of the access unit.
    Instruction "access" {
        /// Starts a traversal unit. It goes through its positions by `step`, times the lanes of a vector unit, whose lane k
        /// stands `k * step` above lane 0.
        0x01 Unit {
            /// The unit.
            to: NewUnit,
            /// Where its positions begin and end.
            traversal: Traversal,
            /// Distance of positions, at least 1.
            step: i64,
            /// Lanes of a vector unit.
            vector: Vector,
            /// The unit that activates it.
            parent: Option<UnitId>,
            /// Lookups in flight, cores, how far to run ahead.
            hints: LoopHints,
            /// Where it runs.
            placement: Placement,
        } "unit {to}: {traversal} step {step}{vector}{parent}{hints} at {placement}";
        /// The position of the unit; of lane 0 in a vector unit.
        0x02 Position {
            /// An `index`.
            to: Def<Slot>,
        } "{to} = position";
        /// Of each lane of a vector unit, whether its position is below the end.
        0x03 Mask {
            /// A vector of `bool`.
            to: Def<Slot>,
        } "{to} = mask";
        /// Reads elements of an input. Lanes that are not active are zero and touch no memory.
        0x04 Read {
            /// What was read.
            to: Def<Slot>,
            /// Where.
            access: Access<Slot>,
            /// Through which cache, and what to keep.
            hints: ReadHints,
        } "{to} = read{access}{hints}";
        /// Arithmetic, lane by lane: the operation is the instruction's word.
        0x05 Compute {
            /// The result.
            to: Def<Slot>,
            /// The operation and its operands.
            arith: Arith<Slot>,
        } "{to} = {arith}";
        /// The same scalar in all lanes.
        0x06 Broadcast {
            /// The vector.
            to: Def<Slot>,
            /// The scalar.
            value: Slot,
            /// How many lanes.
            lanes: u32,
        } "{to} = broadcast {value} : {lanes}";
        /// `base`, `base + step`, ..., one for each lane.
        0x07 Sequence {
            /// The vector.
            to: Def<Slot>,
            /// An `index`.
            base: Slot,
            /// Distance of lanes.
            step: i64,
            /// How many lanes.
            lanes: u32,
        } "{to} = lanes {base} step {step} : {lanes}";
        /// A new empty row. It is full when it is pushed.
        0x08 Row {
            /// The row.
            to: Def<Slot>,
        } "{to} = row";
        /// Appends the active lanes to a row.
        0x09 Append {
            /// A scalar or vector.
            value: Slot,
            /// A row of the unit or of an ancestor.
            row: Slot,
            /// Which lanes are active.
            mask: Option<Slot>,
        } "append {value} to {row}{mask}";
        /// Writes elements of an output that nothing else touches.
        0x0a Write {
            /// What is written.
            value: Slot,
            /// Where.
            access: Access<Slot>,
        } "write {value} to{access}";
        /// Pushes the token of a case on the control queue, then operands on the data queue, when the event happens. A row
        /// is one operand.
        0x0b Push {
            /// When.
            event: Event,
            /// The token.
            case: CaseId,
            /// The operands, in order.
            operands: Vec<Slot>,
        } "push {event} {case}{operands}";
    }
}

impl fmt::Display for UnitData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.name)
    }
}
