//! What the tests of the evaluator share.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, not all of which every test uses"
)]

use hlo2dae_hlo::eval::{EvalError, EvalOptions, evaluate};
use hlo2dae_hlo::literal::Native;
use hlo2dae_hlo::{Literal, parse_module};

/// The value of a module's entry.
pub fn run(text: &str, arguments: &[Literal]) -> Result<Literal, EvalError> {
    let module = parse_module(text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    evaluate(&module, arguments, &EvalOptions::default(), &mut ())
}

/// The elements of the result, tuples flattened.
pub fn elements<T: Native>(text: &str, arguments: &[Literal]) -> Vec<T> {
    let value = run(text, arguments).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let leaves = value.leaves();
    leaves
        .iter()
        .flat_map(|l| l.elements::<T>().unwrap())
        .collect()
}

/// An entry that is the last of these instructions.
pub fn entry(instructions: &str) -> String {
    format!("HloModule test\nENTRY main {{\n{instructions}\n}}")
}

pub fn array<T: Native>(dims: &[i64], elements: &[T]) -> Literal {
    Literal::from_elements(dims, elements).unwrap()
}

/// An entry after a computation `f` of one operation on two scalars.
pub fn with_operation(operation: &str, element: &str, instructions: &str) -> String {
    format!(
        "HloModule test
         f {{ a = {element}[] parameter(0)
              b = {element}[] parameter(1)
              ROOT c = {element}[] {operation}(a, b) }}
         ENTRY main {{ {instructions} }}"
    )
}
