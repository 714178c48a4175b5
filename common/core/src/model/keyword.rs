//! Keywords: enumerations whose values have one fixed text each, in requests, responses and rows.

use std::fmt;

/// An enumeration whose values have one fixed text each, which `Display` writes and `FromStr`
/// parses.
pub trait Keyword: Copy + fmt::Display + 'static {
    /// The noun for a value in error messages, such as `action`.
    const NOUN: &'static str;
    /// All values, in the order of their declaration.
    const ALL: &'static [Self];
}

/// The error for a text that no value of a [`Keyword`] has. Its message names the expected texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKeyword(String);

impl UnknownKeyword {
    /// Creates the error for a `text` that is no keyword of the type `K`.
    pub(crate) fn new<K: Keyword>(text: &str) -> Self {
        let expected: Vec<String> = K::ALL.iter().map(ToString::to_string).collect();
        let expected = match expected.split_last() {
            Some((last, others)) if !others.is_empty() => {
                format!("{} or {last}", others.join(", "))
            }
            _ => expected.concat(),
        };
        Self(format!("unknown {} {text:?}, expected {expected}", K::NOUN))
    }
}

impl std::error::Error for UnknownKeyword {}

impl fmt::Display for UnknownKeyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Implements [`Keyword`] for an enumeration, and `as_str`, which returns the text of a value.
macro_rules! keywords {
    ($type:ident, $noun:literal, $($variant:ident => $text:literal),+ $(,)?) => {
        impl $type {
            /// Returns the text of the value in requests, responses and rows.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl $crate::model::keyword::Keyword for $type {
            const NOUN: &'static str = $noun;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::model::keyword::UnknownKeyword;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::model::keyword::UnknownKeyword::new::<Self>(text)),
                }
            }
        }
    };
}
pub(crate) use keywords;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::edit::Action;

    #[test]
    fn keyword_is_parsed_from_its_text() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }

        let error = "Create".parse::<Action>().expect_err("no such action");
        assert_eq!(
            error.to_string(),
            "unknown action \"Create\", expected create, update or delete"
        );
    }
}
