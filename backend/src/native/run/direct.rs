//! Nests whose lookups need no columns: bags handed to the kernel as they are found ([`crate::native::plan::direct`]).

use hlo2dae_ir::core::Scalar;

use super::Run;
use super::decode::{Block, Indices};
use super::effects::Window;
use super::split::Part;
use crate::native::error::RunError;
use crate::native::kernels::accumulate::bags::{self, Bag, Bags};
use crate::native::kernels::accumulate::{Post, alike};
use crate::native::kernels::column::{BLOCK, Column};
use crate::native::plan::direct::{self, Direct, Factor, InOrder};
use crate::native::plan::effect::{Effect, Kernel, Table};
use crate::native::plan::level::{Flat, Place, Start, Starting};
use crate::native::plan::source::BufferNumber;
use crate::native::prefetch::Prefetch;

/// Bags that are handed over at once: few enough to stay in the first cache.
const BAGS: usize = 128;

/// Lookups among which segments are looked for at once, if no factor is computed for them; a longer one goes on in the next part.
const SEGMENTS: u64 = 4096;

/// Bags of one part of a nest.
#[derive(Debug, Default)]
pub(crate) struct Found {
    bags: Vec<Bag>,
    /// See [`Bags::fetched`].
    fetched: Option<i64>,
}

impl Found {
    /// Nothing was fetched yet.
    pub fn begin(&mut self) {
        self.fetched = None;
    }
}

/// The nest that bags are of.
#[derive(Clone, Copy)]
pub(crate) struct Nest<'a> {
    run: &'a Run<'a>,
    effect: &'a Effect,
    direct: &'a Direct,
    table: &'a Table,
    post: Post,
    size: usize,
    /// The first position of the outermost level.
    begin: i64,
    uniforms: &'a [Scalar],
}

impl<'a> Nest<'a> {
    /// A nest, if its lookups can be done so.
    pub fn of(
        run: &'a Run<'a>,
        flat: &'a Flat,
        part: &Part,
        uniforms: &'a [Scalar],
    ) -> Option<Nest<'a>> {
        let direct = flat.direct.as_ref()?;
        let by_position = |start: &Start| matches!(start.how, Starting::Position(_));
        let alone = matches!(direct.bag, direct::Bag::Segment { .. });
        if part.columns.is_some()
            || part.owned.is_some()
            || part.claimed.is_some()
            || (alone && flat.starts.iter().any(by_position))
        {
            return None;
        }
        let effect = flat.effects.first()?;
        let outermost = flat.levels.first()?;
        let begin = run.uniform_index(outermost.begin, uniforms).ok()?;
        let Kernel::Accumulate { table, post, .. } = &effect.kernel else {
            return None;
        };
        let nest = Nest {
            run,
            effect,
            direct,
            table,
            post: *post,
            size: flat.row,
            begin,
            uniforms,
        };
        let bags = nest.bags(&[], &[], None, Prefetch::default());
        (bags.covered(run.options.isa, run.memory, *post)).then_some(nest)
    }

    /// Bags, and the columns that were computed for their lookups.
    fn bags<'b>(
        &self,
        bags: &'b [Bag],
        computed: &'b [Column],
        fetched: Option<i64>,
        prefetch: Prefetch,
    ) -> Bags<'b> {
        let factor = |factor: Option<Factor>| {
            factor.map(|factor| match factor {
                Factor::Position(InOrder { buffer, .. }) => bags::Factor::Position(buffer),
                Factor::Row(buffer) => bags::Factor::Row(buffer),
                Factor::Column(column) => {
                    bags::Factor::Each(computed.get(column).map_or(&[], Column::as_f32))
                }
            })
        };
        Bags {
            table: self.table.buffer,
            ids: self.direct.ids.buffer,
            decode: self.direct.decode,
            factors: [factor(self.direct.scale), factor(self.direct.bias)],
            out: self.effect.buffer,
            size: self.size,
            bags,
            prefetch,
            fetched,
        }
    }

    /// The lookups of the bags inside of the positions around, from `bounds.0` to `bounds.1` each.
    pub fn inside(
        &self,
        around: &[Column],
        bounds: &[(i64, i64)],
        window: &mut Window,
    ) -> Result<(), RunError> {
        let direct::Bag::Around(dst) = self.direct.bag else {
            return Err(self.run.broken("bags that are no positions"));
        };
        let dst = self.at(dst, around)?;
        let ids = self.at(self.direct.ids.base, around)?;
        let factors = self.factors(around)?;
        let mut number = 0;
        for bounds in bounds.chunks(BAGS) {
            window.found.bags.clear();
            for &(begin, end) in bounds {
                let n = end.max(begin).wrapping_sub(begin) as u64;
                window.found.bags.push(Bag {
                    first: ids.get(number).wrapping_add(begin),
                    n: usize::try_from(n).unwrap_or(usize::MAX),
                    factor: factors.get(number).wrapping_add(begin),
                    dst: dst.get(number),
                });
                number += 1;
            }
            self.hand_over(window, &[])?;
        }
        Ok(())
    }

    /// The lookups of a part, if each says its bag by an index and most have that of the lookup before; whether it did them.
    pub fn segments(
        &self,
        part: &Part,
        window: &mut Window,
        block: &mut Block,
    ) -> Result<bool, RunError> {
        let direct::Bag::Segment {
            ids: segments,
            decode,
            inside,
        } = self.direct.bag
        else {
            return Ok(false);
        };
        let base = self.at(segments.base, &[])?.get(0);
        let ids = self.at(self.direct.ids.base, &[])?.get(0);
        let factors = self.factors(&[])?.get(0);
        let indices = |first: i64, n: u64| {
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            let (memory, first) = (self.run.memory, base.wrapping_add(first));
            memory.indices(segments.buffer, first, n)
        };
        let (mut next, last) = (part.first, part.last);
        let Ok(sample) = indices(self.begin.wrapping_add(next as i64), (last - next).min(64))
        else {
            return Ok(false);
        };
        let pairs = sample.iter().zip(sample.iter().skip(1));
        if 2 * pairs.filter(|(before, id)| before != id).count() > sample.len() {
            return Ok(false);
        }
        let level = self.direct.computed.as_ref();
        let most = level.map_or(SEGMENTS, |_| BLOCK as u64);
        while next < last {
            let mut position = self.begin.wrapping_add(next as i64);
            let n = (last - next).min(most);
            let (computed, factors) = match level {
                None => (&[][..], factors),
                Some(level) => {
                    let positions = (position, n as usize);
                    let computed = block.columns(self.run, level, positions, self.uniforms)?;
                    (computed, position.wrapping_neg())
                }
            };
            let found = indices(position, n);
            let mut rest = found.map_err(|_| self.run.outside(segments.buffer, segments.span))?;
            window.found.bags.clear();
            while let Some(&id) = rest.first() {
                let count = alike(rest);
                if inside.is_none_or(|inside| inside.of(id.into()) != 0) {
                    window.found.bags.push(Bag {
                        first: ids.wrapping_add(position),
                        n: count,
                        factor: factors.wrapping_add(position),
                        dst: decode.of(id.into()),
                    });
                }
                position = position.wrapping_add(count as i64);
                rest = rest.get(count..).unwrap_or(&[]);
            }
            self.hand_over(window, computed)?;
            next += n;
        }
        Ok(true)
    }

    fn hand_over(&self, window: &mut Window, computed: &[Column]) -> Result<(), RunError> {
        let Run {
            options, memory, ..
        } = self.run;
        let found = std::mem::take(&mut window.found);
        let prefetch = window.prefetch.first().copied().unwrap_or_default();
        let bags = self.bags(&found.bags, computed, found.fetched, prefetch);
        let fetched = bags::bags(options.isa, memory, self.post, &bags, &mut window.begun);
        window.found = found;
        match fetched {
            Ok(fetched) => {
                window.found.fetched = fetched;
                Ok(())
            }
            Err(_) => Err(self.outside(&window.found.bags)),
        }
    }

    /// What bags read or write outside of its buffer.
    fn outside(&self, bags: &[Bag]) -> RunError {
        let filled = || bags.iter().filter(|bag| bag.n > 0);
        let fits = |buffer: BufferNumber, at: i64, n: usize| {
            let elements = self.run.source.buffers.get(buffer).map_or(0, |b| b.len());
            usize::try_from(at).is_ok_and(|at| at.checked_add(n).is_some_and(|end| end <= elements))
        };
        let ids = self.direct.ids;
        if !filled().all(|bag| fits(ids.buffer, bag.first, bag.n)) {
            return self.run.outside(ids.buffer, ids.span);
        }
        if let Some(Factor::Position(InOrder { buffer, span, .. })) = self.direct.scale
            && !filled().all(|bag| fits(buffer, bag.factor, bag.n))
        {
            return self.run.outside(buffer, span);
        }
        self.run.outside(self.effect.buffer, self.effect.span)
    }

    /// Where the factors begin that positions have.
    fn factors<'c>(&self, around: &'c [Column]) -> Result<Indices<'c>, RunError> {
        match self.direct.scale {
            Some(Factor::Position(in_order)) => self.at(in_order.base, around),
            Some(Factor::Row(_) | Factor::Column(_)) | None => Ok(Indices::All(0)),
        }
    }

    /// The values of a place of the level around.
    fn at<'c>(&self, place: Place, around: &'c [Column]) -> Result<Indices<'c>, RunError> {
        self.run.indices(place, around, self.uniforms)
    }
}
