use super::*;
use proptest::prelude::*;

/// A Vive's, 89.5273 Hz.
const VIVE: Span = Span::from_ns(11_169_777);
const NINETY: Span = Span::from_ns(11_111_111);

fn vblank(sequence: u64, time: Instant) -> Vblank {
    Vblank { sequence, time }
}

fn exact(sequence: u64) -> Vblank {
    vblank(sequence, Instant::from_ns(VIVE.as_ns() * sequence as i64))
}

fn run(clock: &mut VblankClock, sequences: std::ops::Range<u64>) {
    sequences.map(exact).for_each(|vblank| clock.observe(vblank));
}

/// A clock told 90 Hz that has seen so many vblanks of a Vive from 1000 on, each off by `noise_ns`.
fn told_ninety(count: u64, mut noise_ns: impl FnMut(u64) -> i64) -> VblankClock {
    let mut clock = VblankClock::new(NINETY);
    for sequence in 1000..1000 + count {
        let Vblank { time, .. } = exact(sequence);
        clock.observe(vblank(sequence, time + Span::from_ns(noise_ns(sequence))));
    }
    clock
}

/// How far the clock's period is off a Vive's, in parts in a million.
fn ppm(clock: &VblankClock) -> f64 {
    (clock.period_ns() / VIVE.as_ns() as f64 - 1.0) * 1e6
}

/// The vblanks of ten seconds.
const TEN_SECONDS: u64 = 895;

#[test]
fn finds_89_527_hz_where_the_mode_says_90() {
    let clock = told_ninety(200, |_| 0);
    assert!((clock.measured_hz().unwrap() - 89.527_30).abs() < 1e-5);
    assert_eq!(clock.period(), VIVE);
    let next = clock.next_after(exact(1199).time + Span::from_ns(1)).unwrap();
    assert_eq!((next.vblank, next.error), (exact(1200), Span::ZERO));
}

#[test]
fn stamps_in_microseconds_lose_nothing() {
    let clock = told_ninety(TEN_SECONDS, |sequence| -(exact(sequence).time.as_ns() % 1000));
    assert!(ppm(&clock).abs() < 0.02, "{}", ppm(&clock));
}

#[test]
fn the_stamp_of_the_mode_set_itself_is_not_trusted() {
    let mut clock = VblankClock::new(VIVE);
    clock.observe(vblank(999, exact(999).time - Span::from_ms(5)));
    run(&mut clock, 1000..1050);
    assert_eq!(clock.period(), VIVE);
    assert_eq!(clock.at(1051).unwrap().vblank, exact(1051));
}

#[test]
fn a_few_stamps_far_off_move_nothing() {
    // Every tenth is read up to 3 ms late, as where interrupts are held up.
    let late = |sequence| if sequence % 10 == 3 { 500_000 + sequence as i64 % 7 * 400_000 } else { 0 };
    let clock = told_ninety(TEN_SECONDS, late);
    assert!(ppm(&clock).abs() < 0.01, "{}", ppm(&clock));
    assert!((clock.at(1900).unwrap().vblank.time - exact(1900).time).as_ns().abs() < 100);
}

#[test]
fn a_lost_count_shifts_the_line_and_keeps_the_period() {
    let mut clock = VblankClock::new(NINETY);
    run(&mut clock, 1000..1500);
    // Three periods go by and the count goes up by one.
    for sequence in 1500..1510 {
        clock.observe(vblank(sequence, exact(sequence + 2).time));
        assert!(ppm(&clock).abs() < 0.01, "{}", ppm(&clock));
        assert_eq!(clock.at(sequence + 1).unwrap().vblank.time, exact(sequence + 3).time);
    }
}

#[test]
fn starts_anew_when_the_count_goes_back_or_the_time_jumps() {
    let mut clock = VblankClock::new(VIVE);
    run(&mut clock, 1000..1050);
    run(&mut clock, 5..7);
    assert_eq!(clock.newest(), Some(exact(6)));
    run(&mut clock, 7..50);
    // A suspend: the count stands still for a minute and 5 ms.
    let resumed = |sequence| vblank(sequence, exact(sequence).time + Span::from_ms(60_005));
    for sequence in 50..100 {
        clock.observe(resumed(sequence));
    }
    assert_eq!(clock.at(101).unwrap().vblank, resumed(101));
    assert!(ppm(&clock).abs() < 0.01);
}

#[test]
fn another_rate_is_found_soon() {
    let mut clock = VblankClock::new(NINETY);
    run(&mut clock, 0..2000);
    let start = exact(1999).time;
    for count in 1..40u64 {
        clock.observe(vblank(1999 + count, start + Span::from_ns(6_944_444) * count as i64));
    }
    assert!((clock.measured_hz().unwrap() - 144.0).abs() < 0.001, "{:?}", clock.measured_hz());
}

#[test]
fn the_error_bar_is_as_wide_as_the_errors() {
    let mut seed = 1u64;
    let mut noise = |_| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as i64 % 40_000 - 20_000
    };
    let mut clock = VblankClock::new(NINETY);
    let (mut squares, mut count) = (0.0, 0.0);
    for sequence in 1000..9000 {
        if sequence > 1100 {
            let Prediction { vblank, error } = clock.at(sequence + 2).unwrap();
            let off = (vblank.time - exact(sequence + 2).time).as_ns() as f64 / error.as_ns() as f64;
            (squares, count) = (squares + off * off, count + 1.0);
        }
        clock.observe(vblank(sequence, exact(sequence).time + Span::from_ns(noise(sequence))));
    }
    let ratio = f64::sqrt(squares / count);
    assert!((0.3..1.5).contains(&ratio), "off by {ratio} standard deviations");
}

proptest! {
    #[test]
    fn ten_seconds_of_stamps_20_us_off_give_the_period_to_a_millionth(
        noise_us in prop::collection::vec(-34.6f64..34.6, TEN_SECONDS as usize)
    ) {
        // Evenly spread over 69.2 us: a standard deviation of 20.
        let clock = told_ninety(TEN_SECONDS, |sequence| (noise_us[sequence as usize - 1000] * 1e3) as i64);
        prop_assert!(ppm(&clock).abs() < 1.0, "{}", ppm(&clock));
    }

    #[test]
    fn predictions_lie_ahead(
        stamps in prop::collection::vec((any::<u32>(), any::<u32>()), 1..300), ask in any::<u32>()
    ) {
        let mut clock = VblankClock::new(VIVE);
        for (sequence, time_us) in stamps {
            clock.observe(vblank(sequence.into(), Instant::from_ns(i64::from(time_us) * 1000)));
        }
        let ask = Instant::from_ns(i64::from(ask) * 1000);
        let next = clock.next_after(ask).unwrap().vblank;
        prop_assert!(next.time > ask && next.sequence > clock.newest().unwrap().sequence);
        prop_assert!(clock.period() > Span::ZERO);
    }

    #[test]
    fn any_vblanks_are_survived(stamps in prop::collection::vec((any::<u64>(), any::<i32>()), 1..200)) {
        let mut clock = VblankClock::new(VIVE);
        for (sequence, time_us) in stamps {
            let sequence = sequence >> 1;
            clock.observe(vblank(sequence, Instant::from_ns(i64::from(time_us) * 1000)));
            prop_assert!(clock.period() > Span::ZERO);
            clock.at(sequence.saturating_add(1));
        }
    }
}
