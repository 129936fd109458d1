//! The statistics of comparisons: runs come in pairs, there are few of them, and they are noisy.
//!
//! Everything here takes numbers and gives numbers. What is random takes a seed, so that the same numbers give the same
//! answer everywhere. What the values mean (logarithms of ratios, differences of shares) is the caller's business.

// What has an exact value is compared with it.
#![cfg_attr(test, allow(clippy::float_cmp))]

mod change;
mod energy;
mod interval;
mod mcnemar;
mod multiple;
mod power;
mod ratio;
mod sign_flip;

pub use change::{ChangePoint, change_points};
pub use energy::shape_difference;
pub use interval::{Interval, mean, mean_interval, standard_deviation};
pub use mcnemar::{mcnemar, proportion_upper_bound};
pub use multiple::benjamini_hochberg;
pub use power::{Look, pairs_to_certify, pairs_to_see, pairs_to_see_events, power, visible, visible_events};
pub use ratio::{PairedTotals, pooled_log_ratio};
pub use sign_flip::{PValue, sign_flip};
