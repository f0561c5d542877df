//! Operations on windows of arrays: gather, scatter, reductions.

use super::{
    Inferred, Rule, Site, array_of, broken, dims_fit, dims_in_rank, elements_fit, is_dynamic,
    require, size_of, sizes_fit,
};
use crate::attribute::{AttributeValue, WindowDim};
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Dimensions within the rank, ascending.
fn ascending(what: &str, dims: &[i64], rank: usize) -> Inferred<Vec<usize>> {
    let dims_in = dims_in_rank(what, dims, rank)?;
    require(
        dims_in.is_sorted(),
        Rule::AttributeRange,
        || format!("ascending `{what}`"),
        || format!("{dims:?}"),
    )?;
    Ok(dims_in)
}

/// The indices of a gather or scatter, the part of a start position in `index_vector_dim`.
struct Indices<'m> {
    shape: &'m ArrayShape,
    vector_dim: usize,
}

impl<'m> Indices<'m> {
    fn new(site: &Site<'m>, operand: usize) -> Inferred<Self> {
        let shape = site.array(operand)?;
        require(
            shape.element.is_integer(),
            Rule::ElementType,
            || "integer indices".to_owned(),
            || shape.element.to_string(),
        )?;
        let dim = site.integer("index_vector_dim")?;
        match usize::try_from(dim) {
            Ok(vector_dim) if vector_dim <= shape.rank() => Ok(Indices { shape, vector_dim }),
            _ => broken(
                Rule::AttributeRange,
                format!("`index_vector_dim` of at most {}", shape.rank()),
                dim,
            ),
        }
    }

    /// Length of one start position.
    fn vector_len(&self) -> i64 {
        if self.vector_dim == self.shape.rank() {
            1
        } else {
            size_of(self.shape, self.vector_dim)
        }
    }

    /// Dimensions that number the start positions.
    fn batch(&self) -> Vec<usize> {
        (0..self.shape.rank())
            .filter(|&d| d != self.vector_dim)
            .collect()
    }

    fn check_map(&self, what: &str, map: &[i64], rank: usize) -> Inferred<()> {
        require(
            sizes_fit(self.vector_len(), map.len() as i64),
            Rule::AttributeLength,
            || {
                format!(
                    "{} entries in `{what}`, one for each index",
                    self.vector_len()
                )
            },
            || map.len().to_string(),
        )?;
        dims_in_rank(what, map, rank).map(|_| ())
    }

    /// Batching dimensions pair up with equal sizes.
    fn check_batching(
        &self,
        operand: &ArrayShape,
        operand_dims: &[usize],
        what: &str,
        indices_dims: &[i64],
    ) -> Inferred<()> {
        require(
            operand_dims.len() == indices_dims.len(),
            Rule::AttributeLength,
            || format!("{} dimensions in `{what}`", operand_dims.len()),
            || indices_dims.len().to_string(),
        )?;
        let dims = dims_in_rank(what, indices_dims, self.shape.rank())?;
        for (&from, &to) in operand_dims.iter().zip(&dims) {
            require(
                to != self.vector_dim && sizes_fit(size_of(operand, from), size_of(self.shape, to)),
                Rule::Dimensions,
                || {
                    format!(
                        "size {} in dimension {to} of the indices",
                        size_of(operand, from)
                    )
                },
                || self.shape.to_string(),
            )?;
        }
        Ok(())
    }
}

/// No dimension is in two lists.
fn disjoint(lists: &[(&str, &[usize])]) -> Inferred<()> {
    for (i, (what, list)) in lists.iter().enumerate() {
        for (other, others) in lists.iter().skip(i + 1) {
            require(
                !list.iter().any(|d| others.contains(d)),
                Rule::AttributeRange,
                || format!("`{what}` and `{other}` without a common dimension"),
                || format!("{list:?} and {others:?}"),
            )?;
        }
    }
    Ok(())
}

fn map_dims(what: &str, map: &[i64], rank: usize) -> Inferred<Vec<usize>> {
    dims_in_rank(what, map, rank)
}

pub(super) fn gather(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let operand = site.array(0)?;
    let rank = operand.rank();
    let indices = Indices::new(site, 1)?;
    let map = site.integers("start_index_map");
    indices.check_map("start_index_map", map, rank)?;
    let collapsed = ascending(
        "collapsed_slice_dims",
        site.integers("collapsed_slice_dims"),
        rank,
    )?;
    let batching = ascending(
        "operand_batching_dims",
        site.integers("operand_batching_dims"),
        rank,
    )?;
    disjoint(&[
        ("collapsed_slice_dims", &collapsed),
        ("operand_batching_dims", &batching),
    ])?;
    disjoint(&[
        ("start_index_map", &map_dims("start_index_map", map, rank)?),
        ("operand_batching_dims", &batching),
    ])?;
    indices.check_batching(
        operand,
        &batching,
        "start_indices_batching_dims",
        site.integers("start_indices_batching_dims"),
    )?;
    let sizes = site.integers("slice_sizes");
    require(
        sizes.len() == rank,
        Rule::AttributeLength,
        || format!("{rank} slice sizes, one a dimension"),
        || sizes.len().to_string(),
    )?;
    let mut window = Vec::new();
    for (dim, &size) in sizes.iter().enumerate() {
        let limit = size_of(operand, dim);
        require(
            size >= 0 && (size <= limit || limit == ArrayShape::UNBOUNDED),
            Rule::Bounds,
            || format!("a slice size up to {limit} in dimension {dim}"),
            || size.to_string(),
        )?;
        if collapsed.contains(&dim) || batching.contains(&dim) {
            require(
                size <= 1,
                Rule::Bounds,
                || format!("slice size 1 in dimension {dim}, which the result does not have"),
                || size.to_string(),
            )?;
        } else {
            window.push((size, is_dynamic(operand, dim) && size == limit));
        }
    }
    let batch = indices.batch();
    let result_rank = batch.len() + window.len();
    let offset = site.integers("offset_dims");
    require(
        offset.len() == window.len(),
        Rule::AttributeLength,
        || format!("{} dimensions in `offset_dims`", window.len()),
        || offset.len().to_string(),
    )?;
    let offset = ascending("offset_dims", offset, result_rank)?;
    let mut batch = batch
        .into_iter()
        .map(|d| (size_of(indices.shape, d), is_dynamic(indices.shape, d)));
    let mut window = window.into_iter();
    let (dims, dynamic) = (0..result_rank)
        .filter_map(|d| {
            if offset.contains(&d) {
                window.next()
            } else {
                batch.next()
            }
        })
        .unzip();
    Ok(Shape::Array(array_of(operand.element, dims, dynamic)))
}

pub(super) fn scatter(site: &Site<'_>) -> Inferred<Shape> {
    let count = site.operands.len();
    require(
        count >= 3 && count % 2 == 1,
        Rule::OperandCount,
        || "operands, indices and as many updates as operands".to_owned(),
        || count.to_string(),
    )?;
    let n = count / 2;
    let operands = site.arrays(0..n)?;
    let updates = site.arrays(n + 1..count)?;
    let (Some(&operand), Some(&update)) = (operands.first(), updates.first()) else {
        return broken(Rule::OperandCount, "at least one operand", 0);
    };
    for (i, (&o, &u)) in operands.iter().zip(&updates).enumerate() {
        require(
            dims_fit(&o.dims, &operand.dims) && dims_fit(&u.dims, &update.dims),
            Rule::Dimensions,
            || format!("operands like {operand} and updates like {update}"),
            || format!("{o} and {u} as pair {i}"),
        )?;
        require(
            elements_fit(o.element, u.element),
            Rule::ElementType,
            || format!("updates of type {}", o.element),
            || u.element.to_string(),
        )?;
    }
    let rank = operand.rank();
    let indices = Indices::new(site, n)?;
    let map = site.integers("scatter_dims_to_operand_dims");
    indices.check_map("scatter_dims_to_operand_dims", map, rank)?;
    let inserted = ascending(
        "inserted_window_dims",
        site.integers("inserted_window_dims"),
        rank,
    )?;
    let batching = ascending(
        "input_batching_dims",
        site.integers("input_batching_dims"),
        rank,
    )?;
    disjoint(&[
        ("inserted_window_dims", &inserted),
        ("input_batching_dims", &batching),
    ])?;
    disjoint(&[
        (
            "scatter_dims_to_operand_dims",
            &map_dims("scatter_dims_to_operand_dims", map, rank)?,
        ),
        ("input_batching_dims", &batching),
    ])?;
    indices.check_batching(
        operand,
        &batching,
        "scatter_indices_batching_dims",
        site.integers("scatter_indices_batching_dims"),
    )?;
    let batch = indices.batch();
    let window_dims = site.integers("update_window_dims");
    let window_rank = rank - inserted.len() - batching.len();
    require(
        window_dims.len() == window_rank,
        Rule::AttributeLength,
        || format!("{window_rank} dimensions in `update_window_dims`"),
        || window_dims.len().to_string(),
    )?;
    let update_rank = batch.len() + window_rank;
    require(
        update.rank() == update_rank,
        Rule::Dimensions,
        || format!("updates of {update_rank} dimensions"),
        || update.to_string(),
    )?;
    let window_dims = ascending("update_window_dims", window_dims, update_rank)?;
    let windowed = (0..rank).filter(|d| !inserted.contains(d) && !batching.contains(d));
    for (from, &to) in windowed.zip(&window_dims) {
        let (limit, size) = (size_of(operand, from), size_of(update, to));
        require(
            size <= limit || limit == ArrayShape::UNBOUNDED,
            Rule::Bounds,
            || format!("at most {limit} in dimension {to} of the updates"),
            || update.to_string(),
        )?;
    }
    let scattered = (0..update_rank).filter(|d| !window_dims.contains(d));
    for (from, to) in batch.into_iter().zip(scattered) {
        let size = size_of(indices.shape, from);
        require(
            sizes_fit(size, size_of(update, to)),
            Rule::Dimensions,
            || format!("{size} in dimension {to} of the updates, like the indices"),
            || update.to_string(),
        )?;
    }
    reducer(site, "to_apply", &operands, &updates)?;
    Ok(if n == 1 {
        Shape::Array(operand.clone())
    } else {
        Shape::Tuple(operands.into_iter().cloned().map(Shape::Array).collect())
    })
}

/// A combiner takes a scalar for each accumulator and each value and returns accumulators.
fn reducer(
    site: &Site<'_>,
    attribute: &str,
    accumulators: &[&ArrayShape],
    values: &[&ArrayShape],
) -> Inferred<()> {
    let (parameters, result) = site.signature(attribute)?;
    let wanted = accumulators.len() + values.len();
    require(
        parameters.len() == wanted,
        Rule::Signature,
        || format!("{wanted} parameters of `{attribute}`"),
        || parameters.len().to_string(),
    )?;
    let fits = |shape: &Shape, element: PrimitiveType| {
        shape
            .as_array()
            .is_some_and(|a| a.rank() == 0 && elements_fit(a.element, element))
    };
    for (i, (parameter, array)) in parameters
        .iter()
        .zip(accumulators.iter().chain(values))
        .enumerate()
    {
        require(
            fits(parameter, array.element),
            Rule::Signature,
            || format!("{}[] as parameter {i} of `{attribute}`", array.element),
            || parameter.to_string(),
        )?;
    }
    let results: Vec<&Shape> = match result {
        Shape::Tuple(elements) => elements.iter().collect(),
        other => vec![other],
    };
    require(
        results.len() == accumulators.len()
            && results
                .iter()
                .zip(accumulators)
                .all(|(r, a)| fits(r, a.element)),
        Rule::Signature,
        || {
            let scalars: Vec<String> = accumulators
                .iter()
                .map(|a| format!("{}[]", a.element))
                .collect();
            format!("{} as result of `{attribute}`", scalars.join(", "))
        },
        || result.to_string(),
    )
}

/// Inputs and initial values of a reduction.
fn inputs<'m>(site: &Site<'m>) -> Inferred<(Vec<&'m ArrayShape>, Vec<&'m ArrayShape>)> {
    let count = site.operands.len();
    require(
        count >= 2 && count.is_multiple_of(2),
        Rule::OperandCount,
        || "as many initial values as inputs".to_owned(),
        || count.to_string(),
    )?;
    let inputs = site.arrays(0..count / 2)?;
    let inits = site.arrays(count / 2..count)?;
    for (i, (input, init)) in inputs.iter().zip(&inits).enumerate() {
        require(
            init.rank() == 0,
            Rule::Dimensions,
            || format!("a scalar as initial value {i}"),
            || init.to_string(),
        )?;
        require(
            elements_fit(input.element, init.element),
            Rule::ElementType,
            || format!("{} as initial value {i}", input.element),
            || init.element.to_string(),
        )?;
        if let Some(first) = inputs.first() {
            require(
                dims_fit(&first.dims, &input.dims),
                Rule::Dimensions,
                || format!("inputs of the dimensions of {first}"),
                || format!("{input} as input {i}"),
            )?;
        }
    }
    Ok((inputs, inits))
}

/// One array of each initial value's type, with these dimensions.
fn results(inits: &[&ArrayShape], dims: &[i64], dynamic: &[bool]) -> Shape {
    let mut arrays = inits
        .iter()
        .map(|init| Shape::Array(array_of(init.element, dims.to_vec(), dynamic.to_vec())));
    match (inits.len(), arrays.next()) {
        (1, Some(only)) => only,
        (_, first) => Shape::Tuple(first.into_iter().chain(arrays).collect()),
    }
}

/// The initial values with the element types that the combiner returns.
fn accumulators(
    site: &Site<'_>,
    attribute: &str,
    inits: &[&ArrayShape],
) -> Inferred<Vec<ArrayShape>> {
    let (_, result) = site.signature(attribute)?;
    let returned: Vec<&Shape> = match result {
        Shape::Tuple(elements) => elements.iter().collect(),
        other => vec![other],
    };
    Ok(inits
        .iter()
        .enumerate()
        .map(|(i, init)| {
            let element = returned
                .get(i)
                .and_then(|s| s.as_array())
                .map_or(init.element, |a| a.element);
            super::with_element(init, element)
        })
        .collect())
}

pub(super) fn reduce(site: &Site<'_>) -> Inferred<Shape> {
    let (inputs, inits) = inputs(site)?;
    let Some(first) = inputs.first() else {
        return broken(Rule::OperandCount, "at least one input", 0);
    };
    let reduced = dims_in_rank("dimensions", site.integers("dimensions"), first.rank())?;
    reducer(site, "to_apply", &inits, &inputs)?;
    let kept: Vec<usize> = (0..first.rank()).filter(|d| !reduced.contains(d)).collect();
    let dims: Vec<i64> = kept.iter().map(|&d| size_of(first, d)).collect();
    let dynamic: Vec<bool> = kept.iter().map(|&d| is_dynamic(first, d)).collect();
    let accumulators = accumulators(site, "to_apply", &inits)?;
    Ok(results(
        &accumulators.iter().collect::<Vec<_>>(),
        &dims,
        &dynamic,
    ))
}

/// The window of an operation on arrays of `rank` dimensions; trivial when absent.
pub(super) fn window(site: &Site<'_>, rank: usize) -> Inferred<Vec<WindowDim>> {
    let dims = match site.value("window") {
        Some(AttributeValue::Window(dims)) => dims.clone(),
        _ => Vec::new(),
    };
    require(
        dims.len() == rank,
        Rule::AttributeLength,
        || format!("a window of {rank} dimensions"),
        || dims.len().to_string(),
    )?;
    for (i, dim) in dims.iter().enumerate() {
        require(
            dim.size > 0 && dim.stride > 0 && dim.window_dilation > 0 && dim.base_dilation > 0,
            Rule::AttributeRange,
            || format!("positive size, stride and dilation in window dimension {i}"),
            || format!("{dim:?}"),
        )?;
    }
    Ok(dims)
}

/// Extent of `size` elements spread `dilation` apart.
fn dilated(size: i64, dilation: i64) -> i64 {
    if size == 0 {
        0
    } else {
        (size - 1).saturating_mul(dilation).saturating_add(1)
    }
}

/// How many windows fit into a dimension.
pub(super) fn window_count(size: i64, dim: &WindowDim) -> i64 {
    if size == ArrayShape::UNBOUNDED {
        return size;
    }
    let base = dilated(size, dim.base_dilation)
        .saturating_add(dim.padding_low)
        .saturating_add(dim.padding_high);
    let window = dilated(dim.size, dim.window_dilation);
    if base < window || base <= 0 {
        0
    } else {
        (base - window) / dim.stride + 1
    }
}

pub(super) fn reduce_window(site: &Site<'_>) -> Inferred<Shape> {
    let (inputs, inits) = inputs(site)?;
    let Some(first) = inputs.first() else {
        return broken(Rule::OperandCount, "at least one input", 0);
    };
    let window = window(site, first.rank())?;
    reducer(site, "to_apply", &inits, &inputs)?;
    let dims: Vec<i64> = first
        .dims
        .iter()
        .zip(&window)
        .map(|(&size, dim)| window_count(size, dim))
        .collect();
    let dynamic: Vec<bool> = (0..first.rank()).map(|d| is_dynamic(first, d)).collect();
    let accumulators = accumulators(site, "to_apply", &inits)?;
    Ok(results(
        &accumulators.iter().collect::<Vec<_>>(),
        &dims,
        &dynamic,
    ))
}

pub(super) fn select_and_scatter(site: &Site<'_>) -> Inferred<Shape> {
    site.count(3)?;
    let (operand, source, init) = (site.array(0)?, site.array(1)?, site.scalar(2)?);
    let window = window(site, operand.rank())?;
    let dims: Vec<i64> = operand
        .dims
        .iter()
        .zip(&window)
        .map(|(&size, dim)| window_count(size, dim))
        .collect();
    require(
        dims_fit(&source.dims, &dims),
        Rule::Dimensions,
        || format!("a source of dimensions {dims:?}, one element for each window"),
        || source.to_string(),
    )?;
    let (parameters, result) = site.signature("select")?;
    require(
        parameters.len() == 2
            && result
                .as_array()
                .is_some_and(|r| r.element == PrimitiveType::Pred && r.rank() == 0),
        Rule::Signature,
        || "two scalars to pred[] as `select`".to_owned(),
        || format!("{} parameters to {result}", parameters.len()),
    )?;
    reducer(site, "scatter", &[init], &[source])?;
    Ok(Shape::Array(operand.clone()))
}
