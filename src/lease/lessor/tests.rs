use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::kms::{CrtcId, PlaneId};

fn connector(n: u32) -> ConnectorId {
    ConnectorId::new(100 + n).unwrap()
}

/// A pipeline whose CRTC and planes follow from the CRTC's number, as on real cards.
fn pipeline(n: u32, crtc: u32) -> Pipeline {
    Pipeline {
        connector: connector(n),
        crtc: CrtcId::new(200 + crtc).unwrap(),
        primary: PlaneId::new(300 + crtc).unwrap(),
        overlays: vec![PlaneId::new(400 + crtc).unwrap()],
    }
}

fn headset(n: u32) -> Seen {
    Seen {
        id: connector(n),
        name: format!("DP-{n}"),
        connected: true,
        offerable: true,
        pipeline: Some(pipeline(n, n)),
    }
}

fn requested(request: u64, client: u64, offers: &[Offer]) -> Event {
    Event::Requested {
        request: RequestId(request),
        client: ClientId(client),
        offers: offers.iter().map(|offer| offer.id).collect(),
        permitted: true,
    }
}

fn lessee(n: u32) -> LesseeId {
    LesseeId::new(n).unwrap()
}

/// A lessor with headset 1 leased to client 1 as lessee 1.
fn leased() -> Lessor {
    let mut lessor = Lessor::new();
    lessor.handle(Event::Seen(vec![headset(1)]));
    lessor.handle(requested(1, 1, &lessor.offers()));
    lessor.handle(Event::Created { request: RequestId(1), lessee: lessee(1) });
    lessor
}

#[test]
fn a_grant_withdraws_before_it_hands_over() {
    let mut lessor = Lessor::new();
    let offered = lessor.handle(Event::Seen(vec![headset(1)]));
    let offers = lessor.offers();
    assert_eq!(offered, [Action::Offer(offers.clone())]);
    let asked = lessor.handle(requested(1, 1, &offers));
    assert_eq!(asked, [Action::CreateLease { request: RequestId(1), pipelines: vec![pipeline(1, 1)] }]);
    let granted = lessor.handle(Event::Created { request: RequestId(1), lessee: lessee(7) });
    assert!(
        matches!(&granted[..], [Action::Withdraw(back, Withdrawal::Leased), Action::Grant(_)] if *back == offers),
        "{granted:?}"
    );
}

#[test]
fn a_crash_revokes_blanks_reports_and_offers_again() {
    let actions = leased().handle(Event::HungUp { client: ClientId(1) });
    let [Action::Revoke(_), Action::TurnOff(off), Action::Ended(_, Cause::HungUp), Action::Offer(again)] =
        &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(*off, pipeline(1, 1));
    assert_eq!(again[0].connector, connector(1));
}

#[test]
fn a_holder_that_listens_is_told_before_its_panel_goes_off() {
    let actions = leased().handle(Event::Lessees(Vec::new()));
    assert!(
        matches!(&actions[..], [Action::Revoke(_), Action::Finish(_), Action::TurnOff(_), ..]),
        "{actions:?}"
    );
}

#[test]
fn an_unplugged_headset_is_not_offered_again() {
    let mut unplugged = headset(1);
    unplugged.connected = false;
    let mut lessor = leased();
    let actions = lessor.handle(Event::Seen(vec![unplugged]));
    assert!(matches!(actions.last(), Some(Action::Ended(_, Cause::Unplugged))), "{actions:?}");
    assert!(lessor.offers().is_empty());
}

#[test]
fn an_offer_from_before_a_lease_is_worth_nothing_after_it() {
    let mut lessor = Lessor::new();
    lessor.handle(Event::Seen(vec![headset(1)]));
    let old = lessor.offers();
    lessor.handle(requested(1, 1, &old));
    lessor.handle(Event::Created { request: RequestId(1), lessee: lessee(1) });
    lessor.handle(Event::Returned { request: RequestId(1) });
    let actions = lessor.handle(requested(2, 2, &old));
    assert!(matches!(&actions[..], [Action::Deny { reason: Denial::Withdrawn, .. }]), "{actions:?}");
}

#[test]
fn two_headsets_go_into_one_lease() {
    let mut lessor = Lessor::new();
    lessor.handle(Event::Seen(vec![headset(1), headset(2)]));
    let actions = lessor.handle(requested(1, 1, &lessor.offers()));
    assert!(
        matches!(&actions[..], [Action::CreateLease { pipelines, .. }] if pipelines.len() == 2),
        "{actions:?}"
    );
}

#[test]
fn a_client_that_left_while_the_kernel_worked_gets_nothing() {
    let mut lessor = Lessor::new();
    lessor.handle(Event::Seen(vec![headset(1)]));
    lessor.handle(requested(1, 1, &lessor.offers()));
    lessor.handle(Event::HungUp { client: ClientId(1) });
    let actions = lessor.handle(Event::Created { request: RequestId(1), lessee: lessee(1) });
    assert_eq!(actions, [Action::Revoke(lessee(1))]);
    assert_eq!(lessor.offers().len(), 1);
}

#[test]
fn a_hung_lease_ends_like_any_other_and_is_offered_again() {
    let actions = leased().handle(Event::Hung { request: RequestId(1) });
    let [
        Action::Revoke(_),
        Action::Finish(_),
        Action::TurnOff(_),
        Action::Ended(_, Cause::Hung),
        Action::Offer(_),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
}

#[test]
fn a_lease_that_ends_while_another_session_has_the_card_is_cleaned_up_afterwards() {
    let mut lessor = leased();
    assert_eq!(lessor.handle(Event::Paused(Pause::Suspend)), [], "it sleeps, and nothing else was on offer");
    let actions = lessor.handle(Event::HungUp { client: ClientId(1) });
    assert!(matches!(actions[..], [Action::Ended(_, Cause::HungUp)]), "{actions:?}");
    let actions = lessor.handle(Event::Resumed);
    let [Action::Revoke(_), Action::TurnOff(_), Action::Offer(_)] = &actions[..] else {
        panic!("{actions:?}");
    };
}

#[test]
fn what_is_wanted_back_while_another_session_has_the_card_is_over_for_its_holder_at_once() {
    let mut lessor = leased();
    lessor.handle(Event::Paused(Pause::Suspend));
    assert!(lessor.is_paused());
    let actions = lessor.handle(Event::Reclaimed(connector(1)));
    let [Action::Finish(_), Action::Ended(_, Cause::Reclaimed)] = &actions[..] else {
        panic!("{actions:?}");
    };
    let gone = lessor.handle(Event::Seen(vec![Seen { connected: false, pipeline: None, ..headset(1) }]));
    assert_eq!(gone, [], "it ended before");
    let actions = lessor.handle(Event::Resumed);
    assert!(matches!(actions[..], [Action::Revoke(_), Action::TurnOff(_)]), "unplugged: {actions:?}");
}

#[test]
fn a_pause_that_revokes_ends_leases_while_it_still_can() {
    let actions = leased().handle(Event::Paused(Pause::Revoke));
    let [Action::Revoke(_), Action::Finish(_), Action::TurnOff(_), Action::Ended(_, Cause::Reclaimed)] =
        &actions[..]
    else {
        panic!("{actions:?}");
    };
}

#[test]
fn a_new_lessor_keeps_the_leases_of_the_last_and_cleans_up_after_them() {
    let holding = Holding {
        request: RequestId(9),
        client: ClientId(9),
        lessee: lessee(1),
        connectors: vec!["DP-1".to_string()],
    };
    let mut lessor = Lessor::new();
    lessor.handle(Event::Adopted(vec![Adopted { holding, pipelines: vec![pipeline(1, 1)] }]));
    assert_eq!(lessor.handle(Event::Seen(vec![headset(1)])), [], "leased already");
    assert_eq!(lessor.handle(Event::Lessees(vec![lessee(1)])), []);
    let actions = lessor.handle(Event::Lessees(Vec::new()));
    assert!(matches!(actions.last(), Some(Action::Offer(_))), "{actions:?}");
}

#[test]
fn whom_the_policy_does_not_let_is_denied_what_is_free() {
    let mut lessor = Lessor::new();
    lessor.handle(Event::Seen(vec![headset(1)]));
    let mut asked = requested(1, 1, &lessor.offers());
    if let Event::Requested { permitted, .. } = &mut asked {
        *permitted = false;
    }
    let actions = lessor.handle(asked);
    assert!(matches!(&actions[..], [Action::Deny { reason: Denial::NotPermitted, .. }]), "{actions:?}");
}

/// Random histories come to this too, but few of them.
#[test]
fn a_number_that_the_kernel_gave_again_is_not_revoked_for_whoever_bore_it_before() {
    let mut lessor = leased();
    lessor.handle(Event::Seen(vec![headset(1), headset(2)]));
    lessor.handle(requested(2, 2, &lessor.offers()));
    let actions = lessor.handle(Event::Created { request: RequestId(2), lessee: lessee(1) });
    assert!(!actions.contains(&Action::Revoke(lessee(1))), "{actions:?}");
    let is_granted = |action: &Action| matches!(action, Action::Grant(new) if new.request == RequestId(2));
    assert!(actions.iter().any(is_granted), "{actions:?}");
    assert!(actions.iter().any(|action| matches!(action, Action::Ended(_, Cause::Closed))), "{actions:?}");
}

/// A step of a random history; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    See(Vec<(bool, bool, Option<u32>)>),
    Request { client: u64, offers: Vec<usize>, stale: bool, permitted: bool },
    Answer { made: bool, reuse: bool },
    Return(usize),
    HangUp(u64),
    KernelEnds(usize),
    Hang(usize),
    Reclaim(u32),
    Pause(bool),
    Resume,
    Restart,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let head = (prop::bool::weighted(0.8), prop::bool::weighted(0.8), prop::option::weighted(0.9, 0u32..3));
    prop_oneof![
        3 => prop::collection::vec(head, 0..4).prop_map(Step::See),
        5 => (0u64..3, prop::collection::vec(0usize..4, 1..3), any::<bool>(), prop::bool::weighted(0.9))
            .prop_map(|(client, offers, stale, permitted)| Step::Request { client, offers, stale, permitted }),
        5 => (prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(made, reuse)| Step::Answer { made, reuse }),
        2 => any::<usize>().prop_map(Step::Return),
        1 => (0u64..3).prop_map(Step::HangUp),
        2 => any::<usize>().prop_map(Step::KernelEnds),
        1 => any::<usize>().prop_map(Step::Hang),
        1 => (0u32..4).prop_map(Step::Reclaim),
        2 => any::<bool>().prop_map(Step::Pause),
        3 => Just(Step::Resume),
        1 => Just(Step::Restart),
        1 => Just(Step::Shutdown),
    ]
}

/// What a faithful executor of the actions would see, with the promises checked as they come.
#[derive(Default)]
struct World {
    offered: BTreeMap<OfferId, ConnectorId>,
    ever_offered: Vec<OfferId>,
    asked: Vec<(RequestId, Vec<Pipeline>)>,
    /// What the kernel made, and what of it lives in the kernel.
    made: BTreeMap<RequestId, Vec<Pipeline>>,
    in_kernel: BTreeMap<LesseeId, RequestId>,
    /// Granted and not reported as ended.
    live: BTreeMap<RequestId, Holding>,
    ended: BTreeSet<RequestId>,
    answered: BTreeSet<RequestId>,
    last_lessee: u32,
    last_request: u64,
    last_seen: Vec<Seen>,
    paused: bool,
    shut_down: bool,
}

impl World {
    fn event(&mut self, step: Step) -> Option<Event> {
        Some(match step {
            Step::See(heads) => {
                let seen = |(n, (connected, offerable, crtc)): (u32, (bool, bool, Option<u32>))| Seen {
                    connected,
                    offerable,
                    pipeline: crtc.map(|crtc| pipeline(n, crtc)),
                    ..headset(n)
                };
                self.last_seen = (1..).zip(heads).map(seen).collect();
                Event::Seen(self.last_seen.clone())
            }
            Step::Request { client, offers, stale, permitted } => {
                let known: Vec<OfferId> =
                    if stale { self.ever_offered.clone() } else { self.offered.keys().copied().collect() };
                if known.is_empty() {
                    return None;
                }
                self.last_request += 1;
                Event::Requested {
                    request: RequestId(self.last_request),
                    client: ClientId(client),
                    offers: offers.iter().map(|n| known[n % known.len()]).collect(),
                    permitted,
                }
            }
            Step::Answer { made: true, reuse } => {
                let (request, pipelines) = self.asked.pop()?;
                let lessee = if reuse { self.dead_number(&pipelines) } else { None };
                let lessee = lessee.unwrap_or_else(|| {
                    self.last_lessee += 1;
                    LesseeId::new(self.last_lessee).unwrap()
                });
                self.made.insert(request, pipelines);
                self.in_kernel.insert(lessee, request);
                Event::Created { request, lessee }
            }
            Step::Answer { made: false, .. } => Event::NotCreated { request: self.asked.pop()?.0 },
            Step::Return(n) => Event::Returned { request: self.nth(n)?.request },
            Step::HangUp(client) => Event::HungUp { client: ClientId(client) },
            Step::KernelEnds(n) => {
                let gone = self.nth(n)?.lessee;
                self.in_kernel.remove(&gone);
                Event::Lessees(self.in_kernel.keys().copied().collect())
            }
            Step::Hang(n) => Event::Hung { request: self.nth(n)?.request },
            Step::Reclaim(n) => Event::Reclaimed(connector(n)),
            Step::Pause(revoke) => Event::Paused(if revoke { Pause::Revoke } else { Pause::Suspend }),
            Step::Resume => {
                self.paused = false;
                Event::Resumed
            }
            Step::Shutdown => {
                self.shut_down = true;
                if self.paused {
                    self.in_kernel.clear(); // the card is closed, and it was not master
                }
                Event::Shutdown
            }
            Step::Restart => return None,
        })
    }

    /// A lessor that is killed, and another that takes over what it left: the card and the list of leases.
    fn restart(&mut self) -> Vec<Event> {
        let adopted = self.live.values().map(|holding| Adopted {
            holding: holding.clone(),
            pipelines: self.made[&holding.request].clone(),
        });
        let adopted = adopted.collect();
        self.offered.clear();
        self.ever_offered.clear();
        // What the old one had asked for and not handed over has no fd any longer, so the kernel ends it.
        self.asked.clear();
        let live = &self.live;
        self.in_kernel.retain(|_, request| live.contains_key(request));
        self.paused = false;
        let alive = self.in_kernel.keys().copied().collect();
        vec![Event::Adopted(adopted), Event::Seen(self.last_seen.clone()), Event::Lessees(alive)]
    }

    fn nth(&self, n: usize) -> Option<&Holding> {
        self.live.values().nth(n % self.live.len().max(1))
    }

    /// Lets a lease die unnoticed, so that the kernel gives its number to the next.
    fn dead_number(&self, next: &[Pipeline]) -> Option<LesseeId> {
        let apart = |holding: &&Holding| !overlap(&self.made[&holding.request], next);
        self.live.values().find(apart).map(|holding| holding.lessee)
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Offer(offers) => {
                assert!(!self.shut_down, "offered after the end");
                assert!(!self.paused, "offered what is another session's");
                for offer in offers {
                    assert!(!self.ever_offered.contains(&offer.id), "an offer's number was used twice");
                    assert!(!self.offered.values().any(|&known| known == offer.connector), "offered twice");
                    self.ever_offered.push(offer.id);
                    self.offered.insert(offer.id, offer.connector);
                }
            }
            Action::Withdraw(offers, _) => {
                for offer in offers {
                    assert!(self.offered.remove(&offer.id).is_some(), "withdrawn but not on offer");
                }
            }
            Action::CreateLease { request, pipelines } => {
                assert!(!self.paused, "leased out what is another session's");
                self.asked.push((request, pipelines));
            }
            Action::Grant(holding) => {
                assert!(self.answered.insert(holding.request), "answered twice");
                self.live.insert(holding.request, holding);
            }
            Action::Deny { request, .. } => assert!(self.answered.insert(request), "answered twice"),
            Action::Revoke(lessee) => {
                assert!(!self.paused, "revoked without being master");
                self.in_kernel.remove(&lessee);
            }
            Action::Finish(_) => {}
            Action::TurnOff(pipeline) => {
                assert!(!self.paused, "committed to another session's card");
                let touched = |request| overlap(&self.made[request], std::slice::from_ref(&pipeline));
                assert!(!self.in_kernel.values().any(touched), "committed to what is leased");
            }
            Action::Ended(holding, _) => {
                let lives = self.in_kernel.values().any(|&request| request == holding.request);
                // While paused the kernel lets nobody use it, and it goes as soon as the card is back.
                assert!(self.paused || !lives, "ended but not revoked");
                assert!(self.ended.insert(holding.request), "ended twice");
                assert!(self.live.remove(&holding.request).is_some(), "ended but never granted");
            }
        }
    }

    fn check(&self, lessor: &Lessor) {
        let offers: BTreeMap<_, _> =
            lessor.offers().into_iter().map(|offer| (offer.id, offer.connector)).collect();
        assert_eq!(offers, self.offered, "what new clients are told differs from what old ones were");
        if self.paused {
            assert!(offers.is_empty(), "on offer while the card is another session's");
            return; // ends are made good when the card is back
        }
        let held: Vec<&Pipeline> = self.live.keys().flat_map(|request| &self.made[request]).collect();
        for (index, one) in held.iter().enumerate() {
            assert!(!self.offered.values().any(|&offered| offered == one.connector), "offered while leased");
            assert!(!held[index + 1..].iter().any(|other| other.overlaps(one)), "an object in two leases");
        }
        for request in self.live.keys() {
            assert!(self.in_kernel.values().any(|known| known == request), "a lease ended without a report");
        }
        assert_eq!(self.in_kernel.len(), self.live.len(), "a lease that nobody holds");
    }
}

fn overlap(some: &[Pipeline], others: &[Pipeline]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.overlaps(other)))
}

proptest! {
    #[test]
    fn the_promises_hold_in_any_history(steps in prop::collection::vec(step(), 0..60)) {
        let (mut lessor, mut world) = (Lessor::new(), World::default());
        for step in steps {
            let events = match step {
                Step::Restart if !world.shut_down => {
                    lessor = Lessor::new();
                    world.restart()
                }
                step => world.event(step).into_iter().collect(),
            };
            for event in events {
                let pauses = matches!(event, Event::Paused(_));
                for action in lessor.handle(event) {
                    world.carry_out(action);
                }
                world.paused |= pauses;
            }
            world.check(&lessor);
        }
    }
}
