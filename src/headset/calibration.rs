//! Finds a panel's mura map in photographs of it.
//!
//! A pixel that is off by so many codes at one gray level is off by about as many at each (US patent 10,553,142), so one
//! number a pixel is looked for: what to add to its code. The panel's light is taken to grow with a power of the code, the
//! same power for all pixels.

mod capture;

pub use capture::{Capture, CaptureName};

use crate::error::{Class, Classified};

/// What a texel's range of 1 is worth in maps that are made here: as a Vive's.
pub const SCALE: f64 = 0.125;
/// Added to a texel in its range of 1: as a Vive's.
pub const OFFSET: f64 = -127.0 / 255.0;

/// Powers that a panel can have.
const GAMMAS: std::ops::RangeInclusive<f64> = 1.0..=4.0;

/// A level whose noise nobody can tell, for want of a second shot, counts as this noisy, as a share of its light.
const UNKNOWN_NOISE: f64 = 0.01;

/// A pixel that is this dark beside its panel has no light that could be measured.
const DARKEST: f64 = 0.05;

/// How many standard deviations off a level may be before it counts for half.
const OUTLIER: f64 = 3.0;

/// Why no map can be found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// A capture is no picture that can be used.
    #[error("capture {name}: {cause}; a capture is a PNG in 8- or 16-bit gray, one pixel a panel pixel")]
    Capture {
        /// Its file's name.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A name that tells no level.
    #[error(
        "capture {name}: its name should be left-064.png or right-128-2.png: the eye, the gray's code from 0 to 255 in three \
         digits and, from the second shot on, the shot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// An eye was not photographed.
    #[error(
        "the {eye} eye has no capture of a gray above black; photograph both eyes, at two levels or more each"
    )]
    Missing {
        /// Which eye.
        eye: &'static str,
    },
    /// The panel's gamma is not to be had.
    #[error(
        "the {eye} eye's gamma cannot be found ({why}); give it with --gamma, or photograph two levels or more at one exposure, \
         with a camera whose values grow with the light"
    )]
    Gamma {
        /// Which eye.
        eye: &'static str,
        /// What stands in the way.
        why: String,
    },
    /// A level that is too dark or too bright to be of use.
    #[error(
        "the {eye} eye's captures of code {code} are {fault}: expose them so that most of the picture is neither"
    )]
    Exposure {
        /// Which eye.
        eye: &'static str,
        /// The level.
        code: u8,
        /// Black, or white.
        fault: &'static str,
    },
}

impl Classified for CalibrationError {
    fn class(&self) -> Class {
        Class::Config
    }
}

/// One eye's map, and how well it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Texels, row by row from the top left, for maps of [`SCALE`] and [`OFFSET`].
    pub texels: Vec<u8>,
    /// The power with which the panel's light grows.
    pub gamma: f64,
    /// The panel's error, standard deviation in 8-bit codes.
    pub sigma_codes: f64,
    /// How far the camera's noise may have put each texel off, standard deviation in 8-bit codes.
    pub noise_codes: f64,
    /// Pixels that no level shows: they are left as they are.
    pub unseen: usize,
    /// Pixels that are off by more than a map can say.
    pub clipped: usize,
}

/// Finds the map of an eye in its captures, all of one size. Without a `gamma` it is found from how bright the levels are,
/// which takes two levels or more at one exposure.
///
/// # Errors
/// When there is no level above black, one is under- or overexposed, or the gamma cannot be found.
pub fn fit(
    eye: &'static str,
    captures: &[Capture],
    gamma: Option<f64>,
) -> Result<Calibration, CalibrationError> {
    let dark = average(&shots(captures, 0)).map(|level| level.light);
    let mut codes: Vec<u8> = captures.iter().map(|capture| capture.code).filter(|code| *code > 0).collect();
    codes.sort_unstable();
    codes.dedup();
    let levels =
        codes.into_iter().filter_map(|code| average(&shots(captures, code)).map(|level| (code, level)));
    let levels = levels
        .map(|(code, level)| Level::new(eye, code, level, dark.as_deref()))
        .collect::<Result<Vec<_>, _>>()?;
    if levels.is_empty() {
        return Err(CalibrationError::Missing { eye });
    }
    let gamma = match gamma {
        Some(gamma) => gamma,
        None => find_gamma(eye, &levels)?,
    };
    Ok(find_map(&levels, gamma))
}

fn shots(captures: &[Capture], code: u8) -> Vec<&Capture> {
    captures.iter().filter(|capture| capture.code == code).collect()
}

/// A level's shots in one.
#[derive(Debug)]
struct Average {
    /// Each pixel's light; infinite where the camera saw white.
    light: Vec<f32>,
    /// Variance of the camera's noise in it.
    noise: f64,
    is_noise_known: bool,
}

/// All shots in one, brought to the first one's brightness. None when there is none.
fn average(shots: &[&Capture]) -> Option<Average> {
    let first = shots.first()?;
    let brightness = median(first.samples.iter().map(|sample| f32::from(*sample)));
    let scaled: Vec<Vec<f32>> = shots
        .iter()
        .map(|shot| {
            let own = median(shot.samples.iter().map(|sample| f32::from(*sample)));
            let scale = if own > 0.0 { brightness / own } else { 1.0 };
            let light =
                |sample: &u16| if *sample == u16::MAX { f32::INFINITY } else { f32::from(*sample) * scale };
            shot.samples.iter().map(light).collect()
        })
        .collect();
    let count = scaled.len();
    let mut values = vec![0.0; count];
    let light = (0..first.samples.len()).map(|pixel| {
        values.iter_mut().zip(&scaled).for_each(|(value, shot)| *value = shot[pixel]);
        // Of three or more, those next to the middle: what passed before the camera once is out.
        values.sort_unstable_by(f32::total_cmp);
        let middle = if count > 2 { &values[(count - 1) / 3..count - (count - 1) / 3] } else { &values[..] };
        middle.iter().sum::<f32>() / middle.len() as f32
    });
    let light = light.collect();
    let step = f64::from(first.step);
    let rounding = step * step / 12.0;
    let between = scaled.get(1).map(|second| {
        let squares =
            scaled[0].iter().zip(second).map(|(a, b)| (a - b) * (a - b)).filter(|square| square.is_finite());
        // Of a normal distribution's squares, half lie below 0.455 of their mean.
        f64::from(median(squares)) / 2.0 / 0.455
    });
    let noise = (between.unwrap_or(0.0) + rounding) / count as f64;
    Some(Average { light, noise, is_noise_known: between.is_some() })
}

/// A gray level as the panel showed it.
#[derive(Debug)]
struct Level {
    code: f64,
    /// The panel's usual light, in the camera's values.
    usual: f64,
    /// Each pixel's light as a share of that; None where it was not seen.
    shares: Vec<f32>,
    /// Standard deviation of the noise in a share.
    noise: f64,
}

impl Level {
    fn new(
        eye: &'static str,
        code: u8,
        average: Average,
        dark: Option<&[f32]>,
    ) -> Result<Self, CalibrationError> {
        let mut light = average.light;
        if let Some(dark) = dark {
            light.iter_mut().zip(dark).for_each(|(light, dark)| *light -= dark);
        }
        let usual = f64::from(median(light.iter().copied()));
        let fault = match usual {
            usual if !usual.is_finite() => Some("white"),
            usual if usual < 1.0 => Some("black"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(CalibrationError::Exposure { eye, code, fault });
        }
        let unknown = if average.is_noise_known { 0.0 } else { UNKNOWN_NOISE };
        light.iter_mut().for_each(|light| *light /= usual as f32);
        Ok(Self {
            code: f64::from(code),
            usual,
            shares: light,
            noise: (average.noise / (usual * usual) + unknown * unknown).sqrt(),
        })
    }

    /// By how many codes a pixel is off; None where the level does not show it.
    fn error(&self, pixel: usize, gamma: f64) -> Option<f64> {
        let share = f64::from(self.shares[pixel]);
        (share.is_finite() && share > DARKEST).then(|| self.code * (share.powf(1.0 / gamma) - 1.0))
    }

    /// Standard deviation of what the noise adds to that.
    fn error_noise(&self, gamma: f64) -> f64 {
        self.code / gamma * self.noise
    }
}

/// The slope of light over code, both as logarithms: the middle one of those between any two levels.
fn find_gamma(eye: &'static str, levels: &[Level]) -> Result<f64, CalibrationError> {
    let slope = |(a, b): (&Level, &Level)| ((b.usual / a.usual).ln() / (b.code / a.code).ln()) as f32;
    let pairs =
        levels.iter().enumerate().flat_map(|(index, a)| levels[index + 1..].iter().map(move |b| (a, b)));
    let slopes: Vec<f32> = pairs.map(slope).collect();
    if slopes.is_empty() {
        return Err(CalibrationError::Gamma { eye, why: "only one level was photographed".to_owned() });
    }
    let gamma = f64::from(median(slopes.into_iter()));
    if GAMMAS.contains(&gamma) {
        Ok(gamma)
    } else {
        Err(CalibrationError::Gamma { eye, why: format!("it comes out as {gamma:.2}, which no panel has") })
    }
}

fn find_map(levels: &[Level], gamma: f64) -> Calibration {
    let weights: Vec<f64> = levels.iter().map(|level| level.error_noise(gamma).max(1e-6).powi(-2)).collect();
    let (mut unseen, mut clipped, mut errors) = (0, 0, Vec::new());
    let mut seen = Vec::new();
    let texels = (0..levels[0].shares.len()).map(|pixel| {
        seen.clear();
        let shown = levels
            .iter()
            .zip(&weights)
            .filter_map(|(level, weight)| Some((level.error(pixel, gamma)?, *weight)));
        seen.extend(shown);
        let Some(error) = middle(&mut seen) else {
            unseen += 1;
            return texel(0.0);
        };
        errors.push(error);
        let texel = texel(error);
        clipped += usize::from(matches!(texel, 0 | u8::MAX));
        texel
    });
    let texels = texels.collect();
    let count = errors.len().max(1) as f64;
    let mean = errors.iter().sum::<f64>() / count;
    let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / count;
    let noise_codes = weights.iter().sum::<f64>().powf(-0.5);
    Calibration { texels, gamma, sigma_codes: variance.sqrt(), noise_codes, unseen, clipped }
}

/// The weighted mean, in which what is far off counts little (Cauchy's weights), starting from the middle one.
fn middle(values: &mut [(f64, f64)]) -> Option<f64> {
    values.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let (mut middle, _) = *values.get(values.len() / 2)?;
    for _ in 0..3 {
        let (mut sum, mut total) = (0.0, 0.0);
        for (value, weight) in values.iter() {
            let distance = (value - middle) / OUTLIER;
            let weight = weight / (1.0 + weight * distance * distance);
            sum += weight * value;
            total += weight;
        }
        middle = sum / total;
    }
    Some(middle)
}

/// The texel that takes away an error of so many codes.
fn texel(error_codes: f64) -> u8 {
    (255.0 * (-error_codes / (255.0 * SCALE) - OFFSET)).round().clamp(0.0, 255.0) as u8
}

/// The one in the middle; zero of none.
fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

#[cfg(test)]
mod tests;
