//! How far two arrays are apart, and how far they may be.

use std::fmt;

use half::{bf16, f16};
use hlo2dae_ir::core::{Array, Buffer, CombineOp, ElementType, Role};
use hlo2dae_ir::region::{Region, Statement};

use crate::case::Tolerance;

/// Units in the last place, relative to the largest element, that another order of summation may cost.
const REASSOCIATED_ULPS: f64 = 64.0;

/// The same for one more rounding to the element type.
const ROUNDED_ULPS: f64 = 2.0;

/// How far an array is from the expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Difference {
    /// Every element is the same value: zeros of either sign, and NaNs whatever their payload, agree.
    None,
    /// The largest distance, in units in the last place of the largest expected element.
    Ulps(f64),
    /// An element is NaN or infinite on one side only, an integer differs, or a size does.
    Incomparable,
}

impl Difference {
    /// Whether a tolerance allows it.
    pub fn within(self, tolerance: Tolerance) -> bool {
        match (self, tolerance) {
            (Difference::None, _) => true,
            (Difference::Ulps(_), Tolerance::Exact) | (Difference::Incomparable, _) => false,
            (Difference::Ulps(ulps), Tolerance::Reassociated) => ulps <= REASSOCIATED_ULPS,
            (Difference::Ulps(ulps), Tolerance::Rounded) => ulps <= ROUNDED_ULPS,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::None => f.write_str("equal"),
            Difference::Ulps(ulps) => write!(f, "{ulps:.1} ulps off"),
            Difference::Incomparable => f.write_str("different"),
        }
    }
}

/// The distance of `actual` from `expected`.
pub fn difference(expected: &Array, actual: &Array) -> Difference {
    if expected.element != actual.element || expected.dims != actual.dims {
        return Difference::Incomparable;
    }
    if expected.data == actual.data {
        return Difference::None;
    }
    let Some(epsilon) = epsilon(expected.element) else {
        return Difference::Incomparable;
    };
    let (mut furthest, mut largest) = (0f64, 0f64);
    for (expected, actual) in wide(expected).into_iter().zip(wide(actual)) {
        if expected.is_finite() && actual.is_finite() {
            furthest = furthest.max((expected - actual).abs());
            largest = largest.max(expected.abs());
        } else if !(expected == actual || expected.is_nan() && actual.is_nan()) {
            return Difference::Incomparable;
        }
    }
    if furthest == 0.0 {
        return Difference::None;
    }
    Difference::Ulps(furthest / (largest * epsilon))
}

/// The distance of 1 from the next larger number; `None` for what is not a float.
fn epsilon(element: ElementType) -> Option<f64> {
    match element {
        ElementType::F64 => Some(f64::EPSILON),
        ElementType::F32 => Some(f64::from(f32::EPSILON)),
        ElementType::F16 => Some(f16::EPSILON.to_f64()),
        ElementType::BF16 => Some(bf16::EPSILON.to_f64()),
        _ => None,
    }
}

/// The elements of a float array; nothing for any other.
fn wide(array: &Array) -> Vec<f64> {
    match array.element {
        ElementType::F64 => array.elements::<f64>(),
        ElementType::F32 => array
            .elements::<f32>()
            .map(|v| v.into_iter().map(f64::from).collect()),
        ElementType::F16 => array
            .elements::<f16>()
            .map(|v| v.into_iter().map(f16::to_f64).collect()),
        ElementType::BF16 => array
            .elements::<bf16>()
            .map(|v| v.into_iter().map(bf16::to_f64).collect()),
        _ => None,
    }
    .unwrap_or_default()
}

/// How far any engine may be from the reference on this region: sums and products of floats may be formed in another
/// order; whatever else a region does has one right value.
pub fn tolerance(region: &Region) -> Tolerance {
    let mut tolerance = Tolerance::Exact;
    for statement in region.nests.iter().flat_map(|nest| &nest.body) {
        let Statement::Combine { op, buffer, .. } = statement else {
            continue;
        };
        let element = region.buffers[*buffer].element;
        let ordered = match op {
            CombineOp::Add | CombineOp::Mul | CombineOp::Sub => element.is_float(),
            CombineOp::Min | CombineOp::Max | CombineOp::Replace => false,
            CombineOp::And | CombineOp::Or | CombineOp::Xor => false,
        };
        if ordered {
            tolerance = Tolerance::Reassociated;
        }
    }
    let narrow = |buffer: &Buffer| matches!(buffer.element, ElementType::F16 | ElementType::BF16);
    let outputs = region
        .buffers
        .values()
        .filter(|b| matches!(b.role, Role::Output(_)));
    if tolerance == Tolerance::Reassociated && outputs.into_iter().any(narrow) {
        tolerance = Tolerance::Rounded;
    }
    tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32s(elements: &[f32]) -> Array {
        Array::from_elements(&[elements.len() as u64], elements).unwrap()
    }

    #[test]
    fn nans_agree_with_nans_only() {
        let (nan, one) = (f32s(&[f32::NAN, 1.0]), f32s(&[1.0, 1.0]));
        assert_eq!(difference(&nan, &f32s(&[-f32::NAN, 1.0])), Difference::None);
        assert_eq!(difference(&nan, &one), Difference::Incomparable);
        assert_eq!(difference(&one, &nan), Difference::Incomparable);
    }

    #[test]
    fn an_infinity_is_infinitely_far_from_a_number() {
        let (inf, one) = (f32s(&[f32::INFINITY]), f32s(&[1.0]));
        assert_eq!(difference(&inf, &one), Difference::Incomparable);
        assert_eq!(difference(&inf, &inf), Difference::None);
    }

    #[test]
    fn distance_is_relative_to_the_largest_element() {
        let off = f32s(&[4.0, f32::EPSILON]);
        assert_eq!(difference(&f32s(&[4.0, 0.0]), &off), Difference::Ulps(0.25));
        assert!(difference(&f32s(&[0.0, 0.0]), &off) == Difference::Ulps(f64::INFINITY));
    }

    #[test]
    fn integers_agree_or_do_not() {
        let array = |v: i32| Array::from_elements(&[1], &[v]).unwrap();
        assert_eq!(difference(&array(1), &array(1)), Difference::None);
        assert_eq!(difference(&array(1), &array(2)), Difference::Incomparable);
    }

    #[test]
    fn a_tolerance_allows_its_own_and_no_more() {
        assert!(!Difference::Ulps(0.1).within(Tolerance::Exact));
        assert!(Difference::Ulps(60.0).within(Tolerance::Reassociated));
        assert!(!Difference::Ulps(65.0).within(Tolerance::Reassociated));
        assert!(!Difference::Ulps(3.0).within(Tolerance::Rounded));
        assert!(!Difference::Incomparable.within(Tolerance::Reassociated));
    }
}
