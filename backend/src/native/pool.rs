//! Threads.

use std::sync::OnceLock;

/// Threads that a run may use: a framework's, or [`Threads`].
pub trait Pool: Sync {
    /// How many work at the same time, the caller's included.
    fn threads(&self) -> usize;

    /// Calls `work` with every number below `tasks`, each once, on any threads; returns when all have returned.
    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller;

impl Pool for Caller {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(work);
    }
}

/// Threads of the process, one for each core, made at the first use and shared by all runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    limit: Option<usize>,
}

impl Threads {
    /// At most so many threads; all cores if none is given.
    pub fn new(limit: Option<usize>) -> Threads {
        Threads { limit }
    }
}

/// Cores that the process may use: asked for once, since the system takes its time to tell.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The shared threads; none where the system grants none, and the caller works alone.
fn shared() -> Option<&'static rayon::ThreadPool> {
    static SHARED: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            rayon::ThreadPoolBuilder::new()
                .thread_name(|k| format!("hlo2dae-{k}"))
                .build()
                .ok()
        })
        .as_ref()
}

impl Pool for Threads {
    fn threads(&self) -> usize {
        let cores = cores();
        cores.min(self.limit.unwrap_or(cores)).max(1)
    }

    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        let threads = self.threads().min(tasks);
        let Some(shared) = shared().filter(|_| threads > 1) else {
            return (0..tasks).for_each(work);
        };
        // Tasks are taken one by one, so that a long one does not hold up those behind it.
        let next = std::sync::atomic::AtomicUsize::new(0);
        let take = || loop {
            let task = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            work(task);
        };
        shared.in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|_| take());
            }
            take();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn every_task_is_done_once() {
        for pool in [
            &Caller as &dyn Pool,
            &Threads::new(None),
            &Threads::new(Some(2)),
        ] {
            assert!(pool.threads() >= 1);
            let done: Vec<AtomicU32> = (0..100).map(|_| AtomicU32::new(0)).collect();
            pool.run(100, &|task| {
                done[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}
