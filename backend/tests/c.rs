//! Artifacts as C: compiled by the system's compiler, run, and held against the evaluator, bit for bit.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use hlo2dae_backend::{Artifact, Machine, c, compile};
use hlo2dae_ir::core::{
    Arith, Array, BinaryOp, CompareOp, ElementType, Ir, Limits, Scalar, ScalarType, UnaryOp,
};
use hlo2dae_ir::dlc::Program;

/// A program that reads the inputs' bytes, one behind the other, and writes the status and the outputs' bytes.
fn main_function(artifact: &Artifact) -> String {
    let mut text = "\n#include <stdio.h>\nint main(void) {\n".to_owned();
    let bytes =
        |buffer: &hlo2dae_ir::core::Buffer| Array::byte_size(buffer.element, &buffer.dims).unwrap();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (n, (_, buffer)) in artifact.inputs().enumerate() {
        let size = bytes(buffer);
        writeln!(text, "  void *in{n} = malloc({size} + 1);\n  if (fread(in{n}, 1, {size}, stdin) != {size}) return 1;").unwrap();
        inputs.push(format!("in{n}"));
    }
    for (n, (_, buffer)) in artifact.outputs().enumerate() {
        writeln!(text, "  void *out{n} = malloc({} + 1);", bytes(buffer)).unwrap();
        outputs.push(format!("out{n}"));
    }
    writeln!(
        text,
        "  const void *inputs[] = {{ {}0 }};\n  void *outputs[] = {{ {}0 }};\n  int32_t status = {}(inputs, outputs);\n  fwrite(&status, 4, 1, stdout);",
        inputs.iter().map(|i| format!("{i}, ")).collect::<String>(),
        outputs.iter().map(|o| format!("{o}, ")).collect::<String>(),
        c::entry_name(artifact)
    )
    .unwrap();
    for (n, (_, buffer)) in artifact.outputs().enumerate() {
        writeln!(text, "  fwrite(out{n}, 1, {}, stdout);", bytes(buffer)).unwrap();
    }
    text.push_str("  return 0;\n}\n");
    text
}

/// Status and outputs of the C program.
fn run(artifact: &Artifact, inputs: &[Array], options: &[&str]) -> (i32, Vec<Array>) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program.c");
    let text = c::print(artifact).unwrap() + &main_function(artifact);
    std::fs::write(&source, text).unwrap();
    let program = folder.path().join("program");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .args([
            "-std=c11",
            "-O1",
            "-ffp-contract=off",
            "-Wall",
            "-Wextra",
            "-Werror",
        ])
        .args([
            "-Wno-unused-variable",
            "-Wno-unused-but-set-variable",
            "-Wno-unused-function",
        ])
        .args([
            "-Wno-implicit-fallthrough",
            "-Wno-type-limits",
            "-Wno-unused-label",
        ])
        .args(options)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .arg("-lm")
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{messages}");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes: Vec<u8> = inputs.iter().flat_map(|array| array.data.clone()).collect();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let (status, mut rest) = output.stdout.split_first_chunk().unwrap();
    let arrays = artifact.outputs().map(|(_, buffer)| {
        let size = Array::byte_size(buffer.element, &buffer.dims).unwrap();
        let (data, after) = rest.split_at(size);
        rest = after;
        Array::from_bytes(buffer.element, &buffer.dims, data.to_vec()).unwrap()
    });
    (i32::from_le_bytes(*status), arrays.collect())
}

fn compiled(text: &str) -> (Program, Artifact) {
    let program: Program = text.parse().unwrap();
    let machine = Machine {
        cores: 3,
        ..Machine::default()
    };
    let artifact = compile(&program, &machine).unwrap();
    (program, artifact)
}

/// Integers below `rows`, or rising from 0 to 40 where a list says where bags start; floats that differ.
fn inputs(program: &Program, rows: u64) -> Vec<Array> {
    let declared = program.buffers.values().filter(|b| !b.is_written());
    let array = |(seed, buffer): (usize, &hlo2dae_ir::core::Buffer)| {
        let count: u64 = buffer.dims.iter().product();
        let starts = ["offsets", "pointers"].contains(&buffer.name.as_str());
        let scalar = |n: u64| match (starts, buffer.element.is_float()) {
            (true, _) => Scalar::F64((n * n * 40 / ((count - 1) * (count - 1))) as f64),
            (false, false) => Scalar::F64(((n * 7 + seed as u64 * 3) % rows) as f64),
            (false, true) => Scalar::F64(((n * 37 + seed as u64 * 11) % 101) as f64 * 0.37 - 17.0),
        };
        let scalars = (0..count).map(|n| scalar(n).convert(buffer.element.into()));
        Array::from_scalars(buffer.element, &buffer.dims, scalars).unwrap()
    };
    declared.enumerate().map(array).collect()
}

#[test]
fn programs_in_c_give_what_the_evaluator_gives() {
    let texts = [
        include_str!("../../ir/tests/dlc/embedding_bag.dlc"),
        include_str!("../../ir/tests/dlc/event_order.dlc"),
        include_str!("../../ir/tests/dlc/message_passing.dlc"),
        include_str!("../../ir/tests/dlc/segment_sum_drop.dlc"),
        include_str!("../../sim/tests/vectors/bag.dlc"),
        include_str!("../../sim/tests/vectors/copy.dlc"),
        include_str!("../../sim/tests/vectors/cores.dlc"),
        include_str!("../../sim/tests/vectors/gather.dlc"),
    ];
    for text in texts {
        let (program, artifact) = compiled(text);
        let mut inputs = inputs(&program, 3);
        if program.name == "message_passing" {
            // Its bags end where there are edges.
            inputs[3] = Array::from_elements(&[4], &[0, 2, 2, 5]).unwrap();
        }
        let expected = program.evaluate(&inputs, &Limits::default());
        let expected = expected.unwrap_or_else(|error| unreachable!("{}: {error}", program.name));
        let largest = artifact_bytes(&artifact);
        let tight = [
            "-DHLO2DAE_TOKENS=1".to_owned(),
            format!("-DHLO2DAE_BYTES={largest}"),
        ];
        let tight: Vec<&str> = tight.iter().map(String::as_str).collect();
        for options in [&[][..], &tight] {
            let found = run(&artifact, &inputs, options);
            assert_eq!(found, (0, expected.clone()), "{} {options:?}", program.name);
        }
    }
}

/// Bytes of the operands of the largest callback.
fn artifact_bytes(artifact: &Artifact) -> u64 {
    use hlo2dae_backend::access::Instruction;
    let pushes = artifact.access.code.iter().filter_map(|i| match i {
        Instruction::Push(push) => Some(&push.operands),
        _ => None,
    });
    let bytes = pushes.map(|slots| {
        let types = slots.iter().map(|&slot| artifact.access.slots[slot].ty);
        types.map(|ty| ty.bytes()).sum()
    });
    bytes.max().unwrap_or(0).max(1)
}

#[test]
fn an_index_outside_stops_the_program_in_c() {
    let (program, artifact) = compiled(include_str!("../../sim/tests/vectors/gather.dlc"));
    let mut inputs = inputs(&program, 3);
    inputs[1] = Array::from_elements(&[10], &[0, 1, 2, 3, 4, 5, 6, 0, 0, 0]).unwrap();
    assert!(program.evaluate(&inputs, &Limits::default()).is_err());
    assert_eq!(run(&artifact, &inputs, &[]).0, 1);
}

/// Values where operations have edges, as each type has them.
fn edges(element: ElementType) -> Vec<Scalar> {
    let numbers = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -3.0,
        7.0,
        31.0,
        33.0,
        127.0,
        -128.0,
        0.5,
        -1.5,
        2.5,
        1e-7,
        65504.0,
        65519.0,
        6e-8,
        1e10,
        -1e19,
        3e38,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let (least, most) = Scalar::range(element.into());
    let mut edges: Vec<Scalar> = numbers
        .iter()
        .map(|&n| Scalar::F64(n).convert(element.into()))
        .chain([least, most])
        .collect();
    if element.is_float() {
        edges.push(Scalar::F64(f64::NAN).convert(element.into()));
    }
    edges
}

/// Operations whose results are the C library's, not to the last bit.
fn is_library(arith: &Arith<usize>) -> bool {
    use UnaryOp::*;
    match arith {
        Arith::Unary(op, _) => matches!(
            op,
            Cbrt | Exp | Expm1 | Log | Log1p | Logistic | Tanh | Erf | Sin | Cos | Tan
        ),
        Arith::Binary(op, _, _) => {
            matches!(op, BinaryOp::Pow | BinaryOp::Atan2)
        }
        _ => false,
    }
}

/// A unit that streams pairs of values and writes the result of every operation that takes them.
#[test]
fn arithmetic_in_c_is_that_of_the_irs() {
    let scalars: Vec<ScalarType> = ElementType::ALL.iter().map(|&e| e.into()).collect();
    for &element in ElementType::ALL {
        let ty = ScalarType::Element(element);
        let edges = edges(element);
        let pairs: Vec<(Scalar, Scalar)> = edges
            .iter()
            .flat_map(|&a| edges.iter().map(move |&b| (a, b)))
            .collect();
        let mut ariths: Vec<Arith<usize>> = Vec::new();
        ariths.extend(UnaryOp::ALL.iter().map(|&op| Arith::Unary(op, 0)));
        ariths.extend(BinaryOp::ALL.iter().map(|&op| Arith::Binary(op, 0, 1)));
        ariths.extend(CompareOp::ALL.iter().map(|&op| Arith::Compare(op, 0, 1)));
        ariths.extend(scalars.iter().map(|&to| Arith::Convert(0, to)));
        ariths.retain(|arith| arith.map(|_| ty).result_type().is_ok());
        let n = pairs.len();
        let mut buffers = format!("input %a: {element}[{n}]\ninput %b: {element}[{n}]\n");
        let mut streams = String::new();
        for (k, arith) in ariths.iter().enumerate() {
            let result = arith.map(|_| ty).result_type().unwrap();
            writeln!(buffers, "output %o{k}: {result}[{n}]").unwrap();
            let operands: Vec<&str> = arith.operands().map(|&n| ["%x", "%y"][n]).collect();
            let to = match arith {
                Arith::Convert(_, to) => format!(" to {to}"),
                _ => String::new(),
            };
            let (name, operands) = (arith.name(), operands.join(", "));
            writeln!(streams, "%r{k} = alu_stream {name} {operands}{to} in %tu\nstore_stream %r{k}, %o{k}[%i] in %tu").unwrap();
        }
        let (_, artifact) = compiled(&format!(
            "dlc.program @arith {{ {buffers} access {{ %tu = new_tu dense 0 to {n} step 1\n%i = get_ind_var %tu\n\
             %x = mem_stream %a[%i] in %tu\n%y = mem_stream %b[%i] in %tu\n{streams} }}\n\
             execute {{ compute_loop {{ }} }} }}"
        ));
        let side = |f: fn(&(Scalar, Scalar)) -> Scalar| {
            Array::from_scalars(element, &[n as u64], pairs.iter().map(f)).unwrap()
        };
        let (status, outputs) = run(&artifact, &[side(|p| p.0), side(|p| p.1)], &[]);
        assert_eq!(status, 0);
        for (arith, output) in ariths.iter().zip(outputs) {
            for (&(a, b), found) in pairs.iter().zip(output.scalars()) {
                let expected = arith.map(|&n| [a, b][n]).evaluate().unwrap();
                // Which NaN comes out is not defined.
                let nan = |v: Scalar| v.to_string().starts_with("nan");
                let near = is_library(arith) && close(found, expected);
                assert!(
                    found == expected || near || (nan(found) && nan(expected)),
                    "{} of {a}, {b} ({element}): {found}, expected {expected}",
                    arith.name()
                );
            }
        }
    }
}

fn close(found: Scalar, expected: Scalar) -> bool {
    let value = |scalar: Scalar| match scalar.convert(ElementType::F64.into()) {
        Scalar::F64(v) => v,
        _ => f64::NAN,
    };
    let (found, expected) = (value(found), value(expected));
    (found - expected).abs() <= 1e-5 * expected.abs()
}
