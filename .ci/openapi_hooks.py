"""Hooks of `.ci/openapi.py` for each request and response of Schemathesis (SCHEMATHESIS_HOOKS).

Most generated requests fail the first check: no conflict has a random id, and no token is a random
text. Therefore two of three requests receive existing ids and tokens from earlier responses, and
one of three also receives a body that is valid except for its generated parts, or no query. The
others are sent unchanged. The choice is derived from the generated request, so that runs with the same seed are
similar, and from the number of equal requests before it, because Schemathesis may generate one
request a hundred times.
"""

import atexit
import collections
import hashlib
import json
import os
import random
import urllib.parse

import schemathesis

# API Gateway accepts 10,240 bytes of request line and headers.
LINE_BYTES_MAX = 9000
TALLY = collections.Counter()
# The number of times each request was generated.
REPEATED = collections.Counter()
# Ids and tokens from earlier responses, newest last.
SEEN = collections.defaultdict(lambda: collections.deque(maxlen=24))
SEEN_NAMES = {"batch_id": "batch", "conflict_id": "conflict", "next_token": "token", "server_sync_token": "token", "next_cursor": "cursor"}


@schemathesis.auth()
class Token:
    """Adds the token of this run, except to requests that test a missing token."""

    def get(self, case, ctx):
        return os.environ["TIDEMARK_TOKEN"]

    def set(self, case, data, ctx):
        # Spelled as in the document: Schemathesis removes the header of that name to test a missing
        # token.
        case.headers = {} if case.headers is None else case.headers
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_case(ctx, case):
    """Excludes request lines that the gateway and the runner's HTTP server reject as too long."""
    return len(urllib.parse.urlencode(case.query or {}, doseq=True)) <= LINE_BYTES_MAX


@schemathesis.hook
def before_call(ctx, case, kwargs):
    request = repr((case.method, case.path, case.path_parameters, case.query, case.body))
    chance = random.Random(hashlib.sha256(f"{REPEATED[request]} {request}".encode()).digest())
    REPEATED[request] += 1
    kind = chance.randrange(3)
    if kind == 0:
        return
    if case.path_parameters and "index" in case.path_parameters and SEEN["rejected item"]:
        case.path_parameters["id"], case.path_parameters["index"] = chance.choice(SEEN["rejected item"])
    elif case.path_parameters and "id" in case.path_parameters:
        existing = SEEN["batch" if "/batches/" in case.path else "conflict"]
        if existing:
            case.path_parameters["id"] = chance.choice(existing)
        if "index" in case.path_parameters:
            case.path_parameters["index"] = str(chance.randrange(3))
    if case.query and kind == 2 and chance.randrange(2) == 0:
        # Most combinations of generated filters are invalid. Every list has defaults.
        case.query.clear()
    elif case.query and "cursor" in case.query:
        if SEEN["cursor"]:
            case.query["cursor"] = chance.choice(SEEN["cursor"])
        else:
            del case.query["cursor"]
    if isinstance(case.body, dict):
        case.body = valid_body(case.path.rsplit("/", 1)[-1], dict(case.body), chance, whole=kind == 2)


def valid_body(name, body, chance, whole):
    """Returns the body with existing tokens.

    If `whole`, the body also follows the rules that the schema cannot express.
    """
    token = chance.choice(SEEN["token"]) if SEEN["token"] else None
    if whole and name not in ("replay", "correct"):
        body["device_id"] = chance.choice(["phone", "tablet"])
    if name == "pull":
        body["since_token"] = token
    elif name == "ack" and token:
        body["ack_token"] = token
    elif name == "presign" and whole:
        body |= {"content_type": chance.choice(["image/jpeg", "image/png"]), "content_length": chance.randrange(1, 1000), "sha256": None}
        body["filename"] = "photo.jpg"
    elif name == "resolve" and whole and "conflicts" in body:
        ids = chance.sample(list(SEEN["conflict"]), min(len(SEEN["conflict"]), 3))
        body["conflicts"] = [{"id": id, "expected_server_version": chance.randrange(4)} for id in dict.fromkeys(ids)] or body["conflicts"]
        body |= {"resolution": chance.choice(["accept_client", "accept_server"]), "fields": None, "note": None, "dry_run": None}
    elif name == "resolve" and whole:
        resolution = chance.choice(["accept_client", "accept_server", "manual_merge", "field_pick"])
        body |= {"resolution": resolution, "payload": {"reading": chance.randrange(100)} if resolution == "manual_merge" else None}
        body |= {"fields": {"reading": "client", "n": {"value": 1}} if resolution == "field_pick" else None}
        body |= {"note": None, "dry_run": None, "expected_server_version": chance.randrange(4) if resolution == "field_pick" else None}
    elif name == "replay" and whole and "batch_ids" in body:
        ids = chance.sample(list(SEEN["batch"]), min(len(SEEN["batch"]), 3))
        body = {"batch_ids": list(dict.fromkeys(ids)) or body["batch_ids"], "dry_run": chance.choice([True, False])}
    elif name == "correct" and whole:
        body["payload"] = {"id": chance.choice(["m-1", "m-2"]), "reading": chance.randrange(100)}
        body |= {"base_version": chance.choice([None, 0, 1]), "note": None, "dry_run": None}
    elif name == "correct" and whole:
        # A correction that is applied cannot be repeated with another payload.
        body = {"payload": {"id": "corrected", "form_id": "f", "data": {}}, "dry_run": True}
    elif name == "replay" and whole:
        body = {"dry_run": chance.choice([True, False])}
    elif name == "push" and isinstance(body.get("items"), list):
        body["items"] = [edit(item, chance, whole) if isinstance(item, dict) else item for item in body["items"]][:50]
        if whole:
            body["items"] = body["items"] or [edit({}, chance, whole)]
            body |= {"batch_id": None, "client_sync_token": token}
    return body


def edit(item, chance, whole):
    """Returns an edit of one of few resources, so that edits conflict."""
    item = item | {"resource_type": chance.choice(["meter", "submission", "task"])}
    if whole:
        item["action"] = chance.choice(["create", "create", "update", "update", "delete"])
        item["client_version"], item["base_version"] = chance.randrange(4), chance.choice([None, chance.randrange(4)])
        item["channel"] = "group/north" if item["resource_type"] == "task" else None
        generated = item.get("payload") if isinstance(item.get("payload"), dict) else {}
        item["payload"] = generated | {"id": f"r-{chance.randrange(12)}", "form_id": "f", "data": {}, "code": chance.randrange(200)}
        item["payload"].pop("media", None)
        item["client_temp_id"] = chance.choice([None, "tmp-1", "tmp-2"])
    return item


@schemathesis.hook
def after_call(ctx, case, response):
    operation = f"{case.method.upper()} {case.operation.path}"
    TALLY[f"{operation} {response.status_code}"] += 1
    try:
        content = response.json()
    except ValueError:
        return
    if isinstance(content, dict):
        remember(content)


def remember(content):
    for name, value in content.items():
        if name in SEEN_NAMES and isinstance(value, str) and value not in SEEN[SEEN_NAMES[name]]:
            SEEN[SEEN_NAMES[name]].append(value)
    for result in content.get("results") or []:
        if isinstance(result, dict) and "status" in result:
            TALLY[f"item {result['status']}"] += 1
            if result["status"] == "error" and isinstance(content.get("batch_id"), str):
                SEEN["rejected item"].append((content["batch_id"], result["index"]))
            remember({"conflict_id": result.get("conflict_id")})
    for conflict in content.get("conflicts") or []:
        if isinstance(conflict, dict) and isinstance(conflict.get("id"), str):
            remember({"conflict_id": conflict["id"]})


remember(json.loads(os.environ["TIDEMARK_SEEN"]))
TALLY.clear()  # Counts only generated requests.


@atexit.register
def save():
    with open(os.environ["TIDEMARK_TALLY"], "w", encoding="utf-8") as file:
        json.dump(TALLY, file)
