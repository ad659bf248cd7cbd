//! On which CPUs a thread runs.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Some of the machine's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus(CpuSet);

impl Cpus {
    /// Those that the calling thread may use.
    pub fn allowed() -> Self {
        Self(sched_getaffinity(THIS_THREAD).unwrap_or_default())
    }

    /// The last of them: interrupts mostly go to the first.
    pub fn last(&self) -> Self {
        let mut last = CpuSet::new();
        if let Some(cpu) = (0..CpuSet::count()).rev().find(|&cpu| self.0.is_set(cpu) == Ok(true)) {
            last.set(cpu).expect("it is a member of a set of this kind");
        }
        Self(last)
    }

    /// Keeps the calling thread, and every thread that it starts from now on, on these.
    pub fn keep(&self) {
        if let Err(errno) = sched_setaffinity(THIS_THREAD, &self.0) {
            // They may have been taken out of service since; any other will do, if less well.
            tracing::debug!("could not keep a thread on its CPUs: {}", errno.desc());
        }
    }
}

const THIS_THREAD: Pid = Pid::from_raw(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_kept_and_so_do_its_own() {
        let before = Cpus::allowed();
        let last = before.last();
        let kept = std::thread::spawn(move || {
            last.keep();
            std::thread::spawn(Cpus::allowed).join().unwrap()
        });
        assert_eq!(kept.join().unwrap(), last);
        assert_eq!(Cpus::allowed(), before, "the caller may still go anywhere");
        assert_eq!(last.last(), last);
    }
}
