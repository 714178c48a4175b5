"""`tests/localstack/run`, once its tools are there."""

import contextlib
import os
import pathlib
import signal
import sys
import tempfile
import time
import traceback
import urllib.request
import uuid
from collections.abc import Callable

from stories import conflicts, edge, media, operations, sync
from stories.deployment import Deployment

from . import localstack
from .process import Failed, run, tail
from .stack import Stack, environment, sizes

ROOT = pathlib.Path(__file__).parents[3]
STORIES: list[Callable[[Deployment], None]] = [story for part in (sync, conflicts, media, operations, edge) for story in part.STORIES]


def main(arguments: list[str]) -> int:
    is_measured = arguments[:1] == ["--bench"]
    arguments = arguments[1:] if is_measured else arguments
    if len(arguments) > 1 or (arguments and not arguments[0].startswith("http")):
        print("usage: tests/localstack/run [--bench] [ENDPOINT], such as http://localhost:4566")
        return 2
    # What a person at the terminal and a CI that gives up send: both end the blocks below in good order.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemark-localstack-", ignore_cleanup_errors=True) as folder:
            failed = _trial(pathlib.Path(folder), arguments[0] if arguments else None, is_measured)
    except Failed as failure:
        print(failure)
        print(f"localstack: FAILED after {time.monotonic() - began:.0f} s, before the stories")
        return 1
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"localstack: FAILED after {time.monotonic() - began:.0f} s, before the stories")
        return 1
    except KeyboardInterrupt:
        print(f"localstack: stopped after {time.monotonic() - began:.0f} s")
        return 130
    took = f"in {time.monotonic() - began:.0f} s"
    if failed:
        print(f"localstack: {failed} of {len(STORIES)} stories FAILED {took}")
        return 1
    print(f"localstack: {len(STORIES)} stories passed {took}")
    return 0


def _trial(scratch: pathlib.Path, endpoint: str | None, is_measured: bool) -> int:
    """All of it; gives the number of stories that failed."""
    os.environ.update(environment())
    stack = Stack(ROOT, scratch, f"tidemark-{uuid.uuid4().hex[:8]}")
    with contextlib.ExitStack() as everything:
        if endpoint is not None:
            # Before the functions are built, which takes minutes.
            with urllib.request.urlopen(f"{endpoint}/_localstack/health", timeout=30):
                pass
        with _step("building the functions"):
            built = stack.build()
        if endpoint is None:
            with _step("building and starting LocalStack's parts"):
                run("cargo build", ["cargo", "build", "--locked", "-p", "tidemark"], dict(os.environ), scratch / "cargo.log", ROOT)
                tidemark = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug" / "tidemark"
                endpoint = everything.enter_context(localstack.started(ROOT, scratch, tidemark))
        else:
            everything.callback(stack.delete, endpoint)
        try:
            with _step("deploying"):
                deployed = stack.deploy(endpoint)
        except Failed:
            _show_localstack(scratch)
            raise
        print(sizes(built, deployed), flush=True)
        failed = sum(not _passes(story, deployed) for story in STORIES)
        if failed:
            print(f"what the functions logged last:\n{stack.function_logs(deployed)}")
            _show_localstack(scratch)
        elif is_measured:
            _measure_lag(deployed, scratch)
        return failed


def _measure_lag(deployed: Deployment, scratch: pathlib.Path) -> None:
    """One user's changes, alone and while a second user pushes. Each takes seconds here, so there are few."""
    tenant, log = deployed.tenant(), scratch / "bench.log"
    command = ["cargo", "run", "--locked", "--release", "--quiet", "-p", "bench", "--", "lag", "--pushes", "30", "--url", deployed.url]
    for user in ("ana", "ben"):
        command += ["--token", deployed.issuer.token(tenant.name, user)]
    with _step("measuring the lag"):
        run("bench lag", command, dict(os.environ), log, ROOT)
    print(log.read_text())


def _show_localstack(scratch: pathlib.Path) -> None:
    if (log := scratch / "localstack.log").exists():
        print(f"what LocalStack logged last:\n{tail(log)}")


@contextlib.contextmanager
def _step(what: str):
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def _passes(story: Callable[[Deployment], None], deployed: Deployment) -> bool:
    name, began = story.__name__.replace("_", " "), time.monotonic()
    try:
        story(deployed)
    except Exception:
        print(f"FAILED {name} ({time.monotonic() - began:.1f} s)\n{traceback.format_exc()}", flush=True)
        return False
    print(f"ok     {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def _stop(*_: object) -> None:
    # Once is enough: what is taken down from here on is not to be interrupted.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
