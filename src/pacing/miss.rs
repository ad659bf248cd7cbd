//! Why a vblank was missed, from the stamps of the frame that should have made it.

use super::record::Frame;

/// Who is to blame for a missed vblank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The thread woke too late to have made it.
    WokeLate,
    /// The composite took longer than was set aside for it.
    GpuLate,
    /// Drawn in time, but handed to the kernel after the vblank.
    CommitLate,
    /// Handed over in time and shown late all the same.
    KernelLate,
}

impl Cause {
    /// All of them, in the order of a frame.
    pub const ALL: [Self; 4] = [Self::WokeLate, Self::GpuLate, Self::CommitLate, Self::KernelLate];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WokeLate => "woke_late",
            Self::GpuLate => "gpu_late",
            Self::CommitLate => "commit_late",
            Self::KernelLate => "kernel_late",
        }
    }

    /// Why `frame` came on at a later vblank than it was meant for.
    pub fn of(frame: &Frame) -> Self {
        let overrun = frame.submit - frame.target.time;
        if overrun.as_ns() <= 0 {
            Self::KernelLate
        } else if frame.wake - frame.planned_wake >= overrun {
            Self::WokeLate
        } else if frame.drawn > frame.target.time {
            Self::GpuLate
        } else {
            Self::CommitLate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::Vblank;
    use crate::time::Instant;

    fn frame(planned_wake: i64, wake: i64, drawn: i64, submit: i64) -> Frame {
        let at = |us: i64| Instant::from_ns(us * 1000);
        Frame {
            target: Vblank { sequence: 10, time: at(11_000) },
            planned_wake: at(planned_wake),
            wake: at(wake),
            latch: at(wake + 10),
            drawn: at(drawn),
            submit: at(submit),
            ..Frame::default()
        }
    }

    #[test]
    fn the_first_thing_that_went_wrong_is_the_cause() {
        assert_eq!(Cause::of(&frame(6_000, 6_050, 9_000, 9_100)), Cause::KernelLate);
        assert_eq!(Cause::of(&frame(6_000, 9_000, 11_900, 12_000)), Cause::WokeLate);
        assert_eq!(Cause::of(&frame(6_000, 6_050, 12_000, 12_100)), Cause::GpuLate);
        assert_eq!(Cause::of(&frame(6_000, 6_050, 10_900, 11_100)), Cause::CommitLate);
    }
}
