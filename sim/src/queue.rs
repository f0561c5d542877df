//! The two bounded queues.

use std::collections::VecDeque;
use std::num::{NonZeroU64, NonZeroUsize};

use hlo2dae_backend::execute::CaseId;

use crate::config::Config;

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

/// First-in first-out: operands of one word or many, in a fixed number of chunks. An operand lies in one chunk. A chunk is
/// used anew when all its operands are taken; the sizes of the operands alone say where each chunk ends.
#[derive(Clone, Debug)]
pub(crate) struct DataQueue {
    words: VecDeque<u64>,
    /// Operands that each chunk has left; the last one is being filled, and is there from the start.
    chunks: VecDeque<usize>,
    /// Bytes of the last chunk that are taken.
    filled: u64,
    /// How many chunks there are.
    capacity: usize,
    chunk_bytes: u64,
}

impl DataQueue {
    fn new(capacity: NonZeroUsize, chunk_bytes: NonZeroU64) -> DataQueue {
        DataQueue {
            words: VecDeque::new(),
            chunks: VecDeque::from([0]),
            filled: 0,
            capacity: capacity.get(),
            chunk_bytes: chunk_bytes.get(),
        }
    }

    /// Appends an operand of so many bytes; `false`, and nothing done, when there is no room for it.
    #[inline]
    pub(crate) fn push(&mut self, words: &[u64], bytes: u64) -> bool {
        let filled = self.filled.saturating_add(bytes);
        // What is larger than a chunk takes one for itself.
        if filled > self.chunk_bytes && self.filled > 0 {
            if !self.next_chunk() {
                return false;
            }
            self.filled = bytes;
        } else {
            self.filled = filled;
        }
        if let Some(last) = self.chunks.back_mut() {
            *last += 1;
        }
        match words {
            [word] => self.words.push_back(*word),
            words => self.words.extend(words),
        }
        true
    }

    /// Goes on with a chunk that has nothing in it; `false` if there is none.
    fn next_chunk(&mut self) -> bool {
        // Only the chunk being filled can be empty: others are given back with their last operand.
        let empty = self.chunks.back() == Some(&0);
        let room = empty || self.chunks.len() < self.capacity;
        if room && !empty {
            self.chunks.push_back(0);
        }
        room
    }

    /// Takes an operand of as many words as there is place for; `false`, and nothing done, when the queue is empty.
    #[inline]
    pub(crate) fn pop(&mut self, to: &mut [u64]) -> bool {
        match self.chunks.front_mut() {
            None | Some(0) => return false,
            Some(left) => *left -= 1,
        }
        if self.chunks.front() == Some(&0) && self.chunks.len() > 1 {
            self.chunks.pop_front();
        }
        if let [to] = to {
            *to = self.words.pop_front().unwrap_or(0);
        } else {
            let count = to.len().min(self.words.len());
            let (front, back) = self.words.as_slices();
            let (whole, rest) = to[..count].split_at_mut(count.min(front.len()));
            whole.copy_from_slice(&front[..whole.len()]);
            rest.copy_from_slice(&back[..rest.len()]);
            self.words.drain(..count);
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.iter().all(|&left| left == 0)
    }
}

/// All that the two machines share.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) control: ControlQueue,
    pub(crate) data: DataQueue,
}

impl Queues {
    pub(crate) fn new(config: &Config) -> Queues {
        Queues {
            control: ControlQueue {
                tokens: VecDeque::new(),
                capacity: config.tokens.get(),
            },
            data: DataQueue::new(config.chunks, config.chunk_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(chunks: usize, bytes: u64) -> DataQueue {
        let (chunks, bytes) = (NonZeroUsize::new(chunks), NonZeroU64::new(bytes));
        DataQueue::new(chunks.unwrap(), bytes.unwrap())
    }

    fn take(queue: &mut DataQueue, words: usize) -> Option<Vec<u64>> {
        let mut to = vec![0; words];
        queue.pop(&mut to).then_some(to)
    }

    #[test]
    fn an_operand_does_not_cross_chunks() {
        let mut queue = queue(2, 16);
        assert!(queue.push(&[1], 8) && queue.push(&[2, 3, 4], 12));
        // 4 bytes are left of the second chunk, and the first one is not empty.
        assert!(!queue.push(&[5], 8));
        assert!(queue.push(&[6], 4));
        assert_eq!(take(&mut queue, 1), Some(vec![1]));
        assert!(queue.push(&[7], 8));
        assert_eq!(take(&mut queue, 3), Some(vec![2, 3, 4]));
        assert_eq!(take(&mut queue, 1), Some(vec![6]));
        assert!(!queue.is_empty());
        assert_eq!(take(&mut queue, 1), Some(vec![7]));
        assert!(queue.is_empty() && take(&mut queue, 1).is_none());
    }

    #[test]
    fn one_chunk_is_filled_again_when_it_is_empty() {
        let mut queue = queue(1, 8);
        for n in 0..5 {
            assert!(queue.push(&[n], 4) && queue.push(&[n + 1], 4) && !queue.push(&[0], 4));
            assert!(take(&mut queue, 1) == Some(vec![n]) && !queue.push(&[0], 4));
            assert_eq!(take(&mut queue, 1), Some(vec![n + 1]));
        }
    }

    #[test]
    fn an_operand_that_is_larger_than_a_chunk_has_one_alone() {
        let mut queue = queue(2, 1);
        assert!(queue.push(&[1, 2], 16) && queue.push(&[3], 8) && !queue.push(&[4], 1));
        assert_eq!(take(&mut queue, 2), Some(vec![1, 2]));
        assert!(queue.push(&[4], 1) && !queue.push(&[5], 1));
    }
}
