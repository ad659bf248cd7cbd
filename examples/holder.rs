//! The least there is to holding a lease: takes it over Wayland, says so in a line of JSON, and sits on it until it is
//! killed. It shows nothing, so it starts fast.

use std::io::Write;
use std::process::ExitCode;

use leasehold::cli::Failure;
use leasehold::lease::request::wayland;
use leasehold::time::Span;
use serde_json::json;

fn main() -> ExitCode {
    let Err(failure) = hold() else { return ExitCode::SUCCESS };
    let _ = writeln!(std::io::stderr(), "holder: {failure}");
    failure.exit_code().into()
}

fn hold() -> Result<(), Failure> {
    let lease = wayland::request(Some("leasehold-0"), None, Span::from_ms(5000))?;
    let _ = writeln!(std::io::stdout(), "{}", json!({ "connector": lease.connector_name }));
    loop {
        std::thread::park();
    }
}
