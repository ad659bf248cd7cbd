//! What a supervisor tells the process it starts: environment variables, read once and as values.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use nix::sys::socket::UnixAddr;

use super::SupervisorError;
use crate::time::Span;

/// The number of the first fd that is handed over (`SD_LISTEN_FDS_START`, sd_listen_fds(3)).
const FIRST_FD: i32 = 3;
/// More than any service is given, and few enough that a mistaken count costs no time.
const MOST_FDS: i32 = 4096;
/// What an fd is called to which the supervisor gave no name (sd_listen_fds(3), RETURN VALUE).
const NAMELESS: &str = "unknown";

/// All of it that concerns this process.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Where the supervisor listens.
    pub notify: Option<UnixAddr>,
    /// How long it waits for a sign of life.
    pub watchdog: Option<Span>,
    /// The fds it handed over, by name and number.
    pub fds: Vec<(String, i32)>,
}

impl Environment {
    /// Reads the variables through `lookup`, on behalf of process `pid`: what is meant for another process, as a child
    /// of one that was supervised inherits it, is passed over.
    pub(super) fn read(
        lookup: impl Fn(&'static str) -> Option<OsString>,
        pid: u32,
    ) -> Result<Self, SupervisorError> {
        let variable = |name| {
            let value = lookup(name).filter(|value| !value.is_empty())?;
            Some(Variable { name, value })
        };
        let ours = |name| variable(name).map(|owner| Ok(owner.number()? == i64::from(pid))).transpose();
        let notify = variable("NOTIFY_SOCKET").map(|socket| socket.address()).transpose()?;
        let watchdog = match variable("WATCHDOG_USEC") {
            // Without a process id it is for whoever reads it (sd_watchdog_enabled(3), ENVIRONMENT).
            Some(period) if ours("WATCHDOG_PID")?.unwrap_or(true) => Some(period.period()?),
            _ => None,
        };
        let fds = match variable("LISTEN_FDS") {
            Some(count) if ours("LISTEN_PID")?.unwrap_or(false) => {
                named(count.count()?, variable("LISTEN_FDNAMES"))?
            }
            _ => Vec::new(),
        };
        Ok(Self { notify, watchdog, fds })
    }
}

/// One variable that is set.
#[derive(Debug)]
struct Variable {
    name: &'static str,
    value: OsString,
}

impl Variable {
    fn odd(&self, expected: &'static str) -> SupervisorError {
        let value = self.value.to_string_lossy().into_owned();
        SupervisorError::Environment { variable: self.name, value, expected }
    }

    fn number(&self) -> Result<i64, SupervisorError> {
        let digits = self.value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| self.odd("a number"))
    }

    /// A path, or a name in the abstract namespace behind an '@' (sd_notify(3), ENVIRONMENT).
    fn address(&self) -> Result<UnixAddr, SupervisorError> {
        let address = match self.value.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => UnixAddr::new_abstract(name).ok(),
            [b'/', ..] => UnixAddr::new(self.value.as_os_str()).ok(),
            _ => None,
        };
        address.ok_or_else(|| self.odd("a socket's path, or '@' and its abstract name"))
    }

    fn period(&self) -> Result<Span, SupervisorError> {
        let ns = self.number()?.checked_mul(1_000).filter(|&ns| ns > 0);
        ns.map(Span::from_ns).ok_or_else(|| self.odd("a span in microseconds"))
    }

    fn count(&self) -> Result<i32, SupervisorError> {
        let count = i32::try_from(self.number()?).ok().filter(|&count| count <= MOST_FDS);
        count.ok_or_else(|| self.odd("a count of fds"))
    }
}

/// The numbers of `count` fds, each with its name.
fn named(count: i32, names: Option<Variable>) -> Result<Vec<(String, i32)>, SupervisorError> {
    let numbers = FIRST_FD..FIRST_FD + count;
    let Some(names) = names.filter(|_| count > 0) else {
        return Ok(numbers.map(|number| (NAMELESS.to_string(), number)).collect());
    };
    let list = names.value.to_string_lossy();
    let list: Vec<&str> = list.split(':').collect();
    if list.len() != numbers.len() {
        return Err(names.odd("one name for each of LISTEN_FDS, with colons between them"));
    }
    Ok(list.into_iter().map(str::to_string).zip(numbers).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PID: u32 = 77;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, SupervisorError> {
        let lookup = |name| {
            let (_, value) = variables.iter().find(|&&(known, _)| known == name)?;
            Some(OsString::from(value))
        };
        Environment::read(lookup, PID)
    }

    #[test]
    fn nothing_is_said_where_nobody_supervises() {
        let environment = read(&[("NOTIFY_SOCKET", "")]).unwrap();
        assert!(environment.notify.is_none() && environment.watchdog.is_none() && environment.fds.is_empty());
    }

    #[test]
    fn sockets_have_a_path_or_an_abstract_name() {
        let notify = |socket| read(&[("NOTIFY_SOCKET", socket)]).map(|read| read.notify.unwrap());
        assert_eq!(
            notify("/run/systemd/notify").unwrap().path().unwrap().to_str(),
            Some("/run/systemd/notify")
        );
        assert_eq!(notify("@a/b").unwrap().as_abstract(), Some(&b"a/b"[..]));
        for odd in ["notify", "@", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            assert!(notify(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_watchdog_is_for_one_process_or_for_any() {
        let watchdog = |pid, usec| {
            let environment = read(&[("WATCHDOG_PID", pid), ("WATCHDOG_USEC", usec)]);
            environment.map(|environment| environment.watchdog)
        };
        assert_eq!(watchdog("77", "3000000").unwrap(), Some(Span::from_ms(3000)));
        assert_eq!(watchdog("", "20").unwrap(), Some(Span::from_us(20)));
        assert_eq!(watchdog("78", "20").unwrap(), None);
        for (pid, usec) in [("x", "20"), ("77", "0"), ("77", "-1"), ("77", "18446744073709551615")] {
            assert!(watchdog(pid, usec).is_err(), "{pid} {usec}");
        }
    }

    #[test]
    fn fds_are_counted_from_three_and_named() {
        let fds = |pid, count, names| {
            let environment = read(&[("LISTEN_PID", pid), ("LISTEN_FDS", count), ("LISTEN_FDNAMES", names)]);
            environment.map(|environment| environment.fds)
        };
        assert_eq!(fds("77", "2", "card:x").unwrap(), [("card".to_string(), 3), ("x".to_string(), 4)]);
        assert_eq!(fds("77", "1", "").unwrap(), [("unknown".to_string(), 3)]);
        assert_eq!(fds("77", "0", "").unwrap(), []);
        assert_eq!(fds("78", "2", "card:x").unwrap(), []);
        assert_eq!(fds("", "2", "card:x").unwrap(), []);
        for (count, names) in [("2", "card"), ("1", "card:x"), ("2147483647", ""), ("-1", ""), ("two", "")] {
            assert!(fds("77", count, names).is_err(), "{count} {names}");
        }
    }

    proptest! {
        #[test]
        fn any_values_are_survived(values in prop::collection::vec(".{0,120}|[0-9]{1,22}|[@/:a-z]{0,9}", 6)) {
            let names = [
                "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
            ];
            let variables: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
            if let Ok(environment) = read(&variables) {
                prop_assert!(environment.fds.len() <= MOST_FDS as usize);
                prop_assert!(environment.watchdog.is_none_or(|period| period > Span::ZERO));
            }
        }
    }
}
