//! How much an edge serves: which requests for content are admitted, and what became of all. Called by the edge machine.

use peerbed_contract::EdgeLimits;

use super::SECOND;
use crate::Time;

/// The limits and what was counted.
#[derive(Debug)]
pub(super) struct Load {
    limits: EdgeLimits,
    /// Requests that the rate still allows, as of then.
    tokens: f64,
    filled: Time,
    pub(super) served: u64,
    pub(super) refused: u64,
}

impl Load {
    pub(super) fn new(limits: EdgeLimits) -> Self {
        Self { limits, tokens: depth(limits), filled: 0, served: 0, refused: 0 }
    }

    /// Other limits from now on; what a rate that is new allows at once is its whole burst.
    pub(super) fn set(&mut self, now: Time, limits: EdgeLimits) {
        self.fill(now);
        self.tokens = if self.limits.rate.is_none() { depth(limits) } else { self.tokens.min(depth(limits)) };
        (self.limits, self.filled) = (limits, now);
    }

    fn fill(&mut self, now: Time) {
        if let Some(rate) = self.limits.rate {
            let elapsed = now.saturating_sub(self.filled) as f64 / SECOND as f64;
            self.tokens = (self.tokens + elapsed * rate).min(depth(self.limits));
            self.filled = now;
        }
    }

    /// Counts a request for content in, while so many are being served; or says when to come again.
    pub(super) fn admit(&mut self, now: Time, serving: usize) -> Result<(), Time> {
        self.fill(now);
        let full = self.limits.requests.is_some_and(|most| serving >= most as usize);
        if full || self.limits.rate.is_some() && self.tokens < 1.0 {
            self.refused += 1;
            return Err(self.limits.retry_after_ns);
        }
        self.tokens -= 1.0;
        self.served += 1;
        Ok(())
    }
}

/// The largest burst.
fn depth(limits: EdgeLimits) -> f64 {
    limits.rate.unwrap_or_default().max(1.0)
}
