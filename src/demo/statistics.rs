//! The board in the headset: what the last second was like, in a few lines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use font8x8::UnicodeFonts;

use crate::compositor::eye_images::{Pixels, Samples};
use crate::compositor::overlay::{BOARD_PX, Board};
use crate::report::live::Numbers;
use crate::thread::worker::Worker;
use crate::time::Span;

/// How often it is written anew, while it is shown.
const WRITTEN_EVERY: Span = Span::from_ms(200);

/// Keeps the board up to date from now on, until what is returned is dropped.
pub fn keep(board: Board, numbers: Arc<Mutex<Numbers>>) -> std::io::Result<Worker> {
    Worker::start("statistics", move |over: &AtomicBool| {
        while !over.load(Ordering::Relaxed) {
            if board.is_shown() {
                let numbers = *numbers.lock().unwrap_or_else(PoisonError::into_inner);
                // Where the last is still on its way to the device, the next will do.
                board.write(&draw(&lines(&numbers)));
            }
            std::thread::park_timeout(WRITTEN_EVERY.to_duration());
        }
    })
}

/// New pictures a second; what went wrong in the last second and in all; the least margin, and the usual latency.
fn lines(numbers: &Numbers) -> [String; 5] {
    let ms = |span: Span| span.as_us_f64() / 1000.0;
    let row = |name: &str, second: &str, all: &str| format!("{name:<9}{second:>3} {all:>7}");
    let counts = |name, [second, all]: [u64; 2]| row(name, &second.to_string(), &all.to_string());
    [
        row(&format!("{:.1} Hz", numbers.frames_a_second), "1 s", "all"),
        counts("missed", numbers.missed),
        counts("late app", numbers.rewarped),
        format!("margin  {:.1} ms", ms(numbers.least_margin)),
        format!("latency {:.1} ms", ms(numbers.latch_to_photon)),
    ]
}

/// Pixels of the board to one of a letter's eight.
const SCALE: usize = 2;
const LETTER_PX: usize = 8 * SCALE;
const LINE_PX: usize = 20;
/// Around all of it.
const MARGIN_PX: usize = 6;
/// Red, green, blue, cover.
const PAPER: [u8; 4] = [16, 20, 24, 208];
const INK: [u8; 4] = [224, 236, 240, 255];

/// The lines in a font of squares. What does not fit is left out.
fn draw(lines: &[String]) -> Pixels {
    let [width_px, height_px] = BOARD_PX;
    let mut samples = PAPER.repeat(width_px as usize * height_px as usize);
    let pixels = &mut samples.as_chunks_mut::<4>().0;
    let (row_px, column_px) = (width_px as usize, height_px as usize);
    for (line, text) in lines.iter().enumerate() {
        for (letter, shape) in text.chars().map(|letter| font8x8::BASIC_FONTS.get(letter)).enumerate() {
            let [left, top] = [MARGIN_PX + letter * LETTER_PX, MARGIN_PX + line * LINE_PX];
            if left + LETTER_PX > row_px || top + LETTER_PX > column_px {
                continue;
            }
            for (y, x) in (0..LETTER_PX).flat_map(|y| (0..LETTER_PX).map(move |x| (y, x))) {
                let row = shape.map_or(0, |shape| shape[y / SCALE]);
                if row >> (x / SCALE) & 1 == 1 {
                    pixels[(top + y) * row_px + left + x] = INK;
                }
            }
        }
    }
    Pixels { width_px, height_px, samples: Samples::Eight(samples) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inked(lines: &[&str]) -> usize {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let Samples::Eight(samples) = draw(&lines).samples else { unreachable!() };
        samples.chunks_exact(4).filter(|pixel| *pixel == INK).count()
    }

    #[test]
    fn letters_are_drawn_and_what_does_not_fit_is_not() {
        assert_eq!(inked(&[""]), 0);
        assert_eq!(inked(&["-"]), 6 * SCALE * SCALE, "a dash is six squares");
        assert_eq!(inked(&["-\u{2603}-"]), 12 * SCALE * SCALE, "a snowman is a blank");
        let long = "-".repeat(1000);
        assert_eq!(inked(&[&long]), inked(&[&long[..(BOARD_PX[0] as usize - 2 * MARGIN_PX) / LETTER_PX]]));
        let many = vec!["-"; 100];
        assert!(inked(&many) < 100 * 6 * SCALE * SCALE);
    }

    #[test]
    fn every_line_fits_on_the_board() {
        let worst = Numbers {
            frames_a_second: 143.97,
            missed: [143, 1_000_000],
            rewarped: [143, 1_000_000],
            least_margin: Span::from_us(-999_900),
            latch_to_photon: Span::from_us(999_900),
        };
        for line in lines(&worst) {
            assert!(MARGIN_PX + line.len() * LETTER_PX <= BOARD_PX[0] as usize, "{line}");
        }
        assert!(MARGIN_PX + 5 * LINE_PX <= BOARD_PX[1] as usize);
    }
}
