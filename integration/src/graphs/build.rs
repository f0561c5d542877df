//! A graph as it grows: values, computations inside of each other, and where elements come from.

use std::fmt::Write;

use fastrand::Rng;
use hlo2dae_hlo::PrimitiveType::*;
use hlo2dae_hlo::{ArrayShape, PrimitiveType};

use super::{Graph, Parameter};
use crate::fill::Number;

/// Most elements of a value.
const MAX_ELEMENTS: usize = 400;

/// Element types, those that regions are made of more often than the others.
const ELEMENTS: [PrimitiveType; 20] = [
    F32, F32, F32, F32, F64, F16, BF16, BF16, S8, S16, S32, S32, S64, U8, U16, U32, U64, Pred, C64,
    C128,
];

/// Element types of indices.
pub(super) const INDICES: [PrimitiveType; 10] = [S32, S32, S64, S64, S8, S16, U8, U16, U32, U64];

/// What is known of the elements of a value of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Precision {
    /// Integers below two to the given power, infinities and NaN, all computed without rounding.
    Exact(u32),
    /// Rounded, and not negative.
    Positive,
    /// Rounded.
    Rounded,
}

/// An instruction that others may use.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) element: PrimitiveType,
    pub(super) dims: Vec<usize>,
    pub(super) precision: Precision,
}

impl Value {
    pub(super) fn count(&self) -> usize {
        self.dims.iter().product()
    }

    pub(super) fn is_exact(&self) -> bool {
        matches!(self.precision, Precision::Exact(_))
    }
}

/// A computation that is being written.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) body: String,
    values: Vec<Value>,
    /// What the surrounding computation passes in, and the names under which it arrives.
    pub(super) imports: Vec<(Value, Value)>,
    used: Vec<String>,
}

/// A graph that is being written; the innermost computation is the last scope.
pub(super) struct Builder {
    pub(super) rng: Rng,
    number: u64,
    names: usize,
    /// Operations that may still be made.
    steps: usize,
    pub(super) computations: String,
    combiners: Vec<String>,
    parameters: Vec<Parameter>,
    pub(super) scopes: Vec<Scope>,
}

impl Builder {
    pub(super) fn new(number: u64, steps: usize) -> Builder {
        Builder {
            steps,
            rng: Rng::with_seed(number),
            number,
            names: 0,
            computations: String::new(),
            combiners: Vec::new(),
            parameters: Vec::new(),
            scopes: vec![Scope::default()],
        }
    }

    /// A look-up, then anything, a few times.
    pub(super) fn grow(&mut self) {
        for _ in 0..1 + self.below(3) {
            if self.take_step() {
                self.lookup();
            }
            for _ in 0..self.below(5) {
                self.step();
            }
        }
    }

    /// Any operation.
    pub(super) fn step(&mut self) {
        if !self.take_step() {
            return;
        }
        match self.below(20) {
            0..=5 => self.view(),
            6..=11 => self.compute(),
            12..=14 => self.combine(),
            15..=17 => self.lookup(),
            _ => self.control(),
        }
    }

    fn take_step(&mut self) -> bool {
        let left = self.steps.checked_sub(1);
        self.steps = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) fn finish(mut self) -> Graph {
        let scope = self.scopes.pop().unwrap_or_default();
        let parameters: Vec<&str> = self.parameters.iter().map(|p| &*p.name).collect();
        let unused = scope
            .values
            .iter()
            .filter(|v| !scope.used.contains(&v.name) && !parameters.contains(&&*v.name));
        let results = unused.map(|v| (shape(v.element, &v.dims), v.name.clone()));
        Graph {
            number: self.number,
            results: results.collect(),
            computations: self.computations,
            body: scope.body,
            parameters: self.parameters,
        }
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.rng.usize(..n.max(1))
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.rng.usize(..items.len())].clone()
    }

    /// Some of `0..n`, ascending.
    pub(super) fn subset(&mut self, n: usize) -> Vec<usize> {
        (0..n).filter(|_| self.rng.bool()).collect()
    }

    pub(super) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut items: Vec<usize> = (0..n).collect();
        self.rng.shuffle(&mut items);
        items
    }

    /// A size, sometimes zero.
    pub(super) fn size(&mut self) -> usize {
        if self.once_in(30) {
            0
        } else {
            1 + self.below(6)
        }
    }

    pub(super) fn sizes(&mut self, rank: usize) -> Vec<usize> {
        (0..rank).map(|_| self.size()).collect()
    }

    pub(super) fn element(&mut self) -> PrimitiveType {
        self.pick(&ELEMENTS)
    }

    /// A name that nothing else in the module has.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("g{}.{stem}{}", self.number, self.names)
    }

    pub(super) fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let innermost = self.scopes.len() - 1;
        &mut self.scopes[innermost]
    }

    /// Whether a value of this size may be made.
    pub(super) fn fits(dims: &[usize]) -> bool {
        dims.iter().product::<usize>() <= MAX_ELEMENTS
    }

    /// An instruction on `operands`, whose names stand in `operation` as `$0`, `$1`, ...
    pub(super) fn emit(
        &mut self,
        element: PrimitiveType,
        dims: &[usize],
        precision: Precision,
        operands: &[&Value],
        operation: &str,
    ) -> Value {
        let name = self.fresh("v");
        let mut text = operation.to_owned();
        for (number, operand) in operands.iter().enumerate().rev() {
            text = text.replace(&format!("${number}"), &operand.name);
        }
        let value = Value {
            name,
            element,
            dims: dims.to_vec(),
            precision,
        };
        let used: Vec<String> = operands
            .iter()
            .map(|operand| operand.name.clone())
            .collect();
        let scope = self.scope();
        let _ = writeln!(
            scope.body,
            "  {} = {} {text}",
            value.name,
            shape(element, dims)
        );
        scope.used.extend(used);
        scope.values.push(value.clone());
        value
    }

    /// Appends lines to the innermost computation; `used` are the names in them.
    pub(super) fn append(&mut self, lines: &str, used: Vec<String>) {
        let scope = self.scope();
        scope.body.push_str(lines);
        scope.used.extend(used);
    }

    /// An instruction with the type of its first operand.
    pub(super) fn emit_like(
        &mut self,
        operands: &[&Value],
        dims: &[usize],
        operation: &str,
    ) -> Value {
        let Value {
            element, precision, ..
        } = *operands[0];
        self.emit(element, dims, precision, operands, operation)
    }

    /// A value that is there, the latest more often than the others, or a new one.
    pub(super) fn any(&mut self) -> Value {
        self.any_that(|_| true).unwrap_or_else(|| {
            let (element, rank) = (self.element(), self.below(4));
            let dims = self.sizes(rank);
            self.leaf(element, &dims)
        })
    }

    /// A value that is there and satisfies a condition.
    pub(super) fn any_that(&mut self, condition: impl Fn(&Value) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self
            .scope()
            .values
            .iter()
            .filter(|v| condition(v))
            .cloned()
            .collect();
        match fitting.last() {
            Some(last) if self.rng.bool() => Some(last.clone()),
            Some(_) => Some(self.pick(&fitting)),
            None => None,
        }
    }

    /// A new parameter of small numbers.
    pub(super) fn leaf(&mut self, element: PrimitiveType, dims: &[usize]) -> Value {
        let signed = !matches!(element, U8 | U16 | U32 | U64 | Pred);
        let special = self.once_in(8) && matches!(element, F16 | BF16 | F32 | F64);
        let count: usize = dims.iter().product();
        let elements: Vec<Number> = (0..count)
            .map(|_| match element {
                _ if special && self.once_in(6) => {
                    Number::Real(self.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]))
                }
                Pred => Number::Integer(self.rng.i64(0..2)),
                _ if signed => Number::Integer(self.rng.i64(-4..5)),
                _ => Number::Integer(self.rng.i64(0..9)),
            })
            .collect();
        self.parameter(element, dims, elements)
    }

    /// Indices that mostly lie below `limit`, sometimes outside.
    pub(super) fn indices(&mut self, dims: &[usize], limit: usize) -> Value {
        let element = self.pick(&INDICES);
        let limit = limit as i64;
        let low = if element.is_signed_integer() {
            -limit / 2 - 1
        } else {
            0
        };
        let outside = !self.once_in(3);
        let count: usize = dims.iter().product();
        let elements: Vec<Number> = (0..count)
            .map(|_| match outside && self.once_in(4) {
                true => self.rng.i64(low..limit + 3),
                false => self.rng.i64(0..limit.max(1)),
            })
            .map(Number::Integer)
            .collect();
        self.parameter(element, dims, elements)
    }

    /// A parameter of the entry, passed into the innermost computation.
    pub(super) fn parameter(
        &mut self,
        element: PrimitiveType,
        dims: &[usize],
        elements: Vec<Number>,
    ) -> Value {
        let value = Value {
            name: self.fresh("p"),
            element,
            dims: dims.to_vec(),
            precision: Precision::Exact(4),
        };
        self.parameters.push(Parameter {
            name: value.name.clone(),
            shape: ArrayShape::new(element, dims.iter().map(|&n| n as i64).collect::<Vec<_>>()),
            elements,
        });
        self.scopes
            .iter_mut()
            .take(1)
            .for_each(|entry| entry.values.push(value.clone()));
        (1..self.scopes.len()).fold(value, |value, depth| self.import(depth, value))
    }

    /// Passes a value into the computation at `depth` from the one around it.
    pub(super) fn import(&mut self, depth: usize, value: Value) -> Value {
        let inside = Value {
            name: self.fresh("a"),
            ..value.clone()
        };
        self.scopes[depth - 1].used.push(value.name.clone());
        let scope = &mut self.scopes[depth];
        scope.imports.push((value, inside.clone()));
        scope.values.push(inside.clone());
        inside
    }

    /// The name of a computation that combines two numbers, made when it is first needed.
    pub(super) fn combiner(&mut self, operation: &str, element: PrimitiveType) -> String {
        let name = format!("g{}.{operation}.{element}", self.number);
        if !self.combiners.contains(&name) {
            let combined = match operation {
                "replace" => "b".to_owned(),
                _ => format!("{operation}(a, b)"),
            };
            let root = match operation {
                "replace" => format!("  ROOT b = {element}[] parameter(1)"),
                _ => format!("  b = {element}[] parameter(1)\n  ROOT c = {element}[] {combined}"),
            };
            let _ = write!(
                self.computations,
                "{name} {{\n  a = {element}[] parameter(0)\n{root}\n}}\n\n"
            );
            self.combiners.push(name.clone());
        }
        name
    }
}

/// A type as HLO spells it.
pub(super) fn shape(element: PrimitiveType, dims: &[usize]) -> String {
    format!("{element}[{}]", list(dims))
}

/// Numbers with commas between them.
pub(super) fn list(items: &[usize]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(",")
}
