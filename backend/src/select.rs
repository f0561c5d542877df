//! DLC to the two decoded programs.
//!
//! Takes a verified program. One slot for each stream, one register for each value, one unit and one
//! case for each of DLC's, under the same numbers; `if` becomes forward jumps.

use cranelift_entity::EntityRef;
use hlo2dae_ir::core::{Access, Compute, ScalarType, Span, StreamExpr as Made, Type};
use hlo2dae_ir::dlc::{self, AccessOp, Expr, Statement, StreamExpr};

use crate::access::{self, Slot, UnitId};
use crate::artifact::Artifact;
use crate::error::Unsupported;
use crate::execute::{self, CaseId, Instruction, Reg};

/// The programs, or everything that has lanes or rows.
pub(crate) fn select(program: &dlc::Program) -> Result<Artifact, Vec<Unsupported>> {
    let mut reasons = Vec::new();
    let artifact = Artifact {
        name: program.name.clone(),
        buffers: program.buffers.clone(),
        access: access(&program.access, &mut reasons),
        execute: execute::Program {
            cases: program
                .execute
                .cases
                .values()
                .map(|from| case(from, &mut reasons))
                .collect(),
        },
    };
    if reasons.is_empty() {
        Ok(artifact)
    } else {
        Err(reasons)
    }
}

fn refuse(what: &str, span: Span, reasons: &mut Vec<Unsupported>) {
    let reason = Unsupported::new(what.into(), "scalars".into(), "lanes or rows".into(), span);
    reasons.push(reason);
}

/// The type of what one slot or register holds.
fn scalar(ty: Type, span: Span, reasons: &mut Vec<Unsupported>) -> ScalarType {
    match ty {
        Type::Scalar(_) => {}
        Type::Vector(_, _) | Type::Row(_, _) => refuse("a value", span, reasons),
    }
    ty.scalar()
}

fn element<V: Copy, W>(
    access: &Access<V>,
    to: impl Fn(&V) -> W,
    span: Span,
    reasons: &mut Vec<Unsupported>,
) -> Vec<W> {
    if access.lanes.is_some() {
        refuse("an access", span, reasons);
    }
    access.indices.iter().map(to).collect()
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
        dlc::Bound::Value(stream) => access::Bound::Slot(slot(&stream)),
    }
}

fn access(from: &dlc::Access, reasons: &mut Vec<Unsupported>) -> access::Program {
    let mut to = access::Program {
        slots: from
            .streams
            .values()
            .map(|stream| access::SlotData {
                name: stream.name.clone(),
                ty: scalar(stream.ty, stream.span, reasons),
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
            AccessOp::NewTu(tu) if from.units[*tu].lanes.is_some() => {
                refuse("a unit", from.units[*tu].span, reasons);
            }
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
                        StreamExpr::Made(Made::Mem { access, hints: _ }) => access::Source::Read {
                            buffer: access.buffer,
                            indices: element(access, slot, data.span, reasons),
                        },
                        StreamExpr::Made(Made::Compute(Compute::Arith(arith))) => {
                            access::Source::Compute(arith.map(slot))
                        }
                        // Their types are refused.
                        StreamExpr::Mask
                        | StreamExpr::Made(
                            Made::Row(_, _)
                            | Made::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. }),
                        ) => access::Source::Position,
                    },
                });
            }
            AccessOp::Effect(_, effect) => refuse("an effect", effect.span(), reasons),
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

fn case(from: &dlc::Case, reasons: &mut Vec<Unsupported>) -> execute::Case {
    let mut code = Vec::new();
    block(from, &from.code.body, &mut code, reasons);
    execute::Case {
        name: from.name.clone(),
        registers: from
            .code
            .values
            .values()
            .map(|value| execute::RegData {
                name: value.name.clone(),
                ty: scalar(value.ty, value.span, reasons),
                span: value.span,
            })
            .collect(),
        code,
        span: from.span,
    }
}

/// Appends the statements; recursion is as deep as `if`s nest, which the verifier bounds.
fn block(
    from: &dlc::Case,
    statements: &[Statement],
    code: &mut Vec<Instruction>,
    reasons: &mut Vec<Unsupported>,
) {
    for statement in statements {
        match statement {
            Statement::Let(value, expr) => {
                let to = reg(value);
                let span = from.code.values[*value].span;
                match expr {
                    Expr::Take(dlc::Pop) => code.push(Instruction::Pop { to }),
                    Expr::Compute(Compute::Arith(arith)) => code.push(Instruction::Compute {
                        to,
                        arith: arith.map(reg),
                    }),
                    Expr::Load(access) => code.push(Instruction::Load {
                        to,
                        buffer: access.buffer,
                        indices: element(access, reg, span, reasons),
                    }),
                    Expr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. })
                    | Expr::Element { .. }
                    | Expr::Reduce { .. } => refuse("an expression", span, reasons),
                }
            }
            Statement::Store {
                access,
                value,
                span,
            } => code.push(Instruction::Store {
                buffer: access.buffer,
                indices: element(access, reg, *span, reasons),
                value: reg(value),
                span: *span,
            }),
            Statement::For(inner) => refuse("a loop of a case", inner.span, reasons),
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
                block(from, then, code, reasons);
                if otherwise.is_empty() {
                    land(code, branch);
                } else {
                    let jump = code.len();
                    code.push(Instruction::Jump { target: 0 });
                    land(code, branch);
                    block(from, otherwise, code, reasons);
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
