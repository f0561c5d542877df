//! The computation that `reduce`, `scatter` and windows combine elements with.

use super::array::Array;
use super::context::Context;
use super::domain::CHUNK;
use super::elementwise::{self, Lanes};
use super::error::{Fault, Outcome};
use super::program::Program;
use crate::module::{ComputationId, Module};
use crate::opcode::Opcode;
use crate::shape::PrimitiveType;

/// Combines accumulators with elements, lane by lane, for one or several arrays at once.
pub(super) struct Combiner {
    kind: Kind,
    /// Element types that the accumulators have, one an array.
    work: Vec<PrimitiveType>,
    scratch: Vec<u8>,
}

enum Kind {
    /// The element replaces the accumulator.
    Replace,
    /// A single operation that is associative and commutative.
    Operation(Lanes),
    Program(Box<Program>),
}

/// In which type a single operation on floats accumulates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    /// `f64`: the result is what every order approximates.
    Exact,
    /// At least `f32`.
    Single,
}

impl Combiner {
    /// The combiner of `arity` arrays that `computation` is.
    pub(super) fn new(
        context: &mut Context<'_>,
        computation: ComputationId,
        arity: usize,
        precision: Precision,
    ) -> Outcome<Combiner> {
        let module = context.module;
        let parameters = &module.computations[computation].parameters;
        if parameters.len() != 2 * arity || arity == 0 {
            return Err(Fault::expected(
                format_args!("a computation of {} parameters", 2 * arity),
                parameters.len(),
            ));
        }
        if let Some((opcode, element)) = single(module, computation) {
            let Some(opcode) = opcode else {
                return Ok(Combiner::of(Kind::Replace, vec![element]));
            };
            let work = match precision {
                _ if !element.is_float() => element,
                Precision::Exact => PrimitiveType::F64,
                Precision::Single if element.bits() < 32 => PrimitiveType::F32,
                Precision::Single => element,
            };
            let function = elementwise::binary(&opcode, work)?;
            return Ok(Combiner::of(Kind::Operation(function), vec![work]));
        }
        let program = Program::compile(context, computation, CHUNK)?;
        let work = program.results();
        if work != program.parameters()[..arity] {
            return Err(Fault::malformed(
                "the computation does not return what it accumulates",
            ));
        }
        Ok(Combiner::of(Kind::Program(Box::new(program)), work))
    }

    fn of(kind: Kind, work: Vec<PrimitiveType>) -> Combiner {
        Combiner {
            kind,
            work,
            scratch: Vec::new(),
        }
    }

    /// Element types of the accumulators.
    pub(super) fn work(&self) -> &[PrimitiveType] {
        &self.work
    }

    /// Element types of the elements that are combined into the accumulators.
    pub(super) fn inputs(&self) -> Vec<PrimitiveType> {
        match &self.kind {
            Kind::Replace | Kind::Operation(_) => self.work.clone(),
            Kind::Program(program) => program.parameters()[self.work.len()..].to_vec(),
        }
    }

    /// Whether elements simply replace.
    pub(super) fn replaces(&self) -> bool {
        matches!(self.kind, Kind::Replace)
    }

    /// Whether elements may be combined in any order and grouping.
    pub(super) fn reorders(&self) -> bool {
        matches!(self.kind, Kind::Operation(_))
    }

    /// Element operations of one lane.
    pub(super) fn cost(&self) -> usize {
        match &self.kind {
            Kind::Replace | Kind::Operation(_) => 1,
            Kind::Program(program) => program.cost(),
        }
    }

    /// `left = f(left, right)` on as many lanes as `left` has; each slice has one entry an array.
    pub(super) fn combine(
        &mut self,
        context: &mut Context<'_>,
        left: &mut [&mut [u8]],
        right: &[&[u8]],
    ) -> Outcome<()> {
        match &mut self.kind {
            Kind::Replace => {
                for (left, right) in left.iter_mut().zip(right) {
                    left.copy_from_slice(right);
                }
            }
            Kind::Operation(function) => {
                for (left, right) in left.iter_mut().zip(right) {
                    self.scratch.resize(left.len(), 0);
                    function(&[left, right], &mut self.scratch);
                    left.copy_from_slice(&self.scratch);
                }
            }
            Kind::Program(program) => {
                let arity = self.work.len();
                let sizes: Vec<usize> = self.work.iter().map(|w| w.bytes()).collect();
                let inputs = &program.parameters()[arity..];
                let inputs: Vec<usize> = inputs.iter().map(|w| w.bytes()).collect();
                let lanes = left.first().map_or(0, |first| first.len() / sizes[0]);
                for first in (0..lanes).step_by(program.capacity()) {
                    let n = (lanes - first).min(program.capacity());
                    for (i, (left, right)) in left.iter().zip(right).enumerate() {
                        program.set(i, &left[first * sizes[i]..(first + n) * sizes[i]]);
                        let right = &right[first * inputs[i]..(first + n) * inputs[i]];
                        program.set(arity + i, right);
                    }
                    program.run(context, n)?;
                    for (i, left) in left.iter_mut().enumerate() {
                        let result = program.get(i, n);
                        left[first * sizes[i]..(first + n) * sizes[i]].copy_from_slice(result);
                    }
                }
            }
        }
        Ok(())
    }

    /// Combines row after row of `lanes` elements into the accumulators. The arrays have the
    /// types of [`Combiner::inputs`] or convert to them.
    pub(super) fn fold(
        &mut self,
        context: &mut Context<'_>,
        accumulators: &mut [Vec<u8>],
        rows: &[(&[u8], PrimitiveType)],
        lanes: usize,
    ) -> Outcome<()> {
        let count = rows.first().map_or(0, |(bytes, element)| {
            (bytes.len() / element.bytes())
                .checked_div(lanes)
                .unwrap_or(0)
        });
        let inputs = self.inputs();
        let work: Vec<usize> = self.work.iter().map(|w| w.bytes()).collect();
        let converts = rows
            .iter()
            .zip(&inputs)
            .map(|(&(_, from), &to)| Ok((from != to).then_some(elementwise::convert(from, to)?)))
            .collect::<Outcome<Vec<_>>>()?;
        let mut converted: Vec<Vec<u8>> =
            inputs.iter().map(|i| vec![0; CHUNK * i.bytes()]).collect();
        for first in (0..lanes).step_by(CHUNK) {
            let n = (lanes - first).min(CHUNK);
            for row in 0..count {
                for (i, &(bytes, from)) in rows.iter().enumerate() {
                    if let Some(convert) = &converts[i] {
                        let at = (row * lanes + first) * from.bytes();
                        let bytes = &bytes[at..at + n * from.bytes()];
                        convert(&[bytes], &mut converted[i][..n * inputs[i].bytes()]);
                    }
                }
                let right: Vec<&[u8]> = rows
                    .iter()
                    .enumerate()
                    .map(|(i, &(bytes, from))| match &converts[i] {
                        Some(_) => &converted[i][..n * inputs[i].bytes()],
                        None => {
                            let at = (row * lanes + first) * from.bytes();
                            &bytes[at..at + n * from.bytes()]
                        }
                    })
                    .collect();
                let mut left: Vec<&mut [u8]> = accumulators
                    .iter_mut()
                    .zip(&work)
                    .map(|(bytes, size)| &mut bytes[first * size..(first + n) * size])
                    .collect();
                self.combine(context, &mut left, &right)?;
            }
        }
        Ok(())
    }
}

/// The operation and element type, when the computation is one operation that is associative
/// and commutative on its two parameters, or (`None`) just its second parameter.
fn single(module: &Module, computation: ComputationId) -> Option<(Option<Opcode>, PrimitiveType)> {
    let computation = &module.computations[computation];
    let &[first, second] = &computation.parameters[..] else {
        return None;
    };
    let element = |id| module.instructions[id].array().map(|shape| shape.element);
    if element(first) != element(second) {
        return None;
    }
    if computation.root == second {
        return Some((None, element(second)?));
    }
    let root = &module.instructions[computation.root];
    let operands = &root.operands[..];
    if operands != [first, second] && operands != [second, first] {
        return None;
    }
    let result = root.array()?.element;
    matches!(
        root.opcode,
        Opcode::Add
            | Opcode::Multiply
            | Opcode::Maximum
            | Opcode::Minimum
            | Opcode::And
            | Opcode::Or
            | Opcode::Xor
    )
    .then(|| (Some(root.opcode), result))
    .filter(|_| Some(result) == element(first))
}

/// `array`'s bytes as `element`s, in a vector of their own.
pub(super) fn bytes_as(array: &Array, element: PrimitiveType) -> Outcome<Vec<u8>> {
    Ok(array.clone().converted(element)?.data.to_vec())
}
