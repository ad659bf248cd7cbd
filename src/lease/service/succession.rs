//! One lessor after another: what the last one granted, and what this one leaves to the next.

use std::sync::Arc;

use super::Service;
use crate::kms::{Connector, KmsError, Pipeline};
use crate::lease::identity::Identity;
use crate::lease::ledger::{Entry, Ledger};
use crate::lease::lessor::{Adopted, ClientId, Event, Holding, RequestId};
use crate::lease::process::Fate;
use crate::lease::reclaim;
use crate::lease::report::{Happening, Report};
use crate::lease::wire::Peer;
use crate::time::Instant;

impl Service {
    /// Takes over the leases that an earlier lessor wrote down, and ends all others: who holds those, and what, cannot
    /// be known.
    pub(super) fn adopt(&mut self) -> Result<(), KmsError> {
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
    pub(super) fn adopted(&mut self, entry: Entry, number: u64) -> Adopted {
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
    pub(super) fn darken_what_was_left(&mut self, connectors: &[Connector]) {
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

    /// Has the ledger say what is out now.
    pub(super) fn write_down(&self) {
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
}
