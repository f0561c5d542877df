//! Numbers of element types at the C boundary.
//!
//! They are those of XLA's `PrimitiveType`, so that one table serves our C ABI and XLA's.

use hlo2dae_ir::core::ElementType;

/// The number of `element`.
pub fn to_number(element: ElementType) -> i32 {
    match element {
        ElementType::Bool => 1,
        ElementType::S8 => 2,
        ElementType::S16 => 3,
        ElementType::S32 => 4,
        ElementType::S64 => 5,
        ElementType::U8 => 6,
        ElementType::U16 => 7,
        ElementType::U32 => 8,
        ElementType::U64 => 9,
        ElementType::F16 => 10,
        ElementType::F32 => 11,
        ElementType::F64 => 12,
        ElementType::BF16 => 16,
    }
}

/// The element type with that number; `None` for a type that no program has (complex, 4 and 8 bit floats).
pub fn from_number(number: i32) -> Option<ElementType> {
    ElementType::ALL
        .iter()
        .copied()
        .find(|&element| to_number(element) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_has_its_own_number() {
        for &element in ElementType::ALL {
            assert_eq!(from_number(to_number(element)), Some(element));
        }
    }

    #[test]
    fn complex_and_unknown_numbers_are_no_element_type() {
        for number in [0, 15, 18, 20, -1, i32::MAX] {
            assert_eq!(from_number(number), None);
        }
    }
}
