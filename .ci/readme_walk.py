#!/usr/bin/env python3
"""Runs the commands of the README and compares their output with the output that the README shows.

A fenced `sh` block is run if the line before it is `<!-- walk -->`. All marked blocks run in order
in one bash, which stops at the first command that fails. A following fence with the line `<!--
prints -->` before it shows the expected standard output of the block:

  * `…` matches any text; inside a JSON string, it matches the rest of that string.
  * In a `json` fence, white space between tokens is ignored. Numbers must have the digits, and keys the
    order, that the README shows.
  * In any other fence, only white space at the ends of lines is ignored.

`<!-- walk until printed -->` repeats the block for up to ten seconds until it prints the expected
output. It is for results that arrive after a delay, when a reader would run the command again.

This script starts the local runner with a temporary data folder. It replaces `cargo run` with the
built runner (a line that only starts the runner is skipped), and the README's address with that of
a free port. The commands run in a temporary folder with links to the clone's files, so that new
files are written there and not into the clone.
"""

import argparse
import dataclasses
import difflib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

README_ADDRESS = re.compile(r"\b(?:127\.0\.0\.1|localhost):9080\b")
CARGO_RUN = re.compile(r"\bcargo run\b(?: (?:-q|--quiet|--release|--locked))*(?: --(?= |$))?")
START_ONLY = re.compile(r"^\s*cargo run(?: (?:-q|--quiet|--release|--locked))*\s*(?:&\s*)?(?:#.*)?$")
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
BLOCK_SECONDS_MAX = 60
REPEAT_SECONDS_MAX = 10
REPEAT_PAUSE_SECONDS = 0.2
# The pause after each block. A reader pauses, too, and by then the change log contains the pushed
# changes. On a busy machine a script would be faster than the log, and a pull would return a create
# and the following update as one change.
READ_SECONDS = 1

# Reads file names, runs each file in the same shell, and reports the status of each. A command that
# fails terminates the shell, which reports the command.
BASH = r"""
set -eo pipefail
trap 'printf "failed %s\n" "${BASH_COMMAND//$'\n'/ }" >&4' ERR
while IFS= read -r block <&3; do
  . "$block" >"$block.out" 2>"$block.err" </dev/null 3<&- 4>&4
  printf 'done\n' >&4
done
"""


class Failed(Exception):
    """The walk failed. The message describes the cause for the operator."""


@dataclasses.dataclass
class Block:
    """A marked fence, and its expected output."""

    line: int
    script: str
    until_printed: bool
    expected: str | None = None
    expected_line: int = 0
    expected_is_json: bool = False


# --------------------------------------------------------------------------------------- the README


def read_blocks(text: str) -> list[Block]:
    """Returns the marked blocks of a README. Raises `Failed` for a marker without a block."""
    blocks: list[Block] = []
    marker, marker_line = None, 0
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        fence = re.fullmatch(r"(`{3,})\s*([\w-]*).*", line)
        if fence:
            body = fence_body(lines, fence[1], number)
            if marker == "prints":
                add_expected(blocks, body, fence[2], number)
            elif marker:
                if fence[2] != "sh":
                    raise Failed(f"line {marker_line}: the marker is not followed by a ```sh fence")
                blocks.append(Block(number, body, until_printed=marker == "walk until printed"))
            marker = None
            continue
        if marker:
            raise Failed(f"line {marker_line}: the marker is not followed by a fence")
        found = re.fullmatch(r"<!--\s*(walk|walk until printed|prints)\s*-->", line)
        if found:
            marker, marker_line = found[1], number
        elif re.match(r"\s*<!--\s*(walk|print)", line):
            raise Failed(f"line {number}: not a marker that is known: {line.strip()}")
    if marker:
        raise Failed(f"line {marker_line}: the marker is not followed by a fence")
    for block in blocks:
        if block.until_printed and block.expected is None:
            raise Failed(f"line {block.line}: no fence shows the output of this block")
    if not blocks:
        raise Failed("no block is marked <!-- walk -->")
    return blocks


def fence_body(lines, ticks: str, opened: int) -> str:
    body = []
    for _, line in lines:
        if re.fullmatch(rf"`{{{len(ticks)},}}\s*", line):
            return "\n".join(body) + "\n"
        body.append(line)
    raise Failed(f"line {opened}: the fence is never closed")


def add_expected(blocks: list[Block], body: str, language: str, number: int) -> None:
    if not blocks or blocks[-1].expected is not None:
        raise Failed(f"line {number}: no marked block before it prints this")
    blocks[-1].expected = body
    blocks[-1].expected_line = number
    blocks[-1].expected_is_json = language == "json"


def for_this_run(script: str, port: int) -> str:
    """Returns the README's commands for the built runner and its port."""
    kept = [line for line in script.splitlines() if not START_ONLY.match(line)]
    return CARGO_RUN.sub('"$TIDEMARK"', with_port("\n".join(kept) + "\n", port))


def with_port(text: str, port: int) -> str:
    return README_ADDRESS.sub(f"127.0.0.1:{port}", text)


# ---------------------------------------------------------------------------------------- comparing


def json_lines(text: str) -> list[str]:
    """Returns JSON, which may contain `…`, as indented lines. Only white space changes."""
    out, indent, line = [], 0, ""

    def end_line():
        nonlocal line
        if line.strip():
            out.append("  " * indent + line.strip())
        line = ""

    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[{}\[\],:…]|[^\s{}\[\],:"…]+|"', text, re.DOTALL):
        if token in "{[":
            line += token
            end_line()
            indent += 1
        elif token in "}]":
            end_line()
            indent = max(0, indent - 1)
            line = token
        elif token == ",":
            line += token
            end_line()
        elif token == ":":
            line += ": "
        elif token == "…" or line.endswith(("}", "]")):
            # A `…` between items, or the next of several documents.
            if not line.endswith(": "):
                end_line()
            line += token
        else:
            line += token
    end_line()
    return out


def text_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def pattern(expected: str, is_json: bool) -> re.Pattern:
    """Returns a pattern that matches the expected output, in which `…` matches any text."""
    parts = []
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|.', expected, re.DOTALL) if is_json else [expected]:
        anything = r'(?:[^"\\]|\\.)*' if is_json and token.startswith('"') else ".*"
        parts += anything.join(re.escape(part) for part in token.split("…"))
    return re.compile("".join(parts), re.DOTALL)


def difference(expected: str, actual: str, is_json: bool) -> list[str]:
    """Returns the diff of the output, empty if it matches. Lines that match up to `…` are equal."""
    lines_of = json_lines if is_json else text_lines
    shown, printed = lines_of(expected), lines_of(actual)
    # For JSON, the indentation only makes the diff readable.
    glue = "" if is_json else "\n"
    as_one = [glue.join(line.strip() if is_json else line for line in lines) for lines in (shown, printed)]
    if pattern(as_one[0], is_json).fullmatch(as_one[1]):
        return []
    agreed = [next((p for p in printed if "…" in s and s.strip() != "…" and pattern(s, is_json).fullmatch(p)), s) for s in shown]
    return list(difflib.unified_diff(agreed, printed, "README", "printed", n=3, lineterm=""))


# ------------------------------------------------------------------------------------------ running


class Runner:
    """The runner under test. The end of the `with` block stops it, also after an error."""

    def __init__(self, runner: pathlib.Path, folder: pathlib.Path, port: int):
        self.command = [str(runner), "--port", str(port), "--data", str(folder / ".tidemark")]
        self.folder, self.port = folder, port
        self.log = folder / ".runner.log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait_until_healthy()
        except BaseException:
            kill_group(self.process)
            raise
        return self

    def wait_until_healthy(self) -> None:
        directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the runner exited with status {self.process.returncode} and printed:\n{self.output()}")
            try:
                with directly.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as response:
                    if response.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise Failed(f"the runner did not respond to GET /health for {START_SECONDS_MAX} s and printed:\n{self.output()}")

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def __exit__(self, kind, *_):
        ended_early = self.process.poll()
        try:
            # The signal that Ctrl-C sends.
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            if kind is None:
                raise Failed(f"the runner did not stop within {STOP_SECONDS_MAX} s of Ctrl-C") from None
        finally:
            kill_group(self.process)
        if kind is None and ended_early is not None:
            raise Failed(f"the runner exited with status {ended_early} during the walk and printed:\n{self.output()}")


class Shell:
    """One bash for the whole walk, so that a variable of one block is set in the next."""

    def __init__(self, folder: pathlib.Path, scratch: pathlib.Path, runner: pathlib.Path):
        self.scratch, self.count = scratch, 0
        names, self.names = os.pipe()
        self.states, states = os.pipe()
        script = scratch / "walk.sh"
        script.write_text(BASH)
        # The file descriptors 3 and 4 of the shell are its two pipes.
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec bash --noprofile --norc "$0" 3<&{names} 4>&{states}', str(script)],
            cwd=folder,
            env={**os.environ, "TIDEMARK": str(runner), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            pass_fds=(names, states),
            start_new_session=True,
        )
        os.close(names)
        os.close(states)

    def run(self, script: str) -> str:
        """Runs the script; returns its standard output."""
        self.count += 1
        block = self.scratch / f"block-{self.count}.sh"
        block.write_text(script)
        os.write(self.names, f"{block}\n".encode())
        state = self.state()
        out, err = (pathlib.Path(f"{block}{end}") for end in (".out", ".err"))
        printed = out.read_text(errors="replace") if out.exists() else ""
        if state != "done":
            errors = err.read_text(errors="replace") if err.exists() else ""
            raise Failed(f"{state}\n{printed}{errors}".rstrip())
        return printed

    def state(self) -> str:
        signal.alarm(BLOCK_SECONDS_MAX)
        try:
            report = b""
            while not report.endswith(b"\n"):
                more = os.read(self.states, 4096)
                if not more:
                    return report.decode() or "the shell exited"
                report += more
        finally:
            signal.alarm(0)
        return report.decode().splitlines()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill_group(self.process)
        os.close(self.names)
        os.close(self.states)


def kill_group(process: subprocess.Popen) -> None:
    """Kills a process and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def show_clone(clone: pathlib.Path, folder: pathlib.Path) -> None:
    """Links the clone's files into the folder, without the output of a runner or a build."""
    for entry in clone.iterdir():
        if entry.name not in {".git", ".tidemark", "target"}:
            (folder / entry.name).symlink_to(entry)


def walk(readme: pathlib.Path, runner: pathlib.Path) -> int:
    """Runs the marked blocks of the README; returns their number."""
    blocks = read_blocks(readme.read_text())
    port = free_port()
    with tempfile.TemporaryDirectory() as temporary:
        folder, scratch = pathlib.Path(temporary, "clone"), pathlib.Path(temporary, "scratch")
        folder.mkdir()
        scratch.mkdir()
        show_clone(readme.parent, folder)
        with Runner(runner, folder, port) as running, Shell(folder, scratch, runner) as shell:
            for block in blocks:
                try:
                    walk_block(block, shell, port)
                except Failed as failure:
                    raise Failed(f"{readme.name}, line {block.line}: {failure}\n\nthe output of the runner:\n{tail(running.output())}") from None
                time.sleep(READ_SECONDS)
    return len(blocks)


def walk_block(block: Block, shell: Shell, port: int) -> None:
    deadline = time.monotonic() + (REPEAT_SECONDS_MAX if block.until_printed else 0)
    while True:
        printed = shell.run(for_this_run(block.script, port))
        if block.expected is None:
            return
        diff = difference(with_port(block.expected, port), printed, block.expected_is_json)
        if not diff:
            return
        if time.monotonic() >= deadline:
            raise Failed(f"the output differs from line {block.expected_line}:\n" + "\n".join(diff))
        time.sleep(REPEAT_PAUSE_SECONDS)


def tail(text: str, lines: int = 30) -> str:
    return "\n".join(text.splitlines()[-lines:])


def out_of_time(*_):
    raise Failed(f"a block took longer than {BLOCK_SECONDS_MAX} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readme", type=pathlib.Path)
    parser.add_argument("--runner", required=True, type=pathlib.Path, help="the binary of the local runner")
    arguments = parser.parse_args()
    # The runner is stopped however this script ends, and children must not inherit an ignored
    # SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, out_of_time)
    try:
        for path in (arguments.readme, arguments.runner):
            if not path.is_file():
                raise Failed(f"{path} does not exist")
        print(f"{walk(arguments.readme.resolve(), arguments.runner.resolve())} blocks walked")
    except Failed as failure:
        print(failure)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
