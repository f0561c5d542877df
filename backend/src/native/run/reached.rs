//! Runs of two nests of which the second is done for the rows that the first reaches.
//!
//! The destinations of the first are decoded, and mark their rows. These rows of the temporary are started, the first nest runs as any other does,
//! and then the second on these rows, which it has in ascending order. It takes twice the time to decode; so where there are more
//! lookups than half of the rows, and where the second nest would change other rows too, both run as they are.

use std::sync::{Arc, Mutex};

use hlo2dae_ir::core::Scalar;

use super::look::Look;
use super::split::{self, Part, Size, by_position, destinations};
use super::{Run, TASKS};
use crate::native::error::RunError;
use crate::native::plan::effect::Effect;
use crate::native::plan::level::Place;
use crate::native::plan::reached::Reached;

/// A set of rows.
struct Rows {
    bits: Vec<u64>,
    /// Elements of a row.
    size: u64,
}

impl Rows {
    /// None of `count` rows.
    fn new(count: u64, size: usize) -> Rows {
        Rows {
            bits: vec![0; count.div_ceil(64) as usize],
            size: size.max(1) as u64,
        }
    }

    /// Adds the rows of the elements from `dst` on, `elements` of them.
    fn add(&mut self, dst: i64, elements: u64) {
        let (first, last) = (dst as u64, (dst as u64).saturating_add(elements.max(1) - 1));
        for row in first / self.size..=last / self.size {
            let Some(word) = self.bits.get_mut((row / 64) as usize) else {
                return;
            };
            *word |= 1 << (row % 64);
        }
    }

    fn join(&mut self, other: &Rows) {
        for (word, other) in self.bits.iter_mut().zip(&other.bits) {
            *word |= other;
        }
    }

    /// The rows, ascending.
    fn list(&self) -> Vec<i64> {
        let mut rows = Vec::with_capacity(self.bits.iter().map(|w| w.count_ones() as usize).sum());
        for (n, &word) in self.bits.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                rows.push(n as i64 * 64 + i64::from(left.trailing_zeros()));
                left &= left - 1;
            }
        }
        rows
    }
}

/// Whether to add a value changes nothing.
fn is_nothing(value: Scalar) -> bool {
    // A positive zero makes a negative one positive.
    let nothing = match value.ty().is_float() {
        true => Scalar::F32(-0.0).convert(value.ty()),
        false => Scalar::zero(value.ty()),
    };
    value.bits() == nothing.bits()
}

impl Run<'_> {
    /// Runs the two nests.
    pub(super) fn reached(&self, reached: &Reached, registers: &[Scalar]) -> Result<(), RunError> {
        let Reached { sums, rows, .. } = reached;
        let uniforms = self.uniforms(sums, registers)?;
        let size = Size::of(self, sums, &uniforms)?;
        let added = self.uniforms(rows, registers)?;
        let few = size.lookups.saturating_mul(2) < reached.count;
        let effect = sums.effects.get(reached.effect);
        let (Some(effect), true) = (
            effect,
            few && is_nothing(self.uniform(reached.idle, &added)?),
        ) else {
            if let Some(data) = self.source.buffers.get(reached.buffer) {
                self.start(reached.buffer, data);
            }
            self.group(std::slice::from_ref(sums), registers)?;
            return self.group(std::slice::from_ref(&reached.all), registers);
        };
        let list = Arc::new(self.rows(reached, effect, &uniforms, &size)?);
        let bytes = list
            .len()
            .saturating_mul(rows.bytes.saturating_mul(rows.row));
        let threads = (bytes / self.options.grain.max(1)).min(self.pool.threads());
        let tasks = match threads {
            0 | 1 => 1,
            threads => threads as u64 * TASKS,
        };
        let parts = split::picked(&list, tasks);
        self.parts(&parts, |part| {
            let list = list.get(part.first as usize..part.last as usize);
            for run in list.unwrap_or(&[]).chunk_by(|&row, &next| row + 1 == next) {
                let first = run.first().map_or(0, |&row| row as usize * rows.row);
                let last = first + run.len() * rows.row;
                let started = self.memory.fill(reached.buffer, first, last, reached.start);
                started.map_err(|_| self.outside(reached.buffer, effect.span))?;
            }
            Ok(())
        })?;
        self.group(std::slice::from_ref(sums), registers)?;
        self.parts(&parts, |part| {
            self.with_scratch(rows, |scratch| self.part(rows, &added, part, scratch))
        })
    }

    /// The rows that lookups reach.
    fn rows(
        &self,
        reached: &Reached,
        effect: &Effect,
        uniforms: &[Scalar],
        size: &Size,
    ) -> Result<Vec<i64>, RunError> {
        let Reached { sums, rows, .. } = reached;
        if let Some(&(place @ (Place::Uniform(_) | Place::Constant(_)), _)) = effect.exports.first()
        {
            let mut only = Rows::new(reached.count, rows.row);
            only.add(self.uniform_index(place, uniforms)?, sums.row as u64);
            return Ok(only.list());
        }
        let threads = size.bytes / self.options.grain.max(1) as u64;
        let threads = threads.clamp(1, self.pool.threads().max(1) as u64);
        let parts = by_position(size, threads);
        let found = Mutex::new(Rows::new(reached.count, rows.row));
        self.parts(&parts, |part| {
            let mut own = Rows::new(reached.count, rows.row);
            let mut look = Look::new(self, effect, uniforms, |dst| own.add(dst, sums.row as u64));
            destinations(self, sums, uniforms, [part.clone()], &mut look)?;
            let mut found = found
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            found.join(&own);
            Ok(())
        })?;
        let found = found.into_inner();
        Ok(found
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .list())
    }

    /// Does something for each part.
    fn parts(
        &self,
        parts: &[Part],
        each: impl Fn(&Part) -> Result<(), RunError> + Sync,
    ) -> Result<(), RunError> {
        self.all(parts.len(), |n| parts.get(n).map_or(Ok(()), &each))
    }
}
