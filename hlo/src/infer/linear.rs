//! Linear algebra, convolution, Fourier transform and normalisation.

use super::windows::{window, window_count};
use super::{
    Inferred, Outcome, Rule, Site, array_of, broken, dims_fit, dims_in_rank, elements_fit,
    is_dynamic, require, shapes_fit, size_of, sizes_fit, wider, with_element,
};
use crate::attribute::{AttributeValue, ConvolutionDims};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// The dimensions of one side of a dot that are neither batch nor contracted.
fn free(rank: usize, batch: &[usize], contracted: &[usize]) -> Vec<usize> {
    (0..rank)
        .filter(|d| !batch.contains(d) && !contracted.contains(d))
        .collect()
}

/// Batch and contracted dimensions of both sides, checked against each other.
struct Pairing {
    lhs_batch: Vec<usize>,
    rhs_batch: Vec<usize>,
    lhs_contracted: Vec<usize>,
    rhs_contracted: Vec<usize>,
}

impl Pairing {
    fn new(site: &Site<'_>, lhs: &ArrayShape, rhs: &ArrayShape) -> Inferred<Self> {
        let read =
            |name: &str, array: &ArrayShape| dims_in_rank(name, site.integers(name), array.rank());
        let pairing = Pairing {
            lhs_batch: read("lhs_batch_dims", lhs)?,
            rhs_batch: read("rhs_batch_dims", rhs)?,
            lhs_contracted: read("lhs_contracting_dims", lhs)?,
            rhs_contracted: read("rhs_contracting_dims", rhs)?,
        };
        for (what, left, right) in [
            ("batch", &pairing.lhs_batch, &pairing.rhs_batch),
            (
                "contracting",
                &pairing.lhs_contracted,
                &pairing.rhs_contracted,
            ),
        ] {
            require(
                left.len() == right.len(),
                Rule::AttributeLength,
                || format!("as many {what} dimensions on both sides"),
                || format!("{} and {}", left.len(), right.len()),
            )?;
            for (&l, &r) in left.iter().zip(right) {
                require(
                    sizes_fit(size_of(lhs, l), size_of(rhs, r)),
                    Rule::Dimensions,
                    || format!("equal sizes of {what} dimensions {l} and {r}"),
                    || format!("{lhs} and {rhs}"),
                )?;
            }
        }
        for (what, batch, contracted) in [
            ("lhs", &pairing.lhs_batch, &pairing.lhs_contracted),
            ("rhs", &pairing.rhs_batch, &pairing.rhs_contracted),
        ] {
            require(
                !batch.iter().any(|d| contracted.contains(d)),
                Rule::AttributeRange,
                || format!("{what} dimensions that are batch or contracting, not both"),
                || format!("{batch:?} and {contracted:?}"),
            )?;
        }
        Ok(pairing)
    }

    fn result(&self, lhs: &ArrayShape, rhs: &ArrayShape, element: PrimitiveType) -> ArrayShape {
        let left = self
            .lhs_batch
            .iter()
            .copied()
            .chain(free(lhs.rank(), &self.lhs_batch, &self.lhs_contracted))
            .map(|d| (size_of(lhs, d), is_dynamic(lhs, d)));
        let right = free(rhs.rank(), &self.rhs_batch, &self.rhs_contracted)
            .into_iter()
            .map(|d| (size_of(rhs, d), is_dynamic(rhs, d)));
        let (dims, dynamic) = left.chain(right).unzip();
        array_of(element, dims, dynamic)
    }
}

/// The inferred array, of whichever element type the text states: products accumulate in a type
/// that the author chooses.
fn any_element(site: &Site<'_>, inferred: ArrayShape) -> Inferred<Outcome> {
    match site.stated {
        None => Ok(Outcome::Exactly(Shape::Array(inferred))),
        Some(Shape::Array(stated)) if dims_fit(&stated.dims, &inferred.dims) => Ok(Outcome::Stated),
        Some(stated) => broken(Rule::Result, inferred.to_string(), stated),
    }
}

pub(super) fn dot(site: &Site<'_>) -> Inferred<Outcome> {
    site.at_least(2)?;
    let (lhs, rhs) = (site.array(0)?, site.array(1)?);
    let pairing = Pairing::new(site, lhs, rhs)?;
    any_element(
        site,
        pairing.result(lhs, rhs, wider(lhs.element, rhs.element)),
    )
}

pub(super) fn scaled_dot(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(4)?;
    let (lhs, rhs) = (site.array(0)?, site.array(1)?);
    site.array(2)?;
    site.array(3)?;
    let pairing = Pairing::new(site, lhs, rhs)?;
    any_element(site, pairing.result(lhs, rhs, PrimitiveType::F32))
}

pub(super) fn ragged_dot(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(3)?;
    let (lhs, rhs, sizes) = (site.array(0)?, site.array(1)?, site.array(2)?);
    require(
        sizes.element.is_integer(),
        Rule::ElementType,
        || "integer group sizes".to_owned(),
        || sizes.element.to_string(),
    )?;
    let ragged = dims_in_rank(
        "lhs_ragged_dims",
        site.integers("lhs_ragged_dims"),
        lhs.rank(),
    )?;
    let groups = dims_in_rank(
        "rhs_group_dims",
        site.integers("rhs_group_dims"),
        rhs.rank(),
    )?;
    require(
        ragged.len() == 1 && groups.len() <= 1,
        Rule::AttributeLength,
        || "one ragged dimension and at most one group dimension".to_owned(),
        || format!("{} and {}", ragged.len(), groups.len()),
    )?;
    let pairing = Pairing::new(site, lhs, rhs)?;
    let mut result = pairing.result(lhs, rhs, wider(lhs.element, rhs.element));
    if let Some(&group) = groups.first() {
        // Each row of the result uses one group: the group dimension is not in it.
        let before = free(rhs.rank(), &pairing.rhs_batch, &pairing.rhs_contracted)
            .into_iter()
            .filter(|&d| d < group)
            .count();
        let left = lhs.rank() - pairing.lhs_contracted.len();
        if left + before < result.dims.len() {
            result.dims.remove(left + before);
        }
        result = array_of(result.element, result.dims, Vec::new());
    } else if let Some(&ragged) = ragged.first()
        && pairing.lhs_contracted.contains(&ragged)
    {
        // A ragged contracted dimension yields one product a group.
        let groups = sizes.dims.last().copied().unwrap_or(1);
        result.dims.insert(0, groups);
        result = array_of(result.element, result.dims, Vec::new());
    }
    any_element(site, result)
}

pub(super) fn convolution(site: &Site<'_>) -> Inferred<Outcome> {
    site.at_least(2)?;
    let (lhs, rhs) = (site.array(0)?, site.array(1)?);
    let Some(AttributeValue::ConvolutionDims(dims)) = site.value("dim_labels") else {
        return broken(Rule::AttributeRange, "`dim_labels`", "none");
    };
    let ConvolutionDims {
        input_batch: Some(input_batch),
        input_feature: Some(input_feature),
        kernel_input_feature: Some(kernel_in),
        kernel_output_feature: Some(kernel_out),
        output_batch: Some(output_batch),
        output_feature: Some(output_feature),
        ..
    } = **dims
    else {
        return broken(
            Rule::AttributeRange,
            "batch and feature dimensions of input, kernel and output",
            "`?`",
        );
    };
    let spatial = dims.input_spatial.len();
    let rank = spatial + 2;
    require(
        lhs.rank() == rank && rhs.rank() == rank,
        Rule::Dimensions,
        || format!("operands of {rank} dimensions, like `dim_labels`"),
        || format!("{lhs} and {rhs}"),
    )?;
    let size = |array: &ArrayShape, dim: i64| usize::try_from(dim).map_or(1, |d| size_of(array, d));
    let feature_groups = site.integer_or("feature_group_count", 1);
    let batch_groups = site.integer_or("batch_group_count", 1);
    require(
        feature_groups > 0 && batch_groups > 0,
        Rule::AttributeRange,
        || "positive group counts".to_owned(),
        || format!("{feature_groups} and {batch_groups}"),
    )?;
    let features = size(lhs, input_feature);
    let outputs = size(rhs, kernel_out);
    let batches = size(lhs, input_batch);
    let unknown =
        [features, outputs, batches, size(rhs, kernel_in)].contains(&ArrayShape::UNBOUNDED);
    require(
        unknown || features == size(rhs, kernel_in).saturating_mul(feature_groups),
        Rule::Dimensions,
        || format!("{features} input features, kernel features times {feature_groups} groups"),
        || format!("{} kernel features", size(rhs, kernel_in)),
    )?;
    require(
        unknown || (outputs % feature_groups == 0 && outputs % batch_groups == 0),
        Rule::Dimensions,
        || format!("output features divisible by {feature_groups} and {batch_groups} groups"),
        || outputs.to_string(),
    )?;
    let window = window(site, spatial)?;
    let mut result = vec![0i64; rank];
    let mut put = |dim: i64, size: i64| {
        if let Some(slot) = usize::try_from(dim).ok().and_then(|d| result.get_mut(d)) {
            *slot = size;
        }
    };
    put(
        output_batch,
        if batches == ArrayShape::UNBOUNDED {
            batches
        } else {
            batches / batch_groups
        },
    );
    put(output_feature, outputs);
    for (i, dim) in window.iter().enumerate() {
        let at = |list: &[i64]| list.get(i).copied().unwrap_or(0);
        let kernel = size(rhs, at(&dims.kernel_spatial));
        require(
            sizes_fit(kernel, dim.size),
            Rule::Dimensions,
            || format!("window size {kernel}, like the kernel"),
            || dim.size.to_string(),
        )?;
        put(
            at(&dims.output_spatial),
            window_count(size(lhs, at(&dims.input_spatial)), dim),
        );
    }
    any_element(
        site,
        array_of(wider(lhs.element, rhs.element), result, Vec::new()),
    )
}

pub(super) fn fft(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    let lengths = site.integers("fft_length");
    require(
        (1..=3).contains(&lengths.len()) && lengths.len() <= operand.rank(),
        Rule::AttributeLength,
        || format!("1 to 3 lengths, at most {}", operand.rank()),
        || lengths.len().to_string(),
    )?;
    let kind = site.word("fft_type").unwrap_or("");
    let (element, to) = match (kind, operand.element) {
        ("FFT" | "IFFT", PrimitiveType::C64 | PrimitiveType::C128) => {
            (operand.element.is_complex(), operand.element)
        }
        ("RFFT", PrimitiveType::F32) => (true, PrimitiveType::C64),
        ("RFFT", PrimitiveType::F64) => (true, PrimitiveType::C128),
        ("IRFFT", PrimitiveType::C64) => (true, PrimitiveType::F32),
        ("IRFFT", PrimitiveType::C128) => (true, PrimitiveType::F64),
        (_, other) => (false, other),
    };
    require(
        element,
        Rule::ElementType,
        || format!("an element type that {kind} takes"),
        || operand.element.to_string(),
    )?;
    let mut dims = operand.dims.clone();
    let first = operand.rank() - lengths.len();
    let halved = |n: i64| if n == 0 { 0 } else { n / 2 + 1 };
    for (i, &length) in lengths.iter().enumerate() {
        let last = i + 1 == lengths.len();
        let size = size_of(operand, first + i);
        let wanted = if kind == "IRFFT" && last {
            halved(length)
        } else {
            length
        };
        require(
            sizes_fit(size, wanted),
            Rule::Dimensions,
            || format!("size {wanted} in dimension {}", first + i),
            || operand.to_string(),
        )?;
        if last && let Some(size) = dims.get_mut(first + i) {
            *size = match kind {
                "RFFT" => halved(length),
                "IRFFT" => length,
                _ => *size,
            };
        }
    }
    let dynamic = (0..operand.rank())
        .map(|d| is_dynamic(operand, d))
        .collect();
    let mut result = array_of(to, dims, dynamic);
    result.layout = if to == operand.element {
        operand.layout.clone()
    } else {
        with_element(operand, to).layout
    };
    Ok(Shape::Array(result))
}

fn square(array: &ArrayShape) -> bool {
    match array.dims.as_slice() {
        [.., a, b] => sizes_fit(*a, *b),
        _ => false,
    }
}

pub(super) fn cholesky(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    require(
        operand.element.is_float() || operand.element.is_complex(),
        Rule::ElementType,
        || "a floating or complex element type".to_owned(),
        || operand.element.to_string(),
    )?;
    require(
        square(operand),
        Rule::Dimensions,
        || "square matrices".to_owned(),
        || operand.to_string(),
    )?;
    Ok(Shape::Array(operand.clone()))
}

pub(super) fn triangular_solve(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let (a, b) = (site.array(0)?, site.array(1)?);
    require(
        square(a),
        Rule::Dimensions,
        || "square matrices as operand 0".to_owned(),
        || a.to_string(),
    )?;
    let batch = a.rank().saturating_sub(2);
    let left = site.flag("left_side");
    let side = batch + usize::from(!left);
    let fits = a.rank() == b.rank()
        && (0..batch).all(|d| sizes_fit(size_of(a, d), size_of(b, d)))
        && sizes_fit(size_of(a, batch), size_of(b, side));
    require(
        fits,
        Rule::Dimensions,
        || {
            format!(
                "operand 1 to fit {a} on the {} side",
                if left { "left" } else { "right" }
            )
        },
        || b.to_string(),
    )?;
    require(
        elements_fit(a.element, b.element),
        Rule::ElementType,
        || a.element.to_string(),
        || b.element.to_string(),
    )?;
    Ok(Shape::Array(b.clone()))
}

pub(super) fn batch_norm(site: &Site<'_>) -> Inferred<Shape> {
    let (count, vectors) = match site.opcode {
        Opcode::BatchNormTraining => (3, 1..3),
        Opcode::BatchNormInference => (5, 1..5),
        _ => (5, 1..4),
    };
    site.count(count)?;
    let operand = site.array(0)?;
    let feature = super::in_rank(
        "feature_index",
        site.integer("feature_index")?,
        operand.rank(),
    )?;
    let mut vector = None;
    for i in vectors {
        let shape = site.array(i)?;
        require(
            shape.rank() == 1 && sizes_fit(size_of(shape, 0), size_of(operand, feature)),
            Rule::Dimensions,
            || format!("{} features as operand {i}", size_of(operand, feature)),
            || shape.to_string(),
        )?;
        vector.get_or_insert(shape);
    }
    if site.opcode == Opcode::BatchNormGrad {
        let gradient = site.operand(4)?;
        require(
            shapes_fit(gradient, site.operand(0)?),
            Rule::Dimensions,
            || format!("{operand} as operand 4"),
            || gradient.to_string(),
        )?;
    }
    let normalised = Shape::Array(operand.clone());
    Ok(match (site.opcode, vector) {
        (Opcode::BatchNormInference, _) | (_, None) => normalised,
        (_, Some(vector)) => {
            let moments = array_of(vector.element, vector.dims.clone(), vector.dynamic.clone());
            Shape::Tuple(vec![
                normalised,
                Shape::Array(moments.clone()),
                Shape::Array(moments),
            ])
        }
    })
}
