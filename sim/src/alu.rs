//! Computation on the words of a file, the same in both units.

use hlo2dae_ir::core::EvalError;

use crate::code::Alu;

#[inline]
pub(crate) fn run(op: &Alu, file: &mut [u64]) -> Result<(), EvalError> {
    match op {
        Alu::Compute { compute, to, span } => {
            let word = compute.run(file);
            file[*to as usize] = word.map_err(|error| EvalError::stuck(*span, error))?;
        }
        Alu::Lanes {
            compute,
            to,
            lanes,
            span,
        } => compute
            .run_lanes(file, *to, *lanes)
            .map_err(|error| EvalError::stuck(*span, error))?,
        Alu::Broadcast { from, to, lanes } => {
            let word = file[*from as usize];
            file[*to as usize..(*to + *lanes) as usize].fill(word);
        }
        Alu::Sequence {
            base,
            step,
            to,
            lanes,
        } => {
            let mut position = file[*base as usize] as i64;
            for word in &mut file[*to as usize..(*to + *lanes) as usize] {
                *word = position as u64;
                position = position.wrapping_add(*step);
            }
        }
    }
    Ok(())
}

/// Which lanes of a loop stand below its end.
#[inline]
pub(crate) fn mask(file: &mut [u64], position: u32, end: u32, step: i64, to: u32, lanes: u32) {
    let first = file[position as usize] as i64;
    let end = file[end as usize] as i64;
    let last = i64::from(lanes) - 1;
    let last = step
        .checked_mul(last)
        .and_then(|distance| first.checked_add(distance));
    if last.is_some_and(|last| last < end) {
        file[to as usize..(to + lanes) as usize].fill(1);
        return;
    }
    for lane in 0..lanes {
        let at = step
            .checked_mul(lane.into())
            .and_then(|distance| first.checked_add(distance));
        file[(to + lane) as usize] = u64::from(at.is_some_and(|at| at < end));
    }
}

/// The next position below the end; `None` if there is none.
#[inline]
pub(crate) fn next(position: u64, step: i64, end: u64) -> Option<u64> {
    let next = (position as i64).checked_add(step)?;
    (next < end as i64).then_some(next as u64)
}
