"""Uploads past the API, and the items that name them."""

import hashlib
from urllib.parse import urlsplit

from .deployment import Answer, Deployment, Device, send

PHOTO = b"a photo of the meter"


def _presign(device: Device, content: bytes = PHOTO, **fields: str) -> dict:
    request = {"filename": "meter.jpg", "content_type": "image/jpeg", "content_length": len(content), **fields}
    return device.ok("POST", "media/presign", request)


def _upload(here: Deployment, presigned: dict, content: bytes = PHOTO, *, query: str | None = None, **changed: str) -> Answer:
    """Sends what the presign asks for, but for what is changed. The URL's host is where the function knows the store to be, which need
    not be reachable from here; it is signed, so it is told as it stands."""
    url = urlsplit(presigned["upload_url"])
    headers = {"host": url.netloc, **presigned["headers"], **{name.replace("_", "-"): value for name, value in changed.items()}}
    return send(here.endpoint, presigned["method"], f"{url.path}?{query or url.query}", content, headers)


def _stored(here: Deployment, presigned: dict) -> list[str]:
    """The objects of this upload, wherever in the bucket they stand."""
    pages = here.client("s3").get_paginator("list_objects_v2").paginate(Bucket=here.output("MediaBucketName"))
    name = presigned["key"].rsplit("/", 1)[1].rsplit(".", 1)[0]
    return [entry["Key"] for page in pages for entry in page.get("Contents", []) if name in entry["Key"]]


def only_the_promised_upload_is_taken(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    presigned = _presign(ana)
    longer = PHOTO + b"!"
    refused = {
        "another type": _upload(here, presigned, content_type="image/png"),
        "one byte more": _upload(here, presigned, longer, content_length=str(len(longer))),
        "a signature that was changed": _upload(here, presigned, query=_tampered(presigned)),
        "another key": _upload(here, presigned | {"upload_url": presigned["upload_url"].replace(".jpg?", ".png?")}),
    }
    assert {what: answer.status for what, answer in refused.items()} == dict.fromkeys(refused, 403), refused
    assert _stored(here, presigned) == [], "nothing was stored"
    assert (answer := _upload(here, presigned)).status == 200, answer
    assert len(_stored(here, presigned)) == 1


def other_content_than_the_checksum_says_is_refused(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    presigned = _presign(ana, sha256=hashlib.sha256(PHOTO).hexdigest())
    other = bytes(reversed(PHOTO))
    assert (answer := _upload(here, presigned, other)).status in (400, 403), answer
    assert (answer := _upload(here, presigned)).status == 200, answer


def a_submission_waits_for_its_upload(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    presigned = _presign(ana, resource_type="submission")
    payload = {"form_id": "f-1", "data": {}, "media": [presigned["key"]]}
    form = {"client_temp_id": "tmp-1", "resource_type": "submission", "action": "create", "client_version": 0, "payload": payload}
    early = ana.push_one(form)
    assert early["status"] == "error" and early["code"] == "media_missing" and early["retryable"], early
    assert _upload(here, presigned).status == 200
    late = ana.push_one(form)
    assert late["status"] == "ok" and late["server_version"] == 1, late
    kept = here.client("s3").get_object(Bucket=here.output("MediaBucketName"), Key=presigned["key"])
    assert kept["Body"].read() == PHOTO and kept["ContentType"] == "image/jpeg", kept
    # A key is its user's own.
    other = tenant.device("ben").push_one(form)
    assert other["status"] == "error" and other["code"] == "invalid_media_key", other


def _tampered(presigned: dict) -> str:
    query = urlsplit(presigned["upload_url"]).query
    signature = next(part for part in query.split("&") if part.startswith("X-Amz-Signature="))
    return query.replace(signature, signature[:-1] + ("0" if signature[-1] != "0" else "1"))


STORIES = [
    only_the_promised_upload_is_taken,
    other_content_than_the_checksum_says_is_refused,
    a_submission_waits_for_its_upload,
]
