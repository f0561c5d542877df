//! Advice to the system about large buffers.
//!
//! A fresh mapping costs a fault for every 4 KiB at its first store, and random rows of a large table a miss of the
//! translation cache each. Pages of 2 MiB cost neither.

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
