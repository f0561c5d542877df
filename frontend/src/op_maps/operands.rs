//! Attributes checked against shapes.

use hlo2dae_hlo::{ArrayShape, AttributeValue, Instruction, Module, PrimitiveType};
use hlo2dae_ir::core::CombineOp;

use super::combiner::combine_op;
use super::{MAX_ELEMENTS, Map, NoMap, element_type, keeps_values};
use crate::compose::SliceIndices;
use crate::graph::{Graph, NodeId};

const RANKS: NoMap = NoMap("its attributes do not fit its shapes");

/// A dimension of an array of this rank.
pub(super) fn dimension(value: Option<i64>, rank: usize) -> Result<usize, NoMap> {
    value
        .and_then(|d| usize::try_from(d).ok())
        .filter(|&d| d < rank)
        .ok_or(RANKS)
}

/// Distinct dimensions below `rank`.
fn dimensions(values: &[i64], rank: usize) -> Result<Vec<usize>, NoMap> {
    let dims = values
        .iter()
        .map(|&d| dimension(Some(d), rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = vec![false; rank];
    for &d in &dims {
        if std::mem::replace(&mut seen[d], true) {
            return Err(RANKS);
        }
    }
    Ok(dims)
}

/// The shapes around one node, for checking attributes against them.
pub(super) struct Operands<'g, 'm> {
    graph: &'g Graph<'m>,
    node: NodeId,
}

impl<'g, 'm> Operands<'g, 'm> {
    pub(super) fn new(graph: &'g Graph<'m>, node: NodeId) -> Self {
        Operands { graph, node }
    }

    pub(super) fn array(&self, operand: usize) -> Result<&'m ArrayShape, NoMap> {
        let node = self.graph.nodes[self.node]
            .operands
            .get(operand)
            .ok_or(RANKS)?;
        self.graph
            .array(*node)
            .ok_or(NoMap("an operand is a tuple, a token or of dynamic size"))
    }

    pub(super) fn result(&self) -> Result<&'m ArrayShape, NoMap> {
        self.graph
            .array(self.node)
            .ok_or(NoMap("its value is a tuple, a token or of dynamic size"))
    }

    pub(super) fn count(&self, n: usize) -> Result<(), NoMap> {
        let fits = self.graph.nodes[self.node].operands.len() == n;
        fits.then_some(())
            .ok_or(NoMap("it has another number of operands"))
    }

    /// `n` operands, each of the result's dimensions or a scalar.
    pub(super) fn same(&self, n: usize) -> Result<(), NoMap> {
        self.count(n)?;
        let dims = &self.result()?.dims;
        for operand in 0..n {
            let array = self.array(operand)?;
            if array.rank() != 0 && array.dims != *dims {
                return Err(RANKS);
            }
        }
        Ok(())
    }

    pub(super) fn reshape(&self) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let fits =
            result.element == operand.element && result.element_count() == operand.element_count();
        fits.then_some(Map::Reshape).ok_or(RANKS)
    }

    pub(super) fn bitcast(&self) -> Result<Map, NoMap> {
        self.reshape()?;
        // Where a dimension of size 1 stands makes no difference.
        let order = |array: &ArrayShape| {
            let rank = array.rank();
            let major_to_minor: Vec<usize> = match &array.layout {
                None => (0..rank).collect(),
                Some(layout) => dimensions(&layout.minor_to_major, rank)?
                    .into_iter()
                    .rev()
                    .collect(),
            };
            if major_to_minor.len() != rank {
                return Err(RANKS);
            }
            Ok(major_to_minor)
        };
        let (operand, result) = (self.array(0)?, self.result()?);
        let (from, to) = (order(operand)?, order(result)?);
        let is_plain = |array: &ArrayShape, order: &[usize]| {
            order.iter().filter(|&&d| array.dims[d] != 1).is_sorted()
        };
        Ok(match is_plain(operand, &from) && is_plain(result, &to) {
            true => Map::Reshape,
            false => Map::Bitcast(from, to),
        })
    }

    pub(super) fn broadcast(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            result.rank(),
        )?;
        let fits = dims.len() == operand.rank()
            && dims
                .iter()
                .zip(&operand.dims)
                .all(|(&d, &n)| result.dims[d] == n);
        fits.then_some(Map::Broadcast(dims)).ok_or(RANKS)
    }

    pub(super) fn transpose(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            operand.rank(),
        )?;
        let fits = dims.len() == result.rank()
            && dims.len() == operand.rank()
            && dims
                .iter()
                .zip(&result.dims)
                .all(|(&d, &n)| operand.dims[d] == n);
        fits.then_some(Map::Transpose(dims)).ok_or(RANKS)
    }

    pub(super) fn slice(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(1)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let Some(AttributeValue::Slices(slices)) = instruction.attribute("slice") else {
            return Err(RANKS);
        };
        let fits = slices.len() == operand.rank() && slices.len() == result.rank();
        if !fits {
            return Err(RANKS);
        }
        slices
            .iter()
            .zip(operand.dims.iter().zip(&result.dims))
            .map(|(&(start, _, stride), (&n, &taken))| {
                let last = (taken - 1)
                    .checked_mul(stride)
                    .and_then(|x| x.checked_add(start));
                let inside = start >= 0 && stride >= 1 && last.is_some_and(|last| last < n);
                (inside || taken == 0)
                    .then_some((start, stride))
                    .ok_or(RANKS)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Map::Slice)
    }

    pub(super) fn pad(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let (result, operand) = (self.result()?, self.array(0)?);
        let Some(AttributeValue::Padding(padding)) = instruction.attribute("padding") else {
            return Err(RANKS);
        };
        let small = |x: i64| (-MAX_ELEMENTS..=MAX_ELEMENTS).contains(&x);
        let fits = padding.len() == operand.rank()
            && padding.len() == result.rank()
            && self.array(1)?.rank() == 0
            && padding.iter().all(|&(low, high, interior)| {
                small(low) && small(high) && small(interior) && interior >= 0
            });
        fits.then(|| {
            Map::Pad(
                padding
                    .iter()
                    .map(|&(low, _, interior)| (low, interior))
                    .collect(),
            )
        })
        .ok_or(RANKS)
    }

    pub(super) fn concatenate(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        let result = self.result()?;
        let &[d] = instruction.integers("dimensions").unwrap_or(&[]) else {
            return Err(RANKS);
        };
        let d = dimension(Some(d), result.rank())?;
        let mut total = 0i64;
        for operand in 0..self.graph.nodes[self.node].operands.len() {
            let array = self.array(operand)?;
            let agree = array.rank() == result.rank()
                && (0..array.rank()).all(|k| k == d || array.dims[k] == result.dims[k]);
            if !agree {
                return Err(RANKS);
            }
            total = total.checked_add(array.dims[d]).ok_or(RANKS)?;
        }
        (total == result.dims[d])
            .then_some(Map::Concatenate(d))
            .ok_or(RANKS)
    }

    pub(super) fn reverse(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.same(1)?;
        let rank = self.result()?.rank();
        let mut mirrored = vec![false; rank];
        for d in dimensions(instruction.integers("dimensions").unwrap_or(&[]), rank)? {
            mirrored[d] = true;
        }
        Ok(Map::Reverse(mirrored))
    }

    pub(super) fn gather(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let dims = instruction.gather_dims().ok_or(RANKS)?;
        let (result, operand, indices) = (self.result()?, self.array(0)?, self.array(1)?);
        check_indexing(
            &SliceIndices {
                window_dims: &dims.offset_dims,
                missing_dims: &dims.collapsed_slice_dims,
                operand_batching: &dims.operand_batching_dims,
                indices_batching: &dims.start_indices_batching_dims,
                index_map: &dims.start_index_map,
                index_vector_dim: usize::try_from(dims.index_vector_dim).map_err(|_| RANKS)?,
            },
            operand,
            indices,
            result,
            |operand_dim, size| {
                let slice = dims.slice_sizes.get(operand_dim).copied();
                slice.is_some_and(|slice| {
                    slice <= operand.dims[operand_dim]
                        && size.is_none_or(|size| size == slice)
                        && (size.is_some() || slice == 1)
                })
            },
        )?;
        if dims.slice_sizes.len() != operand.rank() {
            return Err(RANKS);
        }
        Ok(Map::Gather(dims))
    }

    pub(super) fn scatter(&self, module: &Module, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(3)
            .map_err(|_| NoMap("it scatters several arrays at once"))?;
        let dims = instruction.scatter_dims().ok_or(RANKS)?;
        let (operand, indices, updates) = (self.array(0)?, self.array(1)?, self.array(2)?);
        check_indexing(
            &SliceIndices {
                window_dims: &dims.update_window_dims,
                missing_dims: &dims.inserted_window_dims,
                operand_batching: &dims.input_batching_dims,
                indices_batching: &dims.scatter_indices_batching_dims,
                index_map: &dims.scatter_dims_to_operand_dims,
                index_vector_dim: usize::try_from(dims.index_vector_dim).map_err(|_| RANKS)?,
            },
            operand,
            indices,
            updates,
            |operand_dim, size| size.unwrap_or(1) <= operand.dims[operand_dim],
        )?;
        if !operand.same_dims(self.result()?) || operand.element != updates.element {
            return Err(RANKS);
        }
        let op = combine_op(module, instruction)
            .ok_or(NoMap("its combiner is not a single known operation"))?;
        Ok(Map::Scatter(dims, op))
    }

    pub(super) fn sparse_dense(&self) -> Result<Map, NoMap> {
        self.count(4)?;
        let (result, dense) = (self.result()?, self.array(3)?);
        let (values, offsets, columns) = (self.array(0)?, self.array(1)?, self.array(2)?);
        let fits = values.rank() == 1
            && offsets.rank() == 1
            && values.dims == columns.dims
            && (1..=2).contains(&dense.rank())
            && result.rank() == dense.rank()
            && result.dims[1..] == dense.dims[1..]
            && offsets.dims[0].checked_sub(1) == Some(result.dims[0])
            && offsets.element.is_integer()
            && columns.element.is_integer()
            && values.element == result.element
            && dense.element == result.element;
        fits.then_some(Map::SparseDense).ok_or(RANKS)
    }

    pub(super) fn dynamic_slice(&self) -> Result<Map, NoMap> {
        let (result, operand) = (self.result()?, self.array(0)?);
        self.count(1 + operand.rank())?;
        let mut fits = result.rank() == operand.rank()
            && result
                .dims
                .iter()
                .zip(&operand.dims)
                .all(|(&taken, &n)| taken <= n);
        for start in 0..operand.rank() {
            let start = self.array(1 + start)?;
            fits &= start.rank() == 0 && start.element.is_integer();
        }
        fits.then_some(Map::DynamicSlice).ok_or(RANKS)
    }

    pub(super) fn reduce(&self, module: &Module, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)
            .map_err(|_| NoMap("it reduces several arrays at once"))?;
        let (result, operand, init) = (self.result()?, self.array(0)?, self.array(1)?);
        let dims = dimensions(
            instruction.integers("dimensions").unwrap_or(&[]),
            operand.rank(),
        )?;
        let kept = (0..operand.rank())
            .filter(|d| !dims.contains(d))
            .map(|d| operand.dims[d]);
        let fits = init.rank() == 0
            && init.element == result.element
            && operand.element == result.element
            && kept.eq(result.dims.iter().copied());
        if !fits {
            return Err(RANKS);
        }
        match combine_op(module, instruction) {
            None | Some(CombineOp::Replace | CombineOp::Sub) => {
                Err(NoMap("its combiner is not a single known operation"))
            }
            Some(op) => Ok(Map::Reduce(dims, op)),
        }
    }

    pub(super) fn dot(&self, instruction: &Instruction) -> Result<Map, NoMap> {
        self.count(2)?;
        let dims = instruction.dot_dims().ok_or(RANKS)?;
        let (result, lhs, rhs) = (self.result()?, self.array(0)?, self.array(1)?);
        let sizes = |array: &ArrayShape, batch: &[i64], contracting: &[i64]| {
            let used = dimensions(&[batch, contracting].concat(), array.rank())?;
            let size = |d: &usize| array.dims[*d];
            let free = (0..array.rank()).filter(|d| !used.contains(d));
            Ok::<_, NoMap>((
                used.iter().map(size).collect::<Vec<_>>(),
                free.map(|d| array.dims[d]).collect::<Vec<_>>(),
            ))
        };
        let (lhs_used, lhs_free) = sizes(lhs, &dims.lhs_batch, &dims.lhs_contracting)?;
        let (rhs_used, rhs_free) = sizes(rhs, &dims.rhs_batch, &dims.rhs_contracting)?;
        let batch = lhs_used.get(..dims.lhs_batch.len()).unwrap_or(&[]);
        let expected = batch.iter().chain(&lhs_free).chain(&rhs_free);
        let fits = lhs_used == rhs_used
            && dims.lhs_batch.len() == dims.rhs_batch.len()
            && expected.eq(&result.dims);
        if !fits {
            return Err(RANKS);
        }
        let holds = |from: PrimitiveType| match (element_type(from), element_type(result.element)) {
            (Some(from), Some(to)) => keeps_values(from, to),
            _ => false,
        };
        if !holds(lhs.element) || !holds(rhs.element) {
            return Err(NoMap("its result cannot hold the values of its operands"));
        }
        Ok(Map::Dot(dims))
    }
}

/// Checks dimension numbers against the shapes. `window_fits` is asked for every dimension of the
/// operand, with its window size in the slices unless the slices lack the dimension.
fn check_indexing(
    dims: &SliceIndices,
    operand: &ArrayShape,
    indices: &ArrayShape,
    slices: &ArrayShape,
    window_fits: impl Fn(usize, Option<i64>) -> bool,
) -> Result<(), NoMap> {
    if !indices.element.is_integer() {
        return Err(NoMap("its indices are not integers"));
    }
    let window_dims = dimensions(dims.window_dims, slices.rank())?;
    let missing = dimensions(
        &[dims.missing_dims, dims.operand_batching].concat(),
        operand.rank(),
    )?;
    let index_map = dimensions(dims.index_map, operand.rank())?;
    let indices_batching = dimensions(dims.indices_batching, indices.rank())?;
    let vector_dim = dims.index_vector_dim;
    let components = match indices.dims.get(vector_dim) {
        Some(&n) => n,
        None if vector_dim == indices.rank() => 1,
        None => return Err(RANKS),
    };
    let batch_sizes = indices.dims.iter().enumerate();
    let batch_sizes = batch_sizes
        .filter(|&(d, _)| d != vector_dim)
        .map(|(_, &n)| n);
    let slice_batch = slices.dims.iter().enumerate();
    let slice_batch = slice_batch
        .filter(|(d, _)| !window_dims.contains(d))
        .map(|(_, &n)| n);
    let fits = components == dims.index_map.len() as i64
        && batch_sizes.eq(slice_batch)
        && dims.window_dims.is_sorted()
        && dims.window_dims.len() + missing.len() == operand.rank()
        && dims.operand_batching.len() == dims.indices_batching.len()
        && !index_map
            .iter()
            .any(|d| dims.operand_batching.contains(&(*d as i64)))
        && !indices_batching.contains(&vector_dim)
        && dims
            .operand_batching
            .iter()
            .zip(&indices_batching)
            .all(|(&o, &i)| operand.dims.get(o as usize) == indices.dims.get(i));
    if !fits {
        return Err(RANKS);
    }
    let mut windows = window_dims.iter();
    for d in 0..operand.rank() {
        let size = match missing.contains(&d) {
            true => None,
            false => windows.next().map(|&w| slices.dims[w]),
        };
        if !window_fits(d, size) {
            return Err(RANKS);
        }
    }
    Ok(())
}
