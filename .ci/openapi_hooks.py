"""What `.ci/openapi.py` has Schemathesis do with each request and answer (SCHEMATHESIS_HOOKS).

Made-up requests mostly end at the first check: no conflict has a random id, no token is a random text. So two of three requests get
something that exists in its place, from what earlier answers named, and one of three a body that is sound but for what was made up. The
rest go out as they were made. Which it is follows from what was made up, so a run with the same seed does much the same.
"""

import atexit
import collections
import hashlib
import json
import os
import random
import urllib.parse

import schemathesis

# API Gateway takes 10,240 bytes of request line and headers.
LINE_BYTES_MAX = 9000
TALLY = collections.Counter()
# What answers named, newest last.
SEEN = collections.defaultdict(lambda: collections.deque(maxlen=24))
SEEN_NAMES = {"batch_id": "batch", "conflict_id": "conflict", "next_token": "token", "server_sync_token": "token", "next_cursor": "cursor"}


@schemathesis.auth()
class Token:
    """The token of this run; requests that test what happens without one go without."""

    def get(self, case, ctx):
        return os.environ["TIDEMARK_TOKEN"]

    def set(self, case, data, ctx):
        # Spelled as in the document: Schemathesis looks for that name when it asks again without the token.
        case.headers = {} if case.headers is None else case.headers
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_case(ctx, case):
    """Leaves out what no function sees: a gateway refuses so long a line itself, and so does the HTTP server of the runner."""
    return len(urllib.parse.urlencode(case.query or {}, doseq=True)) <= LINE_BYTES_MAX


@schemathesis.hook
def before_call(ctx, case, kwargs):
    chance = random.Random(hashlib.sha256(repr((case.method, case.path, case.path_parameters, case.query, case.body)).encode()).digest())
    kind = chance.randrange(3)
    if kind == 0:
        return
    if case.path_parameters and "id" in case.path_parameters:
        existing = SEEN["batch" if "/batches/" in case.path else "conflict"]
        if existing:
            case.path_parameters["id"] = chance.choice(existing)
    if case.query and "cursor" in case.query:
        if SEEN["cursor"]:
            case.query["cursor"] = chance.choice(SEEN["cursor"])
        else:
            del case.query["cursor"]
    if isinstance(case.body, dict):
        case.body = sound(case.path.rsplit("/", 1)[-1], dict(case.body), chance, whole=kind == 2)


def sound(name, body, chance, whole):
    """The body with what must exist; `whole`: with all that the schema cannot say, so that the request is done."""
    token = chance.choice(SEEN["token"]) if SEEN["token"] else None
    if whole and name != "replay":
        body["device_id"] = chance.choice(["phone", "tablet"])
    if name == "pull":
        body["since_token"] = token
    elif name == "ack" and token:
        body["ack_token"] = token
    elif name == "presign" and whole:
        body |= {"content_type": chance.choice(["image/jpeg", "image/png"]), "content_length": chance.randrange(1, 1000), "sha256": None}
        body["filename"] = "photo.jpg"
    elif name == "resolve" and whole:
        body["resolution"] = chance.choice(["accept_client", "accept_server", "manual_merge"])
        body |= {"payload": {"reading": chance.randrange(100)} if body["resolution"] == "manual_merge" else None}
        body |= {"note": None, "expected_server_version": None}
    elif name == "replay" and whole:
        body = {"dry_run": chance.choice([True, False])}
    elif name == "push" and isinstance(body.get("items"), list):
        body["items"] = [edit(item, chance, whole) if isinstance(item, dict) else item for item in body["items"]][:50]
        if whole:
            body["items"] = body["items"] or [edit({}, chance, whole)]
            body |= {"batch_id": None, "client_sync_token": token}
    return body


def edit(item, chance, whole):
    """An edit of one of few resources, so that edits meet."""
    item = item | {"resource_type": chance.choice(["meter", "submission", "task"])}
    if whole:
        item["action"] = chance.choice(["create", "create", "update", "update", "delete"])
        item["client_version"], item["base_version"] = chance.randrange(4), chance.choice([None, chance.randrange(4)])
        item["channel"] = "group/north" if item["resource_type"] == "task" else None
        made_up = item.get("payload") if isinstance(item.get("payload"), dict) else {}
        item["payload"] = made_up | {"id": f"r-{chance.randrange(12)}", "form_id": "f", "data": {}, "code": chance.randrange(200)}
        item["payload"].pop("media", None)
        item["client_temp_id"] = chance.choice([None, "tmp-1", "tmp-2"])
    return item


@schemathesis.hook
def after_call(ctx, case, response):
    operation = f"{case.method.upper()} {case.operation.path}"
    TALLY[f"{operation} {response.status_code}"] += 1
    try:
        answer = response.json()
    except ValueError:
        return
    if isinstance(answer, dict):
        remember(answer)


def remember(answer):
    for name, value in answer.items():
        if name in SEEN_NAMES and isinstance(value, str) and value not in SEEN[SEEN_NAMES[name]]:
            SEEN[SEEN_NAMES[name]].append(value)
    for result in answer.get("results") or []:
        if isinstance(result, dict) and "status" in result:
            TALLY[f"item {result['status']}"] += 1
            remember({"conflict_id": result.get("conflict_id")})
    for conflict in answer.get("conflicts") or []:
        if isinstance(conflict, dict) and isinstance(conflict.get("id"), str):
            remember({"conflict_id": conflict["id"]})


remember(json.loads(os.environ["TIDEMARK_SEEN"]))
TALLY.clear()  # only what was made up counts


@atexit.register
def save():
    with open(os.environ["TIDEMARK_TALLY"], "w", encoding="utf-8") as file:
        json.dump(TALLY, file)
