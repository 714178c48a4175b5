//! The wire types that the document describes, and schemas that no wire type contains.

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{RefOr, schema::Schema},
};

/// A schema that no wire type contains: a query parameter, or a member of a problem.
pub struct ExtraSchema {
    /// The name of the parameter or member.
    pub name: &'static str,
    /// The description in the document.
    pub meaning: &'static str,
    /// A function that returns the schema.
    pub schema: fn() -> Value,
}

/// Describes a query parameter or a member of a problem.
pub const fn named(
    name: &'static str,
    meaning: &'static str,
    schema: fn() -> Value,
) -> ExtraSchema {
    ExtraSchema {
        name,
        meaning,
        schema,
    }
}

/// A wire type: its name, its schema and the schemas to which it refers.
#[derive(Clone, Copy)]
pub struct WireType {
    name: fn() -> String,
    pub(super) collect: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl WireType {
    /// Returns the wire type `T`.
    pub const fn of<T: ToSchema>() -> Self {
        Self {
            name: || T::name().into_owned(),
            collect: |schemas| {
                schemas.push((T::name().into_owned(), T::schema()));
                T::schemas(schemas);
            },
        }
    }

    /// Returns the name of the type in the document.
    pub fn name(&self) -> String {
        (self.name)()
    }
}

/// Returns a reference to a schema by its name.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
