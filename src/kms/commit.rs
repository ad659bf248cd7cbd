//! Atomic commits: a set of property values that the kernel takes whole or not at all.

use std::os::fd::AsFd;

use super::card::Card;
use super::error::KmsError;
use super::ids::{ObjectId, PropertyId};
use super::ioctl;

/// Property values for one atomic commit. Built once and changed in place, so that a commit allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Request {
    // The kernel's own layout (struct drm_mode_atomic): objects, how many properties each has, then all of those.
    pub(super) objects: Vec<u32>,
    pub(super) counts: Vec<u32>,
    pub(super) properties: Vec<u32>,
    pub(super) values: Vec<u64>,
}

impl Request {
    /// A commit that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a property. All properties of one object are set one after the other.
    ///
    /// # Panics
    /// In a debug build, when an object's properties are not set one after the other.
    pub fn set(&mut self, object: impl Into<ObjectId>, property: PropertyId, value: u64) -> &mut Self {
        let object = object.into().raw();
        if self.objects.last() == Some(&object) {
            *self.counts.last_mut().expect("one count for each object") += 1;
        } else {
            debug_assert!(!self.objects.contains(&object), "properties of object {object} are not together");
            self.objects.push(object);
            self.counts.push(1);
        }
        self.properties.push(property.raw());
        self.values.push(value);
        self
    }

    /// Changes a value set before.
    ///
    /// # Panics
    /// When that property of that object was never set.
    pub fn change(&mut self, object: impl Into<ObjectId>, property: PropertyId, value: u64) {
        let object = object.into().raw();
        let index =
            self.objects.iter().position(|&known| known == object).expect("the object was set before");
        let start: u32 = self.counts[..index].iter().sum();
        let range = start as usize..(start + self.counts[index]) as usize;
        let offset = self.properties[range.clone()].iter().position(|&known| known == property.raw());
        self.values[range.start + offset.expect("the property was set before")] = value;
    }
}

/// How a commit is made (`DRM_MODE_ATOMIC_*`, `DRM_MODE_PAGE_FLIP_EVENT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitFlags(u32);

impl CommitFlags {
    /// Checks whether the commit would be taken, and changes nothing.
    pub const TEST_ONLY: Self = Self(0x0100);
    /// Takes effect before the call returns, and may switch modes, CRTCs and links.
    pub const MODESET: Self = Self(0x0400);
    /// Takes effect at the next vblank, and the call returns then. Switches no mode.
    pub const AT_VBLANK: Self = Self(0);
    /// Returns at once; takes effect at the next vblank and says so with a flip event.
    pub const FLIP: Self = Self(0x0200 | 0x01);

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Commits. `user_data` comes back in the flip event, if one was asked for.
///
/// # Errors
/// When an object is not this fd's (`ENOENT`), the fd or its lessor is not master (`EACCES`), a flip is under way
/// (`EBUSY`), or the hardware cannot show it (`EINVAL`).
pub fn commit(
    card: &Card,
    flags: CommitFlags,
    request: &mut Request,
    user_data: u64,
) -> Result<(), KmsError> {
    let operation = match flags {
        CommitFlags::FLIP => "flip",
        CommitFlags::TEST_ONLY => "test a commit on",
        _ => "commit to",
    };
    ioctl::atomic_commit(card.as_fd(), flags.0, request, user_data)
        .map_err(|errno| KmsError::call(operation, card.name(), errno))
}

/// Sets a mode or turns a display off: asks with `TEST_ONLY` first, so that a refusal changes nothing.
///
/// # Errors
/// As [`commit`], and in the test as a rule, where nothing has been changed.
pub fn modeset(card: &Card, request: &mut Request) -> Result<(), KmsError> {
    commit(card, CommitFlags::TEST_ONLY.and(CommitFlags::MODESET), request, 0)?;
    commit(card, CommitFlags::MODESET, request, 0)
}

#[cfg(test)]
mod tests {
    use super::super::ids::{CrtcId, PlaneId};
    use super::*;

    #[test]
    fn a_value_is_changed_where_it_was_set() {
        let (crtc, plane) = (CrtcId::new(5).unwrap(), PlaneId::new(6).unwrap());
        let (active, framebuffer) = (PropertyId::new(1).unwrap(), PropertyId::new(2).unwrap());
        let mut request = Request::new();
        request.set(crtc, active, 1).set(plane, active, 7).set(plane, framebuffer, 8);
        request.change(plane, framebuffer, 9);
        assert_eq!(request.objects, [5, 6]);
        assert_eq!(request.counts, [1, 2]);
        assert_eq!(request.values, [1, 7, 9]);
    }
}
