//! The two bounded queues.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use hlo2dae_backend::execute::CaseId;

/// What the control queue carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A case to be run.
    Case(CaseId),
    /// The end of the compute loop.
    Done,
}

/// First-in first-out: at most a fixed number of tokens.
#[derive(Clone, Debug)]
pub(crate) struct ControlQueue {
    tokens: VecDeque<Token>,
    capacity: usize,
}

impl ControlQueue {
    /// Appends a token; `false`, and nothing done, when the queue is full.
    #[inline]
    pub(crate) fn push(&mut self, token: Token) -> bool {
        let room = self.tokens.len() < self.capacity;
        if room {
            self.tokens.push_back(token);
        }
        room
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Token> {
        self.tokens.pop_front()
    }
}

/// First-in first-out: at most a fixed number of operands, each of one word or many. Both ends know how many.
#[derive(Clone, Debug)]
pub(crate) struct DataQueue {
    words: VecDeque<u64>,
    operands: usize,
    capacity: usize,
}

impl DataQueue {
    /// Appends an operand; `false`, and nothing done, when the queue is full.
    #[inline]
    pub(crate) fn push(&mut self, words: &[u64]) -> bool {
        let room = self.operands < self.capacity;
        if room {
            self.operands += 1;
            match words {
                [word] => self.words.push_back(*word),
                words => self.words.extend(words),
            }
        }
        room
    }

    /// Takes an operand of as many words as there is place for; `false`, and nothing done, when the queue is empty.
    #[inline]
    pub(crate) fn pop(&mut self, to: &mut [u64]) -> bool {
        if self.operands == 0 {
            return false;
        }
        self.operands -= 1;
        if let [to] = to {
            *to = self.words.pop_front().unwrap_or(0);
        } else {
            let count = to.len().min(self.words.len());
            for (to, word) in to.iter_mut().zip(self.words.drain(..count)) {
                *to = word;
            }
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.operands == 0
    }
}

/// All that the two machines share.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) control: ControlQueue,
    pub(crate) data: DataQueue,
}

impl Queues {
    pub(crate) fn new(control: NonZeroUsize, data: NonZeroUsize) -> Queues {
        Queues {
            control: ControlQueue {
                tokens: VecDeque::new(),
                capacity: control.get(),
            },
            data: DataQueue {
                words: VecDeque::new(),
                operands: 0,
                capacity: data.get(),
            },
        }
    }
}
