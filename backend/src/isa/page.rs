//! The reference page of the instructions, made from their tables.

use std::fmt::Write as _;

use hlo2dae_ir::core::{BinaryOp, CombineOp, CompareOp, ElementType, UnaryOp};

use super::{Operand, Table};
use crate::artifact::VERSION;
use crate::{access, execute};

const HEAD: &str = "# Instructions

This page is made from the tables of instructions; the tests of the crate hold it to them.

A program for the machine has two parts. The *access program* configures the traversal units of the access unit; the *execute
program* has a list of instructions for each token that the execute unit pops. What the programs mean is told by the
documentation of the modules `access` and `execute`, what they have to keep to by that of `verify`, and the order of the parts of
an artifact's binary form by that of `artifact`.

In text, a slot or register is defined with its name and type (`s3 %x: <8 x f32>`) and used by its number (`s3`). A type is a
scalar's (`f32`), a vector's (`<8 x f32>`) or a row's (`[24 x f32]`).
";

const NUMBERS: &str = "
An instruction is its opcode, one byte, and its fields in the order of the table. Unsigned numbers are LEB128; signed ones are
zigzag-coded first. A list is its length, unsigned, and its items; an optional item is a byte 0, or a byte 1 and the item.
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut kinds: Vec<Operand> = Vec::new();
    table::<access::Instruction>(&mut page, &mut kinds);
    table::<execute::Instruction>(&mut page, &mut kinds);
    // Writing to a string does not fail.
    let _ = writeln!(page, "\n## Encoding, version {VERSION}\n{NUMBERS}");
    page.push_str("| kind of field | bytes |\n|---|---|\n");
    kinds.sort_by_key(|field| field.kind);
    for field in kinds {
        let _ = writeln!(page, "| {} | {} |", field.kind, field.bytes);
    }
    arithmetic(&mut page);
    let combiners = CombineOp::ALL.iter().map(|op| op.name());
    let scalars = ElementType::ALL.iter().map(|element| element.name());
    let _ = writeln!(
        page,
        "\nCombiners, from 0: {}.\n\nScalar types, from 0: {}.",
        list(combiners),
        list(["index"].into_iter().chain(scalars))
    );
    page
}

fn table<T: Table>(page: &mut String, kinds: &mut Vec<Operand>) {
    let _ = writeln!(
        page,
        "\n## The {} unit\n\n| opcode | instruction | fields | meaning |\n|---|---|---|---|",
        T::NAME
    );
    for row in T::ROWS {
        let fields = row.fields.iter().map(|field| {
            let meaning = field.meaning.trim().trim_end_matches('.');
            format!("`{}`, {}: {}", field.name, field.kind, meaning)
        });
        let meaning: Vec<&str> = row.meaning.split_whitespace().collect();
        let _ = writeln!(
            page,
            "| 0x{:02x} | `{}` | {} | {} |",
            row.opcode,
            row.syntax,
            fields.collect::<Vec<_>>().join("; "),
            meaning.join(" ")
        );
        for field in row.fields {
            if !kinds.iter().any(|known| known.kind == field.kind) {
                kinds.push(*field);
            }
        }
    }
}

fn arithmetic(page: &mut String) {
    let unary = UnaryOp::ALL.iter().map(|op| op.name());
    let binary = BinaryOp::ALL.iter().map(|op| op.name());
    let compare = CompareOp::ALL.iter().map(|op| op.name());
    let _ = writeln!(
        page,
        "\n| group | arithmetic | behind the group |\n|---|---|---|\n\
         | 0 | `constant 1.0: f32` | the scalar type; the bits, unsigned |\n\
         | 1 | `neg s0` | the operation, unsigned: from 0, {} |\n\
         | 2 | `add s0, s1` | the operation, unsigned: from 0, {} |\n\
         | 3 | `lt s0, s1` | the operation, unsigned: from 0, {} |\n\
         | 4 | `select s0, s1, s2` | |\n\
         | 5 | `convert s0 to f32` | the scalar type |",
        list(unary),
        list(binary),
        list(compare)
    );
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
