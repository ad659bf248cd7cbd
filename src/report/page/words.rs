//! Numbers and names as a reader wants them.

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of a thing, by its name.
pub fn many(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// Microseconds as milliseconds.
pub fn ms(us: f64) -> String {
    format!("{:.2} ms", us / 1e3)
}

/// A part of a whole, in percent.
pub fn share(part: u64, whole: u64) -> String {
    match 100.0 * part as f64 / whole.max(1) as f64 {
        none if part == 0 || none == 0.0 => "0 %".to_string(),
        little if little < 0.01 => "< 0.01 %".to_string(),
        percent => format!("{percent:.2} %"),
    }
}

/// Seconds, or minutes and hours where there are many.
pub fn duration(seconds: f64) -> String {
    match seconds.max(0.0) {
        short if short < 120.0 => format!("{short:.1} s"),
        long if long < 7_200.0 => format!("{:.0} min {:.0} s", (long / 60.0).floor(), (long % 60.0).floor()),
        longer => format!("{:.0} h {:.0} min", (longer / 3_600.0).floor(), (longer % 3_600.0 / 60.0).floor()),
    }
}

/// Whether something was made up for.
pub fn corrected(is: bool) -> &'static str {
    if is { "corrected" } else { "not corrected" }
}

/// A cause or event by its name in reports, as words.
pub fn plain(name: &str) -> String {
    name.replace('_', " ").replace("gpu", "GPU")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|number| many(number, "vblank", "vblanks")), ["1 vblank", "2 vblanks"]);
        assert_eq!(ms(-1_234.5), "-1.23 ms");
        assert_eq!(
            [(0, 0), (1, 1_000_000), (2, 1_800)].map(|(part, of)| share(part, of)),
            ["0 %", "< 0.01 %", "0.11 %"]
        );
        assert_eq!([19.96, 121.0, 7_320.0].map(duration), ["20.0 s", "2 min 1 s", "2 h 2 min"]);
        assert_eq!(plain("gpu_late"), "GPU late");
    }
}
