//! One run with everything that was concluded from it.

use crate::{
    accounting::Accounting,
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
    accounting: Accounting,
    validity: Validity,
}

impl RunOutcome {
    /// Computes and judges.
    pub fn of(record: RunRecord) -> Self {
        let view = RunView::of(&record);
        let accounting = Accounting::of(&view);
        let metrics = RunMetrics::of(&view, &accounting);
        let validity = Validity::of(&view);
        let figures = Figures::of(&metrics);
        Self { record, metrics, figures, accounting, validity }
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

    /// Who lied, and who broke the rules.
    pub fn accounting(&self) -> &Accounting {
        &self.accounting
    }

    /// Whether it can be believed.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }
}
