//! Values in JSON, TOML and rows as the text that `Display` writes and `FromStr` parses: keywords,
//! positions and channels. A field has the attribute `#[serde(with = "text")]`. Only a text is
//! accepted; an enumeration derived by serde would also accept `{"update": null}`.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Serializes the text of a value.
///
/// # Errors
/// Returns the errors of the serializer.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Deserializes a value from its text.
///
/// # Errors
/// Returns an error if the input is no text, or if `FromStr` rejects it.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// The same for optional values: `#[serde(with = "text::option")]`.
pub mod option {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Serializes the text of a value, or `null`.
    ///
    /// # Errors
    /// Returns the errors of the serializer.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Deserializes a value from its text, or `null`.
    ///
    /// # Errors
    /// Returns an error if the input is neither a text nor `null`, or if `FromStr` rejects it.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}
