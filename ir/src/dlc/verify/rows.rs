//! Rule 11: rows are full when they are pushed.

use cranelift_entity::SecondaryMap;

use crate::core::check::Checker;
use crate::core::compute::positions;
use crate::core::rows::{self, Step};
use crate::core::{StreamExpr as Made, Type};
use crate::dlc::{AccessOp, Bound, Effect, Event, Program, Stream, StreamExpr, Tu};

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let access = &program.access;
    let mut children: SecondaryMap<Tu, Vec<Tu>> = SecondaryMap::new();
    let mut roots = Vec::new();
    for op in &access.body {
        if let AccessOp::NewTu(tu) = op {
            match access.units[*tu].parent {
                Some(parent) => children[parent].push(*tu),
                None => roots.push(*tu),
            }
        }
    }
    let mut steps = Vec::new();
    for root in roots {
        activation(program, &children, root, &mut steps);
    }
    rows::check(11, &steps, checker, &|stream| access.stream_name(stream));
}

/// What one activation does to rows; recursion is as deep as units nest.
fn activation(
    program: &Program,
    children: &SecondaryMap<Tu, Vec<Tu>>,
    tu: Tu,
    steps: &mut Vec<Step<Stream>>,
) {
    let data = &program.access.units[tu];
    pushes(program, tu, Event::Begin, steps);
    let mut body = Vec::new();
    for op in &program.access.body {
        match op {
            AccessOp::Stream(stream) => {
                let held = &program.access.streams[*stream];
                if let StreamExpr::Made(Made::Row(_, elements)) = held.expr
                    && held.unit == tu
                {
                    body.push(Step::New {
                        row: *stream,
                        elements,
                        span: held.span,
                    });
                }
            }
            AccessOp::NewTu(_) | AccessOp::Effect(_, _) | AccessOp::RegisterCallback(_) => {}
        }
    }
    for (unit, effect) in program.access.effects() {
        if let Effect::ToBuffer {
            stream,
            row,
            mask,
            span,
        } = effect
            && unit == tu
        {
            body.push(Step::Append {
                row: *row,
                lanes: program.access.streams[*stream].ty.lanes(),
                mask: *mask,
                span: *span,
            });
        }
    }
    pushes(program, tu, Event::Iterate, &mut body);
    for &child in &children[tu] {
        activation(program, children, child, &mut body);
    }
    steps.push(Step::Loop {
        positions: match (data.begin, data.end) {
            (Bound::Constant(begin), Bound::Constant(end)) => {
                Some(positions(begin, end, data.step))
            }
            (Bound::Value(_), _) | (_, Bound::Value(_)) => None,
        },
        lanes: data.lanes,
        mask: program.access.mask(tu),
        body,
    });
    pushes(program, tu, Event::End, steps);
}

fn pushes(program: &Program, tu: Tu, event: Event, steps: &mut Vec<Step<Stream>>) {
    let callbacks = program.access.callbacks();
    for callback in callbacks.filter(|c| c.unit == tu && c.event == event) {
        for operand in &callback.operands {
            if let Type::Row(_, _) = program.access.streams[operand.stream].ty {
                steps.push(Step::Take {
                    row: operand.stream,
                    span: operand.span,
                });
            }
        }
    }
}
