//! Which unit runs what of an SCF program.
//!
//! The access unit runs ahead of the execute unit, so it never reads memory that the program writes.
//!
//! * A value is **streamable** if it is a loop position, a `load` from an input at streamable indices, or
//!   arithmetic on streamable values. A load inside a guard is not: ahead of the guard its
//!   indices may lie outside the buffer. (Arithmetic always has a result.)
//! * **All loops** run on the access unit; their bounds must be streamable. So does a guard
//!   around a loop, as a loop of one position or none; its condition must be streamable. Other guards are code.
//! * The access unit also does all streamable **loads**, the **address arithmetic**, which is
//!   streamable arithmetic on integers, `index` and `bool` from which the condition of a guard or `select`, or an
//!   index of any load or store is computed, and whatever its own addresses and bounds need, floats
//!   included. Everything else is computed where it is used, by the execute unit.
//! * Code between two loops is one [`Code`], the work of one callback. Values that depend on written memory have
//!   their place in it. A streamable value has none: each code that uses it computes it, or takes it from a stream.
//!   Constants have no place either; each unit makes them for itself.
//! * What nothing is stored from, and loops that store nothing, are dead.

use cranelift_entity::{EntitySet, SecondaryMap};

use super::obstacle::{Because, Obstacle, Obstacles};
use crate::core::{Arith, Role, Scalar, Span};
use crate::scf::{Block, Bound, Expr, Func, Statement, Value};
use crate::slc::MAX_DEPTH;

/// Who makes a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Nobody needs it.
    #[default]
    Dead,
    /// The access unit: a stream of the iteration that holds it.
    Stream,
    /// The execute unit, from streams and constants, in each code that needs it.
    Anywhere,
    /// The execute unit, in the code that holds it.
    Code,
}

/// What one iteration does; of guards around loops too.
#[derive(Clone, Debug, Default)]
pub struct Iteration<'a> {
    /// The streams that advance, in order, but for constants.
    pub streams: Vec<(Value, &'a Expr)>,
    /// What happens, in order; no two [`Code`]s stand side by side.
    pub steps: Vec<Piece<'a>>,
}

/// A step of an iteration.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// A loop.
    Loop {
        /// Its position.
        position: Value,
        /// First position.
        begin: Bound,
        /// No position reaches it.
        end: Bound,
        /// From one position to the next.
        step: i64,
        /// What is done at each.
        body: Iteration<'a>,
    },
    /// A branch of a guard around a loop.
    Branch {
        /// The condition.
        condition: Value,
        /// Which branch it is.
        holds: bool,
        /// Where the guard is.
        span: Span,
        /// What is done in the branch.
        body: Iteration<'a>,
    },
    /// Work of the execute unit.
    Code(Code<'a>),
}

/// Work of the execute unit between two loops.
#[derive(Clone, Debug, Default)]
pub struct Code<'a> {
    /// Statements that have an effect or define a value whose placement is [`Placement::Code`].
    pub statements: Vec<&'a Statement>,
}

/// The result.
#[derive(Clone, Debug)]
pub struct Decoupling<'a> {
    /// The program.
    pub func: &'a Func,
    /// What the program does.
    pub body: Iteration<'a>,
    /// Who makes each value.
    pub placement: SecondaryMap<Value, Placement>,
    /// What each value but the loops' positions is.
    pub definitions: SecondaryMap<Value, Option<&'a Expr>>,
    /// Blocks in which something is stored.
    pub live: EntitySet<Block>,
}

impl<'a> Decoupling<'a> {
    /// Decides for a valid program.
    pub(crate) fn new(func: &'a Func) -> Result<Self, Obstacles> {
        let (live, loops) =
            reachable(func).map_err(|span| Obstacles(vec![Obstacle::Depth { span }]))?;
        let mut choice = Choice {
            func,
            live,
            loops,
            definitions: SecondaryMap::new(),
            streamable: EntitySet::new(),
            integral: EntitySet::new(),
            guarded: EntitySet::new(),
            needs: Vec::new(),
            obstacles: Vec::new(),
        };
        choice.visit(func.body, false);
        if !choice.obstacles.is_empty() {
            return Err(Obstacles(choice.obstacles));
        }
        let placement = choice.placement();
        let mut body = Iteration::default();
        choice.split(func.body, &placement, &mut body);
        Ok(Decoupling {
            func,
            body,
            placement,
            definitions: choice.definitions,
            live: choice.live,
        })
    }

    /// The statements of a guarded block that are code.
    pub fn live_statements(&self, block: Block) -> impl Iterator<Item = &'a Statement> {
        let statements = self.func.blocks[block].iter();
        statements.filter(|statement| match statement {
            Statement::Let(value, _) => self.placement[*value] == Placement::Code,
            Statement::Store { .. } => true,
            Statement::If {
                on_true, on_false, ..
            } => self.live.contains(*on_true) || on_false.is_some_and(|b| self.live.contains(b)),
            Statement::For { .. } => false,
        })
    }

    /// The value, if it is a constant.
    pub fn constant(&self, value: Value) -> Option<Scalar> {
        match self.definitions[value] {
            Some(Expr::Arith(Arith::Constant(scalar))) => Some(*scalar),
            Some(Expr::Arith(_) | Expr::Load { .. }) | None => None,
        }
    }
}

/// The blocks in which something is stored, and those with a loop around a store; or a place that
/// is too deep.
fn reachable(func: &Func) -> Result<(EntitySet<Block>, EntitySet<Block>), Span> {
    let mut order = vec![(func.body, 0)];
    let mut next = 0;
    while let Some(&(block, depth)) = order.get(next) {
        next += 1;
        for statement in &func.blocks[block] {
            let (span, inner) = match statement {
                Statement::For { position, body, .. } => {
                    (func.values[*position].span, [Some(*body), None])
                }
                Statement::If {
                    on_true,
                    on_false,
                    span,
                    ..
                } => (*span, [Some(*on_true), *on_false]),
                Statement::Let(..) | Statement::Store { .. } => continue,
            };
            if depth == MAX_DEPTH {
                return Err(span);
            }
            order.extend(inner.into_iter().flatten().map(|block| (block, depth + 1)));
        }
    }
    let (mut live, mut loops) = (EntitySet::new(), EntitySet::new());
    // Inner blocks come after those that hold them.
    for &(block, _) in order.iter().rev() {
        for statement in &func.blocks[block] {
            let (stores, repeats) = match statement {
                Statement::Let(..) => (false, false),
                Statement::Store { .. } => (true, false),
                Statement::For { body, .. } => (live.contains(*body), live.contains(*body)),
                Statement::If {
                    on_true, on_false, ..
                } => {
                    let any = |set: &EntitySet<Block>| {
                        set.contains(*on_true) || on_false.is_some_and(|b| set.contains(b))
                    };
                    (any(&live), any(&loops))
                }
            };
            if stores {
                live.insert(block);
            }
            if repeats {
                loops.insert(block);
            }
        }
    }
    Ok((live, loops))
}

/// What a value is needed for.
#[derive(Clone, Copy)]
enum Need {
    /// Anything.
    Use,
    /// An index or a condition of the execute unit.
    Address,
    /// The access unit.
    Access,
}

struct Choice<'a> {
    func: &'a Func,
    live: EntitySet<Block>,
    loops: EntitySet<Block>,
    definitions: SecondaryMap<Value, Option<&'a Expr>>,
    streamable: EntitySet<Value>,
    /// Streamable without any arithmetic on floats.
    integral: EntitySet<Value>,
    /// Loads in guards that are code.
    guarded: EntitySet<Value>,
    needs: Vec<(Value, Need)>,
    obstacles: Vec<Obstacle>,
}

impl<'a> Choice<'a> {
    /// Whether the guard has a loop inside.
    fn is_branch(&self, on_true: Block, on_false: Option<Block>) -> bool {
        self.loops.contains(on_true) || on_false.is_some_and(|block| self.loops.contains(block))
    }

    /// Finds what is streamable and what is needed.
    fn visit(&mut self, block: Block, guarded: bool) {
        for statement in &self.func.blocks[block] {
            match statement {
                Statement::Let(value, expr) => self.define(*value, expr, guarded),
                Statement::Store {
                    value,
                    indices,
                    buffer: _,
                    span: _,
                } => {
                    self.needs.push((*value, Need::Use));
                    self.needs
                        .extend(indices.iter().map(|&i| (i, Need::Address)));
                }
                Statement::For {
                    position,
                    begin,
                    end,
                    step: _,
                    body,
                } => {
                    if !self.live.contains(*body) {
                        continue;
                    }
                    for bound in [begin, end] {
                        if let Bound::Value(bound) = *bound {
                            self.needs.push((bound, Need::Access));
                            if let Some((load, because)) = self.obstacle(bound) {
                                let position = &self.func.values[*position];
                                self.obstacles.push(Obstacle::Bound {
                                    position: position.name.clone(),
                                    span: position.span,
                                    load,
                                    because,
                                });
                            }
                        }
                    }
                    self.streamable.insert(*position);
                    self.integral.insert(*position);
                    self.visit(*body, false);
                }
                Statement::If {
                    condition,
                    on_true,
                    on_false,
                    span,
                } => {
                    let blocks = [Some(*on_true), *on_false];
                    let mut live = blocks.into_iter().flatten();
                    if !live.any(|block| self.live.contains(block)) {
                        continue;
                    }
                    let branch = self.is_branch(*on_true, *on_false);
                    if branch {
                        self.needs.push((*condition, Need::Access));
                        if let Some((load, because)) = self.obstacle(*condition) {
                            self.obstacles.push(Obstacle::Condition {
                                span: *span,
                                load,
                                because,
                            });
                        }
                    } else {
                        self.needs.push((*condition, Need::Address));
                    }
                    for block in blocks.into_iter().flatten() {
                        self.visit(block, !branch);
                    }
                }
            }
        }
    }

    fn define(&mut self, value: Value, expr: &'a Expr, guarded: bool) {
        self.definitions[value] = Some(expr);
        let integral = !self.func.values[value].ty.is_float();
        let (streamable, integral) = match expr {
            Expr::Arith(arith) => (
                arith.operands().all(|&v| self.streamable.contains(v)),
                integral && arith.operands().all(|&v| self.integral.contains(v)),
            ),
            Expr::Load { buffer, indices } => {
                if guarded {
                    self.guarded.insert(value);
                }
                let input = self.func.buffers[*buffer].role == Role::Input;
                let inside = indices.iter().all(|&v| self.streamable.contains(v));
                (input && inside && !guarded, integral)
            }
        };
        if streamable {
            self.streamable.insert(value);
            if integral {
                self.integral.insert(value);
            }
        }
    }

    /// The load because of which a value is not streamable.
    fn obstacle(&self, mut value: Value) -> Option<(Span, Because)> {
        loop {
            if self.streamable.contains(value) {
                return None;
            }
            let mut from = match self.definitions[value]? {
                Expr::Arith(arith) => arith.operands().copied().collect::<Vec<_>>(),
                Expr::Load { buffer, indices } => {
                    let buffer = &self.func.buffers[*buffer];
                    let span = self.func.values[value].span;
                    if buffer.role != Role::Input {
                        return Some((span, Because::Written(buffer.name.clone())));
                    }
                    if self.guarded.contains(value) {
                        return Some((span, Because::Guarded));
                    }
                    indices.clone()
                }
            };
            from.retain(|&v| !self.streamable.contains(v));
            value = *from.first()?;
        }
    }

    /// Who makes each value, from what it is needed for.
    fn placement(&mut self) -> SecondaryMap<Value, Placement> {
        let (mut used, mut addresses, mut access) =
            (EntitySet::new(), EntitySet::new(), EntitySet::new());
        let mut needs = std::mem::take(&mut self.needs);
        while let Some((value, need)) = needs.pop() {
            let set = match need {
                Need::Use => &mut used,
                Need::Address => &mut addresses,
                Need::Access => &mut access,
            };
            if !set.insert(value) {
                continue;
            }
            let definition = self.definitions[value];
            let streamable = self.streamable.contains(value);
            match (need, definition) {
                (Need::Use, Some(Expr::Load { indices, .. })) if !streamable => {
                    needs.extend(indices.iter().map(|&v| (v, Need::Address)));
                }
                (Need::Use, Some(Expr::Load { .. }) | None) => needs.push((value, Need::Access)),
                (Need::Use, Some(Expr::Arith(Arith::Select(condition, on_true, on_false)))) => {
                    needs.push((*condition, Need::Address));
                    needs.extend([(*on_true, Need::Use), (*on_false, Need::Use)]);
                }
                (Need::Use, Some(Expr::Arith(arith))) => {
                    needs.extend(arith.operands().map(|&v| (v, Need::Use)));
                }
                (Need::Address, definition) => {
                    needs.push((value, Need::Use));
                    match definition {
                        Some(expr) if is_constant(expr) => {}
                        _ if self.integral.contains(value) => needs.push((value, Need::Access)),
                        Some(Expr::Arith(arith)) => {
                            needs.extend(arith.operands().map(|&v| (v, Need::Address)));
                        }
                        Some(Expr::Load { .. }) | None => {}
                    }
                }
                (Need::Access, Some(Expr::Arith(arith))) => {
                    needs.extend(arith.operands().map(|&v| (v, Need::Access)));
                }
                (Need::Access, Some(Expr::Load { indices, .. })) => {
                    needs.extend(indices.iter().map(|&v| (v, Need::Access)));
                }
                (Need::Access, None) => {}
            }
        }
        let mut placement = SecondaryMap::new();
        for value in self.func.values.keys() {
            placement[value] = if access.contains(value) {
                Placement::Stream
            } else if !used.contains(value) {
                Placement::Dead
            } else if self.streamable.contains(value) {
                Placement::Anywhere
            } else {
                Placement::Code
            };
        }
        placement
    }

    /// Appends what a block does to an iteration.
    fn split(
        &self,
        block: Block,
        placement: &SecondaryMap<Value, Placement>,
        into: &mut Iteration<'a>,
    ) {
        for statement in &self.func.blocks[block] {
            let piece = match statement {
                Statement::Let(value, expr) => {
                    match placement[*value] {
                        Placement::Stream if is_constant(expr) => {}
                        Placement::Stream => into.streams.push((*value, expr)),
                        Placement::Code => push_code(into, statement),
                        Placement::Dead | Placement::Anywhere => {}
                    }
                    continue;
                }
                Statement::Store { .. } => {
                    push_code(into, statement);
                    continue;
                }
                Statement::For {
                    position,
                    begin,
                    end,
                    step,
                    body,
                } => {
                    if !self.live.contains(*body) {
                        continue;
                    }
                    Piece::Loop {
                        position: *position,
                        begin: *begin,
                        end: *end,
                        step: *step,
                        body: self.iteration(*body, placement),
                    }
                }
                Statement::If {
                    condition,
                    on_true,
                    on_false,
                    span,
                } => {
                    let branches = [(true, Some(*on_true)), (false, *on_false)];
                    let branches = branches
                        .into_iter()
                        .filter_map(|(holds, block)| Some((holds, block?)))
                        .filter(|(_, block)| self.live.contains(*block));
                    if self.is_branch(*on_true, *on_false) {
                        for (holds, block) in branches {
                            into.steps.push(Piece::Branch {
                                condition: *condition,
                                holds,
                                span: *span,
                                body: self.iteration(block, placement),
                            });
                        }
                    } else {
                        let mut live = false;
                        for (_, block) in branches {
                            live = true;
                            self.hoist(block, placement, into);
                        }
                        if live {
                            push_code(into, statement);
                        }
                    }
                    continue;
                }
            };
            into.steps.push(piece);
        }
    }

    fn iteration(&self, block: Block, placement: &SecondaryMap<Value, Placement>) -> Iteration<'a> {
        let mut iteration = Iteration::default();
        self.split(block, placement, &mut iteration);
        iteration
    }

    /// The streams in guarded code advance with the iteration around it.
    fn hoist(
        &self,
        block: Block,
        placement: &SecondaryMap<Value, Placement>,
        into: &mut Iteration<'a>,
    ) {
        for statement in &self.func.blocks[block] {
            match statement {
                Statement::Let(value, expr) => {
                    if placement[*value] == Placement::Stream && !is_constant(expr) {
                        into.streams.push((*value, expr));
                    }
                }
                Statement::If {
                    on_true, on_false, ..
                } => {
                    for block in [Some(*on_true), *on_false].into_iter().flatten() {
                        self.hoist(block, placement, into);
                    }
                }
                Statement::Store { .. } | Statement::For { .. } => {}
            }
        }
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Arith(Arith::Constant(_)))
}

fn push_code<'a>(into: &mut Iteration<'a>, statement: &'a Statement) {
    match into.steps.last_mut() {
        Some(Piece::Code(code)) => code.statements.push(statement),
        Some(Piece::Loop { .. } | Piece::Branch { .. }) | None => {
            into.steps.push(Piece::Code(Code {
                statements: vec![statement],
            }));
        }
    }
}
