//! Walking computations: frames, calls, loops, branches, and when values die.

use std::sync::Arc;

use hashbrown::HashSet;

use super::array::Array;
use super::context::Context;
use super::error::{EvalError, Fault, Outcome};
use super::operation::{Operation, apply};
use super::passing;
use super::{EvalOptions, Observer};
use crate::attribute::AttributeValue;
use crate::literal::{Literal, spelled};
use crate::module::{ComputationId, Instruction, InstructionId, Module, Payload};
use crate::opcode::Opcode;
use crate::shape::Shape;

/// Runs `computation` on `arguments`.
pub(super) fn run(
    module: &Module,
    computation: ComputationId,
    arguments: &[Literal],
    options: &EvalOptions,
    observer: &mut dyn Observer,
) -> Result<Literal, EvalError> {
    check_arguments(module, computation, arguments)?;
    let mut context = Context::new(module, options, observer);
    let mut machine = Machine::new(&mut context, true);
    machine.enter(computation, arguments.to_vec(), Return::Value);
    machine.run()
}

/// The value of a computation that the instruction being evaluated applies; what happens inside
/// of it is not reported.
pub(super) fn apply_computation(
    context: &mut Context<'_>,
    computation: ComputationId,
    arguments: Vec<Literal>,
) -> Outcome<Literal> {
    if context.nesting == MAX_NESTING {
        return Err(Fault::unsupported(format!(
            "more than {MAX_NESTING} applied computations inside one another"
        )));
    }
    context.nesting += 1;
    let outside = context.meter.bytes();
    let mut machine = Machine::new(context, false);
    machine.enter(computation, arguments, Return::Value);
    let value = machine.run();
    context.nesting -= 1;
    context.meter.audited(outside);
    value.map_err(|error| Fault::Placed(Box::new(error)))
}

/// Applied computations inside one another, which take this thread's stack: far more than a
/// program has, and far less than the stack.
const MAX_NESTING: usize = 16;

fn check_arguments(
    module: &Module,
    computation: ComputationId,
    arguments: &[Literal],
) -> Result<(), EvalError> {
    let parameters = &module.computations[computation].parameters;
    if parameters.len() != arguments.len() {
        return Err(EvalError::ArgumentCount {
            expected: parameters.len(),
            found: arguments.len(),
        });
    }
    for (index, (&parameter, argument)) in parameters.iter().zip(arguments).enumerate() {
        let instruction = &module.instructions[parameter];
        if !has_shape(argument, &instruction.shape) {
            return Err(EvalError::Argument {
                index,
                expected: describe(&instruction.shape),
                found: describe(&argument.shape()),
                span: instruction.span.into(),
            });
        }
    }
    Ok(())
}

/// Whether a value may stand where `shape` is declared: the same element types and dimensions,
/// dynamic ones up to their bound, and as many bytes as they take.
pub(super) fn has_shape(value: &Literal, shape: &Shape) -> bool {
    let mut pending = vec![(value, shape)];
    while let Some((value, shape)) = pending.pop() {
        let fits = match (value, shape) {
            (Literal::Array { shape: found, data }, Shape::Array(shape) | Shape::Buffer(shape)) => {
                found.element == shape.element
                    && found.byte_size() == Some(data.len())
                    && found.rank() == shape.rank()
                    && std::iter::zip(&found.dims, &shape.dims).enumerate().all(
                        |(i, (&found, &declared))| {
                            let dynamic = shape.dynamic.get(i) == Some(&true);
                            found == declared
                                || dynamic
                                    && (found < declared
                                        || declared == crate::shape::ArrayShape::UNBOUNDED)
                        },
                    )
            }
            (Literal::Tuple(values), Shape::Tuple(shapes)) => {
                pending.extend(values.iter().zip(shapes));
                values.len() == shapes.len()
            }
            (Literal::Token, Shape::Token) => true,
            (Literal::Leading { shape, .. }, Shape::Array(wanted)) => shape.same_dims(wanted),
            (Literal::Elided(_), _) => true,
            (
                Literal::Array { .. }
                | Literal::Leading { .. }
                | Literal::Tuple(_)
                | Literal::Token,
                _,
            ) => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A shape for messages; the parts of a tuple only up to a few.
pub(super) fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Array(array) => spelled(array),
        Shape::Buffer(array) => format!("b({})", spelled(array)),
        Shape::Token => "token[]".into(),
        Shape::Opaque => "opaque[]".into(),
        Shape::Tuple(parts) => format!("a tuple of {}", parts.len()),
    }
}

/// What the frame below does with a frame's result.
enum Return {
    /// It is the value of the instruction that called.
    Value,
    /// It is the result of an `async-start` with these operands.
    Started(Vec<Literal>),
    /// It decides whether the loop with this state goes on.
    Condition(Vec<Literal>),
    /// It is the loop's next state.
    Body,
}

/// A computation being evaluated.
struct Frame {
    computation: ComputationId,
    arguments: Vec<Option<Literal>>,
    /// Values of the computation's instructions, by position; absent before they are computed
    /// and after their last use.
    values: Vec<Option<Literal>>,
    /// The instruction that is next.
    position: usize,
    returns: Return,
}

struct Machine<'c, 'o> {
    context: &'c mut Context<'o>,
    /// Whether values are told to the observer.
    reports: bool,
    /// Upper bound of the bytes that live outside of the frames.
    outside: u64,
    frames: Vec<Frame>,
    call_path: Vec<InstructionId>,
}

/// What executing one instruction leads to.
enum Next {
    Value(Literal),
    Enter(ComputationId, Vec<Literal>, Return),
}

impl<'c, 'o> Machine<'c, 'o> {
    fn new(context: &'c mut Context<'o>, reports: bool) -> Self {
        Machine {
            outside: context.meter.bytes(),
            context,
            reports,
            frames: Vec::new(),
            call_path: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Literal, EvalError> {
        loop {
            let Some(frame) = self.frames.last() else {
                // Only the last frame's end leaves none, and that returns below.
                return Ok(Literal::Token);
            };
            let computation = &self.context.module.computations[frame.computation];
            let Some(&id) = computation.instructions.get(frame.position) else {
                if let Some(result) = self.leave(computation.root)? {
                    return Ok(result);
                }
                continue;
            };
            match self.step(id).map_err(|fault| self.place(id, fault))? {
                Next::Value(value) => self.set(id, value)?,
                Next::Enter(computation, arguments, returns) => {
                    let depth = self.frames.len() + 1;
                    self.context
                        .meter
                        .call_depth(depth)
                        .map_err(|fault| self.place(id, fault))?;
                    self.call_path.push(id);
                    self.enter(computation, arguments, returns);
                }
            }
        }
    }

    fn place(&self, id: InstructionId, fault: Fault) -> EvalError {
        fault.at(
            self.context.module.path(id),
            self.context.module.instructions[id].span.into(),
        )
    }

    fn enter(&mut self, computation: ComputationId, arguments: Vec<Literal>, returns: Return) {
        let count = self.context.module.computations[computation]
            .instructions
            .len();
        self.frames.push(Frame {
            computation,
            arguments: arguments.into_iter().map(Some).collect(),
            values: std::iter::repeat_with(|| None).take(count).collect(),
            position: 0,
            returns,
        });
    }

    /// The current frame is done; its root's value goes where it is awaited. Returns it when
    /// nobody is left.
    fn leave(&mut self, root: InstructionId) -> Result<Option<Literal>, EvalError> {
        let position = self.context.positions[root] as usize;
        let Some(mut frame) = self.frames.pop() else {
            return Ok(None);
        };
        let result = frame.values.get_mut(position).and_then(Option::take);
        let result = result.ok_or_else(|| {
            self.place(root, Fault::malformed("the root is not in its computation"))
        })?;
        let Some(caller) = self.call_path.pop() else {
            return Ok(Some(result));
        };
        let instruction = &self.context.module.instructions[caller];
        let next = match frame.returns {
            Return::Value => Ok(Next::Value(result)),
            Return::Started(operands) => {
                let operands = Literal::Tuple(operands);
                passing::started(&instruction.shape, operands, result, false).map(Next::Value)
            }
            Return::Condition(state) => truth(result).and_then(|go_on| {
                if go_on {
                    let body = callee(instruction, "body")?;
                    Ok(Next::Enter(body, state, Return::Body))
                } else {
                    only(state).map(Next::Value)
                }
            }),
            Return::Body => callee(instruction, "condition").map(|condition| {
                Next::Enter(
                    condition,
                    vec![result.clone()],
                    Return::Condition(vec![result]),
                )
            }),
        };
        match next.map_err(|fault| self.place(caller, fault))? {
            Next::Value(value) => self.set(caller, value)?,
            Next::Enter(computation, arguments, returns) => {
                self.call_path.push(caller);
                self.enter(computation, arguments, returns);
            }
        }
        Ok(None)
    }

    /// `id` has `value`: report and keep it, drop what it used last.
    fn set(&mut self, id: InstructionId, value: Literal) -> Result<(), EvalError> {
        let instruction = &self.context.module.instructions[id];
        // A tuple costs what looking at its parts does, however little was computed.
        if let Literal::Tuple(_) = value {
            let parts = value.leaves().len();
            let counted = self.context.meter.work(parts);
            counted.map_err(|fault| self.place(id, fault))?;
        }
        if !has_shape(&value, &instruction.shape) {
            let fault = Fault::malformed(format!(
                "declared as {}, but the value is {}",
                describe(&instruction.shape),
                describe(&value.shape())
            ));
            return Err(self.place(id, fault));
        }
        if self.reports {
            self.context.observer.value(&self.call_path, id, &value);
        }
        let Some(frame) = self.frames.last() else {
            return Ok(());
        };
        let lifetimes = self.context.lifetimes(frame.computation);
        if let Some(frame) = self.frames.last_mut() {
            let position = frame.position;
            frame.position += 1;
            if lifetimes.last_use[position] > position {
                frame.values[position] = Some(value);
            }
        }
        Ok(())
    }

    /// The operands' values, moved out where this is their last use.
    fn operands(&mut self, instruction: &Instruction) -> Outcome<Vec<Literal>> {
        let Some(frame) = self.frames.last() else {
            return Ok(Vec::new());
        };
        let lifetimes = self.context.lifetimes(frame.computation);
        let Some(frame) = self.frames.last_mut() else {
            return Ok(Vec::new());
        };
        let here = frame.position;
        let operands = &instruction.operands;
        let mut values = Vec::with_capacity(operands.len());
        for (n, operand) in operands.iter().enumerate() {
            if self.context.module.instructions[*operand].parent != instruction.parent {
                return Err(Fault::malformed("an operand is of another computation"));
            }
            let position = self.context.positions[*operand] as usize;
            let again = operands[n + 1..].contains(operand);
            let slot = frame.values.get_mut(position);
            let value = match slot {
                Some(slot) if lifetimes.last_use[position] == here && !again => slot.take(),
                Some(slot) => slot.clone(),
                None => None,
            };
            values.push(value.ok_or_else(|| {
                Fault::malformed("an operand is not defined before it in its computation")
            })?);
        }
        Ok(values)
    }

    /// The value of a `get-tuple-element`, moved out of its tuple when nobody else needs it.
    fn element(&mut self, instruction: &Instruction) -> Outcome<Literal> {
        let missing = || Fault::malformed("there is no such element");
        let index = instruction.integer("index");
        let index = index.and_then(|index| usize::try_from(index).ok());
        let (Some(index), [tuple]) = (index, &*instruction.operands) else {
            return Err(missing());
        };
        let lifetimes = self.context.lifetimes(instruction.parent);
        let position = self.context.positions[*tuple] as usize;
        let frame = self.frames.last_mut().ok_or_else(missing)?;
        let here = frame.position;
        let slot = frame.values.get_mut(position).ok_or_else(missing)?;
        let Some(Literal::Tuple(elements)) = slot else {
            return Err(missing());
        };
        let element = elements.get_mut(index).ok_or_else(missing)?;
        let element = if lifetimes.moves[here] {
            std::mem::replace(element, Literal::Token)
        } else {
            element.clone()
        };
        if lifetimes.last_use[position] == here {
            *slot = None;
        }
        Ok(element)
    }

    /// Bytes of all values that frames hold, each counted once.
    fn live_bytes(&self) -> u64 {
        let mut seen = HashSet::new();
        let mut bytes = 0;
        let held = self.frames.iter().flat_map(|frame| {
            let state: &[Literal] = match &frame.returns {
                Return::Condition(values) | Return::Started(values) => values,
                Return::Value | Return::Body => &[],
            };
            let values = frame.values.iter().chain(&frame.arguments).flatten();
            values.chain(state)
        });
        for value in held {
            for leaf in value.leaves() {
                if let Literal::Array { data, .. } = leaf
                    && seen.insert(Arc::as_ptr(data).cast::<u8>())
                {
                    bytes += data.len() as u64;
                }
            }
        }
        bytes
    }

    fn step(&mut self, id: InstructionId) -> Outcome<Next> {
        let instruction: &'o Instruction = &self.context.module.instructions[id];
        self.context.meter.instruction()?;
        let value = match &instruction.opcode {
            Opcode::Parameter => self.argument(instruction)?,
            Opcode::Constant => match &instruction.payload {
                Payload::Constant(literal) if holds_elided(literal) => return Err(Fault::Elided),
                Payload::Constant(literal) if holds_leading(literal) => {
                    self.reserve(&instruction.shape)?;
                    literal.expanded()
                }
                Payload::Constant(literal) => Literal::clone(literal),
                Payload::None | Payload::Parameter(_) => {
                    return Err(Fault::malformed("a constant without a value"));
                }
            },
            Opcode::GetTupleElement => self.element(instruction)?,
            Opcode::Tuple => {
                let operands = self.operands(instruction)?;
                let depth = 1 + operands.iter().map(depth).max().unwrap_or(0);
                self.context.meter.tuple_depth(depth)?;
                Literal::Tuple(operands)
            }
            Opcode::Call | Opcode::Fusion | Opcode::AsyncStart => {
                let attribute = if instruction.opcode == Opcode::Call {
                    "to_apply"
                } else {
                    "calls"
                };
                let callee = callee(instruction, attribute)?;
                let operands = self.operands(instruction)?;
                let returns = match instruction.opcode {
                    Opcode::AsyncStart => Return::Started(operands.clone()),
                    _ => Return::Value,
                };
                return self.call(callee, operands, returns);
            }
            Opcode::While => {
                let condition = callee(instruction, "condition")?;
                let state = self.operands(instruction)?;
                return Ok(Next::Enter(
                    condition,
                    state.clone(),
                    Return::Condition(state),
                ));
            }
            Opcode::Conditional => return self.branch(instruction),
            _ => {
                self.reserve(&instruction.shape)?;
                let operands = self.operands(instruction)?;
                let own = match instruction.opcode {
                    Opcode::CustomCall => self.context.observer.custom_call(instruction, &operands),
                    _ => None,
                };
                match own {
                    Some(value) => value.map_err(Fault::Unsupported)?,
                    None => apply(Operation {
                        module: self.context.module,
                        instruction,
                        operands,
                        context: self.context,
                    })?,
                }
            }
        };
        Ok(Next::Value(value))
    }

    fn call(
        &self,
        callee: ComputationId,
        operands: Vec<Literal>,
        returns: Return,
    ) -> Outcome<Next> {
        let expected = self.context.module.computations[callee].parameters.len();
        if expected == operands.len() {
            Ok(Next::Enter(callee, operands, returns))
        } else {
            Err(Fault::expected(
                format_args!("{expected} operands"),
                operands.len(),
            ))
        }
    }

    /// The `n`th branch for selector `n`, the last one for any other; for a `pred` the first
    /// branch is the true one.
    fn branch(&mut self, instruction: &Instruction) -> Outcome<Next> {
        let mut operands = self.operands(instruction)?;
        if operands.is_empty() {
            return Err(Fault::malformed("a conditional without a selector"));
        }
        let selector = Array::from_literal(operands.remove(0))?;
        let listed = match instruction.attribute("branch_computations") {
            Some(AttributeValue::Computations(list)) => list.clone(),
            Some(AttributeValue::Computation(one)) => vec![*one],
            _ => vec![
                callee(instruction, "true_computation")?,
                callee(instruction, "false_computation")?,
            ],
        };
        let chosen = if selector.element == crate::PrimitiveType::Pred {
            usize::from(selector.data.first() == Some(&0))
        } else {
            let index = selector.index_at(0)?;
            usize::try_from(index)
                .unwrap_or(usize::MAX)
                .min(listed.len().saturating_sub(1))
        };
        match listed.get(chosen) {
            Some(&callee) if chosen < operands.len() => {
                self.call(callee, vec![operands.swap_remove(chosen)], Return::Value)
            }
            _ => Err(Fault::malformed(format!(
                "branch {chosen} of {}, with {} operands",
                listed.len(),
                operands.len()
            ))),
        }
    }

    fn argument(&mut self, instruction: &Instruction) -> Outcome<Literal> {
        let Payload::Parameter(number) = instruction.payload else {
            return Err(Fault::malformed("a parameter without a number"));
        };
        self.frames
            .last_mut()
            .and_then(|frame| frame.arguments.get_mut(usize::try_from(number).ok()?))
            .and_then(Option::take)
            .ok_or_else(|| Fault::malformed(format!("there is no argument {number}")))
    }

    fn reserve(&mut self, shape: &Shape) -> Outcome<()> {
        let mut bytes = 0u64;
        let mut pending = vec![shape];
        while let Some(shape) = pending.pop() {
            match shape {
                Shape::Array(array) | Shape::Buffer(array) => {
                    // An unbounded dimension is charged by its operation's work alone.
                    let known = !array.dims.contains(&crate::ArrayShape::UNBOUNDED);
                    let size = array.byte_size().unwrap_or(usize::MAX) as u64;
                    bytes = bytes.saturating_add(if known { size } else { 0 });
                }
                Shape::Tuple(parts) => pending.extend(parts),
                Shape::Token | Shape::Opaque => {}
            }
        }
        if self.context.meter.wants_audit(bytes) {
            let live = self.outside.saturating_add(self.live_bytes());
            self.context.meter.audited(live);
        }
        self.context.meter.reserve(bytes)
    }
}

fn callee(instruction: &Instruction, attribute: &str) -> Outcome<ComputationId> {
    instruction
        .called(attribute)
        .or_else(|| match instruction.opcode {
            // Older texts name the computation of a call or fusion either way.
            Opcode::Call | Opcode::Fusion => instruction.called_computations().next(),
            _ => None,
        })
        .ok_or_else(|| Fault::malformed(format!("{attribute} names no computation")))
}

fn only(mut values: Vec<Literal>) -> Outcome<Literal> {
    match values.pop() {
        Some(value) if values.is_empty() => Ok(value),
        _ => Err(Fault::malformed("expected one operand")),
    }
}

fn truth(condition: Literal) -> Outcome<bool> {
    let array = Array::from_literal(condition)?.expect(crate::PrimitiveType::Pred, &[])?;
    Ok(array.data.first() == Some(&1))
}

fn holds_elided(literal: &Literal) -> bool {
    literal
        .leaves()
        .iter()
        .any(|leaf| matches!(leaf, Literal::Elided(_)))
}

fn holds_leading(literal: &Literal) -> bool {
    let leaves = literal.leaves();
    let mut leaves = leaves.iter();
    leaves.any(|leaf| matches!(leaf, Literal::Leading { .. }))
}

fn depth(value: &Literal) -> usize {
    match value {
        Literal::Tuple(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Literal::Array { .. } | Literal::Leading { .. } | Literal::Elided(_) | Literal::Token => 0,
    }
}
