//! The vblank loop against displays that are not what they say.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use leasehold::compositor::frames::{self, DisplayState};
use leasehold::compositor::history::What;
use leasehold::compositor::{
    Ahead, Compositor, EyeImages, History, Limit, LoopPicture, Options, Pixels, Pose, PoseSource, Run,
    VblankLoop,
};
use leasehold::display::simulated::SimulatedDisplay;
use leasehold::display::{Clock, Description, Display, DisplayError, Found};
use leasehold::error::{Class, Classified};
use leasehold::headset::{Headset, Illumination};
use leasehold::kms::Vblank;
use leasehold::kms::buffer::PixelFormat;
use leasehold::lease::liveness::Loss;
use leasehold::time::{Instant, Span};
use leasehold::vulkan::{Device, Image, Instance};

const SIZE_PX: [u32; 2] = [64, 36];
const SAID_HZ: f64 = 90.0;

/// A display whose mode says 90 Hz, with a script for what befalls its lease.
#[derive(Debug)]
struct Pretender {
    panel: SimulatedDisplay,
    description: Description,
    shown: u64,
    /// At so many frames it falls asleep, and wakes when asked for the third time.
    sleeps_at: Option<u64>,
    asked: u32,
    lost_at: Option<u64>,
    /// So many vblanks more than the panel's does the kernel count until it falls asleep.
    counted_before: u64,
}

impl Pretender {
    fn new(hz: f64) -> Self {
        let panel = SimulatedDisplay::new("simulated", SIZE_PX, hz, Instant::now());
        let period = Span::from_secs_f64(1.0 / SAID_HZ);
        let clock = Clock::CrtcSequence;
        let description = Description { clock, nominal_hz: SAID_HZ, period, ..panel.description().clone() };
        Self { panel, description, shown: 0, sleeps_at: None, asked: 0, lost_at: None, counted_before: 0 }
    }
}

impl Display for Pretender {
    fn description(&self) -> &Description {
        &self.description
    }

    fn show(&mut self, picture: usize) -> Result<(), DisplayError> {
        let connector = "pretender".to_string();
        if self.sleeps_at == Some(self.shown) && self.asked < 3 {
            return Err(DisplayError::Suspended { connector });
        }
        if self.lost_at == Some(self.shown) {
            return Err(DisplayError::LeaseLost { connector, why: Loss::Revoked });
        }
        self.shown += 1;
        self.panel.show(picture)
    }

    fn resume(&mut self) -> Result<Option<Found>, DisplayError> {
        self.asked += 1;
        Ok((self.asked >= 3).then_some(Found::AsItWas))
    }

    fn wait_for_flip(&mut self, until: Instant) -> Result<Option<Vblank>, DisplayError> {
        // Before it fell asleep it had counted far.
        let before = if self.asked == 0 { self.counted_before } else { 0 };
        let flip = self.panel.wait_for_flip(until)?;
        Ok(flip.map(|vblank| Vblank { sequence: vblank.sequence + before, ..vblank }))
    }
}

/// A head that never turns, and notes for which moments it is asked.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<Instant>>);

impl PoseSource for Asked {
    fn pose_at(&self, photon: Instant) -> Pose {
        self.0.lock().unwrap().push(photon);
        Pose::AHEAD
    }
}

/// Runs the loop on it for so many frames; what happened, and what the app was told last.
fn run(display: Pretender, count: u64) -> (Run, DisplayState) {
    run_on(display, Illumination::Global, Arc::new(Ahead), count)
}

/// As [`run`], on a panel that lights up like that, for a head of the caller's.
fn run_on(
    display: Pretender,
    illumination: Illumination,
    poses: Arc<dyn PoseSource>,
    count: u64,
) -> (Run, DisplayState) {
    let device = Device::open(&Arc::new(Instance::new(false).expect("Vulkan"))).expect("a Vulkan device");
    let [width, height] = SIZE_PX;
    let headset = Arc::new(Headset::generic(width / 2, height));
    let format = PixelFormat::Xrgb8888;
    let compositor = Compositor::new(&device, &headset, width, height, format, Options::default()).unwrap();
    let gray = Pixels::flat(width / 2, height, 80);
    let images = Arc::new(EyeImages::upload(&device, &gray, &gray).unwrap());
    let slots = [images.clone(), images.clone(), images];
    let picture = |_| {
        let target = Arc::new(Image::target(&device, compositor.target_format(), width, height).unwrap());
        LoopPicture::new(&compositor, &slots, &slots[0], target, None).unwrap()
    };
    let pictures = (0..3).map(picture).collect();
    let (mut writer, reader) = frames::exchange();
    writer.submit(Pose::AHEAD, Instant::now());
    let vblank_loop =
        VblankLoop::new(Box::new(display), pictures, reader, poses, illumination, History::default());
    let limit = Limit { frames: Some(count), time: None, stop: Arc::new(AtomicBool::new(false)) };
    let ended = vblank_loop.run(&limit);
    let state = writer.state();
    (ended.run, state)
}

#[test]
fn a_link_at_144_hz_that_is_driven_at_90_is_an_error_that_says_both() {
    let (run, _) = run(Pretender::new(144.0), 2_000);
    let error = run.error.expect("the rate is wrong");
    let text = error.to_string();
    assert!(text.contains("144.000 Hz") && text.contains("90.000 Hz"), "{text}");
    assert_eq!(error.class(), Class::Config);
}

#[test]
fn a_link_at_its_own_rate_is_none() {
    let (run, state) = run(Pretender::new(SAID_HZ), 600);
    assert!(run.error.is_none(), "{:?}", run.error);
    assert_eq!((run.history.frames, state), (600, DisplayState::Showing));
}

#[test]
fn a_suspension_ends_no_run_and_its_vblanks_are_not_missed() {
    goes_on_after_sleep(Pretender { sleeps_at: Some(20), ..Pretender::new(SAID_HZ) });
}

#[test]
fn vblanks_may_be_counted_anew_after_a_suspension() {
    let counted_before = 1_000_000;
    goes_on_after_sleep(Pretender { sleeps_at: Some(20), counted_before, ..Pretender::new(SAID_HZ) });
}

fn goes_on_after_sleep(display: Pretender) {
    let (run, state) = run(display, 60);
    assert!(run.error.is_none(), "{:?}", run.error);
    let what: Vec<What> = run.history.events.iter().map(|event| event.what).collect();
    assert_eq!(what, [What::Suspended, What::Resumed(Found::AsItWas)]);
    assert_eq!(state, DisplayState::Showing);
    let totals = run.history.recorder.totals();
    // The first frame of either stretch has none before it to be held against.
    assert_eq!((run.history.frames, totals.presented), (60, 58));
    assert_eq!(totals.vblanks, totals.presented + totals.missed);
}

#[test]
fn a_lost_lease_ends_the_run_and_the_app_is_told() {
    let (run, state) = run(Pretender { lost_at: Some(20), ..Pretender::new(SAID_HZ) }, 60);
    assert_eq!(run.loss(), Some(Loss::Revoked));
    assert_eq!(run.history.events.last().map(|event| event.what), Some(What::Lost(Loss::Revoked)));
    assert_eq!((run.history.frames, state), (20, DisplayState::Lost));
}

#[test]
fn the_pose_is_asked_for_when_the_light_leaves_the_panel_and_line_by_line_in_their_order() {
    for illumination in [Illumination::Global, Illumination::Rolling] {
        let display = Pretender::new(SAID_HZ);
        let Description { period, active_scanout, .. } = display.description;
        let half = active_scanout / 2;
        let poses = Arc::new(Asked::default());
        let (run, _) = run_on(display, illumination, poses.clone(), 60);
        let vblank = run.history.first_flip.expect("something was shown");
        let asked = poses.0.lock().unwrap();
        // From a vblank on: the whole panel after its last line, or the first line at once and the last one at the end.
        let (lines, expected): (usize, &[Span]) = match illumination {
            Illumination::Global => (1, &[active_scanout]),
            Illumination::Rolling => (3, &[Span::ZERO, half, active_scanout]),
        };
        assert_eq!(asked.len(), 60 * lines);
        // Before the first flip no vblank is known.
        for frame in asked.chunks(lines).skip(1) {
            let middle = expected[lines / 2];
            let off_ns = (frame[lines / 2] - middle - vblank).as_ns();
            let stray_ns = (off_ns + period.as_ns() / 2).rem_euclid(period.as_ns()) - period.as_ns() / 2;
            assert!(stray_ns.abs() < period.as_ns() / 100, "{illumination:?}: {stray_ns} ns off");
            for (line, expected) in frame.iter().zip(expected) {
                let apart = *line - frame[lines / 2];
                let off = apart - (*expected - middle);
                assert!(off.as_ns().abs() <= 2, "{illumination:?}: {} us from the middle", apart.as_us_f64());
            }
        }
    }
}
