//! DLC to the two programs.
//!
//! Takes a verified program. Units, slots and registers are numbered in the order of their definitions; the streams of a
//! unit come before its effects, and these before its pushes, which is the order in which they happen. `if` becomes forward
//! jumps, `for` a loop.

use cranelift_entity::{EntityRef, PrimaryMap, SecondaryMap};
use hlo2dae_ir::core::code::{Expr, For as Loop, Statement, Value};
use hlo2dae_ir::core::{self, Arith, BinaryOp, Bound, Compute, Lanes, Scalar};
use hlo2dae_ir::dlc::{self, AccessOp, Effect, Event, StreamExpr};

use crate::access::{self, Placement, Slot, Traversal, UnitData, UnitId};
use crate::artifact::Artifact;
use crate::execute::{self, Case, CaseId, Instruction, Reg, RowAccess};
use crate::isa::{Def, NewUnit, Target, Vector};
use crate::value::ValueData;

pub(crate) fn select(program: &dlc::Program, machine: &str) -> Artifact {
    let cases = program.execute.cases.values();
    Artifact {
        name: program.name.clone(),
        machine: machine.to_owned(),
        buffers: program.buffers.clone(),
        access: access(&program.access),
        execute: execute::Program {
            cases: cases.map(case).collect(),
        },
    }
}

/// The lines of a unit, in the order of the text.
#[derive(Clone, Default)]
struct Lines<'a> {
    streams: Vec<dlc::Stream>,
    effects: Vec<&'a Effect>,
    callbacks: Vec<&'a dlc::Callback>,
}

fn access(from: &dlc::Access) -> access::Program {
    let mut lines: SecondaryMap<dlc::Tu, Lines<'_>> = SecondaryMap::new();
    let mut order = Vec::new();
    for op in &from.body {
        match op {
            AccessOp::NewTu(tu) => order.push(*tu),
            AccessOp::Stream(stream) => {
                lines[from.streams[*stream].unit].streams.push(*stream);
            }
            AccessOp::Effect(tu, effect) => lines[*tu].effects.push(effect),
            AccessOp::RegisterCallback(callback) => lines[callback.unit].callbacks.push(callback),
        }
    }
    let mut selector = Access {
        from,
        to: access::Program::default(),
        units: SecondaryMap::with_default(UnitId::new(0)),
        slots: SecondaryMap::with_default(Slot::new(0)),
    };
    for tu in order {
        selector.unit(tu, &lines[tu]);
    }
    selector.to
}

struct Access<'a> {
    from: &'a dlc::Access,
    to: access::Program,
    units: SecondaryMap<dlc::Tu, UnitId>,
    slots: SecondaryMap<dlc::Stream, Slot>,
}

impl Access<'_> {
    fn unit(&mut self, tu: dlc::Tu, lines: &Lines<'_>) {
        let data = &self.from.units[tu];
        let id = self.to.units.push(UnitData {
            name: data.name.clone(),
            span: data.span,
        });
        self.units[tu] = id;
        let unit = access::Unit {
            to: NewUnit(id),
            traversal: self.traversal(data.begin, data.end),
            step: data.step,
            vector: Vector(data.lanes),
            parent: data.parent.map(|parent| self.units[parent]),
            hints: data.hints,
            placement: Placement::Host,
        };
        self.to.code.push(unit.into());
        for &stream in &lines.streams {
            self.stream(stream);
        }
        for effect in &lines.effects {
            self.effect(effect);
        }
        for event in Event::ALL {
            for callback in lines.callbacks.iter().filter(|c| c.event == event) {
                let operands = callback.operands.iter();
                let push = access::Push {
                    event,
                    case: CaseId::new(callback.case.index()),
                    operands: operands.map(|o| self.slots[o.stream]).collect(),
                };
                self.to.code.push(push.into());
            }
        }
    }

    /// A range that begins at a stream and ends a constant further has a kind of its own.
    fn traversal(&self, begin: dlc::Bound, end: dlc::Bound) -> Traversal {
        match (begin, end) {
            (Bound::Constant(begin), Bound::Constant(end)) => Traversal::Dense { begin, end },
            (Bound::Value(begin), Bound::Value(end)) => match self.distance(begin, end) {
                Some(length) => Traversal::Index {
                    begin: self.slots[begin],
                    length,
                },
                None => Traversal::Range {
                    begin: Bound::Value(self.slots[begin]),
                    end: Bound::Value(self.slots[end]),
                },
            },
            (Bound::Constant(_), Bound::Value(_)) | (Bound::Value(_), Bound::Constant(_)) => {
                Traversal::Range {
                    begin: begin.map(|stream| self.slots[stream]),
                    end: end.map(|stream| self.slots[stream]),
                }
            }
        }
    }

    /// `n`, not negative, if `end` is `begin + n`.
    fn distance(&self, begin: dlc::Stream, end: dlc::Stream) -> Option<i64> {
        let arith = |stream: dlc::Stream| match &self.from.streams[stream].expr {
            StreamExpr::Made(core::StreamExpr::Compute(Compute::Arith(arith))) => Some(arith),
            StreamExpr::Made(_) | StreamExpr::InductionVariable | StreamExpr::Mask => None,
        };
        let Some(Arith::Binary(BinaryOp::Add, a, b)) = arith(end) else {
            return None;
        };
        let other = match (*a == begin, *b == begin) {
            (true, _) => *b,
            (false, true) => *a,
            (false, false) => return None,
        };
        match arith(other) {
            Some(Arith::Constant(Scalar::Index(n))) if *n >= 0 => Some(*n),
            _ => None,
        }
    }

    fn stream(&mut self, stream: dlc::Stream) {
        let data = &self.from.streams[stream];
        let slot = self.to.slots.push(ValueData {
            name: data.name.clone(),
            ty: data.ty,
            span: data.span,
        });
        let to = Def(slot);
        let slots = &self.slots;
        let of = |stream: &dlc::Stream| slots[*stream];
        let instruction = match &data.expr {
            StreamExpr::InductionVariable => access::Position { to }.into(),
            StreamExpr::Mask => access::Mask { to }.into(),
            StreamExpr::Made(core::StreamExpr::Mem { access, hints }) => access::Read {
                to,
                access: access.map(of),
                hints: *hints,
            }
            .into(),
            StreamExpr::Made(core::StreamExpr::Compute(compute)) => match compute.map(of) {
                Compute::Arith(arith) => access::Compute { to, arith }.into(),
                Compute::Broadcast { value, lanes } => {
                    access::Broadcast { to, value, lanes }.into()
                }
                Compute::Lanes { base, step, lanes } => access::Sequence {
                    to,
                    base,
                    step,
                    lanes,
                }
                .into(),
            },
            StreamExpr::Made(core::StreamExpr::Row(_, _)) => access::Row { to }.into(),
        };
        self.to.code.push(instruction);
        self.slots[stream] = slot;
    }

    fn effect(&mut self, effect: &Effect) {
        let slots = &self.slots;
        let instruction = match effect.map(|&stream| slots[stream]) {
            core::Effect::ToBuffer {
                stream: value,
                row,
                mask,
                span: _,
            } => access::Append { value, row, mask }.into(),
            core::Effect::Store {
                stream: value,
                access,
                span: _,
            } => access::Write { value, access }.into(),
        };
        self.to.code.push(instruction);
    }
}

fn case(from: &dlc::Case) -> Case {
    let mut selector = Execute {
        from,
        registers: PrimaryMap::new(),
        of: SecondaryMap::with_default(Reg::new(0)),
        code: Vec::new(),
    };
    selector.block(&from.code.body);
    Case {
        name: from.name.clone(),
        registers: selector.registers,
        code: selector.code,
        span: from.span,
    }
}

struct Execute<'a> {
    from: &'a dlc::Case,
    registers: PrimaryMap<Reg, ValueData>,
    of: SecondaryMap<Value, Reg>,
    code: Vec<Instruction>,
}

impl Execute<'_> {
    fn define(&mut self, value: Value) -> Def<Reg> {
        let reg = self.registers.push(self.from.code.values[value].clone());
        self.of[value] = reg;
        Def(reg)
    }

    fn here(&self) -> Target {
        // No program has more instructions than 32 bits count.
        Target(u32::try_from(self.code.len()).unwrap_or(u32::MAX))
    }

    /// Appends the statements; recursion is as deep as blocks nest, which the verifier bounds.
    fn block(&mut self, statements: &[dlc::Statement]) {
        for statement in statements {
            match statement {
                Statement::Let(value, expr) => self.expr(*value, expr),
                Statement::Store {
                    value,
                    access,
                    span: _,
                } => {
                    let value = self.of[*value];
                    let access = access.map(|&v| self.of[v]);
                    self.code.push(execute::Store { value, access }.into());
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    span: _,
                } => self.branch(*condition, then, otherwise),
                Statement::For(from) => self.counted(from),
            }
        }
    }

    fn expr(&mut self, value: Value, expr: &dlc::Expr) {
        // The operands are read before the value is there.
        let of = |v: &Value| self.of[*v];
        enum From {
            Pop,
            Compute(Compute<Reg>),
            Load(core::Access<Reg>),
            Element(RowAccess),
            Reduce(core::CombineOp, Reg, Reg, Option<Reg>),
        }
        let from = match expr {
            Expr::Take(dlc::Pop) => From::Pop,
            Expr::Compute(compute) => From::Compute(compute.map(of)),
            Expr::Load(access) => From::Load(access.map(of)),
            Expr::Element { row, index, lanes } => From::Element(RowAccess {
                row: of(row),
                index: of(index),
                lanes: lanes.map(|lanes| Lanes {
                    count: lanes.count,
                    mask: lanes.mask.map(|mask| of(&mask)),
                }),
            }),
            Expr::Reduce {
                op,
                vector,
                init,
                mask,
            } => From::Reduce(*op, of(vector), of(init), mask.as_ref().map(of)),
        };
        let to = self.define(value);
        self.code.push(match from {
            From::Pop => execute::Pop { to }.into(),
            From::Compute(Compute::Arith(arith)) => execute::Compute { to, arith }.into(),
            From::Compute(Compute::Broadcast { value, lanes }) => {
                execute::Broadcast { to, value, lanes }.into()
            }
            From::Compute(Compute::Lanes { base, step, lanes }) => execute::Sequence {
                to,
                base,
                step,
                lanes,
            }
            .into(),
            From::Load(access) => execute::Load { to, access }.into(),
            From::Element(from) => execute::Element { to, from }.into(),
            From::Reduce(op, vector, initial, mask) => execute::Reduce {
                to,
                op,
                vector,
                initial,
                mask,
            }
            .into(),
        });
    }

    fn branch(&mut self, condition: Value, then: &[dlc::Statement], otherwise: &[dlc::Statement]) {
        let branch = self.code.len();
        let condition = self.of[condition];
        let target = Target(0);
        self.code
            .push(execute::BranchUnless { condition, target }.into());
        self.block(then);
        if otherwise.is_empty() {
            self.land(branch);
        } else {
            let jump = self.code.len();
            self.code.push(execute::Jump { target }.into());
            self.land(branch);
            self.block(otherwise);
            self.land(jump);
        }
    }

    fn counted(&mut self, from: &Loop<dlc::Pop>) {
        let (lower, upper) = (
            from.lower.map(|v| self.of[v]),
            from.upper.map(|v| self.of[v]),
        );
        let at = self.code.len();
        let start = self.here();
        let to = self.define(from.position);
        let vector = from.lanes.map(|lanes| Lanes {
            count: lanes.count,
            mask: lanes.mask.map(|mask| self.define(mask)),
        });
        self.code.push(
            execute::For {
                to,
                lower,
                upper,
                step: from.step,
                vector,
                exit: Target(0),
            }
            .into(),
        );
        self.block(&from.body);
        self.code.push(execute::Next { start }.into());
        self.land(at);
    }

    /// Makes the jump at `from` go to the end of what there is of the list.
    fn land(&mut self, from: usize) {
        let here = self.here();
        match self.code.get_mut(from) {
            Some(Instruction::BranchUnless(branch)) => branch.target = here,
            Some(Instruction::Jump(jump)) => jump.target = here,
            Some(Instruction::For(start)) => start.exit = here,
            Some(
                Instruction::Pop(_)
                | Instruction::Compute(_)
                | Instruction::Broadcast(_)
                | Instruction::Sequence(_)
                | Instruction::Load(_)
                | Instruction::Store(_)
                | Instruction::Element(_)
                | Instruction::Reduce(_)
                | Instruction::Next(_),
            )
            | None => {}
        }
    }
}
