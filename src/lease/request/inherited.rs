//! A lease that another program got and passed on to this one as an open fd.
//!
//! Whoever starts this program leaves the fd open across `exec`, and says which one it is: by [`take`]'s number
//! (`--from fd:3`), or in the environment as [`VARIABLE`] (`LEASEHOLD_LEASE_FD=3`), which is also the first place that
//! [`Way::Auto`](super::Way::Auto) looks. The fd may be a lease, or a card whose master it is. It is taken once and made
//! close-on-exec; processes that this one starts find the variable, and no fd behind it.

use std::sync::Arc;

use super::{Keeper, Lease, RequestError, Source, Wanted, headset_of};
use crate::kms::pipeline::leased_pipeline;
use crate::kms::{Card, Connector};

/// Names the fd of a lease in the environment.
pub const VARIABLE: &str = "LEASEHOLD_LEASE_FD";

/// Takes over the lease that the environment names.
///
/// # Errors
/// When the variable is not set or no number, and as [`take`].
pub fn from_environment(wanted: &Wanted) -> Result<Lease, RequestError> {
    let value = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let value = value.ok_or(RequestError::NothingInherited { variable: VARIABLE })?;
    let value = value.to_string_lossy();
    let fd = value.parse().map_err(|_| RequestError::BadVariable {
        variable: VARIABLE,
        value: value.escape_debug().to_string(),
    })?;
    take(fd, wanted)
}

/// Takes over fd number `fd`, a lease or a card whose master it is. Each can be taken once. Of a card, or a lease
/// on several connectors, it is the one that is wanted; the only connector of a lease is taken as it is.
///
/// # Errors
/// When the process was not started with that fd or has taken it already, it is no lease or card, or what is wanted is
/// not to be had of it.
pub fn take(fd: i32, wanted: &Wanted) -> Result<Lease, RequestError> {
    let card = Card::inherit(fd).map_err(|_| RequestError::NotInherited { fd })?;
    card.driver().map_err(|_| RequestError::NotADisplay { fd })?;
    card.enable_atomic()?;
    let card = Arc::new(card);
    let (pipeline, connector_name) = match card.connectors()?[..] {
        [only] => (leased_pipeline(&card, Some(only))?, Connector::read(&card, only, false)?.name),
        _ => headset_of(&card, wanted)?,
    };
    Ok(Lease { card, pipeline, connector_name, source: Source::Inherited, keeper: Keeper::Nothing })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsRawFd, IntoRawFd};

    use super::*;

    #[test]
    fn an_fd_of_our_own_is_not_taken() {
        let ours = File::open("/dev/null").unwrap();
        assert!(matches!(take(ours.as_raw_fd(), &Wanted::Headset), Err(RequestError::NotInherited { .. })));
        for number in [-1, 0, 2, 9999] {
            assert!(
                matches!(take(number, &Wanted::Headset), Err(RequestError::NotInherited { .. })),
                "{number}"
            );
        }
    }

    #[test]
    fn an_inherited_fd_that_is_no_display_is_refused_once_and_closed() {
        let inherited = nix::unistd::dup(File::open("/dev/null").unwrap()).unwrap().into_raw_fd();
        assert!(matches!(take(inherited, &Wanted::Headset), Err(RequestError::NotADisplay { .. })));
    }
}
