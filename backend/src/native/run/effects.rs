//! The execute side: windows of decoded lookups, handed to kernels.
//!
//! A window holds the columns that one effect needs, of lookups that do something. It is handed to the kernel but for
//! its last lookups, which are known ahead and prefetched: the stream of prefetches goes on from block to block. Where nothing has to be
//! known far ahead, kernels take the columns of the block as they are.

use hlo2dae_ir::core::Scalar;

use super::Run;
use super::decode::{Block, Consumer};
use super::direct::{Found, Nest};
use super::exports::Exports;
use super::split::{Cached, Part};
use super::tiles::{TILE, Tiles};
use crate::native::error::RunError;
use crate::native::kernels::accumulate::{Lookups, Start, accumulate};
use crate::native::kernels::column::choose::choose;
use crate::native::kernels::column::{BLOCK, Column, Slot, with_column};
use crate::native::kernels::copy::{Copies, copy};
use crate::native::kernels::fold::{Folds, Meet, Operand, fold};
use crate::native::kernels::memory::Outside;
use crate::native::machine::{Caches, Misses};
use crate::native::plan::effect::{Effect, Kernel, RowStep, Table};
use crate::native::plan::level::{Flat, Place, Starting};
use crate::native::plan::source::BufferNumber;
use crate::native::prefetch::Prefetch;

/// The decoded lookups of one effect.
#[derive(Debug, Default)]
pub(crate) struct Window {
    columns: Vec<Column>,
    /// The same of lookups that this part leaves to the end.
    left: Vec<Column>,
    /// Where in the columns the lookups begin that were not handed over.
    start: usize,
    len: usize,
    tiles: Vec<Column>,
    fill: Vec<u8>,
    offsets: Vec<i64>,
    /// Of each table of the effect.
    pub prefetch: Vec<Prefetch>,
    /// Of the rows that are written.
    pub prefetch_out: Prefetch,
    /// Which of them lookups begin, and where those of this part end.
    pub begun: Start,
    end: i64,
    /// Whether nothing was handed over yet.
    cold: bool,
    /// Lookups kept back.
    far: usize,
    which: Vec<Slot>,
    which_left: Vec<Slot>,
    /// What is handed over without columns.
    pub found: Found,
}

/// All effects of a nest, for one part of its lookups.
pub(crate) struct Effects<'a, 'b> {
    pub run: &'a Run<'a>,
    pub flat: &'a Flat,
    pub part: &'a Part,
    pub uniforms: &'a [Scalar],
    pub windows: &'b mut Vec<Window>,
    /// Its lookups, if they need no columns.
    pub direct: Option<Nest<'a>>,
}

impl Effects<'_, '_> {
    /// Empties the windows and chooses how far ahead to look.
    pub fn prepare(&mut self) {
        self.windows
            .resize_with(self.flat.effects.len(), Window::default);
        let size = self.row_size();
        for (window, effect) in self.windows.iter_mut().zip(&self.flat.effects) {
            (window.start, window.len) = (0, 0);
            let fits = window.columns.len() == effect.exports.len()
                && window
                    .columns
                    .iter()
                    .zip(&effect.exports)
                    .all(|(column, &(_, ty))| column.holds(ty));
            if fits {
                for column in &mut window.columns {
                    column.drop_front(usize::MAX);
                }
            } else {
                window.columns = none(effect);
            }
            window.left = match self.part.claimed {
                None => Vec::new(),
                Some(_) => none(effect),
            };
            let plan = |buffer: BufferNumber, scattered: bool, misses: Misses| {
                let bytes = self.run.memory.bytes(buffer);
                let element = self.run.source.buffers.get(buffer);
                let row = size * element.map_or(1, |data| data.element.bytes());
                match scattered {
                    true => Prefetch::choose(Caches::get(), misses, bytes, row, self.run.tables),
                    false => Prefetch::in_order(Caches::get(), bytes, row),
                }
            };
            let cached = self.part.cached;
            // Who owns some of the destinations reads rows with gaps between them.
            let gaps = self.part.owned.is_some() || cached == Cached::Written;
            let misses = match effect.kernel {
                Kernel::Copy { .. } => Misses::Second,
                _ => Misses::get(),
            };
            window.prefetch.clear();
            for table in effect.tables() {
                window.prefetch.push(match cached {
                    Cached::Read => Prefetch::default(),
                    Cached::Written | Cached::Unknown => {
                        plan(table.buffer, table.scattered || gaps, misses)
                    }
                });
            }
            (window.begun, window.end) = self.flat.begins(self.run, self.part);
            let scattered = effect.scattered || cached == Cached::Read;
            window.prefetch_out = match (&effect.kernel, scattered) {
                (Kernel::Scalars { .. }, _) => Prefetch::default(),
                _ if cached == Cached::Written => Prefetch::default(),
                // Nobody reads them.
                _ if window.begun.stream => Prefetch::default(),
                (_, true) => plan(effect.buffer, true, Misses::Second),
                (_, false) => {
                    Prefetch::following(Caches::get(), self.run.memory.bytes(effect.buffer))
                }
            };
            let plans = window.prefetch.iter().chain([&window.prefetch_out]);
            window.far = plans.map(|p| p.farthest()).max().unwrap_or(0);
            window.cold = true;
            window.found.begin();
            window.fill.clear();
            match &effect.kernel {
                Kernel::Accumulate { .. } | Kernel::Copy { .. } | Kernel::Fold { .. } => {
                    let filled = effect.tables().find_map(|t| Some((t.buffer, t.fill?)));
                    if let Some((table, fill)) = filled {
                        let bytes = fill.bits().to_le_bytes();
                        let element = self.run.source.buffers.get(table);
                        let width = element.map_or(0, |data| data.element.bytes());
                        let bytes = bytes.get(..width).unwrap_or(&[]);
                        for _ in 0..size {
                            window.fill.extend_from_slice(bytes);
                        }
                    }
                }
                Kernel::Rows { program, .. } => {
                    let fits = window.tiles.len() == program.steps.len()
                        && window
                            .tiles
                            .iter()
                            .zip(&program.steps)
                            .all(|(tile, &(_, ty))| tile.holds(ty));
                    if !fits {
                        let tiles = program.steps.iter().map(|&(_, ty)| Column::new(ty, TILE));
                        window.tiles = tiles.collect();
                    }
                }
                Kernel::Scalars { .. } => {}
            }
        }
    }

    /// Does the lookups of a nest of one level, if they need no columns; whether it did.
    pub fn take_part(&mut self, block: &mut Block) -> Result<bool, RunError> {
        let (Some(nest), Some(window)) = (&self.direct, self.windows.first_mut()) else {
            return Ok(false);
        };
        nest.segments(self.part, window, block)
    }

    /// Does lookups whose exports are known, of a nest of one effect.
    pub fn all(&mut self, exports: Vec<Column>) -> Result<Vec<Column>, RunError> {
        self.prepare();
        self.put(exports);
        self.finish()?;
        let window = self.windows.first_mut();
        Ok(window.map_or(Vec::new(), |window| std::mem::take(&mut window.columns)))
    }

    /// Puts the exports of lookups into the only window, which is empty.
    fn put(&mut self, exports: Vec<Column>) {
        if let Some(window) = self.windows.first_mut() {
            window.columns = exports;
            window.len = window.columns.first().map_or(0, Column::len);
        }
    }

    /// Hands over what is left.
    pub fn finish(&mut self) -> Result<(), RunError> {
        (0..self.flat.effects.len()).try_for_each(|n| {
            let all = self.windows.get(n).map_or(0, |window| window.len);
            self.hand_over(n, all)
        })?;
        if let (Some(claimed), Some(window)) = (&self.part.claimed, self.windows.first_mut()) {
            claimed.leave(std::mem::take(&mut window.left));
        }
        for (window, effect) in self.windows.iter().zip(&self.flat.effects) {
            let Start { value, next, .. } = window.begun;
            if next < window.end {
                let (next, end) = (next as usize, window.end as usize);
                let rest = (self.run.memory).fill(effect.buffer, next, end, Scalar::F32(value));
                rest.map_err(|_| self.run.outside(effect.buffer, effect.span))?;
            }
        }
        Ok(())
    }

    /// Elements of a row in this part.
    fn row_size(&self) -> usize {
        match self.part.columns {
            Some((first, last)) => last - first,
            None => self.flat.row,
        }
    }

    /// Hands the first `n` lookups of a window to the kernel.
    fn hand_over(&mut self, number: usize, n: usize) -> Result<(), RunError> {
        let size = self.row_size();
        let (run, flat) = (self.run, self.flat);
        let (Some(window), Some(effect)) = (self.windows.get_mut(number), flat.effects.get(number))
        else {
            return Ok(());
        };
        if n == 0 {
            return Ok(());
        }
        let first_column = self.part.columns.map_or(0, |(first, _)| first);
        let columns = std::mem::take(&mut window.columns);
        let exports = Exports::from(&columns, window.start);
        if std::mem::take(&mut window.cold) {
            window.fetch_first(&exports, run, effect, size);
        }
        let done = window.run(&exports, run, effect, n, size, first_column);
        window.columns = columns;
        done?;
        window.len -= n;
        window.start += n;
        // What is left is moved to the front now and then.
        if window.start >= 2 * BLOCK {
            for column in &mut window.columns {
                column.drop_front(window.start);
            }
            window.start = 0;
        }
        Ok(())
    }
}

impl Flat {
    /// Which rows a part of it begins lookup by lookup, and where they end.
    fn begins(&self, run: &Run<'_>, part: &Part) -> (Start, i64) {
        let start = self.starts.iter().find_map(|start| match start.how {
            Starting::Lookup(elements) => Some((start, elements)),
            Starting::Position(_) => None,
        });
        let started = (Start::DONE, i64::MAX);
        let (Some((start, elements)), false) = (start, part.started) else {
            return started;
        };
        let Some((buffer, Scalar::F32(value))) =
            (run.source.buffers.get(start.buffer)).zip(Some(start.value))
        else {
            return started;
        };
        let at = |position: u64, elements: usize| (position as i64).saturating_mul(elements as i64);
        let owned = part.owned.as_ref().and_then(|owned| owned.first());
        let (low, high) = match (elements, owned, part.rows) {
            (Some(elements), _, _) => (at(part.first, elements), at(part.last, elements)),
            (None, Some(&rows), _) | (None, None, Some(rows)) => rows,
            (None, None, None) => (0, i64::MAX),
        };
        let stream = run.goes_past(start.buffer);
        let start = Start {
            value,
            next: low.max(0),
            stream,
        };
        (start, high.min(buffer.len() as i64))
    }
}

impl Consumer for Effects<'_, '_> {
    fn begin(&mut self, first: u64, n: u64) {
        if self.part.started {
            return;
        }
        for start in &self.flat.starts {
            let Starting::Position(elements) = start.how else {
                continue;
            };
            let at = |position: u64| position as usize * elements;
            // Positions are indices into the first dimension: they are inside.
            let memory = &self.run.memory;
            let _ = memory.fill(start.buffer, at(first), at(first + n), start.value);
        }
    }

    fn take_inside(&mut self, around: &[Column], bounds: &[(i64, i64)]) -> Result<bool, RunError> {
        let (Some(nest), Some(window)) = (&self.direct, self.windows.first_mut()) else {
            return Ok(false);
        };
        nest.inside(around, bounds, window)?;
        Ok(true)
    }

    fn take(&mut self, columns: &[Column], n: usize) -> Result<(), RunError> {
        let size = self.row_size();
        let first_column = self.part.columns.map_or(0, |(first, _)| first);
        for (number, effect) in self.flat.effects.iter().enumerate() {
            let Some(window) = self.windows.get_mut(number) else {
                continue;
            };
            let owned = self.part.owned.as_ref().and_then(|owned| owned.get(number));
            let Some(all) = active(
                self.run,
                effect,
                owned.copied(),
                columns,
                n,
                self.uniforms,
                &mut window.which,
            )?
            else {
                continue;
            };
            let mut all = all;
            if let (Some(claimed), Some((Place::Column(dst), _))) =
                (&self.part.claimed, effect.exports.first())
            {
                let dst = columns.get(*dst).map_or(&[][..], Column::as_index);
                let dst = dst.get(..n).unwrap_or(&[]);
                claimed.divide(dst, all, &mut window.which, &mut window.which_left);
                let left = window.which_left.as_slice();
                all = all && left.is_empty();
                let to = &mut window.left;
                append(self.run, effect, self.uniforms, to, columns, n, Some(left))?;
            }
            if all
                && window.is_direct()
                && (first_column == 0 || !effect.kernel.is_shifted())
                && let Some(exports) = Exports::among(columns, &effect.exports, n)
            {
                window.fetch_first(&exports, self.run, effect, size);
                window.run(&exports, self.run, effect, n, size, first_column)?;
                continue;
            }
            let which = (!all).then_some(window.which.as_slice());
            let added = which.map_or(n, <[Slot]>::len);
            let to = &mut window.columns;
            append(self.run, effect, self.uniforms, to, columns, n, which)?;
            if first_column > 0 {
                window.shift(effect, added, first_column as i64);
            }
            window.len += added;
            let ready = window.len.saturating_sub(window.far);
            if ready >= BLOCK || window.far == 0 {
                self.hand_over(number, ready)?;
            }
        }
        Ok(())
    }
}

/// Columns for the exports of an effect, without a lookup.
pub(super) fn none(effect: &Effect) -> Vec<Column> {
    let exports = effect.exports.iter();
    exports.map(|&(_, ty)| Column::new(ty, 0)).collect()
}

/// Appends the exports of the first `n` lookups of a block, or of those in `which`.
pub(super) fn append(
    run: &Run<'_>,
    effect: &Effect,
    uniforms: &[Scalar],
    to: &mut [Column],
    columns: &[Column],
    n: usize,
    which: Option<&[Slot]>,
) -> Result<(), RunError> {
    let added = which.map_or(n, <[Slot]>::len);
    for (to, (place, _)) in to.iter_mut().zip(&effect.exports) {
        match place {
            Place::Column(column) => {
                if let Some(column) = columns.get(*column) {
                    to.append(column, n, which);
                }
            }
            Place::Constant(_) | Place::Uniform(_) => {
                to.append_value(added, run.uniform(*place, uniforms)?);
            }
        }
    }
    Ok(())
}

/// The lookups that do something: all of them (`true`), those in `which`, or none at all.
pub(crate) fn active(
    run: &Run<'_>,
    effect: &Effect,
    owned: Option<(i64, i64)>,
    columns: &[Column],
    n: usize,
    uniforms: &[Scalar],
    which: &mut Vec<Slot>,
) -> Result<Option<bool>, RunError> {
    let guard = match effect.guard {
        None => None,
        Some(Place::Column(column)) => columns.get(column).map(Column::as_bool),
        Some(place @ (Place::Constant(_) | Place::Uniform(_))) => {
            match run.uniform(place, uniforms)? {
                Scalar::Bool(true) => None,
                _ => return Ok(None),
            }
        }
    };
    let owned = match owned {
        None => None,
        Some((low, high)) => match effect.exports.first() {
            Some((Place::Column(dst), _)) => {
                columns.get(*dst).map(|dst| (dst.as_index(), low, high))
            }
            // One place: its owner does everything.
            Some((place, _)) => {
                let dst = run.uniform_index(*place, uniforms)?;
                if dst < low || dst >= high {
                    return Ok(None);
                }
                None
            }
            None => None,
        },
    };
    if guard.is_none() && owned.is_none() {
        return Ok(Some(true));
    }
    Ok(Some(choose(run.options.isa, guard, owned, n, which)))
}

impl Window {
    /// Moves the last `added` rows to the column `first`, for kernels that do not do that themselves. Reductions are not divided along the row.
    fn shift(&mut self, effect: &Effect, added: usize, first: i64) {
        let mut shift = |column: usize, by: i64| {
            if let Some(Column::S64(offsets)) = self.columns.get_mut(column) {
                let from = offsets.len().saturating_sub(added);
                for offset in offsets.iter_mut().skip(from).filter(|offset| **offset >= 0) {
                    *offset = offset.wrapping_add(by);
                }
            }
        };
        if let Kernel::Rows { program, .. } = &effect.kernel {
            shift(0, first);
            let mut done = Vec::new();
            for (step, _) in &program.steps {
                if let RowStep::Load { table, stride } = step
                    && !done.contains(&table.src)
                {
                    shift(table.src, first.wrapping_mul(*stride));
                    done.push(table.src);
                }
            }
        }
    }

    /// Whether lookups need not wait here: none does, and no row has to be known long before its turn.
    fn is_direct(&self) -> bool {
        let mut plans = self.prefetch.iter().chain([&self.prefetch_out]);
        self.len == 0 && plans.all(|plan| plan.l2 == 0)
    }

    /// Fetches the rows that nothing comes before.
    fn fetch_first(&self, exports: &Exports<'_>, run: &Run<'_>, effect: &Effect, size: usize) {
        let places = effect.tables().map(|table| (table.buffer, table.src));
        let plans = places.zip(self.prefetch.iter().copied());
        let out = effect
            .scattered
            .then_some(((effect.buffer, 0), self.prefetch_out));
        for ((buffer, column), plan) in plans.chain(out) {
            exports.fetch(run, buffer, column, 0..plan.farthest(), size);
        }
    }

    /// Runs the kernel on the first `n` lookups.
    fn run(
        &mut self,
        exports: &Exports<'_>,
        run: &Run<'_>,
        effect: &Effect,
        n: usize,
        size: usize,
        first_column: usize,
    ) -> Result<(), RunError> {
        let isa = run.options.isa;
        let all = exports.index(0);
        let dst = all.get(..n).unwrap_or(&[]);
        let written = |_: Outside| run.outside(effect.buffer, effect.span);
        match &effect.kernel {
            Kernel::Scalars { value } => {
                let Some(values) = exports.column(*value) else {
                    return Err(run.broken("a column that does not exist"));
                };
                with_column!(values, |values| {
                    let values = exports.part(values).get(..n).unwrap_or(&[]);
                    run.memory
                        .scatter(effect.op, effect.buffer, dst, values)
                        .map_err(written)
                })
            }
            Kernel::Accumulate {
                op,
                post,
                table,
                scale,
                bias,
            } => {
                let lookups = Lookups {
                    table: table.buffer,
                    n,
                    src: exports.index(table.src),
                    fill: &self.fill,
                    out: effect.buffer,
                    dst: all,
                    column: first_column,
                    size,
                    scale: exports.f32(*scale),
                    bias: exports.f32(*bias),
                    prefetch: self.prefetch.first().copied().unwrap_or_default(),
                    prefetch_out: self.prefetch_out,
                };
                accumulate(isa, run.memory, *op, *post, &lookups, &mut self.begun)
                    .map_err(|_| run.outside(table.buffer, table.span))
            }
            Kernel::Fold {
                first,
                others,
                last,
            } => {
                let plans = &self.prefetch;
                let operand = |number: usize, table: &Table| Operand {
                    table: table.buffer,
                    src: exports.index(table.src),
                    fill: if table.fill.is_some() {
                        &self.fill
                    } else {
                        &[]
                    },
                    prefetch: plans.get(number).copied().unwrap_or_default(),
                };
                let [second, third] = others;
                let other = |number: usize, other: &Option<(Meet, Table)>| {
                    let other = other.as_ref();
                    other.map(|(meet, table)| (*meet, operand(number, table)))
                };
                let folds = Folds {
                    first: operand(0, first),
                    others: [other(1, second), other(2, third)],
                    last: *last,
                    out: effect.buffer,
                    dst,
                    size,
                };
                fold(isa, run.memory, &folds).map_err(|_| run.outside(first.buffer, first.span))
            }
            Kernel::Copy { table } => {
                let copies = Copies {
                    table: table.buffer,
                    src: exports.index(table.src),
                    fill: &self.fill,
                    out: effect.buffer,
                    dst,
                    column: first_column,
                    size,
                    stream: run.goes_past(effect.buffer),
                    prefetch: self.prefetch.first().copied().unwrap_or_default(),
                };
                copy(isa, run.memory, &copies).map_err(|_| run.outside(table.buffer, table.span))
            }
            Kernel::Rows { program, fold } => {
                let op = effect.op;
                let mut tiles = std::mem::take(&mut self.tiles);
                let mut offsets = std::mem::take(&mut self.offsets);
                let mut tiled = Tiles {
                    run,
                    effect,
                    window: self,
                    exports,
                    program,
                    tiles: &mut tiles,
                    offsets: &mut offsets,
                };
                let done = tiled.all(n, size, first_column, op, *fold);
                self.tiles = tiles;
                self.offsets = offsets;
                done
            }
        }
    }
}
