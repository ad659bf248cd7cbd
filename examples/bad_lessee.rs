//! A lessee that breaks the rules when told to: for trying out what a lessor makes of it.
//!
//! Leases a headset over Wayland, lights it, flips at every vblank, and prints its lease as a line of JSON. On a line of
//! input it does what that says:
//!
//! - `exit`: exits at once, destroying nothing
//! - `hang-up`: closes the Wayland connection, and keeps the lease's fd and its flips
//! - `orphan`: starts a child that inherits every fd, and exits

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use leasehold::cli::Failure;
use leasehold::kms::buffer::{DumbBuffer, Framebuffer, ModeBlob, PixelFormat};
use leasehold::kms::commit::modeset;
use leasehold::kms::{Card, Connector, KmsError, Pipeline};
use leasehold::lease::Lease;
use leasehold::lease::request::{Keeper, Wanted, wayland};
use leasehold::time::Span;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use serde_json::json;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "bad_lessee: {failure}");
            failure.exit_code().into()
        }
    }
}

fn run() -> Result<(), Failure> {
    let lease = wayland::request(None, &Wanted::Headset, Span::from_ms(60_000))?;
    let Lease { card, pipeline, keeper: Keeper::Wayland(keeper), .. } = lease else { unreachable!() };
    let pictures = light(&card, &pipeline)?;
    let flipping = (card.clone(), pipeline.clone());
    std::thread::spawn(move || flip_for_ever(&flipping.0, &flipping.1, &pictures));
    let mut stdout = std::io::stdout();
    let line = json!({"crtc": pipeline.crtc.raw(), "plane": pipeline.primary.raw()});
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    for order in std::io::stdin().lines().map_while(Result::ok) {
        match order.as_str() {
            "exit" => std::process::exit(0),
            "hang-up" => {
                let _ = shutdown(std::os::fd::AsRawFd::as_raw_fd(&keeper.fd()), Shutdown::Both);
            }
            "orphan" => {
                for fd in [keeper.fd(), card.as_fd()] {
                    let _ = inherit(fd);
                }
                let _ = Command::new("sleep").arg("2").spawn();
                std::process::exit(0);
            }
            _ => {
                return Err(Failure::config(format!("'{order}' is no order: write exit, hang-up or orphan")));
            }
        }
    }
    Ok(())
}

fn inherit(fd: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map(drop)
}

type Pictures = Vec<(DumbBuffer, Framebuffer)>;

fn light(card: &Arc<Card>, pipeline: &Pipeline) -> Result<Pictures, KmsError> {
    let connector = Connector::read(card, pipeline.connector, false)?;
    let mode = connector.preferred_mode().ok_or_else(|| KmsError::Missing {
        place: connector.name.clone(),
        object: "mode",
        remedy: "power-cycle the headset, its EDID could not be read",
    })?;
    let (width_px, height_px) = (mode.width_px(), mode.height_px());
    let buffers = DumbBuffer::several(card, width_px, height_px, 2)?.into_iter();
    let framed = buffers.map(|buffer| {
        let framebuffer = buffer.memory().framebuffer(card, width_px, height_px, PixelFormat::Xrgb8888)?;
        Ok((buffer, framebuffer))
    });
    let pictures = framed.collect::<Result<Pictures, KmsError>>()?;
    let blob = ModeBlob::new(card, mode)?;
    modeset(card, &mut pipeline.on(card, mode, &blob, &pictures[0].1)?)?;
    Ok(pictures)
}

/// Until it is killed, or the lease is.
fn flip_for_ever(card: &Arc<Card>, pipeline: &Pipeline, pictures: &Pictures) {
    let Ok(mut flip) = pipeline.flip(card) else { return };
    let mut buffer = [0; 1024];
    for (_, framebuffer) in pictures.iter().cycle() {
        if flip.show(card, framebuffer, 0).is_err() {
            return;
        }
        let mut fds = [PollFd::new(card.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(10_000u16));
        let _ = card.read_events(&mut buffer);
    }
}
