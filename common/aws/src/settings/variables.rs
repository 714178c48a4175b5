//! Reads typed values of environment variables. An empty value counts as not set.

use chrono::Duration;

use super::SettingsError;

/// The maximum retention that can be configured, in days.
const DAYS_MAX: u64 = 36_500;

/// The source of the variables: a function from the name of a variable to its value.
#[derive(Clone, Copy)]
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// Returns the value of a variable, if it is set.
    pub(super) fn optional(self, name: &'static str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Returns the value of a variable that must be set.
    pub(super) fn required(self, name: &'static str) -> Result<String, SettingsError> {
        self.optional(name).ok_or(SettingsError::Missing(name))
    }

    /// Returns the value of a variable, or `default` if it is not set.
    pub(super) fn or_default(self, name: &'static str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// Returns a number from 1 to `max`.
    pub(super) fn number(
        self,
        name: &'static str,
        default: &str,
        max: u64,
    ) -> Result<u64, SettingsError> {
        let text = self.or_default(name, default);
        let number = text
            .parse::<u64>()
            .ok()
            .filter(|number| (1..=max).contains(number));
        number.ok_or(SettingsError::Number(name, text, max))
    }

    /// Returns a duration that is configured in days.
    pub(super) fn days(self, name: &'static str, default: &str) -> Result<Duration, SettingsError> {
        self.number(name, default, DAYS_MAX)
            .map(|days| Duration::days(i64::try_from(days).unwrap_or(i64::MAX)))
    }

    /// Returns whether the value is `yes`, the default, and not `no`.
    pub(super) fn choice(
        self,
        name: &'static str,
        yes: &'static str,
        no: &'static str,
    ) -> Result<bool, SettingsError> {
        match self.or_default(name, yes) {
            value if value == yes => Ok(true),
            value if value == no => Ok(false),
            value => Err(SettingsError::Choice(name, value, yes, no)),
        }
    }
}
