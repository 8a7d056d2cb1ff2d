"""The program and its environment: closed pipes, full disks, Ctrl-C, missing standard files, unusual names."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import ORBITPKG, Machine, Result, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = Path("/dev/full")


def shell(machine: Machine, command: str) -> Result:
    """Run a line of sh in which $orbitpkg is the program."""
    environment = machine.environment(orbitpkg=shlex.join(ORBITPKG))
    done = subprocess.run(
        ["sh", "-c", command], cwd=machine.folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


OUTPUTS = [["list"], ["files", "tiny", "--json"], ["path", "tiny"], ["install", "tiny==1.0.0"], ["--help"],
           ["repo", "--help"], ["list", "--help"], ["--version"], ["--version", "--json"]]  # fmt: skip
# With the variable, Python writes at once; without it, a first time when it flushes and a second time at its exit.
every_buffering = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


@every_buffering
@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_a_reader_that_is_gone_before_the_start_is_not_an_error(
    words: list[str], unbuffered: str, furnished: Machine
) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [*ORBITPKG, *words],
            env=furnished.environment(PYTHONUNBUFFERED=unbuffered),
            cwd=furnished.folder,
            stdout=writes,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (0, "")


@every_buffering
@pytest.mark.parametrize("words", [["list"], ["files", "tiny", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_leaves_after_the_first_byte_is_not_an_error(
    words: list[str], unbuffered: str, furnished: Machine
) -> None:
    process = subprocess.Popen(
        [*ORBITPKG, *words],
        env=furnished.environment(PYTHONUNBUFFERED=unbuffered),
        cwd=furnished.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1)
    process.stdout.close()
    with process.stderr as stderr:
        errors = stderr.read()
    assert (process.wait(), errors) == (0, b"")


@every_buffering
@pytest.mark.parametrize("words", [["path", "nope"], ["nope"], [], ["path", "nope", "--json"]], ids=" ".join)
def test_an_error_keeps_its_exit_code_when_stderr_has_no_reader(
    words: list[str], unbuffered: str, furnished: Machine
) -> None:
    expected = furnished.run(*words)
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [*ORBITPKG, *words],
            env=furnished.environment(PYTHONUNBUFFERED=unbuffered),
            cwd=furnished.folder,
            stdout=subprocess.PIPE,
            stderr=writes,
            encoding="utf-8",
            check=False,
        )
    finally:
        os.close(writes)
    assert (done.returncode, done.stdout) == (expected.code, expected.out)


def test_verify_fails_even_if_its_output_is_not_read(furnished: Machine) -> None:
    (furnished.home / "store" / "v1" / "packages" / "tiny" / "1.0.0" / "files" / "model.bin").unlink()
    assert shell(furnished, "{ $orbitpkg verify; echo $? >&2; } | true").err.endswith("\n16\n")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here: it takes Linux")
@every_buffering
@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["path", "tiny"], ["--version"], ["--help"]])
def test_an_output_that_cannot_be_written_is_an_error(words: list[str], unbuffered: str, furnished: Machine) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [*ORBITPKG, *words],
            env=furnished.environment(PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: Could not write the output: No space left on device."


def test_closed_standard_files_do_not_matter(furnished: Machine) -> None:
    assert shell(furnished, "$orbitpkg list <&- >&-") == Result(0, "", "")
    assert shell(furnished, "$orbitpkg path nope 2>&-") == Result(1, "", "")
    assert shell(furnished, "$orbitpkg list <&- 2>&-").out.startswith("tiny  1.0.0")
    done = shell(furnished, "rm -r home/store; $orbitpkg install tiny <&- >&- 2>&-; $orbitpkg verify")
    assert done == Result(0, "tiny 1.0.0  good\n", "")


def test_names_with_spaces_and_any_letters_are_kept(machine: Machine) -> None:
    folder = machine.folder / "größe 模型"
    write_package(folder, files={"a b/ü.bin": b"1"})
    assert machine.run("publish", folder.name, "--repository", "./répertoire").code == 0
    assert machine.run("install", "tiny", "--repository", "./répertoire").code == 0
    assert machine.run("files", "tiny").out == "a b/ü.bin\npackage.json\n"
    done = shell(machine, 'cat "$($orbitpkg path tiny "a b" ü.bin)"')
    assert done == Result(0, "1", "")


def test_letters_missing_from_the_encoding_are_escaped(machine: Machine) -> None:
    write_package(machine.folder / "tiny", description="größer")
    machine.succeed("publish", "tiny")
    assert machine.run("search", PYTHONIOENCODING="ascii").out == "tiny  1.0.0  gr\\xf6\\xdfer\n"


def test_a_home_that_is_not_utf8_is_printed_byte_for_byte(machine: Machine) -> None:
    home = os.fsencode(machine.folder) + b"/\xff"
    write_package(machine.folder / "tiny")
    environment = machine.environment() | {"ORBITPKG_HOME": os.fsdecode(home)}
    for words in (["publish", "tiny", "-q"], ["install", "tiny", "-q"], ["path", "tiny"]):
        done = subprocess.run(
            [*ORBITPKG, *words], cwd=machine.folder, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == home + b"/store/v1/packages/tiny/1.0.0/files\n"


# Ctrl-C.


@contextmanager
def silent_server() -> Iterator[tuple[str, threading.Event]]:
    """A server that accepts a connection and never answers. The event is set when a request arrives."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                asked.set()
                connection.recv(1 << 20)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/models", asked
        thread.join()


def start(machine: Machine, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ORBITPKG, *words],
        cwd=machine.folder,
        env=machine.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def interrupt(process: subprocess.Popen[str], *, once: bool) -> Result:
    """Press Ctrl-C once, or until the process ends, and return the result."""
    process.send_signal(signal.SIGINT)
    while not once:
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        else:
            break
    out, err = process.communicate()
    return Result(process.returncode, out, err)


def test_ctrl_c_has_an_envelope(machine: Machine) -> None:
    with silent_server() as (url, asked):
        process = start(machine, "install", "tiny==1.0.0", "--repository", url, "--json")
        assert asked.wait(60)
        done = interrupt(process, once=True)
    assert (done.code, done.err) == (130, "")
    assert done.envelope == {
        "orbitpkg": 1,
        "command": "install",
        "ok": False,
        "error": {"code": "interrupted", "message": "Interrupted.", "hint": None, "data": {}},
    }


@pytest.mark.parametrize("once", [True, False], ids=["once", "again"])
def test_ctrl_c_ends_the_wait_for_a_server_that_never_answers(once: bool, machine: Machine) -> None:
    with silent_server() as (url, asked):
        process = start(machine, "install", "tiny==1.0.0", "--repository", url)
        assert asked.wait(60)
        assert interrupt(process, once=once) == Result(130, "", "Interrupted.\n")
    assert machine.run("list", "-q") == Result(0, "", "")


@contextmanager
def gated_server(folder: Path) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A server of the files in a folder. It sets the first event at a request, and answers when the second is set."""
    asked, may_answer = threading.Event(), threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            may_answer.wait(60)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked, may_answer
        finally:
            may_answer.set()
            server.shutdown()
            thread.join()


def test_background_jobs_of_a_shell_are_not_interrupted(machine: Machine) -> None:
    published = machine.run("publish", write_package(machine.folder / "tiny"), "--repository", "./served")
    assert published.code == 0, published.err
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with gated_server(machine.folder / "served") as (url, asked, may_answer):
        process = subprocess.Popen(
            [sys.executable, "-c", ignoring, *ORBITPKG, "install", "tiny==1.0.0", "--repository", url],
            cwd=machine.folder,
            env=machine.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        may_answer.set()
        _, err = process.communicate()
    assert (process.returncode, "Interrupted" in err) == (0, False), err
    assert machine.run("path", "tiny").out == f"{machine.home}/store/v1/packages/tiny/1.0.0/files\n"
