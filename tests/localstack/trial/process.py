"""Child processes that end with the trial."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator


class Failed(Exception):
    """A failed step. The message describes the cause for the operator."""


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], log: pathlib.Path, cwd: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process in a new group; the whole group ends with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def run(name: str, command: list[str], environment: dict[str, str], log: pathlib.Path, cwd: pathlib.Path) -> None:
    """Runs a command; raises `Failed` with the end of its log if it fails."""
    with running(command, environment, log, cwd) as process:
        status = process.wait()
    if status != 0:
        raise Failed(f"{name} exited with status {status}:\n{tail(log)}")


def tail(log: pathlib.Path, lines: int = 60) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        # The group may have ended, or contain only children of its former leader.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
