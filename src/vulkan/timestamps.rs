//! When the device worked on something, by its own counter, and what that counter says on the kernel's clock.

use std::sync::Arc;

use ash::vk;

use super::device::Device;
use super::error::{Context, VulkanError};
use crate::time::{Instant, Span};

/// A pair of stamps around a recording.
pub struct Timestamps {
    device: Arc<Device>,
    pool: vk::QueryPool,
}

/// How many stamps there are.
const STAMPS: u32 = 2;

impl Timestamps {
    /// Two stamps not taken yet; `None` where the device's queue has no counter.
    ///
    /// # Errors
    /// When the driver has no memory left for them.
    pub fn new(device: &Arc<Device>) -> Result<Option<Self>, VulkanError> {
        if device.counter.mask == 0 {
            return Ok(None);
        }
        let info =
            vk::QueryPoolCreateInfo::default().query_type(vk::QueryType::TIMESTAMP).query_count(STAMPS);
        // SAFETY: the description is complete; what is created is owned at once.
        let pool = unsafe { device.raw.create_query_pool(&info, None) }.during("create a query pool")?;
        Ok(Some(Self { device: device.clone(), pool }))
    }

    /// Records that the first stamp is taken before what comes next.
    pub(super) fn begin(&self, commands: vk::CommandBuffer) {
        // SAFETY: recording, outside of a render pass; the pool outlives the recording's use (module rule). Stage NONE is
        // the top of the pipe.
        unsafe {
            self.device.raw.cmd_reset_query_pool(commands, self.pool, 0, STAMPS);
            self.device.raw.cmd_write_timestamp2(commands, vk::PipelineStageFlags2::NONE, self.pool, 0);
        }
    }

    /// Records that the second is taken when all before it is done.
    pub(super) fn end(&self, commands: vk::CommandBuffer) {
        let stage = vk::PipelineStageFlags2::ALL_COMMANDS;
        // SAFETY: as above.
        unsafe { self.device.raw.cmd_write_timestamp2(commands, stage, self.pool, 1) };
    }

    /// Both stamps of a run that was waited for, in ticks. Neither waits nor allocates; `None` if the driver has none yet.
    pub fn ticks(&self) -> Option<[u64; 2]> {
        let mut ticks = [0u64; STAMPS as usize];
        // SAFETY: the array has room for all stamps at 64 bits each.
        let read = unsafe {
            self.device.raw.get_query_pool_results(self.pool, 0, &mut ticks, vk::QueryResultFlags::TYPE_64)
        };
        read.ok().map(|()| ticks)
    }
}

impl Drop for Timestamps {
    fn drop(&mut self) {
        // SAFETY: owned by a command buffer, which waited for its work before its fields are dropped.
        unsafe { self.device.raw.destroy_query_pool(self.pool, None) };
    }
}

/// A device's counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counter {
    /// Its valid bits; 0 where there is none.
    pub mask: u64,
    /// Nanoseconds of a tick.
    pub period_ns: f64,
}

/// One moment, on the device's counter and on `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// The counter.
    pub counter: Counter,
    /// What it said.
    pub ticks: u64,
    /// When.
    pub at: Instant,
    /// By how much that may be wrong.
    pub deviation: Span,
}

impl Counter {
    /// How long it took to count from one stamp to another, which is later by less than the counter's whole range.
    pub fn between(&self, from: u64, to: u64) -> Span {
        let ticks = to.wrapping_sub(from) & self.mask;
        Span::from_ns((ticks as f64 * self.period_ns).round() as i64)
    }
}

impl Calibration {
    /// When the counter said `ticks`, within half its range of the calibration.
    pub fn instant(&self, ticks: u64) -> Instant {
        let after = ticks.wrapping_sub(self.ticks) & self.counter.mask;
        if after > self.counter.mask / 2 {
            self.at - self.counter.between(ticks, self.ticks)
        } else {
            self.at + self.counter.between(self.ticks, ticks)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_runs_over_still_tells_the_time() {
        let counter = Counter { mask: (1 << 36) - 1, period_ns: 10.0 };
        let at = Instant::from_ns(1_000_000_000);
        let calibration = Calibration { counter, ticks: 5, at, deviation: Span::ZERO };
        assert_eq!(calibration.instant(105), at + Span::from_us(1));
        assert_eq!(calibration.instant(counter.mask - 94), at - Span::from_us(1), "just before it ran over");
        assert_eq!(counter.between(counter.mask - 94, 5), Span::from_us(1));
    }
}
