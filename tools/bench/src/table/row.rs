//! The row of a table, with its value and its budget.

/// One row of a table: a measured value with its references.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The name of the measured quantity.
    pub what: String,
    /// The unit, such as "units" or "ms of CPU".
    pub unit: &'static str,
    /// The baseline: the value of a minimal implementation, measured in the same run.
    pub baseline: Option<f64>,
    /// The maximum allowed value.
    pub budget: Option<f64>,
    /// The measured value in this unit.
    pub measured: f64,
}

impl Row {
    /// Creates a row without baseline and budget.
    pub fn new(what: impl Into<String>, unit: &'static str, measured: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            baseline: None,
            budget: None,
            measured,
        }
    }

    /// Sets the baseline of the row.
    #[must_use]
    pub fn baseline(self, baseline: f64) -> Self {
        Self {
            baseline: Some(baseline),
            ..self
        }
    }

    /// Sets the budget of the row.
    #[must_use]
    pub fn budget(self, budget: f64) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// Returns the measured value as a multiple of the baseline.
    pub fn ratio(&self) -> Option<f64> {
        self.baseline
            .filter(|baseline| *baseline > 0.0)
            .map(|baseline| self.measured / baseline)
    }

    /// Returns whether the measured value exceeds the budget.
    pub fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.measured > budget)
    }
}
