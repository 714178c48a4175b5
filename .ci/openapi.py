#!/usr/bin/env python3
"""Runs Schemathesis with `openapi.json` against the local runner, as an admin and as a user without
that role.

Schemathesis generates valid and invalid requests for every operation. It fails if the document does
not describe the status, content type, headers or body of a response, if a response is a 5xx, or if
a request with a missing or invalid token is accepted. This script counts the responses: a run in
which nearly all requests are rejected tests nothing, and fails, too.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
]
# Without `negative_data_rejection`: a push returns 200 for invalid items, and unknown members are
# ignored.

# The minimum share of 2xx among the responses of an operation that the caller is permitted to call.
SUCCESS_SHARE_MIN = 0.1
# The minimum numbers of items of pushes with each result.
ITEMS_MIN = {"item ok": 15, "item conflict": 15, "item error": 15}
START_SECONDS_MAX = 30
RUN_SECONDS_MAX = 300


class Failed(Exception):
    """A failed run. The message describes the cause for the operator."""


class Runner:
    """Starts the local runner with in-memory storage on a free port."""

    def __init__(self, binary):
        self.binary = binary

    def __enter__(self):
        command = [self.binary, "--memory", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        signal.signal(signal.SIGALRM, lambda *_: self.process.kill())
        signal.alarm(START_SECONDS_MAX)
        address = next((found for line in self.process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        signal.alarm(0)
        if address is None:
            raise Failed("the runner did not start")
        self.url = address.group()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=START_SECONDS_MAX)

    def token(self, user, *more):
        command = [self.binary, "token", "--tenant", "acme", "--user", user, "--channel", "north", *more]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def prepare(url, token):
    """Creates a conflict of the caller, so that one exists independently of the order of the
    requests.

    Returns the response, which contains the ids of the conflict and of its batch.
    """
    create = {"resource_type": "meter", "action": "create", "client_version": 0, "channel": None}
    items = [create | {"client_temp_id": name, "payload": {"id": "prepared", "by": name, "at": token[-8:]}} for name in ("one", "other")]
    body = json.dumps({"device_id": "prepared", "client_sync_token": None, "items": items}).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1/mobile/sync/push", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as response:
        return response.read().decode()


def run(arguments, url, token, seed, folder):
    """Runs Schemathesis once; returns the number of responses per operation and status."""
    tally = folder / "tally.json"
    tally.unlink(missing_ok=True)
    hooks = pathlib.Path(__file__).with_name("openapi_hooks.py").resolve()
    environment = os.environ | {"TIDEMARK_TOKEN": token, "TIDEMARK_TALLY": str(tally), "SCHEMATHESIS_HOOKS": str(hooks)}
    environment["TIDEMARK_SEEN"] = prepare(url, token)
    command = [arguments.schemathesis, "run", str(pathlib.Path(arguments.document).resolve()), "--url", url, "--seed", str(seed)]
    command += ["--max-examples", str(arguments.examples), "--checks", ",".join(CHECKS), "--warnings", "off", "--no-color"]
    # In a separate folder: Schemathesis stores a database of examples, and would repeat those in
    # the next run.
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
    )
    if done.returncode != 0 or not tally.exists():
        raise Failed(done.stdout + done.stderr)
    return collections.Counter(json.loads(tally.read_text()))


def operations(document):
    """Yields each operation, and whether it documents a 403, which the admin role avoids."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", "403" in operation["responses"]


def evaluate(tally, document, is_admin):
    """Prints the responses per operation; returns the goals that the run missed."""
    missed = []
    for name, for_admins in operations(document):
        statuses = {key.rsplit(" ", 1)[1]: count for key, count in tally.items() if key.startswith(f"{name} ")}
        total = sum(statuses.values())
        print(f"   {name}: {', '.join(f'{count} × {status}' for status, count in sorted(statuses.items()))}")
        # All users may use a part of some operations that document a 403.
        wanted = ("2",) if is_admin or not for_admins else ("2", "403")
        reached = sum(count for status, count in statuses.items() if status.startswith(wanted))
        if total == 0 or reached < SUCCESS_SHARE_MIN * total:
            missed.append(f"{name}: of {total} requests only {reached} succeeded, or were rejected because the role is missing")
    items = {name: tally[name] for name in ITEMS_MIN}
    print(f"   items of pushes: {', '.join(f'{count} × {name[5:]}' for name, count in items.items())}")
    missed += [f"items of pushes: {items[name]} × {name[5:]}" for name, least in ITEMS_MIN.items() if items[name] < least]
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--document", default="docs/openapi.json")
    parser.add_argument("--runner", required=True, help="the binary of the local runner")
    parser.add_argument("--schemathesis", required=True, help="the program schemathesis")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=30, help="requests generated for an operation in each phase")
    arguments = parser.parse_args()
    document = json.loads(pathlib.Path(arguments.document).read_text())
    try:
        with Runner(str(pathlib.Path(arguments.runner).resolve())) as runner, tempfile.TemporaryDirectory() as folder:
            for user, more in [("root", ["--role", "admin"]), ("ana", [])]:
                print(f"   as {user}:")
                tally = run(arguments, runner.url, runner.token(user, *more), arguments.seed, pathlib.Path(folder))
                if missed := evaluate(tally, document, is_admin=bool(more)):
                    raise Failed("too few requests succeeded:\n" + "\n".join(missed))
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
