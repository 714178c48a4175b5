//! Numbers in requests: whole numbers within bounds. Errors describe them in JSON terms.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A whole number from `MIN` to `MAX`, inclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_u64(WholeVisitor::<MIN, MAX>)
            .map(Self)
    }
}

/// Deserializes a whole number from `MIN` to `MAX`.
///
/// # Errors
/// Returns an error with the bounds for any other value: another type, or a number with a sign, a
/// fraction or an exponent (`-0`, `1.0`, `1e3`).
pub(crate) fn deserialize_whole<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<u64, D::Error> {
    Whole::<MIN, MAX>::deserialize(deserializer).map(|number| number.0)
}

/// Deserializes a number like [`deserialize_whole`], or `None` if it is missing or `null`.
pub(crate) fn deserialize_whole_option<
    'de,
    D: Deserializer<'de>,
    const MIN: u64,
    const MAX: u64,
>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Whole<MIN, MAX>>::deserialize(deserializer)?.map(|number| number.0))
}

struct WholeVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> WholeVisitor<MIN, MAX> {
    fn rejected<E: Error>() -> E {
        E::custom(format!(
            "must be a whole number from {MIN} to {MAX}, written without sign, fraction and exponent"
        ))
    }
}

impl<const MIN: u64, const MAX: u64> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        if (MIN..=MAX).contains(&number) {
            Ok(number)
        } else {
            Err(Self::rejected())
        }
    }

    fn visit_i64<E: Error>(self, _number: i64) -> Result<u64, E> {
        Err(Self::rejected())
    }

    /// Rejects numbers with a fraction or an exponent, `-0`, and numbers beyond 64 bits.
    fn visit_f64<E: Error>(self, _number: f64) -> Result<u64, E> {
        Err(Self::rejected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_keep_their_bounds() {
        let read = |text: &str| {
            serde_json::from_str::<Whole<1, 500>>(text)
                .map(|number| number.0)
                .map_err(|error| error.to_string())
        };
        assert_eq!((read("1"), read("500")), (Ok(1), Ok(500)));

        for text in [
            "0",
            "501",
            "-0",
            "-1",
            "1.0",
            "1e2",
            "1E2",
            "18446744073709551616",
            "1e400",
        ] {
            let error = read(text).expect_err(text);
            assert!(
                error.starts_with("must be a whole number from 1 to 500,") || text == "1e400",
                "{text}: {error}"
            );
        }

        assert!(
            read("\"1\"")
                .is_err_and(|error| error.contains("expected a whole number from 1 to 500"))
        );
    }
}
