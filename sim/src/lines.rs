//! Requests of the access unit: which cache lines its reads ask for.
//!
//! One read asks once for each line that its active lanes touch. A read that keeps the last `n` rows (`reuse = n`) asks for no
//! line of a row that it has; rows are kept by their last use.

use std::collections::VecDeque;

use hlo2dae_backend::Artifact;
use hlo2dae_backend::access::{Instruction, Read};
use hlo2dae_ir::core::ReadHints;

use crate::code::LaneAccess;
use crate::memory::Touched;

/// The reads whose requests do not follow from how often their units iterate, in the order of the program.
pub(crate) fn counted(artifact: &Artifact) -> impl Iterator<Item = &Read> {
    artifact.access.code.iter().filter_map(|i| match i {
        Instruction::Read(read) => is_counted(read).then_some(read),
        _ => None,
    })
}

/// Whether a read is one of [`counted`].
pub(crate) fn is_counted(read: &Read) -> bool {
    read.access.lanes.is_some() || read.hints.reuse.is_some()
}

/// The counters of [`counted`], in the same order, of lines of so many bytes. Every buffer starts at a line.
pub(crate) fn readers(artifact: &Artifact, line: usize) -> Vec<Reader> {
    let row = |read: &Read| {
        let buffer = artifact.buffers.get(read.access.buffer)?;
        match buffer.dims.as_slice() {
            // Of a list, a row is a line.
            [_] => Some((line / buffer.element.bytes()) as u64),
            dims => dims.last().copied(),
        }
    };
    counted(artifact)
        .map(|read| Reader::new(read.hints, row(read).unwrap_or(1), line))
        .collect()
}

/// A read, and what it did so far.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    /// Bytes of a line.
    line: usize,
    /// Elements of a row: the size of the last dimension.
    row: usize,
    window: Option<Window>,
    /// Elements read.
    pub(crate) elements: u64,
    /// Lines asked for.
    pub(crate) lines: u64,
    /// Lines that the window had.
    pub(crate) hits: u64,
}

/// The rows that are kept, the last used one first.
#[derive(Clone, Debug)]
struct Window {
    rows: VecDeque<(usize, Vec<usize>)>,
    capacity: usize,
}

impl Reader {
    fn new(hints: ReadHints, row: u64, line: usize) -> Reader {
        Reader {
            line,
            row: usize::try_from(row).unwrap_or(usize::MAX).max(1),
            window: hints.reuse.map(|rows| Window {
                rows: VecDeque::new(),
                capacity: rows as usize,
            }),
            elements: 0,
            lines: 0,
            hits: 0,
        }
    }

    /// One read that was done, of these elements.
    #[inline]
    pub(crate) fn count(&mut self, access: &LaneAccess, file: &[u64], touched: &Touched) {
        let width = access.address.width.bytes();
        self.elements += touched.count();
        if self.window.is_none()
            && let Touched::Run(run) = touched
        {
            if !run.is_empty() {
                let (first, last) = (run.start * width, (run.end - 1) * width);
                self.lines += (last / self.line - first / self.line + 1) as u64;
            }
            return;
        }
        // At most one line for each lane.
        let mut seen = [(0, 0); 64];
        let mut count = 0;
        for lane in 0..access.lanes {
            if !access.active(lane, file) {
                continue;
            }
            let Some(position) = access.position(lane, file) else {
                continue;
            };
            let line = (position / self.row, position * width / self.line);
            if !seen[..count].iter().any(|&(_, known)| known == line.1)
                && let Some(place) = seen.get_mut(count)
            {
                *place = line;
                count += 1;
            }
        }
        for &(row, line) in &seen[..count] {
            if self.window.as_mut().is_some_and(|w| w.has(row, line)) {
                self.hits += 1;
            } else {
                self.lines += 1;
            }
        }
    }
}

impl Window {
    /// Whether a line is there; from now on it is.
    fn has(&mut self, row: usize, line: usize) -> bool {
        let found = self.rows.iter().position(|&(known, _)| known == row);
        let (row, mut lines) = found
            .and_then(|n| self.rows.remove(n))
            .unwrap_or_else(|| (row, Vec::new()));
        let has = lines.contains(&line);
        if !has {
            lines.push(line);
        }
        self.rows.push_front((row, lines));
        self.rows.truncate(self.capacity);
        has
    }
}
