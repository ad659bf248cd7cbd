//! Leases on a compositor's own display: `examples/window_manager.rs` at work, and what a compositor keeps for itself.

mod rig;

use std::path::Path;
use std::sync::Arc;

use leasehold::kms::property::Properties;
use leasehold::kms::{Card, Connector, ConnectorId, CrtcId, PlaneId};
use leasehold::lease::service::{Happening, Service, Terms};
use leasehold::lease::wire::Wire;
use rig::desktop::screen_state;
use rig::{CARD, Program, VIVE, example, inside, kill_and_watch};
use serde_json::Value;
use wayland_server::Display;

fn raw(line: &Value, object: &str) -> u32 {
    line[object].as_u64().unwrap() as u32
}

fn state(card: &Card, monitor: &Value) -> String {
    let id = |object| raw(monitor, object);
    screen_state(
        card,
        ConnectorId::new(id("connector")).unwrap(),
        CrtcId::new(id("crtc")).unwrap(),
        PlaneId::new(id("plane")).unwrap(),
    )
}

fn lessee() -> Program {
    Program::start(example("lessee").args(["--socket", "wayland-0"]))
}

#[test]
fn a_window_manager_keeps_its_monitor_whatever_becomes_of_a_lessee() {
    inside("a_window_manager_keeps_its_monitor_whatever_becomes_of_a_lessee", VIVE, || {
        let manager = Program::start(&mut example("window_manager"));
        let monitor = manager.line();
        assert_eq!(manager.line()["event"], "ready");
        assert_eq!(manager.line()["connector"], "Virtual-2");
        let card = Card::open(Path::new(CARD)).unwrap();
        card.enable_atomic().unwrap();
        assert!(!card.is_master());
        let before = state(&card, &monitor);
        assert!(before.contains("active Some(1)"), "{before}");
        let fds = manager.open_fds();

        for _ in 0..3 {
            let mut doomed = lessee();
            let lease = doomed.line();
            let objects: Vec<u64> =
                lease["objects"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
            for object in ["connector", "crtc", "plane"] {
                assert!(
                    !objects.contains(&monitor[object].as_u64().unwrap()),
                    "{object} of {monitor}: {lease}"
                );
            }
            assert_eq!(manager.event("granted")["pid"], doomed.pid().as_raw());
            let crtc = CrtcId::new(raw(&lease, "crtc")).unwrap();
            kill_and_watch(&doomed, &card, crtc);
            doomed.wait();
            let ended = manager.event("ended");
            assert_eq!((&ended["reason"], &ended["uid"]), (&"crashed".into(), &0.into()), "{ended}");
            assert_eq!(manager.line()["event"], "offered");
            assert_eq!(Properties::of(&card, crtc).unwrap().value("ACTIVE"), Some(0));
            assert_eq!(state(&card, &monitor), before);
        }
        manager.settles_at(fds);
    });
}

#[test]
fn what_the_owner_keeps_is_not_offered() {
    inside("what_the_owner_keeps_is_not_offered", VIVE, || {
        let card = Arc::new(Card::open(Path::new(CARD)).unwrap());
        card.enable_atomic().unwrap();
        let connectors = card.connectors().unwrap().into_iter();
        let headset = connectors
            .map(|id| Connector::read(&card, id, true).unwrap())
            .find(|connector| connector.name == "Virtual-2")
            .unwrap();
        let display = Display::<Service>::new().unwrap();
        let wire = Wire::new::<Service>(display.handle(), card.clone());
        let mut service =
            Service::start(card.clone(), wire, Terms::default(), vec![headset.id.into()], None).unwrap();
        let happened = |service: &mut Service| {
            service.take_reports().iter().map(|report| report.event).collect::<Vec<_>>()
        };
        assert_eq!(happened(&mut service), [Happening::Ready]);
        service.keep(Vec::new()).unwrap();
        assert_eq!(happened(&mut service), [Happening::Offered]);
        service.keep(card.crtcs().unwrap().into_iter().map(Into::into).collect()).unwrap();
        assert_eq!(happened(&mut service), [Happening::Withdrawn]);
    });
}
