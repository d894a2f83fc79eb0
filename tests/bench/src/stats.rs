//! Medians: the only figures that survive a shared machine.

/// The value below which `share` of the samples lie; NaN when there is none.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Of rounds that ran next to each other, so that a load which comes and goes is in both.
pub(crate) fn paired_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::{median, paired_ratio, quantile};

    #[test]
    fn a_quantile_is_a_sample() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((median(&samples), quantile(&samples, 0.99)), (50.0, 99.0));
        assert!(median(&[]).is_nan());
        assert!((paired_ratio(&[2.0, 90.0, 4.0], &[1.0, 9.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
