//! Judges the cards and what hangs on them. All findings are errors here; whether they matter is seen in the whole.

use nix::errno::Errno;

use super::super::code::Code;
use super::super::facts::{
    CardFacts, ConnectorFacts, Facts, Gpu, Holder, LoginSession, Look, Node, Opened, Program, Role, SeatFacts,
};
use super::super::finding::Finding;
use crate::headset::edid::Edid;

/// Kinds of connector that no headset's cable fits, and whose displays may well have no EDID.
const WITHOUT_EDID: [&str; 8] = ["eDP-", "LVDS-", "DSI-", "DPI-", "VGA-", "SPI-", "TV-", "Composite-"];

/// Which headset hangs on a connector; `None` where none does that is known to be one.
pub fn headset(connector: &ConnectorFacts) -> Option<String> {
    let edid = Edid::parse(&connector.edid).ok();
    let known = edid.as_ref().and_then(Edid::headset).map(|known| known.name.to_string());
    let own_name = || edid.as_ref().and_then(|edid| edid.name.clone());
    let unknown = || connector.non_desktop.then(|| own_name().unwrap_or("unknown headset".to_string()));
    known.or_else(unknown).filter(|_| connector.connected)
}

/// What is wrong with the cards.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.cards.iter().flat_map(|card| judge_card(card, facts)).collect();
    if facts.cards.is_empty() {
        findings.push(no_card(facts));
    }
    if facts.nvidia_modeset == Some(false) && !has(&findings, Code::NvidiaModesetOff) {
        findings.push(nvidia_modeset_off("nvidia-drm"));
    }
    let opened = facts.cards.iter().filter_map(CardFacts::opened);
    let connectors: Vec<&ConnectorFacts> = opened.flat_map(|card| &card.connectors).collect();
    if !connectors.is_empty() && !connectors.iter().any(|connector| headset(connector).is_some()) {
        findings.push(without_headset(&connectors, &facts.usb_headsets));
    }
    findings
}

fn has(findings: &[Finding], code: Code) -> bool {
    findings.iter().any(|finding| finding.code == code)
}

fn judge_card(card: &CardFacts, facts: &Facts) -> Vec<Finding> {
    let about = card.path.as_str();
    let opened = match &card.look {
        Look::Refused { errno: errno @ (Errno::EACCES | Errno::EPERM), node } => {
            return vec![no_rights(about, *errno, node.as_ref(), facts)];
        }
        Look::Refused { errno, .. } => return vec![not_opened(about, errno.desc())],
        Look::Failed(why) => return vec![not_opened(about, why)],
        Look::Opened(opened) => opened,
    };
    if !opened.mode_setting {
        return vec![match opened.driver.as_str() {
            "nvidia-drm" => nvidia_modeset_off(about),
            driver => Finding::error(
                Code::NoModeSetting,
                about,
                format!("{about} sets no modes: its driver ({driver}) only computes"),
                "plug the headset into the card that drives your monitors",
            ),
        }];
    }
    let mut findings = Vec::new();
    if !opened.free && !opened.connectors.is_empty() {
        findings.push(Finding::error(
            Code::Held,
            about,
            format!("{about} belongs to {}", card.master().unwrap_or("another program".into())),
            "lease from that program over Wayland, or end it",
        ));
    }
    if !opened.atomic && !opened.connectors.is_empty() {
        findings.push(Finding::error(
            Code::NoAtomic,
            about,
            format!("{about} has no atomic mode setting: its driver ({}) is too old", opened.driver),
            "update the kernel, or the driver; nouveau needs 'nouveau.atomic=1' on the kernel's command line",
        ));
    }
    let connected = opened.connectors.iter().filter(|connector| connector.connected);
    findings.extend(connected.flat_map(|connector| judge_connector(card, opened, connector)));
    findings
}

fn judge_connector(card: &CardFacts, opened: &Opened, connector: &ConnectorFacts) -> Vec<Finding> {
    let Some(headset) = headset(connector) else { return Vec::new() };
    let name = &connector.name;
    let about = format!("{} {name}", card.path);
    let error = |code, why: String, remedy: String| Finding::error(code, about.clone(), why, remedy);
    let mut findings = Vec::new();
    if let Some(program) = card.lessee(connector) {
        findings.push(error(
            Code::Leased,
            format!("{name} ({headset}) is leased to {program}, a program of user {}", program.uid),
            format!("end it ('kill {}'), or wait until it is done", program.pid),
        ));
    } else if connector.non_desktop && connector.crtc != 0 && !opened.free && !card.sees_all_roles() {
        findings.push(error(
            Code::Leased,
            format!("{name} ({headset}) is lit, so a program has it; which one this user may not see"),
            "run 'leasehold doctor' as root to see which, and end it".into(),
        ));
    }
    if !connector.non_desktop {
        let nvidia = opened.driver.contains("nvidia");
        let so_does = if nvidia { " (NVIDIA's driver leaves that unset)" } else { "" };
        findings.push(error(
            Code::NonDesktopUnset,
            format!("{name} is a headset ({headset}), and the kernel takes it for a monitor{so_does}"),
            format!(
                "name it: 'leasehold demo --from seat --connector {name}', or 'leasehold serve --offer {name}'; \
                 a compositor needs a setting of its own for it"
            ),
        ));
    }
    if connector.link_bad {
        findings.push(error(
            Code::LinkBad,
            format!("{name} ({headset}) has a broken link: the kernel gave up training it"),
            "reseat the headset's cable at both ends, and power-cycle its link box".into(),
        ));
    }
    if connector.modes.is_empty() {
        findings.push(error(
            Code::NoModes,
            format!("{name} ({headset}) has no mode that the card can show"),
            "plug it into the card itself without an adapter, update the kernel, and see its log for the modes \
             it refused"
                .into(),
        ));
    }
    if !opened.has_crtc_for(connector) {
        findings.push(error(
            Code::NoFreeCrtc,
            format!("{name} ({headset}) has no free CRTC: the monitors take all that could drive it"),
            "turn a monitor off, or plug it into another card".into(),
        ));
    }
    findings
}

/// Why there is none: it may hide behind a display that tells nothing of itself. Some headsets answer for their EDID
/// once after they are switched on, and never again once their link was off.
fn without_headset(connectors: &[&ConnectorFacts], usb_headsets: &[&str]) -> Finding {
    let connected: Vec<&ConnectorFacts> =
        connectors.iter().copied().filter(|connector| connector.connected).collect();
    let suspects: Vec<String> = connected.iter().filter_map(|connector| wedged(connector)).collect();
    // A virtual machine's only screen has no EDID by nature.
    let only_screen = matches!(connected[..], [only] if only.name.starts_with("Virtual-"));
    let remembered = connected.iter().any(|connector| connector.memory.is_some());
    let innocent = only_screen && usb_headsets.is_empty() && !remembered;
    let on_usb = usb_headsets.join(" or ");
    if !suspects.is_empty() && !innocent {
        let who = match usb_headsets {
            [] if remembered => "so its EDID is wedged".to_string(),
            [] => "so does a headset whose EDID is wedged".to_string(),
            _ => format!("and the {on_usb} is on the USB, so its EDID is wedged"),
        };
        return Finding::error(
            Code::EdidWedged,
            "cards",
            format!("{}: {who}", suspects.join("; ")),
            "switch the headset off at its power supply for ten seconds; keep tools that ask monitors for their \
             settings (ddcutil, PowerDevil) off its connector",
        );
    }
    let names: Vec<&str> = connected.iter().map(|connector| connector.name.as_str()).collect();
    let left: Vec<String> = connectors
        .iter()
        .filter(|connector| !connector.connected)
        .filter_map(|connector| Some(format!("; {} had {}", connector.name, connector.memory.as_ref()?)))
        .collect();
    let there = match &names[..] {
        [] => "nothing is plugged into any card".to_string(),
        names => format!("what hangs on {} is no headset that is known", names.join(", ")),
    };
    let there = format!("{there}{}", left.concat());
    match usb_headsets {
        [] => Finding::error(Code::NoHeadset, "cards", there, "plug the headset in and switch it on"),
        _ => Finding::error(
            Code::DisplayMissing,
            "cards",
            format!("the {on_usb} is on the USB, and its display is not there: {there}"),
            "plug its video cable into the graphics card, not into the mainboard, and see that its link box is on",
        ),
    }
}

/// What is wrong with a display's EDID.
fn wedged(connector: &ConnectorFacts) -> Option<String> {
    let name = &connector.name;
    if WITHOUT_EDID.iter().any(|kind| name.starts_with(kind)) {
        return None;
    }
    let told = match Edid::parse(&connector.edid) {
        _ if connector.edid.is_empty() => "no EDID".to_string(),
        Err(error) => format!("a damaged EDID ({error})"),
        Ok(_) => return None,
    };
    let before = connector.memory.as_ref().map_or(String::new(), |memory| format!(", and was {memory}"));
    Some(format!("what hangs on {name} tells {told}{before}"))
}

fn not_opened(about: &str, why: &str) -> Finding {
    let why = format!("{about} could not be looked at: {why}");
    Finding::error(Code::NotOpened, about, why, "see the kernel's log ('dmesg')")
}

fn nvidia_modeset_off(about: &str) -> Finding {
    Finding::error(
        Code::NvidiaModesetOff,
        about,
        "NVIDIA's driver was loaded without mode setting (nvidia-drm.modeset=0), so nothing on its cards can be leased",
        "write 'options nvidia-drm modeset=1' to /etc/modprobe.d/nvidia-drm.conf, rebuild the initramfs, and boot anew",
    )
}

fn no_card(facts: &Facts) -> Finding {
    if let Some(sandbox) = &facts.sandbox {
        let why = format!("no display card in /dev/dri: this runs in {sandbox}, which shows it none");
        return Finding::error(Code::NoCard, "/dev/dri", why, let_in(sandbox));
    }
    let (why, remedy) = match &facts.gpus[..] {
        [] => (
            "and no display controller on the PCI bus".to_string(),
            "load the GPU's kernel driver".to_string(),
        ),
        [gpu, ..] => {
            let Gpu { address, id, driver } = gpu;
            match driver.as_deref() {
                None => (
                    format!("for the GPU at {address} ({id}) has no kernel driver"),
                    "load it: see 'lspci -k' for its name, and that nothing in /etc/modprobe.d blocks it"
                        .into(),
                ),
                Some("vfio-pci") => (
                    format!("for the GPU at {address} ({id}) is kept for virtual machines (vfio-pci)"),
                    "give it back to its own driver".into(),
                ),
                Some("nvidia") => (
                    format!("for the GPU at {address} ({id}) has NVIDIA's driver without nvidia-drm"),
                    "load it: 'modprobe nvidia-drm modeset=1'".into(),
                ),
                Some(driver) => (
                    format!("though the GPU at {address} ({id}) has a driver ({driver})"),
                    "see the kernel's log ('dmesg'), and that this container or sandbox shows /dev/dri"
                        .into(),
                ),
            }
        }
    };
    Finding::error(Code::NoCard, "/dev/dri", format!("no display card in /dev/dri, {why}"), remedy)
}

/// How a sandbox is told to show its programs a card.
fn let_in(sandbox: &str) -> &'static str {
    match sandbox {
        "Flatpak" => {
            "run it with 'flatpak run --device=all', or 'leasehold serve' outside and the demo with its socket"
        }
        "Podman" | "Docker" => "start the container with '--device /dev/dri'",
        _ => "let the devices in /dev/dri in",
    }
}

fn no_rights(about: &str, errno: Errno, node: Option<&Node>, facts: &Facts) -> Finding {
    let refused = |why: String, remedy: String| Finding::error(Code::NoRights, about, why, remedy);
    let user = &facts.user;
    let uid = user.uid;
    let Some(node) = node else {
        return refused(
            format!("user {uid} may not look into /dev/dri"),
            "see who may with 'ls -ld /dev /dev/dri'".into(),
        );
    };
    if errno == Errno::EPERM {
        let (who, remedy) = match &facts.sandbox {
            Some(sandbox) => (sandbox.as_str(), let_in(sandbox)),
            None => (
                "a container or service",
                "allow the device there (DeviceAllow in a systemd unit, --device in a container)",
            ),
        };
        return refused(
            format!("user {uid} may not open {about}, whatever its permissions say: {who} forbids it"),
            remedy.into(),
        );
    }
    let group = node.group_name.clone().unwrap_or_else(|| node.group.to_string());
    let by_group = node.mode & 0o060 == 0o060;
    let members = if by_group { format!(", group '{group}'") } else { String::new() };
    let listed = match &node.users[..] {
        [] => ", and its access control list nobody more".to_string(),
        users => {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            format!(", and by its access control list user {}", users.join(", "))
        }
    };
    let why = format!(
        "user {uid} may not open {about}: its permissions ({:04o}) let in user {}{members}{listed}{}",
        node.mode,
        node.owner,
        no_seat(&facts.seat)
    );
    let remedy = match by_group {
        _ if facts.seat.seatd == Some(Err(Errno::EACCES)) => {
            "join the group of /run/seatd.sock ('ls -l' tells it) and log in again".to_string()
        }
        true if user.groups_at_login.contains(&node.group) && !user.groups.contains(&node.group) => {
            format!("log out and in again: the user is in '{group}' since after this login")
        }
        true => format!(
            "log in at the machine itself, or join the group ('usermod -aG {group} USER') and log in again"
        ),
        false => "log in at the machine itself, or let a group in with a udev rule".to_string(),
    };
    refused(why, remedy)
}

/// Why no seat manager lends the card either.
fn no_seat(seat: &SeatFacts) -> String {
    let session = seat.session.as_ref();
    match (seat.seatd, session, session.and_then(|session| session.seat.as_deref())) {
        (Some(Ok(())), ..) => "; seatd lends it to whoever is at the terminal".to_string(),
        (Some(Err(Errno::EACCES)), ..) => "; seatd runs, and this user may not ask it".to_string(),
        (_, Some(LoginSession { id, active: false, .. }), Some(name)) => {
            format!("; session {id} is not the one in front at {name}")
        }
        (_, Some(LoginSession { id, .. }), None) => {
            format!("; session {id} is at no seat, as over the network")
        }
        _ => String::new(),
    }
}

impl CardFacts {
    /// What was seen of it, where it could be looked at.
    pub fn opened(&self) -> Option<&Opened> {
        match &self.look {
            Look::Opened(opened) => Some(opened),
            Look::Refused { .. } | Look::Failed(_) => None,
        }
    }

    /// Who sets its modes, as far as that can be told.
    pub fn master(&self) -> Option<String> {
        if self.opened().is_some_and(|opened| opened.free) {
            return None;
        }
        let of = |role| self.holders.iter().filter(|holder| holder.role == role).collect::<Vec<_>>();
        let known = of(Role::Master);
        // It is among those whose role this user may not see.
        let likely = if known.is_empty() { of(Role::Unknown) } else { known };
        let names: Vec<String> = likely.iter().map(|Holder { program, .. }| program.to_string()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Who leases a connector.
    pub fn lessee(&self, connector: &ConnectorFacts) -> Option<&Program> {
        let leases = |role: &Role| matches!(role, Role::Lessee(objects) if objects.contains(&connector.id));
        self.holders.iter().find(|holder| leases(&holder.role)).map(|holder| &holder.program)
    }

    /// Whether it is known of everyone who has it open what for, its master included.
    fn sees_all_roles(&self) -> bool {
        self.holders.iter().any(|holder| holder.role == Role::Master)
            && self.holders.iter().all(|holder| holder.role != Role::Unknown)
    }
}

impl Opened {
    /// Whether a CRTC drives the connector or is left for it. Those of other connectors are not to be had.
    pub fn has_crtc_for(&self, connector: &ConnectorFacts) -> bool {
        let others = self.connectors.iter().filter(|other| other.id != connector.id);
        let taken = others.fold(0, |taken, other| taken | other.crtc);
        connector.crtc != 0 || connector.possible_crtcs & !taken != 0
    }
}
