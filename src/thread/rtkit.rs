//! Real-time scheduling from rtkit, the system service that gives it to ordinary users' threads. Its interface and its
//! conditions are in its README, <https://gitlab.freedesktop.org/pipewire/rtkit>.

use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use dbus::blocking::stdintf::org_freedesktop_dbus::Properties;
use dbus::blocking::{Connection, Proxy};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, gettid};

/// The service's name and its interface's.
const NAME: &str = "org.freedesktop.RealtimeKit1";
const OBJECT: &str = "/org/freedesktop/RealtimeKit1";

/// For all that is asked, and for each call: whoever asks has a headset to light.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why rtkit gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtkitError {
    /// There is no system bus, or nobody on it can start rtkit.
    #[error("rtkit could not be asked: {0}")]
    Unreachable(String),
    /// The bus, rtkit, or polkit behind it hangs.
    #[error("rtkit did not answer within {PATIENCE:?}")]
    Late,
    /// The time limit that it asks for could not be set.
    #[error("rtkit could not be asked, for RLIMIT_RTTIME could not be set: {}", .0.desc())]
    Limit(Errno),
    /// It said no.
    #[error("rtkit refused: {0}")]
    Refused(String),
}

/// Has rtkit put the calling thread under `SCHED_RR`, with `SCHED_RESET_ON_FORK`, at this priority or at the highest that
/// it gives.
///
/// The process gets a limit with it: the kernel ends it where a real-time thread runs for `RTTimeUSecMax` (200 ms as rtkit
/// comes) without sleeping.
///
/// # Errors
/// [`RtkitError`], after a second at most; from then on the same at once.
pub fn make_realtime(priority: u32) -> Result<(), RtkitError> {
    static REFUSAL: OnceLock<RtkitError> = OnceLock::new();
    unless_refused(&REFUSAL, || ask_in_time(priority))
}

/// Asks unless it was refused before: a bus that hangs would cost a second each time that a headset is lit again.
fn unless_refused(
    refusal: &OnceLock<RtkitError>,
    ask: impl FnOnce() -> Result<(), RtkitError>,
) -> Result<(), RtkitError> {
    match refusal.get() {
        Some(refusal) => Err(refusal.clone()),
        None => ask().map_err(|error| refusal.get_or_init(|| error).clone()),
    }
}

fn ask_in_time(priority: u32) -> Result<(), RtkitError> {
    let thread = gettid();
    let (answer, answered) = sync_channel(1);
    // On a thread of its own, for libdbus waits 25 s for a bus that takes a connection and says nothing.
    let asking = std::thread::Builder::new().name("rtkit".to_string()).spawn(move || {
        // It may outlive the wait for it, and is not to take the signals that the program waits for elsewhere.
        let _ = SigSet::all().thread_block();
        let _ = answer.send(ask(thread, priority));
    });
    asking.map_err(|error| RtkitError::Unreachable(error.to_string()))?;
    answered.recv_timeout(PATIENCE).unwrap_or(Err(RtkitError::Late))
}

fn ask(thread: Pid, priority: u32) -> Result<(), RtkitError> {
    let unreachable = |error: dbus::Error| RtkitError::Unreachable(said(&error));
    let bus = Connection::new_system().map_err(unreachable)?;
    let rtkit = bus.with_proxy(NAME, OBJECT, PATIENCE);
    let highest: i32 = rtkit.get(NAME, "MaxRealtimePriority").map_err(unreachable)?;
    let most_us: i64 = rtkit.get(NAME, "RTTimeUSecMax").map_err(unreachable)?;
    // Only now that rtkit is there: an ordinary user cannot take the limit back.
    limit_time(most_us.unsigned_abs()).map_err(RtkitError::Limit)?;
    make_thread_realtime(&rtkit, thread, priority.min(highest.unsigned_abs()))
        .map_err(|error| RtkitError::Refused(said(&error)))
}

fn make_thread_realtime(
    rtkit: &Proxy<'_, &Connection>,
    thread: Pid,
    priority: u32,
) -> Result<(), dbus::Error> {
    rtkit.method_call(NAME, "MakeThreadRealtime", (thread.as_raw() as u64, priority))
}

/// Limits how long this process's real-time threads may run without sleeping, as rtkit asks of those that it serves (its
/// README: "Only clients with RLIMIT_RTTIME set will get RT scheduling"). A limit that is lower already stays.
///
/// It ends none of ours: the count starts anew with each system call that blocks (setrlimit(2), `RLIMIT_RTTIME`), and a
/// thread that shows frames sleeps before each. Real-time threads that it does not know of are none of rtkit's and would
/// come under the limit too, which is why [`super::priority`] does not ask for everyone.
fn limit_time(most_us: u64) -> nix::Result<()> {
    let (soft, hard) = lowered(getrlimit(Resource::RLIMIT_RTTIME)?, most_us);
    setrlimit(Resource::RLIMIT_RTTIME, soft, hard)
}

/// A soft and a hard limit of at most so much.
fn lowered((soft, hard): (rlim_t, rlim_t), most: rlim_t) -> (rlim_t, rlim_t) {
    (soft.min(most), hard.min(most))
}

/// What the bus or the service gave as its reason, in one line.
fn said(error: &dbus::Error) -> String {
    let reason = error.message().or(error.name()).unwrap_or("it gave no reason");
    reason.trim_end().trim_end_matches('.').replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::RLIM_INFINITY;

    use super::*;

    #[test]
    fn who_was_refused_does_not_ask_again() {
        let refusal = OnceLock::new();
        assert_eq!(unless_refused(&refusal, || Ok(())), Ok(()));
        assert_eq!(unless_refused(&refusal, || Err(RtkitError::Late)), Err(RtkitError::Late));
        assert_eq!(unless_refused(&refusal, || panic!("it asks")), Err(RtkitError::Late));
    }

    #[test]
    fn a_limit_is_never_raised() {
        assert_eq!(lowered((RLIM_INFINITY, RLIM_INFINITY), 200_000), (200_000, 200_000));
        assert_eq!(lowered((100_000, 250_000), 200_000), (100_000, 200_000));
        assert_eq!(lowered((100_000, 150_000), 200_000), (100_000, 150_000));
    }
}
