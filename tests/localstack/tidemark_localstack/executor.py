"""An executor for LocalStack's Lambda that runs a function's `bootstrap` as a child process.

The process stays warm between invocations, is killed when it times out, and is restarted after a
timeout or a crash.

`TIDEMARK_BINARIES_RUNNER` is a command that runs binaries of another architecture, such as
`qemu-aarch64 -L /usr/aarch64-linux-gnu`.

The executor does not limit memory or CPU, does not freeze the process between invocations, and does
not isolate it from the machine.
"""

import logging
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import ShutdownDuringStartup, StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from .runtime_api import Invocation, RuntimeApi, error, now_ms

LOG = logging.getLogger(__name__)

# A variable of LocalStack's environment, not of the function's.
RUNNER = "TIDEMARK_BINARIES_RUNNER"
# How often a waiting invocation checks whether its process still runs.
POLL_INTERVAL_S = 0.02


class ProcessExecutor(RuntimeExecutor):
    """An execution environment of a function version, for one invocation at a time."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-function-"))
        # A file, not a pipe: it contains the output when the response arrives, without a concurrent
        # reader.
        self._log = self._folder / "log"
        self._log.touch()
        self._environment: dict[str, str] = {}
        self._api: RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # Completed when the process requests its first event; failed if its startup fails.
        self._ready: "Future[None]" = Future()
        self._lock = threading.RLock()
        self._is_stopped = False

    # ------------------------------------------------------------------------------------ lifecycle

    def start(self, env_vars: dict[str, str]) -> None:
        code = self.function_version.config.code.get_unzipped_code_location()
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "LANG": "en_US.UTF-8",
            **{name: str(value) for name, value in env_vars.items() if value is not None},
            "LAMBDA_TASK_ROOT": str(code),
        }
        self._start_process()

    def _start_process(self) -> None:
        """Starts the process and waits until it requests an event.

        LocalStack limits the duration: it calls `stop`.
        """
        with self._lock:
            if self._is_stopped:
                raise ShutdownDuringStartup("the environment was stopped")
            self._end_process()
            self._ready = Future()
            ready = self._ready
            self._api = RuntimeApi(
                config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES,
                on_ready=lambda: _settle(ready),
                on_init_error=lambda body: _settle(ready, StatusErrorException("initialization failed", payload=body)),
            )
            task_root = pathlib.Path(self._environment["LAMBDA_TASK_ROOT"])
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*shlex.split(os.environ.get(RUNNER, "")), str(task_root / "bootstrap")],
                    cwd=task_root,
                    env={**self._environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            process = self._process
        while not ready.done():
            if process.poll() is not None:
                message = f"Error: Runtime exited with error: {_exit_reason(process.returncode)}"
                _settle(ready, StatusErrorException("startup failed", payload=error("Runtime.ExitError", message)))
            time.sleep(POLL_INTERVAL_S / 10)
        try:
            ready.result()
        except StatusErrorException as failed:
            # LocalStack stores no log for an environment that did not start.
            name = self.function_version.id.function_name
            LOG.warning("%s did not start: %s\n%s", name, failed.payload.decode(errors="replace"), self.get_logs())
            raise
        except CancelledError as stopped:
            raise ShutdownDuringStartup("the environment was stopped while it started") from stopped

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            self._ready.cancel()
            self._end_process()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._api is not None:
            self._api.close()
            self._api = None

    # ----------------------------------------------------------------------------------- invocation

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id = payload["invoke-id"]
        log_began = self._log.stat().st_size
        began = time.monotonic()
        is_error, response = self._run(request_id, payload)
        took_ms = (time.monotonic() - began) * 1000
        logs = (
            f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}\n"
            f"{self._log_since(log_began)}"
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {took_ms:.2f} ms"
            f"\tMemory Size: {self.function_version.config.memory_size} MB\n"
        )
        return InvocationResult(request_id, response, is_error=is_error, logs=logs)

    def _run(self, request_id: str, payload: dict[str, str]) -> tuple[bool, bytes]:
        if self._process is None or self._process.poll() is not None:
            # The last process timed out or crashed. Like Lambda, restart within the next
            # invocation.
            try:
                self._start_process()
            except StatusErrorException as failed:
                return True, failed.payload
        timeout_s = self.function_version.config.timeout
        invocation = Invocation(
            request_id=request_id,
            payload=payload["payload"].encode(),
            function_arn=payload["invoked-function-arn"],
            trace_id=payload["trace-id"],
            deadline_ms=now_ms() + timeout_s * 1000,
        )
        process, api = self._process, self._api
        assert process is not None and api is not None
        deadline = time.monotonic() + timeout_s
        api.send(invocation)
        while True:
            try:
                return invocation.response.result(timeout=POLL_INTERVAL_S)
            except FutureTimeout:
                pass
            if process.poll() is not None:
                message = f"RequestId: {request_id} Error: Runtime exited with error: {_exit_reason(process.returncode)}"
                invocation.settle(True, error("Runtime.ExitError", message))
            elif time.monotonic() > deadline:
                message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
                invocation.settle(True, error("Sandbox.Timedout", message))
                with self._lock:
                    self._end_process()

    # ---------------------------------------------------------------------------------------- other

    def _log_since(self, offset: int) -> str:
        try:
            text = self._log.read_bytes()[offset:].decode(errors="replace")
        except FileNotFoundError:
            return ""  # The environment was stopped.
        return text if not text or text.endswith("\n") else text + "\n"

    def get_logs(self) -> str:
        return self._log_since(0)

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Returns the address for LocalStack's init process, which is not used here."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        code = function_version.config.code
        code.prepare_for_execution()
        bootstrap = code.get_unzipped_code_location() / "bootstrap"
        if not bootstrap.exists():
            raise ValueError(f"the function {function_version.id.function_name} has no bootstrap, which this executor requires")
        # The archive may have lost the permission.
        os.chmod(bootstrap, 0o755)

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Does nothing: LocalStack removes the code."""


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args: object, **kwargs: object) -> type[ProcessExecutor]:
        return ProcessExecutor


def _settle(ready: "Future[None]", failure: Exception | None = None) -> None:
    """Completes `ready`. Only the first call has an effect; later events are ignored."""
    try:
        if failure is None:
            ready.set_result(None)
        else:
            ready.set_exception(failure)
    except InvalidStateError:
        pass


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    return f"signal: {signal.Signals(-code).name}"
