"""Tests the executor with small functions that succeed, fail, crash and hang."""

import json
import os
import pathlib
import sys
import tempfile
import threading
import time
import types
import unittest
import unittest.mock

from localstack.services.lambda_.invocation.executor_endpoint import ShutdownDuringStartup, StatusErrorException

from .executor import RUNNER, ProcessExecutor

# A minimal runtime client: it requests an event, does what the event contains, and requests the
# next one.
BOOTSTRAP = """#!{python}
import json, os, signal, sys, time, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime"
def post(path, body):
    try:
        urllib.request.urlopen(urllib.request.Request(api + path, data=body, method="POST")).read()
    except urllib.error.HTTPError as rejected:
        print("rejected with", rejected.code, flush=True)
print("started", flush=True)
if os.environ.get("START") == "dies":
    sys.exit(3)
if os.environ.get("START") == "fails":
    post("/init/error", b'{{"errorType": "Init", "errorMessage": "no settings"}}')
    sys.exit(1)
if os.environ.get("START") == "hangs":
    time.sleep(60)
turn = 0
while True:
    event = urllib.request.urlopen(api + "/invocation/next")
    request, text = event.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(event.read())
    turn += 1
    print("turn", turn, flush=True)
    if text == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif text == "hang":
        time.sleep(60)
    elif text == "fail":
        post(f"/invocation/{{request}}/error", b'{{"errorType": "Handler", "errorMessage": "no"}}')
    elif text == "burst":
        post(f"/invocation/{{request}}/response", b"x" * 7_000_000)
    else:
        content = {{"turn": turn, "cwd": os.getcwd(), "env": dict(os.environ), "headers": dict(event.headers)}}
        post(f"/invocation/{{request}}/response", json.dumps(content).encode())
"""


class ExecutorTest(unittest.TestCase):
    def setUp(self) -> None:
        # The functions of this test are scripts, so they need no runner for another architecture.
        self.enterContext(unittest.mock.patch.dict(os.environ))
        os.environ.pop(RUNNER, None)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.code = pathlib.Path(folder.name).resolve()
        bootstrap = self.code / "bootstrap"
        bootstrap.write_text(BOOTSTRAP.format(python=os.path.realpath(sys.executable)))
        code = types.SimpleNamespace(get_unzipped_code_location=lambda: self.code, prepare_for_execution=lambda: None)
        settings = types.SimpleNamespace(code=code, timeout=1, memory_size=128)
        named = types.SimpleNamespace(function_name="test", qualifier="$LATEST")
        self.version = types.SimpleNamespace(config=settings, id=named)
        ProcessExecutor.prepare_version(self.version)
        self.executor = ProcessExecutor("test", self.version)
        self.addCleanup(self.executor.stop)

    def start(self, **environment: object) -> None:
        self.executor.start({"AWS_REGION": "eu-central-1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": 128, **environment})

    def invoke(self, event: str):
        payload = {"invoke-id": f"id-{event}", "invoked-function-arn": "arn:f", "payload": json.dumps(event), "trace-id": "Root=1"}
        result = self.executor.invoke(payload)
        return result, json.loads(result.payload)

    def test_warm_process_is_reused_with_the_environment_of_lambda(self) -> None:
        self.start()
        for turn in (1, 2, 3):
            result, content = self.invoke("hello")
            self.assertEqual((result.is_error, content["turn"]), (False, turn))
            self.assertIn(f"turn {turn}\n", result.logs)
            self.assertNotIn(f"turn {turn - 1}\n", result.logs)
        self.assertEqual((content["cwd"], content["env"]["LAMBDA_TASK_ROOT"]), (str(self.code), str(self.code)))
        self.assertEqual((content["env"]["AWS_REGION"], content["env"]["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]), ("eu-central-1", "128"))
        self.assertNotIn("HOME", content["env"], "the environment of this machine must not be inherited")
        headers = {name.lower(): value for name, value in content["headers"].items()}
        self.assertEqual((headers["lambda-runtime-invoked-function-arn"], headers["lambda-runtime-trace-id"]), ("arn:f", "Root=1"))
        self.assertLess(abs(int(headers["lambda-runtime-deadline-ms"]) / 1000 - time.time()), 2)
        self.assertTrue(result.logs.startswith("START RequestId: id-hello") and "REPORT RequestId: id-hello" in result.logs)

    def test_binary_of_another_architecture_uses_the_runner(self) -> None:
        os.environ[RUNNER] = "/usr/bin/env STARTED_BY='a runner'"
        self.start()
        result, content = self.invoke("hello")
        self.assertEqual((result.is_error, content["env"]["STARTED_BY"], content["cwd"]), (False, "a runner", str(self.code)))
        self.assertNotIn(RUNNER, content["env"])

    def test_handler_error_is_returned_and_the_process_continues(self) -> None:
        self.start()
        result, content = self.invoke("fail")
        self.assertEqual((result.is_error, content["errorType"]), (True, "Handler"))
        self.assertEqual(self.invoke("hello")[1]["turn"], 2)

    def test_crashed_process_is_reported_and_restarted(self) -> None:
        self.start()
        result, content = self.invoke("die")
        self.assertEqual((result.is_error, content["errorType"]), (True, "Runtime.ExitError"))
        self.assertIn("signal: SIGKILL", content["errorMessage"])
        self.assertEqual(self.invoke("hello")[1]["turn"], 1)

    def test_process_that_times_out_is_killed_and_restarted(self) -> None:
        self.start()
        began = time.monotonic()
        result, content = self.invoke("hang")
        self.assertEqual((result.is_error, content["errorType"]), (True, "Sandbox.Timedout"))
        self.assertIn("Task timed out after 1.00 seconds", content["errorMessage"])
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.invoke("hello")[1]["turn"], 1)

    def test_oversized_response_is_rejected_as_by_lambda(self) -> None:
        self.start()
        result, content = self.invoke("burst")
        self.assertEqual((result.is_error, content["errorType"]), (True, "Function.ResponseSizeTooLarge"))
        self.assertEqual(self.invoke("hello")[1]["turn"], 2)
        self.assertIn("rejected with 413", self.executor.get_logs())

    def test_failed_start_reports_its_cause(self) -> None:
        for how, kind in {"dies": "Runtime.ExitError", "fails": "Init"}.items():
            with self.assertLogs("tidemark_localstack.executor", "WARNING"), self.assertRaises(StatusErrorException) as raised:
                self.start(START=how)
            self.assertEqual(json.loads(raised.exception.payload)["errorType"], kind)

    def test_hanging_start_ends_when_stopped(self) -> None:
        threading.Timer(0.3, self.executor.stop).start()
        with self.assertRaises(ShutdownDuringStartup):
            self.start(START="hangs")


if __name__ == "__main__":
    unittest.main()
