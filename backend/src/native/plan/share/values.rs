//! What nests compute, as numbered expressions: equal ones have one number, whichever nest they stand in.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use hlo2dae_ir::core::{Arith, BinaryOp, ScalarType, Span, UnaryOp};
use hlo2dae_ir::dlc::Event;

use crate::native::plan::flat::{chain, flat};
use crate::native::plan::source::{Bound, BufferNumber, Instruction, Op, Reg, Source};

/// What must be saved for each lookup, in operations on columns of floats, so that a value is kept: to keep it and to read it takes
/// about so many.
pub(super) const WORTH: usize = 6;

/// The number of an expression; operands have smaller ones.
pub(super) type Id = usize;

/// An expression; equal ones have one number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// The position of the innermost of units with these extents.
    Position(Vec<i64>),
    Arith(Arith<Id>),
    /// An element of a buffer, after so many nests that write it.
    Load {
        buffer: BufferNumber,
        version: usize,
        indices: Vec<Id>,
    },
    /// What is like nothing else.
    Unique,
}

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub expr: Expr,
    pub ty: ScalarType,
    /// Extents of the units whose positions it takes, and of those around them.
    pub extents: Vec<i64>,
    /// Whether it takes what is loaded.
    loaded: bool,
    pub span: Span,
}

/// The values of all nests.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub values: Vec<Value>,
    /// Those with these operands.
    by_operands: HashMap<Vec<Id>, Vec<Id>>,
}

/// What a nest that runs by columns computes.
pub(super) struct Nest {
    pub root: usize,
    /// Extents of its lookup units.
    pub extents: Vec<i64>,
    pub registers: HashMap<Reg, Id>,
    /// What is stored, where, and when; the bounds of units.
    sinks: Vec<Id>,
    /// Loads that are done for each lookup.
    pub always: HashSet<Id>,
    /// What it stores for each lookup, in order.
    pub stored: Vec<(Id, BufferNumber)>,
    /// What it reads where it was kept.
    pub kept: HashMap<Id, BufferNumber>,
}

impl Values {
    /// The number of an expression.
    fn add(&mut self, expr: Expr, ty: ScalarType, span: Span) -> Id {
        let operands: Vec<Id> = match &expr {
            Expr::Position(_) | Expr::Unique => Vec::new(),
            Expr::Arith(arith) => arith.operands().copied().collect(),
            Expr::Load { indices, .. } => indices.clone(),
        };
        let unique = expr == Expr::Unique;
        if let Some(known) = self.by_operands.get(&operands)
            && let Some(&id) = known.iter().find(|&&id| self.is(id, &expr))
        {
            return id;
        }
        let of = operands.iter().filter_map(|&id| self.values.get(id));
        let (extents, loaded) = match &expr {
            Expr::Position(extents) => (extents.clone(), false),
            Expr::Arith(_) | Expr::Load { .. } | Expr::Unique => {
                let deepest = of.clone().map(|value| &value.extents);
                let deepest = deepest.max_by_key(|extents| extents.len());
                let loads = of.clone().any(|value| value.loaded);
                let load = matches!(expr, Expr::Load { .. });
                (deepest.cloned().unwrap_or_default(), load || loads)
            }
        };
        let id = self.values.len();
        self.values.push(Value {
            expr,
            ty,
            extents,
            loaded,
            span,
        });
        if !unique {
            self.by_operands.entry(operands).or_default().push(id);
        }
        id
    }

    fn is(&self, id: Id, expr: &Expr) -> bool {
        self.values.get(id).is_some_and(|value| value.expr == *expr)
    }

    pub(super) fn operands(&self, id: Id) -> Vec<Id> {
        match self.values.get(id).map(|value| &value.expr) {
            Some(Expr::Arith(arith)) => arith.operands().copied().collect(),
            Some(Expr::Load { indices, .. }) => indices.clone(),
            Some(Expr::Position(_) | Expr::Unique) | None => Vec::new(),
        }
    }

    /// Reads a root as a nest, if it runs by columns and its lookup units are dense.
    pub(super) fn nest(
        &mut self,
        source: &Source,
        root: usize,
        versions: &[usize],
        written: &[BufferNumber],
    ) -> Option<Nest> {
        let units = chain(source.roots.get(root)?)?;
        let levels = lookups(source, root)?;
        let mut extents: Vec<i64> = Vec::new();
        for unit in units.iter().take(levels) {
            match (unit.begin, unit.end, unit.step) {
                (Bound::Constant(0), Bound::Constant(end), 1) if end > 0 => extents.push(end),
                _ => return None,
            }
        }
        let mut nest = Nest {
            root,
            extents,
            registers: HashMap::new(),
            sinks: Vec::new(),
            always: HashSet::new(),
            stored: Vec::new(),
            kept: HashMap::new(),
        };
        let mut reader = Reader {
            values: self,
            source,
            versions,
            written,
            nest: &mut nest,
        };
        for (n, unit) in units.iter().enumerate() {
            for bound in [unit.begin, unit.end] {
                if let Bound::Reg(reg) = bound {
                    let id = reader.id(reg);
                    reader.nest.sinks.push(id);
                }
            }
            let position = match n < levels {
                true => Expr::Position(reader.nest.extents.iter().take(n + 1).copied().collect()),
                false => Expr::Unique,
            };
            for (reg, op, span) in &unit.streams {
                reader.define(*reg, op, *span, &position, n < levels);
            }
            for event in Event::ALL {
                // Before the row is once for each lookup.
                let each = n < levels || (n == levels && event == Event::Begin);
                reader.code(unit.on(event), each);
            }
        }
        Some(nest)
    }

    /// What values take, those included, but for what `known` values take.
    pub(super) fn cone(&self, of: &[Id], known: impl Fn(Id) -> bool) -> BTreeSet<Id> {
        let mut left = of.to_vec();
        let mut cone = BTreeSet::new();
        while let Some(id) = left.pop() {
            if cone.insert(id) && !known(id) {
                left.extend(self.operands(id));
            }
        }
        cone
    }

    /// What a nest computes and needs.
    pub(super) fn needed(&self, nest: &Nest) -> BTreeSet<Id> {
        self.cone(&nest.sinks, |id| nest.kept.contains_key(&id))
    }

    /// Whether a nest would have less to do if it read this value.
    pub(super) fn pays(&self, nest: &Nest, id: Id) -> bool {
        let fits = self.values.get(id).is_some_and(|value| {
            value.extents == nest.extents && matches!(value.ty, ScalarType::Element(_))
        });
        if !fits || nest.kept.contains_key(&id) {
            return false;
        }
        let cost = |cone: &BTreeSet<Id>| -> usize {
            let each = cone.iter().map(|&id| self.cost(nest, id));
            each.sum()
        };
        let now = self.needed(nest);
        let then = self.cone(&nest.sinks, |other| {
            other == id || nest.kept.contains_key(&other)
        });
        now.contains(&id) && cost(&now) >= cost(&then) + WORTH
    }

    /// What it takes to compute a value for each lookup, about: operations on columns of floats. Arithmetic of addresses
    /// is little beside the loads that it is for.
    fn cost(&self, nest: &Nest, id: Id) -> usize {
        let Some(value) = self.values.get(id) else {
            return 0;
        };
        if nest.kept.contains_key(&id) {
            return 1;
        }
        let is_float = value.ty.is_float();
        match &value.expr {
            Expr::Position(_) | Expr::Unique | Expr::Arith(Arith::Constant(_)) => 0,
            Expr::Load { indices, .. } => {
                let scattered = |&id: &Id| self.values.get(id).is_some_and(|value| value.loaded);
                if indices.iter().any(scattered) { 4 } else { 1 }
            }
            Expr::Arith(Arith::Unary(op, _)) if is_float => match op {
                UnaryOp::Abs
                | UnaryOp::Neg
                | UnaryOp::Not
                | UnaryOp::Sign
                | UnaryOp::Ceil
                | UnaryOp::Floor
                | UnaryOp::RoundNearestEven
                | UnaryOp::RoundNearestAfz
                | UnaryOp::IsFinite => 1,
                UnaryOp::Sqrt | UnaryOp::Rsqrt => 3,
                UnaryOp::Cbrt
                | UnaryOp::Exp
                | UnaryOp::Expm1
                | UnaryOp::Log
                | UnaryOp::Log1p
                | UnaryOp::Logistic
                | UnaryOp::Tanh
                | UnaryOp::Erf
                | UnaryOp::Sin
                | UnaryOp::Cos
                | UnaryOp::Tan
                | UnaryOp::Popcnt
                | UnaryOp::Clz => 6,
            },
            Expr::Arith(Arith::Binary(BinaryOp::Div, ..)) if is_float => 2,
            Expr::Arith(Arith::Binary(BinaryOp::Rem | BinaryOp::Pow | BinaryOp::Atan2, ..)) => 6,
            Expr::Arith(_) => usize::from(is_float),
        }
    }
}

struct Reader<'a> {
    values: &'a mut Values,
    source: &'a Source,
    versions: &'a [usize],
    written: &'a [BufferNumber],
    nest: &'a mut Nest,
}

impl Reader<'_> {
    /// The number of what a register holds.
    fn id(&mut self, reg: Reg) -> Id {
        if let Some(&id) = self.nest.registers.get(&reg) {
            return id;
        }
        let id = self.values.add(Expr::Unique, self.ty(reg), Span::default());
        self.nest.registers.insert(reg, id);
        id
    }

    fn ty(&self, reg: Reg) -> ScalarType {
        let ty = self.source.types.get(reg).copied();
        ty.unwrap_or(ScalarType::Index)
    }

    /// Whether a buffer has one element for each lookup, and indices are the positions.
    fn is_in_order(&self, buffer: BufferNumber, indices: &[Reg]) -> bool {
        let dims = self.source.buffers.get(buffer).map(|data| &data.dims);
        let position = |n: usize, reg: &Reg| {
            let id = self.nest.registers.get(reg);
            let value = id.and_then(|&id| self.values.values.get(id));
            value.is_some_and(|value| match &value.expr {
                Expr::Position(extents) => extents.len() == n + 1,
                Expr::Arith(_) | Expr::Load { .. } | Expr::Unique => false,
            })
        };
        dims == Some(&self.nest.extents)
            && indices.iter().enumerate().all(|(n, reg)| position(n, reg))
    }

    /// `always`: for each lookup, under no guard.
    fn define(&mut self, reg: Reg, op: &Op, span: Span, position: &Expr, always: bool) {
        let expr = match op {
            Op::Position => position.clone(),
            Op::Arith(arith) => Expr::Arith(arith.map(|&reg| self.id(reg))),
            Op::Load { buffer, .. } if self.written.contains(buffer) => Expr::Unique,
            Op::Load { buffer, indices } => Expr::Load {
                buffer: *buffer,
                version: self.versions.get(*buffer).copied().unwrap_or(0),
                indices: indices.iter().map(|&reg| self.id(reg)).collect(),
            },
        };
        let load = matches!(expr, Expr::Load { .. });
        let id = self.values.add(expr, self.ty(reg), span);
        if load && always {
            self.nest.always.insert(id);
        }
        self.nest.registers.insert(reg, id);
    }

    /// Recursion is as deep as `if`s nest, which the verifier bounds.
    fn code(&mut self, code: &[Instruction], always: bool) {
        for instruction in code {
            match instruction {
                Instruction::Let(reg, op, span) => {
                    self.define(*reg, op, *span, &Expr::Unique, always);
                }
                Instruction::Store {
                    buffer,
                    indices,
                    value,
                    span: _,
                } => {
                    if always && self.is_in_order(*buffer, indices) {
                        let id = self.id(*value);
                        self.nest.stored.push((id, *buffer));
                    }
                    for &reg in indices.iter().chain([value]) {
                        let id = self.id(reg);
                        self.nest.sinks.push(id);
                    }
                }
                Instruction::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let id = self.id(*condition);
                    self.nest.sinks.push(id);
                    self.code(then, false);
                    self.code(otherwise, false);
                }
            }
        }
    }
}

impl Nest {
    /// Whether it runs by columns, with the same lookups as before.
    pub(super) fn runs(&self, source: &Source) -> bool {
        lookups(source, self.root) == Some(self.extents.len())
    }
}

/// How many units of a root are lookup units, if it runs by columns and is not all row.
fn lookups(source: &Source, root: usize) -> Option<usize> {
    let unit = source.roots.get(root)?;
    let (units, flat) = (chain(unit)?, flat(source, unit)?);
    let inside = units.iter().skip(flat.units).try_fold(1i64, |n, unit| {
        let (Bound::Constant(begin), Bound::Constant(end)) = (unit.begin, unit.end) else {
            return None;
        };
        n.checked_mul(end.checked_sub(begin)?)
    });
    let all = usize::try_from(inside?).ok()? == flat.row;
    (all && flat.units > 0).then_some(flat.units)
}
