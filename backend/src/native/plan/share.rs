//! Values that several nests compute, computed once.
//!
//! Nests over the same lookups often need the same value of each: in message passing the score of an edge goes into the maximum
//! of its segment, into the sum of exponentials, and into the weights of rows. The first nest that computes it keeps it in a temporary, one element for each
//! lookup, in order; later nests read it there. A value that a nest stores for each lookup anyway is read where it is.
//!
//! # Law
//!
//! A nest may read a value where an earlier one kept it when
//!
//! * both have the same expression of it, made of positions, constants, arithmetic, and loads from buffers that no nest
//!   writes from the earlier one to the later one, both included;
//! * the units that its positions belong to, all units around rows, are the same: dense, from 0 on, of constant extents;
//! * the earlier nest does its loads for every lookup, under no guard. What it computes more than before is arithmetic, which never fails.
//!
//! A buffer that a nest stores a value into for every lookup, under no guard, and that nothing else writes, keeps it as a temporary does.
//! Then what is read is to the bit what would be computed, and whatever is outside of a buffer was found outside by the earlier nest.
//!
//! It is done where it pays, [`WORTH`], and where both nests run by columns before and after.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use hlo2dae_ir::core::{Arith, BinaryOp, Init, Role, ScalarType, Span, UnaryOp};
use hlo2dae_ir::dlc::Event;

use super::flat::{chain, flat};
use super::source::{Bound, BufferData, BufferNumber, Instruction, Op, Reg, Source, Unit};

/// What must be saved for each lookup, in operations on columns of floats, so that a value is kept: to keep it and to read it takes
/// about so many.
const WORTH: usize = 6;

/// The number of an expression; operands have smaller ones.
type Id = usize;

/// An expression; equal ones have one number.
#[derive(Clone, Debug, PartialEq)]
enum Expr {
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
struct Value {
    expr: Expr,
    ty: ScalarType,
    /// Extents of the units whose positions it takes, and of those around them.
    extents: Vec<i64>,
    /// Whether it takes what is loaded.
    loaded: bool,
    span: Span,
}

/// The values of all nests.
#[derive(Debug, Default)]
struct Values {
    values: Vec<Value>,
    /// Those with these operands.
    by_operands: HashMap<Vec<Id>, Vec<Id>>,
}

/// What a nest that runs by columns computes.
struct Nest {
    root: usize,
    /// Extents of its lookup units.
    extents: Vec<i64>,
    registers: HashMap<Reg, Id>,
    /// What is stored, where, and when; the bounds of units.
    sinks: Vec<Id>,
    /// Loads that are done for each lookup.
    always: HashSet<Id>,
    /// What it stores for each lookup, in order.
    stored: Vec<(Id, BufferNumber)>,
    /// What it reads where it was kept.
    kept: HashMap<Id, BufferNumber>,
}

/// Lets nests share what they compute.
pub(crate) fn share(source: &mut Source) {
    if source.roots.len() < 2 {
        return;
    }
    let mut values = Values::default();
    let mut versions = vec![0; source.buffers.len()];
    let mut nests: Vec<Nest> = Vec::new();
    let mut kept: HashMap<Id, BufferNumber> = HashMap::new();
    let mut all = Vec::new();
    source.roots.iter().for_each(|unit| stores(unit, &mut all));
    let once = |buffer: BufferNumber| all.iter().filter(|&&b| b == buffer).count() == 1;
    for root in 0..source.roots.len() {
        let mut written = Vec::new();
        if let Some(unit) = source.roots.get(root) {
            stores(unit, &mut written);
            written.sort_unstable();
            written.dedup();
        }
        let found = values.nest(source, root, &versions, &written);
        for buffer in written {
            if let Some(version) = versions.get_mut(buffer) {
                *version += 1;
            }
        }
        let Some(mut nest) = found else { continue };
        // What takes others comes first: they may not be needed any more.
        let candidates: Vec<Id> = values.needed(&nest).into_iter().rev().collect();
        for id in candidates {
            if !values.pays(&nest, id) {
                continue;
            }
            let shared = match kept.get(&id) {
                Some(&temporary) => {
                    let mut changed = source.clone();
                    read(&mut changed, &nest, id, temporary);
                    nest.runs(&changed).then_some((changed, temporary))
                }
                None => nests
                    .iter()
                    .find_map(|earlier| values.share(source, earlier, &nest, id)),
            };
            if let Some((changed, temporary)) = shared {
                *source = changed;
                kept.insert(id, temporary);
                nest.kept.insert(id, temporary);
            }
        }
        let stored = nest.stored.iter().filter(|(_, buffer)| once(*buffer));
        for &(id, buffer) in stored {
            kept.entry(id).or_insert(buffer);
        }
        nests.push(nest);
    }
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

    fn operands(&self, id: Id) -> Vec<Id> {
        match self.values.get(id).map(|value| &value.expr) {
            Some(Expr::Arith(arith)) => arith.operands().copied().collect(),
            Some(Expr::Load { indices, .. }) => indices.clone(),
            Some(Expr::Position(_) | Expr::Unique) | None => Vec::new(),
        }
    }

    /// Reads a root as a nest, if it runs by columns and its lookup units are dense.
    fn nest(
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
    fn cone(&self, of: &[Id], known: impl Fn(Id) -> bool) -> BTreeSet<Id> {
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
    fn needed(&self, nest: &Nest) -> BTreeSet<Id> {
        self.cone(&nest.sinks, |id| nest.kept.contains_key(&id))
    }

    /// Whether a nest would have less to do if it read this value.
    fn pays(&self, nest: &Nest, id: Id) -> bool {
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

    /// The program in which `earlier` keeps a value and `later` reads it, with the temporary; none if that may not be.
    fn share(
        &self,
        source: &Source,
        earlier: &Nest,
        later: &Nest,
        id: Id,
    ) -> Option<(Source, BufferNumber)> {
        let value = self.values.get(id)?;
        if earlier.extents != value.extents || !self.needed(earlier).contains(&id) {
            return None;
        }
        let cone = self.cone(&[id], |id| earlier.kept.contains_key(&id));
        let done = |id: &Id| match self.values.get(*id).map(|value| &value.expr) {
            Some(Expr::Position(_) | Expr::Arith(_)) => true,
            Some(Expr::Load { .. }) => earlier.always.contains(id) || earlier.kept.contains_key(id),
            Some(Expr::Unique) | None => earlier.kept.contains_key(id),
        };
        if !cone.iter().all(done) {
            return None;
        }
        let mut changed = source.clone();
        let temporary = temporary(&mut changed, &value.extents, value.ty)?;
        self.keep(&mut changed, earlier, &cone, id, temporary)?;
        read(&mut changed, later, id, temporary);
        (earlier.runs(&changed) && later.runs(&changed)).then_some((changed, temporary))
    }

    /// Computes a value once more at the end of what is done for each lookup, where the plan finds that it is there already, and stores it.
    fn keep(
        &self,
        source: &mut Source,
        nest: &Nest,
        cone: &BTreeSet<Id>,
        id: Id,
        temporary: BufferNumber,
    ) -> Option<()> {
        let positions = positions(source, nest);
        let mut registers: HashMap<Id, Reg> = HashMap::new();
        let mut code = Vec::new();
        for &id in cone {
            let value = self.values.get(id)?;
            let reg = |id: &Id| registers.get(id).copied();
            let op = match (&value.expr, nest.kept.get(&id)) {
                (_, Some(&buffer)) => Op::Load {
                    buffer,
                    indices: positions.clone(),
                },
                (Expr::Position(extents), None) => {
                    registers.insert(id, *positions.get(extents.len().checked_sub(1)?)?);
                    continue;
                }
                (Expr::Arith(arith), None) => {
                    Op::Arith(arith.try_map(|id| reg(id).ok_or(())).ok()?)
                }
                (
                    Expr::Load {
                        buffer,
                        version: _,
                        indices,
                    },
                    None,
                ) => Op::Load {
                    buffer: *buffer,
                    indices: indices.iter().map(reg).collect::<Option<_>>()?,
                },
                (Expr::Unique, None) => return None,
            };
            if let Op::Load { buffer, .. } = &op {
                *source.loads.get_mut(*buffer)? += 1;
            }
            source.types.push(value.ty);
            let new = source.types.len() - 1;
            registers.insert(id, new);
            code.push(Instruction::Let(new, op, value.span));
        }
        code.push(Instruction::Store {
            buffer: temporary,
            indices: positions,
            value: registers.get(&id).copied()?,
            span: self.values.get(id)?.span,
        });
        let innermost = nest.extents.len().checked_sub(1)?;
        let [_, each, _] = &mut unit_at(source.roots.get_mut(nest.root)?, innermost)?.on;
        each.extend(code);
        Some(())
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
    fn runs(&self, source: &Source) -> bool {
        lookups(source, self.root) == Some(self.extents.len())
    }
}

/// How many units of a root are lookup units, if it runs by columns and is not all row.
fn lookups(source: &Source, root: usize) -> Option<usize> {
    let unit = source.roots.get(root)?;
    let (units, flat) = (chain(unit)?, flat(source, unit)?);
    let levels = flat.levels.len();
    let inside = units.iter().skip(levels).try_fold(1i64, |n, unit| {
        let (Bound::Constant(begin), Bound::Constant(end)) = (unit.begin, unit.end) else {
            return None;
        };
        n.checked_mul(end.checked_sub(begin)?)
    });
    (usize::try_from(inside?).ok()? == flat.row).then_some(levels)
}

/// A new temporary of such extents; none if all of the program's buffers are less than it.
fn temporary(source: &mut Source, extents: &[i64], ty: ScalarType) -> Option<BufferNumber> {
    let ScalarType::Element(element) = ty else {
        return None;
    };
    let mut strides = vec![1i64; extents.len()];
    let mut elements = 1i64;
    for (stride, &extent) in strides.iter_mut().zip(extents).rev() {
        *stride = elements;
        elements = elements.checked_mul(extent)?;
    }
    let bytes = usize::try_from(elements)
        .ok()?
        .checked_mul(element.bytes())?;
    let all = source.buffers.iter().map(|buffer| buffer.bytes);
    if bytes > all.fold(0, usize::saturating_add) {
        return None;
    }
    let name = (0..).map(|n| format!("kept_{n}"));
    let name = name
        .into_iter()
        .find(|name| source.buffers.iter().all(|b| b.name != *name))?;
    source.buffers.push(BufferData {
        name,
        element,
        dims: extents.to_vec(),
        strides,
        bytes,
        role: Role::Temp(Init::Undefined),
    });
    source.loads.push(0);
    Some(source.buffers.len() - 1)
}

/// A value of a nest becomes what a temporary holds.
fn read(source: &mut Source, nest: &Nest, id: Id, temporary: BufferNumber) {
    let positions = positions(source, nest);
    let load = Op::Load {
        buffer: temporary,
        indices: positions,
    };
    let mut loads = 0;
    let mut replace = |reg: Reg, op: &mut Op| {
        if nest.registers.get(&reg) == Some(&id) {
            *op = load.clone();
            loads += 1;
        }
    };
    let mut next = source.roots.get_mut(nest.root);
    while let Some(unit) = next {
        for (reg, op, _) in &mut unit.streams {
            replace(*reg, op);
        }
        for code in &mut unit.on {
            definitions(code, &mut replace);
        }
        next = unit.children.first_mut();
    }
    if let Some(count) = source.loads.get_mut(temporary) {
        *count += loads;
    }
}

/// Calls `f` for whatever code defines. Recursion is as deep as `if`s nest, which the verifier bounds.
fn definitions(code: &mut [Instruction], f: &mut impl FnMut(Reg, &mut Op)) {
    for instruction in code {
        match instruction {
            Instruction::Let(reg, op, _) => f(*reg, op),
            Instruction::Store { .. } => {}
            Instruction::If {
                condition: _,
                then,
                otherwise,
            } => {
                definitions(then, f);
                definitions(otherwise, f);
            }
        }
    }
}

/// The registers of the positions of a nest's lookup units.
fn positions(source: &mut Source, nest: &Nest) -> Vec<Reg> {
    let mut registers = Vec::new();
    let Source { roots, types, .. } = source;
    let mut next = roots.get_mut(nest.root);
    for _ in &nest.extents {
        let Some(unit) = next else { break };
        let known = unit
            .streams
            .iter()
            .find(|(_, op, _)| matches!(op, Op::Position));
        registers.push(match known {
            Some((reg, ..)) => *reg,
            None => {
                types.push(ScalarType::Index);
                let stream = (types.len() - 1, Op::Position, Span::default());
                unit.streams.insert(0, stream);
                types.len() - 1
            }
        });
        next = unit.children.first_mut();
    }
    registers
}

/// The unit so deep inside of another, in a chain.
fn unit_at(mut unit: &mut Unit, depth: usize) -> Option<&mut Unit> {
    for _ in 0..depth {
        unit = unit.children.first_mut()?;
    }
    Some(unit)
}

/// The buffers that a unit and what is inside of it write, once for each store. Recursion is as deep as units nest, which the verifier bounds.
fn stores(unit: &Unit, written: &mut Vec<BufferNumber>) {
    for event in Event::ALL {
        super::flat::stores(unit.on(event), written);
    }
    for child in &unit.children {
        stores(child, written);
    }
}
