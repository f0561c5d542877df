//! Streams and effects: what the access unit does at each position, the same in SLC and DLC.
//!
//! ```text
//! stream = "mem_stream" lanes? access hints?       an element, or one for each lane, of an input
//!        | "alu_stream" arith                      arithmetic, lane by lane
//!        | "broadcast" %s ":" LANES | "lanes" %s "step" INTEGER ":" LANES
//!        | "buf_stream" "[" ELEMENTS "x" TYPE "]"  a row, empty at first
//! effect = "to_buffer" %s "," %row ("mask" %m)?    appends the active lanes to a row
//!        | "store_stream" lanes? %s "," access     the access unit itself writes memory
//! ```
//!
//! SLC spells a form without lanes `slc.mem_stream`, one with lanes, and rows, `slcv.mem_stream<8>`; arithmetic is
//! `slc.alu_stream` on both. DLC has no such prefix. `access` is that of [`super::access`], arithmetic that of
//! [`super::compute`], `hints` are those of [`super::hints`].

use std::fmt;

use cranelift_entity::{EntityRef, PrimaryMap};

use super::access::{Access, check, expect, parse_lanes, parse_mask, print_lanes};
use super::buffer::{Buffer, BufferId, Role};
use super::check::Checker;
use super::code::{Code, Data, Expr, Statement, get};
use super::compute::Compute;
use super::datum::Datum;
use super::diag::{EvalError, ParseError, Problem};
use super::hints::ReadHints;
use super::memory::Memory;
use super::text::{Cursor, Meaning, Scope};
use super::types::{ScalarType, Span, Type};
use super::typing::TypeError;

/// What a stream's elements are.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamExpr<V> {
    /// `mem_stream %buffer[%i, %j]`.
    Mem {
        /// To an input.
        access: Access<V>,
        /// How it is read.
        hints: ReadHints,
    },
    /// `alu_stream add %a, %b`, `broadcast %w : 8`, `lanes %d step 1 : 8`.
    Compute(Compute<V>),
    /// `buf_stream [24 x f32]`: a row of that many elements, which `to_buffer` appends to.
    Row(ScalarType, u64),
}

/// What the access unit does with streams that are there, beside pushing them.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<V> {
    /// `to_buffer %x, %row mask %m`.
    ToBuffer {
        /// What is appended, a scalar or vector.
        stream: V,
        /// To what.
        row: V,
        /// Which lanes of a vector; all if none.
        mask: Option<V>,
        /// Where it is.
        span: Span,
    },
    /// `store_stream %x, %out[%b, %d] mask %m`.
    Store {
        /// What is written, of the lanes of the access.
        stream: V,
        /// To an output that only such effects touch.
        access: Access<V>,
        /// Where it is.
        span: Span,
    },
}

impl<V> StreamExpr<V> {
    /// Every stream that it is made from.
    pub fn operands(&self) -> Vec<&V> {
        match self {
            StreamExpr::Mem { access, .. } => access.operands().collect(),
            StreamExpr::Compute(compute) => compute.operands(),
            StreamExpr::Row(_, _) => Vec::new(),
        }
    }

    /// The same of other streams.
    pub fn map<W>(&self, f: impl FnMut(&V) -> W) -> StreamExpr<W> {
        match self {
            StreamExpr::Mem { access, hints } => StreamExpr::Mem {
                access: access.map(f),
                hints: *hints,
            },
            StreamExpr::Compute(compute) => StreamExpr::Compute(compute.map(f)),
            StreamExpr::Row(scalar, elements) => StreamExpr::Row(*scalar, *elements),
        }
    }
}

impl<V> Effect<V> {
    /// Every stream that it uses.
    pub fn operands(&self) -> Vec<&V> {
        match self {
            Effect::ToBuffer {
                stream, row, mask, ..
            } => [stream, row].into_iter().chain(mask).collect(),
            Effect::Store { stream, access, .. } => {
                std::iter::once(stream).chain(access.operands()).collect()
            }
        }
    }

    /// The same of other streams.
    pub fn map<W>(&self, mut f: impl FnMut(&V) -> W) -> Effect<W> {
        match self {
            Effect::ToBuffer {
                stream,
                row,
                mask,
                span,
            } => Effect::ToBuffer {
                stream: f(stream),
                row: f(row),
                mask: mask.as_ref().map(f),
                span: *span,
            },
            Effect::Store {
                stream,
                access,
                span,
            } => Effect::Store {
                stream: f(stream),
                access: access.map(f),
                span: *span,
            },
        }
    }

    /// Where it is.
    pub fn span(&self) -> Span {
        match self {
            Effect::ToBuffer { span, .. } | Effect::Store { span, .. } => *span,
        }
    }
}

/// How an IR spells what is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `slc.` without lanes, `slcv.` with.
    Slc,
    /// No prefix.
    Dlc,
}

impl Dialect {
    fn prefix(self, lanes: bool) -> &'static str {
        match (self, lanes) {
            (Dialect::Slc, false) => "slc.",
            (Dialect::Slc, true) => "slcv.",
            (Dialect::Dlc, _) => "",
        }
    }

    /// Reads `word` and the lanes behind it, if it is next.
    fn word(self, cursor: &mut Cursor<'_>, word: &str) -> Result<Option<Option<u32>>, ParseError> {
        for lanes in [false, true] {
            if cursor.eat_word(&format!("{}{word}", self.prefix(lanes))) {
                let count = parse_lanes(cursor)?;
                // Without prefixes both spellings are one.
                if self == Dialect::Slc && lanes != count.is_some() {
                    let what = if lanes {
                        "`<`"
                    } else {
                        "no lanes: those are `slcv.`"
                    };
                    return cursor.unexpected(what);
                }
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    /// What [`parse_stream`] takes, for errors.
    pub(crate) fn streams(self) -> String {
        let words = [
            (false, "mem_stream"),
            (true, "mem_stream"),
            (false, "alu_stream"),
            (true, "broadcast"),
            (true, "lanes"),
            (true, "buf_stream"),
        ];
        let mut spelled: Vec<String> = words
            .iter()
            .map(|&(lanes, word)| format!("`{}{word}`", self.prefix(lanes)))
            .collect();
        spelled.dedup();
        spelled.join(", ")
    }
}

/// Prints what a stream is.
pub(crate) fn print_stream<V, N: fmt::Display>(
    f: &mut impl fmt::Write,
    dialect: Dialect,
    expr: &StreamExpr<V>,
    buffers: &PrimaryMap<BufferId, Buffer>,
    name: impl FnMut(&V) -> N,
) -> fmt::Result {
    match expr {
        StreamExpr::Mem { access, hints } => {
            let count = access.count();
            write!(f, "{}mem_stream", dialect.prefix(count.is_some()))?;
            print_lanes(f, count)?;
            f.write_char(' ')?;
            access.print(f, buffers, name)?;
            match *hints == ReadHints::default() {
                true => Ok(()),
                false => write!(f, " {hints}"),
            }
        }
        StreamExpr::Compute(compute) => {
            match compute {
                Compute::Arith(_) => write!(f, "{}alu_stream ", dialect.prefix(false))?,
                Compute::Broadcast { .. } | Compute::Lanes { .. } => {
                    f.write_str(dialect.prefix(true))?;
                }
            }
            compute.print(f, name)
        }
        StreamExpr::Row(scalar, elements) => {
            let ty = Type::Row(*scalar, *elements);
            write!(f, "{}buf_stream {ty}", dialect.prefix(true))
        }
    }
}

/// Prints an effect.
pub(crate) fn print_effect<V, N: fmt::Display>(
    f: &mut impl fmt::Write,
    dialect: Dialect,
    effect: &Effect<V>,
    buffers: &PrimaryMap<BufferId, Buffer>,
    mut name: impl FnMut(&V) -> N,
) -> fmt::Result {
    match effect {
        Effect::ToBuffer {
            stream,
            row,
            mask,
            span: _,
        } => {
            let prefix = dialect.prefix(true);
            write!(f, "{prefix}to_buffer %{}, %{}", name(stream), name(row))?;
            match mask {
                Some(mask) => write!(f, " mask %{}", name(mask)),
                None => Ok(()),
            }
        }
        Effect::Store {
            stream,
            access,
            span: _,
        } => {
            let count = access.count();
            write!(f, "{}store_stream", dialect.prefix(count.is_some()))?;
            print_lanes(f, count)?;
            write!(f, " %{}, ", name(stream))?;
            access.print(f, buffers, name)
        }
    }
}

/// Reads what a stream is, and its type, if its word is next.
pub(crate) fn parse_stream<V, N: Copy>(
    cursor: &mut Cursor<'_>,
    dialect: Dialect,
    scope: &Scope<'_, N>,
    buffers: &PrimaryMap<BufferId, Buffer>,
    streams: impl Fn(V) -> Type,
) -> Result<Option<(StreamExpr<V>, Type)>, ParseError>
where
    BufferId: Meaning<N>,
    V: Meaning<N>,
{
    if let Some(lanes) = dialect.word(cursor, "mem_stream")? {
        let access = Access::parse(cursor, scope, lanes)?;
        let hints = ReadHints::parse(cursor)?;
        let ty = access.ty(buffers).unwrap_or(Type::INDEX);
        return Ok(Some((StreamExpr::Mem { access, hints }, ty)));
    }
    let [one, many] = [false, true].map(|lanes| dialect.prefix(lanes));
    if cursor.eat_word(&format!("{many}buf_stream")) {
        let place = cursor.clone();
        return match cursor.value_type()? {
            ty @ Type::Row(scalar, elements) => Ok(Some((StreamExpr::Row(scalar, elements), ty))),
            Type::Scalar(_) | Type::Vector(_, _) => place.unexpected("a row such as `[24 x f32]`"),
        };
    }
    let compute = if cursor.eat_word(&format!("{one}alu_stream")) {
        match cursor.arith(|cursor| scope.read(cursor))? {
            Some(arith) => Compute::Arith(arith),
            None => return cursor.unexpected("an operation"),
        }
    } else if cursor.eat_word(&format!("{many}broadcast")) {
        let value = scope.read(cursor)?;
        let lanes = cursor.count()?;
        Compute::Broadcast { value, lanes }
    } else if cursor.eat_word(&format!("{many}lanes")) {
        let base = scope.read(cursor)?;
        cursor.expect_word("step")?;
        let step = cursor.integer("a step")?;
        let lanes = cursor.count()?;
        Compute::Lanes { base, step, lanes }
    } else {
        return Ok(None);
    };
    let ty = compute.parsed_type(|&s| streams(s));
    Ok(Some((StreamExpr::Compute(compute), ty)))
}

/// Reads an effect, if its word is next.
pub(crate) fn parse_effect<V, N: Copy>(
    cursor: &mut Cursor<'_>,
    dialect: Dialect,
    scope: &Scope<'_, N>,
) -> Result<Option<Effect<V>>, ParseError>
where
    BufferId: Meaning<N>,
    V: Meaning<N>,
{
    let start = cursor.peek().span;
    if cursor.eat_word(&format!("{}to_buffer", dialect.prefix(true))) {
        let stream = scope.read(cursor)?;
        cursor.expect(",")?;
        let row = scope.read(cursor)?;
        let mask = parse_mask(cursor, scope)?;
        let span = cursor.since(start);
        return Ok(Some(Effect::ToBuffer {
            stream,
            row,
            mask,
            span,
        }));
    }
    if let Some(lanes) = dialect.word(cursor, "store_stream")? {
        let stream = scope.read(cursor)?;
        cursor.expect(",")?;
        let access = Access::parse(cursor, scope, lanes)?;
        let span = cursor.since(start);
        return Ok(Some(Effect::Store {
            stream,
            access,
            span,
        }));
    }
    Ok(None)
}

/// The numbers of an IR's rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Types agree.
    pub types: u32,
    /// An access has an index for each dimension.
    pub access: u32,
    /// Streams read inputs, effects write outputs.
    pub role: u32,
}

/// The type of a stream, if what it is made from takes part; `used` is the name and type of a stream that can be used here.
pub(crate) fn check_stream<V: Copy>(
    expr: &StreamExpr<V>,
    rules: Rules,
    span: Span,
    checker: &mut Checker<'_>,
    mut used: impl FnMut(V, &mut Checker<'_>) -> Option<(String, Type)>,
) -> Option<Type> {
    match expr {
        StreamExpr::Mem { access, hints: _ } => {
            if let Some(declared) = checker.declared().get(access.buffer)
                && declared.role != Role::Input
            {
                let sentence = format!(
                    "a stream cannot read %{}, which is no input: the access unit runs ahead of the stores",
                    declared.name
                );
                checker.broken(rules.role, span, sentence);
            }
            check(access, rules.access, span, checker, used)
        }
        StreamExpr::Compute(compute) => {
            let typed = compute.try_map(|&s| used(s, checker).map(|(_, ty)| ty).ok_or(()));
            match typed.ok()?.result_type() {
                Ok(ty) => Some(ty),
                Err(error) => {
                    checker.report(rules.types, span, Problem::Operands(error));
                    None
                }
            }
        }
        StreamExpr::Row(scalar, elements) => Some(Type::Row(*scalar, *elements)),
    }
}

/// The rules that an effect keeps by itself.
pub(crate) fn check_effect<V: Copy>(
    effect: &Effect<V>,
    rules: Rules,
    checker: &mut Checker<'_>,
    mut used: impl FnMut(V, &mut Checker<'_>) -> Option<(String, Type)>,
) {
    let span = effect.span();
    match effect {
        Effect::ToBuffer {
            stream, row, mask, ..
        } => {
            let [stream, row] = [*stream, *row].map(|s| used(s, checker));
            let mask = mask.and_then(|mask| used(mask, checker));
            let (Some((name, ty)), Some((_, row))) = (stream, row) else {
                return;
            };
            let Type::Row(scalar, _) = row else {
                let error = TypeError::Expected {
                    op: "to_buffer",
                    expected: "a row",
                    found: row,
                };
                return checker.report(rules.types, span, Problem::Operands(error));
            };
            expect(
                rules.types,
                span,
                name,
                Type::of(scalar, ty.lanes()),
                ty,
                checker,
            );
            if let Some((name, found)) = mask {
                let expected = Type::of(ScalarType::BOOL, Some(ty.lanes().unwrap_or(1)));
                expect(rules.types, span, name, expected, found, checker);
            }
        }
        Effect::Store { stream, access, .. } => {
            let stored = used(*stream, checker);
            let ty = check(access, rules.access, span, checker, &mut used);
            if let (Some((name, found)), Some(expected)) = (stored, ty) {
                expect(rules.types, span, name, expected, found, checker);
            }
            if let Some(declared) = checker.declared().get(access.buffer)
                && !matches!(declared.role, Role::Output(_))
            {
                let sentence = format!(
                    "the access unit cannot write %{}, which is no output",
                    declared.name
                );
                checker.broken(rules.role, span, sentence);
            }
        }
    }
}

/// What a stream holds once it has advanced.
pub(crate) fn advance<V: EntityRef + fmt::Display>(
    expr: &StreamExpr<V>,
    memory: &Memory<'_>,
    streams: &Data<V>,
    span: Span,
) -> Result<Datum, EvalError> {
    match expr {
        StreamExpr::Mem { access, hints: _ } => {
            let access = access.try_map(|&s| get(streams, s, span).cloned())?;
            access.load(memory, span)
        }
        StreamExpr::Compute(compute) => compute
            .try_map(|&s| get(streams, s, span).cloned())?
            .evaluate()
            .map_err(|error| EvalError::stuck(span, error)),
        StreamExpr::Row(_, _) => Ok(Datum::Many(Vec::new())),
    }
}

/// Does what an effect does.
pub(crate) fn perform<V: EntityRef + fmt::Display>(
    effect: &Effect<V>,
    memory: &mut Memory<'_>,
    streams: &mut Data<V>,
) -> Result<(), EvalError> {
    let span = effect.span();
    match effect {
        Effect::ToBuffer {
            stream, row, mask, ..
        } => {
            let datum = get(streams, *stream, span)?;
            let mut appended = Vec::new();
            for (lane, &scalar) in (0..).zip(datum.scalars()) {
                let active = match mask {
                    None => true,
                    Some(mask) => get(streams, *mask, span)?.active(lane, span)?,
                };
                if active {
                    appended.push(scalar);
                }
            }
            match streams[*row].as_mut() {
                Some(Datum::Many(elements)) => elements.extend(appended),
                Some(Datum::Scalar(_)) | None => {
                    return Err(EvalError::stuck(span, format!("{row} is no row")));
                }
            }
            Ok(())
        }
        Effect::Store { stream, access, .. } => {
            let access = access.try_map(|&s| get(streams, s, span).cloned())?;
            let value = get(streams, *stream, span)?;
            access.store(memory, value, span)
        }
    }
}

/// An output that the access unit writes is touched by nothing else: its stores are in the order of the
/// traversal, and the execute unit cannot know how far that is.
pub(crate) fn check_exclusive<'e, V: 'e, S: 'e>(
    rule: u32,
    effects: impl Iterator<Item = &'e Effect<V>>,
    codes: impl Iterator<Item = &'e Code<S>>,
    checker: &mut Checker<'_>,
) {
    let stored: Vec<(BufferId, Span)> = effects
        .filter_map(|effect| match effect {
            Effect::Store { access, span, .. } => Some((access.buffer, *span)),
            Effect::ToBuffer { .. } => None,
        })
        .collect();
    if stored.is_empty() {
        return;
    }
    for code in codes {
        for statement in code.statements() {
            let touched = match statement {
                Statement::Let(value, Expr::Load(access)) => {
                    let span = code.values.get(*value).map(|data| data.span);
                    Some((access.buffer, span.unwrap_or_default()))
                }
                Statement::Store { access, span, .. } => Some((access.buffer, *span)),
                Statement::Let(_, _) | Statement::If { .. } | Statement::For(_) => None,
            };
            let Some((buffer, span)) = touched else {
                continue;
            };
            if stored.iter().any(|&(other, _)| other == buffer) {
                let name = checker.declared().get(buffer).map_or("?", |b| &b.name);
                let sentence = format!(
                    "%{name} is written by the access unit, so the execute unit touches it nowhere"
                );
                checker.broken(rule, span, sentence);
            }
        }
    }
}
