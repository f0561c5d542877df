//! Pools that bring out what depends on who does what, and when.

use crate::native::Pool;

/// Threads of its own, so that tasks do overlap.
pub(super) struct Simultaneous(pub(super) usize);

impl Pool for Simultaneous {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0.min(tasks) {
                scope.spawn(|| {
                    loop {
                        let task = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if task >= tasks {
                            break;
                        }
                        work(task);
                    }
                });
            }
        });
    }
}

/// Does the last task first: what two tasks write, the wrong one of them writes last.
pub(super) struct Backwards(pub(super) usize);

impl Pool for Backwards {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..tasks).rev().for_each(work);
    }
}
