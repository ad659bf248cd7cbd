//! Notices a lessee that hangs: its panel shows the same picture for too long.
//!
//! Told the time and what is shown; reads neither clock nor card.

use std::collections::BTreeMap;

use super::lessor::RequestId;
use crate::kms::{FramebufferId, PlaneId};
use crate::time::{Instant, Span};

/// Watches leased planes.
#[derive(Debug)]
pub struct Watchdog {
    limit: Span,
    watched: BTreeMap<RequestId, Watched>,
    next_look: Instant,
    asleep: bool,
}

#[derive(Debug)]
struct Watched {
    /// Each plane with the picture that it showed at the last look.
    planes: Vec<(PlaneId, Option<FramebufferId>)>,
    since: Instant,
    /// Whether anything new was shown yet, since the grant or since the card came back.
    lit: bool,
}

impl Watchdog {
    /// Lets a lease show the same for up to `limit`, and nothing at all for [`FIRST_PICTURE`] at first.
    pub fn new(limit: Span) -> Self {
        Self { limit, watched: BTreeMap::new(), next_look: Instant::default(), asleep: false }
    }

    /// Watches a lease from `now` on.
    pub fn watch(&mut self, request: RequestId, planes: impl IntoIterator<Item = PlaneId>, now: Instant) {
        let planes = planes.into_iter().map(|plane| (plane, None)).collect();
        self.watched.insert(request, Watched { planes, since: now, lit: false });
        self.next_look = self.next_look.max(now);
    }

    /// Watches a lease no longer.
    pub fn forget(&mut self, request: RequestId) {
        self.watched.remove(&request);
    }

    /// Looks no longer until it is [woken](Self::wake): the kernel lets no lessee show anything.
    pub fn sleep(&mut self) {
        self.asleep = true;
    }

    /// Looks again from `now` on. Lessees have to notice that they may show something again, so they get the time they
    /// had for their first picture.
    pub fn wake(&mut self, now: Instant) {
        self.asleep = false;
        self.next_look = self.next_look.max(now);
        for lease in self.watched.values_mut() {
            (lease.since, lease.lit) = (now, false);
        }
    }

    /// When to [look](Self::look) next; `None` while nothing is leased.
    pub fn next_look(&self) -> Option<Instant> {
        (!self.asleep && !self.watched.is_empty()).then_some(self.next_look)
    }

    /// Looks at what each plane shows, if it is time; which leases have shown the same for too long. Each is named at
    /// every look until it is [forgotten](Self::forget).
    pub fn look(
        &mut self,
        now: Instant,
        mut shown: impl FnMut(PlaneId) -> Option<FramebufferId>,
    ) -> Vec<RequestId> {
        if self.asleep || now < self.next_look {
            return Vec::new();
        }
        let mut hung = Vec::new();
        let mut stillest = Span::ZERO;
        for (&request, lease) in &mut self.watched {
            for (plane, before) in &mut lease.planes {
                let after = shown(*plane);
                if std::mem::replace(before, after) != after {
                    lease.since = now;
                    lease.lit |= after.is_some();
                }
            }
            let limit = if lease.lit { self.limit } else { self.limit.max(FIRST_PICTURE) };
            stillest = stillest.max(now - lease.since);
            if now - lease.since >= limit {
                hung.push(request);
            }
        }
        // Two pictures that alternate may seem to stand still to rare looks. Where nothing has seemed to change for half
        // the limit, looks come so often that no picture can come and go between two.
        let rarely = (self.limit / 10).max(OFTEN);
        self.next_look = now + if stillest * 2 >= self.limit { OFTEN } else { rarely };
        hung
    }
}

/// A lessee opens its GPU and compiles its shaders between the grant and its first picture.
pub const FIRST_PICTURE: Span = Span::from_ms(10_000);

/// A fourth of a vblank at 120 Hz.
const OFTEN: Span = Span::from_ms(2);

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: RequestId = RequestId(1);

    fn plane() -> PlaneId {
        PlaneId::new(7).unwrap()
    }

    /// How long after 10 s of life and then silence the lease was called hung.
    fn hung_after(limit: Span, picture_at: impl Fn(Instant) -> u32) -> Option<Span> {
        let start = Instant::from_ns(1_000_000_000);
        let mut watchdog = Watchdog::new(limit);
        watchdog.watch(LEASE, [plane()], start);
        while let Some(now) = watchdog.next_look().filter(|&now| now - start < Span::from_ms(60_000)) {
            if !watchdog.look(now, |_| FramebufferId::new(picture_at(now))).is_empty() {
                return Some(now - start);
            }
        }
        None
    }

    #[test]
    fn a_picture_that_stands_still_is_noticed_in_time() {
        let limit = Span::from_ms(100);
        for stops_after_ms in [0, 3, 1000, 10_000] {
            let stops = Instant::from_ns(1_000_000_000) + Span::from_ms(stops_after_ms);
            let picture = |now: Instant| 1 + (now.min(stops).as_ns() / 11_111_111 % 3) as u32;
            let late = hung_after(limit, picture).unwrap() - Span::from_ms(stops_after_ms);
            // It may have come up to a picture's time before it stopped, and was seen up to a look after.
            assert!(late >= limit - Span::from_ms(12) && late <= limit + Span::from_ms(12), "{late:?}");
        }
    }

    #[test]
    fn pictures_that_alternate_at_any_rate_are_alive() {
        for hz in 20..240 {
            for pictures in 2..4 {
                let period_ns = 1_000_000_000 / hz;
                let picture = |now: Instant| 1 + (now.as_ns() / period_ns % pictures) as u32;
                assert_eq!(hung_after(Span::from_ms(500), picture), None, "{pictures} pictures at {hz} Hz");
            }
        }
    }

    #[test]
    fn a_lessee_that_never_lights_its_panel_is_given_time() {
        let start = Instant::from_ns(5);
        let mut watchdog = Watchdog::new(Span::from_ms(100));
        watchdog.watch(LEASE, [plane()], start);
        assert_eq!(watchdog.look(start + FIRST_PICTURE - Span::from_ms(1), |_| None), []);
        assert_eq!(watchdog.look(start + FIRST_PICTURE + Span::from_ms(2), |_| None), [LEASE]);
    }

    #[test]
    fn a_lessee_that_slept_is_given_time_to_wake() {
        let picture = |_| FramebufferId::new(1);
        let start = Instant::from_ns(5);
        let mut watchdog = Watchdog::new(Span::from_ms(100));
        watchdog.watch(LEASE, [plane()], start);
        assert_eq!(watchdog.look(start, picture), []);
        watchdog.sleep();
        assert_eq!(watchdog.next_look(), None);
        let back = start + Span::from_ms(60_000);
        assert_eq!(watchdog.look(back, picture), []);
        watchdog.wake(back);
        assert_eq!(watchdog.next_look(), Some(back));
        assert_eq!(watchdog.look(back + FIRST_PICTURE - Span::from_ms(1), picture), []);
        assert_eq!(watchdog.look(back + FIRST_PICTURE + Span::from_ms(2), picture), [LEASE]);
    }

    #[test]
    fn nothing_is_looked_at_while_nothing_is_leased() {
        let mut watchdog = Watchdog::new(Span::from_ms(100));
        assert_eq!(watchdog.next_look(), None);
        watchdog.watch(LEASE, [plane()], Instant::from_ns(5));
        assert_eq!(watchdog.next_look(), Some(Instant::from_ns(5)));
        watchdog.forget(LEASE);
        assert_eq!(watchdog.next_look(), None);
    }
}
