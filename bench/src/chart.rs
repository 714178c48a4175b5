//! A table as a picture: for each row that has a budget or a floor, a bar of what was measured, a
//! mark at the floor and a mark at the budget.

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
/// Legible on a light and on a dark page.
const STYLE: &str = "text { font: 12px sans-serif; fill: #808080 } .bar { fill: #4c8dd6 } .over { fill: #d65c4c } \
     .floor { stroke: #808080; stroke-width: 2 } .budget { stroke: #d69b2d; stroke-width: 2 }";

/// The picture as SVG; `None` of a table with nothing to compare.
pub fn svg(table: &Table) -> Option<String> {
    let rows: Vec<&Row> = table
        .rows
        .iter()
        .filter(|row| row.budget.is_some() || row.floor.is_some())
        .collect();
    if rows.is_empty() {
        return None;
    }
    let height = ROW_PX.mul_add(rows.len() as f64, HEAD_PX + 4.0);
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH_PX, height))
        .set("role", "img")
        .add(Style::new(STYLE));
    let head = "bar: measured · grey: floor · yellow: budget (each row has a scale of its own)";
    document = document.add(Text::new(head).set("x", 0).set("y", 14));
    for (at, row) in rows.into_iter().enumerate() {
        let top = ROW_PX.mul_add(at as f64, HEAD_PX);
        let largest = [
            row.measured,
            row.budget.unwrap_or(0.0),
            row.floor.unwrap_or(0.0),
        ]
        .into_iter()
        .fold(0.0, f64::max);
        let x_of = |value: f64| {
            NAME_PX
                + if largest > 0.0 {
                    BAR_PX * value / largest
                } else {
                    0.0
                }
        };
        let name = Text::new(format!("{} ({})", row.what, row.unit))
            .set("x", 0)
            .set("y", top + 13.0);
        let bar = Rectangle::new()
            .set("class", if row.is_over() { "over" } else { "bar" })
            .set("x", NAME_PX)
            .set("y", top + 3.0);
        let bar = bar
            .set("width", x_of(row.measured) - NAME_PX)
            .set("height", ROW_PX - 9.0);
        let value = Text::new(number(row.measured))
            .set("x", NAME_PX + BAR_PX + 8.0)
            .set("y", top + 13.0);
        document = document.add(name).add(bar).add(value);
        for (class, value) in [("floor", row.floor), ("budget", row.budget)] {
            let Some(x) = value.map(x_of) else { continue };
            let mark = Line::new()
                .set("class", class)
                .set("x1", x)
                .set("x2", x)
                .set("y1", top)
                .set("y2", top + ROW_PX - 3.0);
            document = document.add(mark);
        }
    }
    Some(format!("{document}\n"))
}
