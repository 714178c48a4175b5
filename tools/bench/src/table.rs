//! Tables of measurements, printed to the terminal or as Markdown.

mod row;

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

pub use row::Row;

/// A titled group of measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// A short name for files, such as "cost-300".
    pub name: String,
    /// The title of the table.
    pub title: String,
    /// An explanation of the values in one or two sentences.
    pub note: String,
    /// The rows of the table.
    pub rows: Vec<Row>,
}

impl Table {
    /// Creates a table without rows.
    pub fn new(name: impl Into<String>, title: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            note: note.into(),
            rows: Vec::new(),
        }
    }

    /// Returns the rows that exceed their budget.
    pub fn over(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_over())
    }

    /// Renders the table as Markdown without its title.
    pub fn markdown(&self) -> String {
        format!("{}\n\n{}", self.note, self.grid(presets::ASCII_MARKDOWN))
    }

    fn grid(&self, preset: &str) -> Grid {
        let mut grid = Grid::new();
        grid.load_preset(preset)
            .set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(["what", "unit", "baseline", "budget", "measured", "ratio"]);

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
                optional(row.baseline),
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

/// Formats a number with three significant digits, without trailing zeros after the decimal point.
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
