//! Fuzzes catalog files. A catalog that can be parsed must contain only types whose names fit the
//! keys of the tables and that pushes can use.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;
use tidemark_core::{
    model::{
        catalog::{Catalog, CatalogError, ResourceType},
        channel::Scope,
        ids,
        json::Json,
        limits::{SORT_KEY_BYTES_MAX, is_name},
        principal::{Author, Principal},
        resource::ResourceKey,
    },
    rules::push::{edit::Sender, intake},
    wire::push::read_item,
};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else {
        return Corpus::Reject;
    };
    match Catalog::parse(text) {
        Ok(catalog) => check(&catalog, text),
        Err(error) => check_error(&error, text),
    }
    Corpus::Keep
});

fn check_error(error: &CatalogError, text: &str) {
    assert!(!error.to_string().is_empty());
    if let CatalogError::Name(name) | CatalogError::Reference(name, ..) = error {
        let tables: toml::Table = text
            .parse()
            .expect("errors about a type come from valid TOML");
        assert!(
            tables.contains_key(name),
            "the error contains a type of the file"
        );
    }
}

fn check(catalog: &Catalog, text: &str) {
    let tables: toml::Table = text.parse().expect("a catalog is TOML");
    for name in tables.keys() {
        let rules = catalog.get(name).expect("every table defines a type");
        for word in [name, &rules.id_prefix] {
            assert!(
                (1..=64).contains(&word.len())
                    && word
                        .bytes()
                        .all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
            );
        }

        assert!(
            rules
                .references
                .values()
                .all(|target| catalog.get(target).is_some()),
            "references target existing types"
        );

        push(catalog, name, rules);
    }
}

/// Checks that a create of the type, which sets every field with a rule in the catalog, is accepted
/// and gets a resource.
fn push(catalog: &Catalog, name: &str, rules: &ResourceType) {
    let principal = Principal {
        tenant: "acme".into(),
        user: "ana".into(),
        roles: vec![],
        groups: vec!["g".into()],
    };
    let author = Author::device("ana", "phone");

    let sender = Sender {
        principal: &principal,
        device_id: "phone",
        author: &author,
        catalog,
        is_replay: false,
    };

    let channel = rules.default_channel(&principal.user);
    let named = channel.is_none().then_some("group/g");
    let intake = intake::read([read_item(&create_item(name, rules, named))], sender);
    let [group] = intake.groups.as_slice() else {
        panic!("one item must result in one group: {intake:?}")
    };

    let key = &group.key;
    assert_eq!(
        key.id,
        ids::derived_resource(
            &rules.id_prefix,
            "acme",
            &key.channel,
            &author,
            name,
            "tmp-1"
        )
    );

    check_key(key, rules);
    assert!(channel.is_none_or(|channel| channel == key.channel));
}

/// Returns a create of the type that sets every field with a rule in the catalog.
fn create_item(name: &str, rules: &ResourceType, channel: Option<&str>) -> Json {
    let fields = rules
        .required
        .iter()
        .chain(&rules.unique)
        .chain(&rules.media)
        .chain(rules.references.keys());
    let payload: serde_json::Map<_, _> = fields
        .filter(|field| *field != "id")
        .map(|field| (field.clone(), "tmp-1".into()))
        .collect();

    let item = json!({
        "client_temp_id": "tmp-1",
        "resource_type": name,
        "action": "create",
        "client_version": 0,
        "channel": channel,
        "payload": payload,
    });
    serde_json::value::to_raw_value(&item).expect("JSON")
}

/// Checks that a derived resource key fits the tables and can be parsed.
fn check_key(key: &ResourceKey, rules: &ResourceType) {
    assert!(
        ids::is_derived(&rules.id_prefix, &key.id)
            && is_name(&key.id)
            && key.sort_key().len() <= SORT_KEY_BYTES_MAX
    );

    let scope = Scope {
        tenant: "acme".into(),
        channel: key.channel.clone(),
    };
    assert_eq!(
        ResourceKey::parse(&scope, &key.sort_key()).as_ref(),
        Some(key)
    );
}
