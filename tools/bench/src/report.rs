//! Updates `docs/performance.md`. Each section of tables is between two markers, and the chart of
//! each table is in `docs/performance/`.

use std::{fs, io, path::Path};

use crate::{chart, machine, table::Table};

/// Replaces the section of one subcommand. The rest of the page is written manually.
///
/// # Errors
/// Returns an error if the page has no markers for the section or cannot be written.
pub fn write(root: &Path, section: &str, tables: &[Table]) -> io::Result<()> {
    let page = root.join("docs/performance.md");
    let mut text = fs::read_to_string(&page)?;
    let pictures = root.join("docs/performance");
    fs::create_dir_all(&pictures)?;

    let mut body = format!("Measured on: {}.\n", machine::describe());
    for table in tables {
        body.push_str(&format!("\n### {}\n\n{}\n", table.title, table.markdown()));
        if let Some(svg) = chart::svg(table) {
            fs::write(pictures.join(format!("{}.svg", table.name)), svg)?;
            body.push_str(&format!(
                "\n![{}](performance/{}.svg)\n",
                table.title, table.name
            ));
        }
    }

    text = replaced(&text, section, &body).ok_or_else(|| {
        io::Error::other(format!("{} has no markers for {section}", page.display()))
    })?;
    fs::write(page, text)
}

fn replaced(text: &str, section: &str, body: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- bench {section} -->\n"),
        format!("<!-- end of {section} -->"),
    );
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{body}\n{end}{after}"))
}
