//! Advice to the system and the C library about large buffers.
//!
//! A fresh mapping costs a fault for every 4 KiB at its first store, and random rows of a large table a miss of the
//! translation cache each. Pages of 2 MiB cost neither. What is left of the cost of a fresh mapping, clearing it, is saved by
//! memory that was used before.

use super::memory::Memory;

/// Buffers below this size are left alone.
pub const LARGE: usize = 8 << 20;

/// Asks for large pages under a buffer that is about to be written for the first time. Nothing happens where the system has none.
pub(crate) fn advise(memory: &Memory<'_>, buffer: usize) {
    if let Some(raw) = memory.raw(buffer)
        && raw.size() >= LARGE
    {
        advise_range(raw.data(), raw.size(), Advice::Huge);
    }
}

/// Asks for large pages under memory of one's own that nobody has touched yet.
pub fn advise_large<T>(fresh: &mut [std::mem::MaybeUninit<T>]) -> bool {
    let bytes = size_of_val(fresh);
    advise_range(fresh.as_mut_ptr().cast(), bytes, Advice::Huge)
}

/// Rebuilds the memory of a table in large pages, in place; whether the system did.
///
/// It takes about a second for a gigabyte, and no one who uses the memory notices. For a table that will be looked
/// up often; it needs Linux 6.1.
pub fn collapse(table: &[u8]) -> bool {
    let data = table.as_ptr().cast_mut();
    advise_range(data, table.len(), Advice::Huge)
        && advise_range(data, table.len(), Advice::Collapse)
}

/// Has the C library keep freed memory for what is asked for next, or give it back to the system as it does by itself; whether
/// it could.
///
/// Frameworks ask for the memory of every result anew, and the C library maps what is large each time, so that the system clears
/// it, page by page, before a result is written. Kept memory costs none of that. It is for the whole process, and what the process has
/// kept stays with it until this is called with `false`. Threads that ask for memory the first time after this share one heap, since what one
/// frees another one asks for; those of before keep their own, from which large blocks are mapped in any case. It needs glibc.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn retain(retain: bool) -> bool {
    /// What the C library begins with (`mallopt(3)`): large blocks that may be mapped, and free bytes that it keeps on top.
    const MAPPED: libc::c_int = 65536;
    const TRIM: libc::c_int = 128 << 10;
    let (mapped, trim, heaps) = if retain {
        (0, -1, 1)
    } else {
        (MAPPED, TRIM, 0)
    };
    // SAFETY: these are settings of the allocator, which it takes at any time, from any thread; trimming touches free memory only.
    unsafe {
        let set = libc::mallopt(libc::M_MMAP_MAX, mapped) == 1
            && libc::mallopt(libc::M_TRIM_THRESHOLD, trim) == 1
            && libc::mallopt(libc::M_ARENA_MAX, heaps) == 1;
        if !retain {
            libc::malloc_trim(0);
        }
        set
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn retain(_: bool) -> bool {
    false
}

#[derive(Clone, Copy)]
enum Advice {
    Huge,
    Collapse,
}

#[cfg(target_os = "linux")]
fn advise_range(data: *mut u8, bytes: usize, advice: Advice) -> bool {
    /// `MADV_COLLAPSE`, which some C libraries do not declare.
    const COLLAPSE: libc::c_int = 25;
    const HUGE: usize = 2 << 20;
    let first = data.addr().next_multiple_of(HUGE);
    let last = (data.addr() + bytes) / HUGE * HUGE;
    if first >= last {
        return false;
    }
    let advice = match advice {
        Advice::Huge => libc::MADV_HUGEPAGE,
        Advice::Collapse => COLLAPSE,
    };
    // SAFETY: the range is whole pages inside of a live buffer, and neither advice changes what it holds.
    unsafe {
        libc::madvise(
            data.wrapping_add(first - data.addr()).cast(),
            last - first,
            advice,
        ) == 0
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_range(_: *mut u8, _: usize, _: Advice) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collapsed_table_holds_what_it_held() {
        let table: Vec<u8> = (0..5 << 20).map(|k| (k % 251) as u8).collect();
        // Whether there are large pages is the system's business.
        let _ = collapse(&table);
        assert!(table.iter().enumerate().all(|(k, &v)| v == (k % 251) as u8));
        assert!(!collapse(&table[..100]));
    }
}
