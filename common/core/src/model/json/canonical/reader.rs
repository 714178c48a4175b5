//! Reads the text of a value and writes its canonical form in one pass.

use std::{borrow::Cow, ops::Range};

use crate::model::{json::JsonError, limits::NESTING_MAX, work};

/// The remaining input and the output. The input is known to be JSON, like that of every
/// [`RawValue`](serde_json::value::RawValue).
pub(super) struct CanonicalReader<'a> {
    pub(super) rest: &'a str,
    pub(super) text: String,
    pub(super) without_id: bool,
    pub(super) has_duplicates: bool,
}

/// The name of a field that was written, and its range in the output.
type Field<'a> = (Cow<'a, str>, Range<usize>);

impl<'a> CanonicalReader<'a> {
    /// Reads the next value, nested in `depth` others.
    pub(super) fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.next() {
            Some(b'{' | b'[') if depth == NESTING_MAX => Err(JsonError::TooDeep),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(|_| ()),
            _ => {
                let is_end =
                    |byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                let word = self.take(
                    self.rest
                        .bytes()
                        .position(is_end)
                        .unwrap_or(self.rest.len()),
                );

                self.text.push_str(word);
                Ok(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.text.push('[');
        self.take(1);
        while !matches!(self.next(), Some(b']') | None) {
            self.value(depth + 1)?;
            self.comma();
        }
        self.take(1);
        self.text.push(']');
        Ok(())
    }

    /// Reads an object; if fields have the same name, the last one counts.
    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.text.push('{');
        self.take(1);

        let mut fields: Vec<Field<'a>> = Vec::new();
        while !matches!(self.next(), Some(b'}') | None) {
            let begin = self.text.len();
            let name = self.string()?;
            self.next();
            self.take(1);
            self.text.push(':');
            self.value(depth + 1)?;
            fields.push((name, begin..self.text.len()));
            self.comma();
        }

        self.take(1);
        let drops_id = self.without_id && depth == 0 && fields.iter().any(|(name, _)| name == "id");
        if drops_id || !fields.is_sorted_by(|(one, _), (other, _)| one < other) {
            self.sort(fields, drops_id);
        }

        self.text.push('}');
        Ok(())
    }

    /// Sorts the fields that were written last by their names.
    fn sort(&mut self, mut fields: Vec<Field<'a>>, drops_id: bool) {
        let begin = fields.first().map_or(self.text.len(), |(_, at)| at.start);
        // Reversed, so that the stable sort puts the last of equal names first and `dedup_by` keeps
        // it.
        fields.reverse();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));

        let count = fields.len();
        fields.dedup_by(|(later, _), (earlier, _)| later == earlier);
        self.has_duplicates |= fields.len() < count;
        fields.retain(|(name, _)| !(drops_id && name == "id"));

        let unsorted = self.text.split_off(begin);
        work::written(unsorted.len());
        for (index, (_, at)) in fields.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text
                .push_str(&unsorted[at.start - begin..at.end - begin]);
        }
    }

    /// Reads a string and returns its decoded text.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let (mut bytes, mut is_escaped) = (1, false);
        let mut follows_backslash = false;
        for byte in self.rest.bytes().skip(1) {
            bytes += 1;
            if follows_backslash {
                follows_backslash = false;
            } else if byte == b'\\' {
                (follows_backslash, is_escaped) = (true, true);
            } else if byte == b'"' {
                break;
            }
        }

        let quoted = self.take(bytes);
        if is_escaped {
            let decoded: String = serde_json::from_str(quoted)?;
            self.text.push_str(&serde_json::to_string(&decoded)?);
            Ok(Cow::Owned(decoded))
        } else {
            self.text.push_str(quoted);
            Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
        }
    }

    /// Reads a comma, if there is one.
    fn comma(&mut self) {
        if self.next() == Some(b',') {
            self.take(1);
            self.text.push(',');
        }
    }

    /// Skips white space and returns the next byte without reading it.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}
