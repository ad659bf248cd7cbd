//! Hands the app's frames to the vblank loop without either ever waiting for the other.
//!
//! Three slots of eye images: the app draws in one, the loop shows one, and the third lies between them holding the
//! newest finished frame. Handing over is one atomic swap.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::layer::{Layer, MAX_LAYERS};
use super::pose::Pose;
use crate::kms::Vblank;
use crate::time::{Instant, Span};

/// How many pairs of eye images there are.
pub const SLOTS: usize = 3;

/// Set beside the slot between: its frame has not been shown yet.
const FRESH: u8 = 0x80;

#[derive(Debug, Default)]
struct Shared {
    between: AtomicU8,
    /// The pose each slot was rendered from: bits of x, y, z, w. Written only by whoever owns the slot.
    poses: [[AtomicU64; 4]; SLOTS],
    /// When each slot's frame was begun and handed over, likewise.
    times_ns: [[AtomicI64; 2]; SLOTS],
    /// What lies over each slot's images. Locked only by whoever owns the slot, so that nobody ever waits.
    layers: [Mutex<Vec<Layer>>; SLOTS],
    submitted: AtomicU64,
    late: AtomicU64,
    /// Whether the app has said that it will not come back soon.
    gone: AtomicBool,
    next_vblank_ns: AtomicI64,
    period_ns: AtomicI64,
    to_photon_ns: AtomicI64,
    /// A place in [`DisplayState::ALL`].
    state: AtomicU8,
}

/// What a display does with the app's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplayState {
    /// It shows them.
    Showing,
    /// The lease sleeps, and the panel shows the last of them: an app does best to draw nothing.
    Suspended,
    /// The lease is lost. If another is taken, it shows frames again.
    Lost,
    /// It shows none any more.
    Ended,
}

impl DisplayState {
    const ALL: [Self; 4] = [Self::Showing, Self::Suspended, Self::Lost, Self::Ended];
}

/// How often an app without anyone to show its frames to looks whether that has changed.
const IDLE: Span = Span::from_ms(10);

/// The app's end.
#[derive(Debug)]
pub struct FrameWriter {
    shared: Arc<Shared>,
    slot: u8,
    begin: Instant,
    deadline: Instant,
}

/// The loop's end.
#[derive(Debug)]
pub struct FrameReader {
    shared: Arc<Shared>,
    slot: u8,
    any: bool,
}

/// Counts of the app's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppTotals {
    /// Frames handed over.
    pub submitted: u64,
    /// Frames handed over after the vblank they were begun for.
    pub late: u64,
}

/// What the loop is to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AppFrame {
    /// Which slot holds its eye images.
    pub slot: usize,
    /// From where it was rendered.
    pub pose: Pose,
    /// Whether it has not been shown before.
    pub fresh: bool,
    /// When the app was to begin it.
    pub began: Instant,
    /// When it handed it over.
    pub submitted: Instant,
}

/// Both ends of a new exchange.
pub fn exchange() -> (FrameWriter, FrameReader) {
    let layers = std::array::from_fn(|_| Mutex::new(Vec::with_capacity(MAX_LAYERS)));
    let shared = Arc::new(Shared { between: AtomicU8::new(1), layers, ..Shared::default() });
    let start = Instant::default();
    let writer = FrameWriter { shared: shared.clone(), slot: 0, begin: start, deadline: start };
    (writer, FrameReader { shared, slot: 2, any: false })
}

impl FrameWriter {
    /// The slot to draw in.
    pub fn slot(&self) -> usize {
        self.slot.into()
    }

    /// What becomes of frames now.
    pub fn state(&self) -> DisplayState {
        DisplayState::ALL[usize::from(self.shared.state.load(Ordering::Relaxed))]
    }

    /// The first vblank after `now` for which a frame can be begun, and which will show it one period later; the
    /// app sleeps until then, and for a while when nothing is shown ([`state`](Self::state)). `None` once the display is
    /// gone for good.
    pub fn next_frame(&mut self, now: Instant) -> Option<Instant> {
        self.begin = self.begin_after(now)?;
        Some(self.begin)
    }

    fn begin_after(&mut self, now: Instant) -> Option<Instant> {
        match self.state() {
            DisplayState::Showing => {}
            DisplayState::Suspended | DisplayState::Lost => {
                self.deadline = Instant::from_ns(i64::MAX);
                return Some(now + IDLE);
            }
            DisplayState::Ended => return None,
        }
        let period = Span::from_ns(self.shared.period_ns.load(Ordering::Relaxed));
        let predicted = Instant::from_ns(self.shared.next_vblank_ns.load(Ordering::Relaxed));
        if period <= Span::ZERO {
            // Nothing is lit yet: the first frame is wanted at once, others now and then.
            self.deadline = Instant::from_ns(i64::MAX);
            let first = self.shared.submitted.load(Ordering::Relaxed) == 0;
            return Some(if first { now } else { now + Span::from_ms(10) });
        }
        // The loop may have told of a later vblank already, or have been asleep for several.
        let begin = now + period - Span::from_ns((now - predicted).as_ns().rem_euclid(period.as_ns()));
        self.deadline = begin + period;
        Some(begin)
    }

    /// When the light of the frame begun last leaves the panel. Nearly at once, where no vblank is known to come.
    pub fn photon(&self) -> Instant {
        let to_photon = Span::from_ns(self.shared.to_photon_ns.load(Ordering::Relaxed));
        let period = Span::from_ns(self.shared.period_ns.load(Ordering::Relaxed));
        self.begin + period + to_photon
    }

    /// Hands over the slot's images, rendered from `pose` and finished `now`, with nothing over them.
    pub fn submit(&mut self, pose: Pose, now: Instant) {
        self.submit_under(&[], pose, now);
    }

    /// Hands over the slot's images with these layers over them, the first lowest.
    ///
    /// # Panics
    /// When there are more than [`MAX_LAYERS`].
    pub fn submit_under(&mut self, layers: &[Layer], pose: Pose, now: Instant) {
        assert!(layers.len() <= MAX_LAYERS, "{} layers; a frame has {MAX_LAYERS} at most", layers.len());
        let mut over = self.shared.layers[self.slot()].lock().unwrap_or_else(PoisonError::into_inner);
        over.clear();
        over.extend_from_slice(layers);
        drop(over);
        self.shared.gone.store(false, Ordering::Relaxed);
        for (stored, part) in self.shared.poses[self.slot()].iter().zip(pose.orientation) {
            stored.store(part.to_bits(), Ordering::Relaxed);
        }
        let [began, submitted] = &self.shared.times_ns[self.slot()];
        began.store(self.begin.min(now).as_ns(), Ordering::Relaxed);
        submitted.store(now.as_ns(), Ordering::Relaxed);
        self.slot = self.shared.between.swap(self.slot | FRESH, Ordering::AcqRel) & !FRESH;
        self.shared.submitted.fetch_add(1, Ordering::Relaxed);
        if now > self.deadline {
            self.shared.late.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl FrameWriter {
    /// Says that no frame is to be waited for, until the next is submitted.
    pub fn leave(&self) {
        self.shared.gone.store(true, Ordering::Relaxed);
    }
}

impl FrameReader {
    /// Whether the app has said that no frame is to be waited for.
    pub fn app_is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// What lies over the images of the newest frame. Never waits.
    pub fn layers(&self) -> Option<MutexGuard<'_, Vec<Layer>>> {
        // The app has its hands on other slots.
        self.shared.layers[usize::from(self.slot)].try_lock().ok()
    }

    /// The newest frame, again the last one where there is none newer; `None` before the app's first.
    pub fn newest(&mut self) -> Option<AppFrame> {
        let fresh = self.shared.between.load(Ordering::Relaxed) & FRESH != 0;
        if fresh {
            self.slot = self.shared.between.swap(self.slot, Ordering::AcqRel) & !FRESH;
            self.any = true;
        }
        let slot = usize::from(self.slot);
        let orientation =
            std::array::from_fn(|part| f64::from_bits(self.shared.poses[slot][part].load(Ordering::Relaxed)));
        let time = |of: &AtomicI64| Instant::from_ns(of.load(Ordering::Relaxed));
        let [began, submitted] = self.shared.times_ns[slot].each_ref().map(time);
        self.any.then_some(AppFrame { slot, pose: Pose { orientation }, fresh, began, submitted })
    }

    /// Tells the app when the next vblank will be, and how long after a vblank its light leaves the panel.
    pub fn predict(&self, next: Vblank, period: Span, to_photon: Span) {
        self.shared.to_photon_ns.store(to_photon.as_ns(), Ordering::Relaxed);
        self.shared.next_vblank_ns.store(next.time.as_ns(), Ordering::Relaxed);
        self.shared.period_ns.store(period.as_ns(), Ordering::Relaxed);
    }

    /// Tells the app what becomes of its frames.
    pub fn tell(&self, state: DisplayState) {
        let place = DisplayState::ALL.iter().position(|&known| known == state);
        self.shared.state.store(place.unwrap_or_default() as u8, Ordering::Relaxed);
    }

    /// The app's frames so far.
    pub fn totals(&self) -> AppTotals {
        AppTotals {
            submitted: self.shared.submitted.load(Ordering::Relaxed),
            late: self.shared.late.load(Ordering::Relaxed),
        }
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        self.tell(DisplayState::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_frame_is_shown_and_then_shown_again() {
        let (mut writer, mut reader) = exchange();
        assert_eq!(reader.newest(), None);
        writer.submit(Pose::from_degrees(1.0, 0.0, 0.0), Instant::default());
        let newest = Pose::from_degrees(2.0, 0.0, 0.0);
        writer.submit(newest, Instant::default());
        let first = reader.newest().unwrap();
        assert_eq!((first.pose, first.fresh), (newest, true));
        assert_eq!(reader.newest(), Some(AppFrame { fresh: false, ..first }));
        assert_eq!(reader.totals(), AppTotals { submitted: 2, late: 0 });
    }

    #[test]
    fn a_frame_is_late_after_the_vblank_it_was_begun_for() {
        let (mut writer, reader) = exchange();
        let at = Instant::from_ns;
        reader.predict(Vblank { sequence: 1, time: at(1_000) }, Span::from_ns(100), Span::from_ns(40));
        assert_eq!(writer.next_frame(at(1_050)), Some(at(1_100)));
        assert_eq!(writer.photon(), at(1_240));
        writer.submit(Pose::AHEAD, at(1_200));
        assert_eq!(reader.totals().late, 0);
        assert_eq!(writer.next_frame(at(1_200)), Some(at(1_300)));
        writer.submit(Pose::AHEAD, at(1_401));
        assert_eq!(reader.totals().late, 1);
        assert_eq!(writer.next_frame(at(750)), Some(at(800)), "before the vblank that was told of");
        drop(reader);
        assert_eq!(writer.next_frame(at(1_500)), None);
    }

    #[test]
    fn the_app_is_told_when_nothing_is_shown_and_when_it_is_again() {
        let (mut writer, reader) = exchange();
        let at = Instant::from_ns;
        reader.predict(Vblank { sequence: 1, time: at(1_000) }, Span::from_ns(100), Span::from_ns(40));
        for state in [DisplayState::Suspended, DisplayState::Lost] {
            reader.tell(state);
            assert_eq!(writer.state(), state);
            assert_eq!(writer.next_frame(at(1_050)), Some(at(1_050) + IDLE));
        }
        reader.tell(DisplayState::Showing);
        assert_eq!(writer.next_frame(at(1_050)), Some(at(1_100)));
        drop(reader);
        assert_eq!(writer.state(), DisplayState::Ended);
    }

    proptest! {
        #[test]
        fn no_slot_has_two_owners(submits in prop::collection::vec(any::<bool>(), 0..64)) {
            let (mut writer, mut reader) = exchange();
            for submit in submits {
                if submit {
                    writer.submit(Pose::AHEAD, Instant::default());
                } else {
                    reader.newest();
                }
                let between = writer.shared.between.load(Ordering::Relaxed) & !FRESH;
                let mut owned = [writer.slot, reader.slot, between];
                owned.sort_unstable();
                prop_assert_eq!(owned, [0, 1, 2]);
            }
        }
    }
}
