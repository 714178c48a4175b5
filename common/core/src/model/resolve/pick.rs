//! The picks of a resolution by field (§5.2): the source of each named field.

use std::iter;

use indexmap::IndexMap;

use crate::model::json::{self, Json};

/// The source of one field.
#[derive(Debug, Clone)]
pub enum Pick {
    /// The field as `accept_client` would store it. If that payload lacks it, it is removed.
    Client,
    /// The field as the server has it.
    Server,
    /// The field gets this value.
    Value(Json),
    /// The field is removed.
    Remove,
}

/// The picks of top-level fields by name, at most
/// [`PAYLOAD_FIELDS_MAX`](crate::model::limits::PAYLOAD_FIELDS_MAX). Fields that are not named keep
/// the server's value.
#[derive(Debug, Clone, Default)]
pub struct Picks(pub IndexMap<String, Pick>);

impl Picks {
    /// Returns a digest of the picks, in any order, and of the version for which they were made. It
    /// distinguishes a repeated request from a different one.
    pub fn digest(&self, expected_server_version: u64) -> [u8; 16] {
        let mut picks: Vec<(&String, &Pick)> = self.0.iter().collect();
        picks.sort_by_key(|(name, _)| *name);

        let version = expected_server_version.to_string();
        let parts = picks.into_iter().flat_map(|(name, pick)| {
            let (source, value) = pick.parts();
            [name.clone(), source.to_owned(), value]
        });
        let digest = json::digest(iter::once(version).chain(parts));
        std::array::from_fn(|index| digest[index])
    }
}

impl Pick {
    /// Returns the name of the source and the canonical text of a value.
    fn parts(&self) -> (&'static str, String) {
        match self {
            Self::Client => ("client", String::new()),
            Self::Server => ("server", String::new()),
            Self::Remove => ("remove", String::new()),
            Self::Value(value) => {
                let canonical = json::canonical(value);
                (
                    "value",
                    canonical.unwrap_or_else(|_| value.get().to_owned()),
                )
            }
        }
    }
}
