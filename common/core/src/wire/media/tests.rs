//! The problem of each rejected upload.

use super::*;

/// Returns the code, path and detail of the problem for `rejection`, and its further members.
fn problem(rejection: UploadRejection) -> (ProblemCode, String, String, Vec<String>) {
    let Problem {
        code,
        detail,
        path,
        members,
    } = rejection.into();
    let members = members
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    (code, path.unwrap_or_default(), detail, members)
}

#[test]
fn malformed_field_is_an_invalid_request() {
    let cases = [
        (
            UploadRejection::MalformedType,
            "content_type",
            "must be a media type such as image/jpeg",
        ),
        (
            UploadRejection::Empty,
            "content_length",
            "must be at least 1",
        ),
        (
            UploadRejection::MalformedChecksum,
            "sha256",
            "must be a SHA-256, as 64 hexadecimal digits or as base64",
        ),
    ];
    for (rejection, path, detail) in cases {
        let expected = (
            ProblemCode::InvalidRequest,
            path.into(),
            detail.into(),
            vec![],
        );
        assert_eq!(problem(rejection), expected);
    }
}

#[test]
fn unknown_resource_type_cannot_be_processed() {
    let cases = [
        (
            UploadRejection::UnknownResourceType,
            "the catalog has no such resource type",
        ),
        (
            UploadRejection::NoMediaFields,
            "resources of this type have no media fields",
        ),
    ];
    for (rejection, detail) in cases {
        let path = "resource_type".to_owned();
        let expected = (ProblemCode::Unprocessable, path, detail.into(), vec![]);
        assert_eq!(problem(rejection), expected);
    }
}

#[test]
fn disallowed_upload_has_its_bound() {
    let rejection = UploadRejection::TypeNotAllowed {
        content_type: "image/png".into(),
        allowed_types: vec!["image/jpeg".into(), "video/mp4".into()],
    };
    let expected = (
        ProblemCode::MediaTypeNotAllowed,
        "content_type".into(),
        "uploads of type image/png are not allowed, only image/jpeg, video/mp4".into(),
        vec![r#"allowed_types: ["image/jpeg","video/mp4"]"#.into()],
    );
    assert_eq!(problem(rejection), expected);

    let rejection = UploadRejection::TooLarge {
        content_length: 4097,
        bytes_max: 4096,
    };
    let expected = (
        ProblemCode::MediaTooLarge,
        "content_length".into(),
        "the upload has 4097 bytes, at most 4096 are allowed: make it smaller".into(),
        vec!["bytes_max: 4096".into()],
    );
    assert_eq!(problem(rejection), expected);
}
