//! A lessor with a policy: leases the headsets of `/dev/dri/card0` out to whom a file allows, and prints what happens, as
//! JSON. `lessor POLICY [SOCKET]`; `docs/policy.md` tells what a policy says.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leasehold::lease::policy::Policy;
use leasehold::lease::request::seat;
use leasehold::lease::server::{Ready, Server};
use leasehold::lease::service::{Service, Terms};
use leasehold::lease::wire::Wire;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: lessor POLICY [SOCKET]")?;
    let policy =
        Policy::parse(&std::fs::read_to_string(&file)?).map_err(|error| format!("{file}: {error}"))?;
    let card = Arc::new(seat::own(Path::new("/dev/dri/card0"))?);
    let socket = arguments.next().unwrap_or_else(|| "leasehold-0".into());
    let mut server = Server::bind(&socket, policy.could_allow_others_than(geteuid()))?;
    let wire = Wire::new::<Service>(server.display(), card.clone());
    let terms = Terms { policy, ..Terms::default() };
    let mut service = Service::start(card, wire, terms, Vec::new(), None)?;
    loop {
        for report in service.take_reports() {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
        }
        let ready = wait(&server, &service)?;
        server.dispatch(&mut service, ready);
    }
}

/// Waits until something can be read, or the service wants to act although nothing can.
fn wait(server: &Server, service: &Service) -> nix::Result<Ready> {
    let fds = server.fds().into_iter().chain(service.fds());
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // A millisecond more than is left, for poll takes none too few.
    let left = service.patience().map(|left| left.as_ns() / 1_000_000 + 1);
    poll(&mut fds, left.map_or(PollTimeout::NONE, |ms| ms.try_into().unwrap_or(PollTimeout::MAX)))?;
    let readable = |index: usize| fds[index].any().unwrap_or(true);
    Ok(Ready { socket: readable(0), clients: readable(1), service: readable(2) || readable(3) })
}
