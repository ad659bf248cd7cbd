//! Who may have which headset: the lessor's rules, as a state machine that reads no clock and asks no kernel.
//!
//! Events go in, actions come out, in the order in which they are to be carried out. At every end of a lease that
//! order is: revoke, tell its holder, panel off, report, offer again. The holder hears of it before the first commit
//! because `wp_drm_lease_v1.lease_fd` promises so.

use std::collections::BTreeMap;

use crate::kms::{ConnectorId, LesseeId, Pipeline};

/// A client of the lessor, as whoever talks to it numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A client's request for a lease, and later the lease that was granted on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One offer of a connector. A connector that is offered again has a new one, so a late request for an old offer
/// cannot take what was meant for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(u64);

/// A connector as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: ConnectorId,
    /// Its name, `DP-1` say.
    pub name: String,
    /// Whether a display is plugged in.
    pub connected: bool,
    /// Whether it is for lease at all: a headset, or named by the user.
    pub offerable: bool,
    /// What a lease on it would hold; `None` while the card has no CRTC to spare for it.
    pub pipeline: Option<Pipeline>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The connectors were looked at; those not among them are gone.
    Seen(Vec<Seen>),
    /// A client wants a lease.
    Requested {
        /// The request, numbered anew for each.
        request: RequestId,
        /// Who wants it.
        client: ClientId,
        /// What it wants.
        offers: Vec<OfferId>,
        /// Whether this client may have them.
        permitted: bool,
    },
    /// The kernel made the lease that [`Action::CreateLease`] asked for.
    Created {
        /// For which request.
        request: RequestId,
        /// The kernel's number for it.
        lessee: LesseeId,
    },
    /// The kernel did not make it.
    NotCreated {
        /// For which request.
        request: RequestId,
    },
    /// A client gave its lease back.
    Returned {
        /// The request the lease was granted on.
        request: RequestId,
    },
    /// A client's connection is gone.
    HungUp {
        /// Whose.
        client: ClientId,
    },
    /// These lessees live; the kernel has ended the others.
    Lessees(Vec<LesseeId>),
    /// A lease's panel has shown nothing new for too long.
    Hung {
        /// The request the lease was granted on.
        request: RequestId,
    },
    /// Whoever runs the lessor wants this connector back.
    Reclaimed(ConnectorId),
    /// These leases were found, granted by a lessor that is no more. Comes before anything is requested.
    Adopted(Vec<Adopted>),
    /// The card is about to be somebody else's for a while: the user switches to another session.
    Paused(Pause),
    /// The card is the lessor's again.
    Resumed,
    /// Everything is to end. Nothing is offered or granted from here on.
    Shutdown,
}

/// A lease that outlived the lessor which granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Who holds it, and under which number.
    pub holding: Holding,
    /// What it holds.
    pub pipelines: Vec<Pipeline>,
}

/// What becomes of leases while the card is somebody else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// They sleep: the kernel refuses their holders' commits until the card is back.
    #[default]
    Suspend,
    /// They end before the card goes.
    Revoke,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Offer these connectors to all clients.
    Offer(Vec<Offer>),
    /// Take these offers back.
    Withdraw(Vec<Offer>, Withdrawal),
    /// Ask the kernel for a lease on these pipelines, and answer with [`Event::Created`] or [`Event::NotCreated`].
    CreateLease {
        /// For which request.
        request: RequestId,
        /// What the lease is to hold.
        pipelines: Vec<Pipeline>,
    },
    /// Hand the lease to its client.
    Grant(Holding),
    /// Refuse the request, and say so.
    Deny {
        /// Which.
        request: RequestId,
        /// Who wanted it.
        client: ClientId,
        /// The connectors it named, as far as they are known.
        connectors: Vec<String>,
        /// Why it is refused.
        reason: Denial,
    },
    /// End the lease in the kernel, which may have ended it already. Left out where the kernel must have.
    Revoke(LesseeId),
    /// Tell the client that its lease is over.
    Finish(RequestId),
    /// Turn the panel off.
    TurnOff(Pipeline),
    /// Report that a lease has ended.
    Ended(Holding, Cause),
}

/// Why an offer is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// Someone has leased it.
    Leased,
    /// The display was unplugged, or the card has no CRTC left for it.
    Gone,
    /// The card is somebody else's for a while.
    Paused,
    /// The lessor ends.
    Shutdown,
}

/// A connector on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which offer of it this is.
    pub id: OfferId,
    /// The connector.
    pub connector: ConnectorId,
    /// The connector's name.
    pub name: String,
}

/// A lease: who holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The request it was granted on.
    pub request: RequestId,
    /// Who holds it.
    pub client: ClientId,
    /// The kernel's number for it.
    pub lessee: LesseeId,
    /// The names of its connectors.
    pub connectors: Vec<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The policy does not let this client have it.
    #[error("the policy does not let it")]
    NotPermitted,
    /// The connector is no longer on offer: leased, unplugged, or about to be.
    #[error("a connector it named is no longer on offer")]
    Withdrawn,
    /// The CRTC or a plane that the connector would take is in another lease.
    #[error("the card has no CRTC or plane left for it")]
    NoPipeline,
    /// The kernel refused.
    #[error("the kernel refused the lease")]
    Kernel,
    /// The card is somebody else's for a while.
    #[error("another session has the card now")]
    Paused,
    /// The lessor is about to end.
    #[error("the lessor is shutting down")]
    Shutdown,
}

impl Denial {
    /// One word for logs that programs read.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::Withdrawn => "withdrawn",
            Self::NoPipeline => "no-pipeline",
            Self::Kernel => "kernel",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What ended a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its client gave it back.
    Returned,
    /// Its client's connection broke.
    HungUp,
    /// The last fd of the lease was closed.
    Closed,
    /// Its panel showed nothing new for too long.
    Hung,
    /// The display was unplugged.
    Unplugged,
    /// The lessor wanted it back.
    Reclaimed,
    /// The lessor ends.
    Shutdown,
}

/// The rules and what they remember.
#[derive(Debug, Default)]
pub struct Lessor {
    heads: BTreeMap<ConnectorId, Head>,
    leases: Vec<Lease>,
    offers_made: u64,
    shut_down: bool,
    paused: bool,
    /// What the card still has to be told, once it is back, of leases that ended while it was somebody else's.
    owed: Vec<Action>,
}

/// A connector and its standing.
#[derive(Debug)]
struct Head {
    name: String,
    /// What a lease would hold; `None` while it is not to be had.
    pipeline: Option<Pipeline>,
    offer: Option<OfferId>,
}

/// A lease, from the moment the kernel is asked for it.
#[derive(Debug)]
struct Lease {
    request: RequestId,
    client: ClientId,
    pipelines: Vec<Pipeline>,
    connectors: Vec<String>,
    /// `None` until the kernel has answered.
    lessee: Option<LesseeId>,
}

impl Lessor {
    /// A lessor that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an event; what is to be done about it, in order.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Seen(seen) => self.seen(seen, &mut actions),
            Event::Requested { request, client, offers, permitted } => {
                self.requested(request, client, &offers, permitted, &mut actions);
            }
            Event::Created { request, lessee } => self.created(request, lessee, &mut actions),
            Event::NotCreated { request } => self.not_created(request, &mut actions),
            Event::Returned { request } => {
                self.end_where(Cause::Returned, |lease| lease.request == request, &mut actions);
            }
            Event::HungUp { client } => {
                self.end_where(Cause::HungUp, |lease| lease.client == client, &mut actions);
            }
            Event::Lessees(alive) => {
                let gone = |lease: &Lease| lease.lessee.is_some_and(|lessee| !alive.contains(&lessee));
                self.end_where(Cause::Closed, gone, &mut actions);
            }
            Event::Hung { request } => {
                self.end_where(Cause::Hung, |lease| lease.request == request, &mut actions);
            }
            Event::Reclaimed(connector) => {
                self.end_where(Cause::Reclaimed, |lease| lease.holds(connector), &mut actions);
            }
            Event::Adopted(found) => self.adopted(found, &mut actions),
            Event::Paused(pause) => self.pause(pause, &mut actions),
            Event::Resumed => {
                self.paused = false;
                actions.append(&mut self.owed);
            }
            Event::Shutdown => {
                self.shut_down = true;
                self.end_where(Cause::Shutdown, |_| true, &mut actions);
                // The kernel does it itself as the card is closed.
                self.owed.clear();
                self.withdraw(|_| true, Withdrawal::Shutdown, &mut actions);
            }
        }
        self.offer_what_is_free(&mut actions);
        actions
    }

    /// What is on offer now, for a client that has just come.
    pub fn offers(&self) -> Vec<Offer> {
        self.heads.iter().filter_map(|(&connector, head)| head.on_offer(connector)).collect()
    }

    /// Whether the card is somebody else's now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What is leased out: for the lessor and everyone else to leave alone.
    pub fn leased(&self) -> impl Iterator<Item = &Pipeline> {
        self.leases.iter().flat_map(|lease| &lease.pipelines)
    }

    /// The leases that the kernel has made and not ended.
    pub fn granted(&self) -> impl Iterator<Item = Adopted> {
        self.leases.iter().filter_map(|lease| {
            Some(Adopted { holding: lease.holding(lease.lessee?), pipelines: lease.pipelines.clone() })
        })
    }

    /// The names of the connectors that these offers are of, where they still stand.
    pub fn connectors(&self, offers: &[OfferId]) -> Vec<String> {
        self.wanted(offers).map(|head| head.name.clone()).collect()
    }

    fn seen(&mut self, seen: Vec<Seen>, actions: &mut Vec<Action>) {
        let connected = |id| seen.iter().any(|found: &Seen| found.id == id && found.connected);
        let unplugged = |lease: &Lease| lease.pipelines.iter().any(|held| !connected(held.connector));
        self.end_where(Cause::Unplugged, unplugged, actions);

        let to_be_had = |id| seen.iter().any(|found: &Seen| found.id == id && found.to_be_had().is_some());
        self.withdraw(|connector| !to_be_had(connector), Withdrawal::Gone, actions);
        self.heads.retain(|id, _| seen.iter().any(|found| found.id == *id));
        for found in seen {
            let pipeline = found.to_be_had().cloned();
            let head =
                self.heads.entry(found.id).or_insert(Head { name: found.name, pipeline: None, offer: None });
            head.pipeline = pipeline;
        }
    }

    fn requested(
        &mut self,
        request: RequestId,
        client: ClientId,
        offers: &[OfferId],
        permitted: bool,
        actions: &mut Vec<Action>,
    ) {
        let connectors = self.connectors(offers);
        let pipelines: Vec<Pipeline> = self.wanted(offers).filter_map(|head| head.pipeline.clone()).collect();
        match self.refusal(offers, &pipelines, permitted) {
            Some(reason) => actions.push(Action::Deny { request, client, connectors, reason }),
            None => {
                actions.push(Action::CreateLease { request, pipelines: pipelines.clone() });
                self.leases.push(Lease { request, client, pipelines, connectors, lessee: None });
            }
        }
    }

    fn wanted(&self, offers: &[OfferId]) -> impl Iterator<Item = &Head> {
        self.heads.values().filter(|head| head.offer.is_some_and(|offer| offers.contains(&offer)))
    }

    fn refusal(&self, offers: &[OfferId], pipelines: &[Pipeline], permitted: bool) -> Option<Denial> {
        let pending = |wanted: &Pipeline| self.leased().any(|held| held.connector == wanted.connector);
        let shares = |wanted: &Pipeline| {
            let others = pipelines.iter().filter(|other| other.connector != wanted.connector);
            others.chain(self.leased()).any(|other| other.overlaps(wanted))
        };
        if self.shut_down {
            Some(Denial::Shutdown)
        } else if self.paused {
            Some(Denial::Paused)
        } else if !permitted {
            Some(Denial::NotPermitted)
        } else if pipelines.is_empty() || pipelines.len() < offers.len() || pipelines.iter().any(pending) {
            Some(Denial::Withdrawn)
        } else if pipelines.iter().any(shares) {
            Some(Denial::NoPipeline)
        } else {
            None
        }
    }

    fn created(&mut self, request: RequestId, lessee: LesseeId, actions: &mut Vec<Action>) {
        // The kernel gives a lessee's number again as soon as the last one to bear it is gone. To revoke by it now
        // would hit the new one.
        let bore_it = |lease: &Lease| lease.request != request && lease.lessee == Some(lessee);
        self.end_where(Cause::Closed, bore_it, actions);
        actions.retain(|action| *action != Action::Revoke(lessee));
        self.owed.retain(|action| *action != Action::Revoke(lessee));
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.request == request) else {
            // The client, or the card, went away while the kernel made it.
            let doing = if self.paused { &mut self.owed } else { actions };
            doing.push(Action::Revoke(lessee));
            return;
        };
        lease.lessee = Some(lessee);
        let holding = lease.holding(lessee);
        let held: Vec<ConnectorId> = lease.pipelines.iter().map(|held| held.connector).collect();
        self.withdraw(|connector| held.contains(&connector), Withdrawal::Leased, actions);
        actions.push(Action::Grant(holding));
    }

    fn not_created(&mut self, request: RequestId, actions: &mut Vec<Action>) {
        let Some(index) = self.leases.iter().position(|lease| lease.request == request) else { return };
        let Lease { client, connectors, .. } = self.leases.remove(index);
        actions.push(Action::Deny { request, client, connectors, reason: Denial::Kernel });
    }

    fn adopted(&mut self, found: Vec<Adopted>, actions: &mut Vec<Action>) {
        let held: Vec<ConnectorId> =
            found.iter().flat_map(|lease| &lease.pipelines).map(|held| held.connector).collect();
        self.leases.extend(found.into_iter().map(|Adopted { holding, pipelines }| Lease {
            request: holding.request,
            client: holding.client,
            pipelines,
            connectors: holding.connectors,
            lessee: Some(holding.lessee),
        }));
        self.withdraw(|connector| held.contains(&connector), Withdrawal::Leased, actions);
    }

    fn pause(&mut self, pause: Pause, actions: &mut Vec<Action>) {
        let ends = |lease: &Lease| pause == Pause::Revoke || lease.lessee.is_none();
        self.end_where(Cause::Reclaimed, ends, actions);
        self.withdraw(|_| true, Withdrawal::Paused, actions);
        self.paused = true;
    }

    /// Ends all leases of which `over` is true. One that the kernel has not made yet is merely forgotten.
    fn end_where(&mut self, cause: Cause, over: impl Fn(&Lease) -> bool, actions: &mut Vec<Action>) {
        let (ended, live) = std::mem::take(&mut self.leases).into_iter().partition(|lease| over(lease));
        self.leases = live;
        let ended: Vec<Lease> = ended;
        for lease in ended {
            let holder_listens = !matches!(cause, Cause::Returned | Cause::HungUp);
            let finish = holder_listens.then_some(Action::Finish(lease.request));
            let end = lease.end(finish, cause);
            if self.paused {
                // Only the card's master may revoke and commit. Until this is, the kernel refuses the holder's commits.
                let (now, owed): (Vec<_>, Vec<_>) = end.into_iter().partition(Action::needs_no_master);
                actions.extend(now);
                self.owed.extend(owed);
            } else {
                actions.extend(end);
            }
        }
    }

    fn withdraw(&mut self, which: impl Fn(ConnectorId) -> bool, why: Withdrawal, actions: &mut Vec<Action>) {
        let mut withdrawn = Vec::new();
        for (&connector, head) in self.heads.iter_mut().filter(|(connector, _)| which(**connector)) {
            withdrawn.extend(head.on_offer(connector));
            head.offer = None;
        }
        if !withdrawn.is_empty() {
            actions.push(Action::Withdraw(withdrawn, why));
        }
    }

    fn offer_what_is_free(&mut self, actions: &mut Vec<Action>) {
        if self.shut_down || self.paused {
            return;
        }
        let mut offered = Vec::new();
        for (&connector, head) in &mut self.heads {
            let leased = self.leases.iter().any(|lease| lease.holds(connector));
            if head.pipeline.is_some() && head.offer.is_none() && !leased {
                self.offers_made += 1;
                head.offer = Some(OfferId(self.offers_made));
                offered.extend(head.on_offer(connector));
            }
        }
        if !offered.is_empty() {
            actions.push(Action::Offer(offered));
        }
    }
}

impl Action {
    /// Whether it can be done while the card is somebody else's.
    fn needs_no_master(&self) -> bool {
        !matches!(self, Self::CreateLease { .. } | Self::Revoke(_) | Self::TurnOff(_))
    }
}

impl Seen {
    /// What a lease would hold, where one is to be had.
    fn to_be_had(&self) -> Option<&Pipeline> {
        self.pipeline.as_ref().filter(|_| self.connected && self.offerable)
    }
}

impl Head {
    fn on_offer(&self, connector: ConnectorId) -> Option<Offer> {
        self.offer.map(|id| Offer { id, connector, name: self.name.clone() })
    }
}

impl Lease {
    /// What ends it, in order.
    fn end(&self, finish: Option<Action>, cause: Cause) -> Vec<Action> {
        let mut actions: Vec<Action> = self.lessee.map(Action::Revoke).into_iter().chain(finish).collect();
        if let Some(lessee) = self.lessee {
            actions.extend(self.pipelines.iter().cloned().map(Action::TurnOff));
            actions.push(Action::Ended(self.holding(lessee), cause));
        }
        actions
    }

    fn holds(&self, connector: ConnectorId) -> bool {
        self.pipelines.iter().any(|held| held.connector == connector)
    }

    fn holding(&self, lessee: LesseeId) -> Holding {
        Holding { request: self.request, client: self.client, lessee, connectors: self.connectors.clone() }
    }
}

#[cfg(test)]
mod tests;
