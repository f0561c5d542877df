//! Operations that treat every element alike.

use super::{
    Inferred, Outcome, Rule, Site, array_of, broken, dims_fit, elements_fit, is_dynamic, require,
    shapes_fit, size_of, wider, with_element,
};
use crate::opcode::Opcode;
use crate::shape::{ArrayShape, PrimitiveType, Shape};

/// Classes of element types that an operation takes.
fn takes(opcode: Opcode, element: PrimitiveType) -> Result<(), &'static str> {
    use Opcode as O;
    let (ok, what) = match opcode {
        O::Abs | O::Sign => (
            element.is_signed_integer() || element.is_float() || element.is_complex(),
            "a signed, floating or complex element type",
        ),
        O::Cbrt
        | O::Ceil
        | O::Floor
        | O::RoundNearestAfz
        | O::RoundNearestEven
        | O::Erf
        | O::IsFinite
        | O::ReducePrecision => (element.is_float(), "a floating element type"),
        O::Acos
        | O::Acosh
        | O::Asin
        | O::Asinh
        | O::Atanh
        | O::Cosh
        | O::Cosine
        | O::Exponential
        | O::ExponentialMinusOne
        | O::Log
        | O::LogPlusOne
        | O::Logistic
        | O::Rsqrt
        | O::Sine
        | O::Sinh
        | O::Sqrt
        | O::Tan
        | O::Tanh
        | O::Atan2
        | O::Real
        | O::Imag => (
            element.is_float() || element.is_complex(),
            "a floating or complex element type",
        ),
        O::Negate => (element != PrimitiveType::Pred, "a number"),
        O::CountLeadingZeros | O::Popcnt => (element.is_integer(), "an integer element type"),
        O::ShiftLeft | O::ShiftRightArithmetic | O::ShiftRightLogical | O::Mulhi => {
            (element.is_integer(), "an integer element type")
        }
        O::Not | O::And | O::Or | O::Xor => (
            element.is_integer() || element == PrimitiveType::Pred,
            "an integer or pred element type",
        ),
        O::Subtract | O::Divide | O::Remainder | O::Power => (
            element != PrimitiveType::Pred || opcode == O::Subtract,
            "a number",
        ),
        O::Complex => (
            matches!(element, PrimitiveType::F32 | PrimitiveType::F64),
            "f32 or f64",
        ),
        _ => (true, ""),
    };
    if ok { Ok(()) } else { Err(what) }
}

fn check_element(site: &Site<'_>, array: &ArrayShape) -> Inferred<()> {
    match takes(site.opcode, array.element) {
        Ok(()) => Ok(()),
        Err(expected) => broken(Rule::ElementType, expected, array.element),
    }
}

/// The real type of a complex one; other types are their own.
fn real_part(element: PrimitiveType) -> PrimitiveType {
    match element {
        PrimitiveType::C64 => PrimitiveType::F32,
        PrimitiveType::C128 => PrimitiveType::F64,
        other => other,
    }
}

pub(super) fn unary(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    check_element(site, operand)?;
    let element = match site.opcode {
        Opcode::Abs | Opcode::Real | Opcode::Imag => real_part(operand.element),
        Opcode::IsFinite => PrimitiveType::Pred,
        _ => operand.element,
    };
    Ok(Shape::Array(if element == operand.element {
        operand.clone()
    } else {
        with_element(operand, element)
    }))
}

/// Operands whose dimensions must agree: dimensions, dynamism and layout of the result.
fn common_dims(site: &Site<'_>, operands: &[&ArrayShape]) -> Inferred<ArrayShape> {
    let Some(first) = operands.first() else {
        return broken(Rule::OperandCount, "at least one operand", 0);
    };
    let mut result = (*first).clone();
    for (i, operand) in operands.iter().enumerate().skip(1) {
        require(
            dims_fit(&first.dims, &operand.dims),
            Rule::Dimensions,
            || {
                format!(
                    "operands of equal dimensions, {first} as operand 0 of {}",
                    site.opcode
                )
            },
            || format!("{operand} as operand {i}"),
        )?;
        if result.is_dynamic() || operand.is_dynamic() {
            // A size that is not known says nothing about one that is.
            let known = |array: &ArrayShape, dim| size_of(array, dim) != ArrayShape::UNBOUNDED;
            let dynamic =
                (0..result.rank()).map(|dim| match (known(&result, dim), known(operand, dim)) {
                    (true, false) => is_dynamic(&result, dim),
                    (false, true) => is_dynamic(operand, dim),
                    (true, true) | (false, false) => {
                        is_dynamic(&result, dim) || is_dynamic(operand, dim)
                    }
                });
            result.dynamic = dynamic.collect();
        }
        for (dim, size) in result.dims.iter_mut().enumerate() {
            if *size == ArrayShape::UNBOUNDED {
                *size = size_of(operand, dim);
            }
        }
    }
    // Where a size is not known, dimensions may be broadcast: the result's are new ones.
    let unbounded = |operand: &&ArrayShape| operand.dims.contains(&ArrayShape::UNBOUNDED);
    if operands.iter().any(unbounded) {
        result = array_of(result.element, result.dims, result.dynamic);
    }
    if !result.is_dynamic() {
        result.dynamic = Vec::new();
    }
    Ok(result)
}

pub(super) fn binary(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let (a, b) = (site.array(0)?, site.array(1)?);
    check_element(site, a)?;
    require(
        elements_fit(a.element, b.element),
        Rule::ElementType,
        || format!("operands of equal element type, {}", a.element),
        || b.element.to_string(),
    )?;
    let element = match (site.opcode, a.element) {
        (Opcode::Complex, PrimitiveType::F64) => PrimitiveType::C128,
        (Opcode::Complex, _) => PrimitiveType::C64,
        _ => wider(a.element, b.element),
    };
    let result = common_dims(site, &[a, b])?;
    Ok(Shape::Array(with_element(&result, element)))
}

pub(super) fn compare(site: &Site<'_>) -> Inferred<Shape> {
    site.count(2)?;
    let (a, b) = (site.array(0)?, site.array(1)?);
    require(
        elements_fit(a.element, b.element),
        Rule::ElementType,
        || format!("operands of equal element type, {}", a.element),
        || b.element.to_string(),
    )?;
    if a.element.is_complex() {
        require(
            matches!(site.word("direction"), Some("EQ" | "NE")),
            Rule::AttributeRange,
            || "direction EQ or NE of complex operands".to_owned(),
            || site.word("direction").unwrap_or("none").to_owned(),
        )?;
    }
    let result = common_dims(site, &[a, b])?;
    Ok(Shape::Array(with_element(&result, PrimitiveType::Pred)))
}

pub(super) fn select(site: &Site<'_>) -> Inferred<Shape> {
    site.count(3)?;
    let predicate = site.array(0)?;
    require(
        predicate.element == PrimitiveType::Pred,
        Rule::ElementType,
        || "pred as operand 0".to_owned(),
        || predicate.element.to_string(),
    )?;
    let (on_true, on_false) = (site.array(1)?, site.array(2)?);
    require(
        elements_fit(on_true.element, on_false.element),
        Rule::ElementType,
        || format!("{} as operand 2, like operand 1", on_true.element),
        || on_false.element.to_string(),
    )?;
    let mut result = common_dims(site, &[on_true, on_false])?;
    require(
        predicate.rank() == 0 || dims_fit(&predicate.dims, &result.dims),
        Rule::Dimensions,
        || format!("a scalar or the dimensions of {on_true} as operand 0"),
        || predicate.to_string(),
    )?;
    result.element = wider(on_true.element, on_false.element);
    if predicate.rank() > 0 {
        // Its dimensions are the result's, so its layout is; its elements are not.
        result.layout = with_element(predicate, result.element).layout;
        let size = |array: &'_ ArrayShape| {
            let layout = array.layout.as_ref()?;
            layout.element_size().map(str::to_owned)
        };
        let stated = size(on_true);
        if let Some(layout) = result.layout.as_mut().filter(|_| stated == size(on_false)) {
            layout.set_element_size(stated.as_deref());
        }
        if predicate.is_dynamic() {
            result.dynamic = (0..result.rank())
                .map(|d| is_dynamic(&result, d) || is_dynamic(predicate, d))
                .collect();
        }
    } else {
        result.layout = on_true.layout.clone();
    }
    Ok(Shape::Array(result))
}

pub(super) fn clamp(site: &Site<'_>) -> Inferred<Shape> {
    site.count(3)?;
    let operand = site.array(1)?;
    for bound in [0, 2] {
        let shape = site.array(bound)?;
        require(
            elements_fit(shape.element, operand.element),
            Rule::ElementType,
            || format!("{} as operand {bound}, like operand 1", operand.element),
            || shape.element.to_string(),
        )?;
        require(
            shape.rank() == 0 || dims_fit(&shape.dims, &operand.dims),
            Rule::Dimensions,
            || format!("a scalar or the dimensions of {operand} as operand {bound}"),
            || shape.to_string(),
        )?;
    }
    Ok(Shape::Array(operand.clone()))
}

pub(super) fn same(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    Ok(site.operand(0)?.clone())
}

/// The stated shape must have the operand's dimensions.
fn stated_dims<'m>(site: &Site<'m>) -> Inferred<(&'m ArrayShape, &'m ArrayShape)> {
    let operand = site.array(0)?;
    let result = site.stated_array()?;
    require(
        dims_fit(&operand.dims, &result.dims),
        Rule::Result,
        || format!("the dimensions of {operand}"),
        || result.to_string(),
    )?;
    Ok((operand, result))
}

pub(super) fn convert(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let (operand, result) = stated_dims(site)?;
    require(
        !operand.element.is_complex() || result.element.is_complex(),
        Rule::ElementType,
        || format!("a complex result, like {}", operand.element),
        || result.element.to_string(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn stochastic_convert(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(2)?;
    let (operand, _) = stated_dims(site)?;
    let random = site.array(1)?;
    require(
        operand.element.is_float() && random.element.is_unsigned_integer(),
        Rule::ElementType,
        || "a floating operand and unsigned random bits".to_owned(),
        || format!("{} and {}", operand.element, random.element),
    )?;
    require(
        operand.element.bits() == random.element.bits() && dims_fit(&operand.dims, &random.dims),
        Rule::Dimensions,
        || format!("random bits of the size of {operand}"),
        || random.to_string(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn bitcast_convert(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let operand = site.array(0)?;
    let result = site.stated_array()?;
    let (from, to) = (
        i64::from(operand.element.bits()),
        i64::from(result.element.bits()),
    );
    // A wider element is made of the elements of the last dimension, and falls apart into them.
    let fits = match from.cmp(&to) {
        std::cmp::Ordering::Equal => dims_fit(&operand.dims, &result.dims),
        std::cmp::Ordering::Greater => match result.dims.split_last() {
            Some((&last, rest)) => sizes(last, from / to) && dims_fit(rest, &operand.dims),
            None => false,
        },
        std::cmp::Ordering::Less => match operand.dims.split_last() {
            Some((&last, rest)) => sizes(last, to / from) && dims_fit(rest, &result.dims),
            None => false,
        },
    };
    require(
        fits,
        Rule::Result,
        || format!("the bits of {operand}"),
        || result.to_string(),
    )?;
    require(
        operand.element.is_complex() == result.element.is_complex(),
        Rule::ElementType,
        || "real to real or complex to complex".to_owned(),
        || format!("{} to {}", operand.element, result.element),
    )?;
    Ok(Outcome::Stated)
}

fn sizes(a: i64, b: i64) -> bool {
    super::sizes_fit(a, b)
}

pub(super) fn bitcast(site: &Site<'_>) -> Inferred<Outcome> {
    site.count(1)?;
    let operand = site.operand(0)?;
    let Some(stated) = site.stated else {
        return broken(Rule::Result, "a stated shape", "none");
    };
    if let (Shape::Array(from), Shape::Array(to)) = (operand, stated) {
        let bits = |a: &ArrayShape| {
            let elements = i64::try_from(a.element_count()?).ok()?;
            elements.checked_mul(i64::from(a.element.bits()))
        };
        if let (Some(a), Some(b)) = (bits(from), bits(to)) {
            require(
                a == b,
                Rule::Result,
                || format!("{a} bits, like {from}"),
                || format!("{b} bits in {to}"),
            )?;
        }
        return Ok(Outcome::Stated);
    }
    require(
        shapes_fit(operand, stated),
        Rule::Result,
        || operand.to_string(),
        || stated.to_string(),
    )?;
    Ok(Outcome::Stated)
}

pub(super) fn reduce_precision(site: &Site<'_>) -> Inferred<Shape> {
    site.count(1)?;
    let operand = site.array(0)?;
    check_element(site, operand)?;
    let exponent = site.integer("exponent_bits")?;
    require(
        exponent >= 1,
        Rule::AttributeRange,
        || "at least 1 exponent bit".to_owned(),
        || exponent.to_string(),
    )?;
    let mantissa = site.integer("mantissa_bits")?;
    require(
        mantissa >= 0,
        Rule::AttributeRange,
        || "at least 0 mantissa bits".to_owned(),
        || mantissa.to_string(),
    )?;
    Ok(Shape::Array(operand.clone()))
}
