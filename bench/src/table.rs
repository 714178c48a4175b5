//! A table of measurements: on the terminal and as Markdown.

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

/// One measurement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// In what: "units", "ms of CPU".
    pub unit: &'static str,
    /// The least that could do it, measured in the same run.
    pub floor: Option<f64>,
    /// What it may be at most.
    pub budget: Option<f64>,
    /// What it is.
    pub measured: f64,
}

impl Row {
    /// A measurement without floor or budget.
    pub fn new(what: impl Into<String>, unit: &'static str, measured: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            floor: None,
            budget: None,
            measured,
        }
    }

    /// With the least that could do it.
    #[must_use]
    pub fn floor(self, floor: f64) -> Self {
        Self {
            floor: Some(floor),
            ..self
        }
    }

    /// With what it may be at most.
    #[must_use]
    pub fn budget(self, budget: f64) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// How often the floor it is.
    pub fn ratio(&self) -> Option<f64> {
        self.floor
            .filter(|floor| *floor > 0.0)
            .map(|floor| self.measured / floor)
    }

    /// Whether it is more than it may be.
    pub fn is_over(&self) -> bool {
        self.budget.is_some_and(|budget| self.measured > budget)
    }
}

/// Measurements that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// A short name, for files: "cost-300".
    pub name: String,
    /// What it is about.
    pub title: String,
    /// How to read it: a sentence or two.
    pub note: String,
    /// The measurements.
    pub rows: Vec<Row>,
}

impl Table {
    /// A table without rows.
    pub fn new(name: impl Into<String>, title: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            note: note.into(),
            rows: Vec::new(),
        }
    }

    /// The rows that are over their budget.
    pub fn over(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_over())
    }

    /// As Markdown, without its title.
    pub fn markdown(&self) -> String {
        format!("{}\n\n{}", self.note, self.grid(presets::ASCII_MARKDOWN))
    }

    fn grid(&self, preset: &str) -> Grid {
        let mut grid = Grid::new();
        grid.load_preset(preset)
            .set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(["what", "unit", "floor", "budget", "measured", "ratio"]);
        for row in &self.rows {
            let over = if row.is_over() { " OVER" } else { "" };
            let ratio = row
                .ratio()
                .map_or_else(String::new, |ratio| format!("{}×", number(ratio)));
            let optional = |value: Option<f64>| value.map_or_else(String::new, number);
            let measured = format!("{}{over}", number(row.measured));
            grid.add_row([
                row.what.clone(),
                row.unit.to_owned(),
                optional(row.floor),
                optional(row.budget),
                measured,
                ratio,
            ]);
        }
        for column in grid.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        grid
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{}\n{}",
            self.title,
            self.note,
            self.grid(presets::UTF8_FULL_CONDENSED)
        )
    }
}

/// A number with three digits that count, and no more behind the point than needed.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
