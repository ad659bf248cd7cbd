//! A lessor at work: the rules, the wire and the card joined, with a report of all that happens.
//!
//! Embeds into any event loop: poll [`Service::fds`] and the Wayland display, dispatch the display's clients, call
//! [`Service::dispatch`], take the reports. `examples/window_manager.rs` is a compositor that does so.

mod act;
mod pause;
mod succession;
mod survey;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::deaths::Deaths;
use super::ledger::Ledger;
use super::lessor::{Action, Event, Lessor, RequestId};
use super::policy::{Policy, Verdict};
use super::reclaim::{Darkening, OnEnd};
pub use super::report::{Happening, Report};
use super::watchdog::Watchdog;
use super::wire::{Incoming, Peer, Wire};
use crate::kms::ids::ObjectId;
use crate::kms::plane::Plane;
use crate::kms::uevent::{Uevent, UeventSocket};
use crate::kms::{Card, ConnectorId, KmsError};
use crate::time::{Instant, Span};

/// Whom to lease what.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Names of connectors to offer although the kernel does not call them non-desktop.
    pub offer: Vec<String>,
    /// Who may have a lease.
    pub policy: Policy,
    /// What a headset shows once its lease has ended.
    pub on_end: OnEnd,
    /// How long a holder may show nothing new before its lease ends; without, for ever.
    pub watchdog: Option<Span>,
}

/// A card whose headsets are for lease.
#[derive(Debug)]
pub struct Service {
    card: Arc<Card>,
    uevents: UeventSocket,
    wire: Wire,
    terms: Terms,
    /// What the card's owner uses itself.
    kept: Vec<ObjectId>,
    lessor: Lessor,
    /// Who made each request that is open or granted.
    holders: BTreeMap<RequestId, Peer>,
    /// A lease's fd between its making and its handing over.
    fresh: Option<(RequestId, OwnedFd)>,
    /// Leases that were handed over a moment ago, with chores still to be done: to close our fd is one of them.
    just_granted: Vec<(RequestId, OwnedFd)>,
    /// How to darken the panels that are or were leased.
    darkenings: BTreeMap<ConnectorId, Darkening>,
    watchdog: Option<Watchdog>,
    deaths: Deaths,
    /// Where the leases are written down that are out.
    ledger: Option<Ledger>,
    /// What the card refused because it had been taken away and nobody had said so yet. Done as soon as it is back.
    refused: Vec<Action>,
    reports: Vec<Report>,
}

impl Service {
    /// Starts leasing out the headsets of `card`, of which this process must be master, through a `wire` that was made
    /// for it. The connectors, CRTCs and planes in `kept` are the caller's own and in no lease; nor are those that drive
    /// a monitor whenever the card is looked at.
    ///
    /// With a `ledger`, a lessor that died can be followed by another: keep copies of the card's fd and of the ledger's
    /// where they outlive this process (see [`supervisor`](super::supervisor)), and start the next one with both. Its
    /// lessees then keep their leases. Whatever else was leased from the card, and nobody wrote down, ends.
    ///
    /// # Errors
    /// When this process is not the card's master (`EACCES`), or has no fds left to hear of hotplugs and deaths with.
    pub fn start(
        card: Arc<Card>,
        wire: Wire,
        terms: Terms,
        kept: Vec<ObjectId>,
        ledger: Option<Ledger>,
    ) -> Result<Self, KmsError> {
        let uevents = UeventSocket::open()?;
        let watchdog = terms.watchdog.map(Watchdog::new);
        let mut service = Self {
            card,
            uevents,
            wire,
            terms,
            kept,
            watchdog,
            deaths: Deaths::new()?,
            ledger,
            lessor: Lessor::new(),
            holders: BTreeMap::new(),
            fresh: None,
            just_granted: Vec::new(),
            darkenings: BTreeMap::new(),
            refused: Vec::new(),
            reports: Vec::new(),
        };
        service.reports.push(Report::new(Happening::Ready, Instant::now()));
        service.adopt()?;
        let connectors = service.look()?;
        service.darken_what_was_left(&connectors);
        service.warn_of_unknown_names(&connectors);
        service.wire.flush();
        Ok(service)
    }

    /// The wire that clients' requests go to.
    pub fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Goes on with another wire, on which nobody is yet. Who holds a lease keeps it.
    pub(super) fn replace_wire(&mut self, wire: Wire) {
        self.wire = wire;
        self.wire.offer(&self.lessor.offers());
    }

    /// What the caller keeps for itself from here on, in place of what it kept before. What is leased stays leased.
    ///
    /// # Errors
    /// When the card's connectors cannot be listed, as of one that is gone (`ENODEV`). What was given is kept all the
    /// same.
    pub fn keep(&mut self, kept: Vec<ObjectId>) -> Result<(), KmsError> {
        self.kept = kept;
        self.look()?;
        self.wire.flush();
        Ok(())
    }

    /// What to poll for reading beside the display; calls for [`dispatch`](Self::dispatch).
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.uevents.as_fd(), self.deaths.as_fd()]
    }

    /// How long the caller may wait for something to read; then [`dispatch`](Self::dispatch) is called for all the same.
    /// `None` is for ever.
    pub fn patience(&self) -> Option<Span> {
        if !self.just_granted.is_empty() {
            // A client waits to run that has its lease, so not even the clock is read.
            return Some(Span::ZERO);
        }
        let looks = [self.watchdog.as_ref().and_then(Watchdog::next_look), self.deaths.next_look()];
        let next = looks.into_iter().flatten().min()?;
        Some((next - Instant::now()).max(Span::ZERO))
    }

    /// Does all there is to do now, without waiting for more. The display's clients must have been dispatched before;
    /// `noticed` is when the caller woke to do so, and `readable` whether one of the [`fds`](Self::fds) may be read.
    pub fn dispatch(&mut self, noticed: Instant, readable: bool) {
        self.do_chores();
        let (mut lease_ended, mut replugged) = (false, false);
        while let Some(uevent) = readable.then(|| self.uevents.next()).flatten() {
            match uevent {
                Uevent::Lease => lease_ended = true,
                Uevent::Hotplug => replugged = true,
                Uevent::Overflow => (lease_ended, replugged) = (true, true),
            }
        }
        // Clients first: one that gave its lease back and closed the fd at once has released it, not lost it.
        for incoming in self.wire.take_incoming() {
            let event = self.take_in(incoming);
            self.handle(event, noticed);
        }
        let mut dead = self.deaths.look(noticed);
        if readable {
            dead.extend(self.deaths.take());
        }
        for request in dead {
            if let Some(peer) = self.holders.get(&request) {
                self.handle(Event::HungUp { client: peer.client }, noticed);
            }
        }
        // Only the card's master may ask; when the card is back, it is asked in any case.
        if lease_ended && !self.lessor.is_paused() {
            self.look_who_is_left(noticed);
        }
        if replugged && let Err(error) = self.look() {
            tracing::warn!("could not look at the connectors after a hotplug: {error}");
        }
        self.look_after_the_living(noticed);
        self.wire.flush();
    }

    /// Ends the lease on a connector, if there is one.
    pub fn reclaim(&mut self, connector: ConnectorId) {
        self.handle(Event::Reclaimed(connector), Instant::now());
        self.wire.flush();
    }

    /// Asks the kernel which leases live, and ends the others.
    fn look_who_is_left(&mut self, noticed: Instant) {
        match self.card.lessees() {
            Ok(alive) => self.handle(Event::Lessees(alive), noticed),
            Err(error) => tracing::warn!("could not see which lease ended: {error}"),
        }
    }

    /// Ends leases whose panels have stood still for too long.
    fn look_after_the_living(&mut self, noticed: Instant) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let card = &self.card;
        for request in watchdog.look(noticed, |plane| Plane::shown(card, plane).unwrap_or_default()) {
            self.handle(Event::Hung { request }, noticed);
        }
    }

    /// Ends all leases and takes all offers back. Panels go off, even those that were held black: what shows the
    /// black goes with this process.
    pub fn shut_down(&mut self) {
        self.handle(Event::Shutdown, Instant::now());
        if self.lessor.is_paused() {
            return self.wire.flush();
        }
        for darkening in self.darkenings.values_mut().filter(|darkening| darkening.holds_black()) {
            if let Err(error) = darkening.turn_off(&self.card) {
                tracing::warn!("a panel would not go off: {error}");
            }
        }
        self.wire.flush();
    }

    /// What has happened since this was last asked. Nothing yet while a client may be waiting to run: to write a report
    /// down takes longer than to grant a lease.
    pub fn take_reports(&mut self) -> Vec<Report> {
        if self.just_granted.is_empty() { std::mem::take(&mut self.reports) } else { Vec::new() }
    }

    fn take_in(&mut self, incoming: Incoming) -> Event {
        match incoming {
            Incoming::Requested { request, peer, offers } => {
                let client = peer.client;
                let verdict = self.terms.policy.judge(&peer.identity, &self.lessor.connectors(&offers));
                self.holders.insert(request, peer);
                Event::Requested { request, client, offers, permitted: verdict == Verdict::Allowed }
            }
            Incoming::Returned(request) => Event::Returned { request },
            Incoming::HungUp(client) => Event::HungUp { client },
        }
    }
}
