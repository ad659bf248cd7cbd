//! Asking for a lease over Wayland, of compositors that misbehave in every way the protocol leaves open.

#[allow(dead_code, reason = "only its chance is wanted here")]
mod babbler;
#[path = "request/compositor.rs"]
mod compositor;
mod rig;

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use babbler::Dice;
use compositor::{Answer, Compositor, Device, Lent, Script};
use leasehold::error::{Class, Classified};
use leasehold::kms::{Card, Connector};
use leasehold::lease::RequestError;
use leasehold::lease::request::{Heard, Wanted, wayland};
use leasehold::time::{Instant, Span};
use rig::wait::{PATIENCE, wait_until};
use rig::{CARD, VIVE, example, inside};

/// For those who do not answer.
const SHORT: Span = Span::from_ms(4000);

fn request(compositor: &Compositor, wanted: &str) -> Result<String, RequestError> {
    request_within(PATIENCE, compositor, wanted)
}

fn request_within(patience: Span, compositor: &Compositor, wanted: &str) -> Result<String, RequestError> {
    let lease = wayland::request(Some(compositor.socket()), &wanted.parse().unwrap(), patience)?;
    Ok(lease.connector_name)
}

/// One device, one connector without a card behind it, and this answer to whoever asks.
fn answering(answer: Answer) -> Compositor {
    Compositor::start(Script { devices: vec![Device::offering(&["DP-1"])], answer })
}

#[test]
fn a_denial_a_withdrawal_and_an_end_at_once_are_told_apart() {
    let refused = |answer: Answer| request(&answering(answer), "DP-1").unwrap_err();
    let denied = refused(Answer::Finished);
    assert!(matches!(denied, RequestError::Denied { .. }), "{denied}");
    assert_eq!(denied.class(), Class::LeaseDenied);
    let withdrawn = refused(Answer::WithdrawnAndFinished);
    assert!(matches!(withdrawn, RequestError::Withdrawn { .. }), "{withdrawn}");
    assert_eq!(withdrawn.class(), Class::NoHeadset);
    let ended = refused(Answer::FdAndFinished);
    assert!(matches!(ended, RequestError::Ended { .. }), "{ended}");
    assert_eq!(ended.class(), Class::LeaseLost);
    for error in [denied, withdrawn, ended] {
        assert!(error.to_string().contains("DP-1") && error.to_string().contains("see"), "{error}");
    }
}

#[test]
fn an_fd_that_is_no_lease_is_refused() {
    let error = request(&answering(Answer::Fd), "DP-1").unwrap_err();
    assert!(matches!(error, RequestError::NotALease { .. }), "{error}");
    assert_eq!(error.class(), Class::LeaseDenied);
}

#[test]
fn a_name_that_would_write_to_the_terminal_is_made_plain() {
    let devices = vec![Device::offering(&["\u{1b}[31mDP-1"])];
    let compositor = Compositor::start(Script { devices, answer: Answer::Finished });
    let error = request(&compositor, "DP-1").unwrap_err();
    assert!(error.to_string().contains("it has: ?[31mDP-1"), "{error:?}");
}

#[test]
fn a_compositor_that_babbles_is_refused_in_time() {
    for seed in 1..=300 {
        let babble = move |mut stream: UnixStream| {
            let mut dice = Dice::new(seed);
            // Until it has said enough, or nobody listens any more.
            for _ in 0..64 {
                if stream.write_all(&babbled(&mut dice)).is_err() {
                    return;
                }
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wayland");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || babble(listener.accept().unwrap().0));
        let started = Instant::now();
        let asked = wayland::request(path.to_str(), &"DP-1".parse().unwrap(), SHORT);
        assert!(asked.is_err(), "seed {seed}");
        assert!(Instant::now() - started < PATIENCE, "seed {seed}: {asked:?}");
        server.join().unwrap();
    }
}

/// An event from an object that may exist, with arguments that may fit.
fn babbled(dice: &mut Dice) -> Vec<u8> {
    const OBJECTS: [u32; 8] = [1, 2, 2, 3, 3, 4, 5, 0xff00_0000];
    let texts: [&[u8]; 3] = [b"wp_drm_lease_device_v1\0\0", b"DP-1\0\0\0\0", b"\xff\xfe\0\0"];
    let mut body = Vec::new();
    for _ in 0..dice.below(4) {
        match dice.below(3) {
            0 => body.extend(dice.below(6).to_ne_bytes()),
            1 => body.extend((u32::MAX - dice.below(1 << 24)).to_ne_bytes()),
            _ => {
                let text = texts[dice.below(3) as usize];
                body.extend((text.len() as u32 - dice.below(3)).to_ne_bytes());
                body.extend(text);
            }
        }
    }
    let length = if dice.percent(90) { body.len() as u32 + 8 } else { dice.below(70_000) };
    let object = OBJECTS[dice.below(8) as usize];
    [&object.to_ne_bytes()[..], &(length << 16 | dice.below(5)).to_ne_bytes(), &body].concat()
}

#[test]
fn a_lease_on_other_things_than_were_asked_for_is_found_out() {
    inside("a_lease_on_other_things_than_were_asked_for_is_found_out", VIVE, || {
        let card = Arc::new(Card::open(Path::new(CARD)).unwrap());
        card.enable_atomic().unwrap();
        let all = card.connectors().unwrap().into_iter().map(|id| Connector::read(&card, id, true).unwrap());
        let headset = all.into_iter().find(|connector| connector.name == "Virtual-2").unwrap();
        let asked = |lent: Lent| {
            let devices = vec![Device::of(&card, vec![headset.clone()]).lending(lent)];
            let compositor = Compositor::start(Script { devices, answer: Answer::FdThenFinished });
            let lease = wayland::request(Some(compositor.socket()), &Wanted::Headset, PATIENCE);
            lease.map(|lease| (lease.pipeline.clone(), lease.card.planes().unwrap().len()))
        };
        let (own, planes) = asked(Lent::Asked).unwrap();
        assert_eq!(own.connector, headset.id);
        let (of_all, more_planes) = asked(Lent::Everything).unwrap();
        assert!(more_planes > planes, "it does hold more");
        assert_eq!(of_all, own, "of all that was lent, what belongs to the headset");
        for (lent, word) in [
            (Lent::Another, "like the one asked for"),
            (Lent::NoPrimary, "primary plane"),
            (Lent::AnothersCrtc, "primary plane for that connector"),
        ] {
            let error = asked(lent).unwrap_err();
            assert!(error.to_string().contains(word), "{lent:?}: {error}");
        }
        for lent in [Lent::Nothing, Lent::Revoked] {
            let error = asked(lent).unwrap_err();
            assert!(matches!(error, RequestError::Ended { .. }), "{lent:?}: {error}");
        }
        assert_eq!(card.lessees().unwrap(), [], "what is refused is given back");
    });
}

#[test]
fn a_connection_that_breaks_midway_is_an_error_at_once() {
    for answer in [Answer::HangUp, Answer::ProtocolError] {
        let error = request(&answering(answer), "DP-1").unwrap_err();
        assert!(matches!(error, RequestError::Connection { .. }), "{answer:?}: {error}");
    }
}

#[test]
fn a_compositor_that_never_answers_is_given_up() {
    let silent_device = Device::offering(&["DP-1"]).silent();
    let scripts = [
        ("list its globals", Script { devices: Vec::new(), answer: Answer::Deaf }),
        ("offer its displays", Script { devices: vec![silent_device], answer: Answer::Fd }),
        (
            "answer the request",
            Script { devices: vec![Device::offering(&["DP-1"])], answer: Answer::Silence },
        ),
        (
            "answer the request",
            Script { devices: vec![Device::offering(&["DP-1"])], answer: Answer::Withdrawn },
        ),
    ];
    for (what, script) in scripts {
        let compositor = Compositor::start(script);
        let started = Instant::now();
        let error = request_within(SHORT, &compositor, "DP-1").unwrap_err();
        assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains(what), "'{error}' does not say '{what}'");
        assert!(Instant::now() - started >= SHORT, "{error}, but not before the time was up");
    }
}

#[test]
fn of_several_devices_and_connectors_the_named_one_is_asked_for() {
    let devices = || vec![Device::offering(&["DP-1", "DP-2"]), Device::offering(&["DP-3", "DP-4"])];
    for (device, name) in [(0, "DP-1"), (0, "DP-2"), (1, "DP-3"), (1, "DP-4")] {
        let compositor = Compositor::start(Script { devices: devices(), answer: Answer::Finished });
        request(&compositor, name).unwrap_err();
        assert_eq!(compositor.asked(), [(device, name.to_string())]);
    }
    let compositor = Compositor::start(Script { devices: devices(), answer: Answer::Finished });
    let error = request(&compositor, "DP-9").unwrap_err();
    assert!(error.to_string().contains("it has: DP-1, DP-2, DP-3, DP-4"), "{error}");
    // Nothing tells that any of these is a headset, and a monitor is taken by name only.
    let error = wayland::request(Some(compositor.socket()), &Wanted::Headset, PATIENCE).unwrap_err();
    assert!(matches!(error, RequestError::OnlyMonitors { .. }), "{error}");
    assert_eq!(compositor.asked(), []);
}

#[test]
fn a_silent_or_vanished_device_does_not_keep_the_others_from_leasing() {
    let silent = Device::offering(&["DP-1"]).silent();
    let vanished = Device::offering(&["DP-1"]).silent().vanishing();
    for first in [silent, vanished] {
        let devices = vec![first, Device::offering(&["DP-2"])];
        let compositor = Compositor::start(Script { devices, answer: Answer::Finished });
        // The silent one is waited for half as long.
        let error = request_within(SHORT * 5, &compositor, "DP-2").unwrap_err();
        assert!(matches!(error, RequestError::Denied { .. }), "{error}");
        assert_eq!(compositor.asked(), [(1, "DP-2".to_string())]);
    }
}

#[test]
fn a_compositor_that_offers_nothing_or_leases_nothing_says_so() {
    let empty = Compositor::start(Script { devices: vec![Device::offering(&[])], answer: Answer::Fd });
    let error = wayland::request(Some(empty.socket()), &Wanted::Headset, PATIENCE).unwrap_err();
    assert!(matches!(error, RequestError::NothingOffered { .. }), "{error}");
    let none = Compositor::start(Script { devices: Vec::new(), answer: Answer::Fd });
    assert!(matches!(request(&none, "DP-1"), Err(RequestError::NoLeasing { .. })));
}

#[test]
fn auto_tells_of_a_denial_whatever_fails_after_it() {
    let compositor = answering(Answer::Finished);
    let outcome = example("lessee")
        .args(["--from", "auto", "--connector", "DP-1"])
        .env("WAYLAND_DISPLAY", compositor.socket())
        .env("LEASEHOLD_LEASE_FD", "77")
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    let said = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(4), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    let parts =
        ["not from fd: fd 77", "denied the lease on DP-1", "not from x11: DISPLAY", "not from seat: "];
    let places: Vec<_> = parts.iter().map(|part| said.find(part).expect(&said)).collect();
    assert!(places.is_sorted(), "{said}");
}

#[test]
fn the_headset_is_found_among_monitors_by_what_its_device_lets_one_see() {
    inside("the_headset_is_found_among_monitors_by_what_its_device_lets_one_see", VIVE, || {
        let card = Arc::new(Card::open(Path::new(CARD)).unwrap());
        card.enable_atomic().unwrap();
        let named = |name: &str| {
            let all = card.connectors().unwrap().into_iter();
            all.map(|id| Connector::read(&card, id, true).unwrap()).find(|one| one.name == name).unwrap()
        };
        let device = |name: &str| Device::of(&card, vec![named(name)]);
        let start = |devices| Compositor::start(Script { devices, answer: Answer::FdThenFinished });

        for wanted in ["headset", "HVR:AA01", "Virtual-2"] {
            let wanted = if wanted == "headset" { Wanted::Headset } else { wanted.parse().unwrap() };
            let compositor = start(vec![device("Virtual-1"), device("Virtual-2")]);
            let mut lease = wayland::request(Some(compositor.socket()), &wanted, PATIENCE).unwrap();
            assert_eq!(compositor.asked(), [(1, "Virtual-2".to_string())]);
            let leased = Connector::read(&lease.card, lease.pipeline.connector, false).unwrap();
            assert_eq!((leased.name.as_str(), lease.connector_name.as_str()), ("Virtual-2", "Virtual-2"));
            assert_eq!(lease.keeper.heard(), Heard::Nothing);
            // `finished` after the fd, while nobody was listening.
            compositor.end_leases();
            wait_until("the end of the lease is noticed", || lease.keeper.heard() != Heard::Nothing);
        }
        let compositor = start(vec![device("Virtual-1")]);
        let error = wayland::request(Some(compositor.socket()), &Wanted::Headset, PATIENCE).unwrap_err();
        assert!(matches!(error, RequestError::OnlyMonitors { .. }), "{error}");
        assert_eq!(compositor.asked(), []);
        assert_eq!(request(&compositor, "Virtual-1").unwrap(), "Virtual-1");
        // Two devices with the same headset each cannot be told apart.
        let compositor = start(vec![device("Virtual-2"), device("Virtual-2")]);
        let error = wayland::request(Some(compositor.socket()), &Wanted::Headset, PATIENCE).unwrap_err();
        assert!(error.to_string().contains("Virtual-2 (HVR:AA01), Virtual-2 (HVR:AA01)"), "{error}");
    });
}
