//! The execute unit: pops tokens and runs their cases.

use cranelift_entity::{EntityRef, SecondaryMap};
use hlo2dae_backend::execute::CaseId;
use hlo2dae_ir::core::{BufferId, EvalError, Span};

use crate::access::{State, Turn};
use crate::alu;
use crate::code::{ExecuteCode, ExecuteOp, leading};
use crate::memory::Memory;
use crate::queue::{Queues, Token};

/// Reads and writes of a buffer by the execute unit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// Elements.
    pub(crate) loaded: u64,
    /// Instructions.
    pub(crate) loads: u64,
    pub(crate) stored: u64,
    pub(crate) stores: u64,
}

/// The execute unit at work.
#[derive(Debug)]
pub(crate) struct ExecuteMachine<'a> {
    code: &'a ExecuteCode,
    /// The instruction of the case at hand to be run; none while a token is awaited.
    at: Option<usize>,
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
            file: code.file.clone(),
            finished: false,
            activations: SecondaryMap::new(),
            requests: SecondaryMap::new(),
        }
    }

    /// Goes on after a `done`.
    pub(crate) fn start(&mut self) {
        self.finished = false;
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
            let Some(at) = &mut self.at else {
                match queues.control.pop() {
                    None => return turn(steps, State::Waiting),
                    Some(Token::Done) => {
                        self.finished = true;
                        return turn(steps + 1, State::Finished);
                    }
                    Some(Token::Case(case)) => {
                        self.activations[case] += 1;
                        self.at = Some(code.entries[case.index()]);
                        steps += 1;
                        continue;
                    }
                }
            };
            let mut next = *at + 1;
            match &code.ops[*at] {
                ExecuteOp::Pop { to, words } => {
                    let to = *to as usize;
                    if !queues.data.pop(&mut self.file[to..to + *words as usize]) {
                        return turn(steps, State::Waiting);
                    }
                }
                ExecuteOp::Alu(op) => alu::run(op, &mut self.file)?,
                ExecuteOp::Load(load) => {
                    let requests = &mut self.requests[load.address.buffer];
                    requests.loaded += 1;
                    requests.loads += 1;
                    self.file[load.to as usize] = memory.load(&load.address, &self.file)?;
                }
                ExecuteOp::LoadLanes { lanes, to } => {
                    let loaded = memory.load_lanes(lanes, &mut self.file, *to)?.count();
                    let requests = &mut self.requests[lanes.address.buffer];
                    requests.loaded += loaded;
                    requests.loads += 1;
                }
                ExecuteOp::Store(store) => {
                    let requests = &mut self.requests[store.address.buffer];
                    requests.stored += 1;
                    requests.stores += 1;
                    let word = self.file[store.value as usize];
                    memory.store(&store.address, &self.file, word)?;
                }
                ExecuteOp::StoreLanes { lanes, value } => {
                    let stored = memory.store_lanes(lanes, &self.file, *value)?.count();
                    let requests = &mut self.requests[lanes.address.buffer];
                    requests.stored += stored;
                    requests.stores += 1;
                }
                ExecuteOp::Element {
                    row,
                    length,
                    index,
                    lanes,
                    mask,
                    to,
                    span,
                } => element(
                    &mut self.file,
                    [*row, *length, *index, *to],
                    *lanes,
                    *mask,
                    *span,
                )?,
                ExecuteOp::Reduce {
                    combine,
                    vector,
                    lanes,
                    mask,
                    initial,
                    to,
                    span,
                } => {
                    let mut result = self.file[*initial as usize];
                    for lane in 0..*lanes {
                        if mask.is_some_and(|mask| self.file[(mask + lane) as usize] == 0) {
                            continue;
                        }
                        let word = self.file[(vector + lane) as usize];
                        let combined = combine.run(result, word);
                        result = combined.map_err(|error| EvalError::stuck(*span, error))?;
                    }
                    self.file[*to as usize] = result;
                }
                ExecuteOp::For {
                    position,
                    lower,
                    upper,
                    exit,
                } => {
                    let lower = self.file[*lower as usize];
                    if (lower as i64) < self.file[*upper as usize] as i64 {
                        self.file[*position as usize] = lower;
                    } else {
                        next = *exit;
                    }
                }
                ExecuteOp::Mask {
                    position,
                    upper,
                    step,
                    to,
                    lanes,
                } => alu::mask(&mut self.file, *position, *upper, *step, *to, *lanes),
                ExecuteOp::Next {
                    position,
                    upper,
                    step,
                    body,
                } => {
                    let here = self.file[*position as usize];
                    if let Some(position_there) = alu::next(here, *step, self.file[*upper as usize])
                    {
                        self.file[*position as usize] = position_there;
                        next = *body;
                    }
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
}

/// Takes elements of a row.
#[inline]
fn element(
    file: &mut [u64],
    [row, length, index, to]: [u32; 4],
    lanes: Option<u32>,
    mask: Option<u32>,
    span: Span,
) -> Result<(), EvalError> {
    let first = file[index as usize];
    let lanes = lanes.unwrap_or(1);
    if let Some(active) = leading(mask, lanes, file)
        && first <= u64::from(length)
        && active as u64 <= u64::from(length) - first
    {
        let (from, to) = (row as usize + first as usize, to as usize);
        file.copy_within(from..from + active, to);
        file[to + active..to + lanes as usize].fill(0);
        return Ok(());
    }
    for lane in 0..lanes {
        let to = (to + lane) as usize;
        if mask.is_some_and(|mask| file[(mask + lane) as usize] == 0) {
            file[to] = 0;
            continue;
        }
        let index = (first as i64).saturating_add(lane.into());
        if index as u64 >= u64::from(length) {
            return Err(EvalError::OutsideRow {
                index,
                elements: length as usize,
                span,
            });
        }
        file[to] = file[row as usize + index as usize];
    }
    Ok(())
}
