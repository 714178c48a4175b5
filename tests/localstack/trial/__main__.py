"""The main program of `tests/localstack/run`, which installs its tools first."""

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

from scenarios import conflicts, console, http, media, operations, sync
from scenarios.deployment import Deployment

from . import localstack
from .process import Failed, run, tail
from .stack import Stack, environment, sizes

ROOT = pathlib.Path(__file__).parents[3]
SCENARIOS: list[Callable[[Deployment], None]] = [scenario for part in (sync, conflicts, media, operations, http, console) for scenario in part.SCENARIOS]


def main(arguments: list[str]) -> int:
    is_measured = arguments[:1] == ["--bench"]
    arguments = arguments[1:] if is_measured else arguments
    if len(arguments) > 1 or (arguments and not arguments[0].startswith("http")):
        print("usage: tests/localstack/run [--bench] [ENDPOINT], such as http://localhost:4566")
        return 2
    # Sent by Ctrl-C and by CI at its time limit. Both run the cleanup of the blocks below.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tidemark-localstack-", ignore_cleanup_errors=True) as folder:
            failed = _trial(pathlib.Path(folder), arguments[0] if arguments else None, is_measured)
    except Failed as failure:
        print(failure)
        print(f"localstack: FAILED after {time.monotonic() - began:.0f} s, before the scenarios")
        return 1
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"localstack: FAILED after {time.monotonic() - began:.0f} s, before the scenarios")
        return 1
    except KeyboardInterrupt:
        print(f"localstack: stopped after {time.monotonic() - began:.0f} s")
        return 130
    took = f"in {time.monotonic() - began:.0f} s"
    if failed:
        print(f"localstack: {failed} of {len(SCENARIOS)} scenarios FAILED {took}")
        return 1
    print(f"localstack: {len(SCENARIOS)} scenarios passed {took}")
    return 0


def _trial(scratch: pathlib.Path, endpoint: str | None, is_measured: bool) -> int:
    """Runs the trial; returns the number of scenarios that failed."""
    os.environ.update(environment())
    stack = Stack(ROOT, scratch, f"tidemark-{uuid.uuid4().hex[:8]}")
    with contextlib.ExitStack() as cleanup:
        if endpoint is not None:
            # Checked before the functions are built, which takes minutes.
            with urllib.request.urlopen(f"{endpoint}/_localstack/health", timeout=30):
                pass
        with _step("building the functions"):
            built = stack.build()
        if endpoint is None:
            with _step("building the local runner and starting LocalStack"):
                run("cargo build", ["cargo", "build", "--locked", "-p", "tidemark"], dict(os.environ), scratch / "cargo.log", ROOT)
                tidemark = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / "debug" / "tidemark"
                endpoint = cleanup.enter_context(localstack.started(ROOT, scratch, tidemark))
        else:
            cleanup.callback(stack.delete, endpoint)
        try:
            with _step("deploying"):
                deployed = stack.deploy(endpoint)
        except Failed:
            _show_localstack(scratch)
            raise
        print(sizes(built, deployed), flush=True)
        failed = sum(not _passes(scenario, deployed) for scenario in SCENARIOS)
        if failed:
            print(f"last log lines of the functions:\n{stack.function_logs(deployed)}")
            _show_localstack(scratch)
        elif is_measured:
            _measure_lag(deployed, scratch)
        return failed


def _measure_lag(deployed: Deployment, scratch: pathlib.Path) -> None:
    """Measures the lag of a user's changes, alone and while a second user pushes.

    Each change takes seconds on LocalStack, so there are few.
    """
    tenant, log = deployed.tenant(), scratch / "bench.log"
    command = ["cargo", "run", "--locked", "--release", "--quiet", "-p", "bench", "--", "lag", "--pushes", "30", "--url", deployed.url]
    for user in ("ana", "ben"):
        command += ["--token", deployed.issuer.token(tenant.name, user)]
    with _step("measuring the lag"):
        run("bench lag", command, dict(os.environ), log, ROOT)
    print(log.read_text())


def _show_localstack(scratch: pathlib.Path) -> None:
    if (log := scratch / "localstack.log").exists():
        print(f"last log lines of LocalStack:\n{tail(log)}")


@contextlib.contextmanager
def _step(name: str):
    began = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def _passes(scenario: Callable[[Deployment], None], deployed: Deployment) -> bool:
    name, began = scenario.__name__.replace("_", " "), time.monotonic()
    try:
        scenario(deployed)
    except Exception:
        print(f"FAILED {name} ({time.monotonic() - began:.1f} s)\n{traceback.format_exc()}", flush=True)
        return False
    print(f"ok     {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def _stop(*_: object) -> None:
    # Further signals are ignored: they must not interrupt the cleanup.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
