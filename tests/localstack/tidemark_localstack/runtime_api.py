"""The Lambda Runtime API, which a function's `bootstrap` asks for its next event and tells its answer, for one process:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

import dataclasses
import http.server
import json
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

PREFIX = "/2018-06-01/runtime"


@dataclasses.dataclass
class Invocation:
    """An event on its way through the function."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    deadline_ms: int
    # Whether it is an error, and the answer's body.
    answer: "Future[tuple[bool, bytes]]" = dataclasses.field(default_factory=Future)

    def settle(self, is_error: bool, body: bytes) -> bool:
        """The first answer counts; what a dead or late process says after it does not."""
        if self.answer.done():
            return False
        self.answer.set_result((is_error, body))
        return True


class RuntimeApi:
    """Serves one process on a port of its own."""

    def __init__(self, answer_bytes_max: int, on_ready: Callable[[], None], on_init_error: Callable[[bytes], None]):
        self.on_ready = on_ready
        self.on_init_error = on_init_error
        self.answer_bytes_max = answer_bytes_max
        self.current: Invocation | None = None
        self._next: "queue.SimpleQueue[Invocation | None]" = queue.SimpleQueue()
        api = self

        class Handler(_Handler):
            runtime_api = api

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True).start()

    def send(self, invocation: Invocation) -> None:
        self.current = invocation
        self._next.put(invocation)

    def wait_for_next(self) -> Invocation | None:
        self.on_ready()
        return self._next.get()

    def close(self) -> None:
        self._next.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    # One connection for all calls, as the runtime clients expect.
    protocol_version = "HTTP/1.1"
    runtime_api: RuntimeApi

    def do_GET(self) -> None:
        if self.path != f"{PREFIX}/invocation/next":
            return self._reply(404)
        invocation = self.runtime_api.wait_for_next()
        if invocation is None:
            # The environment is being stopped, and the process with it.
            self.close_connection = True
            return None
        return self._reply(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            },
        )

    def do_POST(self) -> None:
        body = self._body()
        api, current = self.runtime_api, self.runtime_api.current
        if self.path == f"{PREFIX}/init/error":
            api.on_init_error(body)
            return self._reply(202, b'{"status":"OK"}')
        if current is None or not self.path.startswith(f"{PREFIX}/invocation/{current.request_id}/"):
            return self._reply(400, error("InvalidRequestID", "no such invocation"))
        if self.path.endswith("/error"):
            current.settle(True, body)
            return self._reply(202, b'{"status":"OK"}')
        if len(body) > api.answer_bytes_max:
            words = f"Response payload size exceeded maximum allowed payload size ({api.answer_bytes_max} bytes)."
            current.settle(True, error("Function.ResponseSizeTooLarge", words))
            return self._reply(413, error("RequestEntityTooLarge", words))
        current.settle(False, body)
        return self._reply(202, b'{"status":"OK"}')

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent: the function's own log tells the story."""


def error(kind: str, message: str) -> bytes:
    """An error as Lambda words it."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def now_ms() -> int:
    return int(time.time() * 1000)
