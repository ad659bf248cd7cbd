//! The `leasehold` program; what it does is in the library.

use leasehold::thread::allocations::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    leasehold::cli::run()
}
