//! Pseudo-random numbers that are the same on every machine: made-up headsets, simulated loads.

/// Sebastiano Vigna's SplitMix64. Integers only.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream of that seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that happens once in so many times.
    pub(crate) fn once_in(&mut self, times: f64) -> bool {
        self.share() * times < 1.0
    }

    /// A number around zero with this standard deviation. The sum of eight random bytes is close to a bell curve;
    /// its mean is 1020 and its standard deviation 209.
    pub(crate) fn bell(&mut self, sigma: i32) -> i32 {
        let sum: i32 = self.next().to_le_bytes().map(i32::from).iter().sum();
        ((sum - 1020) * sigma + 104).div_euclid(209)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = SplitMix64::new(0);
        assert_eq!([random.next(), random.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn shares_and_bells_are_spread_as_they_should_be() {
        let mut random = SplitMix64::new(7);
        const COUNT: i32 = 100_000;
        let mean: f64 = (0..COUNT).map(|_| random.share()).sum::<f64>() / f64::from(COUNT);
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let squares: f64 = (0..COUNT).map(|_| f64::from(random.bell(20_000)).powi(2)).sum();
        let sigma = (squares / f64::from(COUNT)).sqrt();
        assert!((sigma - 20_000.0).abs() < 300.0, "{sigma}");
        let hits = (0..COUNT).filter(|_| random.once_in(10.0)).count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
    }
}
