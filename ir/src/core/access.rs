//! Accesses to memory, scalar and vector, on the access side and on the execute side; bounds of loops.
//!
//! ```text
//! access = %buffer "[" %index,* "]" ("mask" %mask)?        the mask only with lanes: load<8> %out[%b, %d] mask %m
//! ```
//!
//! Without lanes, an access is to one element. With lanes,
//!
//! * if all indices are scalar, to contiguous elements along the last dimension, lane 0 at the indices;
//! * if an index is a vector, to one element for each lane; a scalar index is the same in all lanes.
//!
//! A lane is active if there is no mask or the mask is true there. Inactive lanes read as zero and touch no
//! memory. Every active lane's element lies in the buffer, else the run ends with an error. A store writes its
//! lanes in order, so that of two lanes with one place the later one stays.

use std::fmt;

use cranelift_entity::PrimaryMap;

use super::buffer::{Buffer, BufferId};
use super::check::Checker;
use super::compute::check_lanes;
use super::datum::{Datum, zero};
use super::diag::{EvalError, ParseError, Problem};
use super::memory::Memory;
use super::text::{self, Cursor, Meaning, Scope};
use super::types::{Span, Type};

/// How many lanes, and which of them are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes<V> {
    /// Number of lanes.
    pub count: u32,
    /// A `bool` for each lane; all lanes are active if none.
    pub mask: Option<V>,
}

/// An access to memory, with indices of type `V`.
#[derive(Clone, Debug, PartialEq)]
pub struct Access<V> {
    /// Where to.
    pub buffer: BufferId,
    /// One `index`, scalar or vector, for each dimension.
    pub indices: Vec<V>,
    /// None for an access to one element.
    pub lanes: Option<Lanes<V>>,
}

/// Bound of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<V> {
    /// The same each time.
    Constant(i64),
    /// What an `index` is when the loop begins.
    Value(V),
}

impl<V> Bound<V> {
    /// The same bound of other values.
    pub fn map<W>(self, f: impl FnOnce(V) -> W) -> Bound<W> {
        match self {
            Bound::Constant(position) => Bound::Constant(position),
            Bound::Value(value) => Bound::Value(f(value)),
        }
    }

    /// The value, if it is not constant.
    pub fn value(self) -> Option<V> {
        match self {
            Bound::Constant(_) => None,
            Bound::Value(value) => Some(value),
        }
    }
}

impl<V> Lanes<V> {
    /// The same lanes under another mask.
    pub fn map<W>(self, f: impl FnOnce(V) -> W) -> Lanes<W> {
        Lanes {
            count: self.count,
            mask: self.mask.map(f),
        }
    }
}

impl<V> Access<V> {
    /// An access to one element.
    pub fn element(buffer: BufferId, indices: Vec<V>) -> Access<V> {
        Access {
            buffer,
            indices,
            lanes: None,
        }
    }

    /// The indices, then the mask.
    pub fn operands(&self) -> impl Iterator<Item = &V> {
        let mask = self.lanes.as_ref().and_then(|lanes| lanes.mask.as_ref());
        self.indices.iter().chain(mask)
    }

    /// Number of lanes.
    pub fn count(&self) -> Option<u32> {
        self.lanes.as_ref().map(|lanes| lanes.count)
    }

    /// The same access with other indices and another mask.
    pub fn try_map<W, E>(&self, mut f: impl FnMut(&V) -> Result<W, E>) -> Result<Access<W>, E> {
        let indices = self.indices.iter().map(&mut f).collect::<Result<_, E>>()?;
        let lanes = match &self.lanes {
            None => None,
            Some(Lanes { count, mask }) => Some(Lanes {
                count: *count,
                mask: mask.as_ref().map(f).transpose()?,
            }),
        };
        Ok(Access {
            buffer: self.buffer,
            indices,
            lanes,
        })
    }

    /// The same access with other indices and another mask.
    pub fn map<W>(&self, mut f: impl FnMut(&V) -> W) -> Access<W> {
        match self.try_map(|v| Ok::<W, std::convert::Infallible>(f(v))) {
            Ok(access) => access,
            Err(never) => match never {},
        }
    }

    /// Type of what is loaded.
    pub fn ty(&self, buffers: &PrimaryMap<BufferId, Buffer>) -> Option<Type> {
        let declared = buffers.get(self.buffer)?;
        Some(Type::of(declared.element.into(), self.count()))
    }

    /// Prints `%buffer[%i, %j] mask %m`.
    pub(crate) fn print<N: fmt::Display>(
        &self,
        f: &mut impl fmt::Write,
        buffers: &PrimaryMap<BufferId, Buffer>,
        mut name: impl FnMut(&V) -> N,
    ) -> fmt::Result {
        text::print_buffer_name(f, buffers, self.buffer)?;
        f.write_char('[')?;
        text::print_list(f, &self.indices, &mut name)?;
        f.write_char(']')?;
        match self.lanes.as_ref().and_then(|lanes| lanes.mask.as_ref()) {
            Some(mask) => write!(f, " mask %{}", name(mask)),
            None => Ok(()),
        }
    }

    /// Reads `%buffer[%i, %j] mask %m`, behind the number of lanes.
    pub(crate) fn parse<N: Copy>(
        cursor: &mut Cursor<'_>,
        scope: &Scope<'_, N>,
        lanes: Option<u32>,
    ) -> Result<Access<V>, ParseError>
    where
        BufferId: Meaning<N>,
        V: Meaning<N>,
    {
        let buffer = scope.read(cursor)?;
        let indices = cursor.list("[", "]", |cursor| scope.read(cursor))?;
        let lanes = match lanes {
            None => None,
            Some(count) => Some(Lanes {
                count,
                mask: parse_mask(cursor, scope)?,
            }),
        };
        Ok(Access {
            buffer,
            indices,
            lanes,
        })
    }
}

/// `<8>`, or nothing.
pub(crate) fn print_lanes(f: &mut impl fmt::Write, lanes: Option<u32>) -> fmt::Result {
    match lanes {
        None => Ok(()),
        Some(lanes) => write!(f, "<{lanes}>"),
    }
}

/// Reads `<8>`, if it is next.
pub(crate) fn parse_lanes(cursor: &mut Cursor<'_>) -> Result<Option<u32>, ParseError> {
    if !cursor.eat("<") {
        return Ok(None);
    }
    let lanes = cursor.integer("a number of lanes")?;
    cursor.expect(">")?;
    Ok(Some(lanes))
}

/// Reads `mask %m`, if it is next.
pub(crate) fn parse_mask<V: Meaning<N>, N: Copy>(
    cursor: &mut Cursor<'_>,
    scope: &Scope<'_, N>,
) -> Result<Option<V>, ParseError> {
    if cursor.eat_word("mask") {
        scope.read(cursor).map(Some)
    } else {
        Ok(None)
    }
}

/// Reads an integer or a name.
pub(crate) fn parse_bound<V: Meaning<N>, N: Copy>(
    cursor: &mut Cursor<'_>,
    scope: &Scope<'_, N>,
) -> Result<Bound<V>, ParseError> {
    if let text::TokenKind::Value(_) = cursor.peek().kind {
        return scope.read(cursor).map(Bound::Value);
    }
    let what = format!("an integer or {}", V::WHAT);
    cursor.integer(&what).map(Bound::Constant)
}

/// The rules that an access keeps: one index for each dimension, of type `index`, all vectors of the
/// access's lanes; a mask of `bool` of these lanes.
pub(crate) fn check<V: Copy>(
    access: &Access<V>,
    rule: u32,
    span: Span,
    checker: &mut Checker<'_>,
    mut used: impl FnMut(V, &mut Checker<'_>) -> Option<(String, Type)>,
) -> Option<Type> {
    let count = access.count();
    if let Some(Err(error)) = count.map(check_lanes) {
        checker.report(rule, span, Problem::Operands(error));
    }
    for &index in &access.indices {
        if let Some((name, ty)) = used(index, checker) {
            let expected = match ty.lanes() {
                Some(_) if count.is_some() => Type::of(Type::INDEX.scalar(), count),
                Some(_) | None => Type::INDEX,
            };
            expect(rule, span, name, expected, ty, checker);
        }
    }
    if let Some(Lanes {
        count,
        mask: Some(mask),
    }) = access.lanes
        && let Some((name, ty)) = used(mask, checker)
    {
        let expected = Type::Vector(Type::BOOL.scalar(), count);
        expect(rule, span, name, expected, ty, checker);
    }
    let declared = checker.access(rule, access.buffer, access.indices.len(), span)?;
    if count.is_some() && declared.dims.is_empty() {
        let sentence = format!(
            "%{} has no dimension along which lanes could lie",
            declared.name
        );
        checker.broken(rule, span, sentence);
    }
    Some(Type::of(declared.element.into(), count))
}

pub(crate) fn expect(
    rule: u32,
    span: Span,
    name: String,
    expected: Type,
    found: Type,
    checker: &mut Checker<'_>,
) {
    if expected != found {
        let expected = expected.to_string();
        let problem = Problem::Type {
            name,
            expected,
            found,
        };
        checker.report(rule, span, problem);
    }
}

impl Access<Datum> {
    /// Where each lane goes; `None` for an inactive one.
    fn places(&self, span: Span) -> Result<Vec<Option<Vec<i64>>>, EvalError> {
        let scattered = self.indices.iter().any(|index| index.lanes().is_some());
        let place = |lane: u32| {
            if let Some(Lanes {
                mask: Some(mask), ..
            }) = &self.lanes
                && !mask.active(lane, span)?
            {
                return Ok(None);
            }
            let indices = self.indices.iter().map(|i| i.lane_index(lane, span));
            let mut indices = indices.collect::<Result<Vec<_>, _>>()?;
            if !scattered && let Some(last) = indices.last_mut() {
                // Beyond the largest index there is no buffer: the access is outside either way.
                *last = last.saturating_add(lane.into());
            }
            Ok(Some(indices))
        };
        (0..self.count().unwrap_or(1)).map(place).collect()
    }

    /// What it loads.
    pub fn load(&self, memory: &Memory<'_>, span: Span) -> Result<Datum, EvalError> {
        let places = self.places(span)?;
        let declared = memory.buffers().get(self.buffer);
        let declared = declared
            .ok_or_else(|| EvalError::stuck(span, format!("{} does not exist", self.buffer)))?;
        let lane = |k: u32| match places.get(k as usize) {
            Some(Some(indices)) => memory.load(self.buffer, indices, span),
            Some(None) | None => Ok(zero(declared.element.into())),
        };
        Datum::collect(self.count(), lane)
    }

    /// Stores a datum, lane by lane.
    pub fn store(
        &self,
        memory: &mut Memory<'_>,
        value: &Datum,
        span: Span,
    ) -> Result<(), EvalError> {
        for (lane, place) in (0..).zip(self.places(span)?) {
            if let Some(indices) = place {
                memory.store(self.buffer, &indices, value.lane(lane, span)?, span)?;
            }
        }
        Ok(())
    }
}
