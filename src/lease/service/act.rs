//! What the lessor has decided, done: to the card, to the clients, and in the reports.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::Service;
use crate::kms::{KmsError, Pipeline};
use crate::lease::lessor::{Action, Cause, Denial, Event, Holding, Offer, RequestId, Withdrawal};
use crate::lease::policy::Verdict;
use crate::lease::process::Fate;
use crate::lease::reclaim::{self, Darkening};
use crate::lease::report::{Happening, Report};
use crate::lease::wire::Peer;
use crate::time::Instant;

/// What is known of an end while its actions are carried out.
#[derive(Debug)]
pub(super) struct Ending {
    noticed: Instant,
    /// When it was noticed; `None` while paused, where nothing is revoked or darkened.
    at_once: Option<Instant>,
    /// How the holders stood when it was noticed: turning a panel off takes long enough for a parent to reap them.
    fates: BTreeMap<RequestId, Fate>,
    /// Whether panels go off whatever the terms say: there is nobody to see the black, or nobody to hold it.
    to_off: bool,
    /// When the kernel had ended the last lease.
    revoked: Option<Instant>,
    /// When the last panel went dark, `None` once one would not.
    dark: Option<Instant>,
}

impl Service {
    pub(super) fn handle(&mut self, event: Event, noticed: Instant) {
        let at_once = (!self.lessor.is_paused()).then_some(noticed);
        let mut actions = VecDeque::from(self.lessor.handle(event));
        let goes_off = |cause: &Cause| matches!(cause, Cause::Unplugged | Cause::Shutdown);
        let mut ending = Ending::new(noticed, at_once, self.fates(&actions));
        ending.to_off =
            actions.iter().any(|action| matches!(action, Action::Ended(_, cause) if goes_off(cause)));
        while let Some(action) = actions.pop_front() {
            tracing::debug!("{:.0} us after noticing: {action:?}", (Instant::now() - noticed).as_us_f64());
            if let Some(answer) = self.carry_out(action, &mut ending) {
                actions.extend(self.lessor.handle(answer));
            }
        }
    }

    pub(super) fn fates<'a>(
        &self,
        actions: impl IntoIterator<Item = &'a Action>,
    ) -> BTreeMap<RequestId, Fate> {
        let ends = actions.into_iter().filter_map(|action| match action {
            Action::Ended(holding, _) => Some(holding.request),
            _ => None,
        });
        ends.filter_map(|request| Some((request, self.holders.get(&request)?.identity.process.fate())))
            .collect()
    }

    /// Does one thing; what the lessor has to know of how it went.
    pub(super) fn carry_out(&mut self, action: Action, ending: &mut Ending) -> Option<Event> {
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
            Action::TurnOff(ref pipeline) => match self.darken(pipeline, ending.to_off) {
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

    pub(super) fn refused(&mut self, action: Action, error: &KmsError) {
        if error.errno() == Some(Errno::EACCES) {
            self.refused.push(action);
        }
    }

    pub(super) fn lease_out(&mut self, request: RequestId, pipelines: &[Pipeline]) -> Event {
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

    pub(super) fn watch_picture(&mut self, request: RequestId, pipelines: &[Pipeline]) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.watch(request, pipelines.iter().flat_map(Pipeline::planes), Instant::now());
        }
    }

    /// Done as soon as a connector is on offer, so that a request need not wait for it.
    pub(super) fn prepare_to_darken(&mut self, pipeline: &Pipeline) -> Result<(), KmsError> {
        let known = self.darkenings.get(&pipeline.connector);
        if !known.is_some_and(|known| known.pipeline() == pipeline) {
            let darkening = Darkening::prepare(&self.card, pipeline, self.terms.on_end)?;
            self.darkenings.insert(pipeline.connector, darkening);
        }
        Ok(())
    }

    pub(super) fn darken(&mut self, pipeline: &Pipeline, to_off: bool) -> Result<(), KmsError> {
        match self.darkenings.get_mut(&pipeline.connector) {
            Some(darkening) if to_off => darkening.turn_off(&self.card),
            Some(darkening) => darkening.darken(&self.card),
            None => Ok(()),
        }
    }

    pub(super) fn grant(&mut self, holding: &Holding, noticed: Instant) {
        if let Some((request, fd)) = self.fresh.take()
            && request == holding.request
        {
            self.wire.grant(request, fd.as_fd());
            self.just_granted.push((request, fd));
        }
        self.wire.flush();
        let who = self.holders.get(&holding.request);
        let granted = Report::new(Happening::Granted, noticed).of(holding).by(who);
        self.report(&holding.connectors, &granted);
    }

    /// What a grant leaves to be done once its client has the fd and had a moment to run: a lessor in real time keeps
    /// the whole CPU from it.
    pub(super) fn do_chores(&mut self) {
        if self.just_granted.is_empty() {
            return;
        }
        for (request, lease) in std::mem::take(&mut self.just_granted) {
            // A copy that stayed here would keep the lease alive after its holder's death.
            drop(lease);
            if let Some(peer) = self.holders.get(&request) {
                self.deaths.watch(request, &peer.identity.process);
            }
        }
        self.write_down();
    }

    pub(super) fn ended(&mut self, holding: &Holding, cause: Cause, ending: &mut Ending) {
        let who = self.holders.remove(&holding.request);
        self.deaths.forget(holding.request);
        self.just_granted.retain(|(request, _)| *request != holding.request);
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
    pub(super) fn why(&self, reason: Denial, who: Option<&Peer>, connectors: &[String]) -> String {
        let verdict = who.map(|peer| self.terms.policy.judge(&peer.identity, connectors));
        match (reason, verdict) {
            (Denial::NotPermitted, Some(Verdict::Denied(why))) => why,
            _ => reason.to_string(),
        }
    }

    pub(super) fn report_offers(&mut self, offers: &[Offer], report: &Report) {
        let names: Vec<String> = offers.iter().map(|offer| offer.name.clone()).collect();
        self.report(&names, report);
    }

    /// One report for each connector, or one without where none is known.
    pub(super) fn report(&mut self, connectors: &[String], report: &Report) {
        if connectors.is_empty() {
            self.reports.push(report.clone());
        }
        let named = connectors.iter().map(|name| Report { connector: Some(name.clone()), ..report.clone() });
        self.reports.extend(named);
    }
}

impl Ending {
    pub(super) fn new(noticed: Instant, at_once: Option<Instant>, fates: BTreeMap<RequestId, Fate>) -> Self {
        Self { noticed, at_once, fates, to_off: false, revoked: at_once, dark: at_once }
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
