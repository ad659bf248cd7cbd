//! The least a lessee does: asks for a lease, lights the headset, and flips between two pictures at every
//! vblank until it is told to stop, has shown `--frames N`, or loses the lease.
//!
//! Prints the lease's objects at the start and the count of flips and missed vblanks at the end, as JSON.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use leasehold::cli::Failure;
use leasehold::kms::buffer::{DumbBuffer, Framebuffer, ModeBlob, PixelFormat};
use leasehold::kms::commit::modeset;
use leasehold::kms::event::{Event, events};
use leasehold::kms::{Connector, KmsError};
use leasehold::lease::Lease;
use leasehold::lease::request::{Request, Wanted, Way, wayland};
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::Span;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use serde_json::json;

/// Leases a headset and flips two pictures on it
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to ask: auto, wayland, x11, seat, inherited or fd:N
    #[arg(long, default_value = "wayland")]
    from: Way,
    /// Wayland socket [default: $WAYLAND_DISPLAY, else wayland-0, else leasehold-0]
    #[arg(long, conflicts_with = "from")]
    socket: Option<String>,
    /// Connector to lease, by name or EDID [default: the only headset]
    #[arg(long)]
    connector: Option<Wanted>,
    /// Stop after so many flips [default: never]
    #[arg(long)]
    frames: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "lessee: {failure}");
            failure.exit_code().into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let stop = stop_signal()?;
    let wanted = arguments.connector.clone().unwrap_or_else(Wanted::headset);
    let patience = Span::from_ms(5000);
    let lease = match &arguments.socket {
        Some(socket) => wayland::request(Some(socket), &wanted, patience)?,
        None => Request { way: arguments.from, wanted, patience }.lease()?,
    };
    let pictures = light(&lease)?;
    say(&describe(&lease)?);
    let counts = flip_until(&lease, &pictures, arguments.frames, &stop)?;
    say(&json!({"flips": counts.flips, "missed": counts.missed}));
    Ok(())
}

fn stop_signal() -> Result<Arc<AtomicBool>, Failure> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    let refused = |errno: nix::errno::Errno| Failure::config(errno.desc());
    set.thread_block().map_err(refused)?;
    let signals = SignalFd::new(&set).map_err(refused)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        let _ = signals.read_signal();
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// Sets the preferred mode with the first of two pictures, both returned.
fn light(lease: &Lease) -> Result<Vec<(DumbBuffer, Framebuffer)>, KmsError> {
    let (card, pipeline) = (&lease.card, &lease.pipeline);
    let connector = Connector::read(card, pipeline.connector, false)?;
    let mode = connector.preferred_mode().ok_or_else(|| KmsError::Missing {
        place: lease.connector_name.clone(),
        object: "mode",
        remedy: "power-cycle the headset, its EDID could not be read",
    })?;
    let (width_px, height_px) = (mode.width_px(), mode.height_px());
    let mut pictures = Vec::new();
    for (mut buffer, byte) in DumbBuffer::several(card, width_px, height_px, 2)?.into_iter().zip([0x20, 0x60])
    {
        buffer.mapping_mut().fill(byte);
        let framebuffer = buffer.framebuffer(width_px, height_px, PixelFormat::Xrgb8888)?;
        pictures.push((buffer, framebuffer));
    }
    let blob = ModeBlob::new(card, mode)?;
    modeset(card, &mut pipeline.on(card, mode, &blob, &pictures[0].1)?)?;
    Ok(pictures)
}

fn describe(lease: &Lease) -> Result<serde_json::Value, KmsError> {
    let card = &lease.card;
    Ok(json!({
        "from": lease.source.name(),
        "name": lease.connector_name,
        "connector": lease.pipeline.connector.raw(),
        "crtc": lease.pipeline.crtc.raw(),
        "planes": card.planes()?.iter().map(|plane| plane.raw()).collect::<Vec<_>>(),
        "objects": card.leased_objects()?,
        "mode": Connector::read(card, lease.pipeline.connector, false)?.preferred_mode().map(ToString::to_string),
    }))
}

#[derive(Debug, Default)]
struct Counts {
    flips: u64,
    missed: u64,
}

fn flip_until(
    lease: &Lease,
    pictures: &[(DumbBuffer, Framebuffer)],
    frames: Option<u64>,
    stop: &AtomicBool,
) -> Result<Counts, KmsError> {
    let card = &lease.card;
    for refusal in make_realtime(Urgency::Vblank).refusals {
        tracing::warn!("{refusal}");
    }
    let mut flip = lease.pipeline.flip(card)?;
    let mut counts = Counts::default();
    let mut last: Option<u32> = None;
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) && frames.is_none_or(|wanted| counts.flips < wanted) {
        flip.show(card, &pictures[(counts.flips as usize + 1) % pictures.len()].1, 0)?;
        let mut fds = [PollFd::new(card.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(1000u16));
        let length = card.read_events(&mut buffer)?;
        for event in events(&buffer[..length]) {
            if let Event::Flip { sequence, .. } = event? {
                counts.flips += 1;
                let skipped = last.map_or(0, |last| sequence.wrapping_sub(last).saturating_sub(1));
                counts.missed += u64::from(skipped);
                last = Some(sequence);
            }
        }
    }
    Ok(counts)
}

fn say(line: &serde_json::Value) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
