//! A chain in the order in which it runs: for each lookup level its steps on columns, then the effects.

use hashbrown::{HashMap, HashSet};
use hlo2dae_ir::core::{Arith, BinaryOp, Init, Role, Scalar, ScalarType};

use super::direct::direct;
use super::effect::{self, Effect, Kernel};
use super::flat::{Chain, Check, End};
use super::fuse::fuse;
use super::graph::{ANY, Def, Val};
use super::level::{Flat, Level, Place, Start, Starting, Step, Uniform, pruned};
use super::source::Source;

/// Schedules a chain; none if it does nothing or lost something.
pub(crate) fn schedule(source: &Source, chain: Chain) -> Option<Flat> {
    let mut scheduler = Scheduler {
        levels: chain.positions.len(),
        chain,
        uniforms: Vec::new(),
        uniform_of: HashMap::new(),
    };
    scheduler.run(source)
}

pub(super) struct Scheduler {
    pub(super) chain: Chain,
    pub(super) levels: usize,
    uniforms: Vec<Uniform>,
    uniform_of: HashMap<Val, usize>,
}

impl Scheduler {
    fn run(&mut self, source: &Source) -> Option<Flat> {
        let combines = self.chain.combines.clone();
        let drafts: Vec<effect::Draft> = combines
            .into_iter()
            .map(|combine| effect::draft(self, source, combine))
            .collect::<Option<_>>()?;
        let levels = self.levels;
        let positions = &self.chain.positions;
        fuse(&mut self.chain.graph, levels, |level| {
            positions.get(level - 1).is_some_and(|at| at.step == 1)
        });
        // What has to be there at the innermost level.
        let mut need: Vec<Vec<Val>> = vec![Vec::new(); levels + 1];
        for draft in &drafts {
            need[levels].extend(draft.exports.iter().copied());
            need[levels].extend(draft.combine.guard);
        }
        need[levels].extend(self.chain.idle);
        for check in &self.chain.checks {
            need.get_mut(check.level)?.push(check.val);
            need.get_mut(check.level)?.extend(check.guard);
        }
        for (around, positions) in self.chain.positions.iter().enumerate() {
            for end in [positions.begin, positions.end] {
                if let End::Val(val) = end {
                    need[around].push(val);
                }
            }
        }
        // From the innermost level outwards: what is computed there, and what it takes from further out.
        let mut imports: Vec<HashSet<Val>> = vec![HashSet::new(); levels + 1];
        let mut computed: Vec<HashSet<Val>> = vec![HashSet::new(); levels + 1];
        // What is looked at where it is, in the level around.
        let mut bases: Vec<HashSet<Val>> = vec![HashSet::new(); levels + 2];
        for level in (0..=levels).rev() {
            let mut left = std::mem::take(&mut need[level]);
            while let Some(val) = left.pop() {
                let at = self.chain.graph.level(val);
                if at > level {
                    return None;
                }
                if at < level {
                    if at > 0 {
                        if imports[level].insert(val) {
                            need[level - 1].push(val);
                        }
                    } else {
                        need[0].push(val);
                    }
                } else if computed[level].insert(val) {
                    match self.chain.graph.get(val).def {
                        Def::LoadRun { base, .. } if self.chain.graph.level(base) > 0 => {
                            bases[level].insert(base);
                            need[level - 1].push(base);
                        }
                        _ => left.extend(self.chain.graph.operands(val)),
                    }
                }
            }
        }
        self.uniform(&computed[0])?;
        let mut places: HashMap<Val, Place> = HashMap::new();
        let mut done = Vec::new();
        for level in 1..=levels {
            let positions = self.chain.positions.get(level - 1)?.clone();
            let (begin, end) = (
                self.end(positions.begin, &places)?,
                self.end(positions.end, &places)?,
            );
            // What is looked at when the steps of the level are done.
            let mut kept: HashSet<Val> = match imports.get(level + 1) {
                Some(imports) => imports.clone(),
                None => drafts
                    .iter()
                    .flat_map(|draft| draft.exports.iter().copied().chain(draft.combine.guard))
                    .collect(),
            };
            kept.extend(bases.get(level + 1).into_iter().flatten());
            let inside = self.chain.positions.get(level);
            let ends = inside.map(|positions| [positions.begin, positions.end]);
            kept.extend(ends.into_iter().flatten().filter_map(|end| match end {
                End::Val(val) => Some(val),
                End::Constant(_) => None,
            }));
            let checks = self
                .chain
                .checks
                .iter()
                .filter(|check| check.level == level);
            kept.extend(checks.flat_map(|check| std::iter::once(check.val).chain(check.guard)));
            let (next, columns, steps) =
                self.level(level, &imports[level], &computed[level], &places, &kept)?;
            places = next;
            done.push(Level {
                begin,
                end,
                step: positions.step,
                columns,
                steps,
            });
        }
        let effects: Vec<Effect> = drafts
            .into_iter()
            .map(|draft| draft.finish(|val| self.place(val, &places)))
            .collect::<Option<_>>()?;
        let row = usize::try_from(self.chain.row.unwrap_or(1)).ok()?;
        let strided = |c: &super::flat::Combine| c.stride == Some(1);
        let apart = self
            .chain
            .combines
            .iter()
            .all(|c| self.is_apart(source, c, row));
        let combines = self.chain.combines.iter().enumerate();
        let shared = combines.filter(|(_, combine)| !self.is_outer(combine));
        let shared: Vec<usize> = shared.map(|(number, _)| number).collect();
        let combines = self.chain.combines.iter().zip(&effects);
        let starts = combines.filter_map(|(combine, effect)| {
            self.start(source, combine, effect, shared.is_empty(), apart)
        });
        let starts = starts.collect();
        let places = effects.iter().flat_map(|effect| {
            effect
                .exports
                .first()
                .map(|&(dst, _)| dst)
                .into_iter()
                .chain(effect.guard)
        });
        let destinations = pruned(&done, places);
        let bounds = match done.as_slice() {
            [first, second, ..] => pruned(std::slice::from_ref(first), [second.begin, second.end]),
            [_] | [] => Vec::new(),
        };
        Some(Flat {
            number: 0,
            idle: self
                .chain
                .idle
                .and_then(|val| self.place(val, &HashMap::new())),
            uniforms: std::mem::take(&mut self.uniforms),
            destinations,
            bounds,
            direct: direct(source, &done, &effects),
            levels: done,
            units: self.chain.units,
            row,
            starts,
            shared,
            apart,
            columns: apart && self.chain.combines.iter().all(strided),
            bytes: effects.iter().map(|effect| effect.bytes(source)).sum(),
            effects,
        })
    }

    /// The values that are the same for all lookups.
    fn uniform(&mut self, computed: &HashSet<Val>) -> Option<()> {
        for n in 0..self.chain.graph.vals.len() {
            let val = Val(n);
            if !computed.contains(&val) || self.chain.graph.as_constant(val).is_some() {
                continue;
            }
            let none = HashMap::new();
            let uniform = match self.chain.graph.get(val).def.clone() {
                Def::Outer(reg) => Uniform::Outer(reg),
                Def::Arith(arith) => {
                    Uniform::Arith(arith.try_map(|&v| self.place(v, &none).ok_or(())).ok()?)
                }
                Def::Load {
                    buffer,
                    offset,
                    guard: _,
                    span,
                } => Uniform::Load {
                    buffer,
                    offset: self.place(offset, &none)?,
                    span,
                },
                Def::Position(_)
                | Def::RowPosition(_)
                | Def::Decode(_, _)
                | Def::LoadRun { .. }
                | Def::RowLoad { .. }
                | Def::Old { .. } => return None,
            };
            self.uniform_of.insert(val, self.uniforms.len());
            self.uniforms.push(uniform);
        }
        Some(())
    }

    fn place(&self, val: Val, columns: &HashMap<Val, Place>) -> Option<Place> {
        if let Some(value) = self.chain.graph.as_constant(val) {
            return Some(Place::Constant(value));
        }
        if let Some(&uniform) = self.uniform_of.get(&val) {
            return Some(Place::Uniform(uniform));
        }
        columns.get(&val).copied()
    }

    fn end(&self, end: End, columns: &HashMap<Val, Place>) -> Option<Place> {
        match end {
            End::Constant(value) => Some(Place::Constant(Scalar::Index(value))),
            End::Val(val) => self.place(val, columns),
        }
    }

    /// The columns and steps of a level; a column is used again when nobody needs what it holds.
    #[allow(
        clippy::type_complexity,
        reason = "three results that belong to one level"
    )]
    fn level(
        &self,
        level: usize,
        imports: &HashSet<Val>,
        computed: &HashSet<Val>,
        outer: &HashMap<Val, Place>,
        kept: &HashSet<Val>,
    ) -> Option<(HashMap<Val, Place>, Vec<ScalarType>, Vec<Step>)> {
        let graph = &self.chain.graph;
        let mut last: HashMap<Val, Val> = HashMap::new();
        for n in 0..graph.vals.len() {
            if computed.contains(&Val(n)) {
                last.extend(graph.operands(Val(n)).into_iter().map(|of| (of, Val(n))));
            }
        }
        let mut places = HashMap::new();
        let mut columns: Vec<ScalarType> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut steps = Vec::new();
        for n in 0..graph.vals.len() {
            let val = Val(n);
            if !imports.contains(&val) && !computed.contains(&val) {
                continue;
            }
            let ty = graph.ty(val);
            let fits = free
                .iter()
                .position(|&column| columns.get(column) == Some(&ty));
            let to = match fits {
                Some(at) => free.swap_remove(at),
                None => {
                    columns.push(ty);
                    columns.len() - 1
                }
            };
            if imports.contains(&val) {
                let Place::Column(from) = *outer.get(&val)? else {
                    return None;
                };
                steps.push(Step::Pick { from, to });
            } else {
                let place = |val: Val| self.place(val, &places);
                match &graph.get(val).def {
                    Def::Position(_) => steps.push(Step::Position { to }),
                    Def::Arith(arith) => {
                        let arith = arith.try_map(|&v| place(v).ok_or(())).ok()?;
                        steps.push(Step::Arith { arith, to });
                    }
                    Def::Decode(of, decode) => steps.push(Step::Decode {
                        of: place(*of)?,
                        decode: *decode,
                        to,
                    }),
                    Def::LoadRun {
                        buffer,
                        base,
                        decode,
                        span,
                    } => steps.push(Step::LoadRun {
                        buffer: *buffer,
                        base: self.place(*base, outer)?,
                        decode: *decode,
                        to,
                        span: *span,
                    }),
                    Def::Load {
                        buffer,
                        offset,
                        guard: _,
                        span,
                    } => steps.push(Step::Load {
                        buffer: *buffer,
                        offset: place(*offset)?,
                        to,
                        span: *span,
                    }),
                    Def::Outer(_) | Def::RowPosition(_) | Def::RowLoad { .. } | Def::Old { .. } => {
                        return None;
                    }
                }
            }
            places.insert(val, Place::Column(to));
            // A step does not write what it reads: what it is the last to read is free from the next on.
            for of in graph.operands(val) {
                if computed.contains(&val)
                    && last.get(&of) == Some(&val)
                    && !kept.contains(&of)
                    && let Some(Place::Column(column)) = places.remove(&of)
                {
                    free.push(column);
                }
            }
        }
        for check in self
            .chain
            .checks
            .iter()
            .filter(|check| check.level == level)
        {
            let Check {
                val,
                low,
                high,
                guard,
                level: _,
                buffer,
                span,
            } = check.clone();
            let guard = match guard {
                None => None,
                Some(guard) => Some(self.place(guard, &places)?),
            };
            steps.push(Step::Check {
                val: self.place(val, &places)?,
                low,
                high,
                guard,
                buffer,
                span,
            });
        }
        Some((places, columns, steps))
    }

    /// Whether different positions of the outermost level write different elements: some index is a multiple of the position, and
    /// all else in it is less than that.
    fn is_outer(&self, combine: &super::flat::Combine) -> bool {
        combine.indices.iter().any(|&(index, reach)| {
            let (factor, low, high) = self.by_position(index);
            factor != 0 && high - low + reach < i128::from(factor).abs()
        })
    }

    /// How what a combine adds to is started by the nest: by lookups, if it is the only one, and its rows are accumulated and divide the buffer;
    /// else position by position, if each position of the outermost level is an index into the first dimension. Where several threads may
    /// do the same position, none of them starts it.
    fn start(
        &self,
        source: &Source,
        combine: &super::flat::Combine,
        effect: &Effect,
        outer: bool,
        apart: bool,
    ) -> Option<Start> {
        let buffer = source.buffers.get(combine.buffer)?;
        let (Role::Output(Init::Splat(value)) | Role::Temp(Init::Splat(value))) = buffer.role
        else {
            return None;
        };
        let (index, reach) = *combine.indices.first()?;
        let outermost = self.chain.positions.first()?;
        let all = outermost.begin == End::Constant(0)
            && outermost.step == 1
            && outermost.end == End::Constant(*buffer.dims.first()?);
        let is_position = self.chain.graph.get(index).def == Def::Position(1) && reach == 0;
        let elements = match outer && all && is_position {
            true => Some(usize::try_from(*buffer.strides.first()?).ok()?),
            false => None,
        };
        let [_] = self.chain.combines.as_slice() else {
            let elements = elements?;
            let how = Starting::Position(elements);
            return Some(Start {
                buffer: combine.buffer,
                value,
                how,
            });
        };
        let row = self.chain.row.and_then(|row| usize::try_from(row).ok());
        let rows = row.is_some_and(|row| {
            apart
                && combine.stride == Some(1)
                && matches!(effect.kernel, Kernel::Accumulate { .. })
                && (elements.is_some() || !outer)
                && elements.unwrap_or(row).is_multiple_of(row)
                && buffer.len().is_multiple_of(row)
        });
        let how = match (rows, elements) {
            (true, elements) => Starting::Lookup(elements),
            (false, elements) => Starting::Position(elements?),
        };
        Some(Start {
            buffer: combine.buffer,
            value,
            how,
        })
    }

    /// A value as a multiple of the outermost position and a rest in a range.
    fn by_position(&self, val: Val) -> (i64, i128, i128) {
        let data = self.chain.graph.get(val);
        let all = (0, data.range.0, data.range.1);
        if data.ty != ScalarType::Index {
            return all;
        }
        match &data.def {
            Def::Position(1) => (1, 0, 0),
            Def::Arith(Arith::Binary(BinaryOp::Add, a, b)) => {
                let ((f, a0, a1), (g, b0, b1)) = (self.by_position(*a), self.by_position(*b));
                match f.checked_add(g) {
                    Some(factor) if factor != 0 => (factor, a0 + b0, a1 + b1),
                    _ => all,
                }
            }
            Def::Arith(Arith::Binary(BinaryOp::Mul, a, b)) => {
                let constant = |val: Val| match self.chain.graph.as_constant(val) {
                    Some(Scalar::Index(value)) => Some(value),
                    _ => None,
                };
                let (val, by) = match (constant(*a), constant(*b)) {
                    (_, Some(by)) => (*a, by),
                    (Some(by), _) => (*b, by),
                    _ => return all,
                };
                let (factor, low, high) = self.by_position(val);
                match factor.checked_mul(by) {
                    Some(factor) if factor != 0 && (low, high) != ANY => {
                        let (low, high) = (low * i128::from(by), high * i128::from(by));
                        (factor, low.min(high), low.max(high))
                    }
                    _ => all,
                }
            }
            _ => all,
        }
    }

    /// Whether lookups with different destinations write different elements: rows start at multiples of their size.
    fn is_apart(&self, source: &Source, combine: &super::flat::Combine, row: usize) -> bool {
        if combine.stride != Some(1) {
            return true;
        }
        let Some(buffer) = source.buffers.get(combine.buffer) else {
            return false;
        };
        combine
            .indices
            .iter()
            .zip(&buffer.strides)
            .all(|(&(index, _), &stride)| {
                self.chain.graph.level(index) == 0 || stride % (row as i64).max(1) == 0
            })
    }
}
