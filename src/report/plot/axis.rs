//! Axes: from values to places, and where their ticks stand.

/// One of a chart's two axes.
#[derive(Clone, Debug)]
pub struct Axis {
    pub(super) label: String,
    logarithmic: bool,
    /// What it shows whatever the values are.
    least: Option<f64>,
    most: Option<f64>,
}

impl Axis {
    /// One that shows all values, evenly. `label` names them and their unit.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), logarithmic: false, least: None, most: None }
    }

    /// One on which each decade is as long as the next. Values of 0 and less are not shown.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { logarithmic: true, ..Self::linear(label) }
    }

    /// Begins here at the latest.
    pub fn from(mut self, least: f64) -> Self {
        self.least = Some(least);
        self
    }

    /// Ends there at the earliest.
    pub fn to(mut self, most: f64) -> Self {
        self.most = Some(most);
        self
    }

    /// Laid out for `values`; `None` where there are none to show.
    pub(super) fn lay_out(&self, values: impl Iterator<Item = f64>) -> Option<Scale> {
        let shown = values.chain(self.least).chain(self.most).filter(|value| self.can_show(*value));
        let (least, most) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        (least <= most).then(|| match self.logarithmic {
            true => Scale::logarithmic(least, most),
            false => Scale::linear(least, most),
        })
    }

    fn can_show(&self, value: f64) -> bool {
        value.is_finite() && value.abs() < GREATEST && !(self.logarithmic && value < 1.0 / GREATEST)
    }
}

/// What is greater than this, or nearer to 0 than its inverse, has no room for a step beside it in a number's digits.
const GREATEST: f64 = 1e100;

/// An axis laid out for its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    logarithmic: bool,
    least: f64,
    most: f64,
    pub ticks: Vec<(f64, String)>,
}

/// About how many ticks an axis has.
const TICKS: f64 = 6.0;

impl Scale {
    fn linear(least: f64, most: f64) -> Self {
        // Values that do not differ get some room around them.
        let (least, most) = if most - least > (least.abs().max(most.abs()) * 1e-9).max(1.0 / GREATEST) {
            (least, most)
        } else {
            let room = if least.abs() < 1.0 / GREATEST { 1.0 } else { least.abs() * 0.1 };
            (least - room, most + room)
        };
        let step = tidy_step((most - least) / TICKS);
        let (first, last) = ((least / step).floor(), (most / step).ceil());
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let ticks = (0..=(last - first) as u32)
            .map(|count| (first + f64::from(count)) * step)
            .map(|value| (value, label(value, decimals)))
            .collect();
        Self { logarithmic: false, least: first * step, most: last * step, ticks }
    }

    fn logarithmic(least: f64, most: f64) -> Self {
        let first = least.log10().floor();
        let last = most.log10().ceil().max(first + 1.0);
        let every = ((last - first) / TICKS).ceil().max(1.0);
        let ticks = (0..=((last - first) / every) as u32)
            .map(|count| first + f64::from(count) * every)
            .map(|power| (10f64.powf(power), label(10f64.powf(power), (-power).clamp(0.0, 12.0) as usize)))
            .collect();
        Self { logarithmic: true, least: 10f64.powf(first), most: 10f64.powf(last), ticks }
    }

    /// How far along the axis a value lies, from 0 to 1. No number where it cannot be shown.
    pub fn place(&self, value: f64) -> f64 {
        match self.logarithmic {
            true if value > 0.0 => {
                let [value, least, most] = [value, self.least, self.most].map(f64::log10);
                (value - least) / (most - least)
            }
            true => f64::NAN,
            false => (value - self.least) / (self.most - self.least),
        }
    }
}

/// 1, 2 or 5 times a power of ten, `rough` or a little more.
fn tidy_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let tidy = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    tidy * power
}

/// Large numbers are counted in thousands and millions, huge ones in powers.
fn label(value: f64, decimals: usize) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    match value.abs() {
        huge if huge >= 1e12 => format!("{value:.0e}"),
        many if many >= 1e6 => format!("{} M", value / 1e6),
        some if some >= 1e4 => format!("{} k", value / 1e3),
        _ => format!("{value:.decimals$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        let scale = Axis::linear("ms").lay_out([0.3, 2.7].into_iter()).unwrap();
        assert_eq!(labels(&scale), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        let scale = Axis::linear("ms").from(0.0).lay_out([7.0].into_iter()).unwrap();
        assert_eq!(labels(&scale), ["0", "2", "4", "6", "8"]);
        let scale = Axis::linear("us").lay_out([-20_000.0, 20_000.0].into_iter()).unwrap();
        assert_eq!(labels(&scale), ["-20 k", "-10 k", "0", "10 k", "20 k"]);
        let scale = Axis::logarithmic("frames").lay_out([0.0, 3.0, 4_000.0].into_iter()).unwrap();
        assert_eq!(labels(&scale), ["1", "10", "100", "1000", "10 k"]);
        assert!(scale.place(0.0).is_nan(), "0 is nowhere");
        assert_eq!(scale.place(100.0), 0.5);
    }

    #[test]
    fn an_axis_without_values_is_none() {
        assert_eq!(Axis::linear("ms").lay_out(std::iter::empty()), None);
        assert_eq!(Axis::linear("ms").lay_out([f64::NAN, f64::INFINITY].into_iter()), None);
        assert_eq!(Axis::logarithmic("ms").lay_out([0.0, -1.0].into_iter()), None);
        assert!(Axis::linear("ms").from(0.0).lay_out(std::iter::empty()).is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_shown_lies_on_the_axis(values in prop::collection::vec(any::<f64>(), 1..20), logarithmic: bool) {
            let axis = if logarithmic { Axis::logarithmic("") } else { Axis::linear("") };
            if let Some(scale) = axis.lay_out(values.iter().copied()) {
                prop_assert!((2..=20).contains(&scale.ticks.len()), "{} ticks", scale.ticks.len());
                for value in values.into_iter().filter(|value| axis.can_show(*value)) {
                    prop_assert!((-1e-6..=1.0 + 1e-6).contains(&scale.place(value)), "{value} at {}", scale.place(value));
                }
            }
        }
    }
}
