//! One variant of a discriminated union.

use serde_json::{Value, json};

use super::{super::rewrite::forbid_null, Schema};

/// The form of a schema for one value of the discriminator.
pub(super) struct Variant {
    /// The value of the discriminator.
    pub(super) value: &'static str,
    /// The name of the variant's schema.
    pub(super) name: &'static str,
    /// The first sentence of its description.
    pub(super) meaning: &'static str,
    /// Fields that are always present and never `null`, beyond the fields that every variant has.
    pub(super) required: &'static [&'static str],
    /// Fields of the other variants.
    pub(super) without: &'static [&'static str],
    /// Fields with a different schema in this variant.
    pub(super) instead: &'static [(&'static str, Schema)],
}

impl Variant {
    /// Returns the variant's schema, derived from the schema of its type.
    pub(super) fn of(&self, whole: &Value, by: &str) -> Value {
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
