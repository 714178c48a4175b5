//! List prices: `bench/prices.toml`, the one dated file.

use serde::Deserialize;

/// The file.
#[derive(Debug, Clone, Deserialize)]
pub struct Prices {
    /// The day they were looked up.
    pub as_of: String,
    /// What AWS asks.
    pub aws: Aws,
    /// What others ask for the same work.
    pub peers: Vec<Peer>,
}

/// Dollars.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Aws {
    /// A million write units of DynamoDB.
    pub write_units_million: f64,
    /// A million read units.
    pub read_units_million: f64,
    /// A million invocations.
    pub lambda_requests_million: f64,
    /// A gigabyte for a second.
    pub lambda_gb_second: f64,
    /// A million requests to API Gateway.
    pub api_requests_million: f64,
}

/// Another product.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Dollars for a million items, at least.
    pub million_low: f64,
    /// At most.
    pub million_high: f64,
}

/// The prices.
pub fn prices() -> Prices {
    toml::from_str(include_str!("../prices.toml")).expect("prices.toml")
}

impl Aws {
    /// Dollars for so many units of each kind.
    pub fn units(&self, write: f64, read: f64) -> f64 {
        (write * self.write_units_million + read * self.read_units_million) / 1e6
    }
}
