//! The access unit: steps through the access program and pushes.

use cranelift_entity::SecondaryMap;
use hlo2dae_backend::access::UnitId;
use hlo2dae_ir::core::EvalError;

use crate::code::{AccessCode, AccessOp, Push};
use crate::memory::Memory;
use crate::queue::{Operand, Queues, Token};
use crate::trace::Observer;

/// How a turn of a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its turn is over.
    Running,
    /// A queue stopped it.
    Waiting,
    /// It has nothing more to do.
    Finished,
}

/// What a machine did in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Instructions run, pushes and pops; none if it could do nothing.
    pub(crate) steps: u64,
    pub(crate) state: State,
}

/// The access unit at work.
#[derive(Debug)]
pub(crate) struct AccessMachine<'a> {
    code: &'a AccessCode,
    /// The instruction to be run.
    at: usize,
    /// Of the push at hand: 0 before its token, else one more than the operands pushed.
    pushed: usize,
    file: Vec<u64>,
    finished: bool,
    pub(crate) activations: SecondaryMap<UnitId, u64>,
    pub(crate) iterations: SecondaryMap<UnitId, u64>,
}

impl<'a> AccessMachine<'a> {
    pub(crate) fn new(code: &'a AccessCode) -> Self {
        AccessMachine {
            code,
            at: 0,
            pushed: 0,
            file: code.file.clone(),
            finished: false,
            activations: SecondaryMap::new(),
            iterations: SecondaryMap::new(),
        }
    }

    /// Runs until a queue is full, the program is over, or `budget` is spent.
    pub(crate) fn run(
        &mut self,
        memory: &Memory<'_>,
        queues: &mut Queues,
        budget: u64,
        observer: &mut Observer<'_, '_>,
    ) -> Result<Turn, EvalError> {
        let code = self.code;
        let mut steps = 0;
        let turn = |steps, state| Ok(Turn { steps, state });
        if self.finished {
            return turn(0, State::Finished);
        }
        while steps < budget {
            match &code.ops[self.at] {
                AccessOp::Enter {
                    unit,
                    position,
                    begin,
                    end,
                    exit,
                } => {
                    self.activations[*unit] += 1;
                    let first = self.file[*begin as usize];
                    if (first as i64) < self.file[*end as usize] as i64 {
                        self.file[*position as usize] = first;
                        self.iterations[*unit] += 1;
                        self.at += 1;
                    } else {
                        self.at = *exit;
                    }
                }
                AccessOp::Next {
                    unit,
                    position,
                    end,
                    step,
                    body,
                } => {
                    let end = self.file[*end as usize] as i64;
                    let position = &mut self.file[*position as usize];
                    match (*position as i64).checked_add(*step) {
                        Some(next) if next < end => {
                            *position = next as u64;
                            self.iterations[*unit] += 1;
                            self.at = *body;
                        }
                        Some(_) | None => self.at += 1,
                    }
                }
                AccessOp::Load(load) => {
                    self.file[load.to as usize] = memory.load(&load.address, &self.file)?;
                    self.at += 1;
                }
                AccessOp::Compute { compute, to, span } => {
                    let word = compute.run(&self.file);
                    self.file[*to as usize] =
                        word.map_err(|error| EvalError::stuck(*span, error))?;
                    self.at += 1;
                }
                AccessOp::Push(n) => {
                    let push = &code.pushes[*n];
                    let before = steps;
                    if !self.push(push, queues, &mut steps, observer) {
                        return turn(steps, State::Waiting);
                    }
                    self.at += 1;
                    self.pushed = 0;
                    // A step of its own only when this turn had none: entries were counted.
                    if steps > before {
                        continue;
                    }
                }
                AccessOp::Done => {
                    if !queues.control.push(Token::Done) {
                        return turn(steps, State::Waiting);
                    }
                    observer.done();
                    self.finished = true;
                    return turn(steps + 1, State::Finished);
                }
            }
            steps += 1;
        }
        turn(steps, State::Running)
    }

    /// Pushes what is left of a callback's entries, each a step; whether all are pushed.
    #[inline]
    fn push(
        &mut self,
        push: &Push,
        queues: &mut Queues,
        steps: &mut u64,
        observer: &mut Observer<'_, '_>,
    ) -> bool {
        if self.pushed == 0 {
            if !queues.control.push(Token::Case(push.case)) {
                return false;
            }
            observer.token(push, &self.file);
            self.pushed = 1;
            *steps += 1;
        }
        for &slot in &push.operands[self.pushed - 1..] {
            let word = self.file[slot.as_u32() as usize];
            if !queues.data.push(Operand { word, slot }) {
                return false;
            }
            observer.operand(slot, word);
            self.pushed += 1;
            *steps += 1;
        }
        true
    }

    /// The push that the machine is stopped at, and how many of its operands are pushed; `None` in its place
    /// before the token.
    pub(crate) fn waiting(&self) -> Option<(&'a Push, Option<usize>)> {
        match self.code.ops.get(self.at)? {
            AccessOp::Push(n) => Some((self.code.pushes.get(*n)?, self.pushed.checked_sub(1))),
            AccessOp::Enter { .. }
            | AccessOp::Next { .. }
            | AccessOp::Load(_)
            | AccessOp::Compute { .. }
            | AccessOp::Done => None,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The current words of all slots.
    pub(crate) fn file(&self) -> &[u64] {
        &self.file
    }
}
