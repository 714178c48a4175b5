//! The problem that reports a rejected resolve command.

use crate::{
    model::{
        conflict::ConflictOutcome,
        resolve::{RequestedResolution, ResolveRejection},
        time::timestamp,
    },
    wire::problem::{Problem, ProblemCode},
};

impl From<ResolveRejection> for Problem {
    fn from(rejection: ResolveRejection) -> Self {
        let detail = rejection.to_string();
        let problem = |code| Self::new(code, &detail);

        match rejection {
            ResolveRejection::AlreadyResolved(outcome) => {
                let ConflictOutcome {
                    resolution,
                    resolved_by,
                    resolved_at,
                    ..
                } = outcome;
                problem(ProblemCode::AlreadyResolved)
                    .with("resolution", &resolution.as_str())
                    .with("resolved_by", &resolved_by)
                    .with("resolved_at", &timestamp(resolved_at))
            }
            ResolveRejection::VersionChanged {
                server_version,
                server_deleted,
                server_payload,
            } => problem(ProblemCode::VersionChanged)
                .with("server_version", &server_version)
                .with("server_deleted", &server_deleted)
                .with("server_payload", &server_payload),
            ResolveRejection::TypeRemoved
            | ResolveRejection::NoResource
            | ResolveRejection::NotPickable => problem(ProblemCode::Unprocessable),
            ResolveRejection::Content {
                requested,
                rejection,
            } => {
                let problem =
                    problem(ProblemCode::Unprocessable).with("reason", &rejection.code.as_str());
                match (requested, rejection.error.split_once(':')) {
                    // Only a manual merge has a payload to which the path can refer.
                    (RequestedResolution::ManualMerge, Some((path, _))) => problem.at(path),
                    (RequestedResolution::FieldPick, Some((path, _))) => {
                        problem.at(path.replacen("payload", "fields", 1))
                    }
                    _ => problem,
                }
            }
            ResolveRejection::Media {
                requested,
                field,
                reason,
            } => {
                let path = match requested {
                    RequestedResolution::ManualMerge => format!("payload.{field}"),
                    RequestedResolution::FieldPick => format!("fields.{field}"),
                    _ => "resolution".to_owned(),
                };
                problem(ProblemCode::Unprocessable)
                    .at(path)
                    .with("reason", &reason.code().as_str())
                    .with("field", &field)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        limits::SENTENCE_CHARS_MAX,
        resolution::Resolution,
        resolve::MediaRejection,
        result::{ItemCode, Rejection},
    };
    use chrono::DateTime;
    use serde_json::value::RawValue;

    /// Returns the code, the path and the detail of the problem for `rejection`, and its members.
    fn problem(rejection: ResolveRejection) -> (ProblemCode, Option<String>, String, String) {
        let Problem {
            code,
            detail,
            path,
            members,
        } = rejection.into();
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        (code, path, detail, members.join(", "))
    }

    #[test]
    fn resolved_conflict_is_reported_with_outcome() {
        let outcome = ConflictOutcome {
            resolution: Resolution::AcceptClient,
            resolved_by: "root".into(),
            resolved_at: DateTime::UNIX_EPOCH,
            note: Some("because".into()),
            server_version: 8,
            merged_digest: None,
            picked_digest: None,
        };

        let expected = (
            ProblemCode::AlreadyResolved,
            None,
            "the conflict was already resolved in another way: edit the resource if that was wrong"
                .to_owned(),
            r#"resolution: "accept_client", resolved_by: "root", resolved_at: "1970-01-01T00:00:00.000Z""#
                .to_owned(),
        );
        assert_eq!(
            problem(ResolveRejection::AlreadyResolved(outcome)),
            expected
        );
    }

    #[test]
    fn changed_version_is_reported_with_state() {
        let payload = RawValue::from_string(r#"{"code":"A"}"#.to_owned()).expect("JSON");
        for (server_version, server_deleted, server_payload, members) in [
            (
                7,
                true,
                Some(payload),
                r#"server_version: 7, server_deleted: true, server_payload: {"code":"A"}"#,
            ),
            (
                0,
                false,
                None,
                "server_version: 0, server_deleted: false, server_payload: null",
            ),
        ] {
            let rejection = ResolveRejection::VersionChanged {
                server_version,
                server_deleted,
                server_payload,
            };

            let detail = format!(
                "the resource is now at version {server_version}: review it and resolve the conflict again"
            );
            let expected = (ProblemCode::VersionChanged, None, detail, members.into());
            assert_eq!(problem(rejection), expected);
        }
    }

    #[test]
    fn impossible_resolution_cannot_be_processed() {
        for (rejection, detail) in [
            (
                ResolveRejection::TypeRemoved,
                "the catalog no longer has the type of this resource: accept_server leaves it as it is",
            ),
            (
                ResolveRejection::NoResource,
                "the resource to which the edit applies no longer exists: resolve the conflict with manual_merge or accept_server",
            ),
            (
                ResolveRejection::NotPickable,
                "an edit of the conflict deletes the resource: resolve the conflict with accept_client, accept_server or manual_merge",
            ),
        ] {
            let expected = (
                ProblemCode::Unprocessable,
                None,
                detail.to_owned(),
                String::new(),
            );
            assert_eq!(problem(rejection), expected);
        }
    }

    #[test]
    fn rejected_content_has_path_in_payload() {
        for (requested, path) in [
            (
                RequestedResolution::ManualMerge,
                Some("payload.code".to_owned()),
            ),
            (
                RequestedResolution::FieldPick,
                Some("fields.code".to_owned()),
            ),
            (RequestedResolution::AcceptClient, None),
        ] {
            let error = "payload.code: required";
            let rejection = ResolveRejection::Content {
                requested,
                rejection: Rejection::new(ItemCode::RequiredFieldMissing, error),
            };
            let members = r#"reason: "required_field_missing""#;
            let expected = (
                ProblemCode::Unprocessable,
                path,
                error.to_owned(),
                members.to_owned(),
            );
            assert_eq!(problem(rejection), expected);
        }
    }

    #[test]
    fn rejected_media_is_reported_with_field() {
        let unverified = r#"the upload of "k\"1" was not verified for this resource: leave it out, or have its device push it"#;
        for (reason, text, code) in [
            (
                MediaRejection::Malformed,
                "must be a media key or a list of them",
                "invalid_media_key",
            ),
            (
                MediaRejection::TooMany,
                "a payload names at most 50 media keys",
                "too_many_media",
            ),
            (
                MediaRejection::Unverified("k\"1".into()),
                unverified,
                "invalid_media_key",
            ),
        ] {
            for (requested, path, place) in [
                (
                    RequestedResolution::ManualMerge,
                    "payload.photo",
                    "payload.photo",
                ),
                (
                    RequestedResolution::FieldPick,
                    "fields.photo",
                    "fields.photo",
                ),
                (
                    RequestedResolution::AcceptClient,
                    "resolution",
                    "photo of the conflict's edits",
                ),
            ] {
                let rejection = ResolveRejection::Media {
                    requested,
                    field: "photo".into(),
                    reason: reason.clone(),
                };

                let expected = (
                    ProblemCode::Unprocessable,
                    Some(path.to_owned()),
                    format!("{place}: {text}"),
                    format!(r#"reason: "{code}", field: "photo""#),
                );
                assert_eq!(problem(rejection), expected);
            }
        }
    }

    #[test]
    fn long_media_key_is_truncated_once() {
        let rejection = ResolveRejection::Media {
            requested: RequestedResolution::ManualMerge,
            field: "photo".into(),
            reason: MediaRejection::Unverified("k".repeat(1000)),
        };
        let (_, _, detail, _) = problem(rejection);
        assert_eq!(detail.chars().count(), SENTENCE_CHARS_MAX + 1);
        assert_eq!(detail.matches('…').count(), 1);
    }
}
