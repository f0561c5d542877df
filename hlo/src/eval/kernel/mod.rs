//! Elementwise operations on domain values: one table of opcodes a domain.
//!
//! A kernel is given the width in bits of the element type, because a few integer operations
//! depend on it; what it returns is rounded or wrapped to the element type by its caller.

pub(super) mod boolean;
pub(super) mod complex;
pub(super) mod float;
pub(super) mod integer;

/// An operation of one operand, on as many elements as fit both slices.
pub(super) type Unary<A, R = A> = fn(&[A], u32, &mut [R]);

/// An operation of two operands, on as many pairs as fit all slices.
pub(super) type Binary<A, R = A> = fn(&[A], &[A], u32, &mut [R]);

/// A comparison.
pub(super) type Compare<A> = Binary<A, bool>;

/// A [`Unary`] from a function of the element and the width.
macro_rules! unary {
    ($f:expr) => {
        |a, bits, out| {
            for (out, a) in out.iter_mut().zip(a) {
                *out = ($f)(*a, bits);
            }
        }
    };
}
pub(super) use unary;

/// A [`Binary`] from a function of the two elements and the width.
macro_rules! binary {
    ($f:expr) => {
        |a, b, bits, out| {
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = ($f)(*a, *b, bits);
            }
        }
    };
}
pub(super) use binary;

/// Comparison by the type's own order, in which NaN is unequal to everything.
pub(super) fn compare<A: PartialOrd + Copy>(direction: &str) -> Option<Compare<A>> {
    Some(match direction {
        "EQ" => binary!(|a: A, b: A, _| a == b),
        "NE" => binary!(|a: A, b: A, _| a != b),
        "LT" => binary!(|a: A, b: A, _| a < b),
        "LE" => binary!(|a: A, b: A, _| a <= b),
        "GT" => binary!(|a: A, b: A, _| a > b),
        "GE" => binary!(|a: A, b: A, _| a >= b),
        _ => return None,
    })
}
