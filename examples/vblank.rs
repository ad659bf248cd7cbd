//! Wakes at vblanks of whatever display is lit, of which it needs to be no master, and says how well each was foretold.

use std::{error::Error, io::Write, os::fd::AsFd, path::Path};

use leasehold::kms::event::{Event, events};
use leasehold::kms::{Card, Connector, Vblank};
use leasehold::pacing::vblank::VblankClock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

fn main() -> Result<(), Box<dyn Error>> {
    let card = Card::open(Path::new("/dev/dri/card0"))?;
    card.enable_atomic()?; // else connectors do not tell their CRTC
    let connectors = card.connectors()?.into_iter().filter_map(|id| Connector::read(&card, id, false).ok());
    let crtc = connectors.filter_map(|connector| connector.crtc).next().ok_or("no display is lit")?;
    let mode = card.mode_of(crtc)?.ok_or("the display went dark")?;
    let mut clock = VblankClock::new(mode.period());
    clock.observe(card.vblank(crtc)?);
    for _ in 0..100 {
        let next = clock.newest().ok_or("no vblank")?.sequence + 1;
        let foretold = clock.at(next).ok_or("no vblank")?.vblank.time;
        card.queue_vblank(crtc, next, 0)?;
        poll(&mut [PollFd::new(card.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        let mut buffer = [0; 256];
        let length = card.read_events(&mut buffer)?;
        for event in events(&buffer[..length]) {
            if let Event::Sequence { sequence, time, .. } = event? {
                clock.observe(Vblank { sequence, time });
                let off_us = (time - foretold).as_us_f64();
                writeln!(std::io::stdout(), "{sequence} {} {off_us:.1}", time.as_ns())?;
            }
        }
    }
    Ok(())
}
