//! The execute unit's program: one list of instructions for each case.
//!
//! The unit pops a token, runs the case that it names to the end of its list, and starts over, until
//! the token is `done`. Registers live no longer than one run of their case. Branches and jumps go forward; a `for` and its
//! `next` enclose a loop, and nothing but them enters or leaves it.
//!
//! ```text
//! execute @embedding_bag {
//!   c0 @accumulate {
//!     0: r0 %b: index = pop
//!     1: r1 %row: [24 x f32] = pop
//!     2: r2 %d: index = for 0 to 24 step 1 vector 8 until 8
//!     3: r3 %x: <8 x f32> = element<8> r1[r2]
//!     4: r4 %acc: <8 x f32> = load<8> %out[r0, r2]
//!     5: r5 %sum: <8 x f32> = add r4, r3
//!     6: store r5 to<8> %out[r0, r2]
//!     7: next 2
//!   }
//! }
//! ```

use cranelift_entity::{PrimaryMap, entity_impl};
use hlo2dae_ir::core::{Access, Arith, Bound, CombineOp, Lanes, Span};

use crate::isa::{Def, Target, instructions};
use crate::value::ValueData;

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
    /// Name and type of each register, in the order of their definitions.
    pub registers: PrimaryMap<Reg, ValueData>,
    /// The instructions, from the first to beyond the last.
    pub code: Vec<Instruction>,
    /// What the case stands for.
    pub span: Span,
}

instructions! {
    /// An instruction of the execute unit.
    Instruction "execute" {
        /// Takes the next operand of the data queue, and waits for it.
        0x21 Pop {
            /// Where it goes.
            to: Def<Reg>,
        } "{to} = pop";
        /// Arithmetic, lane by lane: the operation is the instruction's word.
        0x22 Compute {
            /// The result.
            to: Def<Reg>,
            /// The operation and its operands.
            arith: Arith<Reg>,
        } "{to} = {arith}";
        /// The same scalar in all lanes.
        0x23 Broadcast {
            /// The vector.
            to: Def<Reg>,
            /// The scalar.
            value: Reg,
            /// How many lanes.
            lanes: u32,
        } "{to} = broadcast {value} : {lanes}";
        /// `base`, `base + step`, ..., one for each lane.
        0x24 Sequence {
            /// The vector.
            to: Def<Reg>,
            /// An `index`.
            base: Reg,
            /// Distance of lanes.
            step: i64,
            /// How many lanes.
            lanes: u32,
        } "{to} = lanes {base} step {step} : {lanes}";
        /// Reads elements of a buffer. Lanes that are not active are zero and touch no memory.
        0x25 Load {
            /// What was read.
            to: Def<Reg>,
            /// Where.
            access: Access<Reg>,
        } "{to} = load{access}";
        /// Writes elements of an output or temporary, the active lanes in order.
        0x26 Store {
            /// What is written.
            value: Reg,
            /// Where.
            access: Access<Reg>,
        } "store {value} to{access}";
        /// Elements of a row, contiguous from `index`. Lanes that are not active are zero.
        0x27 Element {
            /// The element or elements.
            to: Def<Reg>,
            /// How many, and which of them.
            from: RowAccess,
        } "{to} = element{from}";
        /// `((initial op v0) op v1) op ...` over the active lanes, in their order.
        0x28 Reduce {
            /// A scalar.
            to: Def<Reg>,
            /// How the elements are combined.
            op: CombineOp,
            /// The vector.
            vector: Reg,
            /// A scalar.
            initial: Reg,
            /// Which lanes are active.
            mask: Option<Reg>,
        } "{to} = reduce {op} {vector}, {initial}{mask}";
        /// Starts a loop: the position is `lower`; on to `exit` if there is none below `upper`. Lanes and mask are as those of a
        /// traversal unit.
        0x29 For {
            /// The position, an `index`.
            to: Def<Reg>,
            /// First position.
            lower: Bound<Reg>,
            /// Positions stay below it.
            upper: Bound<Reg>,
            /// Distance of positions, at least 1.
            step: i64,
            /// Lanes of a vector loop, and the register of its mask.
            vector: Option<Lanes<Def<Reg>>>,
            /// The instruction behind the loop's `next`.
            exit: Target,
        } "{to} = for {lower} to {upper} step {step}{vector} until {exit}";
        /// Ends a loop: the next position, and back to behind its `for`; on if there is none.
        0x2a Next {
            /// The loop's `for`.
            start: Target,
        } "next {start}";
        /// Goes on at a later instruction, or at the end of the list, when the condition is false.
        0x2b BranchUnless {
            /// A `bool`.
            condition: Reg,
            /// Where to.
            target: Target,
        } "branch_unless {condition} to {target}";
        /// Goes on at a later instruction, or at the end of the list.
        0x2c Jump {
            /// Where to.
            target: Target,
        } "jump {target}";
    }
}

/// Elements of a row: `r1[r2]`, `<8> r1[r2] mask r3`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowAccess {
    /// The row.
    pub row: Reg,
    /// The element of lane 0.
    pub index: Reg,
    /// None for one element.
    pub lanes: Option<Lanes<Reg>>,
}
