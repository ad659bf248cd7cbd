//! The least there is to holding a lease: waits for SIGUSR1, takes the lease over Wayland, and sits on it until it is
//! killed. Says in a line of JSON that it waits and in another that it holds. It shows nothing, so it is fast.

use std::io::Write;
use std::process::ExitCode;

use leasehold::cli::Failure;
use leasehold::lease::request::{Wanted, wayland};
use leasehold::time::Span;
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

fn main() -> ExitCode {
    let Err(failure) = hold() else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "holder: {failure}");
    failure.exit_code().into()
}

fn hold() -> Result<(), Failure> {
    let refused = |errno: nix::errno::Errno| Failure::config(errno.desc());
    let mut go = SigSet::empty();
    go.add(Signal::SIGUSR1);
    go.thread_block().map_err(refused)?;
    say(&json!({ "waiting": true }));
    go.wait().map_err(refused)?;
    let lease = wayland::request(Some("leasehold-0"), &Wanted::Headset, Span::from_ms(60_000))?;
    say(&json!({ "connector": lease.connector_name }));
    loop {
        std::thread::park();
    }
}

fn say(line: &serde_json::Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
