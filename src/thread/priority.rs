//! Real-time scheduling for the vblank thread.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use rustix::mm::{MlockAllFlags, mlockall};

/// What the vblank thread runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// `fifo`, `rr` where rtkit gave it (`SCHED_RR`), or `normal` where both refused.
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

/// Why a thread stays at normal priority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("real-time scheduling was refused ({}); {rtkit}", .errno.desc())]
pub struct Refusal {
    /// What the kernel said.
    pub errno: Errno,
    /// What rtkit said, or why it was not asked, as half a sentence.
    pub rtkit: String,
}

/// Puts the calling thread under `SCHED_FIFO`, or has rtkit put it under `SCHED_RR` where this user may not, locks the
/// process's memory, and asks for exact timers.
pub fn make_realtime(urgency: Urgency) -> Granted {
    let mut refusals = Vec::new();
    let scheduling = become_realtime(urgency).unwrap_or_else(|Refusal { errno, rtkit }| {
        refusals.push(format!(
            "real-time scheduling was refused ({}): allow it with 'rtprio {priority}' in \
             /etc/security/limits.d or LimitRTPRIO={priority} in the service; {rtkit}",
            errno.desc(),
            priority = urgency as libc::c_int
        ));
        "normal"
    });
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

/// Whether this user may have a thread of this urgency, from the kernel or from rtkit: tried on one that ends at once.
///
/// # Errors
/// When both refuse it, the kernel with `EPERM` as a rule.
pub fn may_be_realtime(urgency: Urgency) -> Result<(), Refusal> {
    let tried = std::thread::scope(|scope| scope.spawn(|| become_realtime(urgency)).join());
    tried.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(drop)
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

/// Gets the calling thread real-time scheduling, and says which.
fn become_realtime(urgency: Urgency) -> Result<&'static str, Refusal> {
    let Err(errno) = schedule(urgency, libc::SCHED_RESET_ON_FORK) else { return Ok("fifo") };
    let asked =
        if errno == Errno::EPERM { ask_rtkit(urgency) } else { Err("rtkit could not help".to_string()) };
    asked.map(|()| "rr").map_err(|rtkit| Refusal { errno, rtkit })
}

/// Asks rtkit, but for those whom its time limit could have killed: 200 ms without a sleep, and the process is gone.
fn ask_rtkit(urgency: Urgency) -> Result<(), String> {
    // Who floods a lessor with requests may keep it from sleeping.
    if urgency == Urgency::Lessor {
        return Err(
            "rtkit is not asked for a lessor, which its clients could keep busy beyond rtkit's time limit"
                .into(),
        );
    }
    // Then a driver's threads are in real time too (`lend`), and compile shaders for as long as it takes.
    if getrlimit(Resource::RLIMIT_RTPRIO).is_ok_and(|(soft, _)| soft >= Urgency::Vblank as u64) {
        return Err(
            "rtkit is not asked where RLIMIT_RTPRIO allows a part, for its time limit holds for all threads"
                .into(),
        );
    }
    #[cfg(feature = "rtkit")]
    return super::rtkit::make_realtime(urgency as u32).map_err(|error| error.to_string());
    #[cfg(not(feature = "rtkit"))]
    Err("rtkit could not be asked: this was built without the feature 'rtkit'".into())
}

/// Puts the calling thread under `SCHED_FIFO`.
fn schedule(urgency: Urgency, flags: libc::c_int) -> nix::Result<()> {
    let parameter = libc::sched_param { sched_priority: urgency as libc::c_int };
    // SAFETY: a zero pid is the calling thread, and the parameter lives across the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | flags, &parameter) };
    Errno::result(result).map(drop)
}
