"""The program on a terminal, with its width, colours and progress bars, and without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import ORBITPKG, Machine, Result, write_package

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = "A classifier of handwritten digits that fits into a shoe box and needs no electricity at all"
RED_ERROR = "\x1b[1;31merror:\x1b[0m "


def on_terminal(machine: Machine, words: Sequence[str], columns: int = 80, /, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal and return its exit code and the contents of the screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*ORBITPKG, *words],
        cwd=machine.folder,
        env=machine.environment(**{"TERM": "xterm", **environment}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        screen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux: the other end is closed.
                break
            if not piece:
                break
            screen += piece
    os.close(ours)
    return process.returncode, screen.decode().replace("\r\n", "\n")


def test_errors_are_coloured_on_a_terminal(machine: Machine) -> None:
    code, screen = on_terminal(machine, ["instal"])
    assert code == 2
    assert screen == (f"{RED_ERROR}Unknown command 'instal'.\n\x1b[36mhint:\x1b[0m Did you mean orbitpkg install?\n")


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_disabled(name: str, value: str, machine: Machine) -> None:
    _, screen = on_terminal(machine, ["instal"], 80, **{name: value})
    assert screen == "error: Unknown command 'instal'.\nhint: Did you mean orbitpkg install?\n"


def test_nothing_is_coloured_without_a_terminal(machine: Machine) -> None:
    assert machine.run("instal", TERM="xterm", CLICOLOR_FORCE="1").err.startswith("error: ")


def test_messages_are_wrapped_but_paths_are_not(machine: Machine) -> None:
    home = machine.folder / "a-directory-whose-name-alone-is-wider-than-the-terminal"
    _, screen = on_terminal(machine, ["path", "nope"], 40, NO_COLOR="1", ORBITPKG_HOME=str(home))
    lines = screen.splitlines()
    assert lines[0] == "error: nope is not installed in"
    assert lines[-1] == "hint: orbitpkg install nope"
    assert f"{home.name}." in lines[-2]


def test_outdated_has_headers_only_on_a_terminal(machine: Machine) -> None:
    for version in ("1.0.0", "1.10.0"):
        write_package(machine.folder / version, "tiny", version)
        machine.succeed("publish", version)
    machine.succeed("install", "tiny==1.0.0")
    assert machine.run("outdated").out == "tiny  1.0.0  1.10.0  1.10.0\n"
    _, screen = on_terminal(machine, ["outdated"], 80)
    assert screen == "package  in use  allowed  newest\ntiny     1.0.0   1.10.0   1.10.0\n"
    _, screen = on_terminal(machine, ["outdated"], 24)
    assert screen == "tiny\n  in use 1.0.0\n  allowed 1.10.0\n  newest 1.10.0\n"
    machine.succeed("install", "tiny")
    _, screen = on_terminal(machine, ["outdated"], 80, NO_COLOR="1")
    assert screen == "note: All packages are up to date\n"


@pytest.fixture
def described(machine: Machine) -> Machine:
    write_package(machine.folder / "tiny", "digits", description=LONG)
    write_package(machine.folder / "other", "tokenizer-of-words", "1.10.0", description="Splits")
    for folder in ("tiny", "other"):
        machine.succeed("publish", folder)
    machine.succeed("install", "digits", "tokenizer-of-words")
    return machine


def test_a_table_wraps_the_text_in_its_column(described: Machine) -> None:
    assert on_terminal(described, ["list"], 80)[1] == (
        "digits              1.0.0   3 files  1.2 kB  A classifier of handwritten digits\n"
        "                                             that fits into a shoe box and needs\n"
        "                                             no electricity at all\n"
        "tokenizer-of-words  1.10.0  3 files  1.1 kB  Splits\n"
    )


def test_at_50_columns_the_text_goes_below(described: Machine) -> None:
    assert on_terminal(described, ["list"], 50)[1] == (
        "digits              1.0.0   3 files  1.2 kB\n"
        "  A classifier of handwritten digits that fits\n"
        "  into a shoe box and needs no electricity at all\n"
        "tokenizer-of-words  1.10.0  3 files  1.1 kB\n"
        "  Splits\n"
    )


def test_at_40_columns_each_fact_has_a_line(described: Machine) -> None:
    assert on_terminal(described, ["list"], 40)[1] == (
        "digits\n"
        "  1.0.0\n"
        "  3 files\n"
        "  1.2 kB\n"
        "  A classifier of handwritten digits\n"
        "  that fits into a shoe box and needs no\n"
        "  electricity at all\n"
        "tokenizer-of-words\n"
        "  1.10.0\n"
        "  3 files\n"
        "  1.1 kB\n"
        "  Splits\n"
    )


def test_without_a_terminal_a_fact_is_one_line_unless_columns_is_set(described: Machine) -> None:
    assert described.run("list").out.splitlines()[0] == f"digits              1.0.0   3 files  1.2 kB  {LONG}"
    narrow = described.run("list", COLUMNS="40").out
    assert narrow == on_terminal(described, ["list"], 40)[1]


def test_show_at_40_columns_puts_labels_above(described: Machine) -> None:
    _, screen = on_terminal(described, ["show", "tokenizer-of-words"], 40)
    lines = screen.splitlines()
    assert lines[:4] == ["tokenizer-of-words 1.10.0", "Splits", "size", "  3 files, 1.1 kB"]
    assert lines[-2:] == ["path", f"  {described.home}/store/v1/packages/tokenizer-of-words/1.10.0/files"]


def test_fast_work_shows_no_bar(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    assert on_terminal(machine, ["build", "tiny"]) == (0, "tiny-1.0.0.tar.zst\n")


def test_fast_work_without_a_terminal_prints_no_lines(machine: Machine) -> None:
    write_package(machine.folder / "tiny")
    assert machine.run("build", "tiny") == Result(0, "tiny-1.0.0.tar.zst\n", "")
