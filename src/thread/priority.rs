//! Real-time scheduling for the vblank thread.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use nix::errno::Errno;
use rustix::mm::{MlockAllFlags, mlockall};

/// What the vblank thread runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// `fifo`, or `normal` where the system refused.
    pub scheduling: &'static str,
    /// What was refused and what to do about it, one sentence each.
    pub refusals: Vec<String>,
}

/// Who asks. All are below the kernel's own threaded interrupts (50) and above everything that has no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A thread that shows frames, or watches over the lease that they are shown by.
    Vblank = 20,
    /// A lessor: it has to get a word in while a lessee's threads die, or spin.
    Lessor = 30,
}

/// Puts the calling thread under `SCHED_FIFO`, locks the process's memory, and asks for exact timers.
pub fn make_realtime(urgency: Urgency) -> Granted {
    let mut refusals = Vec::new();
    let scheduling = match schedule(urgency, libc::SCHED_RESET_ON_FORK) {
        Ok(()) => "fifo",
        Err(errno) => {
            refusals.push(format!(
                "real-time scheduling was refused ({}): allow it with 'rtprio {priority}' in \
                 /etc/security/limits.d or LimitRTPRIO={priority} in the service",
                errno.desc(),
                priority = urgency as libc::c_int
            ));
            "normal"
        }
    };
    if let Err(errno) = lock_memory() {
        refusals.push(format!(
            "locking memory was refused ({}): raise 'memlock' in /etc/security/limits.d or LimitMEMLOCK",
            errno.desc()
        ));
    }
    // SAFETY: PR_SET_TIMERSLACK takes one integer and no pointers; 1 ns is the least.
    if unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) } != 0 {
        refusals.push(format!(
            "a timer slack of 1 ns was refused ({}): allow prctl(PR_SET_TIMERSLACK) in the seccomp filter this runs under",
            Errno::last().desc()
        ));
    }
    Granted { scheduling, refusals }
}

/// Keeps in RAM what this process has used of its memory and will, the first second's in the main. What it never uses is
/// left out: a Vulkan driver that draws on the CPU maps some 200 MB of a compiler, which to fetch takes half a second,
/// and to give back as long again at the end. Once is enough: the kernel goes through all pages each time it is asked.
fn lock_memory() -> nix::Result<()> {
    static LOCKED: OnceLock<nix::Result<()>> = OnceLock::new();
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    *LOCKED.get_or_init(|| mlockall(all).map_err(|errno| Errno::from_raw(errno.raw_os_error())))
}

/// Whether this user may have a thread of this urgency: tried on one that ends at once.
///
/// # Errors
/// When the system refuses it, with `EPERM` as a rule.
pub fn may_be_realtime(urgency: Urgency) -> nix::Result<()> {
    let tried = std::thread::scope(|scope| scope.spawn(|| schedule(urgency, 0)).join());
    tried.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Does `work` on a thread of this urgency, and hands it on to every thread that `work` starts: a Vulkan driver that
/// draws on the CPU then draws as urgently as the loop that waits for it. Where the system refuses, the work is done all
/// the same; [`make_realtime`] says what to do about that.
pub fn lend<T: Send>(urgency: Urgency, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let lent = scope.spawn(|| {
            if let Err(errno) = schedule(urgency, 0) {
                tracing::debug!("a driver's threads stay at normal priority: {}", errno.desc());
            }
            work()
        });
        lent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Puts the calling thread under `SCHED_FIFO`.
fn schedule(urgency: Urgency, flags: libc::c_int) -> nix::Result<()> {
    let parameter = libc::sched_param { sched_priority: urgency as libc::c_int };
    // SAFETY: a zero pid is the calling thread, and the parameter lives across the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | flags, &parameter) };
    Errno::result(result).map(drop)
}
