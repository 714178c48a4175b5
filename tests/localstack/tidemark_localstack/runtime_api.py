"""The Lambda Runtime API for one process.

A function's `bootstrap` requests its next event from it and posts the response to it:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

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
    """An invocation that the function processes."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    deadline_ms: int
    # Whether the response is an error, and its body.
    response: "Future[tuple[bool, bytes]]" = dataclasses.field(default_factory=Future)

    def settle(self, is_error: bool, body: bytes) -> bool:
        """Sets the response; returns false if it is already set, for example by a timeout."""
        if self.response.done():
            return False
        self.response.set_result((is_error, body))
        return True


class RuntimeApi:
    """Serves one process on a separate port."""

    def __init__(self, response_bytes_max: int, on_ready: Callable[[], None], on_init_error: Callable[[bytes], None]):
        self.on_ready = on_ready
        self.on_init_error = on_init_error
        self.response_bytes_max = response_bytes_max
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
            # The environment and the process are being stopped.
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
        if len(body) > api.response_bytes_max:
            message = f"Response payload size exceeded maximum allowed payload size ({api.response_bytes_max} bytes)."
            current.settle(True, error("Function.ResponseSizeTooLarge", message))
            return self._reply(413, error("RequestEntityTooLarge", message))
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
        """Logs nothing: the function has its own log."""


def error(kind: str, message: str) -> bytes:
    """Returns an error in the format of Lambda."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def now_ms() -> int:
    return int(time.time() * 1000)
