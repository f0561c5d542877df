//! XLA's own threads, as a pool.
//!
//! Work is shared out by a counter. The caller takes part and never waits for a thread that has not begun: if XLA's threads are busy it
//! does everything itself, so that calls within calls cannot lock one another up.
#![allow(
    unsafe_code,
    reason = "hands tasks to XLA, and shares borrowed work with its threads"
)]

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use hlo2dae_backend::native::Pool;
use hlo2dae_backend::native::pool::cores;

use super::abi;
use super::frame::Frame;
use super::typed::take_error;

/// The threads of the XLA that made a frame of the execute stage.
pub struct XlaThreads<'a> {
    api: &'a abi::Api,
    context: *mut abi::ExecutionContext,
    threads: usize,
}

// SAFETY: the context is only handed back to XLA, whose pool takes tasks from any thread.
unsafe impl Sync for XlaThreads<'_> {}

impl<'a> XlaThreads<'a> {
    /// The threads behind a frame; only the caller where XLA has no pool.
    pub fn new(api: &'a abi::Api, frame: Frame<'a>) -> XlaThreads<'a> {
        let mut threads = 0i64;
        if let Some(count) = api.thread_pool_num_threads {
            let mut args = abi::ThreadPoolNumThreadsArgs {
                struct_size: size_of::<abi::ThreadPoolNumThreadsArgs>(),
                extension_start: ptr::null_mut(),
                context: frame.context(),
                num_threads: &raw mut threads,
            };
            // SAFETY: XLA's own function with arguments of its layout, during the execution of the frame.
            let counted = unsafe { take_error(api, count(&raw mut args)) };
            if counted.is_err() {
                threads = 0;
            }
        }
        XlaThreads {
            api,
            context: frame.context(),
            threads: usize::try_from(threads).unwrap_or(1).clamp(1, cores()),
        }
    }

    /// Asks XLA for one thread; whether it will come.
    fn schedule(&self, shared: &Arc<Shared>) -> bool {
        let Some(schedule) = self.api.thread_pool_schedule else {
            return false;
        };
        let data = Arc::into_raw(Arc::clone(shared));
        let mut args = abi::ThreadPoolScheduleArgs {
            struct_size: size_of::<abi::ThreadPoolScheduleArgs>(),
            extension_start: ptr::null_mut(),
            context: self.context,
            task: help,
            data: data.cast_mut().cast(),
        };
        // SAFETY: XLA's own function with arguments of its layout, during the execution of the context.
        let scheduled = unsafe { take_error(self.api, schedule(&raw mut args)) };
        if scheduled.is_err() {
            // SAFETY: XLA did not take it.
            drop(unsafe { Arc::from_raw(data) });
        }
        scheduled.is_ok()
    }
}

impl Pool for XlaThreads<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        let helpers = self.threads.min(tasks).saturating_sub(1);
        if helpers == 0 {
            return (0..tasks).for_each(work);
        }
        // SAFETY: the lifetime is only forgotten for the type's sake: `work` is called with numbers below `tasks`, all of which
        // have returned before this function does.
        let work = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work)
        };
        let shared = Arc::new(Shared {
            work,
            tasks,
            next: AtomicUsize::new(0),
            done: Mutex::new(Done::default()),
            all: Condvar::new(),
        });
        for _ in 0..helpers {
            if !self.schedule(&shared) {
                break;
            }
        }
        shared.take();
        if let Some(panic) = shared.wait() {
            resume_unwind(panic);
        }
    }
}

/// What the threads of one run share.
struct Shared {
    /// Borrowed: whoever takes no task does not touch it.
    work: &'static (dyn Fn(usize) + Sync),
    tasks: usize,
    next: AtomicUsize,
    done: Mutex<Done>,
    all: Condvar,
}

#[derive(Default)]
struct Done {
    tasks: usize,
    panic: Option<Box<dyn Any + Send>>,
}

impl Shared {
    /// Does tasks until there are none.
    fn take(&self) {
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= self.tasks {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(task)));
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done.tasks += 1;
            if let Err(panic) = outcome {
                done.panic.get_or_insert(panic);
            }
            if done.tasks == self.tasks {
                self.all.notify_all();
            }
        }
    }

    /// Waits until every task has returned; what one of them panicked with.
    fn wait(&self) -> Option<Box<dyn Any + Send>> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while done.tasks < self.tasks {
            done = self.all.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
        done.panic.take()
    }
}

/// What a thread of XLA does; it may come when all is done.
///
/// # Safety
/// Only XLA calls it, once for each task that it took, with that task's data.
unsafe extern "C" fn help(data: *mut c_void) {
    // SAFETY: `schedule` made it of an `Arc`.
    let shared = unsafe { Arc::from_raw(data.cast::<Shared>().cast_const()) };
    shared.take();
}
