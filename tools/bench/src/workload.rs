//! Payloads of the measurements: distinct forms of a given size, as field workers fill them in, and
//! noise, which hardly compresses.

use serde_json::{Value, json};
use tidemark_tests::Item;

const WORDS: [&str; 12] = [
    "gate", "locked", "meter", "behind", "shed", "dog", "ring", "twice", "rust", "on", "cover",
    "valve",
];

/// Creates a form whose payload has `bytes` bytes, at least 300.
pub fn form(number: usize, edit: usize, bytes: usize) -> Value {
    let mixed = (number * 7919 + edit * 104_729) % 1_000_003;
    let mut form = json!({
        "form_id": format!("f-{}", number % 7),
        "data": {
            "site": format!("site-{mixed:06}"), "reading": mixed as f64 / 10.0, "unit": "kWh", "ok": mixed.is_multiple_of(3),
            "inspector": format!("user-{}", mixed % 97), "taken_at": format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + mixed % 28, mixed % 24, mixed % 60),
        },
        "note": "",
    });

    let missing = bytes - form.to_string().len();
    let mut note = String::with_capacity(missing + 8);

    // Pseudo-random words, so that the compression ratio is that of plain words without a pattern.
    let mut random = fastrand::Rng::with_seed(mixed as u64);
    while note.len() < missing {
        note.push_str(WORDS[random.usize(..WORDS.len())]);
        note.push(' ');
    }
    note.truncate(missing);
    form["note"] = note.into();

    assert_eq!(form.to_string().len(), bytes);
    form
}

/// Creates a payload of `bytes` bytes of random base64 text.
pub fn noise(number: usize, bytes: usize) -> Value {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = fastrand::Rng::with_seed(number as u64);
    let frame = json!({"form_id": "f", "data": {"t": ""}}).to_string().len();
    let text: String = (frame..bytes)
        .map(|_| char::from(LETTERS[random.usize(..LETTERS.len())]))
        .collect();
    json!({"form_id": "f", "data": {"t": text}})
}

/// Returns the item that creates a submission.
pub fn create(number: usize, payload: Value) -> Value {
    let create = Item::create_as("submission", &format!("tmp-{number}"), payload);
    create.version(1).into()
}

/// Returns the item that creates a meter, which has a unique code.
pub fn create_unique(number: usize) -> Value {
    let payload = json!({"code": format!("code-{number}"), "reading": 0});
    Item::create_as("meter", &format!("tmp-{number}"), payload).into()
}

/// Returns the item that updates a submission, based on this version.
pub fn update(id: &Value, version: u64, payload: Value) -> Value {
    let update = Item::update("submission", id_of(id), version, payload);
    update.base(version).into()
}

/// Returns the item that deletes a submission.
pub fn delete(id: &Value, version: u64) -> Value {
    let delete = Item::delete("submission", id_of(id), version);
    delete.base(version).into()
}

fn id_of(server_id: &Value) -> &str {
    server_id.as_str().expect("the server has assigned an id")
}
