//! Where on the eye's image each colour of a panel pixel comes from, and which directions that image spans.
//!
//! The lens model is the one of Valve's headset configurations ("The JSON File" in the wiki of
//! `ValveSoftware/openvr`). It is evaluated per pixel and per colour: the red and the blue image of one panel pixel
//! can lie tens of pixels apart near the edge.

/// One of a panel pixel's colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Red.
    Red,
    /// Green, which also decides the cutoff for all three.
    Green,
    /// Blue.
    Blue,
}

impl Channel {
    /// All three, in the order in which a pixel stores them.
    pub const ALL: [Self; 3] = [Self::Red, Self::Green, Self::Blue];

    /// The channel's place in [`Channel::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// By which formula a pixel's distance from the lens's centre grows. `r2` is that distance squared, in units of half
/// the panel's width; `k1` to `k5` are the coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "two in a headset, copied when it is read")]
pub enum LensKind {
    /// Not at all: there is no lens data.
    Plain,
    /// `1 + r2*(k1 + r2*(k2 + r2*k3))`
    Poly3,
    /// `1 / (1 + r2*(k1 + r2*(k2 + r2*k3)))`
    Dpoly3,
    /// As [`LensKind::Dpoly3`], then `+ k4`: the Valve Index.
    Dpoly3Scaled,
    /// `k1*r3 + k2*r2 + k3*r + k4 + k5*r4`, of the distance itself. The first four are panotools' a, b, c and d, in its order
    /// and OpenHMD's; Monado's polynomial has a fifth.
    Panotools,
    /// Of high order, not round: the Vive Pro 2.
    HighOrder(HighOrder),
}

/// Radial coefficients of a lens of high order.
pub const HIGH_ORDER_RADIAL: usize = 13;
/// Its tangential ones.
pub const HIGH_ORDER_TANGENTIAL: usize = 6;
/// And those of its thin prism.
pub const HIGH_ORDER_PRISM: usize = 4;

/// HTC's `strengthen_high_order`. Its formula is known from Monado (`htc_strengthen_high_order` in
/// `src/xrt/auxiliary/htc/htc_config.cpp`); HTC has not published it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HighOrder {
    /// Red, green and blue.
    pub channels: [HighOrderChannel; 3],
    /// Units of the formula for half the panel's width.
    pub unit: f64,
    /// From the formula's result to the eye's image: (u, v) of its 0, and (u, v) for 1.
    pub onto: [[f64; 2]; 2],
}

/// One colour's polynomials. HTC's have y up; here it is down, as everywhere, and signs are as that asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HighOrderChannel {
    /// `k0` to `k12`, of the radius.
    pub radial: [f64; HIGH_ORDER_RADIAL],
    /// `p1` to `p6`: three of the radius squared across, three down.
    pub tangential: [f64; HIGH_ORDER_TANGENTIAL],
    /// `s1` to `s4`: two of the radius squared across, two down.
    pub prism: [f64; HIGH_ORDER_PRISM],
}

impl HighOrder {
    /// Where a panel place ends up; both from the lens's centre, in units of the formula.
    fn bend(&self, channel: Channel, [x, y]: [f64; 2]) -> [f64; 2] {
        let HighOrderChannel { radial, tangential: [p1, p2, p3, p4, p5, p6], prism: [s1, s2, s3, s4] } =
            self.channels[channel.index()];
        let r2 = x * x + y * y;
        let factor = radial.iter().rev().fold(0.0, |sum, coeff| sum * r2.sqrt() + coeff);
        let across = p1 + p2 * r2 + p3 * r2 * r2;
        let down = p4 + p5 * r2 + p6 * r2 * r2;
        [
            x * factor + (3.0 * x * x + y * y) * across + 2.0 * x * y * down + s1 * r2 + s2 * r2 * r2,
            y * factor + 2.0 * x * y * across + (x * x + 3.0 * y * y) * down + s3 * r2 + s4 * r2 * r2,
        ]
    }
}

impl LensKind {
    /// The name a headset's configuration has for it; `none` when plain.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Poly3 => "DISTORT_POLY3",
            Self::Dpoly3 => "DISTORT_DPOLY3",
            Self::Dpoly3Scaled => "DISTORT_DPOLY3_SCALED",
            Self::Panotools => "PANOTOOLS",
            Self::HighOrder(_) => "strengthen_high_order",
        }
    }

    /// How many of [`ChannelLens::coeffs`] the formula uses.
    pub fn coefficients(&self) -> usize {
        match self {
            Self::Plain | Self::HighOrder(_) => 0,
            Self::Poly3 | Self::Dpoly3 => 3,
            Self::Dpoly3Scaled => 4,
            Self::Panotools => 5,
        }
    }

    /// The factor at `r2`; None where the formula has left the lens: the polynomial is zero or below, which for the
    /// rational kinds is its pole and beyond.
    fn factor(&self, [k1, k2, k3, k4, k5]: [f64; 5], r2: f64) -> Option<f64> {
        let polynomial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        match self {
            Self::Plain | Self::HighOrder(_) => Some(1.0),
            Self::Panotools => {
                let r = r2.sqrt();
                Some((((k5 * r + k1) * r + k2) * r + k3) * r + k4)
            }
            _ if polynomial <= 0.0 => None,
            Self::Poly3 => Some(polynomial),
            Self::Dpoly3 => Some(1.0 / polynomial),
            Self::Dpoly3Scaled => Some(1.0 / polynomial + k4),
        }
    }
}

/// The lens as one colour sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChannelLens {
    /// The lens's centre from the panel's, x right and y down, both in units of half the panel's width.
    pub center: [f64; 2],
    /// `k1` to `k5`; those that the [`LensKind`] does not use are zero.
    pub coeffs: [f64; 5],
}

/// One eye's lens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// The formula.
    pub kind: LensKind,
    /// Its numbers for red, green and blue; [`Lens::channel`] picks one.
    pub channels: [ChannelLens; 3],
    /// How much larger than the panel the eye's image is on each side, so that there is something to show where the
    /// lens reaches outwards. Above -1; 0.6 is usual.
    pub grow: f64,
    /// The eye's panel width divided by its height, above 0.
    pub aspect_x_over_y: f64,
    /// Beyond this `r2` of green the panel stays dark; None lights all of it.
    pub cutoff_r2: Option<f64>,
}

impl Lens {
    /// No lens at all: each panel pixel shows the eye's image at the same place.
    pub fn plain(aspect_x_over_y: f64) -> Self {
        Self {
            kind: LensKind::Plain,
            channels: [ChannelLens::default(); 3],
            grow: 0.0,
            aspect_x_over_y,
            cutoff_r2: None,
        }
    }

    /// The name of the formula; see [`LensKind::name`].
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// The lens's numbers for one colour.
    pub fn channel(&self, channel: Channel) -> &ChannelLens {
        &self.channels[channel.index()]
    }

    /// Which place of the eye's image the panel shows at `panel_uv`. Both are 0 to 1 across this eye's part, from
    /// its top left corner, y down. None where the pixel is dark: beyond the cutoff, past the formula's pole, or
    /// outside the eye's image.
    ///
    /// Green alone decides the cutoff, or the edge of the picture would have a coloured rim.
    pub fn eye_uv(&self, channel: Channel, panel_uv: [f64; 2]) -> Option<[f64; 2]> {
        self.look(channel, panel_uv).filter(|uv| uv.iter().all(|part| (0.0..=1.0).contains(part)))
    }

    /// As [`eye_uv`](Self::eye_uv), and beyond the edges of the eye's image too, where a turned head may find something
    /// to look at.
    pub fn look(&self, channel: Channel, panel_uv: [f64; 2]) -> Option<[f64; 2]> {
        let (_, green_r2) = self.offset_from_center(Channel::Green, panel_uv);
        if self.cutoff_r2.is_some_and(|cutoff| green_r2 > cutoff) {
            return None;
        }
        let (place, r2) = self.offset_from_center(channel, panel_uv);
        let [x, y] = match &self.kind {
            LensKind::HighOrder(high) => high.bend(channel, place.map(|part| part * high.unit)),
            kind => {
                let factor = kind.factor(self.channel(channel).coeffs, r2)?;
                place.map(|part| part * factor)
            }
        };
        let [to_x, to_y, origin] = self.to_uv(channel);
        Some([origin[0] + x * to_x[0], origin[1] + y * to_y[1]])
    }

    /// Takes what the formula yields, (x, y, 1), to (u, v, 1) of the eye's image: the columns of a matrix.
    pub fn to_uv(&self, channel: Channel) -> [[f64; 3]; 3] {
        let [origin, scale] = match &self.kind {
            LensKind::HighOrder(high) => high.onto,
            _ => {
                let [center_x, center_y] = self.channel(channel).center;
                let x = 0.5 / (1.0 + self.grow);
                let y = x * self.aspect_x_over_y;
                [[0.5 + center_x * x, 0.5 + center_y * y], [x, y]]
            }
        };
        [[scale[0], 0.0, 0.0], [0.0, scale[1], 0.0], [origin[0], origin[1], 1.0]]
    }

    /// How far the farthest corner of the panel, or of its visible part, is from the lens's centre, in units of half the
    /// panel's width.
    pub fn reach(&self) -> f64 {
        let corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
        let r2 = corners.map(|corner| self.offset_from_center(Channel::Green, corner).1);
        r2.into_iter().fold(0.0, f64::max).min(self.cutoff_r2.unwrap_or(f64::MAX)).sqrt()
    }

    /// All of a colour's coefficients, in the order of the headset's configuration.
    pub fn coefficients(&self, channel: Channel) -> Vec<f64> {
        match &self.kind {
            LensKind::HighOrder(high) => {
                let HighOrderChannel { radial, tangential, prism } = high.channels[channel.index()];
                radial.into_iter().chain(tangential).chain(prism).collect()
            }
            kind => self.channel(channel).coeffs[..kind.coefficients()].to_vec(),
        }
    }

    /// A panel place from the lens's centre, in units of half the panel's width, and its distance squared.
    fn offset_from_center(&self, channel: Channel, [u, v]: [f64; 2]) -> ([f64; 2], f64) {
        let [center_x, center_y] = self.channel(channel).center;
        let x = 2.0 * u - 1.0 - center_x;
        let y = (2.0 * v - 1.0) / self.aspect_x_over_y - center_y;
        ([x, y], x * x + y * y)
    }
}

/// The directions an eye's image spans: the tangents of the angles from straight ahead to each of its edges.
/// Left and down are negative in all headsets seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tangents {
    /// At the left edge.
    pub left: f64,
    /// At the right edge, above `left`.
    pub right: f64,
    /// At the top edge, above `down`.
    pub up: f64,
    /// At the bottom edge.
    pub down: f64,
}

impl Tangents {
    /// The span of the whole eye image. `focal` and `center` are the intrinsics `[fx, fy]` (above 0) and `[cx, cy]`
    /// of the ungrown image, where a point `(X, Y, Z)` lands on `x = (fx*X + cx*Z) / -Z`, y up, edges at -1 and 1;
    /// the grown image's edges are at `1 + grow`.
    pub fn from_intrinsics(focal: [f64; 2], center: [f64; 2], grow: f64) -> Self {
        let edge = 1.0 + grow;
        Self {
            left: (center[0] - edge) / focal[0],
            right: (center[0] + edge) / focal[0],
            up: (center[1] + edge) / focal[1],
            down: (center[1] - edge) / focal[1],
        }
    }

    /// Left, right, up and down as angles in degrees.
    pub fn degrees(&self) -> [f64; 4] {
        [self.left, self.right, self.up, self.down].map(|tangent| tangent.atan().to_degrees())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn made_up(kind: LensKind) -> Lens {
        let channel = |k1| ChannelLens { center: [0.1, -0.02], coeffs: [k1, -0.02, -0.05, 0.01, 0.03] };
        Lens {
            kind,
            channels: [channel(-0.19), channel(-0.22), channel(-0.25)],
            grow: 0.6,
            aspect_x_over_y: 0.8,
            cutoff_r2: Some(1.1),
        }
    }

    fn close(found: Option<[f64; 2]>, expected: [f64; 2]) -> bool {
        found.is_some_and(|uv| uv.iter().zip(expected).all(|(part, want)| (part - want).abs() < 1e-12))
    }

    #[test]
    fn a_plain_lens_changes_nothing_and_lights_every_corner() {
        let lens = Lens::plain(0.9);
        for uv in [[0.0, 0.0], [1.0, 1.0], [0.25, 0.75]] {
            assert!(close(lens.eye_uv(Channel::Blue, uv), uv), "{uv:?}");
        }
    }

    #[test]
    fn each_formula_by_hand() {
        // At u = 0.8, v = 0.7: x = 0.6 - 0.1, y = 0.4 / 0.8 + 0.02, r2 = 0.25 + 0.2704.
        let polynomial = 1.0 + 0.5204 * (-0.22 + 0.5204 * (-0.02 + 0.5204 * -0.05));
        let at =
            |factor: f64| [0.5 + (0.5 * factor + 0.1) * 0.3125, 0.5 + (0.52 * factor - 0.02) * 0.3125 * 0.8];
        let uv = |kind| made_up(kind).eye_uv(Channel::Green, [0.8, 0.7]);
        assert!(close(uv(LensKind::Poly3), at(polynomial)));
        assert!(close(uv(LensKind::Dpoly3), at(1.0 / polynomial)));
        assert!(close(uv(LensKind::Dpoly3Scaled), at(1.0 / polynomial + 0.01)));
        let r = 0.5204f64.sqrt();
        let panotools = 0.01 - 0.05 * r - 0.02 * r * r - 0.22 * r.powi(3) + 0.03 * r.powi(4);
        assert!(close(uv(LensKind::Panotools), at(panotools)));
    }

    #[test]
    fn dark_beyond_the_cutoff_and_past_the_pole() {
        let mut lens = made_up(LensKind::Dpoly3);
        assert_eq!(lens.eye_uv(Channel::Green, [0.0, 0.0]), None);
        lens.cutoff_r2 = None;
        lens.channels[1].coeffs = [-2.0, 0.0, 0.0, 0.0, 0.0]; // its pole is at r2 = 0.5
        assert!(lens.eye_uv(Channel::Green, [0.6, 0.5]).is_some());
        assert_eq!(lens.eye_uv(Channel::Green, [0.95, 0.5]), None);
    }

    #[test]
    fn green_alone_decides_the_cutoff() {
        let mut lens = made_up(LensKind::Dpoly3);
        lens.channels[0].center = [-0.8, 0.0]; // red's centre is far off, its r2 above the cutoff here
        assert!(lens.eye_uv(Channel::Red, [0.7, 0.5]).is_some());
    }

    #[test]
    fn tangents_by_hand() {
        let tangents = Tangents::from_intrinsics([1.25, 1.0], [-0.25, 0.5], 0.5);
        assert_eq!(tangents, Tangents { left: -1.4, right: 1.0, up: 2.0, down: -1.0 });
        assert_eq!(
            Tangents { left: -1.0, right: 1.0, up: 0.0, down: 0.0 }.degrees(),
            [-45.0, 45.0, 0.0, 0.0]
        );
    }

    proptest! {
        /// Colours differ along the line through the lens's centre only, and blue lies outermost.
        #[test]
        fn colours_spread_outwards(u in 0.0..1.0f64, v in 0.0..1.0f64) {
            let lens = made_up(LensKind::Dpoly3);
            let center = lens.channel(Channel::Green).center;
            let origin = [0.5 + center[0] * 0.3125, 0.5 + center[1] * 0.3125 * 0.8];
            let radius = |channel| {
                let uv = lens.eye_uv(channel, [u, v])?;
                Some((uv[0] - origin[0]).hypot((uv[1] - origin[1]) / 0.8))
            };
            if let (Some(red), Some(green), Some(blue)) =
                (radius(Channel::Red), radius(Channel::Green), radius(Channel::Blue))
            {
                prop_assert!(red <= green && green <= blue);
            }
        }
    }
}
