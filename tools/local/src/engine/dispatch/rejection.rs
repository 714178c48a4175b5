//! The response to a rejected operation.

use dynoxide::DynoxideError;

/// Classifies a deserialization error. dynoxide's request types prefix their errors with the class
/// of DynamoDB's error. An error without a prefix is a request of the wrong shape: for DynamoDB, a
/// missing member is a validation error, and a value of the wrong type is a serialization error.
pub(super) fn rejection(message: &str) -> DynoxideError {
    const VALIDATION: [&str; 3] = ["VALIDATION_AS_READ:", "VALIDATION_REQUEST:", "VALIDATION:"];
    const SERIALIZATION: [&str; 2] = ["SERIALIZATION_AS_READ:", "SERIALIZATION:"];
    let plain = message.split(" at line ").next().unwrap_or(message);

    if let Some(text) = VALIDATION
        .iter()
        .find_map(|marker| plain.strip_prefix(marker))
    {
        return DynoxideError::ValidationException(text.to_owned());
    }
    if let Some(text) = SERIALIZATION
        .iter()
        .find_map(|marker| plain.strip_prefix(marker))
    {
        return DynoxideError::SerializationException(text.to_owned());
    }

    let is_validation = [
        "missing field",
        "unknown variant",
        "invalid type: null",
        "AttributeValue",
    ];
    if is_validation.iter().any(|words| plain.contains(words)) {
        DynoxideError::ValidationException(plain.to_owned())
    } else {
        DynoxideError::SerializationException(plain.to_owned())
    }
}
