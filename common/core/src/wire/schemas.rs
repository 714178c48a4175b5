//! The schemas of keywords in `openapi.json`.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::model::{
    audit::{AuditAction, Via},
    batch::BatchReplayStatus,
    conflict::{BaseSource, ConflictStatus},
    edit::Action,
    keyword::Keyword,
    resolution::Resolution,
    resolve::{BulkResolveStatus, RequestedResolution},
    result::{ItemCode, Status},
};

macro_rules! keyword_schemas {
    ($($type:ident: $description:literal),+ $(,)?) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    keyword_schema::<Self>($description)
                }
            }

            impl ToSchema for $type {}
        )+
    };
}

keyword_schemas!(
    Action: "The kind of change that an edit makes to a resource.",
    AuditAction: "The kind of an audited action.",
    BatchReplayStatus: "Whether a batch of a bulk request was replayed.",
    BaseSource: "The origin of the base of a conflict.",
    BulkResolveStatus: "The result of a bulk request for one conflict.",
    ConflictStatus: "Whether a conflict is open or resolved.",
    ItemCode: "The reason why an item was not applied.",
    RequestedResolution: "How a request resolves a conflict (§5.2).",
    Resolution: "How a conflict was resolved (§5).",
    Status: "The status of a processed item.",
    Via: "The interface through which an action was made.",
);

fn keyword_schema<K: Keyword>(description: &str) -> RefOr<Schema> {
    let texts = K::ALL.iter().map(ToString::to_string);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(texts))
        .description(Some(description))
        .into()
}
