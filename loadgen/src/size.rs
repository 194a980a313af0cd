//! How many bytes a message value has.

use ackmark_schema::scenario::Size;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};

/// Draws a size.
pub(crate) fn draw(size: &Size, random: &mut impl Rng) -> usize {
    let bytes = match *size {
        Size::Fixed(bytes) => bytes.0,
        Size::Uniform(uniform) => random.random_range(uniform.min.0..=uniform.max.0),
        Size::LogNormal(size) => {
            let distribution = LogNormal::new((size.median.0.max(1) as f64).ln(), size.sigma);
            // `Message::check` has seen to a finite sigma above zero.
            let drawn = distribution.map_or(size.median.0 as f64, |distribution| distribution.sample(random));
            (drawn.round() as u64).clamp(size.min.0, size.max.0)
        }
    };
    bytes as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackmark_schema::{
        scenario::{LogNormalSize, UniformSize},
        units::Bytes,
    };
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    fn drawn(size: Size) -> Vec<usize> {
        let mut random = Pcg64Mcg::seed_from_u64(5);
        let mut all: Vec<usize> = (0..20_000).map(|_| draw(&size, &mut random)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn sizes_keep_their_distribution_and_bounds() {
        assert!(drawn(Size::Fixed(Bytes(77))).iter().all(|bytes| *bytes == 77));
        let uniform = drawn(Size::Uniform(UniformSize { min: Bytes(100), max: Bytes(300) }));
        assert_eq!((uniform[0], uniform[19_999]), (100, 300));
        assert!((uniform[10_000] as f64 - 200.0).abs() < 3.0);
        let size = LogNormalSize { median: Bytes(500), sigma: 1.0, min: Bytes(100), max: Bytes(4000) };
        let log_normal = drawn(Size::LogNormal(size));
        assert_eq!((log_normal[0], log_normal[19_999]), (100, 4000));
        assert!((log_normal[10_000] as f64 / 500.0 - 1.0).abs() < 0.03, "{}", log_normal[10_000]);
        // One standard deviation above the median: 500 * e.
        assert!((log_normal[16_827] as f64 / 1359.0 - 1.0).abs() < 0.05, "{}", log_normal[16_827]);
    }
}
