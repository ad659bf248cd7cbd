//! Machines that are not there, judged: what no rig can break.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use super::*;
use crate::cli::doctor::facts::{
    CardFacts, ConnectorFacts, Gpu, Holder, Limits, Listener, LoginSession, Look, Node, Offers, Opened,
    Program, Role, SeatFacts, Socket, User, VulkanFacts, WaylandFacts,
};
use crate::headset::cache::Memory;
use crate::lease::identity::Identity;
use crate::lease::policy::Policy;
use crate::lease::request::RequestError;
use crate::thread::priority::Refusal;
use crate::vulkan::VulkanError;

/// An EDID of one block with these numbers and no modes.
fn edid(vendor: [u8; 2], product: u16) -> Vec<u8> {
    let mut bytes = vec![0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    bytes.extend(vendor);
    bytes.extend(product.to_le_bytes());
    bytes.resize(127, 0);
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    bytes
}

const HVR: [u8; 2] = [0x22, 0xd2];
const MONITOR: [u8; 2] = [0x10, 0xac];

fn connector(id: u32, name: &str, edid: Vec<u8>) -> ConnectorFacts {
    ConnectorFacts {
        id,
        name: name.into(),
        connected: true,
        edid,
        modes: vec!["1920x1080@60.000".into()],
        possible_crtcs: 0b11,
        ..ConnectorFacts::default()
    }
}

fn program(name: &str, pid: u32) -> Program {
    Program { name: name.into(), pid, uid: Uid::from_raw(1000) }
}

/// A machine with a monitor on DP-1, a Vive on DP-2, nobody's card, a good GPU, and no Wayland.
fn machine() -> Facts {
    let monitor = ConnectorFacts { crtc: 0b01, ..connector(1, "DP-1", edid(MONITOR, 1)) };
    let vive = ConnectorFacts { non_desktop: true, ..connector(2, "DP-2", edid(HVR, 0xaa01)) };
    let opened = Opened {
        driver: "amdgpu".into(),
        free: true,
        mode_setting: true,
        atomic: true,
        vblank_clock: Some("crtc-sequence"),
        connectors: vec![monitor, vive],
    };
    Facts {
        cards: vec![CardFacts {
            path: "/dev/dri/card0".into(),
            look: Look::Opened(opened),
            holders: Vec::new(),
        }],
        gpus: Vec::new(),
        nvidia_modeset: None,
        usb_headsets: Vec::new(),
        x11: Err(RequestError::NoDisplay),
        wayland: WaylandFacts {
            answer: Err(RequestError::NoSocket { tried: "/run/user/1000/wayland-0".into() }),
            sockets: Vec::new(),
        },
        vulkan: Ok(VulkanFacts {
            device: "a GPU".into(),
            is_cpu: false,
            lacks: Vec::new(),
            draws_on_dma_bufs: true,
            queue_priority: "realtime",
        }),
        limits: Limits {
            wanted_priority: 20,
            realtime: Ok(()),
            priority_limit: 0,
            lock_limit_bytes: None,
            process_bytes: 1 << 30,
        },
        user: User {
            uid: Uid::from_raw(1000),
            groups: vec![Gid::from_raw(1000)],
            groups_at_login: vec![Gid::from_raw(1000)],
        },
        seat: SeatFacts::default(),
        sandbox: None,
    }
}

/// The same, with a compositor that has the card and offers the headset.
fn desktop() -> Facts {
    let mut facts = machine();
    card(&mut facts).free = false;
    facts.cards[0].holders = vec![Holder { program: program("kwin_wayland", 7), role: Role::Master }];
    offer(&mut facts, &["DP-2"]);
    facts
}

fn offer(facts: &mut Facts, connectors: &[&str]) {
    let connectors = connectors.iter().map(|name| name.to_string()).collect();
    facts.wayland.answer = Ok(Offers { socket: "/run/w".into(), connectors });
}

fn listener(policy: Option<Policy>) -> Listener {
    let me = Identity::new(std::process::id(), Uid::from_raw(1000), Gid::from_raw(1000));
    Listener { program: program("leasehold", 8), policy, me }
}

fn card(facts: &mut Facts) -> &mut Opened {
    match &mut facts.cards[0].look {
        Look::Opened(opened) => opened,
        look => panic!("{look:?}"),
    }
}

/// The finding with this code, which has to be there once.
fn finding(facts: &Facts, code: Code) -> Finding {
    let findings = Diagnosis::of(facts).findings;
    let found: Vec<&Finding> = findings.iter().filter(|finding| finding.code == code).collect();
    let [finding] = found[..] else { panic!("{code:?} is {} times in {findings:#?}", found.len()) };
    finding.clone()
}

/// The code of a way.
fn path(facts: &Facts, name: &str) -> Code {
    let paths = Diagnosis::of(facts).paths;
    paths.iter().find(|path| path.name == name).unwrap().code
}

#[test]
fn a_machine_in_order_gives_its_headset_and_no_errors() {
    for (facts, way, code) in [(machine(), "seat", Code::Ready), (desktop(), "wayland", Code::Offered)] {
        let diagnosis = Diagnosis::of(&facts);
        assert!(diagnosis.gives_a_headset());
        assert_eq!(path(&facts, way), code);
        assert!(
            diagnosis.findings.iter().all(|finding| finding.severity == Severity::Note),
            "{diagnosis:#?}"
        );
    }
}

#[test]
fn a_lease_is_told_with_its_holder() {
    let mut facts = desktop();
    offer(&mut facts, &[]);
    let lessee = Holder { program: program("vrserver", 9), role: Role::Lessee(vec![2, 31, 41]) };
    facts.cards[0].holders.push(lessee);
    let leased = finding(&facts, Code::Leased);
    assert!(
        leased.why.contains("DP-2 (HTC Vive) is leased to vrserver 9, a program of user 1000"),
        "{leased:?}"
    );
    assert_eq!(leased.severity, Severity::Error);
    assert_eq!((path(&facts, "wayland"), path(&facts, "seat")), (Code::Leased, Code::Held));
    assert!(finding(&facts, Code::Held).why.contains("kwin_wayland 7"));
}

#[test]
fn a_lit_headset_is_somebodys_where_nobody_can_be_seen() {
    let mut facts = desktop();
    offer(&mut facts, &[]);
    facts.cards[0].holders.clear();
    assert_eq!(path(&facts, "wayland"), Code::NothingOffered);
    card(&mut facts).connectors[1].crtc = 0b10;
    assert!(finding(&facts, Code::Leased).remedy.contains("as root"));
    // Its own master may have lit it.
    facts.cards[0].holders = vec![Holder { program: program("kwin_wayland", 7), role: Role::Master }];
    assert_eq!(path(&facts, "wayland"), Code::NothingOffered);
}

#[test]
fn what_is_wrong_with_a_headset_is_why_it_is_not_offered() {
    type Break = fn(&mut ConnectorFacts);
    let broken: [(Break, Code); 4] = [
        (|vive| vive.link_bad = true, Code::LinkBad),
        (|vive| vive.modes.clear(), Code::NoModes),
        (|vive| vive.possible_crtcs = 0b01, Code::NoFreeCrtc),
        (|vive| vive.non_desktop = false, Code::NonDesktopUnset),
    ];
    for (broken, code) in broken {
        let mut facts = desktop();
        offer(&mut facts, &[]);
        broken(&mut card(&mut facts).connectors[1]);
        assert_eq!(path(&facts, "wayland"), code);
        assert!(finding(&facts, code).why.contains("DP-2"));
    }
}

#[test]
fn an_unset_non_desktop_is_only_a_note_where_the_headset_can_be_named() {
    let mut facts = machine();
    card(&mut facts).connectors[1].non_desktop = false;
    card(&mut facts).driver = "nvidia-drm".into();
    let unset = finding(&facts, Code::NonDesktopUnset);
    assert_eq!((unset.severity, path(&facts, "seat")), (Severity::Note, Code::Ready));
    assert!(unset.why.contains("NVIDIA") && unset.remedy.contains("--offer DP-2"), "{unset:?}");
}

#[test]
fn a_display_without_edid_is_suspected_and_a_virtual_machines_screen_is_not() {
    let mut facts = machine();
    card(&mut facts).connectors[1] = connector(2, "DP-2", Vec::new());
    assert_eq!(path(&facts, "seat"), Code::EdidWedged);
    assert!(finding(&facts, Code::EdidWedged).why.contains("DP-2 tells no EDID"));
    facts.usb_headsets = vec!["HTC Vive"];
    assert!(finding(&facts, Code::EdidWedged).why.contains("the HTC Vive is on the USB"));

    let mut damaged = edid(HVR, 0xaa01);
    damaged[127] ^= 1;
    card(&mut facts).connectors[1].edid = damaged;
    assert!(finding(&facts, Code::EdidWedged).why.contains("checksum"));

    card(&mut facts).connectors = vec![connector(1, "Virtual-1", Vec::new())];
    assert_eq!(path(&facts, "seat"), Code::EdidWedged);
    facts.usb_headsets.clear();
    assert_eq!(path(&facts, "seat"), Code::NoHeadset);
    card(&mut facts).connectors = vec![connector(1, "eDP-1", Vec::new())];
    assert_eq!(path(&facts, "seat"), Code::NoHeadset);
}

#[test]
fn a_headset_that_told_its_edid_before_is_named() {
    let memory = Memory::parse(&edid(HVR, 0xaa01), std::time::SystemTime::UNIX_EPOCH).ok();
    let mut facts = machine();
    card(&mut facts).connectors = vec![ConnectorFacts { memory, ..connector(2, "Virtual-1", Vec::new()) }];
    let wedged = finding(&facts, Code::EdidWedged).why;
    assert!(
        wedged.contains("Virtual-1 tells no EDID, and was HTC Vive at 1970-01-01 00:00 UTC: so its EDID"),
        "{wedged}"
    );
    card(&mut facts).connectors[0].connected = false;
    let unplugged = finding(&facts, Code::NoHeadset).why;
    assert!(unplugged.contains("; Virtual-1 had HTC Vive at 1970"), "{unplugged}");
}

#[test]
fn a_sandbox_is_named_with_what_opens_it() {
    let mut facts = machine();
    facts.cards.clear();
    for (sandbox, remedy) in [("Flatpak", "--device=all"), ("Docker", "--device /dev/dri"), ("lxc", "let")] {
        facts.sandbox = Some(sandbox.into());
        let found = finding(&facts, Code::NoCard);
        assert!(found.why.contains(sandbox) && found.remedy.contains(remedy), "{found:?}");
    }
}

#[test]
fn a_headset_on_the_usb_alone_misses_its_video_cable() {
    let mut facts = machine();
    card(&mut facts).connectors[1] =
        ConnectorFacts { id: 2, name: "DP-2".into(), ..ConnectorFacts::default() };
    assert_eq!(path(&facts, "seat"), Code::NoHeadset);
    facts.usb_headsets = vec!["HTC Vive"];
    assert_eq!(path(&facts, "seat"), Code::DisplayMissing);
    assert!(finding(&facts, Code::DisplayMissing).remedy.contains("video cable"));
}

#[test]
fn missing_rights_are_told_with_who_has_them() {
    let node = Node {
        owner: Uid::from_raw(0),
        group: Gid::from_raw(44),
        group_name: Some("video".into()),
        mode: 0o660,
        users: vec![Uid::from_raw(1001)],
    };
    let mut facts = machine();
    let refuse = |facts: &mut Facts, errno, node: &Node| {
        facts.cards[0].look = Look::Refused { errno, node: Some(node.clone()) };
        finding(facts, Code::NoRights)
    };
    let refused = refuse(&mut facts, Errno::EACCES, &node);
    assert_eq!(path(&facts, "seat"), Code::NoRights);
    assert!(refused.why.contains("group 'video'") && refused.why.contains("user 1001"), "{refused:?}");
    assert!(refused.remedy.contains("usermod -aG video"), "{refused:?}");
    facts.user.groups_at_login.push(Gid::from_raw(44));
    assert!(refuse(&mut facts, Errno::EACCES, &node).remedy.contains("log out and in again"));
    let closed = Node { mode: 0o600, ..node.clone() };
    assert!(!refuse(&mut facts, Errno::EACCES, &closed).why.contains("video"));
    assert!(refuse(&mut facts, Errno::EPERM, &node).why.contains("container"));
    facts.sandbox = Some("Podman".into());
    assert!(refuse(&mut facts, Errno::EPERM, &node).why.contains("Podman forbids it"));
}

#[test]
fn whoever_might_lend_a_card_is_told_of_too() {
    let mut facts = machine();
    facts.cards[0].look = Look::Refused {
        errno: Errno::EACCES,
        node: Some(Node {
            owner: Uid::from_raw(0),
            group: Gid::from_raw(44),
            group_name: Some("video".into()),
            mode: 0o660,
            users: Vec::new(),
        }),
    };
    let mut told = |seatd, session| {
        facts.seat = SeatFacts { seatd, session };
        finding(&facts, Code::NoRights)
    };
    let session = |seat: Option<&str>, active| {
        Some(LoginSession { id: "7".into(), seat: seat.map(str::to_string), active })
    };
    assert!(told(None, session(None, true)).why.contains("session 7 is at no seat"));
    assert!(told(None, session(Some("seat0"), false)).why.contains("session 7 is not the one in front"));
    assert!(told(Some(Ok(())), None).why.contains("seatd lends it"));
    let refused = told(Some(Err(Errno::EACCES)), None);
    assert!(refused.why.contains("seatd runs") && refused.remedy.contains("/run/seatd.sock"), "{refused:?}");
    assert!(told(None, session(Some("seat0"), true)).why.ends_with("nobody more"));
}

#[test]
fn nvidia_without_mode_setting_is_seen_with_and_without_the_right_to_read_the_switch() {
    let mut facts = machine();
    *card(&mut facts) = Opened { driver: "nvidia-drm".into(), ..Opened::default() };
    assert_eq!(path(&facts, "seat"), Code::NvidiaModesetOff);
    facts.nvidia_modeset = Some(false);
    assert_eq!(path(&facts, "seat"), Code::NvidiaModesetOff);
    finding(&facts, Code::NvidiaModesetOff);
    facts.cards.clear();
    assert_eq!(path(&facts, "seat"), Code::NvidiaModesetOff);
    facts.nvidia_modeset = None;
    assert_eq!(path(&facts, "seat"), Code::NoCard);
}

#[test]
fn a_machine_without_a_card_is_told_which_gpu_has_no_driver() {
    let mut facts = machine();
    facts.cards.clear();
    for (driver, word) in
        [(None, "no kernel driver"), (Some("vfio-pci"), "virtual machines"), (Some("i915"), "i915")]
    {
        facts.gpus = vec![Gpu {
            address: "0000:01:00.0".into(),
            id: "10de:2204".into(),
            driver: driver.map(str::to_string),
        }];
        let why = finding(&facts, Code::NoCard).why;
        assert!(why.contains("0000:01:00.0 (10de:2204)") && why.contains(word), "{why}");
    }
}

#[test]
fn cards_that_cannot_show_a_headset_say_why() {
    let mut facts = machine();
    card(&mut facts).atomic = false;
    assert_eq!(path(&facts, "seat"), Code::NoAtomic);
    *card(&mut facts) = Opened { driver: "panfrost".into(), free: true, ..Opened::default() };
    assert_eq!(path(&facts, "seat"), Code::NoModeSetting);
    facts.cards[0].look = Look::Refused { errno: Errno::ENODEV, node: None };
    assert_eq!(path(&facts, "seat"), Code::NotOpened);
}

#[test]
fn a_policy_is_asked_before_a_lease_is() {
    let mut facts = desktop();
    let mut sockets = |policy| {
        facts.wayland.sockets = vec![Socket { path: "/run/w".into(), listener: Ok(listener(policy)) }];
        path(&facts, "wayland")
    };
    let anna = Policy::only_user(Uid::from_raw(1001));
    assert_eq!(sockets(None), Code::Offered);
    assert_eq!(sockets(Some(anna.clone())), Code::NotPermitted);
    assert_eq!(sockets(Some(anna.allow_user(Uid::from_raw(1000)))), Code::Offered);
}

#[test]
fn a_socket_that_cannot_be_reached_says_why() {
    let mut facts = machine();
    let mut socket = |listener| {
        facts.wayland.sockets = vec![Socket { path: "/run/user/1000/wayland-1".into(), listener }];
        let path = Diagnosis::of(&facts).paths[0].clone();
        (path.code, path.remedy.unwrap())
    };
    assert_eq!(socket(Err(Errno::EACCES)).0, Code::SocketNotPermitted);
    assert_eq!(socket(Err(Errno::ECONNREFUSED)).0, Code::SocketDead);
    assert_eq!(socket(Err(Errno::ENOENT)).0, Code::NoSocket);
    assert_eq!(socket(Ok(listener(None))), (Code::NoSocket, "set WAYLAND_DISPLAY=wayland-1".into()));
}

#[test]
fn vulkan_says_what_it_lacks() {
    let mut facts = machine();
    for (error, code) in [
        (VulkanError::NoLoader("no such file".into()), Code::NoVulkanLoader),
        (VulkanError::NoDriver, Code::NoVulkanDriver),
        (
            VulkanError::Unsupported { device: "a".into(), feature: "Vulkan 1.3", remedy: "update" },
            Code::VulkanTooOld,
        ),
        (
            VulkanError::Call { operation: "start", result: ash::vk::Result::ERROR_UNKNOWN },
            Code::VulkanFailed,
        ),
    ] {
        facts.vulkan = Err(error);
        // A headset that can be had is dark all the same.
        assert_eq!(finding(&facts, code).severity, Severity::Error);
    }
    let mut device = machine().vulkan.unwrap();
    device.lacks = vec!["VK_EXT_external_memory_dma_buf"];
    device.draws_on_dma_bufs = false;
    device.queue_priority = "medium";
    facts.vulkan = Ok(device.clone());
    for (code, word) in
        [(Code::VulkanExtensions, "VK_EXT_external_memory_dma_buf"), (Code::QueuePriority, "refused")]
    {
        let finding = finding(&facts, code);
        assert!(finding.severity == Severity::Warning && finding.why.contains(word), "{finding:?}");
    }
    facts.vulkan = Ok(VulkanFacts { is_cpu: true, queue_priority: "unknown", ..device });
    assert_eq!(finding(&facts, Code::VulkanOnCpu).severity, Severity::Warning);
    assert_eq!(finding(&facts, Code::QueuePriority).severity, Severity::Note);
}

fn refusal() -> Refusal {
    Refusal { errno: Errno::EPERM, rtkit: "rtkit refused: no".to_string() }
}

#[test]
fn a_refused_priority_says_who_refused_it() {
    let mut facts = machine();
    facts.limits.realtime = Err(refusal());
    assert!(finding(&facts, Code::RealtimeRefused).why.contains("up to priority 0"));
    assert!(finding(&facts, Code::RealtimeRefused).why.ends_with("rtkit refused: no"));
    facts.limits.priority_limit = 99;
    assert!(finding(&facts, Code::RealtimeRefused).why.contains("container"));
    facts.limits.lock_limit_bytes = Some(8 << 20);
    assert!(finding(&facts, Code::MemoryLockRefused).why.contains("8 MiB"));
    facts.limits.lock_limit_bytes = Some(2 << 30);
    assert!(!Diagnosis::of(&facts).findings.iter().any(|finding| finding.code == Code::MemoryLockRefused));
}

#[test]
fn the_worst_is_told_first() {
    let mut facts = machine();
    facts.limits.realtime = Err(refusal());
    facts.vulkan = Err(VulkanError::NoDriver);
    let severities: Vec<Severity> =
        Diagnosis::of(&facts).findings.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Note]);
    facts.cards.clear();
    let codes: Vec<Code> = Diagnosis::of(&facts).findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::NoCard, Code::NoVulkanDriver, Code::NoSocket, Code::RealtimeRefused]);
}
