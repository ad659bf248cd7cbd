//! Judges the ways to a headset: is it open, and what stands in it.

use nix::errno::Errno;
use serde::Serialize;

use super::super::code::Code;
use super::super::facts::{CardFacts, Facts, Listener, Offers, Socket, WaylandFacts};
use super::super::finding::Finding;
use super::cards::headset;
use crate::lease::policy::Verdict;
use crate::lease::request::RequestError;

const SIMULATED: &str = "simulated";

/// A way to a headset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathFinding {
    pub name: &'static str,
    pub usable: bool,
    pub code: Code,
    pub why: String,
    pub remedy: Option<String>,
}

impl PathFinding {
    fn usable(name: &'static str, code: Code, why: impl Into<String>) -> Self {
        Self { name, usable: true, code, why: why.into(), remedy: None }
    }

    fn blocked(name: &'static str, obstacle: &Finding) -> Self {
        let Finding { code, why, remedy, .. } = obstacle.clone();
        Self { name, usable: false, code, why, remedy: Some(remedy) }
    }

    /// Whether it leads to a real headset.
    pub fn gives_a_headset(&self) -> bool {
        self.usable && self.name != SIMULATED
    }
}

/// Every way in the order in which `demo` tries them, and what stands in them. `cards` is what is wrong with the cards.
pub fn judge(facts: &Facts, cards: &[Finding]) -> (Vec<PathFinding>, Vec<Finding>) {
    let mut obstacles = Vec::new();
    let mut path = |name, judged: Result<(Code, String), Finding>| match judged {
        Ok((code, why)) => PathFinding::usable(name, code, why),
        Err(obstacle) => {
            let blocked = PathFinding::blocked(name, &obstacle);
            obstacles.push(obstacle);
            blocked
        }
    };
    let wayland = path("wayland", wayland(&facts.wayland, cards));
    let seat = path("seat", seat(facts, cards));
    let simulated = PathFinding::usable(SIMULATED, Code::Always, "it needs no headset");
    (vec![wayland, x11(&facts.x11, cards), seat, simulated], obstacles)
}

/// That there is no X server, or one that leases nothing, is no fault of the machine's, so it is no finding.
fn x11(answer: &Result<Offers, RequestError>, cards: &[Finding]) -> PathFinding {
    let error = match answer {
        Ok(Offers { socket, connectors }) if !connectors.is_empty() => {
            let why = format!("the X server at {socket} offers {}", connectors.join(", "));
            return PathFinding::usable("x11", Code::Offered, why);
        }
        Ok(Offers { socket, .. }) => {
            let why = format!("the X server at {socket} has no headset to lease");
            let nothing = Finding::error(
                Code::NothingOffered,
                "x11",
                why,
                "plug it in and switch it on, and see that nobody has it leased",
            );
            return PathFinding::blocked("x11", &not_offered(cards).cloned().unwrap_or(nothing));
        }
        Err(error) => error,
    };
    let code = match error {
        RequestError::NoDisplay => Code::NoDisplay,
        RequestError::RemoteDisplay { .. } => Code::RemoteDisplay,
        RequestError::NoServer { .. } => Code::NoServer,
        RequestError::NoRandrLeases { .. } => Code::NoLeasing,
        RequestError::TimedOut { .. } => Code::NoAnswer,
        _ => Code::ConnectionBroke,
    };
    // These errors say what is wrong, a colon, and what to do about it.
    let text = error.to_string();
    let (why, remedy) = text.rsplit_once(": ").unwrap_or((&text, "see the X server's log, and try again"));
    PathFinding::blocked("x11", &Finding::error(code, "x11", why, remedy))
}

/// Why a lessor that knows its trade offers nothing, the likeliest first.
const NOT_OFFERED: [Code; 8] = [
    Code::Leased,
    Code::LinkBad,
    Code::NoModes,
    Code::NoFreeCrtc,
    Code::NonDesktopUnset,
    Code::EdidWedged,
    Code::DisplayMissing,
    Code::NoHeadset,
];

fn not_offered(cards: &[Finding]) -> Option<&Finding> {
    NOT_OFFERED.iter().find_map(|&code| cards.iter().find(|finding| finding.code == code))
}

fn wayland(facts: &WaylandFacts, cards: &[Finding]) -> Result<(Code, String), Finding> {
    let offers = match &facts.answer {
        Ok(offers) => offers,
        Err(error) => return Err(unreachable(facts, error)),
    };
    let Offers { socket, connectors } = offers;
    let listener = facts.listener(socket);
    let who = listener.map_or(String::new(), |listener| format!(" ({})", listener.program));
    if connectors.is_empty() {
        return Err(match not_offered(cards) {
            Some(cause) => cause.clone(),
            None => Finding::error(
                Code::NothingOffered,
                socket,
                format!("{socket}{who} offers no headset"),
                "plug it in and switch it on, see that nobody has it leased, or offer its connector by name \
                 ('leasehold serve --offer NAME')",
            ),
        });
    }
    match listener.and_then(|listener| denial(listener, connectors)) {
        None => Ok((Code::Offered, format!("{socket}{who} offers {}", connectors.join(", ")))),
        Some(why) => Err(Finding::error(
            Code::NotPermitted,
            socket,
            format!("{socket}{who} would deny a lease: {why}"),
            "start serve with --allow-uid for this user, or add a rule to its --policy",
        )),
    }
}

/// Why none of the connectors would be given to this user.
fn denial(listener: &Listener, connectors: &[String]) -> Option<String> {
    let policy = listener.policy.as_ref()?;
    let mut denied = None;
    for connector in connectors {
        match policy.judge(&listener.me, std::slice::from_ref(connector)) {
            Verdict::Allowed => return None,
            Verdict::Denied(why) => denied = denied.or(Some(why)),
        }
    }
    denied
}

fn unreachable(facts: &WaylandFacts, error: &RequestError) -> Finding {
    let hangs = "see whether it is stopped or hangs, and start it anew";
    match error {
        RequestError::NoRuntimeDir => Finding::error(
            Code::NoRuntimeDir,
            "XDG_RUNTIME_DIR",
            "XDG_RUNTIME_DIR is not set, so no Wayland socket can be found",
            "set it to the folder with the compositor's socket, /run/user/UID as a rule",
        ),
        RequestError::NoSocket { tried } => no_socket(facts, tried),
        RequestError::NoLeasing { socket } => Finding::error(
            Code::NoLeasing,
            socket,
            format!(
                "the compositor at {socket}{} leases no displays: it has no wp_drm_lease_device_v1",
                facts.who(socket)
            ),
            "use one that does, or run 'leasehold serve' without a desktop; one that could has lost the card or \
             may have been started without it",
        ),
        RequestError::TimedOut { socket, what, seconds } => Finding::error(
            Code::NoAnswer,
            socket,
            format!("{socket}{} did not {what} within {seconds:.1} s", facts.who(socket)),
            hangs,
        ),
        other => Finding::error(
            Code::ConnectionBroke,
            "wayland",
            other.to_string(),
            "see the compositor's log, and try again",
        ),
    }
}

fn no_socket(facts: &WaylandFacts, tried: &str) -> Finding {
    let refused = |wanted: &[Errno]| {
        facts
            .sockets
            .iter()
            .find(|socket| socket.listener.as_ref().is_err_and(|errno| wanted.contains(errno)))
    };
    if let Some(Socket { path, .. }) = refused(&[Errno::EACCES, Errno::EPERM]) {
        return Finding::error(
            Code::SocketNotPermitted,
            path.to_string_lossy(),
            format!("this user may not connect to {}", path.display()),
            "run this as the user whose session that is, or have serve let other users in (--allow-uid) in a folder \
             that they can reach",
        );
    }
    let elsewhere = facts.sockets.iter().find_map(|socket| Some((socket, socket.listener.as_ref().ok()?)));
    if let Some((Socket { path, .. }, listener)) = elsewhere {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Finding::error(
            Code::NoSocket,
            "wayland",
            format!("no Wayland socket at {tried}, and {} listens at {}", listener.program, path.display()),
            format!("set WAYLAND_DISPLAY={name}"),
        );
    }
    if let Some(Socket { path, .. }) = refused(&[Errno::ECONNREFUSED]) {
        return Finding::error(
            Code::SocketDead,
            path.to_string_lossy(),
            format!("nobody listens at {} any more: it is left from a compositor that ended", path.display()),
            "start the compositor, or 'leasehold serve'",
        );
    }
    Finding::error(
        Code::NoSocket,
        "wayland",
        format!("no Wayland socket at {tried}"),
        "set WAYLAND_DISPLAY to a compositor's, or start 'leasehold serve'",
    )
}

/// What stands in the way of driving a headset oneself, the likeliest first. That its card has a master comes first if
/// there is a headset, and else last.
const NOT_READY: [Code; 14] = [
    Code::Held,
    Code::NoFreeCrtc,
    Code::LinkBad,
    Code::NoModes,
    Code::NoAtomic,
    Code::NoRights,
    Code::NvidiaModesetOff,
    Code::NoCard,
    Code::EdidWedged,
    Code::DisplayMissing,
    Code::NoHeadset,
    Code::NotOpened,
    Code::NoModeSetting,
    Code::Held,
];

fn seat(facts: &Facts, cards: &[Finding]) -> Result<(Code, String), Finding> {
    let all = || {
        let opened = facts.cards.iter().filter_map(|card| Some((card, card.opened()?)));
        let connectors = opened.flat_map(|(card, opened)| {
            opened.connectors.iter().map(move |connector| (card, opened, connector))
        });
        connectors
            .filter_map(|(card, opened, connector)| Some((card, opened, connector, headset(connector)?)))
    };
    let ready = all().find(|(_, opened, connector, _)| {
        opened.free && opened.atomic && !connector.modes.is_empty() && opened.has_crtc_for(connector)
    });
    if let Some((CardFacts { path, .. }, _, connector, headset)) = ready {
        let how = if connector.non_desktop { "" } else { ", to be named with --connector" };
        let why = format!("nobody drives {path}, and {} is a headset ({headset}){how}", connector.name);
        return Ok((Code::Ready, why));
    }
    let likeliest = if all().next().is_some() { &NOT_READY[..] } else { &NOT_READY[1..] };
    let cause = likeliest.iter().find_map(|&code| cards.iter().find(|finding| finding.code == code));
    Err(cause.cloned().unwrap_or_else(|| {
        Finding::error(
            Code::NoHeadset,
            "cards",
            "no card has a connector that a headset could hang on",
            "plug the headset into a card that drives monitors",
        )
    }))
}

impl WaylandFacts {
    fn listener(&self, socket: &str) -> Option<&Listener> {
        let found = self.sockets.iter().find(|known| known.path.as_os_str() == socket)?;
        found.listener.as_ref().ok()
    }

    fn who(&self, socket: &str) -> String {
        self.listener(socket).map_or(String::new(), |listener| format!(" ({})", listener.program))
    }
}
