//! Whether a loop may become one of lanes, and what then is a vector.

use cranelift_entity::SecondaryMap;
use hashbrown::{HashMap, HashSet};

use crate::core::{Access, Arith, BinaryOp, BufferId, Code, CombineOp, Compute, Type, Value};
use crate::slc::{Effect, Expr, Func, Loop, Statement, Step, Stream, StreamExpr};

/// A loop that may.
pub(super) struct Legal {
    /// The streams that depend on the position, itself included.
    pub streams: SecondaryMap<Stream, bool>,
    /// The values that depend on the position.
    pub values: SecondaryMap<Value, bool>,
    /// The values that are the position.
    pub positions: HashSet<Value>,
    /// What combines the lanes into one element, by its result.
    pub reductions: HashMap<Value, Reduction>,
}

/// `%result = op %old, %term`, over all lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reduction {
    pub op: CombineOp,
    pub old: Value,
    pub term: Value,
}

impl Legal {
    pub(super) fn new(inner: &Loop, func: &Func) -> Option<Legal> {
        if inner.lanes.is_some() || inner.positions().is_some_and(|positions| positions < 2) {
            return None;
        }
        let mut streams = SecondaryMap::new();
        streams[inner.induction] = true;
        for def in &inner.body.streams {
            match &def.expr {
                StreamExpr::Mem { access, .. } if access.lanes.is_some() => return None,
                StreamExpr::Row(_, _)
                | StreamExpr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. }) => {
                    return None;
                }
                StreamExpr::Mem { .. } | StreamExpr::Compute(Compute::Arith(_)) => {}
            }
            let operands = def.expr.operands();
            let scalar = |s: &Stream| {
                let data = func.streams.get(*s);
                matches!(data.map(|data| data.ty), Some(Type::Scalar(_)))
            };
            if !operands.iter().all(|s| scalar(s)) {
                return None;
            }
            streams[def.stream] = operands.iter().any(|s| streams[**s]);
        }
        effects(inner, &streams)?;
        let mut legal = Legal {
            streams,
            values: SecondaryMap::new(),
            positions: HashSet::new(),
            reductions: HashMap::new(),
        };
        match inner.body.steps.as_slice() {
            [] if inner.body.effects.is_empty() => return None,
            [] => {}
            [Step::Callback(callback)] => legal.code(&callback.code, inner)?,
            _ => return None,
        }
        Some(legal)
    }

    fn code(&mut self, code: &Code<Stream>, inner: &Loop) -> Option<()> {
        if !code
            .values
            .values()
            .all(|data| matches!(data.ty, Type::Scalar(_)))
        {
            return None;
        }
        let accesses = Accesses::new(code)?;
        for (value, &stream) in code.takes() {
            self.values[value] = self.streams[stream];
            if stream == inner.induction {
                self.positions.insert(value);
            }
        }
        // A buffer is combined into if it is not accessed at the position.
        for &buffer in &accesses.stored {
            if accesses.at_position(buffer, &self.positions) {
                continue;
            }
            let (result, reduction) = accesses.reduction(buffer, code)?;
            self.reductions.insert(result, reduction);
        }
        self.block(&code.body, false)?;
        // The place of what is combined into is one place.
        for &buffer in &accesses.stored {
            if accesses.at_position(buffer, &self.positions) {
                continue;
            }
            let mut indices = accesses.of(buffer).flat_map(|a| &a.access.indices);
            if indices.any(|&index| self.values[index]) {
                return None;
            }
        }
        Some(())
    }

    /// What depends on the position; `masked` inside a condition that does.
    fn block(&mut self, block: &[Statement], masked: bool) -> Option<()> {
        for statement in block {
            match statement {
                Statement::Let(value, expr) => {
                    let varies = match expr {
                        Expr::Take(_) => continue,
                        Expr::Compute(Compute::Arith(arith)) => {
                            if let Some(reduction) = self.reductions.get(value) {
                                // Nobody but the store sees the result.
                                if masked || self.values[reduction.old] {
                                    return None;
                                }
                                false
                            } else {
                                arith.operands().any(|&v| self.values[v])
                            }
                        }
                        Expr::Load(access) => {
                            // Lanes that are not active must not read.
                            if masked && access.indices.is_empty() {
                                return None;
                            }
                            masked || access.indices.iter().any(|&v| self.values[v])
                        }
                        Expr::Compute(Compute::Broadcast { .. } | Compute::Lanes { .. })
                        | Expr::Element { .. }
                        | Expr::Reduce { .. } => return None,
                    };
                    self.values[*value] = varies;
                }
                Statement::Store { access, .. } => {
                    let at_position = access.indices.iter().any(|v| self.positions.contains(v));
                    if masked && !at_position {
                        return None;
                    }
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                    ..
                } => {
                    let masked = masked || self.values[*condition];
                    self.block(then, masked)?;
                    self.block(otherwise, masked)?;
                }
                Statement::For(_) => return None,
            }
        }
        Some(())
    }
}

/// The access unit's own stores: one for each buffer, so that lanes keep the order of positions.
fn effects(inner: &Loop, streams: &SecondaryMap<Stream, bool>) -> Option<()> {
    let mut stored = HashSet::new();
    for effect in &inner.body.effects {
        match effect {
            Effect::ToBuffer { .. } => return None,
            Effect::Store { access, .. } => {
                let varies = access.indices.iter().any(|s| streams[*s]);
                if access.lanes.is_some() || !varies || !stored.insert(access.buffer) {
                    return None;
                }
            }
        }
    }
    Some(())
}

/// One access of a code.
struct Place<'c> {
    access: &'c Access<Value>,
    /// What a load gives; what a store stores.
    value: Value,
    store: bool,
    /// The block that it stands in, and its place in the order of the text.
    block: usize,
    order: usize,
}

/// All accesses of a code.
struct Accesses<'c> {
    places: Vec<Place<'c>>,
    stored: Vec<BufferId>,
    uses: HashMap<Value, usize>,
    /// Block and place of each definition.
    defined: HashMap<Value, (usize, usize)>,
}

impl<'c> Accesses<'c> {
    /// `None` if there are vectors among them already.
    fn new(code: &'c Code<Stream>) -> Option<Accesses<'c>> {
        let mut accesses = Accesses {
            places: Vec::new(),
            stored: Vec::new(),
            uses: HashMap::new(),
            defined: HashMap::new(),
        };
        let mut left: Vec<(usize, &'c [Statement])> = vec![(0, &code.body)];
        let (mut blocks, mut order) = (0, 0);
        while let Some((block, statements)) = left.pop() {
            for statement in statements {
                order += 1;
                for value in statement.operands() {
                    *accesses.uses.entry(value).or_default() += 1;
                }
                let mut place = |access: &'c Access<Value>, value, store| {
                    accesses.places.push(Place {
                        access,
                        value,
                        store,
                        block,
                        order,
                    });
                    access.lanes.is_none()
                };
                let scalar = match statement {
                    Statement::Let(value, expr) => {
                        accesses.defined.insert(*value, (block, order));
                        match expr {
                            Expr::Load(access) => place(access, *value, false),
                            Expr::Take(_)
                            | Expr::Compute(_)
                            | Expr::Element { .. }
                            | Expr::Reduce { .. } => true,
                        }
                    }
                    Statement::Store { value, access, .. } => {
                        let scalar = place(access, *value, true);
                        if !accesses.stored.contains(&access.buffer) {
                            accesses.stored.push(access.buffer);
                        }
                        scalar
                    }
                    Statement::If { .. } | Statement::For(_) => true,
                };
                if !scalar {
                    return None;
                }
                for inner in statement.blocks() {
                    blocks += 1;
                    left.push((blocks, inner));
                }
            }
        }
        Some(accesses)
    }

    fn of(&self, buffer: BufferId) -> impl Iterator<Item = &Place<'c>> {
        self.places
            .iter()
            .filter(move |place| place.access.buffer == buffer)
    }

    /// Whether all accesses have the position as the same index.
    fn at_position(&self, buffer: BufferId, positions: &HashSet<Value>) -> bool {
        let rank = self
            .of(buffer)
            .map(|place| place.access.indices.len())
            .min();
        (0..rank.unwrap_or(0)).any(|dimension| {
            self.of(buffer).all(|place| {
                let index = place.access.indices.get(dimension);
                index.is_some_and(|index| positions.contains(index))
            })
        })
    }

    /// What combines into the one element of a buffer that is accessed.
    fn reduction(&self, buffer: BufferId, code: &Code<Stream>) -> Option<(Value, Reduction)> {
        let places: Vec<&Place<'_>> = self.of(buffer).collect();
        let (load, store) = match places.as_slice() {
            [a, b] if !a.store && b.store => (a, b),
            [a, b] if a.store && !b.store => (b, a),
            _ => return None,
        };
        let (old, result) = (load.value, store.value);
        let &(block, order) = self.defined.get(&result)?;
        let in_order = load.block == block
            && store.block == block
            && load.order < order
            && order < store.order;
        let alone = self.uses.get(&old) == Some(&1) && self.uses.get(&result) == Some(&1);
        if !in_order || !alone || load.access.indices != store.access.indices {
            return None;
        }
        let expr = code.statements().find_map(|statement| match statement {
            Statement::Let(value, expr) if *value == result => Some(expr),
            _ => None,
        });
        let Some(Expr::Compute(Compute::Arith(Arith::Binary(op, a, b)))) = expr else {
            return None;
        };
        let op = match op {
            BinaryOp::Add => CombineOp::Add,
            BinaryOp::Mul => CombineOp::Mul,
            BinaryOp::Min => CombineOp::Min,
            BinaryOp::Max => CombineOp::Max,
            BinaryOp::And => CombineOp::And,
            BinaryOp::Or => CombineOp::Or,
            BinaryOp::Xor => CombineOp::Xor,
            BinaryOp::Sub
            | BinaryOp::Div
            | BinaryOp::Rem
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::Shl
            | BinaryOp::ShrArithmetic
            | BinaryOp::ShrLogical => return None,
        };
        // Of two NaNs the first one stays, so for floats the order of the operands counts.
        let float = code.values.get(result)?.ty.scalar().is_float();
        let term = match (old == *a, old == *b) {
            (true, false) => *b,
            (false, true) if !float => *a,
            _ => return None,
        };
        Some((result, Reduction { op, old, term }))
    }
}
