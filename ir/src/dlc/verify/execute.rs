//! Rules 9 and 10: the cases, and what they pop.

use cranelift_entity::SecondaryMap;

use crate::core::check::Checker;
use crate::core::code;
use crate::dlc::{Callback, Case, CaseId, Program, Value};

pub(super) fn verify(program: &Program, checker: &mut Checker<'_>) {
    let mut pops: SecondaryMap<CaseId, Vec<Value>> = SecondaryMap::new();
    for (id, case) in &program.execute.cases {
        let buffers = program.buffers.values().map(|buffer| buffer.name.as_str());
        let mut names = buffers.collect();
        code::verify(&case.code, &mut names, 0, checker, |_, data, _| {
            Some(data.ty)
        });
        pops[id] = case.code.takes().map(|(value, _)| value).collect();
    }
    for (id, case) in &program.execute.cases {
        let mut registrations = program.access.callbacks().filter(|c| c.case == id);
        if registrations.next().is_none() {
            let sentence = format!("no callback is registered for @{}", case.name);
            checker.broken(9, case.span, sentence);
        }
    }
    for callback in program.access.callbacks() {
        if let Some(case) = program.execute.cases.get(callback.case) {
            balance(program, callback, case, &pops[callback.case], checker);
        }
    }
}

/// Rule 10 for one callback.
fn balance(
    program: &Program,
    callback: &Callback,
    case: &Case,
    pops: &[Value],
    checker: &mut Checker<'_>,
) {
    let unit = program.access.units.get(callback.unit);
    let unit = unit.map_or("?", |data| data.name.as_str());
    let event = callback.event.name();
    for n in 0..callback.operands.len().max(pops.len()) {
        let pushed = callback.operands.get(n).and_then(|operand| {
            let data = program.access.streams.get(operand.stream)?;
            Some((data, operand.span))
        });
        let popped = pops.get(n).and_then(|&value| case.code.values.get(value));
        match (pushed, popped) {
            (Some((stream, _)), Some(value)) if stream.ty == value.ty => {}
            (Some((stream, span)), Some(value)) => checker.broken(
                10,
                span,
                format!(
                    "operand {n} of @{} on {event} of %{unit} is %{}: {}, but the case pops it as %{}: {}",
                    case.name, stream.name, stream.ty, value.name, value.ty
                ),
            ),
            (Some((stream, span)), None) => checker.broken(
                10,
                span,
                format!(
                    "%{} is pushed for @{} on {event} of %{unit}, but the case pops {} operands only",
                    stream.name,
                    case.name,
                    pops.len()
                ),
            ),
            (None, Some(value)) => checker.broken(
                10,
                value.span,
                format!(
                    "@{} pops %{}, but on {event} of %{unit} only {} operands are pushed for it",
                    case.name,
                    value.name,
                    callback.operands.len()
                ),
            ),
            // An operand that does not exist, which rule 3 reports.
            (None, None) => {}
        }
    }
}
