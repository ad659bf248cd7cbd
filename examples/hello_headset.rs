//! The least that an app does: a sky over a checkered floor, and a ring to look around for. `hello_headset [SECONDS]`
//!
//! Where there is no headset, a simulated panel shows it, to nobody.

use leasehold::Headset;
use leasehold::session::{Eyes, Options, SessionError, Span};

fn main() -> Result<(), SessionError> {
    let mut options = Options::default();
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    options.limit.time = seconds.map(Span::from_secs_f64);
    let mut session = Headset::open(options)?.session(Eyes::pixels([192, 192]))?;
    while let Some(mut frame) = session.wait() {
        frame.paint(colour);
        let pose = frame.pose();
        frame.submit(pose);
    }
    session.end()?.result()
}

/// What is seen in a direction: x right, y up, z backwards.
fn colour([x, y, z]: [f64; 3]) -> [u8; 3] {
    let length = (x * x + y * y + z * z).sqrt();
    let ring = (-z / length - 0.9).abs() < 0.01;
    // The floor lies 1.6 metres below the eyes.
    let (tile_x, tile_z) = ((x * -1.6 / y).floor(), (z * -1.6 / y).floor());
    match y < -0.05 * length {
        _ if ring => [255, 200, 80],
        true if (tile_x + tile_z).rem_euclid(2.0) == 0.0 => [70, 80, 90],
        true => [40, 46, 54],
        false => [60, 90, 130].map(|part: i32| (part as f64 * (1.0 - 0.6 * (y / length).max(0.0))) as u8),
    }
}
