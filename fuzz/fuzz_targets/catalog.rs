//! Catalog files. What reads must name only types that the keys of the tables can carry, and must
//! be good to push by.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;
use tidemark_core::{
    catalog::{Catalog, CatalogError, ResourceType},
    channel::Scope,
    ids,
    json::Json,
    limits::{SORT_KEY_BYTES_MAX, is_name},
    principal::{Author, Principal},
    push::intake::{self, Sender},
    resource::ResourceKey,
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
            .expect("it is TOML, so the error is of a type in it");
        assert!(
            tables.contains_key(name),
            "the error names a type of the file"
        );
    }
}

fn check(catalog: &Catalog, text: &str) {
    let tables: toml::Table = text.parse().expect("a catalog is TOML");
    for name in tables.keys() {
        let rules = catalog.get(name).expect("every table is a type");
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
            "references lead somewhere"
        );
        push(catalog, name, rules);
    }
}

/// A create of the type, which sets every field that the catalog gives a meaning, is read and gets
/// a resource.
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
    let item = |channel: Option<&str>| -> Json {
        let item = json!({"client_temp_id": "tmp-1", "resource_type": name, "action": "create", "client_version": 0,
            "channel": channel, "payload": payload});
        serde_json::value::to_raw_value(&item).expect("JSON")
    };
    let channel = rules.default_channel(&principal.user);
    let named = channel.is_none().then_some("group/g");
    let intake = intake::read(&[item(named)], sender);
    let [group] = intake.groups.as_slice() else {
        panic!("one item makes one group: {intake:?}")
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
    assert!(channel.is_none_or(|channel| channel == key.channel));
}
