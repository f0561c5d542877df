//! A module's regions as a drawing for Graphviz.
//!
//! ```text
//! cluster   a region: its name, what it does, how many instructions it covers, what it saves
//! box       an access, or an output of its region (bold)
//! cylinder  a table
//! rounded   anything else that a region takes
//! arrow     data; dashed where XLA computes something on the way
//! ```
//!
//! Left out is everything else: inside a region what leads from an access to an output, outside what no region takes. A
//! drawing of ten thousand instructions helps nobody.

use std::fmt::Write as _;

use hashbrown::{HashMap, HashSet};
use hlo2dae_frontend::ValueRef;
use hlo2dae_hlo::{InstructionId, Module, Opcode, Payload, Shape};

use crate::compile::{Compilation, Compiled};

/// Longest name in a label.
const MAX_NAME: usize = 32;
/// Most values looked at to find what another region computes from.
const MAX_STEPS: usize = 4096;

/// The drawing.
pub(crate) fn print(compilation: &Compilation) -> String {
    let mut dot = Dot::new(compilation);
    dot.text.push_str(
        "digraph regions {\n  rankdir = TB;\n  node [shape = box, fontname = \"monospace\", fontsize = 10];\n",
    );
    for (number, compiled) in compilation.regions.iter().enumerate() {
        dot.cluster(number, compiled);
    }
    for compiled in &compilation.regions {
        dot.inputs(compiled);
    }
    for compiled in &compilation.regions {
        dot.edges(compiled);
    }
    dot.text.push_str("}\n");
    dot.text
}

struct Dot<'a> {
    module: &'a Module,
    text: String,
    /// What is drawn.
    ids: HashMap<ValueRef, usize>,
    /// What regions give.
    given: HashSet<&'a ValueRef>,
    drawn_edges: HashSet<(usize, usize)>,
}

impl<'a> Dot<'a> {
    fn new(compilation: &'a Compilation) -> Self {
        let outputs = compilation.regions.iter().flat_map(|c| &c.found.outputs);
        Dot {
            module: &compilation.module,
            text: String::new(),
            ids: HashMap::new(),
            given: outputs.collect(),
            drawn_edges: HashSet::new(),
        }
    }

    fn cluster(&mut self, number: usize, compiled: &Compiled) {
        let found = &compiled.found;
        let mut what = found.kind.name().to_owned();
        if found.facts.pooling.name() != "none" {
            let _ = write!(what, ", {}", found.facts.pooling.name());
        }
        let _ = writeln!(
            self.text,
            "  subgraph cluster_{number} {{\n    label = \"@{}: {what}\\n{} instructions, {} bytes saved\";\n    style = filled;\n    fillcolor = \"#eef3fb\";\n    fontname = \"monospace\";\n    fontsize = 10;",
            escape(&found.region.name),
            found.instructions.len(),
            found.traffic.saved(),
        );
        for value in shown(compiled) {
            let style = match found.outputs.contains(value) {
                true => ", penwidth = 2",
                false => "",
            };
            self.node(value, "    ", style);
        }
        self.text.push_str("  }\n");
    }

    /// What a region takes that no region gives.
    fn inputs(&mut self, compiled: &Compiled) {
        let tables = &compiled.found.facts.tables;
        for value in &compiled.found.inputs {
            let style = match tables.iter().any(|table| table.value == *value) {
                true => ", shape = cylinder",
                false => ", style = rounded",
            };
            self.node(value, "  ", style);
        }
    }

    fn node(&mut self, value: &ValueRef, indent: &str, style: &str) {
        let id = self.ids.len();
        if self.ids.contains_key(value) {
            return;
        }
        self.ids.insert(value.clone(), id);
        let instruction = &self.module.instructions[value.instruction];
        let name: String = match instruction.name.char_indices().nth(MAX_NAME) {
            Some((end, _)) => format!("{}...", &instruction.name[..end]),
            None => instruction.name.to_string(),
        };
        let name = escape(&name);
        let opcode = match instruction.opcode {
            Opcode::Parameter => String::new(),
            opcode => format!("{opcode} "),
        };
        let shape = escape(&short(&instruction.shape));
        let _ = writeln!(
            self.text,
            "{indent}n{id} [label = \"{name}\\n{opcode}{shape}\"{style}];"
        );
    }

    fn edge(&mut self, from: &ValueRef, to: &ValueRef, style: &str) {
        let (Some(&from), Some(&to)) = (self.ids.get(from), self.ids.get(to)) else {
            return;
        };
        if from != to && self.drawn_edges.insert((from, to)) {
            let _ = writeln!(self.text, "  n{from} -> n{to}{style};");
        }
    }

    fn edges(&mut self, compiled: &Compiled) {
        let found = &compiled.found;
        let members: HashSet<&ValueRef> = found.instructions.iter().collect();
        let inputs: HashSet<&ValueRef> = found.inputs.iter().collect();
        let drawn: HashSet<&ValueRef> = shown(compiled).collect();
        for value in shown(compiled) {
            // The nearest values that are drawn, through those that are not.
            let is_end = |at: &ValueRef| drawn.contains(at) || inputs.contains(at);
            for end in self.nearest(value, is_end, |at| members.contains(at)) {
                self.edge(&end, value, "");
            }
        }
        for value in &found.inputs {
            if self.given.contains(value) {
                continue;
            }
            let is_given = |at: &ValueRef| self.given.contains(at);
            for end in self.nearest(value, is_given, |at| !self.given.contains(at)) {
                self.edge(&end, value, " [style = dashed]");
            }
        }
    }

    /// The values that end the ways from a value to what it is computed from; ways lead only through what `passes`.
    fn nearest(
        &self,
        value: &ValueRef,
        is_end: impl Fn(&ValueRef) -> bool,
        passes: impl Fn(&ValueRef) -> bool,
    ) -> Vec<ValueRef> {
        let mut ends = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = self.operands(value);
        while let Some(at) = stack.pop() {
            if seen.len() > MAX_STEPS || !seen.insert(at.clone()) {
                continue;
            }
            if is_end(&at) {
                ends.push(at);
            } else if passes(&at) {
                stack.extend(self.operands(&at));
            }
        }
        ends.sort();
        ends
    }

    /// Where an instruction's operands come from, once calls are seen through.
    fn operands(&self, value: &ValueRef) -> Vec<ValueRef> {
        let operand = |&instruction: &InstructionId| {
            let call_path = value.call_path.clone();
            resolved(
                self.module,
                ValueRef {
                    call_path,
                    instruction,
                },
            )
        };
        let operands = &self.module.instructions[value.instruction].operands;
        operands.iter().map(operand).collect()
    }
}

/// What is drawn of a region: its accesses and its outputs.
fn shown(compiled: &Compiled) -> impl Iterator<Item = &ValueRef> {
    let found = &compiled.found;
    let accesses = found.accesses.iter();
    let outputs = found.outputs.iter();
    accesses.chain(outputs.filter(|output| !found.accesses.contains(output)))
}

/// A shape without its layout.
fn short(shape: &Shape) -> String {
    match shape.as_array() {
        Some(array) => {
            let dims: Vec<String> = array.dims.iter().map(i64::to_string).collect();
            format!("{}[{}]", array.element, dims.join(","))
        }
        None => "(...)".to_owned(),
    }
}

/// The value that an instruction passes on: a parameter's argument, a call's root, a tuple's element.
fn resolved(module: &Module, mut value: ValueRef) -> ValueRef {
    loop {
        let instruction = &module.instructions[value.instruction];
        let next = match (&instruction.payload, value.call_path.last()) {
            (Payload::Parameter(number), Some(&call)) => {
                value.call_path.pop();
                usize::try_from(*number)
                    .ok()
                    .and_then(|n| module.instructions[call].operands.get(n))
                    .copied()
            }
            _ => match instruction.opcode {
                Opcode::Call | Opcode::Fusion => {
                    instruction.called_computations().next().map(|callee| {
                        value.call_path.push(value.instruction);
                        module.computations[callee].root
                    })
                }
                Opcode::GetTupleElement => {
                    let tuple = instruction
                        .operands
                        .first()
                        .map(|&operand| &module.instructions[operand]);
                    let index = instruction
                        .integer("index")
                        .and_then(|index| usize::try_from(index).ok());
                    tuple
                        .filter(|tuple| tuple.opcode == Opcode::Tuple)
                        .and_then(|tuple| tuple.operands.get(index?))
                        .copied()
                }
                _ => None,
            },
        };
        match next {
            Some(next) => value.instruction = next,
            None => return value,
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
