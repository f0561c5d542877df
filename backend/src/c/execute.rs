//! The execute unit's function: a `switch` over tokens.

use hashbrown::HashSet;
use hlo2dae_ir::core::{Bound, Type};

use super::Helpers;
use super::arith::{binary, expression};
use super::value::{Lines, Spelling, Transfer, declaration, transfer};
use crate::artifact::Artifact;
use crate::execute::{Case, Instruction, Reg};

pub(super) fn print(artifact: &Artifact, helpers: &mut Helpers) -> String {
    let mut lines = Lines {
        text: String::new(),
        depth: 0,
    };
    lines.line("/* Runs until there is no token. */");
    lines.open("static int execute_unit(struct machine *m)");
    lines.open("while (m->tokens)");
    lines.line("uint32_t token = m->token[m->first_token];");
    lines.line("m->first_token = (m->first_token + 1) % HLO2DAE_TOKENS;");
    lines.line("m->tokens -= 1;");
    lines.line("switch (token) {");
    for (id, case) in &artifact.execute.cases {
        lines.open(format_args!("case {}: /* @{} */", id.as_u32(), case.name));
        let mut printer = Printer {
            artifact,
            case,
            helpers: &mut *helpers,
            prefix: format!("c{}", id.as_u32()),
            targets: targets(case),
            lines: &mut lines,
        };
        printer.case();
        lines.line("break;");
        lines.close();
    }
    lines.line("}");
    lines.close();
    lines.line("return 0;");
    lines.close();
    lines.text
}

/// The instructions that branches and jumps go to.
fn targets(case: &Case) -> HashSet<usize> {
    let targets = case
        .code
        .iter()
        .filter_map(|instruction| match instruction {
            Instruction::BranchUnless(branch) => Some(branch.target.0 as usize),
            Instruction::Jump(jump) => Some(jump.target.0 as usize),
            _ => None,
        });
    targets.collect()
}

struct Printer<'a> {
    artifact: &'a Artifact,
    case: &'a Case,
    helpers: &'a mut Helpers,
    /// Before the labels of the case.
    prefix: String,
    targets: HashSet<usize>,
    lines: &'a mut Lines,
}

struct Registers<'a>(&'a Case);

impl Spelling<Reg> for Registers<'_> {
    fn name(&self, reg: Reg) -> String {
        reg.to_string()
    }

    fn ty(&self, reg: Reg) -> Type {
        self.0
            .registers
            .get(reg)
            .map_or(Type::INDEX, |data| data.ty)
    }
}

impl Printer<'_> {
    fn case(&mut self) {
        for (reg, data) in &self.case.registers {
            let declared = declaration(&reg.to_string(), data.ty);
            self.lines
                .line(format_args!("{declared}; /* %{} */", data.name));
        }
        // What ends each loop that is open.
        let mut loops: Vec<(Reg, String, i64)> = Vec::new();
        for (at, instruction) in self.case.code.iter().enumerate() {
            self.label(at);
            match instruction {
                Instruction::For(start) => {
                    let bound = |bound: Bound<Reg>| match bound {
                        Bound::Constant(i64::MIN) => "INT64_MIN".to_owned(),
                        Bound::Constant(position) => format!("INT64_C({position})"),
                        Bound::Value(reg) => reg.to_string(),
                    };
                    let (i, upper) = (start.to.0, bound(start.upper));
                    self.lines
                        .line(format_args!("{i} = {};", bound(start.lower)));
                    self.lines.open(format_args!("if ({i} < {upper}) for (;;)"));
                    let lanes = start.vector.as_ref().map_or(1, |lanes| lanes.count);
                    if let Some(mask) = start.vector.as_ref().and_then(|lanes| lanes.mask) {
                        self.lines.line(format_args!(
                            "for (int k = 0; k < {lanes}; k++) {}[k] = lane_active({i}, {upper}, {}, (uint64_t)k);",
                            mask.0, start.step
                        ));
                    }
                    loops.push((i, upper, start.step.saturating_mul(lanes.into())));
                }
                Instruction::Next(_) => {
                    if let Some((i, upper, step)) = loops.pop() {
                        self.lines.line(format_args!(
                            "if ({i} > INT64_MAX - {step} || {i} + {step} >= {upper}) break;"
                        ));
                        self.lines.line(format_args!("{i} += {step};"));
                    }
                    self.lines.close();
                }
                _ => self.instruction(instruction),
            }
        }
        self.label(self.case.code.len());
    }

    fn label(&mut self, at: usize) {
        if self.targets.contains(&at) {
            self.lines.line(format_args!("{}_{at}:;", self.prefix));
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let registers = Registers(self.case);
        let lines = &mut *self.lines;
        match instruction {
            Instruction::For(_) | Instruction::Next(_) => {}
            Instruction::Pop(i) => {
                let place = match registers.ty(i.to.0) {
                    Type::Scalar(_) => format!("&{}", i.to.0),
                    Type::Vector(..) | Type::Row(..) => i.to.0.to_string(),
                };
                lines.line(format_args!("pop(m, {place}, sizeof {});", i.to.0));
            }
            Instruction::Compute(i) => {
                let operands = i
                    .arith
                    .map(|&reg| (registers.lane(reg), registers.ty(reg).scalar()));
                let value = expression(&operands, self.helpers);
                match registers.ty(i.to.0).lanes() {
                    None => lines.line(format_args!("{} = {value};", i.to.0)),
                    Some(count) => lines.line(format_args!(
                        "for (int k = 0; k < {count}; k++) {}[k] = {value};",
                        i.to.0
                    )),
                }
            }
            Instruction::Broadcast(i) => lines.line(format_args!(
                "for (int k = 0; k < {}; k++) {}[k] = {};",
                i.lanes, i.to.0, i.value
            )),
            Instruction::Sequence(i) => lines.line(format_args!(
                "for (int k = 0; k < {}; k++) {}[k] = (int64_t)((uint64_t){} + (uint64_t)k * (uint64_t)INT64_C({}));",
                i.lanes, i.to.0, i.base, i.step
            )),
            Instruction::Load(i) => {
                let to = registers.name(i.to.0);
                transfer(lines, self.artifact, &registers, &i.access, &Transfer::To(&to));
            }
            Instruction::Store(i) => {
                let from = registers.name(i.value);
                transfer(lines, self.artifact, &registers, &i.access, &Transfer::From(&from));
            }
            Instruction::Element(i) => {
                let (to, row, index) = (i.to.0, i.from.row, i.from.index);
                let Type::Row(_, elements) = registers.ty(row) else {
                    return;
                };
                let Some(count) = i.from.lanes else {
                    lines.line(format_args!(
                        "if ((uint64_t){index} >= {elements}) return stop(m, 1);"
                    ));
                    lines.line(format_args!("{to} = {row}[{index}];"));
                    return;
                };
                lines.open(format_args!("for (int k = 0; k < {}; k++)", count.count));
                if let Some(mask) = count.mask {
                    lines.line(format_args!("if (!{mask}[k]) {{ {to}[k] = 0; continue; }}"));
                }
                lines.line(format_args!(
                    "if ((uint64_t){index} + (uint64_t)k >= {elements}) return stop(m, 1);"
                ));
                lines.line(format_args!("{to}[k] = {row}[{index} + k];"));
                lines.close();
            }
            Instruction::Reduce(i) => {
                let (to, vector) = (i.to.0, i.vector);
                let count = registers.ty(vector).lanes().unwrap_or(0);
                let Some(op) = i.op.binary() else {
                    return;
                };
                let f = binary(op, registers.ty(to).scalar(), self.helpers);
                lines.line(format_args!("{to} = {};", i.initial));
                let mask = i.mask.map_or_else(String::new, |mask| format!("if ({mask}[k]) "));
                lines.line(format_args!(
                    "for (int k = 0; k < {count}; k++) {mask}{to} = {f}({to}, {vector}[k]);"
                ));
            }
            Instruction::BranchUnless(i) => lines.line(format_args!(
                "if (!{}) goto {}_{};",
                i.condition, self.prefix, i.target.0
            )),
            Instruction::Jump(i) => {
                lines.line(format_args!("goto {}_{};", self.prefix, i.target.0));
            }
        }
    }
}
