//! Renders a table as an SVG chart. Each row with a budget or a baseline has a bar for the measured
//! value and marks for the baseline and the budget.

use svg::{
    Document,
    node::element::{Line, Rectangle, Style, Text},
};

use crate::table::{Row, Table, number};

const ROW_PX: f64 = 22.0;
const NAME_PX: f64 = 330.0;
const BAR_PX: f64 = 420.0;
const WIDTH_PX: f64 = NAME_PX + BAR_PX + 110.0;
const HEAD_PX: f64 = 26.0;
/// Colors that are legible on light and dark backgrounds.
const STYLE: &str = "text { font: 12px sans-serif; fill: #808080 } .bar { fill: #4c8dd6 } .over { fill: #d65c4c } \
     .baseline { stroke: #808080; stroke-width: 2 } .budget { stroke: #d69b2d; stroke-width: 2 }";

/// Explains the bars and marks.
const LEGEND: &str = "bar: measured · grey: baseline · yellow: budget (each row has its own scale)";

/// Renders the table as SVG; `None` if no row has a baseline or a budget.
pub fn svg(table: &Table) -> Option<String> {
    let rows: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| row.budget.is_some() || row.baseline.is_some())
        .collect();
    if rows.is_empty() {
        return None;
    }

    let height = ROW_PX.mul_add(rows.len() as f64, HEAD_PX + 4.0);
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH_PX, height))
        .set("role", "img")
        .add(Style::new(STYLE))
        .add(Text::new(LEGEND).set("x", 0).set("y", 14));

    for (at, row) in rows.into_iter().enumerate() {
        document = with_row(document, row, ROW_PX.mul_add(at as f64, HEAD_PX));
    }
    Some(format!("{document}\n"))
}

/// Adds the name, the bar, the value and the marks of a row, `top` pixels below the upper edge.
fn with_row(document: Document, row: &Row, top: f64) -> Document {
    let name = Text::new(format!("{} ({})", row.what, row.unit))
        .set("x", 0)
        .set("y", top + 13.0);
    let bar = Rectangle::new()
        .set("class", if row.is_over() { "over" } else { "bar" })
        .set("x", NAME_PX)
        .set("y", top + 3.0)
        .set("width", x_of(row.measured, row) - NAME_PX)
        .set("height", ROW_PX - 9.0);
    let value = Text::new(number(row.measured))
        .set("x", NAME_PX + BAR_PX + 8.0)
        .set("y", top + 13.0);

    [("baseline", row.baseline), ("budget", row.budget)]
        .into_iter()
        .filter_map(|(class, value)| Some(mark(class, x_of(value?, row), top)))
        .fold(document.add(name).add(bar).add(value), Document::add)
}

/// Returns the x coordinate of a value on the scale of its row, on which the largest value fills
/// the width of the bars.
fn x_of(value: f64, row: &Row) -> f64 {
    let largest = [
        row.measured,
        row.budget.unwrap_or(0.0),
        row.baseline.unwrap_or(0.0),
    ]
    .into_iter()
    .fold(0.0, f64::max);

    if largest > 0.0 {
        NAME_PX + BAR_PX * value / largest
    } else {
        NAME_PX
    }
}

/// Returns the vertical line that marks a reference value of a row.
fn mark(class: &str, x: f64, top: f64) -> Line {
    Line::new()
        .set("class", class)
        .set("x1", x)
        .set("x2", x)
        .set("y1", top)
        .set("y2", top + ROW_PX - 3.0)
}
