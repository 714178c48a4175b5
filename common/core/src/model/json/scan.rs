//! A scanner over text that is known to be valid JSON, like that of every
//! [`RawValue`](serde_json::value::RawValue): it passes over values without building anything.

use std::borrow::Cow;

/// A position in a JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the text between this position and `end`.
    pub(super) fn text_until(&self, end: &Self) -> &'a str {
        self.text.get(self.at..end.at).unwrap_or_default()
    }

    /// Returns the number of bytes passed.
    pub(super) const fn passed(&self) -> usize {
        self.at
    }

    /// Skips white space and returns the next byte without passing it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Skips white space, and the next byte if it is `expected`; returns whether it was.
    pub(super) fn take(&mut self, expected: u8) -> bool {
        let is_expected = self.peek() == Some(expected);
        self.at += usize::from(is_expected);
        is_expected
    }

    /// Passes the next value and returns its text.
    pub(super) fn value(&mut self) -> &'a str {
        let first = self.peek();
        let begin = self.at;
        match first {
            Some(b'{' | b'[') => self.pass_container(),
            Some(b'"') => self.pass_string(),
            _ => self.pass_word(),
        }
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Passes the name of a field and its colon. Returns `None` if there is no name, or if it is
    /// not Unicode text.
    pub(super) fn name(&mut self) -> Option<Cow<'a, str>> {
        let quoted = self.value();
        if !self.take(b':') {
            return None;
        }
        if quoted.contains('\\') {
            return serde_json::from_str(quoted).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(quoted.strip_prefix('"')?.strip_suffix('"')?))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn pass_word(&mut self) {
        while self.byte().is_some_and(|byte| {
            !matches!(
                byte,
                b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'
            )
        }) {
            self.at += 1;
        }
    }

    fn pass_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += match byte {
                b'\\' => 2,
                b'"' => {
                    self.at += 1;
                    return;
                }
                _ => 1,
            };
        }
    }

    fn pass_container(&mut self) {
        let mut depth = 0_usize;

        while let Some(byte) = self.byte() {
            match byte {
                b'"' => {
                    self.pass_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => (),
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
