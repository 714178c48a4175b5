#!/usr/bin/env python3
"""Generates clients from `openapi.json` with two generators, compiles them strictly, and syncs with
each against the local runner.

- openapi-typescript: types for openapi-fetch, compiled by `tsc` with `strict` and
  `exactOptionalPropertyTypes` (`.ci/clients/client.ts`).
- openapi-python-client: a package of classes, checked by `mypy` with `strict`
  (`.ci/clients/client.py`).
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from openapi import Failed, Runner

SOURCES = pathlib.Path(__file__).with_name("clients").resolve()
COMMAND_SECONDS_MAX = 300


def execute(*command, folder, path=None):
    """Runs a command silently; raises `Failed` with its output if it fails."""
    environment = os.environ | ({"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} if path else {})
    command = [str(part) for part in command]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:3])} …\n{done.stdout}{done.stderr}")


def typescript(document, modules, folder):
    """Generates and compiles the TypeScript client; returns the command that runs it."""
    (folder / "node_modules").symlink_to(modules)
    for name in ("client.ts", "package.json", "tsconfig.json"):
        shutil.copy(SOURCES / name, folder / name)
    execute("node", modules / "openapi-typescript/bin/cli.js", document, "-o", "schema.ts", folder=folder)
    execute("node", modules / "typescript/bin/tsc", "-p", ".", folder=folder)
    return ["node", folder / "out/client.js"]


def python(document, programs, folder):
    """Generates and checks the Python client; returns the command that runs it."""
    for name in ("client.py", "mypy.ini"):
        shutil.copy(SOURCES / name, folder / name)
    output = folder / "tidemark_client"
    generate = [programs / "openapi-python-client", "generate", "--path", document, "--output-path", output, "--meta", "none"]
    execute(*generate, "--fail-on-warning", folder=folder, path=programs)
    execute(programs / "mypy", "--no-incremental", "client.py", folder=folder)
    return [programs / "python", folder / "client.py"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--document", default="docs/openapi.json")
    parser.add_argument("--runner", required=True, help="the binary of the local runner")
    parser.add_argument("--node-modules", required=True, help="the folder with the packages of .ci/clients/package.json")
    parser.add_argument("--python", required=True, help="the folder with the programs of .ci/requirements-clients.txt")
    arguments = parser.parse_args()
    document = pathlib.Path(arguments.document).resolve()
    modules, programs = (pathlib.Path(name).absolute() for name in (arguments.node_modules, arguments.python))
    try:
        with Runner(str(pathlib.Path(arguments.runner).resolve())) as runner, tempfile.TemporaryDirectory() as folder:
            tokens = [runner.token("ana"), runner.token("root", "--role", "admin")]
            for name, build, tools in [("openapi-typescript", typescript, modules), ("openapi-python-client", python, programs)]:
                client_folder = pathlib.Path(folder) / name
                client_folder.mkdir()
                command = build(document, tools, client_folder)
                execute(*command, runner.url, *tokens, folder=client_folder)
                print(f"   {name}: generated, compiled strictly; pushed, pulled, acknowledged and resolved a conflict")
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
