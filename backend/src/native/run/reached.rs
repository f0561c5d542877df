//! Runs of two nests of which the second is done for the rows that the first reaches.
//!
//! Lookups are decoded and put in the order of the rows that they write, first by ranges of rows and then range by range, those of one row in the order
//! of the program. Some rows at a time are started, summed up and added, so that sums stay in the cache: rows of the temporary are no more than
//! places for them. Memory sees each row that is summed up, in no order, and each row that is added to, in order. Threads divide the ranges.
//!
//! Where there are more lookups than half of the rows, and where the second nest would change other rows too, both run as they are.

use hlo2dae_ir::core::Scalar;

use super::decode::{Consumer, Scratch};
use super::effects::{Effects, active, append, none};
use super::split::{Cached, Part, Size, border};
use super::{Run, TASKS};
use crate::native::error::RunError;
use crate::native::kernels::column::{BLOCK, Column, Slot};
use crate::native::plan::effect::Effect;
use crate::native::plan::level::{Flat, Place};
use crate::native::plan::reached::Reached;

/// Bytes of sums that a cache of one thread holds beside the rows that pass.
const SUMS: usize = 128 << 10;

/// Keeps the exports of lookups.
struct Keep<'a, 'b> {
    run: &'a Run<'a>,
    effect: &'a Effect,
    uniforms: &'a [Scalar],
    which: Vec<Slot>,
    kept: &'b mut Vec<Column>,
}

impl Consumer for Keep<'_, '_> {
    fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError> {
        let (run, effect, uniforms) = (self.run, self.effect, self.uniforms);
        let which = &mut self.which;
        let Some(all) = active(run, effect, None, columns, n, uniforms, which)? else {
            return Ok(());
        };
        let which = (!all).then_some(which.as_slice());
        append(run, effect, uniforms, self.kept, columns, n, which)
    }
}

/// Lookups by ranges of the rows that they write; kept from run to run.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// The exports of the lookups, in the order of the program.
    kept: Vec<Column>,
    /// Rows of a range.
    size: u64,
    /// For each range, the lookups of the ranges before it; and of all in the end.
    begins: Vec<u32>,
    /// The row in the range, and the number of each lookup, range by range.
    lookups: Vec<(u32, u32)>,
    /// For each range, where its next lookup goes.
    next: Vec<u32>,
}

impl Ranges {
    /// Orders the lookups that it keeps, which write into `count` rows of `row` elements; none if one writes elsewhere.
    fn sort(&mut self, row: Row, count: u64) -> Option<()> {
        let dst = self.kept.first().map_or(&[][..], Column::as_index);
        // As many ranges as there are blocks of lookups, about.
        let blocks = dst.len().div_ceil(BLOCK).max(1) as u64;
        let shift = count.div_ceil(blocks).next_power_of_two().trailing_zeros();
        self.size = 1 << shift;
        self.begins.clear();
        self.begins
            .resize((count.div_ceil(self.size) + 1) as usize, 0);
        for &dst in dst {
            let at = row.of(dst);
            *self
                .begins
                .get_mut((at >> shift) as usize + 1)
                .filter(|_| at < count)? += 1;
        }
        let mut sum = 0;
        for begin in &mut self.begins {
            sum += *begin;
            *begin = sum;
        }
        self.next.clone_from(&self.begins);
        self.lookups.clear();
        self.lookups.resize(dst.len(), (0, 0));
        for (n, &dst) in dst.iter().enumerate() {
            let at = row.of(dst);
            let next = self.next.get_mut((at >> shift) as usize)?;
            let inside = (at & (self.size - 1)) as u32;
            *self.lookups.get_mut(*next as usize)? = (inside, n as u32);
            *next += 1;
        }
        Some(())
    }

    /// The lookups of a range.
    fn of(&self, range: usize) -> &[(u32, u32)] {
        let begin = |range: usize| self.begins.get(range).map_or(0, |&n| n as usize);
        let lookups = self.lookups.get(begin(range)..begin(range + 1));
        lookups.unwrap_or(&[])
    }
}

/// The elements of a row, to divide by.
#[derive(Clone, Copy)]
struct Row {
    size: u64,
    /// The power of two that it is.
    shift: Option<u32>,
}

impl Row {
    fn new(size: usize) -> Row {
        let size = size.max(1) as u64;
        Row {
            size,
            shift: size.is_power_of_two().then(|| size.trailing_zeros()),
        }
    }

    /// The row of an element; a large number for what is before all rows.
    #[inline(always)]
    fn of(self, dst: i64) -> u64 {
        match self.shift {
            Some(shift) => dst as u64 >> shift,
            None => dst as u64 / self.size,
        }
    }
}

/// Lookups of one range by the rows that they write; kept from run to run.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The rows, ascending.
    rows: Vec<i64>,
    /// For each of them, the lookups of the rows before it; and of all in the end.
    begins: Vec<u32>,
    /// The numbers of the lookups, row by row.
    lookups: Vec<u32>,
    /// A bit for each row of the range, and for each word of them the rows before it that are written.
    bits: Vec<u64>,
    before: Vec<u32>,
    /// For each lookup, the number of its row among those that are written.
    numbers: Vec<u32>,
    /// For each row, where its next lookup goes.
    next: Vec<u32>,
}

impl Order {
    /// Orders the lookups of one range.
    fn sort(&mut self, ranges: &Ranges, range: usize) -> Option<()> {
        let (which, first) = (ranges.of(range), range as u64 * ranges.size);
        self.bits.clear();
        self.bits.resize(ranges.size.div_ceil(64) as usize, 0);
        self.numbers.clear();
        for &(at, _) in which {
            *self.bits.get_mut((at / 64) as usize)? |= 1 << (at % 64);
        }
        self.before.clear();
        self.rows.clear();
        for (n, &word) in self.bits.iter().enumerate() {
            self.before.push(self.rows.len() as u32);
            let mut left = word;
            while left != 0 {
                let row = n as i64 * 64 + i64::from(left.trailing_zeros());
                self.rows.push(first as i64 + row);
                left &= left - 1;
            }
        }
        self.begins.clear();
        self.begins.resize(self.rows.len() + 1, 0);
        for &(at, _) in which {
            let (word, bit) = ((at / 64) as usize, at % 64);
            let (bits, before) = (self.bits.get(word)?, self.before.get(word)?);
            let number = before + (bits & ((1 << bit) - 1)).count_ones();
            *self.begins.get_mut(number as usize + 1)? += 1;
            self.numbers.push(number);
        }
        let mut sum = 0;
        for begin in &mut self.begins {
            sum += *begin;
            *begin = sum;
        }
        self.next.clone_from(&self.begins);
        self.lookups.clear();
        self.lookups.resize(which.len(), 0);
        for (&(_, lookup), &number) in which.iter().zip(&self.numbers) {
            let next = self.next.get_mut(number as usize)?;
            *self.lookups.get_mut(*next as usize)? = lookup;
            *next += 1;
        }
        Some(())
    }

    /// The lookups of the rows before one.
    fn begin(&self, row: usize) -> usize {
        self.begins
            .get(row)
            .map_or(self.lookups.len(), |&n| n as usize)
    }

    /// Where rows from one on end that are no more than `rows`, with a few blocks of lookups, or one row with as many as it has.
    fn end(&self, first: usize, rows: usize) -> usize {
        let most = self.rows.len().min(first.saturating_add(rows.max(1)));
        let begin = self.begin(first);
        let fits = |&row: &usize| self.begin(row) - begin <= 4 * BLOCK;
        (first + 2..=most)
            .take_while(fits)
            .last()
            .unwrap_or(first + 1)
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

/// What a run of the two nests has.
struct Update<'a> {
    reached: &'a Reached,
    /// The effects of both, and the values that are the same for all lookups.
    sum: (&'a Effect, &'a [Scalar]),
    add: (&'a Effect, &'a [Scalar]),
    ranges: &'a Ranges,
}

impl Run<'_> {
    /// Runs the two nests.
    pub(super) fn reached(&self, reached: &Reached, registers: &[Scalar]) -> Result<(), RunError> {
        let Reached { sums, rows, .. } = reached;
        let uniforms = self.uniforms(sums, registers)?;
        let size = Size::of(self, sums, &uniforms)?;
        let added = self.uniforms(rows, registers)?;
        // Rows and lookups have numbers of 32 bits.
        let few = size.lookups < reached.count / 2 && reached.count <= 1 << 32;
        let idle = is_nothing(self.uniform(reached.idle, &added)?);
        let effects = (sums.effects.first(), rows.effects.first());
        let ((Some(sum), Some(add)), true) = (effects, few && idle) else {
            if let Some(data) = self.source.buffers.get(reached.buffer) {
                self.start(reached.buffer, data);
            }
            self.group(std::slice::from_ref(sums), registers)?;
            return self.group(std::slice::from_ref(&reached.all), registers);
        };
        let grain = self.options.grain.max(1) as u64;
        let threads = (size.bytes / grain).clamp(1, self.pool.threads().max(1) as u64);
        // While it is taken, tasks take others.
        self.with_scratch(sums, |scratch| {
            let mut kept = std::mem::take(&mut scratch.ranges);
            self.keep(sums, sum, &uniforms, scratch, &mut kept.kept)?;
            kept.sort(Row::new(rows.row), reached.count)
                .ok_or_else(|| self.outside(reached.buffer, sum.span))?;
            let update = Update {
                reached,
                sum: (sum, &uniforms),
                add: (add, &added),
                ranges: &kept,
            };
            let done = self.updates(&update, threads);
            scratch.ranges = kept;
            done
        })
    }

    /// Keeps the exports of the lookups of a nest of one effect, in their order.
    fn keep(
        &self,
        flat: &Flat,
        effect: &Effect,
        uniforms: &[Scalar],
        scratch: &mut Scratch,
        to: &mut Vec<Column>,
    ) -> Result<(), RunError> {
        let mut fits = to.iter().zip(&effect.exports);
        match to.len() == effect.exports.len() && fits.all(|(to, &(_, ty))| to.holds(ty)) {
            true => to.iter_mut().for_each(|to| to.drop_front(usize::MAX)),
            false => *to = none(effect),
        }
        let mut keep = Keep {
            run: self,
            effect,
            uniforms,
            which: Vec::new(),
            kept: to,
        };
        let whole = Part::whole(self, flat, uniforms)?;
        self.decode(
            &flat.levels,
            uniforms,
            &mut scratch.blocks,
            [&whole],
            &mut keep,
        )
    }

    /// Starts, sums up and adds all rows.
    fn updates(&self, update: &Update<'_>, threads: u64) -> Result<(), RunError> {
        let Update {
            ranges, reached, ..
        } = update;
        let all = ranges.begins.len() - 1;
        let tasks = match threads {
            1 => 1,
            threads => (threads * TASKS).min(all as u64),
        };
        // The first range of which about so many lookups are before it.
        let first = |task: u64| {
            let lookups = border(ranges.lookups.len() as u64, task, tasks);
            let first = ranges.begins.partition_point(|&n| u64::from(n) < lookups);
            if task == tasks { all } else { first }
        };
        let most = (reached.count / tasks.max(1)) as usize;
        self.all(tasks as usize, |task| {
            let these = first(task as u64)..first(task as u64 + 1);
            self.with_scratch(&reached.rows, |scratch| {
                let mut order = std::mem::take(&mut scratch.order);
                let done = these.clone().try_for_each(|range| {
                    if ranges.of(range).is_empty() {
                        return Ok(());
                    }
                    order
                        .sort(ranges, range)
                        .ok_or_else(|| self.broken("a lookup that is in no range"))?;
                    self.update(update, &order, (task, most))
                });
                scratch.order = order;
                done
            })
        })
    }

    /// Starts, sums up and adds the rows of one range; a task has `most` rows of the temporary for itself.
    fn update(
        &self,
        update: &Update<'_>,
        order: &Order,
        (task, most): (usize, usize),
    ) -> Result<(), RunError> {
        let Update { reached, .. } = update;
        let row = reached.rows.row.max(1);
        let (sum, uniforms) = update.sum;
        let (add, added) = update.add;
        let element = self.source.buffers.get(reached.buffer);
        let bytes = row * element.map_or(1, |data| data.element.bytes());
        let most = most.min(SUMS / bytes).max(1);
        let place = task * most * row;
        let part = |cached| Part {
            started: true,
            cached,
            ..Part::default()
        };
        let (written, read) = (part(Cached::Written), part(Cached::Read));
        let (mut summed, mut at) = (none(sum), none(add));
        let mut first = 0;
        while first < order.rows.len() {
            let last = order.end(first, most);
            let (begin, end) = (order.begin(first), order.begin(last));
            let lookups = order.lookups.get(begin..end).unwrap_or(&[]);
            // Whole rows start where their sums do; parts of them somewhere in there.
            let whole = reached.written == row;
            let columns = summed.iter_mut().zip(&update.ranges.kept);
            for (to, from) in columns.skip(usize::from(whole)) {
                to.take_from(from, lookups);
            }
            if let Some(Column::S64(dst)) = summed.first_mut() {
                if whole {
                    dst.clear();
                    dst.resize(lookups.len(), 0);
                }
                for slot in first..last {
                    let of = order.begin(slot) - begin..order.begin(slot + 1) - begin;
                    let sum = place + (slot - first) * row;
                    for dst in dst.get_mut(of).unwrap_or(&mut []) {
                        let inside = if whole { 0 } else { *dst % row as i64 };
                        *dst = sum as i64 + inside;
                    }
                }
            }
            let end = place + (last - first) * row;
            let started = self.memory.fill(reached.buffer, place, end, reached.start);
            started.map_err(|_| self.outside(reached.buffer, sum.span))?;
            summed = self.known(&reached.sums, uniforms, &written, summed)?;
            let rows = order.rows.get(first..last).unwrap_or(&[]);
            for (n, (to, &(export, _))) in at.iter_mut().zip(&add.exports).enumerate() {
                to.drop_front(usize::MAX);
                match (to, export) {
                    (Column::S64(to), Place::Column(_)) if n == 0 => {
                        to.extend(rows.iter().map(|&at| at * row as i64));
                    }
                    (Column::S64(to), Place::Column(_)) => {
                        to.extend((0..rows.len()).map(|n| (place + n * row) as i64));
                    }
                    (to, export) => to.append_value(rows.len(), self.uniform(export, added)?),
                }
            }
            at = self.known(&reached.rows, added, &read, at)?;
            first = last;
        }
        Ok(())
    }

    /// Does lookups of a nest of one effect whose exports are known; the columns come back.
    pub(super) fn known(
        &self,
        flat: &Flat,
        uniforms: &[Scalar],
        part: &Part,
        exports: Vec<Column>,
    ) -> Result<Vec<Column>, RunError> {
        self.with_scratch(flat, |scratch| {
            let mut effects = Effects {
                run: self,
                flat,
                part,
                uniforms,
                windows: &mut scratch.windows,
                direct: None,
            };
            effects.all(exports)
        })
    }
}
