//! How much memory the system's allocator keeps for itself.
//!
//! By default glibc gives each thread an arena of its own, and the more large blocks are given back, the larger are those that it
//! keeps in them. Here rows are read by one thread, written by another and given back there: what is kept grows beyond any
//! budget. Other allocators are left as they are.
#![allow(unsafe_code, reason = "glibc's settings are in no safe binding")]

/// Below this limit of memory, in bytes, [`keep_less`] is worth its price.
pub const SMALL: u64 = 384 << 20;

/// Makes the allocator give large blocks back to the system, and have few arenas. To be called before there are other threads.
pub fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [
        (libc::M_ARENA_MAX, 2),
        // Larger blocks are the system's own; setting this also ends its growth.
        (libc::M_MMAP_THRESHOLD, 1 << 20),
        // So much free memory may stay at the end of the heap.
        (libc::M_TRIM_THRESHOLD, 16 << 20),
    ] {
        // SAFETY: `mallopt` takes two numbers, and no pointer; no other thread allocates meanwhile. If it refuses, nothing has changed.
        unsafe { libc::mallopt(setting, value) };
    }
}

/// Makes the allocator give back blocks of middle size, too. What buffers leave in the heaps is then a third less; asking the system for each of
/// them again takes a fifth more CPU (three million events at 256 MiB: peaks of 207 and 231 instead of 271 and 320 MiB, 5.2 instead of 4.3 CPU
/// seconds a million).
pub fn keep_less() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two numbers, and no pointer; it takes the lock of the heap. If it refuses, nothing has changed.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10)
    };
}
