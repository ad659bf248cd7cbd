//! `leasehold vblank`: watches a display's clock, without a lease and without being master.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use super::{Failure, output, signals};
use crate::error::Class;
use crate::kms::event::{Event, events};
use crate::kms::{Card, Connector, CrtcId, KmsError, Vblank};
use crate::lease::request::{RequestError, seat};
use crate::report::Distribution;
use crate::thread::priority::{Urgency, make_realtime};
use crate::time::{Instant, Span};

/// Watch a lit display's vblanks, disturbing nobody
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The card [default: the first with a lit display]
    #[arg(long, value_name = "PATH")]
    card: Option<PathBuf>,
    /// The connector [default: the first that is lit]
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// How long to watch
    #[arg(long, value_name = "S", default_value = "5", value_parser = super::seconds)]
    seconds: Span,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Watches until the time is up or a signal comes.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let lit = find(arguments)?;
    let stop = signals::stop_flag()?;
    for refusal in make_realtime(Urgency::Vblank).refusals {
        tracing::info!("vblanks may be seen late: {refusal}");
    }
    let seen = lit.watch(arguments.seconds, &stop)?;
    let found = Findings::of(&seen).ok_or_else(|| {
        Failure::config(format!("{} had too few vblanks to measure: watch it for longer", lit.connector))
    })?;
    match arguments.json {
        true => output::json(&found.json(&lit.connector)),
        false => output::line(found.text(&lit.connector)),
    }
}

/// A connector and the CRTC that lights it.
struct Lit {
    card: Card,
    connector: String,
    crtc: CrtcId,
}

/// The connector asked for, else the first, that has a CRTC which is on.
fn find(arguments: &Arguments) -> Result<Lit, Failure> {
    let paths = match &arguments.card {
        Some(path) => vec![path.clone()],
        None => seat::cards()?,
    };
    let mut there = Vec::new();
    for path in paths {
        let (card, connectors) = match look(&path) {
            Ok(found) => found,
            Err(error) if arguments.card.is_some() => return Err(error.into()),
            Err(error) => {
                there.push(error.to_string());
                continue;
            }
        };
        for connector in connectors {
            let wanted = arguments.connector.as_ref().is_none_or(|name| *name == connector.name);
            let lit = match connector.crtc {
                Some(crtc) => counts(&card, crtc)?.then_some(crtc),
                None => None,
            };
            match lit {
                Some(crtc) if wanted => return Ok(Lit { card, connector: connector.name, crtc }),
                Some(_) => there.push(format!("{} (lit)", connector.name)),
                None => there.push(format!("{} (not lit)", connector.name)),
            }
        }
    }
    let what = arguments.connector.as_deref().unwrap_or("a connector");
    Err(Failure::new(
        Class::NoHeadset,
        format!(
            "could not watch {what}: no such connector is lit; there is: {}; \
             show something on it, with 'leasehold demo' say, or choose another with --connector",
            if there.is_empty() { "no connector".to_string() } else { there.join(", ") }
        ),
    ))
}

fn look(path: &Path) -> Result<(Card, Vec<Connector>), RequestError> {
    let (card, _) = seat::look(path)?;
    card.enable_atomic()?; // else connectors do not tell their CRTC
    let read = card.connectors()?.into_iter().map(|id| Connector::read(&card, id, false));
    let connectors = read.collect::<Result<_, _>>()?;
    Ok((card, connectors))
}

/// Whether the CRTC counts vblanks now: one that is off does not.
fn counts(card: &Card, crtc: CrtcId) -> Result<bool, Failure> {
    match card.vblank(crtc) {
        Ok(_) => Ok(true),
        Err(error) if error.errno() == Some(Errno::EINVAL) => Ok(false),
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => Err(Failure::config(format!(
            "could not watch {crtc} of {}: its driver ({}) counts no vblanks; only 'leasehold demo' can time it, \
             by its own flips",
            card.name(),
            card.driver().unwrap_or_else(|_| "unknown".to_string())
        ))),
        Err(error) => Err(error.into()),
    }
}

/// A vblank and when this program learned of it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    vblank: Vblank,
    woken: Instant,
}

impl Lit {
    /// Waits for one vblank after the other.
    fn watch(&self, time: Span, stop: &AtomicBool) -> Result<Vec<Seen>, KmsError> {
        let end = Instant::now() + time;
        let mut seen = Vec::with_capacity(1024);
        let mut next = self.card.vblank(self.crtc)?.sequence + 1;
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            match self.card.queue_vblank(self.crtc, next, 0) {
                Err(error) if error.errno() == Some(Errno::EINVAL) => {
                    tracing::warn!("{} was turned off, so the watch ends here", self.connector);
                    break;
                }
                other => other?,
            }
            match self.wait(end, stop)? {
                Some(vblank) => {
                    next = vblank.vblank.sequence + 1;
                    seen.push(vblank);
                }
                None => break,
            }
        }
        Ok(seen)
    }

    /// Waits for the vblank that was asked for; `None` if it did not come before the end.
    fn wait(&self, end: Instant, stop: &AtomicBool) -> Result<Option<Seen>, KmsError> {
        const CHECK_MS: u16 = 100; // how often to look whether to stop, should no vblank come
        let mut buffer = [0; 256];
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(self.card.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::from(CHECK_MS));
            let length = self.card.read_events(&mut buffer)?;
            let woken = Instant::now();
            for event in events(&buffer[..length]) {
                if let Event::Sequence { sequence, time, .. } = event? {
                    return Ok(Some(Seen { vblank: Vblank { sequence, time }, woken }));
                }
            }
        }
        Ok(None)
    }
}

/// What a watch came to.
#[derive(Debug)]
struct Findings {
    period_ns: f64,
    jitter_ns: Distribution,
    wake_late_us: Distribution,
    missed_sequences: u64,
}

impl Findings {
    /// `None` where there were fewer than two vblanks.
    fn of(seen: &[Seen]) -> Option<Self> {
        let (first, last) = (seen.first()?.vblank, seen.last()?.vblank);
        let counted = last.sequence.checked_sub(first.sequence).filter(|&counted| counted > 0)?;
        let period_ns = (last.time - first.time).as_ns() as f64 / counted as f64;
        let steps = || seen.windows(2).map(|pair| (pair[0].vblank, pair[1].vblank));
        let counted_in = |from: Vblank, to: Vblank| to.sequence.saturating_sub(from.sequence);
        let off = |(from, to): (Vblank, Vblank)| {
            let expected = period_ns * counted_in(from, to) as f64;
            Span::from_ns(((to.time - from.time).as_ns() as f64 - expected).abs().round() as i64)
        };
        Some(Self {
            period_ns,
            jitter_ns: Distribution::of_ns(steps().map(off)),
            wake_late_us: Distribution::of_us(seen.iter().map(|seen| seen.woken - seen.vblank.time)),
            missed_sequences: steps().map(|(from, to)| counted_in(from, to).saturating_sub(1)).sum(),
        })
    }

    fn measured_hz(&self) -> f64 {
        1e9 / self.period_ns
    }

    fn json(&self, connector: &str) -> Value {
        json!({
            "schema": "leasehold.vblank/1",
            "clock": "crtc-sequence",
            "connector": connector,
            "measured_hz": self.measured_hz(),
            "period_ns": self.period_ns,
            "jitter_ns": self.jitter_ns,
            "wake_late_us": self.wake_late_us,
            "missed_sequences": self.missed_sequences,
        })
    }

    fn text(&self, connector: &str) -> String {
        format!(
            "{connector}: {:.4} Hz, {:.0} ns a vblank, off by {:.0} ns (p50), {:.0} (p99), {:.0} (max)\n\
             woken {:.0} us late (p50), {:.0} (p99), {:.0} (max); {} vblanks seen, {} missed",
            self.measured_hz(),
            self.period_ns,
            self.jitter_ns.p50,
            self.jitter_ns.p99,
            self.jitter_ns.max,
            self.wake_late_us.p50,
            self.wake_late_us.p99,
            self.wake_late_us.max,
            self.wake_late_us.count,
            self.missed_sequences,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sequence: u64, time_ns: i64) -> Seen {
        let time = Instant::from_ns(time_ns);
        Seen { vblank: Vblank { sequence, time }, woken: time + Span::from_us(200) }
    }

    #[test]
    fn a_skipped_vblank_is_counted_and_does_not_change_the_rate() {
        let found = Findings::of(&[seen(7, 0), seen(8, 11_000_100), seen(10, 33_000_000)]).unwrap();
        assert_eq!((found.period_ns, found.missed_sequences), (11_000_000.0, 1));
        assert_eq!((found.jitter_ns.count, found.jitter_ns.max), (2, 100.0));
        assert_eq!((found.wake_late_us.count, found.wake_late_us.p50), (3, 200.0));
    }

    #[test]
    fn one_vblank_tells_nothing() {
        assert!(Findings::of(&[]).is_none());
        assert!(Findings::of(&[seen(7, 0)]).is_none());
    }
}
