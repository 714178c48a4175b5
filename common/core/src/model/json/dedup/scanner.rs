//! Finds the duplicate fields in the text of a value.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use crate::model::limits::NESTING_MAX;

/// Scans a text that is known to be JSON once, and collects the ranges to cut.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) cuts: Vec<Range<usize>>,
}

impl<'a> Scanner<'a> {
    /// Passes the next value, nested in `depth` others.
    pub(super) fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' if depth == NESTING_MAX => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(|_| ()),
            _ => {
                let is_end =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                let rest = &self.text.as_bytes()[self.at..];
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
                Some(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        while self.peek()? != b']' {
            self.value(depth + 1)?;
            self.comma()?;
        }
        self.at += 1;
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        let mut starts = Vec::new();
        let mut repeated = Vec::new();
        let mut last: HashMap<Cow<'a, str>, usize> = HashMap::new();

        while self.peek()? != b'}' {
            let (index, start) = (starts.len(), self.at);
            starts.push(start);
            repeated.extend(last.insert(self.string()?, index));
            self.peek()?;
            self.at += 1; // the colon
            self.value(depth + 1)?;
            self.comma()?;
        }
        self.at += 1;

        // A cut ends at the next name: a repeated field is never the last of its object.
        let cut = |index: usize| Some(*starts.get(index)?..*starts.get(index + 1)?);
        self.cuts.extend(repeated.into_iter().filter_map(cut));
        Some(())
    }

    /// Passes a string and returns its decoded text.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (text, start) = (self.text, self.at);
        let bytes = text.as_bytes();
        let mut is_escaped = false;
        self.at += 1;
        while *bytes.get(self.at)? != b'"' {
            let is_escape = bytes[self.at] == b'\\';
            is_escaped |= is_escape;
            self.at += if is_escape { 2 } else { 1 };
        }
        self.at += 1;

        let quoted = text.get(start..self.at)?;
        if is_escaped {
            serde_json::from_str(quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
        }
    }

    /// Passes a comma, if there is one.
    fn comma(&mut self) -> Option<()> {
        if self.peek()? == b',' {
            self.at += 1;
        }
        Some(())
    }

    /// Passes white space and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.text.as_bytes().get(self.at).copied()
    }
}
