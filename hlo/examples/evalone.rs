#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use hlo2dae_hlo::eval::{EvalError, EvalOptions, evaluate};
use hlo2dae_hlo::{ArrayShape, Literal, Module, PrimitiveType, Shape, parse_module, verify};
const LIMITS: EvalOptions = EvalOptions { live_bytes: 1 << 24, element_operations: 1 << 20, instructions: 10_000, call_depth: 100, tuple_depth: 20 };
fn main() { for f in std::env::args().skip(1) {
  let Ok(text) = std::fs::read_to_string(&f) else { continue };
  let Ok(module) = parse_module(&text) else { println!("{f}: refused"); continue };
  let Some(arguments) = arguments(&module) else { continue };
  let value = evaluate(&module, &arguments, &LIMITS, &mut ());
  match &value { Err(e@EvalError::Malformed{span,..}) if verify(&module).is_ok() => println!("{f}: {e} ## {}", text[span.offset()..span.offset()+span.len()].chars().take(200).collect::<String>()), Err(e) => println!("{f}: ok {e}"), Ok(v) => {
    let again = parse_module(&module.to_string()).expect("a print is a text");
    let again = evaluate(&again, &arguments, &LIMITS, &mut ()).map(|v|v.to_string()).map_err(|e|e.to_string());
    if again != Ok(v.to_string()) { println!("{f}: DIFFERS {v} {again:?}"); } } }
} }

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
