//! Integers of all widths, in 64 bits: signed ones sign-extended, unsigned ones zero-extended.

use super::{Binary, Unary, binary, unary};
use crate::opcode::Opcode;

/// The bits of the element alone.
fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits.clamp(1, 64))
}

/// The low `bits` bits as a signed number.
fn sign_extend(value: u64, bits: u32) -> i64 {
    let spare = 64 - bits.clamp(1, 64);
    (value << spare) as i64 >> spare
}

fn shift_left(value: u64, by: u64, bits: u32) -> u64 {
    if by < bits.into() { value << by } else { 0 }
}

fn shift_right_logical(value: u64, by: u64, bits: u32) -> u64 {
    if by < bits.into() {
        (value & mask(bits)) >> by
    } else {
        0
    }
}

fn shift_right_arithmetic(value: u64, by: u64, bits: u32) -> i64 {
    sign_extend(value, bits) >> by.min(63)
}

fn leading_zeros(value: u64, bits: u32) -> u32 {
    (value & mask(bits)).leading_zeros() - (64 - bits.clamp(1, 64))
}

/// The power by squaring; a negative exponent gives the reciprocal, truncated, and 0 for base 0.
fn signed_power(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (_, 0..) => unsigned_power(base as u64, exponent as u64) as i64,
        (1, _) => 1,
        (-1, _) => 1 - 2 * (exponent & 1),
        _ => 0,
    }
}

fn unsigned_power(mut base: u64, mut exponent: u64) -> u64 {
    let mut power = 1u64;
    while exponent != 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    power
}

pub(in crate::eval) fn signed_unary(opcode: &Opcode) -> Option<Unary<i64>> {
    Some(match opcode {
        Opcode::Abs => unary!(|a: i64, _| a.wrapping_abs()),
        Opcode::Negate => unary!(|a: i64, _| a.wrapping_neg()),
        Opcode::Not => unary!(|a: i64, _| !a),
        Opcode::Sign => unary!(|a: i64, _| a.signum()),
        Opcode::Popcnt => unary!(|a: i64, bits| i64::from((a as u64 & mask(bits)).count_ones())),
        Opcode::CountLeadingZeros => {
            unary!(|a: i64, bits| i64::from(leading_zeros(a as u64, bits)))
        }
        _ => return None,
    })
}

pub(in crate::eval) fn unsigned_unary(opcode: &Opcode) -> Option<Unary<u64>> {
    Some(match opcode {
        Opcode::Abs => unary!(|a: u64, _| a),
        Opcode::Negate => unary!(|a: u64, _| a.wrapping_neg()),
        Opcode::Not => unary!(|a: u64, _| !a),
        Opcode::Sign => unary!(|a: u64, _| a.min(1)),
        Opcode::Popcnt => unary!(|a: u64, _| a.count_ones().into()),
        Opcode::CountLeadingZeros => unary!(|a, bits| leading_zeros(a, bits).into()),
        _ => return None,
    })
}

pub(in crate::eval) fn signed_binary(opcode: &Opcode) -> Option<Binary<i64>> {
    Some(match opcode {
        Opcode::Add => binary!(|a: i64, b, _| a.wrapping_add(b)),
        Opcode::Subtract => binary!(|a: i64, b, _| a.wrapping_sub(b)),
        Opcode::Multiply => binary!(|a: i64, b, _| a.wrapping_mul(b)),
        Opcode::Divide => binary!(|a: i64, b, _| if b == 0 { -1 } else { a.wrapping_div(b) }),
        Opcode::Remainder => binary!(|a: i64, b, _| if b == 0 { a } else { a.wrapping_rem(b) }),
        Opcode::Maximum => binary!(|a: i64, b, _| a.max(b)),
        Opcode::Minimum => binary!(|a: i64, b, _| a.min(b)),
        Opcode::Power => binary!(|a, b, _| signed_power(a, b)),
        Opcode::And => binary!(|a: i64, b, _| a & b),
        Opcode::Or => binary!(|a: i64, b, _| a | b),
        Opcode::Xor => binary!(|a: i64, b, _| a ^ b),
        // A negative amount is a large one when its bits are read as unsigned.
        Opcode::ShiftLeft => {
            binary!(|a: i64, b: i64, bits| shift_left(a as u64, b as u64, bits) as i64)
        }
        Opcode::ShiftRightLogical => {
            binary!(|a: i64, b: i64, bits| shift_right_logical(a as u64, b as u64, bits) as i64)
        }
        Opcode::ShiftRightArithmetic => {
            binary!(|a: i64, b: i64, bits| shift_right_arithmetic(a as u64, b as u64, bits))
        }
        Opcode::Mulhi => {
            binary!(|a: i64, b: i64, bits: u32| ((i128::from(a) * i128::from(b)) >> bits) as i64)
        }
        _ => return None,
    })
}

pub(in crate::eval) fn unsigned_binary(opcode: &Opcode) -> Option<Binary<u64>> {
    Some(match opcode {
        Opcode::Add => binary!(|a: u64, b, _| a.wrapping_add(b)),
        Opcode::Subtract => binary!(|a: u64, b, _| a.wrapping_sub(b)),
        Opcode::Multiply => binary!(|a: u64, b, _| a.wrapping_mul(b)),
        Opcode::Divide => binary!(|a: u64, b, _| a.checked_div(b).unwrap_or(u64::MAX)),
        Opcode::Remainder => binary!(|a: u64, b, _| a.checked_rem(b).unwrap_or(a)),
        Opcode::Maximum => binary!(|a: u64, b, _| a.max(b)),
        Opcode::Minimum => binary!(|a: u64, b, _| a.min(b)),
        Opcode::Power => binary!(|a, b, _| unsigned_power(a, b)),
        Opcode::And => binary!(|a: u64, b, _| a & b),
        Opcode::Or => binary!(|a: u64, b, _| a | b),
        Opcode::Xor => binary!(|a: u64, b, _| a ^ b),
        Opcode::ShiftLeft => binary!(shift_left),
        Opcode::ShiftRightLogical => binary!(shift_right_logical),
        Opcode::ShiftRightArithmetic => {
            binary!(|a, b, bits| shift_right_arithmetic(a, b, bits) as u64)
        }
        Opcode::Mulhi => {
            binary!(|a: u64, b: u64, bits: u32| ((u128::from(a) * u128::from(b)) >> bits) as u64)
        }
        _ => return None,
    })
}
