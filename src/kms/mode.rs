//! Display modes with their true refresh: the pixel clock over the totals, never the kernel's rounded integer.

use drm_ffi::drm_mode_modeinfo;

use crate::time::Span;

/// A display timing.
#[derive(Clone, Copy)]
pub struct Mode {
    pub(super) raw: drm_mode_modeinfo,
}

const FLAG_INTERLACE: u32 = 1 << 4; // DRM_MODE_FLAG_INTERLACE, drm_mode.h
const FLAG_DOUBLE_SCAN: u32 = 1 << 5; // DRM_MODE_FLAG_DBLSCAN
const TYPE_PREFERRED: u32 = 1 << 3; // DRM_MODE_TYPE_PREFERRED

impl Mode {
    pub(super) fn new(raw: drm_mode_modeinfo) -> Self {
        Self { raw }
    }

    /// Visible width in pixels, both eyes of a headset together.
    pub fn width_px(&self) -> u32 {
        self.raw.hdisplay.into()
    }

    /// Visible height in pixels.
    pub fn height_px(&self) -> u32 {
        self.raw.vdisplay.into()
    }

    /// Pixel clock in kHz.
    pub fn clock_khz(&self) -> u32 {
        self.raw.clock
    }

    /// Pixels of a line, blanking included.
    pub fn htotal(&self) -> u32 {
        self.raw.htotal.into()
    }

    /// Lines of a frame, blanking included.
    pub fn vtotal(&self) -> u32 {
        self.raw.vtotal.into()
    }

    /// Whether a CRTC in the one mode is in the other too, whatever they are called.
    pub fn has_timing_of(&self, other: &Self) -> bool {
        let timing = |mode: &drm_mode_modeinfo| {
            let across = [mode.hdisplay, mode.hsync_start, mode.hsync_end, mode.htotal, mode.hskew];
            let down = [mode.vdisplay, mode.vsync_start, mode.vsync_end, mode.vtotal, mode.vscan];
            (mode.clock, across, down, mode.flags)
        };
        timing(&self.raw) == timing(&other.raw)
    }

    /// Whether the monitor prefers it.
    pub fn preferred(&self) -> bool {
        self.raw.type_ & TYPE_PREFERRED != 0
    }

    /// Vblanks per second, exact.
    pub fn hz(&self) -> f64 {
        let (numerator, denominator) = self.rate();
        numerator as f64 / denominator as f64
    }

    /// From one vblank to the next, to the nanosecond.
    pub fn period(&self) -> Span {
        let (numerator, denominator) = self.rate();
        Span::from_ns((denominator as i128 * 1_000_000_000 / numerator.max(1) as i128) as i64)
    }

    /// How long the visible lines take to scan out: the first pixel to the end of the last visible line.
    pub fn active_scanout(&self) -> Span {
        let period = self.period();
        Span::from_ns(period.as_ns() * i64::from(self.raw.vdisplay) / i64::from(self.raw.vtotal.max(1)))
    }

    /// Frames per second as a fraction, corrected like the kernel's `drm_mode_vrefresh` (drm_modes.c).
    fn rate(&self) -> (u64, u64) {
        let mut numerator = u64::from(self.raw.clock) * 1000;
        let mut denominator = u64::from(self.raw.htotal.max(1)) * u64::from(self.raw.vtotal.max(1));
        if self.raw.flags & FLAG_INTERLACE != 0 {
            numerator *= 2;
        }
        if self.raw.flags & FLAG_DOUBLE_SCAN != 0 {
            denominator *= 2;
        }
        if self.raw.vscan > 1 {
            denominator *= u64::from(self.raw.vscan);
        }
        (numerator, denominator)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}x{}@{:.3}", self.width_px(), self.height_px(), self.hz())
    }
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Mode({self})")
    }
}

/// A mode as a user asks for it: `WxH` or `WxH@HZ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModeRequest {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Wanted refresh; the nearest mode within 1 Hz is taken.
    pub hz: Option<f64>,
}

impl std::fmt::Display for ModeRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}x{}", self.width_px, self.height_px)?;
        self.hz.map_or(Ok(()), |hz| write!(formatter, "@{hz}"))
    }
}

impl std::str::FromStr for ModeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a mode: write WxH or WxH@HZ, as in 2160x1200@90");
        let (size, hz) = match text.split_once('@') {
            Some((size, hz)) => (size, Some(hz.parse::<f64>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        let number =
            |digits: &str| digits.parse::<u32>().ok().filter(|n| (1..=16384).contains(n)).ok_or_else(wrong);
        if hz.is_some_and(|hz| !hz.is_finite() || hz <= 0.0) {
            return Err(wrong());
        }
        Ok(Self { width_px: number(width)?, height_px: number(height)?, hz })
    }
}

impl ModeRequest {
    /// The mode that fits: of the right size, and nearest to the wanted refresh, if any is within 1 Hz of it.
    pub fn choose<'a>(&self, modes: &'a [Mode]) -> Option<&'a Mode> {
        let sized = modes
            .iter()
            .filter(|mode| (mode.width_px(), mode.height_px()) == (self.width_px, self.height_px));
        match self.hz {
            None => sized.max_by(|a, b| a.hz().total_cmp(&b.hz())),
            Some(hz) => sized
                .min_by(|a, b| (a.hz() - hz).abs().total_cmp(&(b.hz() - hz).abs()))
                .filter(|mode| (mode.hz() - hz).abs() <= 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vive() -> Mode {
        Mode::new(drm_mode_modeinfo {
            clock: 297_000,
            hdisplay: 2160,
            htotal: 2266,
            vdisplay: 1200,
            vtotal: 1464,
            vrefresh: 90,
            ..Default::default()
        })
    }

    #[test]
    fn the_vive_runs_at_89_527_hz_not_90() {
        assert!((vive().hz() - 89.527_296).abs() < 1e-6, "{}", vive().hz());
        assert_eq!(vive().period(), Span::from_ns(11_169_777));
        assert_eq!(vive().active_scanout(), Span::from_ns(9_155_554));
    }

    #[test]
    fn a_mode_is_known_by_its_timing_alone() {
        let mut named = vive();
        (named.raw.type_, named.raw.vrefresh, named.raw.name[0]) = (TYPE_PREFERRED, 89, 50);
        assert!(vive().has_timing_of(&named));
        let mut slower = vive();
        slower.raw.vtotal += 1;
        assert!(!vive().has_timing_of(&slower));
    }

    #[test]
    fn a_request_takes_the_nearest_rate_within_one_hertz() {
        let modes = [vive()];
        let choose = |text: &str| text.parse::<ModeRequest>().unwrap().choose(&modes).is_some();
        assert!(choose("2160x1200"));
        assert!(choose("2160x1200@90"));
        assert!(!choose("2160x1200@120"));
        assert!(!choose("1080x1200"));
    }

    #[test]
    fn a_request_that_is_no_mode_is_refused() {
        for text in ["", "2160", "0x10", "10x0", "axb", "10x10@", "10x10@-1", "10x10@NaN", "99999x1"] {
            assert!(text.parse::<ModeRequest>().is_err(), "{text}");
        }
    }
}
