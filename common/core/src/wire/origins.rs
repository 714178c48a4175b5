//! The web origins whose pages may use the API and upload media from a browser (§8): a list,
//! compared exactly.

/// Hosts that may be allowed on every port, because they identify the browser's own machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// The wildcard for any port of a loopback host.
const ANY_PORT: &str = "*";

/// The origins whose pages may use the API. Empty by default: no page may use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<OriginRule>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum OriginRule {
    /// Exactly this origin, as browsers write it.
    Exactly(String),
    /// Every port of this scheme and loopback host, such as `http://localhost`.
    AnyPortOf(String),
}

/// The error for a list entry that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an origin: write scheme://host or scheme://host:port, without a path; only a loopback host may have the port *"
)]
pub struct OriginError(pub String);

impl AllowedOrigins {
    /// Parses a comma-separated list. Each entry is an origin such as `https://app.example` or
    /// `https://app.example:8443`; the default port of the scheme and a trailing slash are dropped,
    /// because browsers do not send them. The port of a loopback host may be `*`, which allows
    /// every port.
    ///
    /// # Errors
    /// Returns an [`OriginError`] with the first entry that is not an origin.
    pub fn parse(list: &str) -> Result<Self, OriginError> {
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        entries
            .map(OriginRule::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether the list is empty, so that no page may use the API.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether pages of this origin, as a browser sends it in `Origin`, may use the API.
    pub fn allows(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| match allowed {
            OriginRule::Exactly(exact) => exact == origin,
            OriginRule::AnyPortOf(host) => match origin.strip_prefix(host.as_str()) {
                Some(rest) => rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port),
                None => false,
            },
        })
    }
}

impl OriginRule {
    fn parse(entry: &str) -> Result<Self, OriginError> {
        let reject = || OriginError(entry.to_owned());
        let lower = entry.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or_else(reject)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);

        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let (host, port) = split_port(authority);

        let is_host = if let Some(address) = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
        } else {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };

        if !is_scheme || !is_host {
            return Err(reject());
        }

        match (scheme, port) {
            (_, Some(ANY_PORT)) if LOOPBACK.contains(&host) => {
                Ok(Self::AnyPortOf(format!("{scheme}://{host}")))
            }
            (_, None) | ("http", Some("80")) | ("https", Some("443")) => {
                Ok(Self::Exactly(format!("{scheme}://{host}")))
            }
            (_, Some(port)) if is_port(port) => {
                Ok(Self::Exactly(format!("{scheme}://{host}:{port}")))
            }
            _ => Err(reject()),
        }
    }
}

/// Splits an authority into host and port; colons inside the brackets of an IPv6 address are part
/// of the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Returns whether a text is a port, as browsers write it.
fn is_port(text: &str) -> bool {
    text.parse::<u16>()
        .is_ok_and(|port| port > 0 && port.to_string() == text)
}

#[cfg(test)]
mod tests;
