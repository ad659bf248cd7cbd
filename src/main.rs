//! The `leasehold` program; what it does is in the library.

use std::process::ExitCode;

use leasehold::thread::allocations::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    leasehold::cli::run().into()
}
