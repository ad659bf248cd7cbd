//! A lease that another program got and passed on to this one as an open fd.

use std::sync::Arc;

use super::{Keeper, Lease, RequestError, Source, headset_of};
use crate::kms::pipeline::leased_pipeline;
use crate::kms::{Card, Connector};

/// Takes over fd number `fd`, a lease or a card whose master it is. Each can be taken once.
pub fn take(fd: i32) -> Result<Lease, RequestError> {
    let card = Card::inherit(fd).map_err(|_| RequestError::NotInherited { fd })?;
    card.driver().map_err(|_| RequestError::NotADisplay { fd })?;
    card.enable_atomic()?;
    let card = Arc::new(card);
    let (pipeline, connector_name) = match card.connectors()?[..] {
        [only] => (leased_pipeline(&card)?, Connector::read(&card, only, false)?.name),
        _ => headset_of(&card, None)?,
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
        assert!(matches!(take(ours.as_raw_fd()), Err(RequestError::NotInherited { .. })));
        for number in [-1, 0, 2, 9999] {
            assert!(matches!(take(number), Err(RequestError::NotInherited { .. })), "{number}");
        }
    }

    #[test]
    fn an_inherited_fd_that_is_no_display_is_refused_once_and_closed() {
        let inherited = nix::unistd::dup(File::open("/dev/null").unwrap()).unwrap().into_raw_fd();
        assert!(matches!(take(inherited), Err(RequestError::NotADisplay { .. })));
    }
}
