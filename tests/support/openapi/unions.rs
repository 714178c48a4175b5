//! Wire types whose fields depend on the value of one field. Each becomes a discriminated union,
//! which a generated client narrows by that value. The variants are derived from the fields of the
//! type: a field that is added to the type is part of every variant that does not exclude it.

mod table;
mod variant;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::wire_type::reference;
use table::UNIONS;
use variant::Variant;

/// A schema whose fields depend on the value of one of them.
struct Union {
    /// The name of the schema, which stays the name of the union.
    schema: &'static str,
    /// The field that selects the variant.
    by: &'static str,
    /// The variants, one for each value.
    variants: &'static [Variant],
}

/// Makes the schema of a field.
type Schema = fn() -> Value;

/// Returns a variant with every field of its type, unchanged.
const fn variant(value: &'static str, name: &'static str, meaning: &'static str) -> Variant {
    Variant {
        value,
        name,
        meaning,
        required: &[],
        without: &[],
        instead: &[],
    }
}

/// Replaces each type of [`UNIONS`] by the union of its variants.
pub(super) fn expand(schemas: &mut BTreeMap<String, Value>) {
    for union in UNIONS {
        let Union {
            schema,
            by,
            variants,
        } = union;
        let whole = schemas
            .remove(*schema)
            .unwrap_or_else(|| panic!("there is no schema {schema}: correct UNIONS"));
        union.check_values(&whole, schemas);

        let one_of: Vec<_> = variants
            .iter()
            .map(|variant| reference(variant.name))
            .collect();
        let mapping: Map<_, _> = variants
            .iter()
            .map(|variant| (variant.value.to_owned(), target(variant.name)))
            .collect();
        let description = whole["description"].clone();
        let described = json!({"description": description, "oneOf": one_of, "discriminator": {"propertyName": by, "mapping": mapping}});

        for variant in *variants {
            let other = schemas.insert(variant.name.to_owned(), variant.of(&whole, by));
            assert!(other.is_none(), "two schemas are called {}", variant.name);
        }
        schemas.insert((*schema).to_owned(), described);
    }
}

fn target(name: &str) -> Value {
    reference(name)["$ref"].clone()
}

impl Union {
    /// Panics if the discriminator has a value without a variant, or if a variant has a value that
    /// the discriminator lacks.
    fn check_values(&self, whole: &Value, schemas: &BTreeMap<String, Value>) {
        let named = whole["properties"][self.by]["$ref"]
            .as_str()
            .and_then(|text| text.rsplit('/').next())
            .unwrap_or_default();
        let values = schemas
            .get(named)
            .map(|schema| schema["enum"].clone())
            .unwrap_or_default();

        let mut values: Vec<String> = serde_json::from_value(values).unwrap_or_default();
        let mut described: Vec<_> = self
            .variants
            .iter()
            .map(|variant| variant.value.to_owned())
            .collect();
        values.sort();
        described.sort();

        assert_eq!(
            described, values,
            "{}.{}: correct UNIONS",
            self.schema, self.by
        );
    }
}
