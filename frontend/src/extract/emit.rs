//! Emission: groups of tasks as buffers, nests and statements.

use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;

use hlo2dae_ir::core::{
    Arith, BinaryOp, Buffer, BufferId, ElementType, Init, Role, Scalar, ScalarType, Span,
};
use hlo2dae_ir::region::{Expr as RegionExpr, Extent, Nest, Region, Statement, Value, ValueData};

use super::group::Group;
use super::task::{Target, Task, is_marked};
use super::{Extracted, Plan, computed_here, constant_of, updated};
use crate::compose::{Composer, Refusal};
use crate::graph::{Graph, NodeId};
use crate::index_map::{self, Axis, Expr, ExprId};
use crate::names::Names;
use crate::op_maps::{Map, NoMap, buffer_shape};

pub(super) struct Emitter<'e, 'a, 'm> {
    composer: &'e Composer<'a, 'm>,
    plan: &'e Plan,
    region: Region,
    names: Names,
    inputs: Vec<NodeId>,
    buffers: HashMap<Target, BufferId>,
}

impl<'e, 'a, 'm> Emitter<'e, 'a, 'm> {
    /// Nothing emitted yet.
    pub(super) fn new(composer: &'e Composer<'a, 'm>, plan: &'e Plan, name: &str) -> Self {
        Emitter {
            composer,
            plan,
            region: Region {
                name: name.to_owned(),
                buffers: Default::default(),
                nests: Vec::new(),
            },
            names: Names::default(),
            inputs: Vec::new(),
            buffers: HashMap::new(),
        }
    }

    pub(super) fn region(
        mut self,
        stored: &BTreeSet<NodeId>,
        groups: Vec<Group>,
    ) -> Result<Extracted, Refusal> {
        let arena = &self.composer.arena;
        // Inputs, in the order of their first use.
        let tasks: Vec<_> = groups.iter().flat_map(|g| &g.tasks).collect();
        let roots: Vec<_> = tasks.iter().flat_map(|t| t.roots()).collect();
        let mut read = Vec::new();
        arena.postorder(&roots, |id| {
            if let Expr::Read(r) = arena.expr(id)
                && !stored.contains(&r.node)
                && !read.contains(&r.node)
            {
                read.push(r.node);
            }
        });
        let sorted: HashSet<NodeId> = tasks
            .iter()
            .filter_map(|t| self.sorted_segments(t))
            .collect();
        for node in read {
            self.input(node, sorted.contains(&node))?;
        }
        let mut outputs = Vec::new();
        for &node in stored {
            let init = self.init(node, stored)?;
            let is_output = self.plan.outputs.contains(&node);
            if is_output {
                outputs.push(node);
            }
            let is_wide = tasks.iter().any(|t| t.target == Target::Wide(node));
            let own = if is_wide {
                Init::Undefined
            } else {
                init.clone()
            };
            let role = if is_output {
                Role::Output(own)
            } else {
                Role::Temp(own)
            };
            self.buffer(Target::Node(node), role, false)?;
            if is_wide {
                self.buffer(Target::Wide(node), Role::Temp(widened(init)), false)?;
            }
        }
        for group in groups {
            let nest = self.nest(&group)?;
            self.region.nests.push(nest);
        }
        let combines = self
            .buffers
            .iter()
            .filter_map(|(&target, &buffer)| {
                let (Target::Node(node) | Target::Wide(node)) = target;
                self.plan.combines.contains(&node).then_some((node, buffer))
            })
            .collect();
        Ok(Extracted {
            region: self.region,
            inputs: self.inputs,
            outputs,
            combines,
        })
    }

    fn input(&mut self, node: NodeId, sorted: bool) -> Result<BufferId, Refusal> {
        let buffer = self.buffer(Target::Node(node), Role::Input, sorted)?;
        self.inputs.push(node);
        Ok(buffer)
    }

    fn buffer(&mut self, target: Target, role: Role, sorted: bool) -> Result<BufferId, Refusal> {
        if let Some(&buffer) = self.buffers.get(&target) {
            return Ok(buffer);
        }
        let (Target::Node(node) | Target::Wide(node)) = target;
        let graph = self.composer.graph;
        let (element, dims) = buffer_shape(graph, node).map_err(|why| Refusal { node, why })?;
        let wanted = &graph.instruction(node).name;
        let (wanted, element) = match target {
            Target::Node(_) => (wanted.to_string(), element),
            Target::Wide(_) => (format!("wide_{wanted}"), ElementType::F32),
        };
        let buffer = self.region.buffers.push(Buffer {
            name: self.names.fresh(&wanted),
            element,
            dims: dims.iter().map(|&n| n as u64).collect(),
            role,
            sorted,
            span: span(graph, node),
        });
        self.buffers.insert(target, buffer);
        Ok(buffer)
    }

    /// What a stored node's buffer holds before the first step.
    fn init(&mut self, node: NodeId, stored: &BTreeSet<NodeId>) -> Result<Init, Refusal> {
        let graph = self.composer.graph;
        if !self.plan.combines.contains(&node) {
            return Ok(Init::Undefined);
        }
        let (element, _) = buffer_shape(graph, node).map_err(|why| Refusal { node, why })?;
        let operand = match self.composer.maps.get(node) {
            Ok(Map::Dot(_) | Map::SparseDense) => {
                return Ok(Init::Splat(Scalar::zero(ScalarType::Element(element))));
            }
            Ok(Map::Reduce(..)) => graph.nodes[node].operands[1],
            Ok(Map::Binary(_)) => {
                let (array, _) = updated(graph, self.composer.maps, self.plan, node)?;
                graph.nodes[node].operands[array]
            }
            _ => graph.nodes[node].operands[0],
        };
        if let Some(scalar) = constant_of(graph, self.composer.maps, operand) {
            return Ok(Init::Splat(scalar));
        }
        if matches!(self.composer.maps.get(node), Ok(Map::Reduce(..))) {
            return Err(Refusal {
                node,
                why: NoMap("its initial value is not a constant"),
            });
        }
        if stored.contains(&operand) || self.plan.inline.contains(&operand) {
            return Err(computed_here(node));
        }
        let buffer = match self.buffers.get(&Target::Node(operand)) {
            Some(&buffer) => buffer,
            None => self.input(operand, false)?,
        };
        Ok(Init::Copy(buffer))
    }

    /// The segment ids of a scatter that promises them sorted, if it uses them as they come.
    fn sorted_segments(&self, task: &Task) -> Option<NodeId> {
        let Target::Node(node) = task.target else {
            return None;
        };
        let sorted = match self.composer.maps.get(node) {
            Ok(Map::Scatter(dims, _)) => dims.indices_are_sorted,
            _ => false,
        };
        let arena = &self.composer.arena;
        let &[position, ..] = task.place.as_slice() else {
            return None;
        };
        let Expr::Index(index) = arena.expr(position) else {
            return None;
        };
        let Expr::Read(read) = arena.expr(index.value) else {
            return None;
        };
        // One component, read along the first axis of its array.
        let direct = match read.indices.split_first() {
            Some((first, rest)) => {
                matches!(arena.expr(*first), Expr::Axis(axis)
                    if arena.count(*axis) == first_size(self.composer.graph, read.node))
                    && rest.iter().all(|&r| arena.as_position(r) == Some(0))
                    && self.composer.graph.elements(read.node)
                        == first_size(self.composer.graph, read.node)?
            }
            None => false,
        };
        (sorted && direct && index.wrap.is_none()).then_some(read.node)
    }

    fn nest(&mut self, group: &Group) -> Result<Nest, Refusal> {
        let composer = self.composer;
        let arena = &composer.arena;
        let graph = composer.graph;
        let mut nest = Nest::default();
        let mut names = Names::default();
        for buffer in self.region.buffers.values() {
            names.fresh(&buffer.name);
        }
        let mut axes = group.ordered_axes(composer);
        let mut values: HashMap<ExprId, Value> = HashMap::new();
        if axes.is_empty() {
            axes.extend(group.axes.first().map(|&a| (a, false)));
        }
        let kept: HashSet<Axis> = group
            .tasks
            .iter()
            .flat_map(|t| &t.place)
            .flat_map(|&p| axes_of(composer, p))
            .collect();
        let roots: Vec<_> = group.tasks.iter().flat_map(Task::roots).collect();
        let mut order = Vec::new();
        arena.postorder(&roots, |id| order.push(id));
        let roles = roles(composer, &order, group);
        let mut by_axis: HashMap<Axis, Value> = HashMap::new();
        let looks_up = axes.iter().any(|&(_, is_looked_up)| is_looked_up);
        for (k, &(axis, is_looked_up)) in axes.iter().enumerate() {
            let name = match (is_looked_up, kept.contains(&axis)) {
                (true, true) => "b",
                (true, false) => "l",
                (false, true) if !looks_up && k + 1 < axes.len() => "b",
                (false, _) => "d",
            };
            let value = nest.values.push(ValueData {
                name: names.fresh(name),
                ty: ScalarType::Index,
                span: Span::default(),
            });
            by_axis.insert(axis, value);
            let extent = match arena.extent(axis) {
                index_map::Extent::Dense(n) => Extent::Dense(n),
                index_map::Extent::Range(begin, end) => {
                    let mut bounds = Vec::new();
                    arena.postorder(&[begin, end], |id| bounds.push(id));
                    self.statements(
                        &mut nest,
                        &mut names,
                        &mut values,
                        &by_axis,
                        &bounds,
                        &roles,
                    )?;
                    let bound = |id| {
                        values.get(&id).copied().ok_or(Refusal {
                            node: self
                                .plan
                                .combines
                                .first()
                                .copied()
                                .unwrap_or(NodeId::from_u32(0)),
                            why: NoMap("the bounds of an axis depend on an axis behind it"),
                        })
                    };
                    Extent::Range(bound(begin)?, bound(end)?)
                }
            };
            nest.body.push(Statement::Axis(value, extent));
        }
        self.statements(&mut nest, &mut names, &mut values, &by_axis, &order, &roles)?;
        for task in &group.tasks {
            let (Target::Node(node) | Target::Wide(node)) = task.target;
            let missing = Refusal {
                node,
                why: NoMap("its place has no value"),
            };
            nest.body.push(Statement::Combine {
                span: span(graph, node),
                op: task.op,
                buffer: *self.buffers.get(&task.target).ok_or(missing)?,
                indices: task
                    .place
                    .iter()
                    .map(|id| values.get(id).copied())
                    .collect::<Option<_>>()
                    .ok_or(missing)?,
                value: *values.get(&task.value).ok_or(missing)?,
            });
        }
        Ok(nest)
    }

    /// Emits expressions, operands first, that are not emitted yet.
    fn statements(
        &self,
        nest: &mut Nest,
        names: &mut Names,
        values: &mut HashMap<ExprId, Value>,
        by_axis: &HashMap<Axis, Value>,
        order: &[ExprId],
        roles: &HashMap<ExprId, &'static str>,
    ) -> Result<(), Refusal> {
        let arena = &self.composer.arena;
        for &id in order {
            if values.contains_key(&id) {
                continue;
            }
            if let Expr::Axis(axis) = arena.expr(id) {
                if let Some(&value) = by_axis.get(axis) {
                    values.insert(id, value);
                }
                continue;
            }
            let origin = arena.origin(id);
            let span = origin.map_or_else(Span::default, |node| span(self.composer.graph, node));
            let role = roles.get(&id).copied();
            let value = self.statement(nest, names, values, id, role, span)?;
            values.insert(id, value);
        }
        Ok(())
    }

    /// Emits one expression whose operands are emitted, and gives its value.
    fn statement(
        &self,
        nest: &mut Nest,
        names: &mut Names,
        values: &HashMap<ExprId, Value>,
        id: ExprId,
        role: Option<&'static str>,
        span: Span,
    ) -> Result<Value, Refusal> {
        let arena = &self.composer.arena;
        let origin = arena.origin(id);
        let refuse = |why| Refusal {
            node: origin
                .or_else(|| self.plan.outputs.first().copied())
                .unwrap_or(NodeId::from_u32(0)),
            why: NoMap(why),
        };
        let value = |operand: &ExprId| {
            values
                .get(operand)
                .copied()
                .ok_or(refuse("an operand has no value"))
        };
        // Marked positions take part in nothing but the access that they are for.
        let unmarked = |operand: &ExprId| match is_marked(self.composer, *operand) {
            true => Err(refuse(
                "a position that may be outside takes part in arithmetic",
            )),
            false => value(operand),
        };
        let mut define = |nest: &mut Nest, name: &str, ty, expr| {
            let value = nest.values.push(ValueData {
                name: names.fresh(name),
                ty,
                span,
            });
            nest.body.push(Statement::Let(value, expr));
            value
        };
        let index = ScalarType::Index;
        let arith = RegionExpr::Arith;
        let number = |c| arith(Arith::Constant(Scalar::Index(c)));
        let ty = arena.ty(id);
        Ok(match arena.expr(id) {
            Expr::Axis(_) => return Err(refuse("an axis has no loop")),
            Expr::Linear(terms, constant) => {
                let mut sum: Option<Value> = None;
                for (term, factor) in terms {
                    let mut value = unmarked(term)?;
                    if *factor != 1 {
                        let by = define(nest, "c", index, number(*factor));
                        value = define(
                            nest,
                            "mul",
                            index,
                            arith(Arith::Binary(BinaryOp::Mul, value, by)),
                        );
                    }
                    sum = Some(match sum {
                        None => value,
                        Some(sum) => define(
                            nest,
                            "pos",
                            index,
                            arith(Arith::Binary(BinaryOp::Add, sum, value)),
                        ),
                    });
                }
                match sum {
                    None => define(nest, "c", index, number(*constant)),
                    Some(sum) if *constant == 0 => sum,
                    Some(sum) => {
                        let by = define(nest, "c", index, number(*constant));
                        define(
                            nest,
                            "pos",
                            index,
                            arith(Arith::Binary(BinaryOp::Add, sum, by)),
                        )
                    }
                }
            }
            Expr::Div(x, c) | Expr::Rem(x, c) => {
                let (op, name) = match arena.expr(id) {
                    Expr::Div(..) => (BinaryOp::Div, "quotient"),
                    _ => (BinaryOp::Rem, "remainder"),
                };
                let x = unmarked(x)?;
                let by = define(nest, "c", index, number(*c));
                define(nest, name, index, arith(Arith::Binary(op, x, by)))
            }
            Expr::Index(i) => define(
                nest,
                role.unwrap_or("row"),
                index,
                RegionExpr::Index {
                    value: value(&i.value)?,
                    wrap: i.wrap,
                    mode: i.mode,
                    lo: i.lo,
                    hi: i.hi,
                },
            ),
            Expr::Constant(constant) => {
                define(nest, "k", ty, arith(Arith::Constant(constant.scalar())))
            }
            Expr::Read(read) => {
                let target = match read.wide {
                    true => Target::Wide(read.node),
                    false => Target::Node(read.node),
                };
                let buffer = *self
                    .buffers
                    .get(&target)
                    .ok_or(refuse("a read has no buffer"))?;
                let indices = match read.fill {
                    Some(_) => read.indices.iter().map(value).collect::<Result<_, _>>()?,
                    None => read
                        .indices
                        .iter()
                        .map(unmarked)
                        .collect::<Result<_, _>>()?,
                };
                let fill = read.fill.map(|fill| fill.scalar());
                define(
                    nest,
                    role.unwrap_or("x"),
                    ty,
                    RegionExpr::Read {
                        buffer,
                        indices,
                        fill,
                    },
                )
            }
            Expr::Unary(op, a) => define(nest, op.name(), ty, arith(Arith::Unary(*op, value(a)?))),
            Expr::Binary(op, a, b) => define(
                nest,
                op.name(),
                ty,
                arith(Arith::Binary(*op, value(a)?, value(b)?)),
            ),
            Expr::Compare(op, a, b) => define(
                nest,
                op.name(),
                ty,
                arith(Arith::Compare(*op, unmarked(a)?, unmarked(b)?)),
            ),
            Expr::Select(c, a, b) => define(
                nest,
                "select",
                ty,
                arith(Arith::Select(value(c)?, value(a)?, value(b)?)),
            ),
            Expr::Convert(a, _) => {
                define(nest, "convert", ty, arith(Arith::Convert(unmarked(a)?, ty)))
            }
        })
    }
}

/// Names for what expressions are for: ids, rows, segments.
fn roles(composer: &Composer, order: &[ExprId], group: &Group) -> HashMap<ExprId, &'static str> {
    let arena = &composer.arena;
    let looks_up = order.iter().any(|&id| match arena.expr(id) {
        Expr::Read(read) => read.indices.iter().any(|&i| arena.has_index(i)),
        _ => false,
    });
    let mut roles = HashMap::new();
    for task in &group.tasks {
        for &place in &task.place {
            if let Expr::Index(index) = arena.expr(place) {
                roles.insert(place, "segment");
                roles.insert(index.value, "segment_id");
            }
        }
    }
    for &id in order {
        if let Expr::Index(index) = arena.expr(id) {
            roles.entry(index.value).or_insert("id");
        }
        // Beside looked-up rows, what is read plainly weighs or masks them.
        if let Expr::Read(read) = arena.expr(id)
            && !read.indices.iter().any(|&i| arena.has_index(i))
            && looks_up
        {
            roles.entry(id).or_insert("w");
        }
    }
    roles
}

/// All axes below an expression.
pub(super) fn axes_of(composer: &Composer, id: ExprId) -> Vec<Axis> {
    let mut axes = Vec::new();
    composer.arena.postorder(&[id], |id| {
        if let Expr::Axis(axis) = composer.arena.expr(id) {
            axes.push(*axis);
        }
    });
    axes
}

fn span(graph: &Graph, node: NodeId) -> Span {
    let span = graph.span(node);
    Span {
        start: span.start,
        end: span.end,
    }
}

fn first_size(graph: &Graph, node: NodeId) -> Option<u64> {
    let first = *graph.array(node)?.dims.first()?;
    u64::try_from(first).ok()
}

fn widened(init: Init) -> Init {
    match init {
        Init::Splat(scalar) => Init::Splat(scalar.convert(ScalarType::Element(ElementType::F32))),
        Init::Undefined | Init::Copy(_) => Init::Undefined,
    }
}
