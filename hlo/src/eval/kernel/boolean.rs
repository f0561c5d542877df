//! `pred`: addition is or, multiplication is and.

use super::{Binary, Unary, binary, unary};
use crate::opcode::Opcode;

pub(in crate::eval) fn unary(opcode: &Opcode) -> Option<Unary<bool>> {
    Some(match opcode {
        Opcode::Not => unary!(|a: bool, _| !a),
        Opcode::Abs => unary!(|a: bool, _| a),
        _ => return None,
    })
}

pub(in crate::eval) fn binary(opcode: &Opcode) -> Option<Binary<bool>> {
    Some(match opcode {
        Opcode::And | Opcode::Multiply | Opcode::Minimum => binary!(|a, b, _| a & b),
        Opcode::Or | Opcode::Add | Opcode::Maximum => binary!(|a, b, _| a | b),
        Opcode::Xor => binary!(|a, b, _| a ^ b),
        _ => return None,
    })
}
