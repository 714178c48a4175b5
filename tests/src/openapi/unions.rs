//! Wire types whose fields depend on the value of one field. Each becomes a discriminated union,
//! which a generated client narrows by that value. The variants are derived from the fields of the
//! type: a field that is added to the type is part of every variant that does not exclude it.

mod table;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{rewrite::forbid_null, wire_type::reference};
use table::UNIONS;

/// A schema whose fields depend on the value of one of them.
struct Union {
    /// The name of the schema, which stays the name of the union.
    schema: &'static str,
    /// The field that selects the variant.
    by: &'static str,
    /// The variants, one for each value.
    variants: &'static [Variant],
}

/// The form of a schema for one value of the discriminator.
struct Variant {
    /// The value of the discriminator.
    value: &'static str,
    /// The name of the variant's schema.
    name: &'static str,
    /// The first sentence of its description.
    meaning: &'static str,
    /// Fields that are always present and never `null`, beyond the fields that every variant has.
    required: &'static [&'static str],
    /// Fields of the other variants.
    without: &'static [&'static str],
    /// Fields with a different schema in this variant.
    instead: &'static [(&'static str, Schema)],
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

impl Variant {
    /// Returns the variant's schema, derived from the schema of its type.
    fn of(&self, whole: &Value, by: &str) -> Value {
        let mut schema = whole.clone();
        schema["description"] = self.meaning.into();
        let fields = schema["properties"].as_object_mut().unwrap();
        let described = fields[by]["description"].clone();

        for name in self.without {
            assert!(
                fields.remove(*name).is_some(),
                "{} has no field {name}: correct UNIONS",
                self.name
            );
        }
        for (name, instead) in self.instead {
            fields.insert((*name).to_owned(), instead());
        }
        fields.insert(
            by.to_owned(),
            json!({"type": "string", "enum": [self.value], "description": described}),
        );

        let mut required: Vec<String> = serde_json::from_value(whole["required"].clone()).unwrap();
        for name in self.required {
            forbid_null(
                fields
                    .get_mut(*name)
                    .unwrap_or_else(|| panic!("{} has no field {name}", self.name)),
            );
            if !required.iter().any(|known| known == name) {
                required.push((*name).to_owned());
            }
        }

        schema["required"] = required.into();
        schema
    }
}
