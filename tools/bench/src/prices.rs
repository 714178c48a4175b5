//! List prices from the dated file `tools/bench/prices.toml`.

use serde::Deserialize;

/// The content of the price file.
#[derive(Debug, Clone, Deserialize)]
pub struct Prices {
    /// The date of the prices.
    pub as_of: String,
    /// The prices of AWS.
    pub aws: Aws,
    /// The prices of comparable products.
    pub peers: Vec<Peer>,
}

/// AWS list prices in dollars.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Aws {
    /// Price of a million DynamoDB write units.
    pub write_units_million: f64,
    /// Price of a million DynamoDB read units.
    pub read_units_million: f64,
    /// Price of a million Lambda invocations.
    pub lambda_requests_million: f64,
    /// Price of a gigabyte-second of Lambda.
    pub lambda_gb_second: f64,
    /// Price of a million requests to API Gateway.
    pub api_requests_million: f64,
}

/// A comparable product and its price range.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// The name of the product.
    pub name: String,
    /// Lowest price of a million items in dollars.
    pub million_low: f64,
    /// Highest price of a million items in dollars.
    pub million_high: f64,
}

/// Parses the price file, which is compiled in.
pub fn prices() -> Prices {
    toml::from_str(include_str!("../prices.toml")).expect("prices.toml")
}

impl Aws {
    /// Returns the dollars for these numbers of write and read units.
    pub fn units(&self, write: f64, read: f64) -> f64 {
        (write * self.write_units_million + read * self.read_units_million) / 1e6
    }
}
