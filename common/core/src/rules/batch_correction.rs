//! The correction of a rejected item (§7): an admin runs the item with another payload.

use serde_json::value::RawValue;

use crate::model::{
    json::{self, Json},
    limits::AUDITED_ITEM_BYTES_MAX,
    result::{ItemResult, Status},
};

/// An admin's correction of a rejected item (§7).
#[derive(Debug, Clone)]
pub struct Correction {
    /// The payload that replaces that of the item, a JSON object.
    pub payload: Json,
    /// The version that replaces the `base_version` of the item, if any.
    pub base_version: Option<u64>,
    /// The reason, for the audit log.
    pub note: Option<String>,
}

/// The reason why an item cannot be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionRejection {
    /// The batch was not processed completely.
    #[error("the batch has no results: replay it")]
    Unanswered,
    /// The item was applied, or is part of a conflict.
    #[error("the result of the item is no error: only rejected items can be corrected")]
    NotRejected,
    /// The item is not a JSON object.
    #[error("the item is no JSON object: it has no edit that can be corrected")]
    NotAnObject,
}

impl Correction {
    /// Returns a digest of the payload and of the version. It distinguishes a repeated correction
    /// from a different one.
    pub fn digest(&self) -> u64 {
        let version = self.base_version.map(u64::to_be_bytes);
        let parts = [
            json::payload_digest(&self.payload).to_vec(),
            version.map(Vec::from).unwrap_or_default(),
        ];
        let digest = json::digest(parts);
        u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    }

    /// Returns the item with the payload and the version of the correction, and without `was`, which
    /// belongs to the payload of the device. All other members keep their text and their order.
    ///
    /// # Errors
    /// Returns [`CorrectionRejection::NotAnObject`] if the item is not a JSON object.
    ///
    /// # Example
    ///
    /// ```
    /// use serde_json::value::RawValue;
    /// use tidemark_core::rules::batch_correction::Correction;
    ///
    /// let json = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    /// let item =
    ///     json(r#"{"action": "update", "payload": {"id": "m"}, "client_version": 1}"#);
    /// let correction = Correction {
    ///     payload: json(r#"{"id": "m", "n": 1.0}"#),
    ///     base_version: Some(4),
    ///     note: None,
    /// };
    /// let corrected = correction.applied_to(&item).unwrap();
    /// let (payload, versions) = (
    ///     r#""payload":{"id": "m", "n": 1.0}"#,
    ///     r#""client_version":1,"base_version":4"#,
    /// );
    /// assert_eq!(corrected.get(), format!(r#"{{"action":"update",{payload},{versions}}}"#));
    /// ```
    pub fn applied_to(&self, item: &RawValue) -> Result<Json, CorrectionRejection> {
        let mut members = json::fields(item).ok_or(CorrectionRejection::NotAnObject)?;
        members.insert("payload".to_owned(), self.payload.clone());
        members.shift_remove("was");
        if let Some(version) = self.base_version {
            let version = RawValue::from_string(version.to_string());
            let version = version.map_err(|_| CorrectionRejection::NotAnObject)?; // digits are JSON
            members.insert("base_version".to_owned(), version);
        }
        Ok(json::object(&members))
    }

    /// Returns the stored result of an earlier request with this correction, or `None` if the item
    /// is rejected and can be corrected.
    ///
    /// # Errors
    /// Returns why the item cannot be corrected.
    pub fn earlier_result<'a>(
        &self,
        results: Option<&'a [ItemResult]>,
        index: usize,
    ) -> Result<Option<&'a ItemResult>, CorrectionRejection> {
        let result = results
            .and_then(|results| results.iter().find(|result| result.index == index))
            .ok_or(CorrectionRejection::Unanswered)?;

        match result.correction {
            _ if result.status == Status::Error => Ok(None),
            Some(digest) if digest == self.digest() => Ok(Some(result)),
            _ => Err(CorrectionRejection::NotRejected),
        }
    }

    /// Records in a result that it is that of the corrected item. The device has another payload,
    /// so an `ok` without the stored content states that the content is omitted.
    pub fn mark(&self, result: &mut ItemResult) {
        if result.status == Status::Error {
            return;
        }
        result.correction = Some(self.digest());
        result.server_payload_omitted |=
            result.status == Status::Ok && result.server_payload.is_none();
    }
}

/// Returns an item as the audit log stores it: `None` if it is larger than
/// [`AUDITED_ITEM_BYTES_MAX`].
pub fn audited_item(item: &RawValue) -> Option<Json> {
    (item.get().len() <= AUDITED_ITEM_BYTES_MAX).then(|| item.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::result::{ItemCode, Rejection};

    fn json(text: &str) -> Json {
        RawValue::from_string(text.to_owned()).expect("test JSON")
    }

    fn correction(payload: &str, base_version: Option<u64>) -> Correction {
        Correction {
            payload: json(payload),
            base_version,
            note: None,
        }
    }

    fn rejected() -> ItemResult {
        Rejection::new(ItemCode::NotFound, "no such meter").into_result(0, None, None, false)
    }

    #[test]
    fn digest_identifies_payload_and_version() {
        let digest = |payload, base_version| correction(payload, base_version).digest();
        assert_eq!(
            digest(r#"{"a":1,"b":2}"#, Some(1)),
            digest(r#"{ "b": 2, "a": 1 }"#, Some(1))
        );
        let digests = [
            digest(r#"{"a":1}"#, None),
            digest(r#"{"a":1.0}"#, None),
            digest(r#"{"a":1}"#, Some(0)),
            digest(r#"{"a":1}"#, Some(1)),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "{index}");
        }
    }

    #[test]
    fn other_members_keep_their_text() {
        let item =
            json(r#"{"z": [1.0], "was": {}, "payload": 5, "base_version": "x", "a": 1e400}"#);
        let corrected = |version| correction("{}", version).applied_to(&item);
        let text = |version| corrected(version).map(|item| item.get().to_owned());
        assert_eq!(
            text(None).as_deref(),
            Ok(r#"{"z":[1.0],"payload":{},"base_version":"x","a":1e400}"#)
        );
        assert_eq!(
            text(Some(7)).as_deref(),
            Ok(r#"{"z":[1.0],"payload":{},"base_version":7,"a":1e400}"#)
        );
        for other in ["[]", "null", "\"{}\""] {
            let rejection = correction("{}", None).applied_to(&json(other)).map(drop);
            assert_eq!(rejection, Err(CorrectionRejection::NotAnObject), "{other}");
        }
    }

    #[test]
    fn only_rejected_items_can_be_corrected() {
        let one = correction(r#"{"a":1}"#, None);
        let other = correction(r#"{"a":2}"#, None);
        let ok = ItemResult::ok(0, None, "m".into(), Some(1));
        let mut corrected = ok.clone();
        one.mark(&mut corrected);

        let earlier = |result: &ItemResult, correction: &Correction| {
            let results = [result.clone()];
            let earlier = correction.earlier_result(Some(&results), 0);
            earlier.map(|result| result.is_some())
        };
        assert_eq!(earlier(&rejected(), &one), Ok(false));
        assert_eq!(earlier(&corrected, &one), Ok(true), "a repeated correction");
        let not_rejected = Err(CorrectionRejection::NotRejected);
        assert_eq!(earlier(&corrected, &other), not_rejected);
        assert_eq!(earlier(&ok, &one), not_rejected);

        let unanswered = one.earlier_result(None, 0).map(|result| result.is_some());
        assert_eq!(unanswered, Err(CorrectionRejection::Unanswered));
    }

    #[test]
    fn corrected_result_omits_unknown_content() {
        let one = correction("{}", None);
        let mut ok = ItemResult::ok(0, None, "m".into(), Some(1));
        one.mark(&mut ok);
        assert_eq!(
            (ok.correction, ok.server_payload_omitted),
            (Some(one.digest()), true)
        );

        let mut with_payload = ItemResult {
            server_payload: Some(json("{}")),
            ..ItemResult::ok(0, None, "m".into(), Some(1))
        };
        one.mark(&mut with_payload);
        assert!(!with_payload.server_payload_omitted);

        let mut error = rejected();
        one.mark(&mut error);
        assert_eq!(
            (error.correction, error.server_payload_omitted),
            (None, false)
        );
    }

    #[test]
    fn oversized_item_is_not_audited() {
        let item = |bytes: usize| json(&format!("\"{}\"", "x".repeat(bytes - 2)));
        assert!(audited_item(&item(AUDITED_ITEM_BYTES_MAX)).is_some());
        assert!(audited_item(&item(AUDITED_ITEM_BYTES_MAX + 1)).is_none());
    }
}
