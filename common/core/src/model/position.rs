//! Positions in the change log: three numbers as text of fixed width, so that text order is log
//! order.

use std::{fmt, str::FromStr};

/// The number of digits that a stream sequence number is padded to; DynamoDB's have 21 to 40.
const SEQUENCE_DIGITS: usize = 40;

/// A stream sequence number: a decimal number of at most 40 digits, stored as zero-padded digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence([u8; SEQUENCE_DIGITS]);

impl Sequence {
    /// The number 0, which precedes every record.
    pub const ZERO: Self = Self([b'0'; SEQUENCE_DIGITS]);

    /// Parses a sequence number; returns `None` unless the text has 1 to 40 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty()
            || text.len() > SEQUENCE_DIGITS
            || !text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let mut digits = Self::ZERO;
        digits.0[SEQUENCE_DIGITS - text.len()..].copy_from_slice(text.as_bytes());
        Some(digits)
    }

    /// Returns all 40 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default() // digits are ASCII
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().trim_start_matches('0'))
    }
}

/// A position in a channel's change log. The order of the fields is the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the stream: a newer stream label begins the next epoch.
    pub epoch: u32,
    /// The sequence number of the record in that stream.
    pub sequence: Sequence,
    /// 0, except for late records, which follow the head with the head's sequence number.
    pub late: u32,
}

impl Position {
    /// The position before every change.
    pub const START: Self = Self {
        epoch: 0,
        sequence: Sequence::ZERO,
        late: 0,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:010}-{}-{:010}",
            self.epoch,
            self.sequence.as_str(),
            self.late
        )
    }
}

/// The error for a text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a change log")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse().ok())?
        };

        let read = || {
            let (epoch, rest) = text.split_at_checked(10)?;
            let (sequence, rest) = rest.strip_prefix('-')?.split_at_checked(SEQUENCE_DIGITS)?;
            let late = rest.strip_prefix('-').filter(|late| late.len() == 10)?;
            Some(Self {
                epoch: number(epoch)?,
                sequence: Sequence::parse(sequence)?,
                late: number(late)?,
            })
        };
        read().ok_or(NotAPosition)
    }
}

#[cfg(test)]
mod tests;
