//! What became of a frame, and why a vblank was missed, from the stamps of the frame that should have made it.

use super::record::Frame;
use crate::time::Span;

/// Who is to blame for a missed vblank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The thread woke too late.
    WokeLate,
    /// It woke, and was kept from latching the pose.
    LatchLate,
    /// The picture took longer to draw than was set aside for it.
    GpuLate,
    /// Handing the drawn picture to the kernel took too long.
    CommitLate,
    /// Handed over in time and shown late all the same.
    KernelLate,
    /// Handed over in time, and the lease was gone before it came on.
    LeaseLost,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It came on at its vblank.
    Shown,
    /// It came on at its vblank, with the app's earlier frame and a newer pose: the app was late. No miss.
    AppLate,
    /// It did not.
    Missed(Cause),
}

impl Outcome {
    /// What became of `frame`.
    pub fn of(frame: &Frame) -> Self {
        match frame.missed() {
            0 if frame.rewarped => Self::AppLate,
            0 => Self::Shown,
            _ => Self::Missed(Cause::of(frame)),
        }
    }
}

impl Cause {
    /// All of them, in the order of a frame.
    pub const ALL: [Self; 6] =
        [Self::WokeLate, Self::LatchLate, Self::GpuLate, Self::CommitLate, Self::KernelLate, Self::LeaseLost];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WokeLate => "woke_late",
            Self::LatchLate => "latch_late",
            Self::GpuLate => "gpu_late",
            Self::CommitLate => "commit_late",
            Self::KernelLate => "kernel_late",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// Why `frame` came on at a later vblank than it was meant for.
    ///
    /// What is handed over by the end of its plan and shown late is the kernel's. Else one of its stages took longer than
    /// planned, and the one that overran the most is to blame: together they overran by what the commit was late.
    pub fn of(frame: &Frame) -> Self {
        let late = Self::stages(frame);
        if frame.submit <= frame.plan.commit_by {
            return Self::KernelLate;
        }
        // The first of equals: what came before may have caused what came after.
        late.into_iter()
            .rev()
            .max_by_key(|&(_, overrun)| overrun)
            .map_or(Self::KernelLate, |(cause, _)| cause)
    }

    /// By how much each stage took longer than was planned, from when the one before it ended.
    fn stages(frame: &Frame) -> [(Self, Span); 4] {
        let Frame { plan, wake, latch, drawn, submit, .. } = *frame;
        let woke = wake - plan.wake_by;
        let latched = latch - plan.latch_by;
        let drew = drawn - plan.drawn_by;
        let committed = submit - plan.commit_by;
        [
            (Self::WokeLate, woke),
            (Self::LatchLate, latched - woke),
            (Self::GpuLate, drew - latched),
            (Self::CommitLate, committed - drew),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Plan;
    use super::*;
    use crate::kms::Vblank;
    use crate::time::Instant;
    use proptest::prelude::*;

    /// A frame for the vblank at 11.1 ms that is to wake at 6, latch at 6.05, be drawn at 10.5, and be with the kernel at
    /// 10.7; and came on a vblank late.
    fn frame(wake: i64, latch: i64, drawn: i64, submit: i64) -> Frame {
        let at = |us: i64| Instant::from_ns(us * 1000);
        Frame {
            target: Vblank { sequence: 10, time: at(11_100) },
            flip: Vblank { sequence: 11, time: at(22_200) },
            plan: Plan {
                wake_by: at(6_000),
                latch_by: at(6_050),
                drawn_by: at(10_500),
                commit_by: at(10_700),
                photon: at(20_000),
            },
            planned_wake: at(6_000),
            wake: at(wake),
            latch: at(latch),
            drawn: at(drawn),
            submit: at(submit),
            ..Frame::default()
        }
    }

    #[test]
    fn what_overran_its_plan_the_most_is_the_cause() {
        for (wake, latch, drawn, submit, cause) in [
            (6_010, 6_020, 9_000, 9_100, Cause::KernelLate),
            (6_010, 6_020, 10_600, 10_700, Cause::KernelLate),
            (9_000, 9_010, 11_900, 12_000, Cause::WokeLate),
            (6_010, 9_010, 11_900, 12_000, Cause::LatchLate),
            (6_010, 6_020, 12_000, 12_100, Cause::GpuLate),
            (6_010, 6_020, 10_400, 11_300, Cause::CommitLate),
            // Woken a little late, and drawn for much longer than planned.
            (6_300, 6_310, 12_000, 12_100, Cause::GpuLate),
        ] {
            let frame = frame(wake, latch, drawn, submit);
            assert_eq!(Cause::of(&frame), cause, "{wake} {latch} {drawn} {submit}");
            assert_eq!(Outcome::of(&frame), Outcome::Missed(cause));
        }
    }

    #[test]
    fn a_late_app_is_no_miss() {
        let on_time = Frame { flip: frame(0, 0, 0, 0).target, ..frame(6_010, 6_020, 9_000, 9_100) };
        assert_eq!(Outcome::of(&on_time), Outcome::Shown);
        assert_eq!(Outcome::of(&Frame { rewarped: true, ..on_time }), Outcome::AppLate);
    }

    proptest! {
        #[test]
        fn every_miss_has_one_cause_and_that_stage_was_late(
            wake in 0i64..20_000, latching in 0i64..5_000, drawing in 0i64..10_000, committing in 0i64..5_000
        ) {
            let latch = wake + latching;
            let drawn = latch + drawing;
            let frame = frame(wake, latch, drawn, drawn + committing);
            let Outcome::Missed(cause) = Outcome::of(&frame) else { panic!("it was missed") };
            let overran = Cause::stages(&frame).into_iter().find(|&(stage, _)| stage == cause);
            match overran {
                Some((_, overrun)) => prop_assert!(overrun > Span::ZERO && frame.submit > frame.plan.commit_by),
                None => prop_assert!(cause == Cause::KernelLate && frame.submit <= frame.plan.commit_by),
            }
        }
    }
}
