//! How the allocator of `sparsight-train` treats memory that a step gave back.

/// Keeps it for the next step, and in one place for all threads: a step takes and frees gigabytes, and pages that go back
/// to the system come again zeroed, which costs a tenth of the step. Where the allocator is not glibc's, nothing is done.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGEST_THRESHOLD: i32 = 32 << 20; // above it, glibc ignores the setting
        // SAFETY: these settings concern speed alone, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_THRESHOLD);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}
