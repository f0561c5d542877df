//! Every module is evaluated within its limits, sound or not; what its print means has the same value.

#![no_main]

mod mutate;

use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::{ArrayShape, Literal, Module, PrimitiveType, Shape, parse_module};
use libfuzzer_sys::fuzz_target;

/// Enough for any snippet, too little to be slow.
const LIMITS: EvalOptions = EvalOptions {
    live_bytes: 1 << 24,
    element_operations: 1 << 20,
    instructions: 10_000,
    call_depth: 100,
    tuple_depth: 20,
};

fuzz_target!(|text: &str| {
    let Ok(module) = parse_module(text) else {
        return;
    };
    let Some(arguments) = arguments(&module) else {
        return;
    };
    // The verdict of the verifier does not matter here: what it refuses must not hurt either.
    let Ok(value) = evaluate(&module, &arguments, &LIMITS, &mut ()) else {
        return;
    };
    let again = parse_module(&module.to_string()).expect("a print is a text");
    let again = evaluate(&again, &arguments, &LIMITS, &mut ()).expect("the module has a value");
    assert!(again == value, "{value}\nis printed, and read as a module of value\n{again}");
});

fn arguments(module: &Module) -> Option<Vec<Literal>> {
    let parameters = &module.entry().parameters;
    let shapes = parameters.iter().map(|&p| &module.instructions[p].shape);
    let mut state = 1;
    shapes.map(|shape| argument(shape, &mut state)).collect()
}

/// A value of `shape`: small numbers of either sign, and whatever floats those bits are.
fn argument(shape: &Shape, state: &mut u64) -> Option<Literal> {
    match shape {
        Shape::Array(array) | Shape::Buffer(array) => {
            let plain = ArrayShape::new(array.element, array.dims.clone());
            let count = plain.element_count().filter(|&n| n < 1 << 16)?;
            let mut data = Vec::with_capacity(count * array.element.bytes());
            for _ in 0..count {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let random = (*state >> 40) as i64;
                let number = match array.element {
                    PrimitiveType::Pred => random & 1,
                    // One bit of value: extended to a byte it is the same for all widths.
                    element if element.bits() < 8 => random & 1,
                    _ => random % 8 - 2,
                };
                let bytes = if array.element.is_integer() || random % 3 == 0 {
                    number.to_le_bytes()
                } else {
                    state.to_le_bytes()
                };
                let bytes = if array.element.bits() < 8 { [number as u8; 8] } else { bytes };
                data.extend(bytes.iter().cycle().take(array.element.bytes()));
            }
            Literal::from_bytes(plain, data).ok()
        }
        Shape::Tuple(elements) => {
            let elements = elements.iter().map(|element| argument(element, state));
            Some(Literal::Tuple(elements.collect::<Option<_>>()?))
        }
        Shape::Token => Some(Literal::Token),
        Shape::Opaque => None,
    }
}
