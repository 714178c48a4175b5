#!/usr/bin/env python3
"""Tests readme_walk.py with a small README and server. `.ci/run` runs it before the real walk."""

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

import readme_walk

# Responds like the runner: to GET /health, with a greeting, and with a change from the third
# request on.
SERVER = r"""#!/usr/bin/env python3
import http.server, os, pathlib, sys
if sys.argv[1] == "token":
    sys.exit(print("token-of-" + sys.argv[2]))
port, data = int(sys.argv[sys.argv.index("--port") + 1]), pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
data.mkdir()
pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
requests = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global requests
        requests += self.path == "/late"
        late = '{"changes": [1]}' if requests > 2 else '{"changes": []}'
        body = late if self.path == "/late" else '{"hello":"' + self.headers.get("Authorization", "") + '", "id":"x-17","n":1.0}'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass
try:
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
except KeyboardInterrupt:
    pass
"""

README = """
# Example

```sh
false # not walked
```

<!-- walk -->
```sh
cargo run   # starts everything
```

<!-- walk -->
```sh
TOKEN=$(cargo run -q -- token anna)
```

Some words.

<!-- walk -->
```sh
curl -s 127.0.0.1:9080/greeting \\
  -H "Authorization: $TOKEN"
```

It greets:

<!-- prints -->
```json
{
  "hello": "token-of-anna",
  "id": "x-…", …
}
```

<!-- walk until printed -->
```sh
curl -s http://127.0.0.1:9080/late
```
<!-- prints -->
```json
{"changes":[1]}
```

<!-- walk -->
```sh
head -1 notes.txt; echo written > new.txt; ls -d .tidemark
```
<!-- prints -->
```text
from the …
.tidemark
```
"""


class Walk(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.clone = pathlib.Path(scratch.name, "clone")
        self.clone.mkdir()
        (self.clone / "notes.txt").write_text("from the clone\n")
        self.server = pathlib.Path(scratch.name, "server")
        self.pid_file = pathlib.Path(scratch.name, "server.pid")

    def walk(self, readme, server=SERVER):
        """Returns the status and output of a walk, and asserts that no process remains."""
        (self.clone / "README.md").write_text(readme)
        self.server.write_text(server)
        self.server.chmod(0o755)
        done = subprocess.run(
            [sys.executable, readme_walk.__file__, self.clone / "README.md", "--runner", self.server],
            env={**os.environ, "PID_FILE": str(self.pid_file)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if self.pid_file.exists():
            with self.assertRaises(ProcessLookupError):
                os.kill(int(self.pid_file.read_text()), 0)
        return done.returncode, done.stdout + done.stderr

    def test_correct_readme_passes_and_clone_is_unchanged(self):
        self.assertEqual((0, "5 blocks walked\n"), self.walk(README))
        self.assertEqual({"README.md", "notes.txt"}, {path.name for path in self.clone.iterdir()})

    def test_different_output_is_reported_as_diff(self):
        status, output = self.walk(README.replace("token-of-anna", "token-of-ben"))
        self.assertEqual(1, status)
        self.assertIn('-  "hello": "token-of-ben",\n+  "hello": "token-of-anna",\n   "id": "x-17",', output)

    def test_failing_command_stops_the_walk_and_is_reported(self):
        status, output = self.walk(README.replace("head -1 notes.txt;", "ls no-such-file\n"))
        self.assertEqual(1, status)
        self.assertIn("failed ls no-such-file", output)
        self.assertIn("line 46", output)

    def test_missing_output_fails_after_retries(self):
        self.addCleanup(setattr, readme_walk, "REPEAT_SECONDS_MAX", readme_walk.REPEAT_SECONDS_MAX)
        block = readme_walk.Block(1, "echo no\n", until_printed=True, expected="yes", expected_line=2)
        readme_walk.REPEAT_SECONDS_MAX = 0.3

        class Shell:
            runs = 0

            def run(self, _):
                self.runs += 1
                return "no\n"

        shell = Shell()
        with self.assertRaisesRegex(readme_walk.Failed, "differs from line 2"):
            readme_walk.walk_block(block, shell, 1)
        self.assertGreater(shell.runs, 1)

    def test_output_of_exiting_runner_is_reported(self):
        status, output = self.walk(README, "#!/bin/sh\necho the port is taken; exit 3\n")
        self.assertEqual(1, status)
        self.assertIn("status 3 and printed:\nthe port is taken", output)

    def test_block_that_exits_the_shell_fails(self):
        status, output = self.walk("<!-- walk -->\n```sh\nexit 0\n```\n")
        self.assertEqual(1, status)
        self.assertIn("the shell exited", output)


class Markers(unittest.TestCase):
    def assert_rejected(self, readme, reason):
        with self.assertRaisesRegex(readme_walk.Failed, reason):
            readme_walk.read_blocks(textwrap.dedent(readme))

    def test_markers_without_a_block_are_rejected(self):
        self.assert_rejected("# nothing\n", "no block")
        self.assert_rejected("<!-- walk -->\n\n```sh\n```\n", "line 1: the marker is not followed by a fence")
        self.assert_rejected("<!-- walk -->\n```json\n```\n", "not followed by a ```sh")
        self.assert_rejected("<!-- prints -->\n```json\n```\n", "no marked block before")
        self.assert_rejected("<!-- walks -->\n", "not a marker")
        self.assert_rejected("<!-- walk -->\n```sh\n", "never closed")
        self.assert_rejected("<!-- walk until printed -->\n```sh\n```\n", "no fence shows")


class Comparison(unittest.TestCase):
    def matches(self, shown, printed, is_json=True):
        return not readme_walk.difference(shown, printed, is_json)

    def test_json_ignores_only_white_space_between_tokens(self):
        self.assertTrue(self.matches('{ "a" : [ 1, 2 ] }', '{"a":[1,2]}\n'))
        self.assertFalse(self.matches('{"a":"b c"}', '{"a":"bc"}'))

    def test_json_compares_digits_and_key_order(self):
        self.assertFalse(self.matches('{"a":1.0}', '{"a":1}'))
        self.assertFalse(self.matches('{"a":1,"b":2}', '{"b":2,"a":1}'))

    def test_ellipsis_in_string_matches_rest_of_string(self):
        self.assertTrue(self.matches('{"a":"t_…"}', '{"a":"t_1\\"2"}'))
        self.assertFalse(self.matches('{"a":"t_…"}', '{"a":"t_1","b":"2"}'))

    def test_ellipsis_elsewhere_matches_any_json(self):
        self.assertTrue(self.matches('{"a":…,"b":2}', '{"a":{"x":[1]},"b":2}'))
        self.assertTrue(self.matches('[{"a":1}, …]', '[{"a":1},{"a":2},3]'))

    def test_text_is_compared_line_by_line(self):
        self.assertTrue(self.matches("HTTP/1.1 …\nok", "HTTP/1.1 200 OK  \nok\n\n", is_json=False))
        self.assertFalse(self.matches("ok", "ok\nmore", is_json=False))


class Commands(unittest.TestCase):
    def test_runner_and_address_are_replaced(self):
        self.assertEqual('"$TIDEMARK" token a | curl -s 127.0.0.1:7/x\n', readme_walk.for_this_run("cargo run -q -- token a | curl -s localhost:9080/x\n", 7))
        self.assertEqual("true\n", readme_walk.for_this_run("cargo run # starts\ntrue\n", 7))


if __name__ == "__main__":
    unittest.main()
