//! Writes and holds `docs/ops.md`: every operation, with an example that is run. `BLESS=1` rewrites it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/texts.rs"]
mod texts;

use std::fmt::Write as _;
use std::path::Path;

use hlo2dae_ir::core::{
    Arith, Array, BinaryOp, CombineOp, CompareOp, ElementType, Ir, Limits, Role, Scalar,
    ScalarType, UnaryOp,
};
use hlo2dae_ir::lower::slc_to_dlc;
use hlo2dae_ir::{scf, slc};

/// The types of operands that an operation takes, in groups.
fn takes(accepts: impl Fn(ScalarType) -> bool) -> String {
    let all = |group: &[ElementType]| group.iter().all(|e| accepts(ScalarType::Element(*e)));
    let groups: [(&str, Vec<ElementType>); 3] = [
        ("integers", select(ElementType::is_integer)),
        ("floats", select(ElementType::is_float)),
        ("bool", vec![ElementType::Bool]),
    ];
    let mut names: Vec<&str> = Vec::new();
    if accepts(ScalarType::Index) {
        names.push("index");
    }
    for (name, group) in &groups {
        if all(group) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn select(of: impl Fn(ElementType) -> bool) -> Vec<ElementType> {
    let all = ElementType::ALL.iter().copied();
    all.filter(|e| of(*e)).collect()
}

/// What an operation gives, by a program that is run.
fn example(operation: &str, operands: &[Scalar], result: ScalarType) -> String {
    let ScalarType::Element(element) = result else {
        panic!("{operation} gives an index");
    };
    let mut text = format!("scf.func @example {{\n  output %out: {element}[]\n");
    let names = ["a", "b", "c"];
    for (name, operand) in names.iter().zip(operands) {
        writeln!(text, "  %{name} = constant {operand}: {}", operand.ty()).unwrap();
    }
    let used: Vec<String> = names[..operands.len()]
        .iter()
        .map(|name| format!("%{name}"))
        .collect();
    let used = used.join(", ");
    writeln!(text, "  %r = {operation} {used}\n  store %r, %out[]\n}}").unwrap();
    let func: scf::Func = text.parse().unwrap();
    let outputs = func.evaluate(&[], &Limits::default()).unwrap();
    let shown: Vec<String> = operands.iter().map(Scalar::to_string).collect();
    let value = outputs[0].get(0).unwrap();
    format!("`{operation} {}` = `{value}`", shown.join(", "))
}

/// Two operands of a type that an operation takes: floats, else integers.
fn operands(
    accepts: impl Fn(ScalarType) -> bool,
    float: [f32; 2],
    integer: [i32; 2],
) -> [Scalar; 2] {
    if accepts(ScalarType::Element(ElementType::F32)) {
        float.map(Scalar::F32)
    } else {
        integer.map(Scalar::S32)
    }
}

fn scalar_operations(page: &mut String) {
    page.push_str("| operation | takes | example |\n|---|---|---|\n");
    let mut row = |name: &str, takes: String, example: String| {
        writeln!(page, "| `{name}` | {takes} | {example} |").unwrap();
    };
    for &op in UnaryOp::ALL {
        let accepts = |ty| op.result_type(ty).is_ok();
        let [a, _] = operands(accepts, [0.75, 0.0], [12, 0]);
        let result = op.result_type(a.ty()).unwrap();
        row(op.name(), takes(accepts), example(op.name(), &[a], result));
    }
    for &op in BinaryOp::ALL {
        let accepts = |ty| op.result_type(ty, ty).is_ok();
        let both = operands(accepts, [7.5, 2.0], [12, 2]);
        let result = op.result_type(both[0].ty(), both[1].ty()).unwrap();
        row(op.name(), takes(accepts), example(op.name(), &both, result));
    }
    for &op in CompareOp::ALL {
        let accepts = |ty| op.result_type(ty, ty).is_ok();
        let both = [Scalar::S32(2), Scalar::S32(3)];
        row(
            op.name(),
            takes(accepts),
            example(op.name(), &both, ScalarType::BOOL),
        );
    }
    let three = [Scalar::Bool(true), Scalar::F32(1.5), Scalar::F32(2.5)];
    let result = Arith::Select(three[0].ty(), three[1].ty(), three[2].ty());
    let result = result.result_type().unwrap();
    row(
        "select",
        "bool, then any".to_owned(),
        example("select", &three, result),
    );
}

/// Numbers in order: floats from 0 in halves, integers that are places.
fn inputs(func: &slc::Func) -> Vec<Array> {
    let declared = func.buffers.values().filter(|b| b.role == Role::Input);
    let array = |buffer: &hlo2dae_ir::core::Buffer| {
        let mut array = Array::zeros(buffer.element, &buffer.dims).unwrap();
        for n in 0..array.len() {
            let number = match buffer.element.is_float() {
                true => Scalar::F64(n as f64 / 2.0),
                false => Scalar::S64((3 * n as i64 + 2) % 4),
            };
            array.set(n, number.convert(buffer.element.into())).unwrap();
        }
        array
    };
    declared.map(array).collect()
}

fn shown(array: &Array) -> String {
    let numbers: Vec<String> = array.scalars().map(|s| s.to_string()).collect();
    numbers.join(" ")
}

/// Every word that starts a form of SLC or of its callbacks.
const FORMS: &[&str] = &[
    "slc.for ",
    "slcv.for<",
    "slc.mem_stream ",
    "slcv.mem_stream<",
    "slc.alu_stream ",
    "slcv.broadcast ",
    "slcv.lanes ",
    "slcv.buf_stream ",
    "slcv.to_buffer ",
    "slc.store_stream ",
    "slcv.store_stream<",
    "slc.callback ",
    "slc.from_stream ",
    "slcv.from_buffer ",
    "= load ",
    "= load<",
    "  store ",
    "  store<",
    "= element<",
    "= reduce ",
    "= lanes ",
    "scf.if ",
    "scf.for<",
    "{nontemporal}",
    "level = l2",
    "reuse = ",
];

fn programs(page: &mut String) {
    let mut all = String::new();
    for path in texts::files(&texts::folder("reference"), "slc") {
        let whole = std::fs::read_to_string(&path).unwrap();
        let heading: String = whole
            .lines()
            .filter_map(|line| line.strip_prefix("// "))
            .collect();
        let text = texts::program(&path);
        let func: slc::Func = text.parse().unwrap();
        assert_eq!(func.to_string(), text, "{}", path.display());
        let inputs = inputs(&func);
        let outputs = func.evaluate(&inputs, &Limits::default()).unwrap();
        let decoupled = slc_to_dlc(&func).unwrap();
        let found = decoupled.evaluate(&inputs, &Limits::default()).unwrap();
        assert_eq!(found, outputs, "{}", path.display());
        let title = func.name.replace('_', " ");
        writeln!(page, "\n## {title}\n\n{heading}\n\n```text\n{text}```\n").unwrap();
        let (mut arrays, mut results) = (inputs.iter(), outputs.iter());
        for buffer in func.buffers.values() {
            let array = match buffer.role {
                Role::Input => arrays.next(),
                Role::Output(_) => results.next(),
                Role::Temp(_) => None,
            };
            if let Some(array) = array {
                let role = if buffer.role == Role::Input {
                    "of"
                } else {
                    "gives"
                };
                writeln!(page, "- {role} `%{}` = {}", buffer.name, shown(array)).unwrap();
            }
        }
        all.push_str(&text);
    }
    for form in FORMS {
        assert!(all.contains(form), "no example has `{form}`");
    }
}

#[test]
fn the_reference_is_what_runs() {
    let mut page = String::from(
        "# Operations of the IRs\n\nScalar operations are the same in all IRs; on vectors they go lane by lane. Here each one with what it takes and an example that was run\n(`BLESS=1 cargo test -p hlo2dae-ir --test reference` writes this page). Also: `constant 1.5: f32`, `convert %x to s32` from and to any type.\n\n",
    );
    scalar_operations(&mut page);
    let combiners: Vec<String> = CombineOp::ALL.iter().map(|op| format!("`{op}`")).collect();
    writeln!(
        page,
        "\nA `combine` of a region takes {}; a `reduce` all of them but `sub` and `replace`.",
        combiners.join(", ")
    )
    .unwrap();
    page.push_str("\n# Forms of SLC\n\nWhole programs, each with what it makes of some inputs. DLC has the same streams, effects and code, spelled without `slc.` and `slcv.`.\n");
    programs(&mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ops");
    texts::compare(&path, "md", &page);
}
