//! The cases: rules 3, 5, 8, 9 and 12 to 14.

use cranelift_entity::{EntitySet, SecondaryMap};
use hashbrown::HashMap;
use hlo2dae_ir::core::check::Checker;
use hlo2dae_ir::core::{Bound, CombineOp, Compute, Problem, ScalarType, Span, Type};

use super::MAX_DEPTH;
use super::access::Pops;
use super::operand::{Operands, Visible};
use crate::artifact::Artifact;
use crate::execute::{Case, Element, For, Instruction, Next, Reduce, Reg};
use crate::isa::{Def, Target};
use crate::value::ValueData;

/// Verifies all cases; gives what each of them pops.
pub(super) fn verify(artifact: &Artifact, checker: &mut Checker<'_>) -> Pops {
    let mut pops: Pops = SecondaryMap::new();
    for (id, case) in &artifact.execute.cases {
        let mut verifier = Verifier {
            case,
            scope: Scope {
                case,
                defined: 0,
                assigned: Some(EntitySet::new()),
            },
            arriving: HashMap::new(),
            loops: Vec::new(),
            targets: Vec::new(),
            popped: Vec::new(),
        };
        for data in case.registers.values() {
            checker.name(2, &data.name, data.span);
            verifier.scope.operands(checker, data.span).valid(data.ty);
        }
        for at in 0..case.code.len() {
            verifier.instruction(at, checker);
        }
        verifier.finish(checker);
        pops[id] = verifier.popped;
    }
    pops
}

/// The registers so far.
struct Scope<'a> {
    case: &'a Case,
    /// How many registers are defined so far.
    defined: usize,
    /// The registers that have a value, whatever way led here; `None` where no way leads.
    assigned: Option<EntitySet<Reg>>,
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

    fn define(&mut self, to: Def<Reg>, checker: &mut Checker<'_>) -> Option<ValueData> {
        let data = self.case.registers.get(to.0);
        let span = data.map_or(self.case.span, |data| data.span);
        if to.0.as_u32() as usize != self.defined {
            let sentence = format!("{} is defined where r{} should be", to.0, self.defined);
            checker.broken(3, span, sentence);
        }
        if data.is_none() {
            checker.report(3, span, Problem::Dangling(to.0.to_string()));
        }
        self.defined += 1;
        if let Some(assigned) = &mut self.assigned
            && data.is_some()
        {
            assigned.insert(to.0);
        }
        data.cloned()
    }
}

impl Visible<Reg> for Scope<'_> {
    fn used(&mut self, reg: Reg, span: Span, checker: &mut Checker<'_>) -> Option<ValueData> {
        let Some(data) = self.case.registers.get(reg) else {
            checker.report(14, span, Problem::Dangling(reg.to_string()));
            return None;
        };
        let has_value = self.assigned.as_ref().is_none_or(|a| a.contains(reg));
        if !has_value {
            let sentence = format!(
                "@{}: {reg} %{} may have no value here",
                self.case.name, data.name
            );
            checker.broken(14, span, sentence);
        }
        has_value.then(|| data.clone())
    }
}

/// A loop whose `next` has not come yet.
struct Open {
    start: usize,
    exit: usize,
    /// What had a value before the loop.
    before: Option<EntitySet<Reg>>,
}

struct Verifier<'a> {
    case: &'a Case,
    scope: Scope<'a>,
    /// What has a value on all branches and jumps that lead to an instruction.
    arriving: HashMap<usize, EntitySet<Reg>>,
    loops: Vec<Open>,
    /// Where the branches and jumps so far go to.
    targets: Vec<usize>,
    popped: Vec<ValueData>,
}

impl Verifier<'_> {
    fn broken(&self, rule: u32, span: Span, checker: &mut Checker<'_>, sentence: &str) {
        checker.broken(rule, span, format!("@{}: {sentence}", self.case.name));
    }

    fn instruction(&mut self, at: usize, checker: &mut Checker<'_>) {
        self.arrive(at);
        let Some(instruction) = self.case.code.get(at) else {
            return;
        };
        let case = self.case;
        let span = |to: &Def<Reg>| case.registers.get(to.0).map_or(case.span, |data| data.span);
        let (to, ty) = match instruction {
            Instruction::Pop(pop) => {
                if !self.loops.is_empty() || self.targets.iter().any(|&to| to > at) {
                    self.broken(
                        12,
                        span(&pop.to),
                        checker,
                        "an operand may not be popped, or more than once",
                    );
                }
                let data = self.scope.define(pop.to, checker);
                self.popped.extend(data);
                return;
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
            Instruction::Load(load) => {
                let mut operands = self.scope.operands(checker, span(&load.to));
                let ty = operands.access(&load.access).map(|(_, ty)| ty);
                (load.to, ty)
            }
            Instruction::Store(store) => {
                let mut operands = self.scope.operands(checker, case.span);
                if let Some((buffer, ty)) = operands.access(&store.access) {
                    operands.expect(store.value, ty);
                    if !buffer.is_written() {
                        let problem = Problem::ReadOnly(buffer.name.clone());
                        checker.report(9, case.span, problem);
                    }
                }
                return;
            }
            Instruction::Element(element) => {
                let span = span(&element.to);
                (element.to, self.element(element, span, checker))
            }
            Instruction::Reduce(reduce) => {
                let span = span(&reduce.to);
                (reduce.to, self.reduce(reduce, span, checker))
            }
            Instruction::For(start) => return self.start(at, start, checker),
            Instruction::Next(Next { start }) => return self.next(at, *start, checker),
            Instruction::BranchUnless(branch) => {
                let mut operands = self.scope.operands(checker, case.span);
                operands.expect(branch.condition, Type::BOOL);
                return self.jump(at, branch.target, checker);
            }
            Instruction::Jump(jump) => {
                self.jump(at, jump.target, checker);
                self.scope.assigned = None;
                return;
            }
        };
        let span = span(&to);
        let data = self.scope.define(to, checker);
        self.scope.operands(checker, span).result(data.as_ref(), ty);
    }

    /// Joins the ways that lead to an instruction.
    fn arrive(&mut self, at: usize) {
        if let Some(arriving) = self.arriving.remove(&at) {
            self.scope.assigned = Some(match self.scope.assigned.take() {
                Some(here) => common(&here, &arriving, self.case),
                None => arriving,
            });
        }
    }

    fn jump(&mut self, at: usize, target: Target, checker: &mut Checker<'_>) {
        let to = target.0 as usize;
        // Inside a loop, its `next` is as far as a jump goes.
        let most = self
            .loops
            .last()
            .map_or(self.case.code.len(), |open| open.exit.saturating_sub(1));
        if to <= at || to > most {
            let sentence = format!(
                "a jump from {at} to {to}, where {} to {most} can be",
                at + 1
            );
            return self.broken(13, self.case.span, checker, &sentence);
        }
        self.targets.push(to);
        let Some(assigned) = &self.scope.assigned else {
            return;
        };
        let joined = match self.arriving.get(&to) {
            Some(arriving) => common(assigned, arriving, self.case),
            None => assigned.clone(),
        };
        self.arriving.insert(to, joined);
    }

    fn start(&mut self, at: usize, start: &For, checker: &mut Checker<'_>) {
        let span = self
            .case
            .registers
            .get(start.to.0)
            .map_or(self.case.span, |data| data.span);
        let mut operands = self.scope.operands(checker, span);
        operands.bound(start.lower);
        operands.bound(start.upper);
        let constant = match (start.lower, start.upper) {
            (Bound::Constant(lower), Bound::Constant(upper)) => Some((lower, upper)),
            (Bound::Value(_), _) | (_, Bound::Value(_)) => None,
        };
        let before = self.scope.assigned.clone();
        let data = self.scope.define(start.to, checker);
        let mask = start.vector.as_ref().and_then(|lanes| lanes.mask);
        let mask = mask.and_then(|mask| self.scope.define(mask, checker));
        let mut operands = self.scope.operands(checker, span);
        operands.result(data.as_ref(), Some(Type::INDEX));
        let lanes = start.vector.as_ref().map(|lanes| lanes.count);
        if let (Some(lanes), Some(mask)) = (lanes, &mask) {
            operands.result(Some(mask), Some(Type::Vector(ScalarType::BOOL, lanes)));
        }
        operands.steps(start.step, lanes, mask.is_some(), constant);
        let exit = start.exit.0 as usize;
        let most = self
            .loops
            .last()
            .map_or(self.case.code.len(), |open| open.exit.saturating_sub(1));
        // Behind at least its own `next`.
        if exit < at + 2 || exit > most {
            let sentence = format!("the loop at {at} is left to {exit}, outside what is around it");
            self.broken(13, span, checker, &sentence);
        }
        if let Some(into) = self.targets.iter().find(|&&to| at < to && to < exit) {
            let sentence = format!("a jump to {into}, into the loop at {at}");
            self.broken(13, span, checker, &sentence);
        }
        if self.loops.len() >= MAX_DEPTH {
            let sentence = format!("loops nest more than {MAX_DEPTH} deep");
            self.broken(13, span, checker, &sentence);
        }
        self.loops.push(Open {
            start: at,
            exit,
            before,
        });
    }

    fn next(&mut self, at: usize, start: Target, checker: &mut Checker<'_>) {
        match self.loops.pop() {
            Some(open) => {
                if open.start != start.0 as usize || open.exit != at + 1 {
                    let sentence =
                        format!("`next` at {at} does not end the loop at {}", open.start);
                    self.broken(13, self.case.span, checker, &sentence);
                }
                self.scope.assigned = open.before;
            }
            None => {
                let sentence = format!("`next` at {at} ends no loop");
                self.broken(13, self.case.span, checker, &sentence);
            }
        }
    }

    fn finish(&self, checker: &mut Checker<'_>) {
        if let Some(open) = self.loops.last() {
            let sentence = format!("the loop at {} has no `next`", open.start);
            self.broken(13, self.case.span, checker, &sentence);
        }
        for (reg, data) in self.case.registers.iter().skip(self.scope.defined) {
            let sentence = format!("nothing gives {reg} a value");
            self.broken(3, data.span, checker, &sentence);
        }
    }

    fn element(
        &mut self,
        element: &Element,
        span: Span,
        checker: &mut Checker<'_>,
    ) -> Option<Type> {
        let from = &element.from;
        let mut operands = self.scope.operands(checker, span);
        operands.expect(from.index, Type::INDEX);
        if let Some(lanes) = &from.lanes {
            operands.lanes(lanes.count, lanes.mask);
        }
        match operands.ty(from.row)? {
            Type::Row(scalar, _) => Some(Type::of(scalar, from.lanes.map(|lanes| lanes.count))),
            other @ (Type::Scalar(_) | Type::Vector(..)) => {
                let sentence = format!("`element` takes a row, not {other}");
                self.broken(8, span, checker, &sentence);
                None
            }
        }
    }

    fn reduce(&mut self, reduce: &Reduce, span: Span, checker: &mut Checker<'_>) -> Option<Type> {
        let mut operands = self.scope.operands(checker, span);
        let vector = operands.ty(reduce.vector)?;
        let Type::Vector(scalar, lanes) = vector else {
            let sentence = format!("`reduce` takes a vector, not {vector}");
            self.broken(8, span, checker, &sentence);
            return None;
        };
        operands.lanes(lanes, reduce.mask);
        operands.expect(reduce.initial, Type::Scalar(scalar));
        let op = match reduce.op {
            CombineOp::Sub | CombineOp::Replace => None,
            op => op.binary(),
        };
        match op {
            Some(op) => {
                let arith = hlo2dae_ir::core::Arith::Binary(op, scalar.into(), scalar.into());
                operands.computed(Compute::Arith(arith))
            }
            None => {
                let sentence = format!("`{}` is no reduction", reduce.op);
                self.broken(8, span, checker, &sentence);
                None
            }
        }
    }
}

fn common(a: &EntitySet<Reg>, b: &EntitySet<Reg>, case: &Case) -> EntitySet<Reg> {
    let mut both = EntitySet::new();
    for reg in case.registers.keys() {
        if a.contains(reg) && b.contains(reg) {
            both.insert(reg);
        }
    }
    both
}
