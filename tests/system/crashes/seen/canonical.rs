//! The canonical form of observed JSON: without random ids and, if times differ, without times.

use serde_json::{Map, Value};

use super::Times;

/// Attributes and fields that contain times, besides those whose names end in `_at`.
const TIMES: [&str; 4] = ["at", "c", "first_seen", "last_seen"];
/// Attributes with the place of a batch in an index: its time, and then bits of its random id.
const PLACES: [&str; 2] = ["f_at", "r_at"];
/// The number of bits that [`PLACES`] take from the id.
const PLACE_ID_BITS: u32 = 20;

/// Replaces random ids and, if times differ, removes times.
pub(super) fn canonical(value: Value, times: Times) -> Value {
    match value {
        Value::String(text) => {
            // Handles JSON within text, such as a message on the topic.
            match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(fields) => canonical(Value::Object(fields), times),
                Err(_) => without_random_ids(&text).into(),
            }
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| canonical(item, times))
            .collect(),
        Value::Object(fields) => {
            let is_time = |name: &str| name.ends_with("_at") || TIMES.contains(&name);
            let compared = fields
                .into_iter()
                .filter(|(name, _)| times == Times::Count || !is_time(name));

            compared
                .map(|(name, value)| match PLACES.contains(&name.as_str()) {
                    true => (name, time_of_place(&value)),
                    false => (name, canonical(value, times)),
                })
                .collect()
        }
        other => other,
    }
}

/// Returns the time in the attribute with a place.
fn time_of_place(attribute: &Value) -> Value {
    let place = attribute["N"].as_str().and_then(|text| text.parse().ok());
    place.map(|place: i64| place >> PLACE_ID_BITS).into()
}

/// Replaces each UUIDv7 in a text, with or without dashes, by a placeholder.
fn without_random_ids(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);

    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let (word, after) =
            word.split_at(word.find(|letter| !is_part(letter)).unwrap_or(word.len()));
        plain.push_str(before);
        let id = [36, 32]
            .into_iter()
            .find(|letters| word.len() >= *letters && is_random_id(&word[word.len() - letters..]));
        plain.push_str(&word[..word.len() - id.unwrap_or_default()]);
        plain.push_str(if id.is_some() { "<random id>" } else { "" });
        rest = after;
    }

    plain + rest
}

/// Returns whether the text is a UUIDv7. Ids are at the end of a longer name, as in `batch-…-<id>`.
fn is_random_id(text: &str) -> bool {
    let is_dash = |place: usize| text.len() == 36 && [8, 13, 18, 23].contains(&place);
    let digits: Vec<u8> = text
        .bytes()
        .enumerate()
        .filter(|(place, _)| !is_dash(*place))
        .map(|(_, digit)| digit)
        .collect();
    digits.iter().all(u8::is_ascii_hexdigit) && digits[12] == b'7' && b"89ab".contains(&digits[16])
}

#[test]
fn only_random_ids_are_replaced() {
    let (random, derived) = (
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "cfbff0d1-9375-5685-968c-48ce8b15ae17",
    );
    let text = format!("batch-x-{}/{random}, {derived} é", random.replace('-', ""));
    assert_eq!(
        without_random_ids(&text),
        format!("batch-x-<random id>/<random id>, {derived} é")
    );
}
