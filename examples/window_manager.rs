//! The least a window manager does to lease headsets out: lights its own monitor, in one colour, and has the library put
//! leases on the Wayland display that its windows would be on.
//!
//! Prints its monitor's objects and then the library's reports, as JSON.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use leasehold::cli::Failure;
use leasehold::delegate_drm_lease;
use leasehold::kms::buffer::{DumbBuffer, Framebuffer, ModeBlob, PixelFormat};
use leasehold::kms::commit::modeset;
use leasehold::kms::{Card, Connector, KmsError, Pipeline};
use leasehold::lease::policy::Policy;
use leasehold::lease::request::seat;
use leasehold::lease::service::{Service, Terms};
use leasehold::lease::wire::{LeaseState, Wire};
use leasehold::time::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use serde_json::json;
use wayland_server::backend::ClientData;
use wayland_server::{Display, ListeningSocket};

/// Shows a colour on a monitor and leases headsets out
#[derive(Debug, Parser)]
struct Arguments {
    /// The card
    #[arg(long, default_value = "/dev/dri/card0")]
    card: PathBuf,
    /// The Wayland socket's name in $XDG_RUNTIME_DIR
    #[arg(long, default_value = "wayland-0")]
    socket: String,
}

/// All that this window manager is about. A real one has windows as well.
struct WindowManager {
    leases: Service,
}

/// What it knows of a client.
struct Guest;

impl ClientData for Guest {}

impl LeaseState for WindowManager {
    fn wire(&mut self) -> &mut Wire {
        self.leases.wire_mut()
    }
}

delegate_drm_lease!(WindowManager);

/// A lit monitor.
struct Monitor {
    pipeline: Pipeline,
    _picture: (DumbBuffer, Framebuffer),
}

impl Monitor {
    fn light(card: &Arc<Card>) -> Result<Self, KmsError> {
        let missing = |object, remedy| KmsError::Missing { place: card.name().to_string(), object, remedy };
        let connectors: Vec<Connector> = card
            .connectors()?
            .into_iter()
            .map(|id| Connector::read(card, id, true))
            .collect::<Result<_, _>>()?;
        let monitor = connectors.iter().find(|connector| connector.connected && !connector.non_desktop);
        let monitor = monitor.ok_or_else(|| missing("monitor", "plug one in"))?;
        let mode = monitor.preferred_mode().ok_or_else(|| missing("mode", "plug the monitor in anew"))?;
        let pipeline = Pipeline::find(card, monitor, |_| false)?;
        let (width_px, height_px) = (mode.width_px(), mode.height_px());
        let mut buffer = DumbBuffer::new(card, width_px, height_px)?;
        buffer.mapping_mut().fill(0x40);
        let framebuffer = buffer.memory().framebuffer(card, width_px, height_px, PixelFormat::Xrgb8888)?;
        let blob = ModeBlob::new(card, mode)?;
        modeset(card, &mut pipeline.on(card, mode, &blob, &framebuffer)?)?;
        Ok(Self { pipeline, _picture: (buffer, framebuffer) })
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "window_manager: {failure}");
            failure.exit_code().into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let card = Arc::new(seat::own(&arguments.card)?);
    let monitor = Monitor::light(&card)?;
    let Pipeline { connector, crtc, primary, .. } = monitor.pipeline;
    say(&json!({"connector": connector.raw(), "crtc": crtc.raw(), "plane": primary.raw()}));

    let mut display = Display::<WindowManager>::new().map_err(refused)?;
    let socket = ListeningSocket::bind(&arguments.socket).map_err(refused)?;
    let wire = Wire::new::<WindowManager>(display.handle(), card.clone());
    let terms = Terms { policy: Policy::only_user(geteuid()), ..Terms::default() };
    let leases = Service::start(card, wire, terms, monitor.pipeline.objects(), None)?;
    let mut manager = WindowManager { leases };
    loop {
        manager.leases.take_reports().iter().for_each(|report| say(&json!(report)));
        wait(&display, &socket, &manager.leases)?;
        let woken = Instant::now();
        while let Some(stream) = socket.accept().map_err(refused)? {
            display.handle().insert_client(stream, Arc::new(Guest)).map_err(refused)?;
        }
        display.dispatch_clients(&mut manager).map_err(refused)?;
        manager.leases.dispatch(woken, true);
        display.flush_clients().map_err(refused)?;
    }
}

/// Waits for something to do.
fn wait(display: &Display<WindowManager>, socket: &ListeningSocket, leases: &Service) -> Result<(), Failure> {
    let own = [display.as_fd(), socket.as_fd()];
    let fds = own.into_iter().chain(leases.fds());
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // A millisecond more than is left, for poll takes none too few.
    let left = leases.patience().map(|left| left.as_ns() / 1_000_000 + 1);
    let timeout = left.map_or(PollTimeout::NONE, |ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    poll(&mut fds, timeout).map(drop).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::config(error.to_string())
}

fn say(line: &serde_json::Value) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
