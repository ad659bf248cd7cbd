//! Why there is no lease, and what to do about it.

use std::borrow::Borrow;

use nix::errno::Errno;

use super::Source;
use crate::error::{Class, Classified};
use crate::kms::KmsError;

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No compositor can be reached.
    #[error(
        "no Wayland socket at {tried}: set WAYLAND_DISPLAY to a compositor's, or start 'leasehold serve'"
    )]
    NoSocket {
        /// The paths tried, and why each was refused.
        tried: String,
    },
    /// The user has no folder for sockets.
    #[error(
        "XDG_RUNTIME_DIR is not set: set it to the folder with the compositor's socket, /run/user/UID as a rule"
    )]
    NoRuntimeDir,
    /// The compositor does not lease displays.
    #[error(
        "the compositor at {socket} leases no displays (it has no wp_drm_lease_device_v1): \
         use one that does, or run 'leasehold serve' without a desktop"
    )]
    NoLeasing {
        /// Its socket.
        socket: String,
    },
    /// Nothing is on offer.
    #[error(
        "{place} offers no headset: plug one in and switch it on, see that nobody has it leased, \
         or offer its connector by name ('leasehold serve --offer NAME')"
    )]
    NothingOffered {
        /// Who was asked.
        place: String,
    },
    /// Nothing there is known to be a headset.
    #[error(
        "{place} has no headset, only {there}: plug one in and switch it on, \
         or name what to take all the same with --connector"
    )]
    OnlyMonitors {
        /// Who was asked.
        place: String,
        /// What there is.
        there: String,
    },
    /// The connector that the user named is not there.
    #[error("{place} has no connector {name} to lease; it has: {there}")]
    NoSuchConnector {
        /// Who was asked.
        place: String,
        /// What the user named.
        name: String,
        /// What there is.
        there: String,
    },
    /// Several would do.
    #[error(
        "{place} has several that could be meant, choose one with --connector, by name or by EDID: {there}"
    )]
    Ambiguous {
        /// Who was asked.
        place: String,
        /// What there is.
        there: String,
    },
    /// The lessor refused.
    #[error(
        "{socket} denied the lease on {connector}: see that this user may lease (serve's --allow-uid or --policy), \
         that nobody else has it, and what the compositor's log says"
    )]
    Denied {
        /// Who was asked.
        socket: String,
        /// What was asked for.
        connector: String,
    },
    /// The connector was there when it was asked for, and gone when the answer came.
    #[error(
        "{socket} withdrew {connector} while it was being asked for: \
         see that it is plugged in and that nobody else has it, and try again"
    )]
    Withdrawn {
        /// Who was asked.
        socket: String,
        /// What was asked for.
        connector: String,
    },
    /// The lease was over before anything could be done with it.
    #[error("{socket} gave a lease on {connector} and ended it at once: see what the compositor's log says")]
    Ended {
        /// Who was asked.
        socket: String,
        /// What was asked for.
        connector: String,
    },
    /// What came is no lease.
    #[error(
        "{place} gave something for {connector} that is no display lease: see what its log says, and report it to its \
         makers"
    )]
    NotALease {
        /// Who was asked.
        place: String,
        /// What was asked for.
        connector: String,
    },
    /// No X server was named.
    #[error("DISPLAY is not set: set it to the X server that has the headset, ':0' as a rule")]
    NoDisplay,
    /// It is on another machine, or looks like it.
    #[error(
        "the X server at {display} is reached over the network, where no lease can be passed on: \
         run on the machine that the headset is plugged into, with DISPLAY set to a server there, ':0' say"
    )]
    RemoteDisplay {
        /// The display.
        display: String,
    },
    /// The X server cannot be reached or does not let us in.
    #[error("no X server at {display} ({cause}): see that it runs, and that XAUTHORITY names its key")]
    NoServer {
        /// The display.
        display: String,
        /// What happened.
        cause: String,
    },
    /// The X server knows no leases.
    #[error(
        "the X server at {display} leases no displays (it has RandR {version}, leases came with 1.6): \
         use a newer one, a Wayland compositor that leases, or 'leasehold serve' without a desktop"
    )]
    NoRandrLeases {
        /// The display.
        display: String,
        /// The version it has.
        version: String,
    },
    /// The X server refused.
    #[error(
        "the X server at {display} denied the lease on {output}: {cause}: \
         see that nobody else has it, and what the server's log says"
    )]
    Refused {
        /// The display.
        display: String,
        /// What was asked for.
        output: String,
        /// Its answer.
        cause: String,
    },
    /// No answer came in time.
    #[error("{socket} did not {what} within {seconds:.1} s: see whether it is stopped or hangs")]
    TimedOut {
        /// Who was asked.
        socket: String,
        /// What was waited for.
        what: &'static str,
        /// How long was waited.
        seconds: f64,
    },
    /// The connection broke, or the compositor called a request wrong.
    #[error("the connection to {socket} broke: {cause}")]
    Connection {
        /// With whom.
        socket: String,
        /// What happened.
        cause: String,
    },
    /// The card cannot be opened.
    #[error("could not open {card}: {}: {}", .errno.desc(), open_remedy(*.errno))]
    NotOpened {
        /// The card.
        card: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// It opens, but is no display card.
    #[error("{card} is not a display card: name one in /dev/dri, or leave --card out")]
    NotACard {
        /// What was opened.
        card: String,
    },
    /// The user is in another session now.
    #[error("this session is not the one in front: switch to its terminal and start again")]
    Behind,
    /// The seat does not give the card.
    #[error(
        "the seat would not lend {card}: {}: see whether it is one of the seat's ('loginctl seat-status')",
        .errno.desc()
    )]
    NotLent {
        /// The card.
        card: String,
        /// What the seat manager said.
        errno: Errno,
    },
    /// The card has another master.
    #[error(
        "{card} belongs to another program{holders}, and only one can set its modes: \
         end that session or service, or lease from it over Wayland"
    )]
    Held {
        /// The card.
        card: String,
        /// Who has it open, in parentheses, where that can be known.
        holders: String,
    },
    /// The environment names no lease.
    #[error("{variable} is not set: whoever starts this program sets it to the number of the lease's fd")]
    NothingInherited {
        /// The variable.
        variable: &'static str,
    },
    /// The environment's word is no number.
    #[error("{variable} is '{value}': set it to the number of an fd, 3 say")]
    BadVariable {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// The number is not an fd that this process was started with.
    #[error(
        "fd {fd} was not passed to this program: start it with the lease's fd open and not close-on-exec"
    )]
    NotInherited {
        /// The number.
        fd: i32,
    },
    /// The fd is something else.
    #[error("fd {fd} is not a display lease or card: pass what wp_drm_lease_v1 or drmModeCreateLease gave")]
    NotADisplay {
        /// The number.
        fd: i32,
    },
    /// There is no card at all.
    #[error("no display card in /dev/dri: load the GPU's kernel driver")]
    NoCard,
    /// No way led to a lease.
    #[error("no lease could be had: {}", .0.iter().map(|(way, why)| format!("not from {way}: {why}")).collect::<Vec<_>>().join("; "))]
    NoWay(
        /// Each way that was tried, and why it did not.
        Vec<(Source, RequestError)>,
    ),
    /// The kernel refused.
    #[error(transparent)]
    Kms(#[from] KmsError),
}

impl Classified for RequestError {
    fn class(&self) -> Class {
        match self {
            Self::NothingOffered { .. }
            | Self::OnlyMonitors { .. }
            | Self::NoSuchConnector { .. }
            | Self::Withdrawn { .. }
            | Self::NoCard => Class::NoHeadset,
            Self::Denied { .. } | Self::Refused { .. } | Self::NotALease { .. } => Class::LeaseDenied,
            Self::Ended { .. } => Class::LeaseLost,
            Self::TimedOut { .. } | Self::Connection { .. } | Self::Behind => Class::Retry,
            Self::NoSocket { .. }
            | Self::NoRuntimeDir
            | Self::NoLeasing { .. }
            | Self::NoDisplay
            | Self::RemoteDisplay { .. }
            | Self::NoServer { .. }
            | Self::NoRandrLeases { .. }
            | Self::Ambiguous { .. }
            | Self::NotOpened { .. }
            | Self::NotACard { .. }
            | Self::Held { .. }
            | Self::NotLent { .. }
            | Self::NothingInherited { .. }
            | Self::BadVariable { .. }
            | Self::NotInherited { .. }
            | Self::NotADisplay { .. } => Class::Config,
            Self::NoWay(ways) => {
                most_telling(ways.iter().map(|(_, why)| why)).map_or(Class::NoHeadset, Self::class)
            }
            Self::Kms(error) => error.class(),
        }
    }
}

impl RequestError {
    /// How near it came to a headset. Where several ways or cards fail, the one that came nearest says what to do: that
    /// a compositor denied its headset must not be lost behind a second card that has none.
    fn nearness(&self) -> u8 {
        match (self, self.class()) {
            (_, Class::LeaseDenied) => 6,
            (Self::Ended { .. }, _) => 5,
            (Self::Ambiguous { .. }, _) => 4,
            (Self::Kms(_), _) | (_, Class::Retry) => 3,
            (_, Class::NoHeadset) => 2,
            _ => 1,
        }
    }
}

/// Of several failures the one that came nearest to a headset, the first of equals.
pub(super) fn most_telling<E: Borrow<RequestError>>(errors: impl IntoIterator<Item = E>) -> Option<E> {
    errors.into_iter().reduce(|nearest, error| {
        if error.borrow().nearness() > nearest.borrow().nearness() { error } else { nearest }
    })
}

fn open_remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES | Errno::EPERM => "join group 'video', or run at the seat",
        Errno::ENOENT => "see in /dev/dri which cards there are",
        _ => "see the kernel's log",
    }
}
