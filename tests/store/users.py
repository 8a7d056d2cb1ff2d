"""Runs orbitpkg as other users, in forks of a process that is root's until then.

The interpreter may lie where only root can read, so what is needed of it is loaded before.

Talks JSON lines. In comes `{"user": …, "groups": […], "umask": …, "environment": {…}, "words": […], "output": …}`, or
"code" instead of "words"; out goes the fork's number. In comes `{"wait": NUMBER}`, out goes its exit code.
"""

from __future__ import annotations

import difflib  # noqa: F401 - and what else commands load when they fail
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from orbitpkg.api.search import released
from orbitpkg.cli import main
from orbitpkg.config.repositories import home
from orbitpkg.store.store import Store


def warm_up() -> None:
    """Load all that commands load, by running them."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORBITPKG_HOME"] = f"{folder}/home"
        package, repository = Path(folder, "package"), f"{folder}/repository"
        package.mkdir()
        package.joinpath("package.json").write_text('{"name": "warm", "version": "1.0.0", "include": ["**"]}')
        for words in (
            ["publish", str(package), "--repository", repository],
            ["install", "warm", "--only", "package.json", "--repository", repository],
            ["install", "warm", "--repository", repository],
            ["list"],
            ["store", "share", f"{folder}/home", "--group", "0"],
            ["verify", "--json"],
            ["gc", "--keep-last", "1"],
            ["remove", "warm"],
        ):
            if main([*words, "--quiet"]):
                sys.exit(f"{words} failed")
        assert main(["install", "nothing", "--repository", repository]) == 1
        assert main(["store", "share", "--group", "no-such-group"]) == 2
        assert main(["install", "warm", "--repository", f"{folder}/absent"]) == 1
        os.environ["ORBITPKG_LOCK_TIMEOUT"] = "0"
        with Store(home()).lock(released("warm", repository=Path(repository))):
            assert main(["install", "warm", "--repository", repository]) == 1
        del os.environ["ORBITPKG_LOCK_TIMEOUT"]
        assert main(["install", "warm", "--repository", repository, "--quiet"]) == 0
        Path(folder, "home/store/v1/packages/warm/1.0.0/files/package.json").unlink()
        assert main(["verify", "--repair", "--quiet"]) == 0


def become(task: dict[str, Any]) -> None:
    """Be another user from now on."""
    os.umask(task["umask"])
    os.setgroups(task["groups"])
    os.setgid(task["user"])
    os.setuid(task["user"])
    os.chdir("/")
    os.environ.update(task["environment"])


def run(task: dict[str, Any]) -> int:
    """Run requests as another user."""
    become(task)
    if "words" in task:
        return main(task["words"])
    try:
        exec(compile(task["code"], "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102
    except Exception:  # noqa: BLE001 - what it was is in the output
        traceback.print_exc()
        return 70
    return 0


def start(task: dict[str, Any]) -> int:
    """Start a fork that runs requests, and return its number."""
    outputs = [os.open(f"{task['output']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for name in ("out", "err")]
    pid = os.fork()
    if pid == 0:
        for number, output in enumerate(outputs, 1):
            os.dup2(output, number)
        status = run(task)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    for output in outputs:
        os.close(output)
    return pid


def serve() -> None:
    """Run requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm_up()
    for line in sys.stdin:
        task = json.loads(line)
        answer = start(task) if "user" in task else os.waitstatus_to_exitcode(os.waitpid(task["wait"], 0)[1])
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    serve()
