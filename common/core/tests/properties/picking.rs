//! Compares the payload that picks compose with the plain definition: a list of names and texts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use tidemark_core::{
    model::{
        json::{self, Fields, Json},
        resolve::{Pick, Picks},
    },
    rules::resolve::compose,
};

/// Names of fields, some of which are escaped in JSON.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "é", "q\"uote", "line\n", ""];
/// Texts that a parser of numbers, strings or objects would write in another way.
const TEXTS: [&str; 12] = [
    "null",
    "1",
    "1.0",
    "1e3",
    "-0",
    "9007199254740993",
    "0.10",
    r#""\u0078""#,
    "[1, 2.0]",
    "{ }",
    r#"{"b":1,"a":2.50}"#,
    r#"{"z" : [ 1e300 ]}"#,
];

fn raw(text: &str) -> Json {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn text() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(TEXTS.to_vec())
}

fn fields() -> impl Strategy<Value = Fields> {
    let field = (proptest::sample::select(NAMES.to_vec()), text());
    proptest::collection::vec(field, 0..8).prop_map(|fields| {
        let named = |(name, text): (&str, &str)| (name.to_owned(), raw(text));
        fields.into_iter().map(named).collect()
    })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        Just(Pick::Client),
        Just(Pick::Server),
        Just(Pick::Remove),
        text().prop_map(|text| Pick::Value(raw(text))),
    ]
}

fn picks() -> impl Strategy<Value = Picks> {
    let named = (proptest::sample::select(NAMES.to_vec()), pick());
    proptest::collection::vec(named, 0..8).prop_map(|picks| {
        let named = |(name, pick): (&str, Pick)| (name.to_owned(), pick);
        Picks(picks.into_iter().map(named).collect())
    })
}

/// Returns the text of a field by the plain definition; `None` if it is absent.
fn expected<'a>(
    name: &str,
    server: &'a Fields,
    client: &'a Fields,
    picks: &'a Picks,
) -> Option<&'a str> {
    let picked = match picks.0.get(name) {
        None | Some(Pick::Server) => server.get(name),
        Some(Pick::Client) => client.get(name),
        Some(Pick::Value(value)) => Some(value),
        Some(Pick::Remove) => None,
    };
    picked.map(|text| text.get())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn composed_fields_keep_text_and_order(
        server in fields(),
        client in fields(),
        picks in picks(),
    ) {
        // The fields of the server in their order, and then the new ones in the order of the picks.
        let new = picks.0.keys().filter(|name| !server.contains_key(*name));
        let named = server.keys().chain(new);
        let members: Vec<String> = named
            .filter_map(|name| {
                let text = expected(name, &server, &client, &picks)?;
                let name = serde_json::to_string(name).expect("a name");
                Some(format!("{name}:{text}"))
            })
            .collect();

        let composed = compose(&server, &client, &picks);
        prop_assert_eq!(composed.get(), format!("{{{}}}", members.join(",")));
    }

    #[test]
    fn fields_without_pick_are_those_of_server(
        server in fields(),
        client in fields(),
        picks in picks(),
    ) {
        let composed = compose(&server, &client, &picks);
        let composed = json::fields(&composed).expect("an object");
        let unnamed = |fields: &Fields| -> Vec<(String, String)> {
            let unnamed = fields.iter().filter(|(name, _)| !picks.0.contains_key(*name));
            unnamed.map(|(name, text)| (name.clone(), text.get().to_owned())).collect()
        };
        prop_assert_eq!(unnamed(&composed), unnamed(&server));
    }

    #[test]
    fn equal_picks_have_equal_digests(picks in picks(), version in 0_u64..3) {
        let reversed = Picks(picks.0.clone().into_iter().rev().collect());
        prop_assert_eq!(picks.digest(version), reversed.digest(version));
        prop_assert_ne!(picks.digest(version), picks.digest(version + 1));

        let by_name: BTreeMap<&String, &Pick> = picks.0.iter().collect();
        if let Some((name, _)) = by_name.first_key_value() {
            let mut fewer = picks.clone();
            fewer.0.shift_remove(*name);
            prop_assert_ne!(picks.digest(version), fewer.digest(version));
        }
    }
}
