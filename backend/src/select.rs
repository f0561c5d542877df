//! DLC to the two decoded programs.
//!
//! Takes a verified program. One slot for each stream, one register for each value, one unit and one
//! case for each of DLC's, under the same numbers; `if` becomes forward jumps.

use cranelift_entity::EntityRef;
use hlo2dae_ir::dlc::{self, AccessOp, Expr, Statement, StreamExpr};

use crate::access::{self, Slot, UnitId};
use crate::artifact::Artifact;
use crate::execute::{self, CaseId, Instruction, Reg};

pub(crate) fn select(program: &dlc::Program) -> Artifact {
    Artifact {
        name: program.name.clone(),
        buffers: program.buffers.clone(),
        access: access(&program.access),
        execute: execute::Program {
            cases: program.execute.cases.values().map(case).collect(),
        },
    }
}

fn slot(stream: &dlc::Stream) -> Slot {
    Slot::new(stream.index())
}

fn unit_id(tu: dlc::Tu) -> UnitId {
    UnitId::new(tu.index())
}

fn bound(bound: dlc::Bound) -> access::Bound {
    match bound {
        dlc::Bound::Constant(value) => access::Bound::Constant(value),
        dlc::Bound::Stream(stream) => access::Bound::Slot(slot(&stream)),
    }
}

fn access(from: &dlc::Access) -> access::Program {
    let mut to = access::Program {
        slots: from
            .streams
            .values()
            .map(|stream| access::SlotData {
                name: stream.name.clone(),
                ty: stream.ty,
                span: stream.span,
            })
            .collect(),
        units: from
            .units
            .values()
            .map(|tu| access::Unit {
                name: tu.name.clone(),
                parent: tu.parent.map(unit_id),
                children: Vec::new(),
                begin: bound(tu.begin),
                end: bound(tu.end),
                step: tu.step,
                streams: Vec::new(),
                callbacks: Vec::new(),
                span: tu.span,
            })
            .collect(),
        roots: Vec::new(),
    };
    // The order of siblings, streams and callbacks is that of the text, not that of the numbers.
    for op in &from.body {
        match op {
            AccessOp::NewTu(tu) => match from.units[*tu].parent {
                Some(parent) => to.units[unit_id(parent)].children.push(unit_id(*tu)),
                None => to.roots.push(unit_id(*tu)),
            },
            AccessOp::Stream(stream) => {
                let data = &from.streams[*stream];
                to.units[unit_id(data.unit)].streams.push(access::Stream {
                    slot: slot(stream),
                    source: match &data.expr {
                        StreamExpr::InductionVariable => access::Source::Position,
                        StreamExpr::Mem { buffer, indices } => access::Source::Read {
                            buffer: *buffer,
                            indices: indices.iter().map(slot).collect(),
                        },
                        StreamExpr::Alu(arith) => access::Source::Compute(arith.map(slot)),
                    },
                });
            }
            AccessOp::RegisterCallback(callback) => {
                let operands = callback.operands.iter();
                to.units[unit_id(callback.unit)]
                    .callbacks
                    .push(access::Callback {
                        event: callback.event,
                        case: CaseId::new(callback.case.index()),
                        operands: operands.map(|operand| slot(&operand.stream)).collect(),
                        span: callback.span,
                    });
            }
        }
    }
    to
}

fn reg(value: &dlc::Value) -> Reg {
    Reg::new(value.index())
}

fn case(from: &dlc::Case) -> execute::Case {
    let mut code = Vec::new();
    block(&from.body, &mut code);
    execute::Case {
        name: from.name.clone(),
        registers: from
            .values
            .values()
            .map(|value| execute::RegData {
                name: value.name.clone(),
                ty: value.ty,
                span: value.span,
            })
            .collect(),
        code,
        span: from.span,
    }
}

/// Appends the statements; recursion is as deep as `if`s nest, which the verifier bounds.
fn block(statements: &[Statement], code: &mut Vec<Instruction>) {
    for statement in statements {
        match statement {
            Statement::Let(value, expr) => {
                let to = reg(value);
                code.push(match expr {
                    Expr::Pop => Instruction::Pop { to },
                    Expr::Arith(arith) => Instruction::Compute {
                        to,
                        arith: arith.map(reg),
                    },
                    Expr::Load { buffer, indices } => Instruction::Load {
                        to,
                        buffer: *buffer,
                        indices: indices.iter().map(reg).collect(),
                    },
                });
            }
            Statement::Store {
                buffer,
                indices,
                value,
                span,
            } => code.push(Instruction::Store {
                buffer: *buffer,
                indices: indices.iter().map(reg).collect(),
                value: reg(value),
                span: *span,
            }),
            Statement::If {
                condition,
                then,
                otherwise,
                span: _,
            } => {
                let branch = code.len();
                code.push(Instruction::BranchUnless {
                    condition: reg(condition),
                    target: 0,
                });
                block(then, code);
                if otherwise.is_empty() {
                    land(code, branch);
                } else {
                    let jump = code.len();
                    code.push(Instruction::Jump { target: 0 });
                    land(code, branch);
                    block(otherwise, code);
                    land(code, jump);
                }
            }
        }
    }
}

/// Makes the jump at `from` go to the end of what there is of the list.
fn land(code: &mut [Instruction], from: usize) {
    let here = code.len();
    if let Some(Instruction::BranchUnless { target, .. } | Instruction::Jump { target }) =
        code.get_mut(from)
    {
        *target = here;
    }
}
