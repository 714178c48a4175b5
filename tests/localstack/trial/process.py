"""Child processes that never outlive the trial."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator


class Failed(Exception):
    """A step did not work. The message is for whoever reads the trial's output."""


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], log: pathlib.Path, cwd: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own; the whole group ends with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def run(what: str, command: list[str], environment: dict[str, str], log: pathlib.Path, cwd: pathlib.Path) -> None:
    """Runs a command to its end, without a word unless it fails."""
    with running(command, environment, log, cwd) as process:
        status = process.wait()
    if status != 0:
        raise Failed(f"{what} ended with status {status}:\n{tail(log)}")


def tail(log: pathlib.Path, lines: int = 60) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        # The group may be gone, or hold only what its leader left behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
