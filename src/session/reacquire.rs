//! Takes a headset again whose lease was lost, as soon as it can be had.

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::SessionError;
use super::options::{From, Options};
use super::venue::{PATIENCE, Venue};
use crate::display::DisplayError;
use crate::kms::uevent::UeventSocket;
use crate::kms::{Card, Connector, Pipeline};
use crate::lease::Lease;
use crate::lease::liveness::Loss;
use crate::lease::request::{Keeper, RequestError, Source, Way, wayland};
use crate::time::{Instant, Span};

/// Whoever leases displays may be starting: the look at whether its socket is there costs nothing.
const FOR_A_SOCKET: Span = Span::from_ms(20);
/// A card says when anything changes. To ask it anew reads EDIDs, which some headsets take badly.
const FOR_A_CARD: Span = Span::from_ms(2_000);
/// How often the one who waits may give up.
const ASKED_EVERY: Span = Span::from_ms(50);

/// Where a headset was had, and is looked for again.
#[derive(Debug)]
pub struct Lost {
    options: Options,
    /// A lease that nobody can be asked for anew; while it lives it can be used again.
    inherited: Option<(Arc<Card>, Pipeline, String)>,
    uevents: Option<UeventSocket>,
}

impl Lost {
    /// Remembers where the display at `venue` was had. Listens from here on, so that nothing that is announced while the
    /// lease ends goes by unheard. `None` where there is nothing to lose.
    pub fn prepare(options: &Options, venue: &Venue) -> Option<Self> {
        let Venue::Leased(lease, ..) = venue else { return None };
        let inherited = (lease.source == Source::Inherited)
            .then(|| (lease.card.clone(), lease.pipeline.clone(), lease.connector_name.clone()));
        // Not from just anywhere: where it was found is where it is waited for.
        let from = match lease.source {
            Source::Wayland => From::Lease(Way::Wayland),
            Source::X11 => From::Lease(Way::X11),
            Source::Seat => From::Lease(Way::Seat),
            Source::Inherited => options.from,
        };
        let uevents = UeventSocket::open().inspect_err(|error| tracing::debug!("{error}")).ok();
        Some(Self { options: Options { from, ..options.clone() }, inherited, uevents })
    }

    /// Whether it can be had again after that.
    pub fn may_come_back(&self, loss: Loss) -> bool {
        self.inherited.is_none() || loss == Loss::Unplugged
    }

    /// Waits until `make` succeeds with a display that was taken again; `None` when `give_up` says so first, which is
    /// asked now and then.
    pub fn take_again<T>(
        &self,
        give_up: &dyn Fn() -> bool,
        mut make: impl FnMut(Venue) -> Result<T, SessionError>,
    ) -> Option<T> {
        let mut told = String::new();
        while !give_up() {
            let asked = Instant::now();
            let mut make_timed = |venue| {
                let (had, made) = (Instant::now(), make(venue));
                let [lease, rest] = [had - asked, Instant::now() - had].map(Span::as_us_f64);
                tracing::debug!(
                    "had the lease after {lease:.0} us, all that is drawn on it {rest:.0} us later"
                );
                made
            };
            match self.take(give_up).and_then(|venue| venue.map(&mut make_timed).transpose()) {
                Ok(made) => return made,
                Err(error) => {
                    let why = error.to_string();
                    if why != told {
                        tracing::info!("waiting for the headset: {why}");
                        told = why;
                    }
                    self.nap(give_up);
                }
            }
        }
        None
    }

    /// Takes it once it is offered, where offers are announced; else if it is there.
    fn take(&self, give_up: &dyn Fn() -> bool) -> Result<Option<Venue>, SessionError> {
        if let Some(lease) = self.inherited() {
            return plugged_in(lease).and_then(|lease| Venue::on(lease, &self.options)).map(Some);
        }
        if self.options.from == From::Lease(Way::Wayland) {
            let wanted = &self.options.connector;
            let lease = wayland::request_when_offered(None, wanted, PATIENCE, give_up)?;
            return lease.map(|lease| Venue::on(lease, &self.options)).transpose();
        }
        Venue::find(&self.options).map(Some)
    }

    fn inherited(&self) -> Option<Lease> {
        let (card, pipeline, connector_name) = self.inherited.clone()?;
        Some(Lease { card, pipeline, connector_name, source: Source::Inherited, keeper: Keeper::Nothing })
    }

    /// Waits for the kernel to announce something about displays, but no longer than is sensible.
    fn nap(&self, give_up: &dyn Fn() -> bool) {
        let longest = if self.options.from == From::Lease(Way::Wayland) { FOR_A_SOCKET } else { FOR_A_CARD };
        let until = Instant::now() + longest;
        while Instant::now() < until && !give_up() {
            let mut fds: Vec<PollFd<'_>> =
                self.uevents.iter().map(|uevents| PollFd::new(uevents.as_fd(), PollFlags::POLLIN)).collect();
            let slice = PollTimeout::try_from(ASKED_EVERY.as_ns() / 1_000_000).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, slice).is_ok_and(|ready| ready > 0) {
                while self.uevents.as_ref().is_some_and(|uevents| uevents.next().is_some()) {}
                return;
            }
        }
    }
}

/// The lease, if a display hangs on its connector.
fn plugged_in(lease: Lease) -> Result<Lease, SessionError> {
    let connector =
        Connector::read(&lease.card, lease.pipeline.connector, true).map_err(DisplayError::from)?;
    match connector.connected {
        true => Ok(lease),
        false => Err(RequestError::NothingOffered { place: lease.connector_name }.into()),
    }
}
