//! A lessor at work: the rules, the wire and the card joined, with a report of all that happens.
//!
//! Embeds into any event loop: poll [`Service::fds`] and the Wayland display, dispatch the display's clients, call
//! [`Service::dispatch`], take the reports. `examples/window_manager.rs` is a compositor that does so.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::deaths::Deaths;
use super::identity::Identity;
use super::ledger::{Entry, Ledger};
use super::lessor::{
    Action, Adopted, Cause, ClientId, Denial, Event, Holding, Lessor, Offer, Pause, RequestId, Seen,
    Withdrawal,
};
use super::policy::{Policy, Verdict};
use super::process::Fate;
use super::reclaim::{self, Darkening, OnEnd};
pub use super::report::{Happening, Report};
use super::watchdog::Watchdog;
use super::wire::{Incoming, Peer, Wire};
use crate::kms::ids::ObjectId;
use crate::kms::plane::Plane;
use crate::kms::uevent::{Uevent, UeventSocket};
use crate::kms::{Card, Connector, ConnectorId, KmsError, Pipeline};
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
    /// Leases that were handed over a moment ago, with chores still to be done.
    just_granted: Vec<RequestId>,
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

/// What is known of an end while its actions are carried out.
#[derive(Debug)]
struct Ending {
    noticed: Instant,
    /// When it was noticed; `None` while paused, where nothing is revoked or darkened.
    at_once: Option<Instant>,
    /// How the holders stood when it was noticed: turning a panel off takes long enough for a parent to reap them.
    fates: BTreeMap<RequestId, Fate>,
    /// When the kernel had ended the last lease.
    revoked: Option<Instant>,
    /// When the last panel went dark, `None` once one would not.
    dark: Option<Instant>,
}

impl Service {
    /// Starts leasing out the headsets of `card`, of which this process must be master, through a `wire` that was made
    /// for it. The connectors, CRTCs and planes in `kept` are the caller's own and in no lease; nor are those that drive
    /// a monitor whenever the card is looked at.
    ///
    /// With a `ledger`, a lessor that died can be followed by another: keep copies of the card's fd and of the ledger's
    /// where they outlive this process (see [`supervisor`](super::supervisor)), and start the next one with both. Its
    /// lessees then keep their leases. Whatever else was leased from the card, and nobody wrote down, ends.
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

    /// When [`dispatch`](Self::dispatch) is called for even if nothing is to be read: a time to come, or one that is
    /// past where something waits to be done.
    pub fn deadline(&self) -> Option<Instant> {
        let looks = [self.watchdog.as_ref().and_then(Watchdog::next_look), self.deaths.next_look()];
        match self.just_granted[..] {
            [] => looks.into_iter().flatten().min(),
            _ => Some(Instant::default()),
        }
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

    /// To be called before another session gets the card, or as soon as it has it: takes all offers back and puts
    /// leases to sleep, or ends them. Where mastership is gone already, as with seatd and logind, those that end are over
    /// for their holders now, and for the kernel at [`resume`](Self::resume).
    pub fn pause(&mut self, pause: Pause) {
        if self.lessor.is_paused() {
            return;
        }
        let noticed = Instant::now();
        if self.card.is_master() {
            self.handle(Event::Paused(pause), noticed);
        } else {
            self.handle(Event::Paused(Pause::Suspend), noticed);
            if pause == Pause::Revoke {
                self.reclaim_all(noticed);
            }
        }
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.sleep();
        }
        let what = match pause {
            Pause::Suspend => "suspended",
            Pause::Revoke => "revoked",
        };
        self.reports.push(Report { reason: Some(what), ..Report::now(Happening::Paused) });
        self.wire.flush();
    }

    /// To be called when the card is this process's again: cleans up after leases that ended meanwhile, and offers
    /// what is free. Does nothing while another is the card's master.
    pub fn resume(&mut self) {
        if !self.lessor.is_paused() {
            return;
        }
        if !self.card.is_master() {
            let card = self.card.name();
            tracing::warn!(
                "{card} is not back: another program is its master; switch away and back to try again"
            );
            return;
        }
        let noticed = Instant::now();
        self.reports.push(Report::now(Happening::Resumed));
        for action in std::mem::take(&mut self.refused) {
            self.carry_out(action, &mut Ending::new(noticed, None, BTreeMap::new()));
        }
        // All that ended or was unplugged meanwhile comes first, so that only what is free is offered.
        self.look_who_is_left(noticed);
        if let Err(error) = self.look() {
            tracing::warn!("could not look at the connectors after a pause: {error}");
        }
        self.handle(Event::Resumed, noticed);
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.wake(noticed);
        }
        self.wire.flush();
    }

    /// Takes over the leases that an earlier lessor wrote down, and ends all others: who holds those, and what, cannot
    /// be known.
    fn adopt(&mut self) -> Result<(), KmsError> {
        let lessees = self.card.lessees()?;
        let entries = self.ledger.as_ref().map(Ledger::read).unwrap_or_default();
        for &stranger in lessees.iter().filter(|&&lessee| entries.iter().all(|entry| entry.lessee != lessee))
        {
            reclaim::revoke(&self.card, stranger)?;
        }
        let noticed = Instant::now();
        let entries = entries.into_iter().filter(|entry| lessees.contains(&entry.lessee));
        let found: Vec<Adopted> =
            entries.zip(0..).map(|(entry, number)| self.adopted(entry, number)).collect();
        let holdings: Vec<Holding> = found.iter().map(|found| found.holding.clone()).collect();
        self.handle(Event::Adopted(found), noticed);
        for holding in &holdings {
            let who = self.holders.get(&holding.request);
            let granted =
                Report { reason: Some("adopted"), ..Report::now(Happening::Granted).of(holding).by(who) };
            self.report(&holding.connectors, &granted);
        }
        // Some died while nobody looked.
        for holding in &holdings {
            let holder = self.holders.get(&holding.request).map(|peer| peer.identity.process);
            if holder.is_some_and(|process| process.fate() != Fate::Alive) {
                self.handle(Event::HungUp { client: holding.client }, noticed);
            }
        }
        Ok(())
    }

    /// A lease that was written down, with its holder watched from here on. Its client and request are numbered from the
    /// far end, where the wire will never come.
    fn adopted(&mut self, entry: Entry, number: u64) -> Adopted {
        let (request, client) = (RequestId(u64::MAX - number), ClientId(u64::MAX - number));
        let identity =
            Identity { process: entry.process, ..Identity::new(entry.process.pid, entry.uid, entry.gid) };
        self.deaths.watch(request, &entry.process);
        self.holders.insert(request, Peer { client, identity: Arc::new(identity) });
        let (connectors, pipelines): (Vec<String>, Vec<Pipeline>) = entry.pipelines.into_iter().unzip();
        for pipeline in &pipelines {
            if let Err(error) = self.prepare_to_darken(pipeline) {
                tracing::warn!("an adopted lease's panel could not be darkened: {error}");
            }
        }
        self.watch_picture(request, &pipelines);
        Adopted { holding: Holding { request, client, lessee: entry.lessee, connectors }, pipelines }
    }

    /// Darkens headsets that are lit and not leased: an earlier lessor died before it could, and its lessee did too.
    fn darken_what_was_left(&mut self, connectors: &[Connector]) {
        let lit = connectors.iter().filter(|connector| connector.non_desktop && connector.crtc.is_some());
        let offers = self.lessor.offers();
        let left = lit.filter(|connector| offers.iter().any(|offer| offer.connector == connector.id));
        for connector in left {
            let darkening = self.darkenings.get_mut(&connector.id);
            if let Some(Err(error)) = darkening.map(|darkening| darkening.darken(&self.card)) {
                tracing::warn!("{} was left lit and would not go dark: {error}", connector.name);
            }
        }
    }

    fn reclaim_all(&mut self, noticed: Instant) {
        let leased: Vec<ConnectorId> = self.lessor.leased().map(|pipeline| pipeline.connector).collect();
        for connector in leased {
            self.handle(Event::Reclaimed(connector), noticed);
        }
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

    /// Probes all connectors and tells the lessor.
    fn look(&mut self) -> Result<Vec<Connector>, KmsError> {
        let noticed = Instant::now();
        let connectors: Vec<Connector> = self
            .card
            .connectors()?
            .into_iter()
            // One that vanishes between the two calls (DisplayPort daisy chains do) is as good as unplugged.
            .map(|id| Connector::read(&self.card, id, true))
            .filter_map(|read| read.inspect_err(|error| tracing::warn!("{error}")).ok())
            .collect();
        let seen = self.survey(&connectors);
        for pipeline in seen.iter().filter_map(|seen| seen.pipeline.as_ref()) {
            if let Err(error) = self.prepare_to_darken(pipeline) {
                tracing::debug!("{error}"); // said aloud should anyone want the connector
            }
        }
        self.handle(Event::Seen(seen), noticed);
        Ok(connectors)
    }

    /// Which connectors are for lease, and which CRTC and planes each would take: none that drives another connector
    /// now, none that is leased or kept, none twice.
    fn survey(&self, connectors: &[Connector]) -> Vec<Seen> {
        let leased: Vec<&Pipeline> = self.lessor.leased().collect();
        let mut taken = self.kept.clone();
        taken.extend(leased.iter().flat_map(|pipeline| pipeline.objects()));
        let mut seen = Vec::new();
        for connector in connectors {
            let offerable = (connector.non_desktop || self.terms.offer.contains(&connector.name))
                && !self.kept.contains(&connector.id.into());
            let held = leased.iter().find(|pipeline| pipeline.connector == connector.id);
            let pipeline = match held {
                Some(held) => Some((*held).clone()),
                None if connector.connected && offerable => self.spare(connector, connectors, &taken),
                None => None,
            };
            taken.extend(pipeline.iter().flat_map(Pipeline::objects));
            seen.push(Seen {
                id: connector.id,
                name: connector.name.clone(),
                connected: connector.connected,
                offerable,
                pipeline,
            });
        }
        seen
    }

    fn spare(&self, connector: &Connector, all: &[Connector], taken: &[ObjectId]) -> Option<Pipeline> {
        let drives_another = |object: ObjectId| {
            let others = all.iter().filter(|other| other.id != connector.id);
            others.filter_map(|other| other.crtc).any(|crtc| ObjectId::from(crtc) == object)
        };
        let found =
            Pipeline::find(&self.card, connector, |object| taken.contains(&object) || drives_another(object));
        found.inspect_err(|error| tracing::warn!("{} cannot be offered: {error}", connector.name)).ok()
    }

    fn warn_of_unknown_names(&self, connectors: &[Connector]) {
        let names: Vec<&str> = connectors.iter().map(|connector| connector.name.as_str()).collect();
        for name in self.terms.offer.iter().filter(|name| !names.contains(&name.as_str())) {
            let card = self.card.name();
            tracing::warn!("{card} has no connector {name} to offer; it has {}", names.join(", "));
        }
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

    fn handle(&mut self, event: Event, noticed: Instant) {
        let at_once = (!self.lessor.is_paused()).then_some(noticed);
        let mut actions = VecDeque::from(self.lessor.handle(event));
        let mut ending = Ending::new(noticed, at_once, self.fates(&actions));
        while let Some(action) = actions.pop_front() {
            tracing::debug!("{:.0} us after noticing: {action:?}", (Instant::now() - noticed).as_us_f64());
            if let Some(answer) = self.carry_out(action, &mut ending) {
                actions.extend(self.lessor.handle(answer));
            }
        }
    }

    fn fates<'a>(&self, actions: impl IntoIterator<Item = &'a Action>) -> BTreeMap<RequestId, Fate> {
        let ends = actions.into_iter().filter_map(|action| match action {
            Action::Ended(holding, _) => Some(holding.request),
            _ => None,
        });
        ends.filter_map(|request| Some((request, self.holders.get(&request)?.identity.process.fate())))
            .collect()
    }

    /// Does one thing; what the lessor has to know of how it went.
    fn carry_out(&mut self, action: Action, ending: &mut Ending) -> Option<Event> {
        match action {
            Action::Offer(offers) => {
                self.wire.offer(&offers);
                self.report_offers(&offers, &Report::now(Happening::Offered));
            }
            Action::Withdraw(offers, why) => {
                self.wire.withdraw(&offers);
                let withdrawn = Report::new(Happening::Withdrawn, ending.noticed);
                self.report_offers(&offers, &Report { reason: Some(why.word()), ..withdrawn });
            }
            Action::CreateLease { request, pipelines } => {
                return Some(self.lease_out(request, &pipelines));
            }
            Action::Grant(holding) => self.grant(&holding, ending.noticed),
            Action::Deny { request, connectors, reason, .. } => {
                self.wire.finish(request);
                let who = self.holders.remove(&request);
                let denied = Report {
                    reason: Some(reason.word()),
                    why: Some(self.why(reason, who.as_ref(), &connectors)),
                    ..Report::now(Happening::Denied)
                };
                self.report(&connectors, &denied.by(who.as_ref()));
            }
            Action::Revoke(lessee) => {
                if let Err(error) = reclaim::revoke(&self.card, lessee) {
                    self.refused(action, &error);
                    tracing::warn!("a lease would not end: {error}");
                    ending.revoked = None;
                } else {
                    ending.revoked = Some(Instant::now());
                }
            }
            Action::Finish(request) => self.wire.finish(request),
            Action::TurnOff(ref pipeline) => match self.darken(pipeline) {
                Ok(()) => ending.dark = ending.dark.map(|_| Instant::now()),
                Err(error) => {
                    ending.dark = None;
                    self.refused(action, &error);
                    tracing::warn!("a panel would not go dark: {error}");
                }
            },
            Action::Ended(holding, cause) => self.ended(&holding, cause, ending),
        }
        None
    }

    fn refused(&mut self, action: Action, error: &KmsError) {
        if error.errno() == Some(Errno::EACCES) {
            self.refused.push(action);
        }
    }

    fn lease_out(&mut self, request: RequestId, pipelines: &[Pipeline]) -> Event {
        // A panel that could not be darkened again is not leased in the first place.
        let prepared = pipelines.iter().try_for_each(|pipeline| self.prepare_to_darken(pipeline));
        match prepared.and_then(|()| reclaim::lease_out(&self.card, pipelines)) {
            Ok((lessee, fd)) => {
                self.fresh = Some((request, fd));
                self.watch_picture(request, pipelines);
                Event::Created { request, lessee }
            }
            Err(error) => {
                tracing::warn!("a request was refused: {error}");
                Event::NotCreated { request }
            }
        }
    }

    fn watch_picture(&mut self, request: RequestId, pipelines: &[Pipeline]) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.watch(request, pipelines.iter().flat_map(Pipeline::planes), Instant::now());
        }
    }

    /// Done as soon as a connector is on offer, so that a request need not wait for it.
    fn prepare_to_darken(&mut self, pipeline: &Pipeline) -> Result<(), KmsError> {
        let known = self.darkenings.get(&pipeline.connector);
        if !known.is_some_and(|known| known.pipeline() == pipeline) {
            let darkening = Darkening::prepare(&self.card, pipeline, self.terms.on_end)?;
            self.darkenings.insert(pipeline.connector, darkening);
        }
        Ok(())
    }

    fn darken(&mut self, pipeline: &Pipeline) -> Result<(), KmsError> {
        match self.darkenings.get_mut(&pipeline.connector) {
            Some(darkening) => darkening.darken(&self.card),
            None => Ok(()),
        }
    }

    fn grant(&mut self, holding: &Holding, noticed: Instant) {
        if let Some((request, fd)) = self.fresh.take()
            && request == holding.request
        {
            self.wire.grant(request, fd);
        }
        // Sent at once: an fd waiting here would keep the lease alive after its holder's death.
        self.wire.flush();
        let who = self.holders.get(&holding.request);
        let granted = Report::new(Happening::Granted, noticed).of(holding).by(who);
        self.report(&holding.connectors, &granted);
        self.just_granted.push(holding.request);
    }

    /// What a grant leaves to be done once its client has the fd and had a moment to run: a lessor in real time keeps
    /// the whole CPU from it.
    fn do_chores(&mut self) {
        if self.just_granted.is_empty() {
            return;
        }
        for request in std::mem::take(&mut self.just_granted) {
            if let Some(peer) = self.holders.get(&request) {
                self.deaths.watch(request, &peer.identity.process);
            }
        }
        self.write_down();
    }

    /// Has the ledger say what is out now.
    fn write_down(&self) {
        let Some(ledger) = &self.ledger else { return };
        let entries = self.lessor.granted().filter_map(|Adopted { holding, pipelines }| {
            let who = &self.holders.get(&holding.request)?.identity;
            Some(Entry {
                lessee: holding.lessee,
                process: who.process,
                uid: who.uid,
                gid: who.gid,
                pipelines: holding.connectors.into_iter().zip(pipelines).collect(),
            })
        });
        if let Err(error) = ledger.write(&entries.collect::<Vec<_>>()) {
            tracing::warn!("{error}");
        }
    }

    fn ended(&mut self, holding: &Holding, cause: Cause, ending: &mut Ending) {
        let who = self.holders.remove(&holding.request);
        self.deaths.forget(holding.request);
        self.just_granted.retain(|&request| request != holding.request);
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.forget(holding.request);
        }
        let fate = ending.fates.get(&holding.request).copied().unwrap_or(Fate::Gone);
        let ended = Report {
            reason: Some(reason(cause, fate)),
            revoked_us: ending.revoked.map(|revoked| (revoked - ending.noticed).as_us_f64()),
            blanked_us: ending.dark.map(|dark| (dark - ending.noticed).as_us_f64()),
            ..Report::new(Happening::Ended, ending.noticed)
        };
        self.report(&holding.connectors, &ended.of(holding).by(who.as_ref()));
        (ending.revoked, ending.dark) = (ending.at_once, ending.at_once);
        self.write_down();
    }

    /// Why a request is refused, in a sentence.
    fn why(&self, reason: Denial, who: Option<&Peer>, connectors: &[String]) -> String {
        let verdict = who.map(|peer| self.terms.policy.judge(&peer.identity, connectors));
        match (reason, verdict) {
            (Denial::NotPermitted, Some(Verdict::Denied(why))) => why,
            _ => reason.to_string(),
        }
    }

    fn report_offers(&mut self, offers: &[Offer], report: &Report) {
        let names: Vec<String> = offers.iter().map(|offer| offer.name.clone()).collect();
        self.report(&names, report);
    }

    /// One report for each connector, or one without where none is known.
    fn report(&mut self, connectors: &[String], report: &Report) {
        if connectors.is_empty() {
            self.reports.push(report.clone());
        }
        let named = connectors.iter().map(|name| Report { connector: Some(name.clone()), ..report.clone() });
        self.reports.extend(named);
    }
}

impl Ending {
    fn new(noticed: Instant, at_once: Option<Instant>, fates: BTreeMap<RequestId, Fate>) -> Self {
        Self { noticed, at_once, fates, revoked: at_once, dark: at_once }
    }
}

impl Withdrawal {
    fn word(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Gone => "unplugged",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The one word that says why a lease ended. A living holder that closes its lease has released it; one that only
/// drops its connection has left. A holder that is gone crashed, unless it is known to have exited in order.
fn reason(cause: Cause, fate: Fate) -> &'static str {
    match (cause, fate) {
        (Cause::Hung, _) => "hung",
        (Cause::Unplugged, _) => "unplugged",
        (Cause::Reclaimed, _) => "revoked",
        (Cause::Shutdown, _) => "shutdown",
        (Cause::Returned, _) | (Cause::Closed, Fate::Alive) => "released",
        (Cause::HungUp, Fate::Alive) | (Cause::HungUp | Cause::Closed, Fate::Exited) => "exited",
        (Cause::HungUp | Cause::Closed, Fate::Crashed | Fate::Gone) => "crashed",
    }
}
