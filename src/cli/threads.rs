//! The threads that share the work of one command.

/// Where glibc has threads allocate, memory grows by single pages, each a call to the system and a wait for the other
/// threads. Room asked for once stays with the thread. Larger blocks are maps of their own, zeroed when they are touched.
const ROOM: usize = 1 << 20;

/// Starts them, each with room to allocate. Without it they start when they are first needed.
pub fn start() {
    // Freed, a block raises the size from which blocks are maps of their own, and twice that is what a thread keeps.
    give(1, ROOM + (64 << 10));
    let _ = rayon::ThreadPoolBuilder::new().start_handler(|_| give(2, ROOM)).build_global();
}

/// Allocates blocks and frees them.
fn give(count: usize, size: usize) {
    let blocks: Vec<Vec<u8>> = (0..count).map(|_| Vec::with_capacity(size)).collect();
    // Else the compiler sees that they are not used, and leaves them out.
    drop(std::hint::black_box(blocks));
}
