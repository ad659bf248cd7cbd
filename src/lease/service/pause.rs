//! The card in another session's hands, and back.

use std::collections::BTreeMap;

use super::Service;
use super::act::Ending;
use crate::kms::ConnectorId;
use crate::lease::lessor::{Event, Pause};
use crate::lease::report::{Happening, Report};
use crate::time::Instant;

impl Service {
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

    pub(super) fn reclaim_all(&mut self, noticed: Instant) {
        let leased: Vec<ConnectorId> = self.lessor.leased().map(|pipeline| pipeline.connector).collect();
        for connector in leased {
            self.handle(Event::Reclaimed(connector), noticed);
        }
    }
}
