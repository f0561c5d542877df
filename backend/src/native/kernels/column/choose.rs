//! Which values of a block count.

use super::{BLOCK, Slot, versions};
use crate::native::machine::Isa;

versions! {
    /// `keep[k] &= low <= values[k] < high`.
    within = within_body (keep: &mut [bool], values: &[i64], low: i64, high: i64)
}

#[inline(always)]
fn within_body(keep: &mut [bool], values: &[i64], low: i64, high: i64) {
    for (keep, &value) in keep.iter_mut().zip(values) {
        *keep &= (low <= value) & (value < high);
    }
}

versions! {
    /// Whether all are true.
    all = all_body (keep: &[bool]) -> bool
}

#[inline(always)]
fn all_body(keep: &[bool]) -> bool {
    keep.iter().fold(true, |all, &keep| all & keep)
}

/// The positions in a block that are kept, in order; of `guard` (all without one), those whose `values.0` is in `values.1..values.2`. True if
/// they are all: `which` is empty then.
pub(crate) fn choose(
    isa: Isa,
    guard: Option<&[bool]>,
    values: Option<(&[i64], i64, i64)>,
    n: usize,
    which: &mut Vec<Slot>,
) -> bool {
    which.clear();
    let mut keep = [true; BLOCK];
    let n = n.min(BLOCK);
    let keep = keep.get_mut(..n).unwrap_or(&mut []);
    if let Some(guard) = guard {
        for (keep, &guard) in keep.iter_mut().zip(guard) {
            *keep = guard;
        }
    }
    if let Some((values, low, high)) = values {
        within(isa, keep, values, low, high);
    }
    if all(isa, keep) {
        return true;
    }
    which.resize(BLOCK, 0);
    let mut kept = 0;
    if let Some(slots) = which.first_chunk_mut::<BLOCK>() {
        for (k, &keep) in keep.iter().enumerate() {
            // Without a branch: every position is written, and kept if it counts.
            slots[kept % BLOCK] = k as Slot;
            kept += usize::from(keep);
        }
    }
    which.truncate(kept);
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_counts_is_chosen_in_order(
            values in prop::collection::vec((-5i64..5, prop::bool::weighted(0.9)), 0..=BLOCK),
            low in -6i64..6,
            high in -6i64..6,
            guarded: bool,
            bounded: bool,
        ) {
            let (numbers, guard): (Vec<i64>, Vec<bool>) = values.iter().copied().unzip();
            let counts = |k: &usize| (!guarded || guard[*k]) && (!bounded || (low..high).contains(&numbers[*k]));
            let expected: Vec<Slot> = (0..values.len()).filter(counts).map(|k| k as Slot).collect();
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let mut which = vec![9];
                let all = choose(
                    isa, guarded.then_some(guard.as_slice()), bounded.then_some((numbers.as_slice(), low, high)),
                    values.len(), &mut which,
                );
                prop_assert_eq!(all, expected.len() == values.len());
                if !all {
                    prop_assert_eq!(&which, &expected);
                }
            }
        }
    }
}
