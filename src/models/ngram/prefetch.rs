//! Asks the processor for memory that will be read soon.

/// Asks for what `place` refers to; nothing is read, and nothing happens on machines that have no such wish.
#[inline]
pub(super) fn prefetch<T>(place: Option<&T>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(place) = place {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        #[expect(unsafe_code, reason = "waiting for memory is most of the time of scoring")]
        // SAFETY: the instruction is a hint that reads nothing a program could see and cannot fault; the address
        // is that of a live reference.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
