//! The value of a JSON number, computed from its digits without rounding.

/// A number as `digits · 10^exponent`. The digits neither begin nor end with `0`, so equal numbers
/// have equal fields.
#[derive(Debug, PartialEq, Eq)]
struct NumberValue {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

/// Returns whether two JSON texts are numbers of the same value in different digits, such as `1.0`
/// and `1`. Numbers whose exponents exceed 64 bits are not compared.
pub(super) fn is_same_number(one: &str, other: &str) -> bool {
    one != other
        && NumberValue::read(one).is_some_and(|value| Some(value) == NumberValue::read(other))
}

impl NumberValue {
    /// Reads a JSON text; `None` if it is not a number, or if its exponent exceeds 64 bits.
    fn read(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }

        // Collect the digits.
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let digits = all.trim_end_matches('0');
        let trailing = all.len() - digits.len();
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self {
                is_negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }

        // Shift the exponent by the digits that were moved or omitted.
        let shift = i64::try_from(trailing).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self {
            is_negative,
            digits: digits.to_owned(),
            exponent: exponent.parse::<i64>().ok()?.checked_add(shift)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_of_one_number_are_same() {
        for (one, other) in [
            ("1", "1.0"),
            ("0", "-0.00e7"),
            ("0e99999999999999999999", "0"),
            ("42.50", "4.25e1"),
            ("1200", "12E+2"),
            ("-0.001", "-1e-3"),
            ("9007199254740993", "9007199254740993.0"),
        ] {
            assert!(is_same_number(one, other), "{one} {other}");
            assert!(is_same_number(other, one), "{other} {one}");
        }
    }

    #[test]
    fn other_values_are_not_same_number() {
        for (one, other) in [
            ("1", "1"),
            ("1", "-1"),
            ("1", "10"),
            ("10", "0.10"),
            ("9007199254740993", "9007199254740992.0"),
            ("1e99999999999999999999", "10e99999999999999999998"),
            ("1", "\"1.0\""),
            ("null", "true"),
            ("[1]", "[1.0]"),
        ] {
            assert!(!is_same_number(one, other), "{one} {other}");
        }
    }
}
