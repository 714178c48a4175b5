//! The reasons to reject a catalog.

/// The reason why a catalog is rejected.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The text is not TOML, or does not have the structure of a catalog.
    #[error("catalog: {0}")]
    Malformed(String),
    /// A name cannot be part of a table key.
    #[error("catalog: type {0:?}: names and id prefixes are 1 to 64 of a-z, 0-9, '_' and '-'")]
    Name(String),
    /// A field refers to a type that the catalog does not contain.
    #[error("catalog: type {0:?}: field {1:?} refers to {2:?}, which the catalog lacks")]
    Reference(String, String, String),
    /// `unique_ignores_empty` is set, but the type has no unique fields.
    #[error(
        "catalog: type {0:?}: unique_ignores_empty applies to the fields of unique, which has none"
    )]
    UniqueIgnoresEmpty(String),
}
