//! Whether two results of one graph agree.

use half::{bf16, f16};
use hlo2dae_hlo::{Literal, PrimitiveType};

/// Units in the last place, at the magnitude of the largest element, that rounding may take two results apart.
const ULPS: f64 = 64.0;

/// Where two arrays differ, if they do: integers to the bit, floats by more than another order of rounding explains.
pub fn difference(expected: &Literal, found: &Literal) -> Option<String> {
    let (
        Literal::Array { shape, data },
        Literal::Array {
            shape: other,
            data: bytes,
        },
    ) = (expected, found)
    else {
        return Some("is not an array".to_owned());
    };
    if shape.element != other.element || shape.dims != other.dims {
        return Some(format!("is {other}, expected {shape}"));
    }
    let Some(epsilon) = epsilon(shape.element) else {
        return (data != bytes).then(|| format!("differs: {found:?}, expected {expected:?}"));
    };
    let (expected, found) = (numbers(shape.element, data), numbers(shape.element, bytes));
    let magnitudes = expected.iter().map(|x| x.abs()).filter(|x| x.is_finite());
    let allowed = ULPS * epsilon * magnitudes.fold(0.0, f64::max);
    let agree =
        |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= allowed;
    let place = expected.iter().zip(&found).position(|pair| !agree(pair))?;
    Some(format!(
        "differs at {place}: {}, expected {}",
        found[place], expected[place]
    ))
}

/// The distance of 1 to the next number; none for types without fractions.
fn epsilon(element: PrimitiveType) -> Option<f64> {
    match element {
        PrimitiveType::F64 | PrimitiveType::C128 => Some(f64::EPSILON),
        PrimitiveType::F32 | PrimitiveType::C64 => Some(f64::from(f32::EPSILON)),
        PrimitiveType::F16 => Some(f16::EPSILON.to_f64()),
        PrimitiveType::BF16 => Some(bf16::EPSILON.to_f64()),
        _ => None,
    }
}

/// The elements; of a complex number, both parts.
fn numbers(element: PrimitiveType, data: &[u8]) -> Vec<f64> {
    match element {
        PrimitiveType::F16 => words(data, |bytes| f16::from_le_bytes(bytes).to_f64()),
        PrimitiveType::BF16 => words(data, |bytes| bf16::from_le_bytes(bytes).to_f64()),
        PrimitiveType::F32 | PrimitiveType::C64 => {
            words(data, |bytes| f32::from_le_bytes(bytes).into())
        }
        _ => words(data, f64::from_le_bytes),
    }
}

fn words<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks::<N>()
        .0
        .iter()
        .map(|&bytes| number(bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_agree_to_the_bit_and_floats_up_to_rounding() {
        let ints = |x: i32| Literal::from_elements([2], &[1i32, x]).unwrap();
        assert_eq!(difference(&ints(2), &ints(2)), None);
        assert!(difference(&ints(2), &ints(3)).is_some());
        let floats = |x: f32| Literal::from_elements([2], &[1.0f32, x]).unwrap();
        assert_eq!(difference(&floats(2.0), &floats(2.0 + 1e-6)), None);
        assert!(difference(&floats(2.0), &floats(2.1)).is_some());
        assert!(difference(&floats(2.0), &floats(f32::NAN)).is_some());
        assert_eq!(difference(&floats(f32::NAN), &floats(f32::NAN)), None);
        assert!(difference(&floats(f32::INFINITY), &floats(2.0)).is_some());
        assert!(difference(&ints(1), &floats(1.0)).is_some());
    }
}
