//! When the pose is read that a picture is turned to, and how the device waits for it.

use super::composite::Pass;
use super::pose::{Pose, Seen};
use crate::vulkan::VulkanError;

/// When the pose is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latch {
    /// Before the pass is given to the device.
    #[default]
    BeforeSubmit,
    /// After: the pass waits on the device until the pose is there, which is later by what giving it costs. How near to the
    /// device it waits is the driver's: one that keeps such work back until it may begin gains nothing.
    AfterSubmit,
}

impl std::str::FromStr for Latch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "before-submit" => Ok(Self::BeforeSubmit),
            "after-submit" => Ok(Self::AfterSubmit),
            _ => Err(format!("'{text}' is no moment to read the pose: write before-submit or after-submit")),
        }
    }
}

/// What a pass is told as late as can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latched {
    /// From where its images were rendered.
    pub rendered: Pose,
    /// From where they will be seen.
    pub shown: Seen,
    /// The how manieth frame it is.
    pub number: u64,
}

/// A pass that was submitted and waits behind its gate. Whatever way it is left, the device is not left waiting.
pub(super) struct Waiting<'a> {
    pass: &'a mut Pass,
    let_through: bool,
}

impl<'a> Waiting<'a> {
    /// Submits a pass behind its gate.
    pub fn submit(pass: &'a mut Pass) -> Result<Self, VulkanError> {
        pass.submit_behind_gate()?;
        Ok(Self { pass, let_through: false })
    }

    /// Tells the pass, lets it through, and waits until its target is done.
    pub fn let_through(mut self, latched: Latched) -> Result<(), VulkanError> {
        self.pass.tell(latched);
        self.let_through = true;
        self.pass.open_gate()?;
        self.pass.wait()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.let_through {
            // With the pose of the frame before: it is not going to be shown.
            let _ = self.pass.open_gate().and_then(|()| self.pass.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_names() {
        assert_eq!("after-submit".parse(), Ok(Latch::AfterSubmit));
        assert_eq!("before-submit".parse(), Ok(Latch::BeforeSubmit));
        assert!("late".parse::<Latch>().unwrap_err().contains("after-submit"));
    }
}
