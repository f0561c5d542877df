//! Runs a module on the reference evaluator and every region of it on the region evaluator, and
//! compares what the region's buffers hold.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::panic, reason = "a failed check ends the test")]

use std::collections::HashMap;

use hlo2dae_frontend::{Match, Matches, Options, ValueRef, find_regions};
use hlo2dae_hlo::eval::{EvalOptions, evaluate};
use hlo2dae_hlo::{InstructionId, Literal, Module, PrimitiveType, parse_module};
use hlo2dae_ir::core::{Array, ElementType, Ir, Limits, Scalar};

/// A small generator: tests need arguments, not randomness.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn in_range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo) as u64) as i64
    }
}

/// Arguments for the entry: floats in -1..1, integers in `lo..hi`.
pub fn arguments(module: &Module, seed: u64, lo: i64, hi: i64) -> Vec<Literal> {
    let mut numbers = Numbers::new(seed);
    let parameters = module.entry().parameters.iter();
    parameters
        .map(|&parameter| {
            let shape = module.instructions[parameter]
                .array()
                .expect("an array parameter")
                .clone();
            let count = shape.element_count().expect("a static shape");
            let element = element_type(shape.element);
            let mut data = Vec::new();
            for _ in 0..count {
                let scalar = if element.is_float() {
                    Scalar::F64(numbers.in_range(-1000, 1000) as f64 / 1000.0)
                } else {
                    let lo = if element.is_signed() { lo } else { 0 };
                    Scalar::S64(numbers.in_range(lo, hi))
                };
                let bits = scalar
                    .convert(hlo2dae_ir::core::ScalarType::Element(element))
                    .bits();
                data.extend_from_slice(&bits.to_le_bytes()[..element.bytes()]);
            }
            Literal::Array {
                shape,
                data: data.into(),
            }
        })
        .collect()
}

fn element_type(primitive: PrimitiveType) -> ElementType {
    match primitive.name() {
        "pred" => ElementType::Bool,
        name => ElementType::from_name(name).expect("a type that regions hold"),
    }
}

fn array(literal: &Literal) -> Array {
    let (shape, data) = literal.as_array().expect("an array");
    Array {
        element: element_type(shape.element),
        dims: shape.dims.iter().map(|&n| n as u64).collect(),
        data: data.to_vec(),
    }
}

/// Whether two arrays agree: integers to the bit, floats up to the order of summation.
fn disagreement(found: &Array, expected: &Array) -> Option<String> {
    if (found.element, &found.dims) != (expected.element, &expected.dims) {
        return Some(format!(
            "{:?}{:?} for {:?}{:?}",
            found.element, found.dims, expected.element, expected.dims
        ));
    }
    let tolerance = match found.element {
        ElementType::F16 | ElementType::BF16 => 3e-2,
        ElementType::F32 => 1e-4,
        ElementType::F64 => 1e-9,
        _ => 0.0,
    };
    let number =
        |s: Scalar| match s.convert(hlo2dae_ir::core::ScalarType::Element(ElementType::F64)) {
            Scalar::F64(v) => v,
            _ => f64::NAN,
        };
    for (k, (a, b)) in found.scalars().zip(expected.scalars()).enumerate() {
        let (x, y) = (number(a), number(b));
        let equal = match found.element.is_float() {
            true => {
                x == y
                    || (x.is_nan() && y.is_nan())
                    || (x - y).abs() <= tolerance * y.abs().max(1.0)
            }
            false => a == b,
        };
        if !equal {
            return Some(format!("element {k}: {a} for {b}"));
        }
    }
    None
}

/// Checks every region that is entered; gives how many were, or what is wrong.
pub fn check(module: &Module, matches: &Matches, arguments: &[Literal]) -> Result<usize, String> {
    let mut wanted: HashMap<InstructionId, Vec<(usize, &ValueRef)>> = HashMap::new();
    for (k, found) in matches.regions.iter().enumerate() {
        for value in found.inputs.iter().chain(&found.outputs) {
            wanted
                .entry(value.instruction)
                .or_default()
                .push((k, value));
        }
    }
    let mut prefixes: Vec<Option<Vec<InstructionId>>> = vec![None; matches.regions.len()];
    let mut values: HashMap<(usize, ValueRef), Literal> = HashMap::new();
    let mut observer = |path: &[InstructionId], instruction: InstructionId, value: &Literal| {
        for &(k, place) in wanted.get(&instruction).into_iter().flatten() {
            let Some(prefix) = path.strip_suffix(place.call_path.as_slice()) else {
                continue;
            };
            let entered = match prefix.last() {
                None => module.entry,
                Some(&caller) => {
                    let target = matches.regions[k].computation;
                    match module.instructions[caller]
                        .called_computations()
                        .any(|c| c == target)
                    {
                        true => target,
                        false => continue,
                    }
                }
            };
            if entered != matches.regions[k].computation {
                continue;
            }
            if prefixes[k].get_or_insert_with(|| prefix.to_vec()) == prefix {
                values
                    .entry((k, place.clone()))
                    .or_insert_with(|| value.clone());
            }
        }
    };
    let options = EvalOptions {
        instructions: 1_000_000,
        ..EvalOptions::default()
    };
    evaluate(module, arguments, &options, &mut observer)
        .map_err(|error| format!("the reference: {error}"))?;
    let mut checked = 0;
    for (k, found) in matches.regions.iter().enumerate() {
        let get = |list: &[ValueRef]| {
            list.iter()
                .map(|value| values.get(&(k, value.clone())).map(array))
                .collect::<Option<Vec<_>>>()
        };
        let (Some(inputs), Some(outputs)) = (get(&found.inputs), get(&found.outputs)) else {
            continue;
        };
        compare(found, &inputs, &outputs)?;
        checked += 1;
    }
    Ok(checked)
}

fn compare(found: &Match, inputs: &[Array], outputs: &[Array]) -> Result<(), String> {
    let text = found.region.to_string();
    let results = found
        .region
        .evaluate(inputs, &Limits::default())
        .map_err(|error| format!("{error}\n{text}"))?;
    for (k, (result, output)) in results.iter().zip(outputs).enumerate() {
        if let Some(problem) = disagreement(result, output) {
            return Err(format!("output {k}: {problem}\n{text}"));
        }
    }
    Ok(())
}

/// Parses and searches a module.
pub fn search(text: &str) -> (Module, Matches) {
    let module = parse_module(text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    let matches = find_regions(&module, &Options::default()).expect("a searchable module");
    (module, matches)
}

/// Searches a module and checks its regions on several arguments; integers lie in `lo..hi`.
pub fn agree(text: &str, lo: i64, hi: i64) -> Matches {
    let (module, matches) = search(text);
    for seed in 1..4 {
        let arguments = arguments(&module, seed, lo, hi);
        match check(&module, &matches, &arguments) {
            Ok(checked) => assert_eq!(checked, matches.regions.len(), "a region was not entered"),
            Err(problem) => panic!("{problem}\n{text}"),
        }
    }
    matches
}
