//! What the command line says of the mura correction.

use crate::headset::Brightness;

/// How the headset's maps are applied.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How much of the mura correction red, green and blue get, as in 1,1,0.5 [default: all of it, 1,1,1]
    #[arg(long = "mura-weights", value_name = "R,G,B", value_parser = weights)]
    pub weights: Option<[f64; 3]>,
    /// How bright the panel is set, as a part of how bright it was when its mura was measured, as in 0.5 [default: 1]
    #[arg(long = "panel-brightness", value_name = "PART")]
    pub brightness: Option<Brightness>,
}

/// Three numbers for red, green and blue that mura correction is multiplied with.
fn weights(text: &str) -> Result<[f64; 3], String> {
    let weights: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let weights = weights.and_then(|weights| <[f64; 3]>::try_from(weights).ok());
    weights
        .filter(|weights| weights.iter().all(|weight| (0.0..=2.0).contains(weight)))
        .ok_or_else(|| format!("'{text}' is not three numbers from 0 to 2, as in 1,1,0.5"))
}
