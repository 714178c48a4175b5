"""LocalStack without Docker: the released package with the plugins of this repository."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

from .process import Failed, run, running, tail

START_MAX_S = 120


@contextlib.contextmanager
def started(root: pathlib.Path, scratch: pathlib.Path, tidemark: pathlib.Path) -> Iterator[str]:
    """Starts LocalStack on a free port; yields its endpoint. It writes only below `scratch`."""
    python = os.environ["LOCALSTACK_PYTHON"]
    plugins, temporary, log = scratch / "plugins", scratch / "tmp", scratch / "localstack.log"
    temporary.mkdir()
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    run("installing the plugins", [*install, "--target", str(plugins), "tests/localstack"], dict(os.environ), log, root)
    test = [python, "-m", "unittest", "tidemark_localstack.executor_test"]
    run("the tests of the plugins", test, dict(os.environ) | {"PYTHONPATH": str(plugins)}, log, root)
    address = f"127.0.0.1:{_free_port()}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = own | {
        "GATEWAY_LISTEN": address,
        "FILESYSTEM_ROOT": str(scratch / "localstack"),
        # LocalStack stores S3 objects and the functions' code in the folder for temporary files.
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(plugins),
        "TIDEMARK_BIN": str(tidemark),
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "PROVIDER_OVERRIDE_DYNAMODB": "tidemark",
        "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "tidemark",
        # Without these, LocalStack accepts invalid signatures and ignores unsupported resources.
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "0",
        "SQS_ENDPOINT_STRATEGY": "path",
        "LAMBDA_RETRY_BASE_DELAY": "1",
        # Disables requests to other hosts.
        "OVERRIDE_IN_DOCKER": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    with running([python, "-m", "localstack.runtime.main"], environment, log, root) as process:
        _wait(f"http://{address}", process, log)
        yield f"http://{address}"


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/_localstack/health", timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.2)
    raise Failed(f"LocalStack did not start:\n{tail(log)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
