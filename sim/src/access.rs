//! The access unit: steps through the access program and pushes.

use cranelift_entity::SecondaryMap;
use hlo2dae_backend::access::UnitId;
use hlo2dae_ir::core::{BufferId, EvalError};

use crate::alu;
use crate::code::{AccessCode, AccessOp, Push, Row, leading};
use crate::lines::Reader;
use crate::memory::Memory;
use crate::queue::{Queues, Token};
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
    /// Whether it is the last core of a phase.
    last: bool,
    finished: bool,
    pub(crate) activations: SecondaryMap<UnitId, u64>,
    pub(crate) iterations: SecondaryMap<UnitId, u64>,
    pub(crate) readers: Vec<Reader>,
    /// How often each push was done.
    pub(crate) pushes: Vec<u64>,
    /// Elements written to each buffer, and instructions that did so.
    pub(crate) written: SecondaryMap<BufferId, (u64, u64)>,
}

impl<'a> AccessMachine<'a> {
    /// At an instruction, with a file.
    pub(crate) fn new(code: &'a AccessCode, readers: Vec<Reader>) -> Self {
        AccessMachine {
            code,
            at: 0,
            pushed: 0,
            file: code.file.clone(),
            last: true,
            finished: false,
            activations: SecondaryMap::new(),
            iterations: SecondaryMap::new(),
            readers,
            pushes: vec![0; code.pushes.len()],
            written: SecondaryMap::new(),
        }
    }

    /// Goes on with the phase at an instruction; the file may be changed for it.
    pub(crate) fn start(&mut self, at: usize, last: bool) -> &mut [u64] {
        self.at = at;
        self.last = last;
        self.finished = false;
        &mut self.file
    }

    /// Runs until a queue is full, the program is over, or `budget` is spent.
    pub(crate) fn run(
        &mut self,
        memory: &mut Memory<'_>,
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
                AccessOp::Read { lanes, to, reader } => {
                    let touched = memory.load_lanes(lanes, &mut self.file, *to)?;
                    self.readers[*reader].count(lanes, &self.file, &touched);
                    self.at += 1;
                }
                AccessOp::Mask {
                    position,
                    end,
                    step,
                    to,
                    lanes,
                } => {
                    alu::mask(&mut self.file, *position, *end, *step, *to, *lanes);
                    self.at += 1;
                }
                AccessOp::Alu(op) => {
                    alu::run(op, &mut self.file)?;
                    self.at += 1;
                }
                AccessOp::Row { row } => {
                    self.file[row.filled as usize] = 0;
                    self.at += 1;
                }
                AccessOp::Append {
                    value,
                    lanes,
                    mask,
                    row,
                } => {
                    self.append(*value, *lanes, *mask, row)?;
                    self.at += 1;
                }
                AccessOp::Write { lanes, value } => {
                    let elements = memory.store_lanes(lanes, &self.file, *value)?.count();
                    let (written, times) = &mut self.written[lanes.address.buffer];
                    *written += elements;
                    *times += 1;
                    observer.write(lanes, &self.file, *value);
                    self.at += 1;
                }
                AccessOp::Push(n) => {
                    let push = &code.pushes[*n];
                    let before = steps;
                    if !self.push(push, queues, &mut steps, observer)? {
                        return turn(steps, State::Waiting);
                    }
                    self.at += 1;
                    self.pushed = 0;
                    self.pushes[*n] += 1;
                    // A step of its own only when this turn had none: entries were counted.
                    if steps > before {
                        continue;
                    }
                }
                AccessOp::Leave if self.last => self.at += 1,
                AccessOp::Leave | AccessOp::Done => {
                    if !queues.control.push(Token::Done) {
                        return turn(steps, State::Waiting);
                    }
                    self.finished = true;
                    return turn(steps + 1, State::Finished);
                }
            }
            steps += 1;
        }
        turn(steps, State::Running)
    }

    #[inline]
    fn append(
        &mut self,
        value: u32,
        lanes: u32,
        mask: Option<u32>,
        row: &Row,
    ) -> Result<(), EvalError> {
        if let Some(active) = leading(mask, lanes, &self.file) {
            let filled = self.file[row.filled as usize];
            if filled + active as u64 <= u64::from(row.length) {
                let value = value as usize;
                let to = row.at as usize + filled as usize;
                self.file.copy_within(value..value + active, to);
                self.file[row.filled as usize] = filled + active as u64;
                return Ok(());
            }
        }
        for lane in 0..lanes {
            if mask.is_some_and(|mask| self.file[(mask + lane) as usize] == 0) {
                continue;
            }
            let filled = self.file[row.filled as usize];
            if filled >= u64::from(row.length) {
                let what = format!("a row of {} elements gets more", row.length);
                return Err(EvalError::stuck(row.span, what));
            }
            self.file[row.at as usize + filled as usize] = self.file[(value + lane) as usize];
            self.file[row.filled as usize] = filled + 1;
        }
        Ok(())
    }

    /// Pushes what is left of a callback's entries, each a step; whether all are pushed.
    #[inline]
    fn push(
        &mut self,
        push: &Push,
        queues: &mut Queues,
        steps: &mut u64,
        observer: &mut Observer<'_, '_>,
    ) -> Result<bool, EvalError> {
        if self.pushed == 0 {
            if !queues.control.push(Token::Case(push.case)) {
                return Ok(false);
            }
            observer.token(push, &self.file);
            self.pushed = 1;
            *steps += 1;
        }
        for operand in &push.operands[self.pushed - 1..] {
            if let Some(row) = &operand.row {
                let filled = self.file[row.filled as usize];
                if filled != u64::from(row.length) {
                    let what = format!("a row of {} elements is pushed with {filled}", row.length);
                    return Err(EvalError::stuck(row.span, what));
                }
            }
            let at = operand.at as usize;
            let words = &self.file[at..at + operand.words as usize];
            if !queues.data.push(words, operand.bytes) {
                return Ok(false);
            }
            observer.operand(operand.slot, words);
            self.pushed += 1;
            *steps += 1;
        }
        Ok(true)
    }
}
