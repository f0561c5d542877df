//! The two bounded queues.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use hlo2dae_backend::access::Slot;
use hlo2dae_backend::execute::CaseId;

/// What the control queue carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A case to be run.
    Case(CaseId),
    /// The end of the compute loop.
    Done,
}

/// What the data queue carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The bits of the value.
    pub word: u64,
    /// The stream that it was pushed from; for messages, no machine carries it.
    pub slot: Slot,
}

/// A first-in first-out queue of at most a fixed number of entries.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    entries: VecDeque<T>,
    capacity: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: NonZeroUsize) -> Queue<T> {
        Queue {
            entries: VecDeque::new(),
            capacity: capacity.get(),
        }
    }

    /// Whether `n` more entries fit.
    #[inline]
    pub(crate) fn has_room(&self, n: usize) -> bool {
        self.capacity - self.entries.len() >= n
    }

    /// Appends an entry; `false`, and nothing done, when the queue is full.
    #[inline]
    pub(crate) fn push(&mut self, entry: T) -> bool {
        let room = self.has_room(1);
        if room {
            self.entries.push_back(entry);
        }
        room
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The entries, the next one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }
}

/// All that the two machines share.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) control: Queue<Token>,
    pub(crate) data: Queue<Operand>,
}
