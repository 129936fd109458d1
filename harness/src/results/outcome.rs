//! One run with everything that was concluded from it.

use crate::{
    metrics::{Figures, RunMetrics, RunView},
    reconcile::Validity,
    record::RunRecord,
};

/// A run, its metrics and the judgement on it.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    record: RunRecord,
    metrics: RunMetrics,
    figures: Figures,
    validity: Validity,
}

impl RunOutcome {
    /// Computes and judges.
    pub fn of(record: RunRecord) -> Self {
        let view = RunView::of(&record);
        let metrics = RunMetrics::of(&view);
        let validity = Validity::of(&view);
        let figures = Figures::of(&metrics);
        Self { record, metrics, figures, validity }
    }

    /// The run itself.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Its events in order.
    pub fn view(&self) -> RunView<'_> {
        RunView::of(&self.record)
    }

    /// Everything that was measured.
    pub fn metrics(&self) -> &RunMetrics {
        &self.metrics
    }

    /// The key figures.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Whether it can be believed.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }
}
