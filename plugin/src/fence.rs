//! The fence around every function that foreign code calls: no panic crosses it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::{Code, Status};

/// Runs `work`; a panic in it becomes an internal error.
///
/// What `work` touches may be looked at after a panic: handles are immutable but for caches, and
/// a cache entry is stored only when it is complete.
pub fn fence<T>(work: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let status = Status {
            code: Code::Internal,
            message: describe(&*payload),
        };
        // Dropping an arbitrary payload could panic again, now outside of the fence.
        std::mem::forget(payload);
        Err(status)
    })
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("internal error of hlo2dae ({text}); please report it together with the program")
}

#[cfg(test)]
#[allow(clippy::panic, reason = "the fence is there for panics")]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let status = fence::<()>(|| panic!("boom {}", 7)).unwrap_err();
        assert_eq!(status.code, Code::Internal);
        assert!(status.message.contains("boom 7"), "{}", status.message);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("second panic");
            }
        }
        let status = fence::<()>(|| std::panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(status.code, Code::Internal);
    }

    #[test]
    fn a_result_passes_through() {
        assert_eq!(fence(|| Ok(3)), Ok(3));
    }
}
