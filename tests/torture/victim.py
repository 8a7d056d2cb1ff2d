"""Runs command lines in forks of itself, each of which waits to be let go: time to fasten a tracer to it.

Talks JSON lines. In comes `{"words": […], "home": …, "output": …}`, out goes `{"pid": …}`; in comes any line, and the
fork goes; out goes `{"status": …}`, what `waitpid` said. Each command runs once beforehand to import its modules, so a
tracer sees its work and not the start of the interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from orbitpkg.cli import main


def run(words: list[str], home: str) -> int:
    """Run one command as if it had been started so."""
    os.environ["ORBITPKG_HOME"] = home
    status = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def warm_up() -> None:
    """Import all that the commands import."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORBITPKG_HOME"] = f"{folder}/home"
        package, repository = Path(folder, "package"), f"{folder}/repository"
        package.mkdir()
        package.joinpath("package.json").write_text('{"name": "warm", "version": "1.0.0", "include": ["**"]}')
        for words in (
            ["publish", str(package), "--repository", repository],
            ["install", "warm", "--repository", repository],
            ["verify"],
            ["gc", "--keep-last", "1"],
            ["remove", "warm"],
        ):
            if main([*words, "--quiet"]):
                sys.exit(f"{words} failed")


def serve() -> None:
    """Execute requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm_up()
    for line in sys.stdin:
        task = json.loads(line)
        reader, writer = os.pipe()
        # Here, not in the fork: a tracer may be there before it.
        output = os.open(task["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.read(reader, 1)
            os.close(reader)
            os._exit(run(task["words"], task["home"]))
        os.close(reader)
        os.close(output)
        print(json.dumps({"pid": pid}), file=answers, flush=True)
        sys.stdin.readline()
        os.write(writer, b"x")
        os.close(writer)
        print(json.dumps({"status": os.waitpid(pid, 0)[1]}), file=answers, flush=True)


if __name__ == "__main__":
    serve()
