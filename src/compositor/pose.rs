//! Where the head looks.

use glam::{DQuat, DVec3, EulerRot};

use crate::time::Instant;

/// An orientation of the head. X is right, Y up, and it looks along negative Z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// The rotation from head to room, as a unit quaternion x, y, z, w.
    pub orientation: [f64; 4],
}

impl Pose {
    /// Straight ahead.
    pub const AHEAD: Self = Self { orientation: [0.0, 0.0, 0.0, 1.0] };

    /// Turned by so many degrees: yaw to the left, then pitch up, then roll with the left ear down, each about the
    /// axis as the earlier ones left it.
    pub fn from_degrees(yaw: f64, pitch: f64, roll: f64) -> Self {
        let turn = DQuat::from_euler(EulerRot::YXZ, yaw.to_radians(), pitch.to_radians(), roll.to_radians());
        Self { orientation: turn.to_array() }
    }

    /// Takes a direction or a place in the head's space to the room's.
    pub fn to_room(self, in_head: [f64; 3]) -> [f64; 3] {
        (DQuat::from_array(self.orientation) * DVec3::from_array(in_head)).to_array()
    }

    /// The rotation that takes a direction seen from this pose to the same direction seen from `other`.
    pub(super) fn seen_from(self, other: Self) -> DQuat {
        let (own, other) = (DQuat::from_array(self.orientation), DQuat::from_array(other.orientation));
        // For equal poses exactly no turn at all, so that an unturned picture is not resampled.
        if own == other { DQuat::IDENTITY } else { other.inverse() * own }
    }
}

impl Default for Pose {
    fn default() -> Self {
        Self::AHEAD
    }
}

/// From where the lines of a picture are seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// All from one pose: they light up together.
    AtOnce(Pose),
    /// Each from its own, for they light up one after the other: the poses at the first, the middle one and the last.
    /// Those between follow a parabola. Of a head that turns by 600 degrees a second, which few ever do, that is within
    /// a twentieth of a pixel; a straight line through two poses is not within one.
    LineByLine([Pose; 3]),
}

impl Seen {
    /// From where the middle line is.
    pub fn middle(self) -> Pose {
        match self {
            Self::AtOnce(pose) | Self::LineByLine([_, pose, _]) => pose,
        }
    }
}

impl From<Pose> for Seen {
    fn from(pose: Pose) -> Self {
        Self::AtOnce(pose)
    }
}

/// Says where the head looks at a given time, as near as can be told when asked.
///
/// The loop and the application both ask, each on its own thread.
pub trait PoseSource: std::fmt::Debug + Send + Sync {
    /// The pose expected at `photon`. Called in the loop: must not block or allocate.
    fn pose_at(&self, photon: Instant) -> Pose;
}

/// A head that never turns: for want of anything that tells.
#[derive(Clone, Copy, Debug)]
pub struct Ahead;

impl PoseSource for Ahead {
    fn pose_at(&self, _photon: Instant) -> Pose {
        Pose::AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_positive_yaw_turns_left() {
        let left = Pose::from_degrees(90.0, 0.0, 0.0);
        // What is straight ahead after turning left was at the left before.
        let before = left.seen_from(Pose::AHEAD) * DVec3::NEG_Z;
        assert!((before - DVec3::NEG_X).length() < 1e-12, "{before}");
        assert!((DVec3::from_array(left.to_room([0.0, 0.0, -1.0])) - DVec3::NEG_X).length() < 1e-12);
    }
}
