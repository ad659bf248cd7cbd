//! Which connector is asked for, whoever is asked.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use super::RequestError;
use crate::headset::edid::EdidId;
use crate::headset::quirks;
use crate::hid;
use crate::kms::Connector;

/// Which connector is asked for.
///
/// On the command line: a connector's name (`DP-1`), or the vendor and product of an EDID (`HVR:AA01`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The only headset there is; a plain monitor is never taken.
    #[default]
    Headset,
    /// As [`Headset`](Self::Headset), but where a headset told its own EDID's numbers, over HID say, the display that
    /// has them comes first.
    Reported(Vec<EdidId>),
    /// The connector of this name, whatever hangs on it.
    Name(String),
    /// The display whose EDID has these numbers, whatever it is.
    Edid(EdidId),
}

impl Wanted {
    /// A headset, with what those that are plugged in say of themselves.
    pub fn headset() -> Self {
        Self::Reported(hid::headsets::reported_edids())
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty name: write a connector's name, DP-1 say, or leave it out".to_string()),
            // No connector's name has a colon, neither in the kernel nor in an X server.
            _ if text.contains(':') => text.parse().map(Self::Edid),
            _ => Ok(Self::Name(text.to_string())),
        }
    }
}

impl Display for Wanted {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Headset | Self::Reported(_) => formatter.write_str("a headset"),
            Self::Name(name) => formatter.write_str(name),
            Self::Edid(id) => id.fmt(formatter),
        }
    }
}

/// A connector to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What whoever is asked calls it.
    pub name: String,
    /// Whether the kernel calls what hangs on it non-desktop.
    pub non_desktop: bool,
    /// The display's numbers, where its EDID can be read.
    pub id: Option<EdidId>,
}

impl Candidate {
    /// What can be told of a connector of a card.
    pub fn of(connector: &Connector) -> Self {
        Self {
            name: connector.name.clone(),
            non_desktop: connector.non_desktop,
            id: EdidId::of_edid(&connector.edid),
        }
    }

    /// A headset by its numbers that the kernel takes for a monitor: NVIDIA's driver does not set the property, and some
    /// headsets are in no table of the kernel's.
    fn is_known(&self) -> bool {
        self.id.is_some_and(|id| quirks::find(id.vendor(), id.product()).is_some())
    }
}

impl Display for Candidate {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self.id {
            Some(id) => write!(formatter, "{} ({id})", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// The one to take of those that `place` has to give, by its index.
///
/// What was named is taken, whatever it is. Else it is the display of which a headset said that it is its own, else the
/// only one that the kernel calls non-desktop, else the only one that is a known headset.
///
/// # Errors
/// When there is none, or several would do.
pub fn choose(place: &str, candidates: &[Candidate], wanted: &Wanted) -> Result<usize, RequestError> {
    let matching = |fits: &dyn Fn(&Candidate) -> bool| -> Vec<usize> {
        (0..candidates.len()).filter(|&index| fits(&candidates[index])).collect()
    };
    let named = |found: Vec<usize>| match found[..] {
        [] => Err(missing(place, candidates, wanted)),
        [only] => Ok(only),
        // Two cards can have a connector of the same name each.
        _ => only_one(place, candidates, &headsets_first(candidates, found)),
    };
    let reported: &[EdidId] = match wanted {
        Wanted::Name(name) => return named(matching(&|candidate| candidate.name == *name)),
        Wanted::Edid(id) => return named(matching(&|candidate| candidate.id == Some(*id))),
        Wanted::Reported(ids) => ids,
        Wanted::Headset => &[],
    };
    let groups = [
        matching(&|candidate| candidate.id.is_some_and(|id| reported.contains(&id))),
        matching(&|candidate| candidate.non_desktop),
        matching(&Candidate::is_known),
    ];
    match groups.into_iter().find(|group| !group.is_empty()) {
        Some(group) => only_one(place, candidates, &group),
        None if candidates.is_empty() => Err(RequestError::NothingOffered { place: place.to_string() }),
        None => Err(RequestError::OnlyMonitors {
            place: place.to_string(),
            there: list(candidates, 0..candidates.len()),
        }),
    }
}

/// Those of `found` that are headsets, unless none is.
fn headsets_first(candidates: &[Candidate], found: Vec<usize>) -> Vec<usize> {
    let headsets: Vec<usize> = found.iter().copied().filter(|&index| candidates[index].non_desktop).collect();
    if headsets.is_empty() { found } else { headsets }
}

fn only_one(place: &str, candidates: &[Candidate], found: &[usize]) -> Result<usize, RequestError> {
    match found {
        [only] => Ok(*only),
        several => Err(RequestError::Ambiguous {
            place: place.to_string(),
            there: list(candidates, several.iter().copied()),
        }),
    }
}

fn missing(place: &str, candidates: &[Candidate], wanted: &Wanted) -> RequestError {
    let there = match candidates {
        [] => "none".to_string(),
        _ => list(candidates, 0..candidates.len()),
    };
    RequestError::NoSuchConnector { place: place.to_string(), name: wanted.to_string(), there }
}

fn list(candidates: &[Candidate], indices: impl IntoIterator<Item = usize>) -> String {
    indices.into_iter().map(|index| candidates[index].to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{Class, Classified};

    const VIVE: &str = "HVR:AA01";
    const COSMOS: &str = "HVR:AA03";
    const INDEX: &str = "VLV:91A8";
    const MONITOR: &str = "DEL:A0B1";

    fn candidate(name: &str, non_desktop: bool, id: &str) -> Candidate {
        Candidate { name: name.into(), non_desktop, id: id.parse().ok() }
    }

    fn wanted(text: &str) -> Wanted {
        text.parse().unwrap()
    }

    /// What is taken, by name.
    fn taken(candidates: &[Candidate], wanted: &Wanted) -> Result<String, RequestError> {
        choose("x", candidates, wanted).map(|index| candidates[index].name.clone())
    }

    #[test]
    fn a_named_connector_is_taken_whatever_it_is_and_others_are_listed() {
        let there = [candidate("DP-1", true, VIVE), candidate("DP-2", false, MONITOR)];
        assert_eq!(taken(&there, &wanted("DP-2")).unwrap(), "DP-2");
        assert_eq!(taken(&there, &wanted("DEL:a0b1")).unwrap(), "DP-2");
        assert_eq!(taken(&there, &wanted(VIVE)).unwrap(), "DP-1");
        for absent in ["DP-3", INDEX] {
            let error = taken(&there, &wanted(absent)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("DP-1 (HVR:AA01), DP-2 (DEL:A0B1)") && text.contains(absent), "{text}");
            assert_eq!(error.class(), Class::NoHeadset);
        }
    }

    #[test]
    fn without_a_name_it_is_the_only_headset_and_never_a_monitor() {
        let monitor = candidate("DP-1", false, MONITOR);
        let headset = candidate("DP-2", true, VIVE);
        assert_eq!(taken(&[monitor.clone(), headset.clone()], &Wanted::Headset).unwrap(), "DP-2");
        let error = taken(std::slice::from_ref(&monitor), &Wanted::Headset).unwrap_err();
        assert_eq!(error.class(), Class::NoHeadset);
        assert!(error.to_string().contains("only DP-1 (DEL:A0B1)"), "{error}");
        assert!(error.to_string().contains("--connector"), "{error}");
        let error = taken(&[], &Wanted::Headset).unwrap_err();
        assert!(matches!(error, RequestError::NothingOffered { .. }), "{error}");
    }

    #[test]
    fn a_known_headset_that_the_kernel_takes_for_a_monitor_is_one_all_the_same() {
        let cosmos = candidate("DP-1", false, COSMOS);
        assert_eq!(
            taken(&[candidate("DP-2", false, MONITOR), cosmos.clone()], &Wanted::Headset).unwrap(),
            "DP-1"
        );
        assert_eq!(taken(&[candidate("DP-2", true, ""), cosmos], &Wanted::Headset).unwrap(), "DP-2");
    }

    #[test]
    fn several_headsets_need_a_name_or_a_headset_that_tells_its_own() {
        let there = [candidate("DP-1", true, VIVE), candidate("DP-2", true, INDEX)];
        let error = taken(&there, &Wanted::Headset).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("DP-1 (HVR:AA01), DP-2 (VLV:91A8)") && text.contains("--connector"), "{text}");
        let reported = Wanted::Reported(vec![INDEX.parse().unwrap()]);
        assert_eq!(taken(&there, &reported).unwrap(), "DP-2");
        // A headset that has told its numbers is no monitor, whatever the kernel calls it.
        let unmarked = [candidate("DP-1", false, "ABC:0001")];
        assert_eq!(taken(&unmarked, &Wanted::Reported(vec!["ABC:1".parse().unwrap()])).unwrap(), "DP-1");
        // One that hangs on no connector here changes nothing.
        assert!(taken(&there, &Wanted::Reported(vec![COSMOS.parse().unwrap()])).is_err());
        let twins = [candidate("DP-1", true, VIVE), candidate("DP-2", true, VIVE)];
        assert!(taken(&twins, &Wanted::Reported(vec![VIVE.parse().unwrap()])).is_err());
    }

    #[test]
    fn of_two_connectors_of_one_name_the_headset_is_meant() {
        let there = [candidate("DP-1", false, MONITOR), candidate("DP-1", true, VIVE)];
        assert_eq!(choose("x", &there, &wanted("DP-1")).unwrap(), 1);
        let twins = [candidate("DP-1", false, MONITOR), candidate("DP-1", false, "")];
        assert!(matches!(choose("x", &twins, &wanted("DP-1")), Err(RequestError::Ambiguous { .. })));
    }

    #[test]
    fn a_name_with_a_colon_is_an_edid() {
        assert_eq!(wanted("DP-1"), Wanted::Name("DP-1".into()));
        assert_eq!(wanted("hvr:aa01").to_string(), VIVE);
        for wrong in ["", "DP:1", "HVR:XYZ"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let ids = prop_oneof![Just(VIVE), Just(COSMOS), Just(INDEX), Just(MONITOR), Just("")];
        ("DP-[1-3]", any::<bool>(), ids).prop_map(|(name, non_desktop, id)| candidate(&name, non_desktop, id))
    }

    proptest! {
        #[test]
        fn a_monitor_is_taken_by_name_alone(
            candidates in proptest::collection::vec(any_candidate(), 0..5),
            name in "DP-[1-3]",
        ) {
            if let Ok(index) = choose("x", &candidates, &Wanted::Headset) {
                prop_assert!(candidates[index].non_desktop || candidates[index].is_known());
            }
            if let Ok(index) = choose("x", &candidates, &wanted(&name)) {
                prop_assert_eq!(&candidates[index].name, &name);
            }
        }
    }
}
