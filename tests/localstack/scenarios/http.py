"""The edge: tokens, routes, sizes and gzip, through the gateway that is deployed."""

import base64
import gzip
import json
import pathlib

from .deployment import Answer, Deployment, Issuer, meter

# Gzip by its other name, which the functions take as well. What is called `gzip` LocalStack unpacks itself, before its gateway, so the
# functions would not meet it.
PACKED = "x-gzip"
OPENAPI = pathlib.Path(__file__).parents[3] / "openapi.json"


def without_a_good_token_there_is_a_401_that_says_why(here: Deployment) -> None:
    tenant = here.tenant()
    tokens = {
        "none": None,
        "not a token": "abc",
        "another issuer's key": Issuer().token(tenant.name, "ana"),
        "for somebody else": here.issuer.token(tenant.name, "ana", aud="another-app"),
        "expired": here.issuer.token(tenant.name, "ana", exp=1_700_000_000),
        "no tenant": here.issuer.token("", "ana"),
    }
    for what, token in tokens.items():
        answer = here.call(token, "POST", "sync/pull", {"since_token": None, "device_id": "phone"})
        assert answer.status == 401 and answer.json["code"] == "unauthenticated", f"{what}: {answer}"
        assert answer.headers["content-type"] == "application/problem+json" and answer.json["request_id"], f"{what}: {answer}"


def every_route_is_served(here: Deployment) -> None:
    paths = json.loads(OPENAPI.read_text())["paths"]
    routes = [(method.upper(), path) for path, operations in paths.items() for method in operations if method in ("get", "post")]
    assert len(routes) >= 12, routes
    admin = here.tenant().admin()
    for method, path in routes:
        path = path.replace("{id}", "unknown")
        headers = {"authorization": f"Bearer {admin.token}", "content-type": "application/json"}
        answer = here.request(method, path, b"{}" if method == "POST" else b"", headers)
        assert answer.status < 500 and not _is_the_gateways(answer), f"{method} {path}: {answer}"
        assert answer.status == 200 or answer.json["code"], f"{method} {path}: {answer}"


def what_is_no_route_is_refused_by_the_gateway(here: Deployment) -> None:
    token = here.tenant().device("ana").token
    for method, path in [("GET", "sync/push"), ("POST", "sync/pushes"), ("POST", "sync"), ("DELETE", "devices")]:
        answer = here.call(token, method, path)
        assert answer.status in (403, 404) and _is_the_gateways(answer), f"{method} {path}: {answer}"


def _is_the_gateways(answer: Answer) -> bool:
    return answer.body.startswith(b"{") and "message" in answer.json and "code" not in answer.json


def gzip_goes_both_ways(here: Deployment) -> None:
    tenant = here.tenant()
    ana = tenant.device("ana")
    items = [meter("create", f"m-{number}", "ü" * 100 + str(number), 0) for number in range(50)]
    batch = {"device_id": "phone", "client_sync_token": None, "items": items}
    packed = gzip.compress(json.dumps(batch).encode())
    answer = ana.call("POST", "sync/push", packed, headers={"content-encoding": PACKED, "accept-encoding": "gzip"})
    assert answer.status == 200 and answer.headers.get("content-encoding") == "gzip", answer
    results = json.loads(_unpacked(answer))["results"]
    assert [result["status"] for result in results] == ["ok"] * 50, results
    pull = {"since_token": None, "device_id": "tablet"}
    plain, small = (ana.call("POST", "sync/pull", pull, headers=headers) for headers in ({}, {"accept-encoding": "gzip"}))
    assert "content-encoding" not in plain.headers and len(plain.json["changes"]) == 50, plain
    assert small.headers.get("content-encoding") == "gzip" and len(small.body) < len(plain.body) / 5, small
    assert json.loads(_unpacked(small))["changes"] == plain.json["changes"]
    damaged = ana.call("POST", "sync/push", packed[:-9], headers={"content-encoding": PACKED})
    assert damaged.status == 400 and damaged.json["code"] == "invalid_request", damaged


def _unpacked(answer: Answer) -> bytes:
    """A packed answer's content. API Gateway turns the function's base64 back into bytes where the API declares `*/*` as binary.
    LocalStack knows only declarations with a type before the slash, so there the base64 arrives: the gzip inside is looked at all the
    same, but that a device gets bytes is not seen there."""
    is_text = answer.body.startswith(b"H4sI")
    return gzip.decompress(base64.b64decode(answer.body, validate=True) if is_text else answer.body)


def what_is_too_large_is_refused_whole(here: Deployment) -> None:
    ana = here.tenant().device("ana")

    def push(size: int) -> Answer:
        # Too many bytes in one payload as well; the body is judged first.
        text = json.dumps({"device_id": "phone", "client_sync_token": None, "items": [meter("create", "m-1", "x" * size, 0)]})
        return ana.call("POST", "sync/push", text.encode())

    item = push(400_000)
    assert item.status == 200 and item.json["results"][0]["code"] == "payload_too_large", item
    body = push(3 * 1024 * 1024)
    assert body.status == 413 and body.json["code"] == "body_too_large", body
    packed = gzip.compress(b"[" * 4_000_000)
    unpacked = ana.call("POST", "sync/push", packed, headers={"content-encoding": PACKED})
    assert unpacked.status == 413 and unpacked.json["code"] == "body_too_large", unpacked


def a_body_that_is_no_request_is_a_400_with_the_place(here: Deployment) -> None:
    ana = here.tenant().device("ana")
    for body in (b"", b"{", b"\xff\xfe", b"[]", b'{"device_id": 7}'):
        answer = ana.call("POST", "sync/push", body)
        assert answer.status == 400 and answer.json["code"] == "invalid_request" and answer.json["path"], f"{body!r}: {answer}"


STORIES = [
    without_a_good_token_there_is_a_401_that_says_why,
    every_route_is_served,
    what_is_no_route_is_refused_by_the_gateway,
    gzip_goes_both_ways,
    what_is_too_large_is_refused_whole,
    a_body_that_is_no_request_is_a_400_with_the_place,
]
