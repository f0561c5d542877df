//! Values of the evaluator.

use half::{bf16, f16};
use hlo2dae_hlo::eval::{EvalError, EvalOptions, evaluate};
use hlo2dae_hlo::literal::Native;
use hlo2dae_hlo::{ArrayShape, Literal, PrimitiveType, parse_module, verify};
use serde_json::Value;

use super::Outcome;

/// Cases with arguments and XLA's results, as name and JSON.
pub fn equal(cases: &[(String, String)]) -> Outcome {
    Outcome::of(cases, |(name, case)| {
        let case = serde_json::from_str(case).unwrap();
        Some(format!("{name}: {}", run(&case).err()?))
    })
}

fn float(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

/// The array that `{dtype, shape, data}` describes.
fn literal(array: &Value) -> Literal {
    let element = PrimitiveType::from_name(array["dtype"].as_str().unwrap()).unwrap();
    let dims: Vec<i64> = array["shape"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d.as_i64().unwrap())
        .collect();
    let mut bytes = Vec::new();
    for value in array["data"].as_array().unwrap() {
        use PrimitiveType as P;
        match element {
            P::Pred => value.as_bool().unwrap().write(&mut bytes),
            P::F16 => f16::from_f64(float(value)).write(&mut bytes),
            P::BF16 => bf16::from_f64(float(value)).write(&mut bytes),
            P::F32 => (float(value) as f32).write(&mut bytes),
            P::F64 => float(value).write(&mut bytes),
            P::C64 => [float(&value[0]) as f32, float(&value[1]) as f32].write(&mut bytes),
            other => {
                assert!(other.is_integer(), "{other}");
                let value = value
                    .as_i64()
                    .unwrap_or_else(|| value.as_u64().unwrap() as i64);
                bytes.extend_from_slice(&value.to_le_bytes()[..other.bytes()]);
            }
        }
    }
    Literal::from_bytes(ArrayShape::new(element, dims), bytes).unwrap()
}

/// What differs, if anything: integers exactly, floats up to a few units in the last place.
fn difference(found: &Literal, expected: &Literal) -> Option<String> {
    let (Some((found_shape, found_data)), Some((shape, data))) =
        (found.as_array(), expected.as_array())
    else {
        return Some("no array".into());
    };
    if found_shape != shape {
        return Some(format!("shape {found_shape:?}, expected {shape:?}"));
    }
    if found_data == data {
        return None;
    }
    let tolerance = match shape.element {
        PrimitiveType::F16 => 2e-3,
        PrimitiveType::BF16 => 1e-2,
        PrimitiveType::F32 | PrimitiveType::C64 => 2e-6,
        PrimitiveType::F64 => 1e-14,
        _ => 0.0,
    };
    let numbers = |literal: &Literal| match literal.elements::<[f32; 2]>() {
        Some(parts) => parts.into_iter().flatten().map(f64::from).collect(),
        None => literal.to_f64().unwrap(),
    };
    let pairs = std::iter::zip(numbers(found), numbers(expected));
    pairs
        .enumerate()
        .find(|(_, (a, b))| {
            let equal = a == b || (a.is_nan() && b.is_nan());
            !equal && (a - b).abs() > tolerance * a.abs().max(b.abs()).max(1.0)
                || a.is_nan() != b.is_nan()
        })
        .map(|(i, (a, b))| format!("element {i} is {a}, expected {b}"))
}

/// The leading part of an array; XLA's values beyond a dynamic size are arbitrary.
fn cropped(literal: &Literal, dims: &[i64]) -> Literal {
    let (shape, data) = literal.as_array().unwrap();
    let size = shape.element.bytes();
    let mut bytes = Vec::new();
    for index in 0..shape.element_count().unwrap() {
        let mut rest = index as i64;
        let mut inside = true;
        for (bound, wanted) in shape.dims.iter().zip(dims).rev() {
            inside &= rest % bound < *wanted;
            rest /= bound;
        }
        if inside {
            bytes.extend_from_slice(&data[index * size..(index + 1) * size]);
        }
    }
    Literal::from_bytes(ArrayShape::new(shape.element, dims), bytes).unwrap()
}

fn run(case: &Value) -> Result<(), String> {
    let text = case["hlo_text"].as_str().unwrap();
    let module = parse_module(text).map_err(|e| e.to_string())?;
    // XLA has verified what it executed.
    verify(&module).map_err(|e| e.to_string())?;
    let arguments: Vec<Literal> = case["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(literal)
        .collect();
    let value = match evaluate(&module, &arguments, &EvalOptions::default(), &mut ()) {
        // XLA makes up values that the text does not have; here they are an error.
        Err(EvalError::Elided { .. }) if text.contains("{...}") => return Ok(()),
        other => other.map_err(|e| e.to_string())?,
    };
    let expected: Vec<Literal> = case["expected"]
        .as_array()
        .unwrap()
        .iter()
        .map(literal)
        .collect();
    let leaves = value.leaves();
    if leaves.len() != expected.len() {
        return Err(format!(
            "{} results, expected {}",
            leaves.len(),
            expected.len()
        ));
    }
    let declared = module.instructions[module.entry().root].array();
    if let (Some(declared), [found], [wide]) = (declared, &leaves[..], &expected[..])
        && declared.is_dynamic()
    {
        let (shape, _) = found.as_array().ok_or("no array")?;
        return match difference(found, &cropped(wide, &shape.dims)) {
            Some(difference) => Err(difference),
            None => Ok(()),
        };
    }
    match std::iter::zip(leaves, &expected).find_map(|(a, b)| difference(a, b)) {
        Some(difference) => Err(difference),
        None => Ok(()),
    }
}
