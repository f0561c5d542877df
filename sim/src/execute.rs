//! The execute unit: pops tokens and runs their cases.

use cranelift_entity::{EntityRef, SecondaryMap};
use hlo2dae_backend::execute::CaseId;
use hlo2dae_ir::core::{BufferId, EvalError};

use crate::access::{State, Turn};
use crate::code::{ExecuteCode, ExecuteOp};
use crate::memory::Memory;
use crate::queue::{Queues, Token};

/// Reads and writes of a buffer by the execute unit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    pub(crate) loads: u64,
    pub(crate) stores: u64,
}

/// The execute unit at work.
#[derive(Debug)]
pub(crate) struct ExecuteMachine<'a> {
    code: &'a ExecuteCode,
    /// The case at hand and its instruction to be run; none while a token is awaited.
    at: Option<(CaseId, usize)>,
    /// Operands that the case at hand has popped.
    popped: usize,
    file: Vec<u64>,
    finished: bool,
    pub(crate) activations: SecondaryMap<CaseId, u64>,
    pub(crate) requests: SecondaryMap<BufferId, Requests>,
}

impl<'a> ExecuteMachine<'a> {
    pub(crate) fn new(code: &'a ExecuteCode) -> Self {
        ExecuteMachine {
            code,
            at: None,
            popped: 0,
            file: code.file.clone(),
            finished: false,
            activations: SecondaryMap::new(),
            requests: SecondaryMap::new(),
        }
    }

    /// Runs until a queue is empty, the token is `done`, or `budget` is spent.
    pub(crate) fn run(
        &mut self,
        memory: &mut Memory<'_>,
        queues: &mut Queues,
        budget: u64,
    ) -> Result<Turn, EvalError> {
        let code = self.code;
        let mut steps = 0;
        let turn = |steps, state| Ok(Turn { steps, state });
        if self.finished {
            return turn(0, State::Finished);
        }
        while steps < budget {
            let Some((_, at)) = &mut self.at else {
                match queues.control.pop() {
                    None => return turn(steps, State::Waiting),
                    Some(Token::Done) => {
                        self.finished = true;
                        return turn(steps + 1, State::Finished);
                    }
                    Some(Token::Case(case)) => {
                        self.activations[case] += 1;
                        self.popped = 0;
                        self.at = Some((case, code.entries[case.index()]));
                        steps += 1;
                        continue;
                    }
                }
            };
            let mut next = *at + 1;
            match &code.ops[*at] {
                ExecuteOp::Pop { to } => {
                    let Some(operand) = queues.data.pop() else {
                        return turn(steps, State::Waiting);
                    };
                    self.file[*to as usize] = operand.word;
                    self.popped += 1;
                }
                ExecuteOp::Compute { compute, to, span } => {
                    let word = compute.run(&self.file);
                    self.file[*to as usize] =
                        word.map_err(|error| EvalError::stuck(*span, error))?;
                }
                ExecuteOp::Load(load) => {
                    self.requests[load.address.buffer].loads += 1;
                    self.file[load.to as usize] = memory.load(&load.address, &self.file)?;
                }
                ExecuteOp::Store(store) => {
                    self.requests[store.address.buffer].stores += 1;
                    let word = self.file[store.value as usize];
                    memory.store(&store.address, &self.file, word)?;
                }
                ExecuteOp::BranchUnless { condition, target } => {
                    if self.file[*condition as usize] == 0 {
                        next = *target;
                    }
                }
                ExecuteOp::Jump { target } => next = *target,
                ExecuteOp::Return => {
                    self.at = None;
                    steps += 1;
                    continue;
                }
            }
            *at = next;
            steps += 1;
        }
        turn(steps, State::Running)
    }

    /// The case at hand, and how many operands it has popped; none while a token is awaited.
    pub(crate) fn waiting(&self) -> Option<(CaseId, usize)> {
        self.at.map(|(case, _)| (case, self.popped))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }
}
