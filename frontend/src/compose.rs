//! Composition of index maps: the value of one element of a node, as an expression over axes.
//!
//! `element(node, o)` is the value of `node` at the position `o`. A node that the region computes
//! on the way is replaced by its map applied to its operands' elements; every other node is a
//! `read`. What a combine accumulates is a node of its own, read back from its buffer.

use hashbrown::{HashMap, HashSet};

use hlo2dae_hlo::GatherDims;
use hlo2dae_ir::core::{BinaryOp, CompareOp, ElementType, Scalar};
use hlo2dae_ir::region::IndexMode;

use crate::graph::{Graph, LoopId, NodeId};
use crate::index_map::{Arena, ExprId};
use crate::op_maps::{Map, Maps, NoMap, buffer_shape, literal_element};

/// Longest chain of operations that one element may need.
const MAX_DEPTH: u32 = 800;
/// Most expressions of one region: what is shared but read at many indices multiplies.
const MAX_EXPRESSIONS: usize = 1 << 13;
/// Most nodes entered one inside the other: more than `pull` and `grow` put in a row.
const MAX_NESTING: u32 = 260;
/// Far beyond any array, and small enough that no index arithmetic can overflow.
const MAX_POSITION: i64 = 1 << 48;
/// Most elements that a reduction is unrolled over.
pub(crate) const MAX_UNROLL: i64 = 8;

/// Why an element has no expression, and the node at which that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) node: NodeId,
    pub(crate) why: NoMap,
}

/// Builds expressions for the elements of one region.
pub(crate) struct Composer<'a, 'm> {
    pub(crate) graph: &'a Graph<'m>,
    pub(crate) maps: &'a Maps,
    pub(crate) arena: Arena,
    /// The nodes that are computed where they are used.
    inline: &'a HashSet<NodeId>,
    /// Where the rounds of loops are, by the loops' indices.
    rounds: HashMap<NodeId, ExprId>,
    memo: HashMap<(NodeId, Vec<ExprId>), ExprId>,
    nesting: u32,
}

impl<'a, 'm> Composer<'a, 'm> {
    pub(crate) fn new(graph: &'a Graph<'m>, maps: &'a Maps, inline: &'a HashSet<NodeId>) -> Self {
        Composer {
            graph,
            maps,
            arena: Arena::default(),
            inline,
            rounds: HashMap::new(),
            memo: HashMap::new(),
            nesting: 0,
        }
    }

    /// Lets the index of a loop, which counts from `begin`, be `position`, for good.
    pub(crate) fn enter(
        &mut self,
        of: LoopId,
        begin: ExprId,
        position: ExprId,
    ) -> Result<(), Refusal> {
        let counters = self.graph.loops[of].counters.iter();
        for (k, &(counter, initial)) in counters.enumerate() {
            let place = match k {
                0 => position,
                _ => {
                    let first = self.scalar(initial)?;
                    self.arena
                        .linear(&[(position, 1), (first, 1), (begin, -1)], 0)
                }
            };
            self.rounds.insert(counter, place);
        }
        Ok(())
    }

    /// The value of an integer scalar, perhaps with dimensions of size 1, as a position.
    pub(crate) fn scalar(&mut self, node: NodeId) -> Result<ExprId, Refusal> {
        let rank = self.graph.array(node).map_or(0, |array| array.rank());
        let first = self.arena.position(0);
        let element = self.element(node, &vec![first; rank])?;
        let bound = MAX_POSITION;
        Ok(self.arena.index(element, IndexMode::Clamp, -bound, bound))
    }

    /// The value of `node` at `indices`, which lie in its array.
    pub(crate) fn element(&mut self, node: NodeId, indices: &[ExprId]) -> Result<ExprId, Refusal> {
        let key = (node, indices.to_vec());
        if let Some(&expr) = self.memo.get(&key) {
            return Ok(expr);
        }
        let refuse = |why| Refusal {
            node,
            why: NoMap(why),
        };
        let (element, dims) =
            buffer_shape(self.graph, node).map_err(|why| Refusal { node, why })?;
        if dims.len() != indices.len() {
            return Err(refuse("its operands and its shape do not fit"));
        }
        if self.arena.len() > MAX_EXPRESSIONS {
            return Err(refuse("what it computes takes too many expressions"));
        }
        if self.nesting >= MAX_NESTING {
            return Err(refuse(
                "it stands at the end of too long a chain of operations",
            ));
        }
        let expr = if self.inline.contains(&node) {
            self.nesting += 1;
            let inlined = self.inlined(node, element, &dims, indices);
            self.nesting -= 1;
            inlined?
        } else {
            match self.maps.get(node) {
                // Literals without a buffer of their own.
                Ok(Map::Constant(Some(splat))) => self.arena.constant(*splat),
                _ => self.arena.read(node, element, indices.to_vec()),
            }
        };
        if self.arena.depth(expr) > MAX_DEPTH {
            return Err(refuse(
                "it stands at the end of too long a chain of operations",
            ));
        }
        self.arena.set_origin(expr, node);
        self.memo.insert(key, expr);
        Ok(expr)
    }

    fn inlined(
        &mut self,
        node: NodeId,
        element: ElementType,
        dims: &[i64],
        o: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        let maps = self.maps;
        let map = maps.get(node).map_err(|why| Refusal { node, why })?;
        match map {
            Map::Constant(splat) => self.literal(node, element, *splat, dims, o),
            Map::Iota(d) => Ok(self.arena.convert(o[*d], element)),
            Map::Unary(op) => {
                let a = self.same(node, 0, o)?;
                Ok(self.arena.unary(*op, a))
            }
            Map::Binary(op) => {
                let (a, b) = (self.same(node, 0, o)?, self.same(node, 1, o)?);
                Ok(self.arena.binary(*op, a, b))
            }
            Map::Compare(op) => {
                let (a, b) = (self.same(node, 0, o)?, self.same(node, 1, o)?);
                Ok(self.arena.compare(*op, a, b))
            }
            Map::Select => {
                let condition = self.same(node, 0, o)?;
                // What is never chosen need not be composed.
                match self.arena.as_constant(condition) {
                    Some(Scalar::Bool(true)) => self.same(node, 1, o),
                    Some(_) => self.same(node, 2, o),
                    None => {
                        let (a, b) = (self.same(node, 1, o)?, self.same(node, 2, o)?);
                        Ok(self.arena.select(condition, a, b))
                    }
                }
            }
            Map::Clamp => {
                let (lo, x, hi) = (
                    self.same(node, 0, o)?,
                    self.same(node, 1, o)?,
                    self.same(node, 2, o)?,
                );
                let above = self.arena.binary(BinaryOp::Max, x, lo);
                Ok(self.arena.binary(BinaryOp::Min, above, hi))
            }
            Map::Convert(to) => {
                let a = self.same(node, 0, o)?;
                Ok(self.arena.convert(a, *to))
            }
            Map::Broadcast(to) => {
                let indices: Vec<_> = to.iter().map(|&d| o[d]).collect();
                self.operand(node, 0, &indices)
            }
            Map::Reshape => {
                let operand = self.operand_dims(node, 0)?;
                let indices = self.reshape(dims, &operand, o);
                self.operand(node, 0, &indices)
            }
            Map::Bitcast(from, to) => {
                let operand = self.operand_dims(node, 0)?;
                let sizes = |dims: &[i64], order: &[usize]| {
                    order.iter().map(|&d| dims[d]).collect::<Vec<_>>()
                };
                let place: Vec<_> = to.iter().map(|&d| o[d]).collect();
                let place = self.reshape(&sizes(dims, to), &sizes(&operand, from), &place);
                let mut indices = place.clone();
                for (&d, &position) in from.iter().zip(&place) {
                    indices[d] = position;
                }
                self.operand(node, 0, &indices)
            }
            Map::Transpose(permutation) => {
                let mut indices = o.to_vec();
                for (&from, &position) in permutation.iter().zip(o) {
                    indices[from] = position;
                }
                self.operand(node, 0, &indices)
            }
            Map::Reverse(mirrored) => {
                let indices: Vec<_> = (0..o.len())
                    .map(|d| match mirrored[d] {
                        true => self.arena.linear(&[(o[d], -1)], dims[d] - 1),
                        false => o[d],
                    })
                    .collect();
                self.operand(node, 0, &indices)
            }
            Map::Slice(slices) => {
                let indices: Vec<_> = slices
                    .iter()
                    .zip(o)
                    .map(|(&(start, stride), &position)| {
                        self.arena.linear(&[(position, stride)], start)
                    })
                    .collect();
                self.operand(node, 0, &indices)
            }
            Map::Pad(padding) => self.pad(node, padding, o),
            Map::Concatenate(d) => self.concatenate(node, *d, o),
            Map::Gather(gather) => self.gather(node, gather, o),
            Map::DynamicSlice => self.dynamic_slice(node, dims, o),
            Map::Reduce(over, op) => {
                let op = op.binary().ok_or(Refusal {
                    node,
                    why: NoMap("its combiner is no operation"),
                })?;
                self.unrolled(node, over, op, o)
            }
            Map::Dot(_) => {
                let (positions, sizes) = self.dot_axes(node)?;
                if sizes.iter().product::<i64>() != 1 {
                    return Err(Refusal {
                        node,
                        why: NoMap("it sums over more than one product"),
                    });
                }
                let zero = self.arena.position(0);
                let (lhs, rhs) = positions.place(o, &vec![zero; sizes.len()]);
                let (a, b) = (self.operand(node, 0, &lhs)?, self.operand(node, 1, &rhs)?);
                let (a, b) = (
                    self.arena.convert(a, element),
                    self.arena.convert(b, element),
                );
                Ok(self.arena.binary(BinaryOp::Mul, a, b))
            }
            Map::LoopIndex => match self.rounds.get(&node) {
                Some(&position) => Ok(self.arena.convert(position, element)),
                None => Err(Refusal {
                    node,
                    why: NoMap("it is the index of a loop outside"),
                }),
            },
            Map::SparseDense | Map::Rounds(..) => Err(Refusal {
                node,
                why: NoMap("it combines over entries or rounds"),
            }),
            Map::Scatter(..) => Err(Refusal {
                node,
                why: NoMap("it combines into places chosen by indices"),
            }),
        }
    }

    /// The operand's element at the result's own index; scalars have one element.
    fn same(&mut self, node: NodeId, operand: usize, o: &[ExprId]) -> Result<ExprId, Refusal> {
        let rank = self.operand_dims(node, operand)?.len();
        self.operand(node, operand, if rank == 0 { &[] } else { o })
    }

    /// An operand's element.
    pub(crate) fn operand(
        &mut self,
        node: NodeId,
        operand: usize,
        indices: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        let id = self.operand_id(node, operand)?;
        self.element(id, indices)
    }

    fn operand_id(&self, node: NodeId, operand: usize) -> Result<NodeId, Refusal> {
        self.graph.nodes[node]
            .operands
            .get(operand)
            .copied()
            .ok_or(Refusal {
                node,
                why: NoMap("it lacks an operand"),
            })
    }

    /// Sizes of an operand.
    pub(crate) fn operand_dims(&self, node: NodeId, operand: usize) -> Result<Vec<i64>, Refusal> {
        let id = self.operand_id(node, operand)?;
        let (_, dims) = buffer_shape(self.graph, id).map_err(|why| Refusal { node: id, why })?;
        Ok(dims)
    }

    fn literal(
        &mut self,
        node: NodeId,
        element: ElementType,
        splat: Option<Scalar>,
        dims: &[i64],
        o: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        if let Some(splat) = splat {
            return Ok(self.arena.constant(splat));
        }
        let position = dims.iter().zip(o).try_fold(0i64, |position, (&n, &index)| {
            Some(position * n + self.arena.as_position(index)?)
        });
        let literal = self.graph.instruction(node).literal();
        let known = position
            .and_then(|position| literal_element(literal?, usize::try_from(position).ok()?));
        match known {
            Some(scalar) => Ok(self.arena.constant(scalar)),
            None => Ok(self.arena.read(node, element, o.to_vec())),
        }
    }

    /// The index into `to` of the same linear position as the index `o` into `from`.
    ///
    /// Dimensions are matched in groups of equal size first, so that only a group in which a
    /// dimension is really cut or joined is linearised.
    fn reshape(&mut self, from: &[i64], to: &[i64], o: &[ExprId]) -> Vec<ExprId> {
        let mut indices = Vec::with_capacity(to.len());
        let (mut f, mut t) = (0, 0);
        while t < to.len() {
            let (f0, t0) = (f, t);
            let (mut from_size, mut to_size) = (1, to[t]);
            t += 1;
            while from_size != to_size {
                if from_size < to_size && f < from.len() {
                    from_size *= from[f];
                    f += 1;
                } else if from_size > to_size && t < to.len() {
                    to_size *= to[t];
                    t += 1;
                } else {
                    break;
                }
            }
            let mut terms = Vec::new();
            let mut stride = 1;
            for d in (f0..f).rev() {
                terms.push((o[d], stride));
                stride *= from[d];
            }
            let linear = self.arena.linear(&terms, 0);
            let mut group = Vec::new();
            let mut rest = linear;
            for d in (t0..t).rev() {
                group.push(if d == t0 {
                    rest
                } else {
                    self.arena.rem(rest, to[d])
                });
                rest = self.arena.div(rest, to[d]);
            }
            indices.extend(group.into_iter().rev());
        }
        indices
    }

    /// A position moved into `0..=hi`, spelled out so that the read beside an untaken branch stays
    /// inside its array.
    fn confine(&mut self, position: ExprId, hi: i64) -> ExprId {
        let element = self.arena.convert(position, ElementType::S64);
        self.arena.index(element, IndexMode::Clamp, 0, hi)
    }

    fn compare(&mut self, op: CompareOp, position: ExprId, constant: i64) -> ExprId {
        let constant = self.arena.position(constant);
        self.arena.compare(op, position, constant)
    }

    fn pad(
        &mut self,
        node: NodeId,
        padding: &[(i64, i64)],
        o: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        let dims = self.operand_dims(node, 0)?;
        let mut inside = self.arena.bool(true);
        let mut indices = Vec::with_capacity(o.len());
        for ((&(low, interior), &n), &position) in padding.iter().zip(&dims).zip(o) {
            let step = interior + 1;
            let shifted = self.arena.offset(position, -low);
            let last = (n - 1) * step;
            let confined = self.confine(shifted, last);
            let on_grid = self.arena.rem(confined, step);
            for condition in [
                self.compare(CompareOp::Ge, shifted, 0),
                self.compare(CompareOp::Le, shifted, last),
                self.compare(CompareOp::Eq, on_grid, 0),
            ] {
                inside = self.arena.binary(BinaryOp::And, inside, condition);
            }
            indices.push(self.arena.div(confined, step));
        }
        let padding = self.operand(node, 1, &[])?;
        match self.arena.as_constant(inside) {
            Some(Scalar::Bool(false)) => Ok(padding),
            _ => {
                let value = self.operand(node, 0, &indices)?;
                Ok(self.arena.select(inside, value, padding))
            }
        }
    }

    fn concatenate(&mut self, node: NodeId, d: usize, o: &[ExprId]) -> Result<ExprId, Refusal> {
        let count = self.graph.nodes[node].operands.len();
        let (mut start, mut parts) = (0i64, Vec::new());
        for operand in 0..count {
            let n = self.operand_dims(node, operand)?[d];
            // Conditions `o[d] < end`, each looked at only if the ones before fail.
            let before_end = self.compare(CompareOp::Lt, o[d], start + n);
            match self.arena.as_constant(before_end) {
                Some(Scalar::Bool(false)) => {}
                known => {
                    let shifted = self.arena.offset(o[d], -start);
                    let mut indices = o.to_vec();
                    indices[d] = self.confine(shifted, n - 1);
                    parts.push((before_end, self.operand(node, operand, &indices)?));
                    if known.is_some() {
                        break;
                    }
                }
            }
            start += n;
        }
        let mut parts = parts.into_iter().rev();
        let (_, mut value) = parts.next().ok_or(Refusal {
            node,
            why: NoMap("it has no operands"),
        })?;
        for (condition, part) in parts {
            value = self.arena.select(condition, part, value);
        }
        Ok(value)
    }

    /// The index of a component of the start indices, from the batch part of a slice's index.
    fn component(
        batch: &[ExprId],
        vector_dim: usize,
        component: ExprId,
        indices_rank: usize,
    ) -> Vec<ExprId> {
        let mut index = batch.to_vec();
        if vector_dim < indices_rank {
            index.insert(vector_dim.min(index.len()), component);
        }
        index
    }

    fn gather(&mut self, node: NodeId, dims: &GatherDims, o: &[ExprId]) -> Result<ExprId, Refusal> {
        let operand = self.operand_dims(node, 0)?;
        let starts = SliceIndices {
            window_dims: &dims.offset_dims,
            missing_dims: &dims.collapsed_slice_dims,
            operand_batching: &dims.operand_batching_dims,
            indices_batching: &dims.start_indices_batching_dims,
            index_map: &dims.start_index_map,
            index_vector_dim: dims.index_vector_dim as usize,
        };
        let parts = self.slice_parts(node, 1, &starts, operand.len(), o)?;
        let mut indices = Vec::with_capacity(operand.len());
        for (d, part) in parts.into_iter().enumerate() {
            let hi = operand[d] - dims.slice_sizes[d];
            indices.push(match part.start {
                Start::Element(value) => {
                    let start = self.arena.index(value, IndexMode::Clamp, 0, hi);
                    self.arena.linear(&[(start, 1), (part.window, 1)], 0)
                }
                Start::Position(position) => position,
                Start::Zero => part.window,
            });
        }
        self.operand(node, 0, &indices)
    }

    fn dynamic_slice(
        &mut self,
        node: NodeId,
        dims: &[i64],
        o: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        let operand = self.operand_dims(node, 0)?;
        let mut indices = Vec::with_capacity(operand.len());
        for d in 0..operand.len() {
            let value = self.operand(node, 1 + d, &[])?;
            let start = self
                .arena
                .index(value, IndexMode::Clamp, 0, operand[d] - dims[d]);
            indices.push(self.arena.linear(&[(start, 1), (o[d], 1)], 0));
        }
        self.operand(node, 0, &indices)
    }

    /// Where each dimension of the operand of a gather or scatter starts, and where in the window
    /// it is, for the index `o` of the slices (the gather's result, the scatter's updates).
    pub(crate) fn slice_parts(
        &mut self,
        node: NodeId,
        indices_operand: usize,
        dims: &SliceIndices,
        operand_rank: usize,
        o: &[ExprId],
    ) -> Result<Vec<Part>, Refusal> {
        let is_window = |d: &usize| dims.window_dims.contains(&(*d as i64));
        let batch: Vec<_> = (0..o.len())
            .filter(|d| !is_window(d))
            .map(|d| o[d])
            .collect();
        let indices_rank = self.operand_dims(node, indices_operand)?.len();
        let zero = self.arena.position(0);
        let mut windows = dims.window_dims.iter();
        let mut parts = Vec::with_capacity(operand_rank);
        for d in 0..operand_rank as i64 {
            let is_missing = dims.missing_dims.contains(&d) || dims.operand_batching.contains(&d);
            let window = match is_missing {
                true => zero,
                false => windows.next().map_or(zero, |&w| o[w as usize]),
            };
            let start = if let Some(k) = dims.index_map.iter().position(|&m| m == d) {
                let k = self.arena.position(k as i64);
                let index = Self::component(&batch, dims.index_vector_dim, k, indices_rank);
                Start::Element(self.operand(node, indices_operand, &index)?)
            } else if let Some(k) = dims.operand_batching.iter().position(|&m| m == d) {
                let indices_dim = dims.indices_batching[k] as usize;
                let batch_dim = indices_dim - usize::from(indices_dim > dims.index_vector_dim);
                Start::Position(batch[batch_dim])
            } else {
                Start::Zero
            };
            parts.push(Part { start, window });
        }
        Ok(parts)
    }

    fn unrolled(
        &mut self,
        node: NodeId,
        over: &[usize],
        op: BinaryOp,
        o: &[ExprId],
    ) -> Result<ExprId, Refusal> {
        let operand = self.operand_dims(node, 0)?;
        let sizes: Vec<_> = over.iter().map(|&d| operand[d]).collect();
        let total: i64 = sizes.iter().product();
        if total > MAX_UNROLL {
            return Err(Refusal {
                node,
                why: NoMap("it reduces over too many elements to unroll"),
            });
        }
        let mut value = self.operand(node, 1, &[])?;
        for mut linear in 0..total {
            let mut reduced = vec![0; over.len()];
            for (position, n) in reduced.iter_mut().zip(&sizes).rev() {
                *position = linear % n;
                linear /= n;
            }
            let reduced: Vec<_> = reduced
                .into_iter()
                .map(|p| self.arena.position(p))
                .collect();
            let index = interleave(operand.len(), over, &reduced, o);
            let element = self.operand(node, 0, &index)?;
            value = self.arena.binary(op, value, element);
        }
        Ok(value)
    }

    /// How a dot's result and contracting positions make up its operands', and the contracting sizes.
    pub(crate) fn dot_axes(&self, node: NodeId) -> Result<(DotPositions, Vec<i64>), Refusal> {
        let dims = match self.maps.get(node) {
            Ok(Map::Dot(dims)) => dims,
            _ => {
                return Err(Refusal {
                    node,
                    why: NoMap("it is not a dot"),
                });
            }
        };
        let (lhs, rhs) = (self.operand_dims(node, 0)?, self.operand_dims(node, 1)?);
        let part = |rank: usize, batch: &[i64], contracting: &[i64], first_free: usize| {
            let mut free = first_free;
            let find = |list: &[i64], d: usize| list.iter().position(|&x| x == d as i64);
            (0..rank)
                .map(|d| match (find(batch, d), find(contracting, d)) {
                    (Some(k), _) => DotPosition::Result(k),
                    (None, Some(k)) => DotPosition::Contracting(k),
                    (None, None) => {
                        free += 1;
                        DotPosition::Result(free - 1)
                    }
                })
                .collect::<Vec<_>>()
        };
        let batches = dims.lhs_batch.len();
        let lhs_free = lhs.len() - batches - dims.lhs_contracting.len();
        let positions = DotPositions {
            lhs: part(lhs.len(), &dims.lhs_batch, &dims.lhs_contracting, batches),
            rhs: part(
                rhs.len(),
                &dims.rhs_batch,
                &dims.rhs_contracting,
                batches + lhs_free,
            ),
        };
        let sizes = dims
            .lhs_contracting
            .iter()
            .map(|&d| lhs[d as usize])
            .collect();
        Ok((positions, sizes))
    }
}

/// The dimension numbers that gather and scatter share.
pub(crate) struct SliceIndices<'a> {
    pub(crate) window_dims: &'a [i64],
    pub(crate) missing_dims: &'a [i64],
    pub(crate) operand_batching: &'a [i64],
    pub(crate) indices_batching: &'a [i64],
    pub(crate) index_map: &'a [i64],
    pub(crate) index_vector_dim: usize,
}

/// One dimension of the operand of a gather or scatter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) start: Start,
    /// Position within the window.
    pub(crate) window: ExprId,
}

/// Where a window starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// At an element of the indices.
    Element(ExprId),
    /// At a position of the batch.
    Position(ExprId),
    /// At the origin.
    Zero,
}

/// Where a dimension of a dot's operand comes from.
#[derive(Clone, Copy, Debug)]
enum DotPosition {
    Result(usize),
    Contracting(usize),
}

/// Where the dimensions of both operands of a dot come from.
pub(crate) struct DotPositions {
    lhs: Vec<DotPosition>,
    rhs: Vec<DotPosition>,
}

impl DotPositions {
    /// The operands' indices for an index of the result and contracting positions.
    pub(crate) fn place(
        &self,
        result: &[ExprId],
        contracting: &[ExprId],
    ) -> (Vec<ExprId>, Vec<ExprId>) {
        let side = |positions: &[DotPosition]| {
            positions
                .iter()
                .map(|position| match *position {
                    DotPosition::Result(k) => result[k],
                    DotPosition::Contracting(k) => contracting[k],
                })
                .collect::<Vec<_>>()
        };
        (side(&self.lhs), side(&self.rhs))
    }
}

/// An index of `rank` dimensions: `reduced` at the dimensions `over`, `kept` at the others.
pub(crate) fn interleave(
    rank: usize,
    over: &[usize],
    reduced: &[ExprId],
    kept: &[ExprId],
) -> Vec<ExprId> {
    let mut kept = kept.iter();
    (0..rank)
        .filter_map(|d| match over.iter().position(|&r| r == d) {
            Some(k) => reduced.get(k).copied(),
            None => kept.next().copied(),
        })
        .collect()
}
