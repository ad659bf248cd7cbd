//! A vblank as the kernel counts and stamps it.

use crate::time::Instant;

/// One vblank of a CRTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vblank {
    /// How many vblanks the CRTC has had; 64 bits, never wraps in practice.
    pub sequence: u64,
    /// When the first pixel after it went out.
    pub time: Instant,
}

impl Vblank {
    /// Widens the 32-bit sequence of a flip event to the 64-bit one nearest to this vblank's.
    pub fn widen(self, sequence: u32) -> u64 {
        let ahead = sequence.wrapping_sub(self.sequence as u32) as i32;
        self.sequence.wrapping_add_signed(i64::from(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_sequence_is_widened_across_the_wrap() {
        let last = Vblank { sequence: 0x1_ffff_fffe, ..Default::default() };
        assert_eq!(last.widen(0xffff_ffff), 0x1_ffff_ffff);
        assert_eq!(last.widen(2), 0x2_0000_0002);
        assert_eq!(last.widen(0xffff_fff0), 0x1_ffff_fff0);
    }
}
