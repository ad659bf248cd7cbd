//! The ways to a lease, and trying them in turn.

use std::str::FromStr;

use super::{Lease, RequestError, Source, Wanted, inherited, seat, wayland, x11};
use crate::time::Span;

/// Where to ask for a lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Every way in turn, the first that works: what a parent passed on and named in the environment, because somebody
    /// took the trouble; then Wayland and X11, whose servers own the cards where they run; then the cards themselves,
    /// which nobody owns on a bare terminal.
    #[default]
    Auto,
    /// A Wayland compositor that leases displays, or `leasehold serve`.
    Wayland,
    /// An X server, by `$DISPLAY`.
    X11,
    /// The card itself.
    Seat,
    /// This fd, which the process was started with.
    Fd(i32),
    /// The fd that [`inherited::VARIABLE`] names.
    Inherited,
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "wayland" => Ok(Self::Wayland),
            "x11" => Ok(Self::X11),
            "seat" => Ok(Self::Seat),
            "inherited" => Ok(Self::Inherited),
            _ => match text.strip_prefix("fd:").map(str::parse) {
                Some(Ok(fd)) if fd >= 0 => Ok(Self::Fd(fd)),
                _ => Err(format!(
                    "'{text}' is no way to a lease: write auto, wayland, x11, seat, inherited or fd:N"
                )),
            },
        }
    }
}

/// A request for a headset's display.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to ask.
    pub way: Way,
    /// For what.
    pub wanted: Wanted,
    /// How long each server that is asked may take to answer, in all.
    pub patience: Span,
}

impl Request {
    /// Asks. What is had is the caller's until the lease is dropped.
    ///
    /// # Errors
    /// When there is no lease to be had that way; for [`Way::Auto`] the error lists every way and why it failed, and has
    /// the class of the one that came nearest to a headset.
    pub fn lease(&self) -> Result<Lease, RequestError> {
        let Self { way, wanted, patience } = self;
        match way {
            Way::Auto => self.first_that_works(),
            Way::Wayland => wayland::request(None, wanted, *patience),
            Way::X11 => x11::request(None, wanted, *patience),
            Way::Seat => seat::open(None, wanted),
            Way::Fd(fd) => inherited::take(*fd, wanted),
            Way::Inherited => inherited::from_environment(wanted),
        }
    }

    fn first_that_works(&self) -> Result<Lease, RequestError> {
        let ways = [
            (Source::Inherited, Way::Inherited),
            (Source::Wayland, Way::Wayland),
            (Source::X11, Way::X11),
            (Source::Seat, Way::Seat),
        ];
        let mut refusals = Vec::new();
        for (source, way) in ways {
            match (Self { way, ..self.clone() }).lease() {
                Ok(lease) => {
                    refusals
                        .iter()
                        .for_each(|(passed_over, why)| tracing::info!("not from {passed_over}: {why}"));
                    return Ok(lease);
                }
                Err(why) => refusals.push((source, why)),
            }
        }
        Err(RequestError::NoWay(refusals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Class, Classified};

    #[test]
    fn ways_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<Way>();
        assert_eq!(read("x11"), Ok(Way::X11));
        assert_eq!(read("fd:3"), Ok(Way::Fd(3)));
        for wrong in ["", "fd", "fd:", "fd:-1", "fd:x", "Wayland"] {
            assert!(read(wrong).unwrap_err().contains("write auto"), "{wrong}");
        }
    }

    fn denied() -> RequestError {
        RequestError::Denied { socket: "wayland-1".into(), connector: "DP-1".into() }
    }

    #[test]
    fn a_denial_counts_for_more_than_what_comes_after_it() {
        let ways = RequestError::NoWay(vec![
            (Source::Inherited, RequestError::NothingInherited { variable: inherited::VARIABLE }),
            (Source::Wayland, denied()),
            (Source::X11, RequestError::NoDisplay),
            (Source::Seat, RequestError::NoCard),
        ]);
        assert_eq!(ways.class(), Class::LeaseDenied);
        let text = ways.to_string();
        let told =
            ["LEASEHOLD_LEASE_FD is not set", "not from wayland: wayland-1 denied", "DISPLAY", "/dev/dri"];
        let places: Vec<usize> = told.iter().map(|part| text.find(part).expect(&text)).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn the_class_is_that_of_whoever_came_nearest() {
        let class = |errors: Vec<RequestError>| {
            RequestError::NoWay(errors.into_iter().map(|error| (Source::Seat, error)).collect()).class()
        };
        let place = || "x".to_string();
        let timed_out = RequestError::TimedOut { socket: place(), what: "answer", seconds: 5.0 };
        let ambiguous = RequestError::Ambiguous { place: place(), there: place() };
        let held = || RequestError::Held { card: place(), holders: place() };
        let empty = || RequestError::NothingOffered { place: place() };
        assert_eq!(class(vec![RequestError::NoRuntimeDir, RequestError::NoDisplay, held()]), Class::Config);
        assert_eq!(class(vec![empty(), held()]), Class::NoHeadset);
        assert_eq!(class(vec![timed_out, RequestError::NoCard]), Class::Retry, "whoever hangs may have it");
        assert_eq!(class(vec![empty(), ambiguous, RequestError::NoCard]), Class::Config);
        assert_eq!(class(vec![empty(), denied(), held()]), Class::LeaseDenied);
    }
}
