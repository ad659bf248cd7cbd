//! An app's thread that stops in the middle of a call, with all in its hands that the library gives it: the headset goes
//! on at every vblank, and the loop allocates nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use leasehold::Headset;
use leasehold::kms::ModeRequest;
use leasehold::lease::request::Wanted;
use leasehold::session::layer::{Layer, Quad};
use leasehold::session::options::From;
use leasehold::session::{Eyes, Instant, Limit, Options, Pixels, Pose, PoseSource, Span};
use leasehold::thread::allocations::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// How long the app stops.
const STOP: Duration = Duration::from_secs(4);

/// Watches for how long the loop does not come by; and stops the app where it asks for a pose, when told to.
#[derive(Debug, Default)]
struct Watch {
    last_ns: AtomicI64,
    longest_gap_ns: AtomicI64,
    stop_the_app: AtomicBool,
}

impl PoseSource for Watch {
    fn pose_at(&self, _photon: Instant) -> Pose {
        if std::thread::current().name() != Some("vblank") {
            if self.stop_the_app.swap(false, Ordering::Relaxed) {
                std::thread::sleep(STOP);
            }
            return Pose::AHEAD;
        }
        let now_ns = Instant::now().as_ns();
        let last_ns = self.last_ns.swap(now_ns, Ordering::Relaxed);
        if last_ns != 0 {
            self.longest_gap_ns.fetch_max(now_ns - last_ns, Ordering::Relaxed);
        }
        Pose::AHEAD
    }
}

/// Where the app stops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stop {
    /// In [`Session::wait`](leasehold::session::Session::wait).
    Waiting,
    /// In [`Frame::paint`](leasehold::session::Frame::paint).
    Painting,
    /// Before it hands over what it has drawn.
    Drawn,
}

#[test]
fn the_headset_goes_on_while_an_app_stands_still_in_the_middle_of_a_call() {
    let watch = Arc::new(Watch::default());
    let mut headset = Headset::open(Options {
        from: From::Simulated,
        connector: Wanted::Headset,
        mode: Some(ModeRequest { width_px: 128, height_px: 72, hz: Some(90.0) }),
        layers: 1,
        poses: watch.clone(),
        limit: Limit { frames: None, time: None, stop: Arc::new(AtomicBool::new(false)) },
        ..Options::default()
    })
    .unwrap();
    let image = headset.layer(&Pixels::flat(8, 8, 250)).unwrap();
    let layers = [Layer { image, quad: Quad::ahead(1.0, [0.5, 0.5]), opacity: 1.0 }];
    let mut session = headset.session(Eyes::pixels([96, 96])).unwrap();
    let mut draw = |stop: Option<Stop>| {
        watch.stop_the_app.store(stop == Some(Stop::Waiting), Ordering::Relaxed);
        let mut frame = session.wait().expect("the headset goes on");
        let mut paints_on = stop != Some(Stop::Painting);
        frame.paint(|_| {
            if !std::mem::replace(&mut paints_on, true) {
                std::thread::sleep(STOP);
            }
            [120; 3]
        });
        let pose = frame.pose();
        let frame = frame.under(&layers);
        if stop == Some(Stop::Drawn) {
            std::thread::sleep(STOP);
        }
        frame.submit(pose);
    };
    // The loop's allocations are counted after its first second.
    (0..120).for_each(|_| draw(None));
    for stop in [Stop::Waiting, Stop::Painting, Stop::Drawn] {
        draw(Some(stop));
        (0..20).for_each(|_| draw(None));
    }
    let ending = session.end().unwrap();
    let longest = Span::from_ns(watch.longest_gap_ns.load(Ordering::Relaxed));
    // However busy the machine is: a loop that waited for the app would have waited for all of the four seconds.
    assert!(longest < Span::from_ms(3_500), "the loop stood still for {longest:?}");
    let presented = ending.run.history.recorder.totals().presented;
    assert!(presented > 183 + 100, "{presented} pictures, of 183 frames and twelve seconds without one");
    assert_eq!(ending.run.allocations, 0);
    ending.result().unwrap();
}
