//! Who does which part of a nest.
//!
//! A nest is divided so that no two threads write the same element, and each element is combined in the order of the lookups: results
//! do not depend on the number of threads, but for 4, which is left out where they must not. In this order:
//!
//! 1. small nests stay whole ([`super::super::Options::grain`]), and run beside others that have nothing to do with them;
//! 2. where the outermost position says what is written (bags, gathers), its positions are divided, by what is inside of them;
//! 3. where destinations turn out to never decrease (segments in order), positions are divided where the destination changes: those
//!    of the effects that are not divided by the outermost position anyway, if they have the same;
//! 4. where much is added to little, positions are divided, and each thread but the first adds to sums of its own, which are added up in the end;
//! 5. where no cache holds what is written, rows are divided if each thread gets two cache lines of them: all threads decode all lookups, have
//!    equally much to do however skewed these are, and read what they add in order. Where it would get less than four, and destinations hardly
//!    meet, positions are divided instead, and what meets is done in the end ([`super::claims`]);
//! 6. what caches hold, and rows that are not wide enough, has owners: a thread does the lookups whose destinations are its own, by a sample of
//!    them evenly. Two threads with parts of one row would take its neighbouring lines from one another's cache.
//!
//! Rows that are wide enough are divided also where there are too few bags, or one is too large, or one destination gets most lookups.

use std::sync::Mutex;

use hlo2dae_ir::core::Scalar;

use super::Run;
use super::claims::{Claimed, claimed};
use super::decode::{Block, Consumer, Scratch};
use super::direct::Nest;
use super::effects::{Effects, active};
use super::look::Look;
use crate::native::error::RunError;
use crate::native::kernels::column::{Column, Slot};
use crate::native::kernels::memory::never_decrease;
use crate::native::machine::Caches;
use crate::native::plan::effect::{Effect, Kernel};
use crate::native::plan::level::{Flat, Place};

mod weights;

use weights::{balanced, total, weights};

/// A part of a nest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// Positions of the outermost level, by number.
    pub first: u64,
    pub last: u64,
    /// Columns of the rows; all of them if none are said.
    pub columns: Option<(usize, usize)>,
    /// For each effect, the destinations that it does; all of them if none are said.
    pub owned: Option<Vec<(i64, i64)>>,
    /// Where destinations never decrease, the first of this part, and of the next.
    pub rows: Option<(i64, i64)>,
    /// Whether all that the nest would start was started before.
    pub started: bool,
    /// Whether it adds to sums of its own.
    pub own: bool,
    /// What it leaves to the end, where others write the same rows.
    pub claimed: Option<Claimed>,
    /// Which of its rows lie in a cache, though their buffers are large.
    pub cached: Cached,
}

/// Rows that lie in a cache, where lookups are in another order than in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cached {
    /// Nobody knows: lookups are in order.
    #[default]
    Unknown,
    /// Those that are written; the others are read in no order.
    Written,
    /// Those that are read; the others are written with gaps between them.
    Read,
}

/// How much a nest is to do.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    /// Positions of the outermost level.
    count: u64,
    pub lookups: u64,
    /// Lookups inside of each group of positions, where the second level is not fixed.
    weights: Option<Vec<u64>>,
    /// What is touched, about.
    pub bytes: u64,
}

impl Part {
    /// All of a nest.
    pub fn whole(run: &Run<'_>, flat: &Flat, uniforms: &[Scalar]) -> Result<Part, RunError> {
        let Some(outermost) = flat.levels.first() else {
            return Ok(Part::default());
        };
        let begin = run.uniform_index(outermost.begin, uniforms)?;
        let end = run.uniform_index(outermost.end, uniforms)?;
        Ok(Part {
            last: steps(begin, end, outermost.step),
            ..Part::default()
        })
    }
}

/// Positions of a unit; the distance between two `i64`, and so their number, is unsigned.
fn steps(begin: i64, end: i64, step: i64) -> u64 {
    (end.max(begin).wrapping_sub(begin) as u64).div_ceil(step.max(1) as u64)
}

impl Size {
    /// The size of a nest.
    pub fn of(run: &Run<'_>, flat: &Flat, uniforms: &[Scalar]) -> Result<Size, RunError> {
        let count = Part::whole(run, flat, uniforms)?.last;
        // Lookups inside of one position, where that is fixed.
        let mut inside = Some(1u64);
        for level in flat.levels.iter().skip(1) {
            inside = match (level.begin, level.end) {
                (Place::Column(_), _) | (_, Place::Column(_)) => None,
                (begin, end) => {
                    let begin = run.uniform_index(begin, uniforms)?;
                    let end = run.uniform_index(end, uniforms)?;
                    inside.and_then(|inside| inside.checked_mul(steps(begin, end, level.step)))
                }
            };
        }
        let weights = match inside {
            Some(_) => None,
            None => Some(weights(run, flat, uniforms, count)?),
        };
        let lookups = match (inside, &weights) {
            (Some(inside), _) => inside.saturating_mul(count),
            (None, Some(weights)) => total(weights),
            (None, None) => count,
        };
        // What is decoded is written to columns first.
        let decoded = flat.levels.last().map_or(0, |level| 8 * level.steps.len());
        let each = flat.bytes.saturating_mul(flat.row).saturating_add(decoded);
        Ok(Size {
            count,
            lookups,
            weights,
            bytes: lookups.saturating_mul(each as u64),
        })
    }
}

/// The parts of a nest, for so many threads, about `tasks` of them where parts cost little.
pub(crate) fn parts(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    size: &Size,
    threads: u64,
    tasks: u64,
) -> Result<Vec<Part>, RunError> {
    let count = size.count;
    let whole = Part {
        last: count,
        ..Part::default()
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    let wide = flat.columns && flat.row as u64 >= 32 * threads;
    if flat.shared.is_empty() {
        if count < threads && wide {
            return Ok(columns(&whole, flat.row, threads));
        }
        let tasks = tasks.min(count);
        let Some(weights) = &size.weights else {
            let borders = (0..=tasks).map(|task| border(count, task, tasks));
            return Ok(between(&borders.collect::<Vec<_>>()));
        };
        let heaviest = weights.iter().max().copied().unwrap_or(0);
        if wide && heaviest > size.lookups / threads {
            return Ok(columns(&whole, flat.row, threads));
        }
        return Ok(between(&balanced(weights, count, tasks)));
    }
    if tasks < 2 {
        return Ok(vec![whole]);
    }
    if let Some(parts) = sorted(run, flat, uniforms, count, tasks)? {
        return Ok(parts);
    }
    if flat.apart {
        if let Some(parts) = summed(run, flat, size, threads) {
            return Ok(parts);
        }
        let written = flat.effects.iter().map(|e| run.memory.bytes(e.buffer));
        // As for prefetch plans: the last cache holds no more for sure.
        if wide && written.sum::<usize>() > Caches::get().last / 8 {
            let lines = (4 * flat.row as u64 / threads) / 64;
            if lines < 4
                && let Some(parts) = claimed(run, flat, uniforms, size, threads)?
            {
                return Ok(parts);
            }
            return Ok(columns(&whole, flat.row, threads));
        }
        return owned(run, flat, uniforms, &whole, size, threads, wide);
    }
    Ok(vec![whole])
}

/// The `task`-th of `tasks` borders, evenly.
pub(super) fn border(count: u64, task: u64, tasks: u64) -> u64 {
    (u128::from(count) * u128::from(task) / u128::from(tasks.max(1))) as u64
}

/// The parts between borders.
fn between(borders: &[u64]) -> Vec<Part> {
    let pairs = borders.iter().zip(borders.iter().skip(1));
    pairs
        .filter(|(first, last)| first < last)
        .map(|(&first, &last)| Part {
            first,
            last,
            ..Part::default()
        })
        .collect()
}

/// The row divided among threads, in whole vectors.
fn columns(whole: &Part, row: usize, threads: u64) -> Vec<Part> {
    let vectors = row.div_ceil(16) as u64;
    let at = |task: u64| row.min(border(vectors, task, threads) as usize * 16);
    (0..threads)
        .map(|task| (at(task), at(task + 1)))
        .filter(|(first, last)| first < last)
        .map(|columns| Part {
            columns: Some(columns),
            started: true,
            ..whole.clone()
        })
        .collect()
}

/// Parts of positions of which all but the first have sums of their own, where those are little beside what is added.
fn summed(run: &Run<'_>, flat: &Flat, size: &Size, threads: u64) -> Option<Vec<Part>> {
    let [effect] = flat.effects.as_slice() else {
        return None;
    };
    let (written, row) = (run.memory.bytes(effect.buffer), 4 * flat.row);
    let added = (row as u64).saturating_mul(size.lookups);
    // They are filled, written, and read once more.
    let little = added / 4 >= threads.saturating_mul(written as u64);
    // As for prefetch plans: the last cache holds no more for sure.
    if run.options.deterministic
        || !matches!(effect.kernel, Kernel::Accumulate { .. })
        || !little
        || written > Caches::get().last / 8
        || !written.is_multiple_of(row.max(1))
    {
        return None;
    }
    let parts = by_position(size, threads);
    let parts = parts.into_iter().enumerate().map(|(n, part)| Part {
        own: n > 0,
        started: true,
        ..part
    });
    Some(parts.collect())
}

/// A part of the positions for each thread, with as many lookups inside.
pub(super) fn by_position(size: &Size, threads: u64) -> Vec<Part> {
    match &size.weights {
        None => {
            let threads = threads.min(size.count);
            let borders = (0..=threads).map(|n| border(size.count, n, threads));
            between(&borders.collect::<Vec<_>>())
        }
        Some(weights) => between(&balanced(weights, size.count, threads)),
    }
}

/// What a run of positions writes.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The first destination, and the last.
    ends: Option<(i64, i64)>,
    /// The first position whose destination is another than the first, and that destination.
    change: Option<(u64, i64)>,
    decreasing: bool,
}

impl Seen {
    /// Goes on with the next destinations; `number` is the position of each.
    fn add(&mut self, dst: &[i64], number: impl Fn(usize) -> u64) {
        let (Some(&first), Some(&last)) = (dst.first(), dst.last()) else {
            return;
        };
        let (begin, before) = self.ends.unwrap_or((first, first));
        self.decreasing |= first < before || !never_decrease(dst);
        self.ends = Some((begin, last));
        if self.change.is_none() {
            let change = dst.iter().enumerate().find(|&(_, &at)| at != begin);
            self.change = change.map(|(k, &at)| (number(k), at));
        }
    }
}

/// Parts that begin where the destination changes, if destinations never decrease.
fn sorted(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    count: u64,
    tasks: u64,
) -> Result<Option<Vec<Part>>, RunError> {
    struct Order<'a> {
        run: &'a Run<'a>,
        effect: &'a Effect,
        uniforms: &'a [Scalar],
        which: Vec<Slot>,
        kept: Vec<i64>,
        seen: Seen,
        position: u64,
    }
    impl Consumer for Order<'_> {
        fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError> {
            let first = self.position;
            self.position += n as u64;
            let effect = self.effect;
            let all = active(
                self.run,
                effect,
                None,
                columns,
                n,
                self.uniforms,
                &mut self.which,
            )?;
            let (Some(all), Some((Place::Column(dst), _))) = (all, effect.exports.first()) else {
                self.seen.decreasing = true;
                return Ok(());
            };
            let dst = columns.get(*dst).map_or(&[][..], Column::as_index);
            match all {
                true => self
                    .seen
                    .add(dst.get(..n).unwrap_or(&[]), |k| first + k as u64),
                false => {
                    let which = &self.which;
                    let done = which.iter().filter_map(|&k| dst.get(usize::from(k)));
                    self.kept.clear();
                    self.kept.extend(done);
                    let number = |k: usize| which.get(k).map_or(0, |&k| first + u64::from(k));
                    self.seen.add(&self.kept, number);
                }
            }
            Ok(())
        }
    }
    let mut shared = flat.shared.iter().filter_map(|&n| flat.effects.get(n));
    let Some(effect) = shared.next() else {
        return Ok(None);
    };
    let place = |effect: &Effect| effect.exports.first().map(|&(dst, _)| (dst, effect.guard));
    if flat.levels.len() != 1 || !shared.all(|other| place(other) == place(effect)) {
        return Ok(None);
    }
    let look = |first: u64, last: u64| -> Result<Seen, RunError> {
        let mut look = Order {
            run,
            effect,
            uniforms,
            which: Vec::new(),
            kept: Vec::new(),
            seen: Seen::default(),
            position: first,
        };
        let part = Part {
            first,
            last,
            ..Part::default()
        };
        destinations(run, flat, uniforms, [part], &mut look)?;
        Ok(look.seen)
    };
    // What is in no order shows at once.
    if look(0, count.min(1024))?.decreasing {
        return Ok(None);
    }
    let tasks = tasks.min(count);
    let seen: Vec<Mutex<Result<Seen, RunError>>> = (0..tasks)
        .map(|_| Mutex::new(Ok(Seen::default())))
        .collect();
    run.pool.run(tasks as usize, &|task| {
        let result = look(
            border(count, task as u64, tasks),
            border(count, task as u64 + 1, tasks),
        );
        if let Some(slot) = seen.get(task) {
            *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = result;
        }
    });
    let mut borders = vec![(0, i64::MIN)];
    let mut before: Option<i64> = None;
    for (task, seen) in seen.into_iter().enumerate() {
        let seen = seen
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())?;
        let first = border(count, task as u64, tasks);
        let Some((begin, end)) = seen.ends else {
            continue;
        };
        if seen.decreasing || before.is_some_and(|before| begin < before) {
            return Ok(None);
        }
        // What continues the row before belongs to whoever has that: a border only where the row ends, if it does.
        match (before == Some(begin), seen.change) {
            (false, _) if first > 0 => borders.push((first, begin)),
            (true, Some(change)) => borders.push(change),
            (false, _) | (true, None) => {}
        }
        before = Some(end);
    }
    borders.push((count, i64::MAX));
    let pairs = borders.iter().zip(borders.iter().skip(1));
    let parts = pairs.map(|(&(first, low), &(last, high))| Part {
        first,
        last,
        rows: Some((low, high)),
        ..Part::default()
    });
    Ok(Some(parts.collect()))
}

/// Decodes the destinations of some lookups of the positions from `first` to `last`.
pub(super) fn sample(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    size: &Size,
    (first, last): (u64, u64),
    consumer: &mut impl Consumer,
) -> Result<(), RunError> {
    /// Samples, and lookups of each, about.
    const SAMPLES: u64 = 32;
    const LENGTH: u64 = 32;
    let positions = LENGTH.saturating_mul(size.count) / size.lookups.max(1);
    let positions = positions.clamp(1, LENGTH);
    let at = |n: u64| first + border(last - first, n, SAMPLES);
    let samples = (0..SAMPLES).map(|n| Part {
        first: at(n),
        last: (at(n) + positions).min(at(n + 1)),
        ..Part::default()
    });
    destinations(run, flat, uniforms, samples, consumer)
}

/// Decodes the destinations of parts.
pub(super) fn destinations(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    parts: impl IntoIterator<Item = Part>,
    consumer: &mut impl Consumer,
) -> Result<(), RunError> {
    let parts: Vec<Part> = parts.into_iter().collect();
    run.with_scratch(flat, |scratch| {
        run.decode(
            &flat.destinations,
            uniforms,
            &mut scratch.blocks,
            &parts,
            consumer,
        )
    })
}

/// Parts that own destinations.
fn owned(
    run: &Run<'_>,
    flat: &Flat,
    uniforms: &[Scalar],
    whole: &Part,
    size: &Size,
    threads: u64,
    wide: bool,
) -> Result<Vec<Part>, RunError> {
    let mut found = vec![Vec::new(); flat.effects.len()];
    for (effect, found) in flat.effects.iter().zip(&mut found) {
        let mut look = Look::new(run, effect, uniforms, |dst| found.push(dst));
        sample(run, flat, uniforms, size, (0, whole.last), &mut look)?;
    }
    // One destination that gets most lookups makes owners useless; a wide row is divided instead.
    let skewed = |sorted: &[i64]| {
        let quarter = (sorted.len() / 4).max(1);
        sorted.windows(quarter + 1).any(|w| w.first() == w.last())
    };
    let mut borders: Vec<Vec<i64>> = Vec::new();
    for mut found in found {
        found.sort_unstable();
        // None are where there is one place for all.
        if wide && (found.is_empty() || skewed(&found)) {
            return Ok(columns(whole, flat.row, threads));
        }
        let inner = (1..threads).map(|task| {
            let at = border(found.len() as u64, task, threads) as usize;
            found.get(at).copied().unwrap_or(i64::MAX)
        });
        let all = std::iter::once(i64::MIN).chain(inner).chain([i64::MAX]);
        borders.push(all.collect());
    }
    Ok((0..threads as usize)
        .map(|task| Part {
            owned: Some(
                borders
                    .iter()
                    .map(|borders| {
                        let at = |n: usize| borders.get(n).copied().unwrap_or(i64::MAX);
                        (at(task), at(task + 1))
                    })
                    .collect(),
            ),
            ..whole.clone()
        })
        .collect())
}

impl Run<'_> {
    /// Does one part.
    pub fn part(
        &self,
        flat: &Flat,
        uniforms: &[Scalar],
        part: &Part,
        scratch: &mut Scratch,
    ) -> Result<(), RunError> {
        scratch
            .blocks
            .resize_with(flat.levels.len(), Block::default);
        let mut effects = Effects {
            run: self,
            flat,
            part,
            uniforms,
            windows: &mut scratch.windows,
            direct: Nest::of(self, flat, part, uniforms),
        };
        effects.prepare();
        if let Some(block) = scratch.blocks.first_mut()
            && effects.take_part(block)?
        {
            return effects.finish();
        }
        self.decode(
            &flat.levels,
            uniforms,
            &mut scratch.blocks,
            [part],
            &mut effects,
        )?;
        effects.finish()
    }
}
