//! Threads that divide lookups whose destinations hardly meet.
//!
//! Each part but the last claims the rows that it writes. A part then does the lookups whose rows no part before it has claimed, and leaves the others
//! until all parts are done, when they are done part by part: each row is still combined in the order of its lookups. A claim is a bit that may stand
//! for several rows, so that a little more is left than has to be.

use std::sync::{Arc, Mutex};

use hlo2dae_ir::core::Scalar;

use super::Run;
use super::look::Look;
use super::split::{Part, Size, by_position, destinations, sample};
use crate::native::error::RunError;
use crate::native::kernels::column::{Column, Slot};
use crate::native::plan::level::{Flat, Place};

/// The rows that one part writes.
#[derive(Debug)]
struct Claims {
    bits: Vec<u64>,
    /// Places in the buffer that one bit stands for, as a power of two.
    shift: u32,
}

impl Claims {
    /// None yet, of a buffer of so many elements in which rows of `row` start at multiples of that; `lookups` claim some. Rows have a bit each, if
    /// those are few beside the lookups.
    fn new(elements: usize, row: usize, lookups: u64) -> Claims {
        let shift = row.max(1).trailing_zeros();
        let rows = (elements >> shift).max(64);
        let bits = lookups.saturating_mul(64).clamp(64, rows as u64) as usize;
        Claims {
            bits: vec![0; bits.next_power_of_two() / 64],
            shift,
        }
    }

    /// The word of a row, and its bit there.
    #[inline(always)]
    fn place(&self, dst: i64) -> (usize, u64) {
        let bit = dst as u64 >> self.shift;
        let word = (bit / 64) as usize & (self.bits.len() - 1);
        (word, 1 << (bit % 64))
    }

    fn add(&mut self, dst: i64) {
        let (word, bit) = self.place(dst);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }

    #[inline(always)]
    fn has(&self, dst: i64) -> bool {
        let (word, bit) = self.place(dst);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

/// What a part leaves to the end.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    claims: Arc<Vec<Claims>>,
    /// Parts before this one.
    earlier: usize,
    /// The exports of the lookups that are left.
    left: Arc<Mutex<Vec<Column>>>,
}

impl Claimed {
    /// Divides lookups, all of a block or those in `which`, into those that are done, which stay there, and those that are left.
    pub fn divide(&self, dst: &[i64], all: bool, which: &mut Vec<Slot>, left: &mut Vec<Slot>) {
        let earlier = self.claims.get(..self.earlier).unwrap_or(&[]);
        if all {
            which.clear();
            which.extend(0..dst.len() as Slot);
        }
        left.clear();
        which.retain(|&k| {
            let dst = dst.get(usize::from(k)).copied().unwrap_or(0);
            let claimed = earlier.iter().any(|claims| claims.has(dst));
            if claimed {
                left.push(k);
            }
            !claimed
        });
    }

    /// Keeps what was left.
    pub fn leave(&self, columns: Vec<Column>) {
        let left = self.left.lock();
        *left.unwrap_or_else(|poisoned| poisoned.into_inner()) = columns;
    }
}

/// One part for each thread, of as many lookups, if rows are hardly ever written by two of them.
pub(super) fn claimed(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    size: &Size,
    threads: u64,
) -> Result<Option<Vec<Part>>, RunError> {
    let [effect] = flat.effects.as_slice() else {
        return Ok(None);
    };
    // One place for all lookups is nothing to divide.
    let Some((Place::Column(_), _)) = effect.exports.first() else {
        return Ok(None);
    };
    let data = run.source.buffers.get(effect.buffer);
    let elements = data.map_or(0, |data| data.len());
    let parts = by_position(size, threads);
    let Some((last, before)) = parts.split_last() else {
        return Ok(None);
    };
    let each = size.lookups / parts.len() as u64;
    let slots: Vec<Mutex<Result<Claims, RunError>>> = before
        .iter()
        .map(|_| Mutex::new(Ok(Claims::new(elements, flat.row, each))))
        .collect();
    run.pool.run(before.len(), &|n| {
        let (Some(part), Some(slot)) = (before.get(n), slots.get(n)) else {
            return;
        };
        let mut slot = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Ok(claims) = slot.as_mut() else { return };
        let mut look = Look::new(run, effect, uniforms, |dst| claims.add(dst));
        if let Err(error) = destinations(run, flat, uniforms, [part.clone()], &mut look) {
            *slot = Err(error);
        }
    });
    let claims: Vec<Claims> = slots
        .into_iter()
        .map(|slot| {
            let slot = slot.into_inner();
            slot.unwrap_or_else(|poisoned| poisoned.into_inner())
        })
        .collect::<Result<_, _>>()?;
    let (mut seen, mut met) = (0, 0);
    let mut look = Look::new(run, effect, uniforms, |dst| {
        seen += 1;
        met += usize::from(claims.iter().any(|claims| claims.has(dst)));
    });
    sample(
        run,
        flat,
        uniforms,
        size,
        (last.first, last.last),
        &mut look,
    )?;
    // What is left to the end one thread does.
    if met * 8 > seen {
        return Ok(None);
    }
    let claims = Arc::new(claims);
    let parts = parts.into_iter().enumerate().map(|(earlier, part)| Part {
        claimed: Some(Claimed {
            claims: Arc::clone(&claims),
            earlier,
            left: Arc::default(),
        }),
        started: true,
        ..part
    });
    Ok(Some(parts.collect()))
}

impl Run<'_> {
    /// Does what a part left.
    pub(super) fn left(
        &self,
        flat: &Flat,
        uniforms: &[Scalar],
        claimed: &Claimed,
    ) -> Result<(), RunError> {
        let left = {
            let left = claimed.left.lock();
            std::mem::take(&mut *left.unwrap_or_else(|poisoned| poisoned.into_inner()))
        };
        let part = Part {
            started: true,
            ..Part::default()
        };
        self.known(flat, uniforms, &part, left).map(drop)
    }
}
