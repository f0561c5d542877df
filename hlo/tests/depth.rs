//! Nothing here recurses as deep as its input: texts nested a million deep end with an error or a result, never with an
//! overflow of the stack, in whatever is done with them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at an unexpected answer"
)]

use std::fmt::Write;

use hlo2dae_hlo::eval::{EvalError, EvalOptions, Limit, evaluate};
use hlo2dae_hlo::{Literal, Module, parse_attribute, parse_module, parse_shape, stablehlo, verify};

const DEEP: usize = 1_000_000;

/// Where each level is several lines: enough to overflow the stack of a test with frames of 20 bytes.
const LONG: usize = DEEP / 10;

/// An entry of one instruction.
fn entry(instruction: &str) -> String {
    format!("ENTRY e {{ x = f32[] parameter(0) ROOT y = {instruction} }}")
}

fn nested(open: &str, inside: &str, close: &str) -> String {
    open.repeat(DEEP) + inside + &close.repeat(DEEP)
}

#[test]
fn nesting_that_means_something_is_limited() {
    let (tuples, braces) = (nested("(", "f32[]", ")"), nested("{", "1", "}"));
    assert!(parse_shape(&tuples).is_err());
    for text in [
        entry(&format!("{tuples} tuple(x)")),
        entry(&format!("{tuples} constant({})", nested("(", "1", ")"))),
        entry(&format!("f32[] negate({tuples} x)")),
        entry(&format!("f32[1] constant({braces})")),
        entry(&format!("f32[] {}", nested("negate(", "x", ")"))),
        entry(&format!(
            "f32[] custom-call(), custom_call_target=\"t\", literal={tuples}"
        )),
        entry(&format!(
            "f32[] negate(x), origin={{{}}}",
            nested("(", "{\"a\"}", ")")
        )),
        entry(&format!("f32[] negate(x), sharding={braces}")),
        entry(&format!("f32[] negate(x), metadata={braces}")),
        entry(&format!("f32[] negate(x), statistics={braces}")),
        entry(&format!("f32[] negate(x), control-predecessors={braces}")),
        entry(&format!(
            "f32[] all-reduce(x), to_apply=e, replica_groups={braces}"
        )),
        entry(&format!(
            "f32[] reduce(x, x), dimensions={braces}, to_apply=e"
        )),
        "a = f32[] call(x), to_apply={ x = f32[] parameter(0) ".repeat(DEEP),
        format!("HloModule m, entry_computation_layout={{{tuples}}}"),
        format!("HloModule m, input_output_alias={braces}"),
        format!("HloModule m, StackFrames 1 {}", "{".repeat(DEEP)),
        "HloModule m, /*".repeat(DEEP),
        "\"".repeat(DEEP),
    ] {
        assert!(parse_module(&text).is_err(), "{}", &text[..100]);
    }
}

#[test]
fn nesting_that_means_nothing_is_kept() {
    let object = nested("{\"a\":", "1", "}");
    assert!(parse_attribute("backend_config", &object).is_ok());
    assert!(parse_attribute("frontend_attributes", &format!("{{a={object}}}")).is_ok());
    let parts = nested("{", "", "}");
    for text in [
        entry(&format!("f32[] negate(x), backend_config={object}")),
        entry(&format!(
            "f32[] negate(x), frontend_attributes={{a={object}}}"
        )),
        format!(
            "HloModule m\nStackFrames\n1 {parts}\n{}",
            entry("f32[] negate(x)")
        ),
    ] {
        let module = parse_module(&text).unwrap();
        let printed = module.to_string();
        assert!(parse_module(&printed).unwrap() == module);
        assert!(verify(&module).is_ok());
    }
}

/// What every user of a module does with one that is deep.
fn survives(text: &str) -> Module {
    let module = parse_module(text).unwrap_or_else(|errors| panic!("{errors}"));
    let printed = module.to_string();
    if let Err(errors) = parse_module(&printed) {
        panic!("{errors}");
    }
    // Whether there is a StableHLO form depends on the opcodes.
    let verified = verify(&module).unwrap_or_else(|errors| panic!("{errors}"));
    let _ = stablehlo::print(verified);
    module
}

/// The value for the argument 1, with as many calls inside one another as there are.
fn value(module: &Module) -> Result<Literal, EvalError> {
    let options = EvalOptions {
        call_depth: u64::MAX,
        ..EvalOptions::default()
    };
    evaluate(module, &[Literal::scalar(1f32)], &options, &mut ())
}

/// A module whose entry is the last of `count` computations.
fn callers(count: usize, first: &str, next: impl Fn(&mut String, usize)) -> String {
    let mut text = format!("{first}\n");
    for i in 1..count {
        next(&mut text, i);
    }
    text
}

#[test]
fn a_long_chain_of_instructions_is_no_nesting() {
    let mut text = "ENTRY e {\nx0 = f32[] parameter(0)\n".to_owned();
    for i in 1..DEEP {
        let _ = writeln!(text, "x{i} = f32[] negate(x{})", i - 1);
    }
    let module = survives(&(text + "}"));
    assert!(value(&module).unwrap() == Literal::scalar(-1f32));
    assert!(module == module.clone());
}

#[test]
fn a_deep_chain_of_calls_is_walked() {
    let text = callers(DEEP, "call0 { ROOT x = f32[] parameter(0) }", |text, i| {
        let called = i - 1;
        let _ = writeln!(
            text,
            "call{i} {{ x = f32[] parameter(0) ROOT y = f32[] call(x), to_apply=call{called} }}"
        );
    });
    let module = survives(&text);
    assert!(value(&module).unwrap() == Literal::scalar(1f32));
    let refused = evaluate(
        &module,
        &[Literal::scalar(1f32)],
        &EvalOptions::default(),
        &mut (),
    );
    let limit = |error| {
        matches!(
            error,
            EvalError::Limit {
                limit: Limit::CallDepth,
                ..
            }
        )
    };
    assert!(refused.is_err_and(limit));
}

#[test]
fn deep_fusions_branches_and_applied_computations_are_walked() {
    let text = callers(LONG, "call0 { ROOT x = f32[] parameter(0) }", |text, i| {
        let called = i - 1;
        let root = match i % 3 {
            0 => format!("fusion(x), kind=kLoop, calls=call{called}"),
            1 => format!("conditional(n, x, x), branch_computations={{call{called}, call0}}"),
            _ => format!("map(x), to_apply=call{called}"),
        };
        let _ = writeln!(
            text,
            "call{i} {{ x = f32[] parameter(0) n = s32[] constant(0) ROOT y = f32[] {root} }}"
        );
    });
    // Applied computations take the evaluator's own stack: so many are refused.
    assert!(matches!(
        value(&survives(&text)),
        Err(EvalError::Unsupported { .. })
    ));
}

#[test]
fn a_long_asynchronous_chain_is_walked_once() {
    let shape = "((f32[]), f32[], s32[])";
    let mut text = format!("ENTRY e {{\nx = f32[] parameter(0)\na0 = {shape} negate-start(x)\n");
    for i in 1..LONG {
        let _ = writeln!(text, "a{i} = {shape} negate-update(a{})", i - 1);
    }
    let last = LONG - 1;
    let module = survives(&format!("{text}ROOT y = f32[] negate-done(a{last})\n}}"));
    assert!(value(&module).unwrap() == Literal::scalar(-1f32));
}

#[test]
fn shapes_that_are_not_stated_are_limited_like_stated_ones() {
    let mut text = "ENTRY e {\nx0 = f32[] parameter(0)\n".to_owned();
    for i in 1..DEEP {
        let _ = writeln!(text, "x{i} = tuple(x{})", i - 1);
    }
    assert!(parse_module(&(text + "}")).is_err());

    let mut text = "ENTRY e {\nt = token[] after-all()\nx0 = f32[] parameter(0)\n".to_owned();
    for i in 1..DEEP {
        let _ = writeln!(text, "x{i} = f32[] send(x{}, t), channel_id=1", i - 1);
    }
    assert!(parse_module(&(text + "}")).is_err());
}

#[test]
fn one_sharding_of_many_leaves_is_no_long_text() {
    let leaves = |count: usize| vec!["f32[]"; count].join(", ");
    let devices = |count: usize| vec!["0"; count].join(",");
    let text = |leaf_count, device_count: usize| {
        format!(
            "ENTRY e {{ ROOT x = ({}) parameter(0), sharding={{devices=[{device_count}]{}}} }}",
            leaves(leaf_count),
            devices(device_count)
        )
    };
    assert!(parse_module(&text(100, 100)).is_ok());
    assert!(parse_module(&text(100_000, 100_000)).is_err());
}
