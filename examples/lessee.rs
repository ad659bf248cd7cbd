//! The least a lessee does: asks for a lease, lights the headset, and flips between two pictures at every
//! vblank until it is told to stop, has shown `--frames N`, or loses the lease.
//!
//! Prints the lease's objects at the start and the count of flips and missed vblanks at the end, as JSON. With
//! `--patient` it outlives a pause, in which the lessor's card is another session's, and says when one begins and ends.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use leasehold::cli::Failure;
use leasehold::kms::buffer::{DumbBuffer, Framebuffer, ModeBlob, PixelFormat};
use leasehold::kms::commit::modeset;
use leasehold::kms::event::{Event, events};
use leasehold::kms::{Connector, KmsError, Mode};
use leasehold::lease::Lease;
use leasehold::lease::request::{Request, Wanted, Way, wayland};
use leasehold::report::Distribution;
use leasehold::thread::priority::{Urgency, make_realtime};
use leasehold::time::{Instant, Span};
use nix::errno::Errno;
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
    /// Wait where the lease sleeps, and light the headset anew once it wakes
    #[arg(long)]
    patient: bool,
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
    let patience = Span::from_ms(60_000);
    let lease = match &arguments.socket {
        Some(socket) => wayland::request(Some(socket), &wanted, patience)?,
        None => Request { way: arguments.from, wanted, patience }.lease()?,
    };
    let pictures = light(&lease)?;
    say(&describe(&lease)?);
    let counts = flip_until(&lease, &pictures, arguments, &stop)?;
    let wake_late_us = Distribution::of_us(counts.wake_late.into_iter());
    say(&json!({"flips": counts.flips, "missed": counts.missed, "wake_late_us": wake_late_us}));
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
    let (card, mode) = (&lease.card, mode(lease)?);
    let (width_px, height_px) = (mode.width_px(), mode.height_px());
    let mut pictures = Vec::new();
    for (mut buffer, byte) in DumbBuffer::several(card, width_px, height_px, 2)?.into_iter().zip([0x20, 0x60])
    {
        buffer.mapping_mut().fill(byte);
        let framebuffer = buffer.memory().framebuffer(card, width_px, height_px, PixelFormat::Xrgb8888)?;
        pictures.push((buffer, framebuffer));
    }
    turn_on(lease, &mode, &pictures[0].1)?;
    Ok(pictures)
}

fn mode(lease: &Lease) -> Result<Mode, KmsError> {
    let connector = Connector::read(&lease.card, lease.pipeline.connector, false)?;
    connector.preferred_mode().copied().ok_or_else(|| KmsError::Missing {
        place: lease.connector_name.clone(),
        object: "mode",
        remedy: "power-cycle the headset, its EDID could not be read",
    })
}

fn turn_on(lease: &Lease, mode: &Mode, picture: &Framebuffer) -> Result<(), KmsError> {
    let blob = ModeBlob::new(&lease.card, mode)?;
    modeset(&lease.card, &mut lease.pipeline.on(&lease.card, mode, &blob, picture)?)
}

/// Whether a refusal only means that the lessor is not the card's master now: a lease without a lessor no longer sees its
/// CRTC (drm_lease.c).
fn sleeps(lease: &Lease, refusal: &KmsError) -> bool {
    let orphaned =
        lease.card.vblank(lease.pipeline.crtc).is_err_and(|error| error.errno() == Some(Errno::ENOENT));
    refusal.errno() == Some(Errno::EACCES) && !orphaned
}

/// Waits until the lease wakes, and lights the headset anew: another session may have darkened it.
fn wait_to_wake(lease: &Lease, picture: &Framebuffer, stop: &AtomicBool) -> Result<(), KmsError> {
    say(&json!({"event": "asleep"}));
    let mode = mode(lease)?;
    while !stop.load(Ordering::Relaxed) {
        match turn_on(lease, &mode, picture) {
            Err(error) if sleeps(lease, &error) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error),
            Ok(()) => {
                say(&json!({"event": "awake"}));
                break;
            }
        }
    }
    Ok(())
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
    /// How long after each flip this program knew of it.
    wake_late: Vec<Span>,
}

fn flip_until(
    lease: &Lease,
    pictures: &[(DumbBuffer, Framebuffer)],
    arguments: &Arguments,
    stop: &AtomicBool,
) -> Result<Counts, KmsError> {
    let card = &lease.card;
    for refusal in make_realtime(Urgency::Vblank).refusals {
        tracing::warn!("{refusal}");
    }
    let mut flip = lease.pipeline.flip(card)?;
    let mut counts = Counts { wake_late: Vec::with_capacity(65_536), ..Counts::default() };
    let mut last: Option<u32> = None;
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) && arguments.frames.is_none_or(|wanted| counts.flips < wanted) {
        let picture = &pictures[(counts.flips as usize + 1) % pictures.len()].1;
        match flip.show(card, picture, 0) {
            Err(error) if arguments.patient && sleeps(lease, &error) => {
                wait_to_wake(lease, picture, stop)?;
                last = None;
                continue;
            }
            other => other?,
        }
        let mut fds = [PollFd::new(card.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(10_000u16));
        let length = card.read_events(&mut buffer)?;
        let woken = Instant::now();
        for event in events(&buffer[..length]) {
            if let Event::Flip { sequence, time, .. } = event? {
                counts.flips += 1;
                counts.wake_late.push(woken - time);
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
