//! Lists as files of comma-separated values (RFC 4180), which spreadsheet programs open.

/// A file of comma-separated values.
#[derive(Debug, PartialEq, Eq)]
pub struct CsvFile {
    /// The name under which the browser saves the file.
    pub(crate) name: &'static str,
    /// The content: a line with the names of the columns, and a line for each row.
    pub(crate) text: String,
}

impl CsvFile {
    /// Creates a file with these columns and rows. The cells are protected against formula
    /// injection: spreadsheet programs evaluate text that begins with certain characters, so such
    /// text is preceded by an apostrophe.
    ///
    /// The file begins with a byte order mark, without which some programs do not read UTF-8.
    pub(crate) fn new<const N: usize>(
        name: &'static str,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let mut text = String::from("\u{feff}");
        push_line(&mut text, &columns);
        for row in rows {
            push_line(&mut text, &row.each_ref().map(String::as_str));
        }
        Self { name, text }
    }
}

fn push_line(text: &mut String, cells: &[&str]) {
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        push_cell(text, cell);
    }
    text.push_str("\r\n");
}

/// Appends a cell in quotation marks. Programs that remove white space evaluate the text after it,
/// so white space and other invisible characters at the beginning of the text do not matter.
fn push_cell(text: &mut String, cell: &str) {
    let visible = cell.trim_start_matches(|letter: char| {
        letter.is_whitespace() || letter.is_control() || is_invisible(letter)
    });
    // The wide forms of these characters are evaluated, too.
    let is_formula = visible.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    let begins_with_control = cell.starts_with(|letter: char| letter.is_control());

    text.push('"');
    if is_formula || begins_with_control {
        text.push('\'');
    }
    text.push_str(&cell.replace('"', "\"\""));
    text.push('"');
}

/// Returns whether a letter has no width: a mark of the direction of text, or a joiner.
const fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line of a row with one cell.
    fn line(cell: &str) -> String {
        let file = CsvFile::new("a.csv", ["a"], [[cell.to_owned()]]);
        let rows = file.text.strip_prefix("\u{feff}\"a\"\r\n");
        rows.expect("a byte order mark and the columns").to_owned()
    }

    #[test]
    fn cells_are_quoted() {
        let row = ["a,b", "say \"x\"\r\ny", ""].map(ToOwned::to_owned);
        let file = CsvFile::new("a.csv", ["one", "two", "three"], [row]);
        let expected =
            "\u{feff}\"one\",\"two\",\"three\"\r\n\"a,b\",\"say \"\"x\"\"\r\ny\",\"\"\r\n";
        assert_eq!(file.text, expected);
    }

    #[test]
    fn formulas_are_shown_as_text() {
        for cell in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "＝1",
            "|x",
            "%x",
            " =1",
            "\u{a0}=1",
            "\u{202e}=1",
            "\t1",
            "\r=1",
            "\n=1",
            "\u{feff}=1",
        ] {
            assert_eq!(line(cell), format!("\"'{cell}\"\r\n"), "{cell:?}");
        }
        assert_eq!(line("=A1&\"x\""), "\"'=A1&\"\"x\"\"\"\r\n");
        for cell in [
            "1",
            "a=1",
            "2026-01-31",
            "<img src=x onerror=alert(1)>",
            "'=1",
            "ä",
        ] {
            assert_eq!(line(cell), format!("\"{cell}\"\r\n"), "{cell:?}");
        }
    }

    #[test]
    fn file_without_rows_has_columns() {
        let file = CsvFile::new("a.csv", ["one", "two"], []);
        assert_eq!(file.text, "\u{feff}\"one\",\"two\"\r\n");
    }
}
