//! The access program: rules 3 to 11.

use cranelift_entity::{PrimaryMap, SecondaryMap};
use hlo2dae_ir::core::check::Checker;
use hlo2dae_ir::core::{Bound, BufferId, Problem, Role, ScalarType, Span, Type};
use hlo2dae_ir::dlc::Event;

use super::operand::{Operands, Visible};
use super::{MAX_CORES, MAX_DEPTH};
use crate::access::{
    Append, Instruction, Placement, Program, Push, Read, Slot, Traversal, Unit, UnitId, Write,
};
use crate::artifact::Artifact;
use crate::execute::{self, CaseId};
use crate::isa::Def;
use crate::value::ValueData;

/// What each case pops, in order; none if it does so conditionally.
pub(super) type Pops = SecondaryMap<CaseId, Vec<ValueData>>;

pub(super) fn verify(artifact: &Artifact, pops: &Pops, checker: &mut Checker<'_>) {
    let program = &artifact.access;
    let mut verifier = Verifier {
        artifact,
        pops,
        scope: Scope {
            program,
            defined: PrimaryMap::new(),
            parents: PrimaryMap::new(),
            unit: None,
            outside: false,
        },
        writes: SecondaryMap::new(),
    };
    for data in program.units.values() {
        checker.name(2, &data.name, data.span);
    }
    for data in program.slots.values() {
        checker.name(2, &data.name, data.span);
        verifier.scope.operands(checker, data.span).valid(data.ty);
    }
    for instruction in &program.code {
        verifier.instruction(instruction, checker);
    }
    verifier.scope.finish(checker);
    verifier.written(checker);
}

/// A unit defined so far.
struct Node {
    parent: Option<UnitId>,
    depth: usize,
    host: bool,
    lanes: Option<u32>,
}

/// The units and slots so far.
struct Scope<'a> {
    program: &'a Program,
    /// The unit of each slot defined so far.
    defined: PrimaryMap<Slot, UnitId>,
    /// Each unit defined so far.
    parents: PrimaryMap<UnitId, Node>,
    /// The unit at hand.
    unit: Option<UnitId>,
    /// Only what its ancestors have can be used.
    outside: bool,
}

impl Scope<'_> {
    fn operands<'o, 'c>(
        &'o mut self,
        checker: &'o mut Checker<'c>,
        span: Span,
    ) -> Operands<'o, 'c, Self> {
        Operands {
            visible: self,
            checker,
            span,
        }
    }

    fn parent(&self, unit: UnitId) -> Option<UnitId> {
        self.parents.get(unit).and_then(|node| node.parent)
    }

    /// Whether a slot of `of` can be used in the unit at hand.
    fn reaches(&self, of: UnitId) -> bool {
        let own = self.unit;
        let mut around = if self.outside {
            own.and_then(|unit| self.parent(unit))
        } else {
            own
        };
        // A parent has a lower number than its child: the walk ends.
        while let Some(unit) = around {
            if unit == of {
                return true;
            }
            around = self.parent(unit);
        }
        false
    }

    /// A slot gets its value; what is known of it.
    fn define(&mut self, to: Def<Slot>, checker: &mut Checker<'_>) -> Option<ValueData> {
        let data = self.program.slots.get(to.0);
        let span = data.map_or_else(Span::default, |data| data.span);
        if to.0 != self.defined.next_key() {
            let sentence = format!(
                "{} is defined where {} should be",
                to.0,
                self.defined.next_key()
            );
            checker.broken(3, span, sentence);
        }
        if data.is_none() {
            checker.report(3, span, Problem::Dangling(to.0.to_string()));
        }
        if let Some(unit) = self.unit {
            self.defined.push(unit);
        }
        data.cloned()
    }

    fn finish(&self, checker: &mut Checker<'_>) {
        for (slot, data) in self.program.slots.iter().skip(self.defined.len()) {
            checker.broken(3, data.span, format!("nothing gives {slot} a value"));
        }
        for (unit, data) in self.program.units.iter().skip(self.parents.len()) {
            checker.broken(3, data.span, format!("no instruction starts {unit}"));
        }
    }
}

impl Visible<Slot> for Scope<'_> {
    fn used(&mut self, slot: Slot, span: Span, checker: &mut Checker<'_>) -> Option<ValueData> {
        let Some(data) = self.program.slots.get(slot) else {
            checker.report(7, span, Problem::Dangling(slot.to_string()));
            return None;
        };
        let reached = self
            .defined
            .get(slot)
            .is_some_and(|&unit| self.reaches(unit));
        if reached {
            return Some(data.clone());
        }
        let sentence = format!(
            "{slot} %{} has no value here: it is none of {}, defined before",
            data.name,
            if self.outside {
                "an ancestor"
            } else {
                "the unit or of an ancestor"
            }
        );
        checker.broken(7, span, sentence);
        None
    }
}

struct Verifier<'a> {
    artifact: &'a Artifact,
    pops: &'a Pops,
    scope: Scope<'a>,
    /// Where each buffer is written by the access unit.
    writes: SecondaryMap<BufferId, Option<Span>>,
}

impl Verifier<'_> {
    fn instruction(&mut self, instruction: &Instruction, checker: &mut Checker<'_>) {
        if let Instruction::Unit(unit) = instruction {
            return self.unit(unit, checker);
        }
        let Some(unit) = self.scope.unit else {
            let sentence = "the access program starts with something else than a unit";
            checker.broken(3, Span::default(), sentence);
            return;
        };
        let units = &self.scope.program.units;
        let unit_span = units.get(unit).map_or_else(Span::default, |data| data.span);
        let slots = &self.scope.program.slots;
        let span = |to: &Def<Slot>| slots.get(to.0).map_or(unit_span, |data| data.span);
        let (to, ty) = match instruction {
            Instruction::Unit(_) => return,
            Instruction::Position(position) => (position.to, Some(Type::INDEX)),
            Instruction::Mask(mask) => {
                let lanes = self.scope.parents.get(unit).and_then(|node| node.lanes);
                if lanes.is_none() {
                    let sentence = format!("{unit} has no lanes, {} is its mask", mask.to.0);
                    checker.broken(8, span(&mask.to), sentence);
                }
                (mask.to, lanes.map(|n| Type::Vector(ScalarType::BOOL, n)))
            }
            Instruction::Row(row) => {
                let ty = slots.get(row.to.0).map(|data| data.ty);
                let ty = ty.filter(|ty| matches!(ty, Type::Row(..)));
                if ty.is_none() {
                    let sentence = format!("{} is not of a row's type", row.to.0);
                    checker.broken(8, span(&row.to), sentence);
                }
                (row.to, ty)
            }
            Instruction::Compute(compute) => {
                let mut operands = self.scope.operands(checker, span(&compute.to));
                (compute.to, operands.arith(&compute.arith))
            }
            Instruction::Broadcast(broadcast) => {
                let mut operands = self.scope.operands(checker, span(&broadcast.to));
                let ty = operands.broadcast(broadcast.value, broadcast.lanes);
                (broadcast.to, ty)
            }
            Instruction::Sequence(sequence) => {
                let mut operands = self.scope.operands(checker, span(&sequence.to));
                let ty = operands.sequence(sequence.base, sequence.step, sequence.lanes);
                (sequence.to, ty)
            }
            Instruction::Read(Read {
                to,
                access,
                hints: _,
            }) => {
                let mut operands = self.scope.operands(checker, span(to));
                let found = operands.access(access);
                if let Some((buffer, _)) = found
                    && buffer.is_written()
                {
                    let sentence =
                        format!("the access unit reads %{}, which is no input", buffer.name);
                    checker.broken(9, span(to), sentence);
                }
                (*to, found.map(|(_, ty)| ty))
            }
            Instruction::Append(append) => return self.append(append, unit_span, checker),
            Instruction::Write(write) => return self.write(write, unit_span, checker),
            Instruction::Push(push) => return self.push(push, unit_span, checker),
        };
        // Defined only now: a stream does not use itself.
        let span = span(&to);
        let data = self.scope.define(to, checker);
        self.scope.operands(checker, span).result(data.as_ref(), ty);
    }

    fn unit(&mut self, unit: &Unit, checker: &mut Checker<'_>) {
        let id = unit.to.0;
        let data = self.scope.program.units.get(id);
        let span = data.map_or_else(Span::default, |data| data.span);
        let next = self.scope.parents.next_key();
        if id != next {
            checker.broken(3, span, format!("{id} starts where {next} should"));
        }
        if data.is_none() {
            checker.report(3, span, Problem::Dangling(id.to_string()));
        }
        let depth = match unit.parent {
            None => 0,
            Some(parent) => match self.scope.parents.get(parent) {
                Some(node) => node.depth + 1,
                None => {
                    let sentence =
                        format!("{parent}, the parent of {id}, is not defined before it");
                    checker.broken(4, span, sentence);
                    0
                }
            },
        };
        if depth >= MAX_DEPTH {
            let sentence = format!("units nest more than {MAX_DEPTH} deep");
            checker.broken(4, span, sentence);
        }
        if unit.hints.given().any(|(_, n)| n == 0) {
            let sentence = format!("a hint of {id} is 0, where 1 is the least");
            checker.broken(4, span, sentence);
        }
        if unit.hints.cores.is_some_and(|cores| cores > MAX_CORES) {
            let sentence = format!("{id} is dealt to more than {MAX_CORES} cores");
            checker.broken(4, span, sentence);
        }
        if unit.hints.cores.is_some() && unit.parent.is_some() {
            let sentence = format!("{id} is dealt to cores, which only a root can be");
            checker.broken(4, span, sentence);
        }
        let parent = unit
            .parent
            .and_then(|parent| self.scope.parents.get(parent));
        let host_parent = unit.parent.is_none() || parent.is_some_and(|node| node.host);
        if unit.placement == Placement::Host && !host_parent {
            let sentence = format!("{id} runs on the host, its parent does not");
            checker.broken(4, span, sentence);
        }
        // A parent that is none counts as none from here on.
        let parent = unit.parent.filter(|&parent| parent < next);
        self.scope.parents.push(Node {
            parent,
            depth,
            host: unit.placement == Placement::Host,
            lanes: unit.vector.0,
        });
        self.scope.unit = Some(next);

        self.scope.outside = true;
        let mut operands = self.scope.operands(checker, span);
        match unit.traversal {
            Traversal::Dense { .. } => {}
            Traversal::Range { begin, end } => {
                operands.bound(begin);
                operands.bound(end);
            }
            Traversal::Index { begin, length } => {
                operands.bound(Bound::Value(begin));
                if length < 0 {
                    let sentence = format!("{id} has the length {length}");
                    operands.checker.broken(5, span, sentence);
                }
            }
        }
        self.scope.outside = false;
        let constant = match unit.traversal {
            Traversal::Dense { begin, end } => Some((begin, end)),
            Traversal::Index { begin: _, length } => Some((0, length)),
            Traversal::Range { .. } => None,
        };
        let masked = self.masked(id);
        let mut operands = self.scope.operands(checker, span);
        operands.steps(unit.step, unit.vector.0, masked, constant);
    }

    /// Whether a unit has a mask.
    fn masked(&self, unit: UnitId) -> bool {
        let code = self.scope.program.code.iter();
        let from = code.skip_while(|i| !matches!(i, Instruction::Unit(u) if u.to.0 == unit));
        from.skip(1)
            .take_while(|i| !matches!(i, Instruction::Unit(_)))
            .any(|i| matches!(i, Instruction::Mask(_)))
    }

    fn append(&mut self, append: &Append, span: Span, checker: &mut Checker<'_>) {
        let mut operands = self.scope.operands(checker, span);
        let value = operands.ty(append.value);
        let row = operands.ty(append.row);
        if let Some(mask) = append.mask {
            match value.and_then(Type::lanes) {
                Some(count) => operands.lanes(count, Some(mask)),
                None => operands.checker.broken(8, span, "a mask over a scalar"),
            }
        }
        let (Some(value), Some(row)) = (value, row) else {
            return;
        };
        if !operands.not_a_row(value) {
            return;
        }
        if !matches!(row, Type::Row(scalar, _) if scalar == value.scalar()) {
            let sentence = format!("{value} is appended to {row}");
            checker.broken(10, span, sentence);
        }
    }

    fn write(&mut self, write: &Write, span: Span, checker: &mut Checker<'_>) {
        let mut operands = self.scope.operands(checker, span);
        let found = operands.access(&write.access);
        if let Some((_, ty)) = found {
            operands.expect(write.value, ty);
        }
        let Some((buffer, _)) = found else {
            return;
        };
        let is_output = matches!(buffer.role, Role::Output(_));
        if !is_output || self.writes[write.access.buffer].is_some() {
            let sentence = format!(
                "the access unit writes %{}, which is no output, or twice",
                buffer.name
            );
            checker.broken(9, span, sentence);
        }
        self.writes[write.access.buffer] = Some(span);
    }

    /// What the access unit writes, no case loads or stores.
    fn written(&self, checker: &mut Checker<'_>) {
        for case in self.artifact.execute.cases.values() {
            for instruction in &case.code {
                let access = match instruction {
                    execute::Instruction::Load(load) => &load.access,
                    execute::Instruction::Store(store) => &store.access,
                    _ => continue,
                };
                if let Some(span) = self.writes[access.buffer] {
                    let name = self.artifact.buffers.get(access.buffer);
                    let name = name.map_or("?", |buffer| buffer.name.as_str());
                    let sentence = format!(
                        "%{name} is written by the access unit and used in @{}",
                        case.name
                    );
                    checker.broken(9, span, sentence);
                }
            }
        }
    }

    fn push(&mut self, push: &Push, span: Span, checker: &mut Checker<'_>) {
        self.scope.outside = match push.event {
            Event::Begin | Event::End => true,
            Event::Iterate => false,
        };
        let pushed: Vec<Option<ValueData>> = push
            .operands
            .iter()
            .map(|&slot| self.scope.used(slot, span, checker))
            .collect();
        self.scope.outside = false;
        let Some(case) = self.artifact.execute.cases.get(push.case) else {
            let problem = Problem::Dangling(push.case.to_string());
            checker.report(11, span, problem);
            return;
        };
        let popped = &self.pops[push.case];
        if pushed.len() != popped.len() {
            let sentence = format!(
                "{} operands are pushed for @{}, which pops {}",
                pushed.len(),
                case.name,
                popped.len()
            );
            checker.broken(11, span, sentence);
        }
        for (pushed, popped) in pushed.iter().zip(popped) {
            if let Some(pushed) = pushed
                && pushed.ty != popped.ty
            {
                let sentence = format!(
                    "%{}: {} is pushed, but @{} pops it as %{}: {}",
                    pushed.name, pushed.ty, case.name, popped.name, popped.ty
                );
                checker.broken(11, span, sentence);
            }
        }
    }
}
