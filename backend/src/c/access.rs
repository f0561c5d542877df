//! The access unit's function: loops that can be left and entered again where they push.

use std::fmt::Write as _;

use cranelift_entity::{EntityRef, PrimaryMap};
use hlo2dae_ir::core::{Bound, Type};
use hlo2dae_ir::dlc::Event;

use super::Helpers;
use super::arith::expression;
use super::value::{Lines, Spelling, Transfer, declaration, transfer};
use crate::access::{Instruction, Node, Slot, Traversal, Unit, UnitId};
use crate::artifact::Artifact;

/// What the access unit keeps: slots, positions and ends of units, how full rows are.
pub(super) fn state(artifact: &Artifact) -> String {
    let mut text = String::new();
    for (unit, data) in &artifact.access.units {
        let _ = writeln!(text, "  int64_t {unit}, {unit}_end; /* %{} */", data.name);
    }
    for (slot, data) in &artifact.access.slots {
        let declared = declaration(&slot.to_string(), data.ty);
        let _ = writeln!(text, "  {declared}; /* %{} */", data.name);
        if let Type::Row(..) = data.ty {
            let _ = writeln!(text, "  uint32_t {slot}_filled;");
        }
    }
    text
}

pub(super) fn print(artifact: &Artifact, helpers: &mut Helpers) -> String {
    let (units, roots) = artifact.access.tree();
    let mut printer = Printer {
        artifact,
        helpers,
        units,
        lines: Lines {
            text: String::new(),
            depth: 0,
        },
        places: 0,
    };
    let lines = &mut printer.lines;
    lines.line("/* Goes on where it was; 1 when it is done. */");
    lines.open("static int access_unit(struct machine *m)");
    lines.line("switch (m->at) {");
    lines.line("case 0:;");
    for root in roots {
        printer.unit(root);
    }
    printer.lines.line("}");
    printer.lines.line("return 1;");
    printer.lines.close();
    printer.lines.text
}

struct Printer<'a> {
    artifact: &'a Artifact,
    helpers: &'a mut Helpers,
    units: PrimaryMap<UnitId, Node<'a>>,
    lines: Lines,
    /// Places so far at which the function goes on.
    places: u32,
}

struct Slots<'a>(&'a Artifact);

impl Spelling<Slot> for Slots<'_> {
    fn name(&self, slot: Slot) -> String {
        format!("m->{slot}")
    }

    fn ty(&self, slot: Slot) -> Type {
        self.0
            .access
            .slots
            .get(slot)
            .map_or(Type::INDEX, |data| data.ty)
    }
}

impl Printer<'_> {
    /// Recursion is as deep as units nest, which the verifier bounds.
    fn unit(&mut self, id: UnitId) {
        let Some(node) = self.units.get(id) else {
            return;
        };
        let (unit, body, children) = (node.unit, node.body.clone(), node.children.clone());
        self.pushes(&body, Event::Begin);
        let bound = |bound: Bound<Slot>| match bound {
            Bound::Constant(i64::MIN) => "INT64_MIN".to_owned(),
            Bound::Constant(position) => format!("INT64_C({position})"),
            Bound::Value(slot) => format!("m->{slot}"),
        };
        let (begin, end) = match unit.traversal {
            Traversal::Dense { begin, end } => {
                (bound(Bound::Constant(begin)), bound(Bound::Constant(end)))
            }
            Traversal::Range { begin, end } => (bound(begin), bound(end)),
            Traversal::Index { begin, length } => {
                let begin = bound(Bound::Value(begin));
                let end = format!("(int64_t)((uint64_t){begin} + UINT64_C({length}))");
                (begin, end)
            }
        };
        let step = unit.step.saturating_mul(unit.vector.0.unwrap_or(1).into());
        self.lines.line(format_args!("m->{id} = {begin};"));
        self.lines.line(format_args!("m->{id}_end = {end};"));
        self.lines
            .open(format_args!("if (m->{id} < m->{id}_end) for (;;)"));
        for instruction in &body {
            self.instruction(instruction, id, unit);
        }
        self.pushes(&body, Event::Iterate);
        for child in children {
            self.unit(child);
        }
        self.lines.line(format_args!(
            "if (m->{id} > INT64_MAX - {step} || m->{id} + {step} >= m->{id}_end) break;"
        ));
        self.lines.line(format_args!("m->{id} += {step};"));
        self.lines.close();
        self.pushes(&body, Event::End);
    }

    fn instruction(&mut self, instruction: &Instruction, id: UnitId, unit: &Unit) {
        let slots = Slots(self.artifact);
        let lines = &mut self.lines;
        match instruction {
            Instruction::Unit(_) | Instruction::Push(_) => {}
            Instruction::Position(i) => lines.line(format_args!("m->{} = m->{id};", i.to.0)),
            Instruction::Mask(i) => {
                let lanes = slots.ty(i.to.0).lanes().unwrap_or(0);
                lines.line(format_args!(
                    "for (int k = 0; k < {lanes}; k++) m->{}[k] = lane_active(m->{id}, m->{id}_end, {}, (uint64_t)k);",
                    i.to.0, unit.step
                ));
            }
            Instruction::Read(i) => {
                let to = slots.name(i.to.0);
                transfer(lines, self.artifact, &slots, &i.access, &Transfer::To(&to));
            }
            Instruction::Write(i) => {
                let from = slots.name(i.value);
                transfer(lines, self.artifact, &slots, &i.access, &Transfer::From(&from));
            }
            Instruction::Compute(i) => {
                let operands = i.arith.map(|&slot| (slots.lane(slot), slots.ty(slot).scalar()));
                let value = expression(&operands, self.helpers);
                match slots.ty(i.to.0).lanes() {
                    None => lines.line(format_args!("m->{} = {value};", i.to.0)),
                    Some(lanes) => lines.line(format_args!(
                        "for (int k = 0; k < {lanes}; k++) m->{}[k] = {value};",
                        i.to.0
                    )),
                }
            }
            Instruction::Broadcast(i) => lines.line(format_args!(
                "for (int k = 0; k < {}; k++) m->{}[k] = m->{};",
                i.lanes, i.to.0, i.value
            )),
            Instruction::Sequence(i) => lines.line(format_args!(
                "for (int k = 0; k < {}; k++) m->{}[k] = (int64_t)((uint64_t)m->{} + (uint64_t)k * (uint64_t)INT64_C({}));",
                i.lanes, i.to.0, i.base, i.step
            )),
            Instruction::Row(i) => lines.line(format_args!("m->{}_filled = 0;", i.to.0)),
            Instruction::Append(i) => {
                let lanes = slots.ty(i.value).lanes().unwrap_or(1);
                let Type::Row(_, elements) = slots.ty(i.row) else {
                    return;
                };
                lines.open(format_args!("for (int k = 0; k < {lanes}; k++)"));
                if let Some(mask) = i.mask {
                    lines.line(format_args!("if (!m->{mask}[k]) continue;"));
                }
                let row = i.row;
                lines.line(format_args!(
                    "if (m->{row}_filled == {elements}) return stop(m, 2);"
                ));
                lines.line(format_args!(
                    "m->{row}[m->{row}_filled++] = {};",
                    slots.lane(i.value)
                ));
                lines.close();
            }
        }
    }

    fn pushes(&mut self, body: &[&Instruction], event: Event) {
        for instruction in body {
            let Instruction::Push(push) = instruction else {
                continue;
            };
            if push.event != event {
                continue;
            }
            let slots = Slots(self.artifact);
            let bytes: u64 = push
                .operands
                .iter()
                .map(|&slot| slots.ty(slot).bytes())
                .sum();
            self.places += 1;
            let place = self.places;
            let lines = &mut self.lines;
            for &slot in &push.operands {
                if let Type::Row(_, elements) = slots.ty(slot) {
                    lines.line(format_args!(
                        "if (m->{slot}_filled != {elements}) return stop(m, 2);"
                    ));
                }
            }
            lines.line(format_args!("case {place}:"));
            lines.line(format_args!(
                "if (!room(m, {bytes})) {{ m->at = {place}; return 0; }}"
            ));
            let case = self.artifact.execute.cases.get(push.case);
            let name = case.map_or("?", |case| case.name.as_str());
            lines.line(format_args!(
                "push_token(m, {}); /* @{name} */",
                push.case.index()
            ));
            for &slot in &push.operands {
                let place = match slots.ty(slot) {
                    Type::Scalar(_) => format!("&m->{slot}"),
                    Type::Vector(..) | Type::Row(..) => format!("m->{slot}"),
                };
                lines.line(format_args!("push(m, {place}, sizeof m->{slot});"));
            }
        }
    }
}
