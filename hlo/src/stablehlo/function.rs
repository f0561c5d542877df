//! Functions, regions and operations as text.
//!
//! Everything is written in MLIR's generic form, the one that all versions of a dialect read:
//!
//! ```text
//! %name:2 = "dialect.operation"(%a, %b#1) ({
//! ^bb0(%c: tensor<f32>):
//!   "stablehlo.return"(...) : (...) -> ()
//! }) {key = value} : (types of operands) -> (types of results)
//! ```
//!
//! A tuple is the list of its leaves. Values are named after their instructions; no name occurs twice in a function.

use std::fmt::{self, Display, Formatter, Write};

use cranelift_entity::{EntitySet, SecondaryMap};

use super::attributes::{self, Entry};
use super::error::{Reason, StablehloError};
use super::text::{Type, joined, symbol, types, value_name};
use crate::canonical::NameUniquer;
use crate::module::{Computation, ComputationId, InstructionId, Module, Name, Payload};

/// Deepest nesting of regions; what would stand deeper becomes a function.
const MAX_NESTING: usize = 16;
/// Instructions of a computation that is written in place wherever it is called.
const SMALL: usize = 32;

/// One result of an operation, or a block's argument.
#[derive(Clone, Debug)]
pub(super) struct Value {
    name: Name,
    /// Which result, when the operation has several.
    number: Option<usize>,
    pub(super) of: Type,
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.name)?;
        match self.number {
            Some(number) => write!(f, "#{number}"),
            None => Ok(()),
        }
    }
}

/// A region of an operation: the body of a computation.
#[derive(Clone, Debug)]
pub(super) enum Region {
    /// The computation's parameters are the arguments of the region's block.
    Arguments(ComputationId),
    /// The region's block has no arguments: the parameters stand for values from around.
    Captures(ComputationId, Vec<Vec<Value>>),
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Op {
    /// What stands before the operands: a name in quotes, or a call.
    head: String,
    operands: Vec<Value>,
    attributes: Vec<(String, String)>,
    regions: Vec<Region>,
    results: Vec<Type>,
}

impl Op {
    /// An operation by its name, such as `stablehlo.add`.
    pub(super) fn new(name: &str) -> Self {
        Op::with_head(format!("\"{name}\""))
    }

    fn with_head(head: String) -> Self {
        Op {
            head,
            operands: Vec::new(),
            attributes: Vec::new(),
            regions: Vec::new(),
            results: Vec::new(),
        }
    }

    pub(super) fn operands(mut self, operands: impl IntoIterator<Item = Value>) -> Self {
        self.operands.extend(operands);
        self
    }

    pub(super) fn attribute(mut self, key: &str, value: impl Into<String>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// An attribute that says something by being there.
    pub(super) fn flag(self, key: &str, stated: bool) -> Self {
        if stated {
            self.attribute(key, "unit")
        } else {
            self
        }
    }

    pub(super) fn attributes(mut self, attributes: Vec<(String, String)>) -> Self {
        self.attributes.extend(attributes);
        self
    }

    pub(super) fn region(mut self, region: Region) -> Self {
        self.regions.push(region);
        self
    }

    pub(super) fn results(mut self, results: impl IntoIterator<Item = Type>) -> Self {
        self.results.extend(results);
        self
    }
}

/// Types of the results: one stands alone, several or none stand in parentheses.
fn result_types<T: Display>(types: &[T]) -> String {
    match types {
        [single] => single.to_string(),
        several => format!("({})", joined(several)),
    }
}

/// Writes a module's functions, those that are called after those that call them.
pub(super) struct Printer<'m> {
    pub(super) module: &'m Module,
    pub(super) out: String,
    pub(super) errors: Vec<StablehloError>,
    /// Instructions that have an error already: what is written in several places is reported once.
    refused: EntitySet<InstructionId>,
    /// How often each computation is called.
    call_sites: SecondaryMap<ComputationId, u32>,
    symbols: SecondaryMap<ComputationId, Option<String>>,
    symbol_names: NameUniquer,
    /// Computations that have a symbol and are not written yet, last first.
    pending: Vec<ComputationId>,
    /// What the instructions stand for in the place that is being written.
    values: SecondaryMap<InstructionId, Vec<Value>>,
    /// Names of values in the function that is being written.
    names: NameUniquer,
    indent: usize,
    nesting: usize,
}

impl<'m> Printer<'m> {
    pub(super) fn new(module: &'m Module) -> Self {
        let mut call_sites: SecondaryMap<ComputationId, u32> = SecondaryMap::new();
        for instruction in module.instructions.values() {
            for called in instruction.called_computations() {
                call_sites[called] = call_sites[called].saturating_add(1);
            }
        }
        let mut symbol_names = NameUniquer::default();
        symbol_names.unique(&"main".into());
        Printer {
            module,
            out: String::new(),
            errors: Vec::new(),
            refused: EntitySet::new(),
            call_sites,
            symbols: SecondaryMap::new(),
            symbol_names,
            pending: Vec::new(),
            values: SecondaryMap::new(),
            names: NameUniquer::default(),
            indent: 1,
            nesting: 0,
        }
    }

    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
        self.out.push('\n');
    }

    /// The entry and all that it calls.
    pub(super) fn functions(&mut self) {
        let entry = Entry::new(self.module);
        self.function(self.module.entry, "public @main", &entry);
        while let Some(next) = self.pending.pop() {
            if let Some(symbol) = self.symbols[next].clone() {
                self.function(next, &format!("private {symbol}"), &Entry::default());
            }
        }
    }

    /// One function; `entry` says what is written behind the types of arguments and results.
    fn function(&mut self, id: ComputationId, name: &str, entry: &Entry) {
        let computation = &self.module.computations[id];
        self.names = NameUniquer::default();
        let arguments = self.parameters(computation);
        let arguments = arguments.iter().zip(endless(&entry.arguments));
        let arguments =
            joined(arguments.map(|(value, more)| format!("{value}: {}{more}", value.of)));
        let root = &self.module.instructions[computation.root];
        let results = types(&root.shape).unwrap_or_default();
        let results: Vec<String> = results
            .iter()
            .zip(endless(&entry.results))
            .map(|(of, more)| format!("{of}{more}"))
            .collect();
        // A result with attributes stands in parentheses even when alone.
        let results = match &results[..] {
            [] => String::new(),
            [single] if !single.ends_with('}') => format!(" -> {single}"),
            several => format!(" -> ({})", joined(several)),
        };
        self.line(format_args!("func.func {name}({arguments}){results} {{"));
        self.indent += 1;
        self.body(computation);
        let results = self.values[computation.root].clone();
        self.terminator("func.return", results);
        self.indent -= 1;
        self.line(format_args!("}}"));
    }

    /// Names the parameters; their values in order.
    fn parameters(&mut self, computation: &Computation) -> Vec<Value> {
        let mut arguments = Vec::new();
        for &parameter in &computation.parameters {
            let values = match types(&self.module.instructions[parameter].shape) {
                Ok(types) => types
                    .into_iter()
                    .map(|of| self.name(parameter, of))
                    .collect(),
                Err(reason) => self.refuse(parameter, reason),
            };
            arguments.extend_from_slice(&values);
            self.values[parameter] = values;
        }
        arguments
    }

    fn name(&mut self, id: InstructionId, of: Type) -> Value {
        let name = value_name(&self.module.instructions[id].name);
        Value {
            name: self.names.unique(&name),
            number: None,
            of,
        }
    }

    /// Notes that an instruction has no form; values that keep what follows going.
    fn refuse(&mut self, id: InstructionId, reason: Reason) -> Vec<Value> {
        let instruction = &self.module.instructions[id];
        if self.refused.insert(id) {
            self.errors.push(StablehloError {
                place: self.module.path(id),
                opcode: instruction.opcode,
                reason,
                at: instruction.span,
            });
        }
        let leaves = super::text::leaves(&instruction.shape).map_or(0, |leaves| leaves.len());
        let stand_in = Value {
            name: value_name(&instruction.name),
            number: None,
            of: "none".into(),
        };
        vec![stand_in; leaves]
    }

    fn body(&mut self, computation: &Computation) {
        for &member in &computation.instructions {
            if matches!(
                self.module.instructions[member].payload,
                Payload::Parameter(_)
            ) {
                continue;
            }
            self.values[member] = match self.instruction(member) {
                Ok(values) => values,
                Err(reason) => self.refuse(member, reason),
            };
        }
    }

    fn terminator(&mut self, name: &str, values: Vec<Value>) {
        // It has no results to name.
        self.emit("", Op::new(name).operands(values));
    }

    /// The function of a computation, which is written later.
    pub(super) fn symbol(&mut self, id: ComputationId) -> String {
        if let Some(symbol) = &self.symbols[id] {
            return symbol.clone();
        }
        let name = self.symbol_names.unique(&self.module.computations[id].name);
        let symbol = symbol(&name);
        self.symbols[id] = Some(symbol.clone());
        self.pending.push(id);
        symbol
    }

    /// A call of a computation's function.
    pub(super) fn call(&mut self, id: ComputationId, operands: Vec<Value>) -> Result<Op, Reason> {
        let computation = &self.module.computations[id];
        let mut expected = Vec::new();
        for &parameter in &computation.parameters {
            expected.extend(types(&self.module.instructions[parameter].shape)?);
        }
        if !operands.iter().map(|value| &value.of).eq(&expected) {
            let found = joined(operands.iter().map(|value| &value.of));
            return Err(Reason::form(joined(expected), found));
        }
        let results = types(&self.module.instructions[computation.root].shape)?;
        let head = format!("func.call {}", self.symbol(id));
        Ok(Op::with_head(head).operands(operands).results(results))
    }

    /// Whether a computation is written in place: it is called once, or is so small that it may as well be repeated,
    /// and does not stand too deep. Otherwise the text could grow far beyond the module, or nest without bound.
    fn stands_in_place(&self, id: ComputationId) -> bool {
        let members = &self.module.computations[id].instructions;
        let is_leaf = |&member: &InstructionId| {
            let mut called = self.module.instructions[member].called_computations();
            called.next().is_none()
        };
        let is_small = members.len() <= SMALL && members.iter().all(is_leaf);
        self.nesting < MAX_NESTING && (self.call_sites[id] <= 1 || is_small)
    }

    fn region(&mut self, region: &Region) -> Result<(), Reason> {
        let (&id, arguments) = match region {
            Region::Arguments(id) => (id, None),
            Region::Captures(id, arguments) => (id, Some(arguments)),
        };
        let computation = &self.module.computations[id];
        let passed = match arguments {
            Some(arguments) => {
                for (&parameter, values) in computation.parameters.iter().zip(arguments) {
                    self.values[parameter] = values.clone();
                }
                arguments.concat()
            }
            None => {
                let passed = self.parameters(computation);
                if !passed.is_empty() {
                    let list = joined(passed.iter().map(|value| format!("{value}: {}", value.of)));
                    self.line(format_args!("^bb0({list}):"));
                }
                passed
            }
        };
        self.indent += 1;
        self.nesting += 1;
        let results = if self.stands_in_place(id) {
            self.body(computation);
            Ok(self.values[computation.root].clone())
        } else {
            self.call(id, passed)
                .map(|call| self.emit(&computation.name, call))
        };
        if let Ok(results) = &results {
            self.terminator("stablehlo.return", results.clone());
        }
        self.indent -= 1;
        self.nesting -= 1;
        results.map(|_| ())
    }

    /// Writes an operation; its results are named after `hint`.
    pub(super) fn emit(&mut self, hint: &str, op: Op) -> Vec<Value> {
        let count = op.results.len();
        let mut head = String::new();
        let mut results = Vec::with_capacity(count);
        if count > 0 {
            let name = self.names.unique(&value_name(hint));
            let _ = match count {
                1 => write!(head, "%{name} = "),
                _ => write!(head, "%{name}:{count} = "),
            };
            results.extend(op.results.iter().enumerate().map(|(number, of)| Value {
                name: name.clone(),
                number: (count > 1).then_some(number),
                of: of.clone(),
            }));
        }
        let _ = write!(head, "{}({})", op.head, joined(&op.operands));
        let mut tail = String::new();
        if !op.attributes.is_empty() {
            let entries = op.attributes.iter().map(|(key, value)| match &value[..] {
                "unit" => key.clone(),
                _ => format!("{key} = {value}"),
            });
            let _ = write!(tail, " {{{}}}", joined(entries));
        }
        let operand_types = joined(op.operands.iter().map(|value| &value.of));
        let _ = write!(
            tail,
            " : ({operand_types}) -> {}",
            result_types(&op.results)
        );
        if op.regions.is_empty() {
            self.line(format_args!("{head}{tail}"));
            return results;
        }
        self.line(format_args!("{head} ({{"));
        for (number, region) in op.regions.iter().enumerate() {
            if number > 0 {
                self.line(format_args!("}}, {{"));
            }
            if let Err(reason) = self.region(region) {
                let (Region::Arguments(id) | Region::Captures(id, _)) = region;
                self.refuse(self.module.computations[*id].root, reason);
            }
        }
        self.line(format_args!("}}){tail}"));
        results
    }

    /// Writes an operation with one result.
    pub(super) fn emit_one(&mut self, hint: &str, op: Op) -> Result<Value, Reason> {
        let mut results = self.emit(hint, op);
        match (results.pop(), results.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(Reason::form("one result", "none or several")),
        }
    }

    /// All leaves of an operand.
    pub(super) fn leaves_of(
        &self,
        id: InstructionId,
        operand: usize,
    ) -> Result<Vec<Value>, Reason> {
        let operands = &self.module.instructions[id].operands;
        let operand = operands.get(operand).ok_or_else(|| {
            Reason::form(
                format!("at least {} operands", operand + 1),
                operands.len().to_string(),
            )
        })?;
        Ok(self.values[*operand].clone())
    }

    /// An operand that is no tuple.
    pub(super) fn operand(&self, id: InstructionId, operand: usize) -> Result<Value, Reason> {
        match &self.leaves_of(id, operand)?[..] {
            [value] => Ok(value.clone()),
            several => Err(Reason::form(
                "a single value",
                format!("a tuple of {}", several.len()),
            )),
        }
    }

    /// All leaves of all operands.
    pub(super) fn operands(&self, id: InstructionId) -> Vec<Value> {
        let operands = &self.module.instructions[id].operands;
        operands
            .iter()
            .flat_map(|&operand| self.values[operand].iter().cloned())
            .collect()
    }

    /// The operation that an instruction becomes, with the attributes that any instruction may have.
    pub(super) fn op(&self, id: InstructionId, name: &str) -> Op {
        let instruction = &self.module.instructions[id];
        Op::new(name).attributes(attributes::common(instruction))
    }
}

/// The texts, and nothing for all that follows.
fn endless(texts: &[String]) -> impl Iterator<Item = &str> {
    texts
        .iter()
        .map(String::as_str)
        .chain(std::iter::repeat(""))
}
