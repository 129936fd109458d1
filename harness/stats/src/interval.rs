//! Mean, spread and interval of a few values.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// An estimate with where it may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Interval {
    /// Whether it lies whole between `−margin` and `margin`.
    pub fn inside(&self, margin: f64) -> bool {
        self.low > -margin && self.high < margin
    }

    /// Whether it lies whole on one side of zero.
    pub fn one_sided(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The arithmetic mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation of a sample (n − 1 in the denominator); none of fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() >= 2)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The mean with Student's interval of this confidence (0.95); none of fewer than two values.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let estimate = mean(values)?;
    let half =
        quantile_of_t(values.len() - 1, confidence)? * standard_deviation(values)? / (values.len() as f64).sqrt();
    Some(Interval { estimate, low: estimate - half, high: estimate + half })
}

/// How many standard errors the half of a two-sided interval of this confidence is, with so many degrees of freedom.
pub(crate) fn quantile_of_t(freedom: usize, confidence: f64) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, freedom as f64).ok().filter(|_| freedom > 0)?;
    Some(t.inverse_cdf(f64::midpoint(1.0, confidence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_interval() {
        // Student 1908, additional hours of sleep: mean 1.58, s 1.23, t(9) = 2.262, so 0.70 to 2.46.
        let sleep = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let interval = mean_interval(&sleep, 0.95).expect("values");
        let rounded = [interval.estimate, interval.low, interval.high].map(|value| (value * 100.0).round() / 100.0);
        assert_eq!(rounded, [1.58, 0.70, 2.46]);
        assert!(interval.one_sided() && interval.inside(2.5) && !interval.inside(2.4));
    }

    #[test]
    fn too_little_has_no_interval() {
        assert_eq!((mean(&[]), standard_deviation(&[1.0]), mean_interval(&[1.0], 0.95)), (None, None, None));
        assert_eq!(mean_interval(&[2.0, 2.0], 0.95), Some(Interval { estimate: 2.0, low: 2.0, high: 2.0 }));
    }

    #[test]
    fn quantiles_of_t_are_those_of_tables() {
        let of = |freedom, confidence| (quantile_of_t(freedom, confidence).expect("t") * 1000.0).round() / 1000.0;
        assert_eq!([of(1, 0.95), of(9, 0.95), of(15, 0.90), of(100, 0.99)], [12.706, 2.262, 1.753, 2.626]);
        assert_eq!(quantile_of_t(0, 0.95), None);
    }
}
