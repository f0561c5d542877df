//! Operations that move elements without computing on them, and sources of values.

use super::{
    Inferred, Outcome, Rule, Site, array_of, broken, dims_fit, dims_in_rank, elements_fit, in_rank,
    is_dynamic, require, size_of, sizes_fit,
};
use crate::attribute::AttributeValue;
use crate::literal::Literal;
use crate::module::Payload;
use crate::shape::{ArrayShape, Layout, PrimitiveType, Shape};

pub(super) fn parameter(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(0)?;
    match (site.payload, site.stated) {
        (Payload::Parameter(_), Some(_)) => Ok(Outcome::Stated),
        (Payload::Parameter(_), None) => broken(Rule::Result, "a stated shape", "none"),
        (Payload::None | Payload::Constant(_), _) => {
            broken(Rule::Parameters, "a parameter number", "none")
        }
    }
}

pub(super) fn constant(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(0)?;
    let Payload::Constant(literal) = site.payload else {
        return broken(Rule::Result, "a constant's value", "none");
    };
    literal_is_complete(literal)?;
    let shape = literal.shape();
    match site.stated {
        Some(stated) if super::shapes_fit(stated, &shape) => Ok(Outcome::Stated),
        Some(stated) => broken(Rule::Result, shape.to_string(), stated),
        None => broken(Rule::Result, "a stated shape", "none"),
    }
}

fn literal_is_complete(literal: &Literal) -> Inferred<()> {
    match literal {
        Literal::Array { shape, data } => require(
            shape.byte_size() == Some(data.len()),
            Rule::Result,
            || format!("the bytes of {shape}"),
            || format!("{} bytes", data.len()),
        ),
        Literal::Tuple(elements) => elements.iter().try_for_each(literal_is_complete),
        Literal::Leading { .. } | Literal::Elided(_) | Literal::Token => Ok(()),
    }
}

pub(super) fn iota(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(0)?;
    let result = site.stated_array()?;
    require(
        result.element != PrimitiveType::Pred,
        Rule::ElementType,
        || "a number".to_owned(),
        || result.element.to_string(),
    )?;
    in_rank(
        "iota_dimension",
        site.integer("iota_dimension")?,
        result.rank(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn rng(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(2)?;
    let result = site.stated_array()?;
    for i in 0..2 {
        let parameter = site.scalar(i)?;
        require(
            parameter.element == result.element,
            Rule::ElementType,
            || format!("{} as operand {i}, like the result", result.element),
            || parameter.element.to_string(),
        )?;
    }
    let element = result.element;
    let (fits, expected) = match site.word("distribution") {
        Some("rng_normal") => (element.is_float(), "a floating element type"),
        _ => (
            !element.is_complex(),
            "a real, integer or pred element type",
        ),
    };
    require(
        fits,
        Rule::ElementType,
        || expected.to_owned(),
        || element.to_string(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn rng_bit_generator(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let state = site.operand(0)?;
    match site.stated {
        Some(Shape::Array(_)) => Ok(Outcome::Stated),
        Some(Shape::Tuple(parts)) if parts.len() == 2 => {
            require(
                super::shapes_fit(state, &parts[0]),
                Rule::Result,
                || format!("{state} as new state"),
                || parts[0].to_string(),
            )?;
            Ok(Outcome::Stated)
        }
        Some(other) => broken(Rule::Result, "(state, bits)", other),
        None => broken(Rule::Result, "a stated shape", "none"),
    }
}

pub(super) fn rng_get_and_update_state(site: &Site<'_>) -> Inferred<Shape> {
    site.count(0)?;
    Ok(Shape::Array(array_of(
        PrimitiveType::U64,
        vec![2],
        Vec::new(),
    )))
}

pub(super) fn broadcast(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let operand = site.array(0)?;
    let dims = site.integers("dimensions");
    require(
        dims.len() == operand.rank(),
        Rule::AttributeLength,
        || format!("{} dimensions, one for each of {operand}", operand.rank()),
        || dims.len().to_string(),
    )?;
    let Some(stated) = site.stated else {
        // Without a stated shape the operand's dimensions come last and the new ones are unknown.
        require(
            operand.rank() == 0,
            Rule::Result,
            || "a stated shape".to_owned(),
            || "none".to_owned(),
        )?;
        let scalar = array_of(operand.element, Vec::new(), Vec::new());
        return Ok(Outcome::Exactly(Shape::Array(scalar)));
    };
    let Shape::Array(result) = stated else {
        return broken(Rule::Result, "an array", stated);
    };
    require(
        result.element == operand.element,
        Rule::ElementType,
        || operand.element.to_string(),
        || result.element.to_string(),
    )?;
    for (from, to) in dims_in_rank("dimensions", dims, result.rank())?
        .into_iter()
        .enumerate()
    {
        let (size, wanted) = (size_of(operand, from), size_of(result, to));
        require(
            sizes_fit(size, wanted),
            Rule::Result,
            || format!("size {size} in dimension {to}, like dimension {from} of {operand}"),
            || result.to_string(),
        )?;
    }
    Ok(Outcome::Stated)
}

fn same_elements(operand: &ArrayShape, result: &ArrayShape) -> Inferred<()> {
    require(
        operand.element == result.element,
        Rule::ElementType,
        || operand.element.to_string(),
        || result.element.to_string(),
    )?;
    let (from, to) = (operand.element_count(), result.element_count());
    let unknown = operand.dims.contains(&ArrayShape::UNBOUNDED)
        || result.dims.contains(&ArrayShape::UNBOUNDED);
    require(
        unknown || from == to,
        Rule::Result,
        || format!("as many elements as {operand}"),
        || result.to_string(),
    )
}

pub(super) fn reshape(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    same_elements(site.array(0)?, site.stated_array()?)?;
    Ok(Outcome::Stated)
}

pub(super) fn dynamic_reshape(site: &Site<'_>) -> Inferred<Outcome> {
    let result = site.stated_array()?;
    site.count(1 + result.rank())?;
    for i in 1..=result.rank() {
        let size = site.scalar(i)?;
        require(
            size.element == PrimitiveType::S32,
            Rule::ElementType,
            || format!("s32 as operand {i}"),
            || size.element.to_string(),
        )?;
    }
    same_elements(site.array(0)?, result)?;
    Ok(Outcome::Stated)
}

pub(super) fn transpose(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    let permutation = site.integers("dimensions");
    require(
        permutation.len() == operand.rank(),
        Rule::AttributeLength,
        || format!("a permutation of {} dimensions", operand.rank()),
        || permutation.len().to_string(),
    )?;
    let permutation = dims_in_rank("dimensions", permutation, operand.rank())?;
    let mut result = array_of(
        operand.element,
        permutation.iter().map(|&d| size_of(operand, d)).collect(),
        permutation
            .iter()
            .map(|&d| is_dynamic(operand, d))
            .collect(),
    );
    if let Some(layout) = &operand.layout {
        // No element moves in memory: the result's dimensions lie as those of the operand do.
        let moved = |&dim: &i64| permutation.iter().position(|&d| d as i64 == dim);
        let minor_to_major = layout.minor_to_major.iter().filter_map(moved);
        result.layout = Some(Layout {
            minor_to_major: minor_to_major.map(|d| d as i64).collect(),
            suffix: layout.suffix.clone(),
        });
    }
    Ok(Shape::Array(result))
}

pub(super) fn reverse(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    dims_in_rank("dimensions", site.integers("dimensions"), operand.rank())?;
    Ok(Shape::Array(operand.clone()))
}

pub(super) fn slice(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    let Some(AttributeValue::Slices(slices)) = site.value("slice") else {
        return broken(Rule::AttributeRange, "`slice`", "none");
    };
    require(
        slices.len() == operand.rank(),
        Rule::AttributeLength,
        || format!("{} ranges, one a dimension", operand.rank()),
        || slices.len().to_string(),
    )?;
    let mut dims = Vec::with_capacity(slices.len());
    for (dim, &(start, limit, stride)) in slices.iter().enumerate() {
        let size = size_of(operand, dim);
        require(
            0 <= start && start <= limit && (limit <= size || size == ArrayShape::UNBOUNDED),
            Rule::Bounds,
            || format!("a range inside [0:{size}] in dimension {dim}"),
            || format!("[{start}:{limit}]"),
        )?;
        require(
            stride > 0,
            Rule::AttributeRange,
            || format!("a positive stride in dimension {dim}"),
            || stride.to_string(),
        )?;
        dims.push((limit - start + stride - 1) / stride);
    }
    let dynamic = (0..operand.rank())
        .map(|d| is_dynamic(operand, d) && size_of(operand, d) == dims.get(d).copied().unwrap_or(0))
        .collect();
    Ok(Shape::Array(array_of(operand.element, dims, dynamic)))
}

/// Start indices: a scalar for each dimension, or one array of all.
fn starts(site: &Site<'_>, first: usize, operand: &ArrayShape) -> Inferred<()> {
    if site.operands.len() == first + 1 && site.array(first)?.rank() == 1 {
        let start = site.array(first)?;
        return require(
            start.element.is_integer() && sizes_fit(size_of(start, 0), operand.rank() as i64),
            Rule::Dimensions,
            || format!("{} integers as start indices", operand.rank()),
            || start.to_string(),
        );
    }
    site.count(first + operand.rank())?;
    for i in first..site.operands.len() {
        let start = site.scalar(i)?;
        require(
            start.element.is_integer(),
            Rule::ElementType,
            || format!("an integer as operand {i}"),
            || start.element.to_string(),
        )?;
    }
    Ok(())
}

pub(super) fn dynamic_slice(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(1)?;
    let operand = site.array(0)?;
    starts(site, 1, operand)?;
    let sizes = site.integers("dynamic_slice_sizes");
    require(
        sizes.len() == operand.rank(),
        Rule::AttributeLength,
        || format!("{} slice sizes, one a dimension", operand.rank()),
        || sizes.len().to_string(),
    )?;
    for (dim, &size) in sizes.iter().enumerate() {
        let limit = size_of(operand, dim);
        require(
            size >= 0 && (size <= limit || limit == ArrayShape::UNBOUNDED),
            Rule::Bounds,
            || format!("a size up to {limit} in dimension {dim}"),
            || size.to_string(),
        )?;
    }
    let dynamic = (0..operand.rank())
        .map(|d| is_dynamic(operand, d) && sizes.get(d) == operand.dims.get(d))
        .collect();
    Ok(Shape::Array(array_of(
        operand.element,
        sizes.to_vec(),
        dynamic,
    )))
}

pub(super) fn dynamic_update_slice(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(2)?;
    let (operand, update) = (site.array(0)?, site.array(1)?);
    starts(site, 2, operand)?;
    require(
        elements_fit(operand.element, update.element),
        Rule::ElementType,
        || operand.element.to_string(),
        || update.element.to_string(),
    )?;
    require(
        operand.rank() == update.rank()
            && update
                .dims
                .iter()
                .zip(&operand.dims)
                .all(|(&u, &o)| u <= o || o == ArrayShape::UNBOUNDED),
        Rule::Bounds,
        || format!("an update that fits into {operand}"),
        || update.to_string(),
    )?;
    Ok(Shape::Array(operand.clone()))
}

pub(super) fn concatenate(site: &Site<'_>) -> Inferred<Shape> {
    site.at_least(1)?;
    let operands = site.arrays(0..site.operands.len())?;
    let Some(first) = operands.first() else {
        return broken(Rule::OperandCount, "at least one operand", 0);
    };
    let along = site.dimension(first.rank())?;
    let mut dims = first.dims.clone();
    let mut total: i64 = 0;
    let mut element = first.element;
    for (i, operand) in operands.iter().enumerate() {
        require(
            elements_fit(operand.element, element),
            Rule::ElementType,
            || element.to_string(),
            || format!("{} as operand {i}", operand.element),
        )?;
        element = super::wider(element, operand.element);
        let mut expected = first.dims.clone();
        if let Some(size) = expected.get_mut(along) {
            *size = size_of(operand, along);
        }
        require(
            dims_fit(&operand.dims, &expected),
            Rule::Dimensions,
            || format!("the dimensions of {first} except dimension {along}"),
            || format!("{operand} as operand {i}"),
        )?;
        total = total.saturating_add(size_of(operand, along));
    }
    if let Some(size) = dims.get_mut(along) {
        *size = if operands
            .iter()
            .any(|o| size_of(o, along) == ArrayShape::UNBOUNDED)
        {
            ArrayShape::UNBOUNDED
        } else {
            total
        };
    }
    let dynamic = (0..first.rank())
        .map(|d| operands.iter().any(|o| is_dynamic(o, d)))
        .collect();
    Ok(Shape::Array(array_of(element, dims, dynamic)))
}

pub(super) fn pad(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let operand = site.array(0)?;
    let value = site.scalar(1)?;
    require(
        elements_fit(operand.element, value.element),
        Rule::ElementType,
        || format!("{} as padding value", operand.element),
        || value.element.to_string(),
    )?;
    let Some(AttributeValue::Padding(padding)) = site.value("padding") else {
        return broken(Rule::AttributeRange, "`padding`", "none");
    };
    require(
        padding.len() == operand.rank(),
        Rule::AttributeLength,
        || format!("padding of {} dimensions", operand.rank()),
        || padding.len().to_string(),
    )?;
    let mut dims = Vec::with_capacity(padding.len());
    for (dim, &(low, high, interior)) in padding.iter().enumerate() {
        let size = size_of(operand, dim);
        if size == ArrayShape::UNBOUNDED {
            dims.push(size);
            continue;
        }
        require(
            interior >= 0,
            Rule::AttributeRange,
            || format!("interior padding of at least 0 in dimension {dim}"),
            || interior.to_string(),
        )?;
        let between = size.saturating_sub(1).max(0).saturating_mul(interior);
        let padded = size
            .saturating_add(between)
            .saturating_add(low)
            .saturating_add(high);
        require(
            padded >= 0,
            Rule::Bounds,
            || format!("no more than {size} elements removed in dimension {dim}"),
            || format!("{low}_{high}"),
        )?;
        dims.push(padded);
    }
    let dynamic = (0..operand.rank())
        .map(|d| is_dynamic(operand, d))
        .collect();
    Ok(Shape::Array(array_of(operand.element, dims, dynamic)))
}

pub(super) fn get_dimension_size(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    site.dimension(site.array(0)?.rank())?;
    Ok(Shape::Array(ArrayShape::new(PrimitiveType::S32, [])))
}

pub(super) fn set_dimension_size(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let operand = site.array(0)?;
    let dim = site.dimension(operand.rank())?;
    let size = site.scalar(1)?;
    require(
        size.element == PrimitiveType::S32,
        Rule::ElementType,
        || "s32 as operand 1".to_owned(),
        || size.element.to_string(),
    )?;
    let mut result = operand.clone();
    result.dynamic.resize(operand.rank(), false);
    // The result may be stated to be static: then the size set is the bound.
    let stays_dynamic = match site.stated {
        Some(Shape::Array(stated)) => is_dynamic(stated, dim),
        _ => true,
    };
    if let Some(flag) = result.dynamic.get_mut(dim) {
        *flag = stays_dynamic;
    }
    if !result.is_dynamic() {
        result.dynamic.clear();
    }
    Ok(Shape::Array(result))
}

pub(super) fn topk(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    let k = site.integer("k")?;
    let Some((&last, rest)) = operand.dims.split_last() else {
        return broken(Rule::Dimensions, "at least one dimension", operand);
    };
    require(
        k >= 0 && (k <= last || last == ArrayShape::UNBOUNDED),
        Rule::Bounds,
        || format!("k up to {last}"),
        || k.to_string(),
    )?;
    let mut dims = rest.to_vec();
    dims.push(k);
    Ok(Shape::Tuple(vec![
        Shape::Array(array_of(operand.element, dims.clone(), Vec::new())),
        Shape::Array(array_of(PrimitiveType::S32, dims, Vec::new())),
    ]))
}
