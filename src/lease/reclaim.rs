//! What a lessor asks of the kernel: make a lease, end it, turn its panel off.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::kms::commit::{Request, modeset};
use crate::kms::ids::ObjectId;
use crate::kms::{Card, KmsError, LesseeId, Pipeline};

/// Leases pipelines out of a card that this process is master of. The fd is for the lessee alone: while anyone keeps
/// a copy, its death does not end the lease.
pub fn lease_out(card: &Card, pipelines: &[Pipeline]) -> Result<(LesseeId, OwnedFd), KmsError> {
    let objects: Vec<ObjectId> = pipelines.iter().flat_map(Pipeline::objects).collect();
    card.create_lease(&objects)
}

/// Ends a lease, unless the kernel has ended it already. The panel shows the lessee's last frame until it is
/// [turned off](turn_off).
pub fn revoke(card: &Card, lessee: LesseeId) -> Result<(), KmsError> {
    match card.revoke_lease(lessee) {
        // Its last fd was closed (drm_mode_revoke_lease_ioctl, drm_lease.c).
        Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// The commit that will turn a panel off, made while there is time: it takes some hundred calls to make and two to
/// carry out.
pub fn prepare_off(card: &Card, pipeline: &Pipeline) -> Result<Request, KmsError> {
    pipeline.off(card)
}

/// Turns a panel off, and returns when it is.
pub fn turn_off(card: &Card, off: &mut Request) -> Result<(), KmsError> {
    modeset(card, off)
}
