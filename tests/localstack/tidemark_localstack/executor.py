"""An executor for LocalStack's Lambda: a function's `bootstrap` is a child process of this one, as on Lambda a process of its
own microVM. It is kept warm between invocations, killed when it takes too long, and started anew after that or after it died.

`TIDEMARK_BINARIES_RUNNER` names a command that runs binaries of another architecture: `qemu-aarch64 -L /usr/aarch64-linux-gnu`.

What it does not do: bound memory, divide CPU, freeze the process between invocations, or keep it from the rest of the machine.
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

# Of LocalStack's own environment, not of the function's.
RUNNER = "TIDEMARK_BINARIES_RUNNER"
# How often a waiting invocation looks whether its process still lives.
LOOK_EVERY_S = 0.02


class ProcessExecutor(RuntimeExecutor):
    """One execution environment of one function version: LocalStack sends it one invocation at a time."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id, function_version)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-function-"))
        # A file, not a pipe: what a process has written is there when its answer is, with nobody having to read along.
        self._log = self._folder / "log"
        self._log.touch()
        self._environment: dict[str, str] = {}
        self._api: RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # Done when the process asks for its first event; failed when it cannot get there.
        self._ready: "Future[None]" = Future()
        self._lock = threading.RLock()
        self._is_stopped = False

    # ------------------------------------------------------------------------------------------------------- lifecycle

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
        """Starts the process and waits for it to ask for an event. LocalStack bounds how long that may take: then it
        calls `stop`."""
        with self._lock:
            if self._is_stopped:
                raise ShutdownDuringStartup("the environment was stopped")
            self._end_process()
            self._ready = Future()
            ready = self._ready
            self._api = RuntimeApi(
                config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES,
                on_ready=lambda: _settle(ready),
                on_init_error=lambda body: _settle(ready, StatusErrorException("initialisation failed", payload=body)),
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
                words = f"Error: Runtime exited with error: {_ending(process.returncode)}"
                _settle(ready, StatusErrorException("startup failed", payload=error("Runtime.ExitError", words)))
            time.sleep(LOOK_EVERY_S / 10)
        try:
            ready.result()
        except StatusErrorException as failed:
            # LocalStack keeps no log of an invocation that never began.
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

    # ------------------------------------------------------------------------------------------------------ invocation

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id = payload["invoke-id"]
        log_began = self._log.stat().st_size
        began = time.monotonic()
        is_error, answer = self._run(request_id, payload)
        took_ms = (time.monotonic() - began) * 1000
        logs = (
            f"START RequestId: {request_id} Version: {self.function_version.id.qualifier}\n"
            f"{self._log_since(log_began)}"
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {took_ms:.2f} ms"
            f"\tMemory Size: {self.function_version.config.memory_size} MB\n"
        )
        return InvocationResult(request_id, answer, is_error=is_error, logs=logs)

    def _run(self, request_id: str, payload: dict[str, str]) -> tuple[bool, bytes]:
        if self._process is None or self._process.poll() is not None:
            # The last one timed out or died. Lambda, too, starts anew within the next invocation.
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
                return invocation.answer.result(timeout=LOOK_EVERY_S)
            except FutureTimeout:
                pass
            if process.poll() is not None:
                words = f"RequestId: {request_id} Error: Runtime exited with error: {_ending(process.returncode)}"
                invocation.settle(True, error("Runtime.ExitError", words))
            elif time.monotonic() > deadline:
                words = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
                invocation.settle(True, error("Sandbox.Timedout", words))
                with self._lock:
                    self._end_process()

    # ------------------------------------------------------------------------------------------------------------ rest

    def _log_since(self, offset: int) -> str:
        try:
            text = self._log.read_bytes()[offset:].decode(errors="replace")
        except FileNotFoundError:
            return ""  # stopped meanwhile
        return text if not text or text.endswith("\n") else text + "\n"

    def get_logs(self) -> str:
        return self._log_since(0)

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """LocalStack's own init process would call this. There is none here, and a function has no use for it."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        code = function_version.config.code
        code.prepare_for_execution()
        bootstrap = code.get_unzipped_code_location() / "bootstrap"
        if not bootstrap.exists():
            raise ValueError(f"this executor runs a bootstrap, and {function_version.id.function_name} has none")
        # The archive need not have kept the permission.
        os.chmod(bootstrap, 0o755)

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """LocalStack removes the code itself."""


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args: object, **kwargs: object) -> type[ProcessExecutor]:
        return ProcessExecutor


def _settle(ready: "Future[None]", failure: Exception | None = None) -> None:
    """The first to know decides; asking for the second event, or dying later, changes nothing."""
    try:
        if failure is None:
            ready.set_result(None)
        else:
            ready.set_exception(failure)
    except InvalidStateError:
        pass


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    return f"signal: {signal.Signals(-code).name}"
