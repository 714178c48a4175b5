//! Composes the payload of a resolution by field (§5.2).

use crate::model::{
    json::{self, Fields, Json},
    resolve::{Pick, Picks},
};

/// Returns the payload that `picks` compose: the fields of `server`, with those that are picked.
/// `client` are the fields that `accept_client` would store. Each field has the text of its source;
/// a replaced field keeps its place, and new fields follow in the order of the picks.
///
/// # Example
///
/// ```
/// use tidemark_core::{
///     model::{json, resolve::{Pick, Picks}},
///     rules::resolve::compose,
/// };
///
/// let fields = |text| json::fields(serde_json::from_str(text).unwrap()).unwrap();
/// let server = fields(r#"{"reading":50,"note":"old","serial":9007199254740993}"#);
/// let client = fields(r#"{"reading":42.50,"serial":9007199254740993,"place":"cellar"}"#);
/// let picks = [("place", Pick::Client), ("reading", Pick::Client), ("note", Pick::Remove)];
/// let picks = Picks(picks.map(|(name, pick)| (name.to_owned(), pick)).into());
///
/// let composed = r#"{"reading":42.50,"serial":9007199254740993,"place":"cellar"}"#;
/// assert_eq!(compose(&server, &client, &picks).get(), composed);
/// ```
pub fn compose(server: &Fields, client: &Fields, picks: &Picks) -> Json {
    let mut composed = server.clone();
    for (name, pick) in &picks.0 {
        let picked = match pick {
            Pick::Server => continue,
            Pick::Client => client.get(name),
            Pick::Value(value) => Some(value),
            Pick::Remove => None,
        };
        match picked {
            Some(value) => drop(composed.insert(name.clone(), value.clone())),
            None => drop(composed.shift_remove(name)),
        }
    }

    json::object(&composed)
}
