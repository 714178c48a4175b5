"""Uploads, which bypass the API, and the items that refer to them."""

import hashlib
from urllib.parse import urlsplit

from .deployment import Response, Deployment, Device, send

PHOTO = b"a photo of the meter"


def _presign(device: Device, content: bytes = PHOTO, **fields: str) -> dict:
    request = {"filename": "meter.jpg", "content_type": "image/jpeg", "content_length": len(content), **fields}
    return device.ok("POST", "media/presign", request)


def _upload(here: Deployment, presigned: dict, content: bytes = PHOTO, *, query: str | None = None, **changed: str) -> Response:
    """Uploads as the presign response requires, except for the given changes.

    The URL contains the host of the store as the function sees it, which need not be reachable from
    here. The host is signed, so the request sends it unchanged in a header.
    """
    url = urlsplit(presigned["upload_url"])
    headers = {"host": url.netloc, **presigned["headers"], **{name.replace("_", "-"): value for name, value in changed.items()}}
    return send(here.endpoint, presigned["method"], f"{url.path}?{query or url.query}", content, headers)


def _stored(here: Deployment, presigned: dict) -> list[str]:
    """Returns the keys of all objects of this upload in the bucket."""
    pages = here.client("s3").get_paginator("list_objects_v2").paginate(Bucket=here.output("MediaBucketName"))
    name = presigned["key"].rsplit("/", 1)[1].rsplit(".", 1)[0]
    return [entry["Key"] for page in pages for entry in page.get("Contents", []) if name in entry["Key"]]


def only_the_presigned_upload_is_accepted(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    presigned = _presign(ana)
    longer = PHOTO + b"!"
    rejected = {
        "another content type": _upload(here, presigned, content_type="image/png"),
        "one byte too long": _upload(here, presigned, longer, content_length=str(len(longer))),
        "an invalid signature": _upload(here, presigned, query=_tampered(presigned)),
        "another key": _upload(here, presigned | {"upload_url": presigned["upload_url"].replace(".jpg?", ".png?")}),
    }
    assert {case: response.status for case, response in rejected.items()} == dict.fromkeys(rejected, 403), rejected
    assert _stored(here, presigned) == [], "a rejected upload must not be stored"
    assert (response := _upload(here, presigned)).status == 200, response
    assert len(_stored(here, presigned)) == 1


def content_with_another_checksum_is_rejected(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    presigned = _presign(ana, sha256=hashlib.sha256(PHOTO).hexdigest())
    other = bytes(reversed(PHOTO))
    assert (response := _upload(here, presigned, other)).status in (400, 403), response
    assert (response := _upload(here, presigned)).status == 200, response


def submission_is_rejected_until_its_upload_exists(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    presigned = _presign(ana, resource_type="submission")
    payload = {"form_id": "f-1", "data": {}, "media": [presigned["key"]]}
    item = {"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create", "client_version": 0, "payload": payload}
    early = ana.push_one(item)
    assert early["status"] == "error" and early["code"] == "media_missing" and early["retryable"], early
    assert _upload(here, presigned).status == 200
    late = ana.push_one(item)
    assert late["status"] == "ok" and late["server_version"] == 1, late
    kept = here.client("s3").get_object(Bucket=here.output("MediaBucketName"), Key=presigned["key"])
    assert kept["Body"].read() == PHOTO and kept["ContentType"] == "image/jpeg", kept
    # Another user must not use the key.
    other = tenant.device("ben").push_one(item)
    assert other["status"] == "error" and other["code"] == "invalid_media_key", other


def _tampered(presigned: dict) -> str:
    query = urlsplit(presigned["upload_url"]).query
    signature = next(part for part in query.split("&") if part.startswith("X-Amz-Signature="))
    return query.replace(signature, signature[:-1] + ("0" if signature[-1] != "0" else "1"))


SCENARIOS = [
    only_the_presigned_upload_is_accepted,
    content_with_another_checksum_is_rejected,
    submission_is_rejected_until_its_upload_exists,
]
