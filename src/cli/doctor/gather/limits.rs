//! What the kernel lets this user's threads do.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::super::facts::Limits;
use super::tree::Tree;
use crate::thread::priority::{Urgency, may_be_realtime};

const CAP_IPC_LOCK: u64 = 1 << 14; // linux/capability.h

/// Reads the limits, and tries for real-time scheduling.
pub fn look(tree: &Tree) -> Limits {
    let status = tree.read("proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()
    };
    let effective = field("CapEff").and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
    let limit = |resource| getrlimit(resource).map_or(0, |(soft, _)| soft);
    let lock_limit = Some(limit(Resource::RLIMIT_MEMLOCK)).filter(|&bytes| bytes != RLIM_INFINITY);
    let kib: u64 = field("VmSize").and_then(|text| text.parse().ok()).unwrap_or(0);
    Limits {
        wanted_priority: Urgency::Vblank as u64,
        realtime: may_be_realtime(Urgency::Vblank),
        priority_limit: limit(Resource::RLIMIT_RTPRIO),
        lock_limit_bytes: lock_limit.filter(|_| effective & CAP_IPC_LOCK == 0),
        process_bytes: kib.saturating_mul(1024),
    }
}
