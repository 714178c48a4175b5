"""HTTP: tokens, routes, size limits and gzip, through the deployed gateway."""

import base64
import gzip
import json
import pathlib

from .deployment import Deployment, Issuer, Response, meter

# The other name of gzip, which the functions accept, too. LocalStack decompresses requests with
# `gzip` before its gateway, so that the functions would not receive them compressed.
GZIP = "x-gzip"
OPENAPI = pathlib.Path(__file__).parents[3] / "docs" / "openapi.json"


def invalid_tokens_are_rejected_with_401(here: Deployment) -> None:
    tenant = here.tenant()
    tokens = {
        "none": None,
        "not a token": "abc",
        "another issuer's key": Issuer().token(tenant.name, "ana"),
        "another audience": here.issuer.token(tenant.name, "ana", aud="another-app"),
        "expired": here.issuer.token(tenant.name, "ana", exp=1_700_000_000),
        "no tenant": here.issuer.token("", "ana"),
    }
    for case, token in tokens.items():
        response = here.call(token, "POST", "sync/pull", {"since_token": None, "device_id": "phone"})
        assert response.status == 401 and response.json["code"] == "unauthenticated", f"{case}: {response}"
        assert response.headers["content-type"] == "application/problem+json" and response.json["request_id"], f"{case}: {response}"


def every_route_is_served(here: Deployment) -> None:
    paths = json.loads(OPENAPI.read_text())["paths"]
    routes = [(method.upper(), path) for path, operations in paths.items() for method in operations if method in ("get", "post")]
    assert len(routes) >= 12, routes
    admin = here.tenant().admin()
    for method, path in routes:
        path = path.replace("{id}", "unknown")
        headers = {"authorization": f"Bearer {admin.token}", "content-type": "application/json"}
        response = here.request(method, path, b"{}" if method == "POST" else b"", headers)
        assert response.status < 500 and not _is_from_gateway(response), f"{method} {path}: {response}"
        assert response.status == 200 or response.json["code"], f"{method} {path}: {response}"


def unknown_routes_are_rejected_by_the_gateway(here: Deployment) -> None:
    token = here.tenant().device("ana").token
    for method, path in [("GET", "sync/push"), ("POST", "sync/pushes"), ("POST", "sync"), ("DELETE", "devices")]:
        response = here.call(token, method, path)
        assert response.status in (403, 404) and _is_from_gateway(response), f"{method} {path}: {response}"


def _is_from_gateway(response: Response) -> bool:
    return response.body.startswith(b"{") and "message" in response.json and "code" not in response.json


def gzip_is_accepted_and_returned(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    items = [meter("create", f"m-{number}", "ü" * 100 + str(number), 0) for number in range(50)]
    batch = {"device_id": "phone", "client_sync_token": None, "items": items}
    compressed = gzip.compress(json.dumps(batch).encode())
    response = ana.call("POST", "sync/push", compressed, headers={"content-encoding": GZIP, "accept-encoding": "gzip"})
    assert response.status == 200 and response.headers.get("content-encoding") == "gzip", response
    results = json.loads(_uncompressed(response))["results"]
    assert [result["status"] for result in results] == ["ok"] * 50, results
    pull = {"since_token": None, "device_id": "tablet"}
    plain, short = (ana.call("POST", "sync/pull", pull, headers=headers) for headers in ({}, {"accept-encoding": "gzip"}))
    assert "content-encoding" not in plain.headers and len(plain.json["changes"]) == 50, plain
    assert short.headers.get("content-encoding") == "gzip" and len(short.body) < len(plain.body) / 5, short
    assert json.loads(_uncompressed(short))["changes"] == plain.json["changes"]
    truncated = ana.call("POST", "sync/push", compressed[:-9], headers={"content-encoding": GZIP})
    assert truncated.status == 400 and truncated.json["code"] == "invalid_request", truncated


def _uncompressed(response: Response) -> bytes:
    """Returns the content of a compressed response.

    API Gateway decodes the function's base64 because the API declares `*/*` as binary. LocalStack
    supports only declarations with a type before the slash and returns the base64. There, this
    checks the gzip in it, but not that a device receives binary data.
    """
    is_base64 = response.body.startswith(b"H4sI")
    return gzip.decompress(base64.b64decode(response.body, validate=True) if is_base64 else response.body)


def known_content_is_not_sent_again(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    first = ana.call("GET", "sync/limits")
    assert first.status == 200 and first.headers["etag"], first
    again = ana.call("GET", "sync/limits", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"]), again


def requests_over_the_size_limit_are_rejected(here: Deployment) -> None:
    ana = here.tenant().device("ana")

    def push(size: int) -> Response:
        # The payload is also over its limit; the body is checked first.
        text = json.dumps({"device_id": "phone", "client_sync_token": None, "items": [meter("create", "m-1", "x" * size, 0)]})
        return ana.call("POST", "sync/push", text.encode())

    item = push(400_000)
    assert item.status == 200 and item.json["results"][0]["code"] == "payload_too_large", item
    body = push(3 * 1024 * 1024)
    assert body.status == 413 and body.json["code"] == "body_too_large", body
    compressed = gzip.compress(b"[" * 4_000_000)
    uncompressed = ana.call("POST", "sync/push", compressed, headers={"content-encoding": GZIP})
    assert uncompressed.status == 413 and uncompressed.json["code"] == "body_too_large", uncompressed


def malformed_body_is_rejected_with_400_and_path(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    for body in (b"", b"{", b"\xff\xfe", b"[]", b'{"device_id": 7}'):
        response = ana.call("POST", "sync/push", body)
        assert response.status == 400 and response.json["code"] == "invalid_request" and response.json["path"], f"{body!r}: {response}"


SCENARIOS = [
    invalid_tokens_are_rejected_with_401,
    every_route_is_served,
    unknown_routes_are_rejected_by_the_gateway,
    gzip_is_accepted_and_returned,
    known_content_is_not_sent_again,
    requests_over_the_size_limit_are_rejected,
    malformed_body_is_rejected_with_400_and_path,
]
