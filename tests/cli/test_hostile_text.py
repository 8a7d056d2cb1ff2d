"""What others wrote reaches no terminal as control characters, and reaches other programs unchanged.

A publisher may write any text into descriptions, keywords and metadata, and whoever may write to the store any file
name. Each command is run on such texts, and its output is searched for raw characters.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.errors import OrbitError
from orbitpkg.escaping import is_invisible, one_line, printable, shell_word
from tests.cli.machine import write_package
from tests.cli.test_terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.machine import Machine

# Clears the screen, sets the title and the clipboard, C1, bidirectional override and isolate, zero width, fillers.
EVIL = "\x1b[2J\x1b]0;t\x07\x1b]52;c;x\x07\x9b31m\u202egpj\u2066\u200b\u2060\ufeff\u3164\u2800\x7f\r\x08END"
RAW = [char for char in EVIL if is_invisible(char)]
SEEMS_SECRET = "https://user:password@host/a?X-Amz-Signature=1"
COMMANDS = (
    ("list",),
    ("show", "evil"),
    ("show", "evil", "--repository", "home/repository"),
    ("search",),
    ("search", "evil"),
    ("versions", "evil"),
    ("files", "evil"),
    ("path", "evil"),
    ("tree",),
    ("why", "evil"),
    ("outdated",),
    ("verify",),
    ("verify", "--quick"),
    ("diff", "evil==1.0.0", "evil==1.0.0"),
    ("install", "evil"),
    ("install", "evil", "--dry-run"),
    ("install", f"evil{EVIL}"),
    ("install", f"./{EVIL}.tar.zst"),
    ("why-not", f"evil=={EVIL}"),
    ("repo", "verify"),
    ("repo", "list"),
    ("repo", "gc", "--dry-run"),
    ("doctor",),
    ("gc", "--dry-run"),
    ("validate", f"folder {EVIL}"),
    ("build", f"folder {EVIL}"),
    ("publish", f"folder {EVIL}"),
    ("init", f"new {EVIL}"),
    ("remote", "ls", "objects/"),
    ("remote", "ls", "-R", "objects/"),
    ("remote", "stat", f"objects/{EVIL}"),
    ("remote", "cp", "--dry-run", "-R", "objects/", "copies/"),
    ("remote", "rm", "--dry-run", "-R", "objects/"),
    ("remote", "sync", "--dry-run", "objects/", "memory://b/c"),
    ("dataset", "list"),
    ("dataset", "info", f"data{EVIL}"),
    ("dataset", "show", f"objects/{EVIL}"),
    (EVIL,),
    ("list", f"--{EVIL}"),
)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with a package, objects, folders and settings full of such texts."""
    from tests.cli.machine import Machine

    machine = Machine(tmp_path_factory.mktemp("evil"))
    metadata = {f"key {EVIL}": EVIL, "nested": {EVIL: [EVIL]}, "url": SEEMS_SECRET}
    facts: dict[str, Any] = {"description": f"A model {EVIL}", "keywords": [f"word {EVIL}"], "license": f"MIT {EVIL}"}
    write_package(machine.folder / "evil", "evil", metadata=metadata, **facts)
    machine.succeed("publish", "evil")
    machine.succeed("install", "evil")
    machine.succeed("deprecate", "evil==1.0.0", "--reason", f"because {EVIL}")
    files = machine.home / "store/v1/packages/evil/1.0.0/files"
    os.chmod(files, 0o755)  # noqa: PTH101, S103
    (files / EVIL).write_text(EVIL)
    (files / f"two\nlines {EVIL}").write_text(EVIL)
    objects = machine.folder / "objects"
    objects.mkdir()
    (objects / EVIL).write_text(EVIL)
    (objects / "a  b").write_text(SEEMS_SECRET)
    write_package(machine.folder / f"folder {EVIL}", "other")
    (machine.folder / f"folder {EVIL}" / EVIL).write_text(EVIL)
    return machine


def raw_characters(text: str) -> list[str]:
    """Return the control and invisible characters of an output, other than line feeds and tabs."""
    return [f"{char!a} in {line[:200]!a}" for line in text.split("\n") for char in line if char in RAW]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: ascii(" ".join(words))[1:40])
def test_no_command_prints_raw_control_characters(evil: Machine, command: tuple[str, ...]) -> None:
    done = evil.run(*command)
    assert done.code in {0, 1, 2, 64}, done
    assert raw_characters(done.out + done.err) == []
    done = evil.run(*command, "--json")
    assert raw_characters(done.out + done.err) == []
    assert done.out.isascii()
    assert isinstance(json.loads(done.out), dict)


@pytest.mark.parametrize(
    "command", [("verify",), ("show", "evil"), ("remote", "cat", "objects/*"), ("publish", "evil")]
)
def test_no_command_writes_raw_characters_to_a_terminal(evil: Machine, command: tuple[str, ...]) -> None:
    _, screen = on_terminal(evil, command, 100, NO_COLOR="1")
    assert raw_characters(screen.replace("\r", "")) == []
    assert "\\u202e" in screen or command[0] == "publish"


def test_a_file_name_cannot_add_a_line_to_a_list(evil: Machine) -> None:
    lines = evil.run("verify").out.splitlines()
    assert [line for line in lines if line.startswith("lines")] == []
    assert sum("two\\nlines" in line for line in lines) == 1


def test_json_contains_the_text_exactly(evil: Machine) -> None:
    shown = evil.run("show", "evil", "--json").envelope["data"]
    assert shown["description"] == f"A model {EVIL}"
    assert shown["metadata"] == {f"key {EVIL}": EVIL, "nested": {EVIL: [EVIL]}, "url": SEEMS_SECRET}
    found = evil.run("verify", "--json").envelope["error"]["data"]["packages"][0]["findings"]
    assert {finding["path"] for finding in found} == {EVIL, f"two\nlines {EVIL}"}


def test_data_that_looks_like_a_secret_is_not_changed(evil: Machine) -> None:
    assert f"url: {SEEMS_SECRET}\n" in evil.run("show", "evil").out
    assert evil.run("remote", "cat", "objects/a  b").out == SEEMS_SECRET
    found = evil.run("remote", "cat", "objects/a  b", "--json").envelope["data"]["objects"]
    assert found == [{"uri": "objects/a  b", "text": SEEMS_SECRET}]


def test_a_listed_name_keeps_its_spaces(evil: Machine) -> None:
    assert "objects/a  b\n" in evil.run("remote", "ls", "objects/").out


def test_a_path_that_looks_like_an_address_is_printed_as_it_is(machine: Machine, tmp_path: Path) -> None:
    home = tmp_path / "file:" / "user:password@host" / "a?b"
    write_package(machine.folder / "tiny")
    machine.succeed("publish", "tiny")
    environment = {"ORBITPKG_HOME": str(home), "ORBITPKG_REPOSITORY": machine.repository}
    assert machine.run("install", "tiny", **environment).code == 0
    done = machine.run("path", "tiny", **environment)
    assert done.out == f"{home}/store/v1/packages/tiny/1.0.0/files\n"
    done = machine.run("path", "tiny", "--json", **environment)
    assert done.envelope["data"]["path"] == f"{home}/store/v1/packages/tiny/1.0.0/files"


def test_bytes_are_written_to_a_pipe_unchanged(evil: Machine) -> None:
    done = evil.run("remote", "cat", f"objects/{EVIL}")
    assert done.out == EVIL.replace("\r", "\n")  # the test reads text, which translates line ends


def test_secrets_are_removed_from_errors() -> None:
    error = OrbitError(f"Cannot read {SEEMS_SECRET}.", url=SEEMS_SECRET)
    assert "password" not in f"{error} {error.data}"


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "$(rm -rf x)", "a;b", "", "é", "-x", "a\nb", EVIL])
def test_a_quoted_word_reaches_a_command_unchanged_and_is_printable(word: str) -> None:
    quoted = shell_word(word)
    assert one_line(quoted) == quoted
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True)
    assert done.stdout.decode() == word


def test_hints_quote_what_they_ask_to_paste(machine: Machine) -> None:
    folder = machine.folder / "it's; a folder"
    done = machine.run("init", folder, "--name", "tiny")
    assert done.err.endswith(f"orbitpkg validate {shlex.quote(str(folder))}\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 ❤️", "plain é 日本 ❤️"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e\u2067\u200d\u2800", "\\u202e\\u2067\\u200d\\u2800"),
        ("\udce9\udc9b", "\udce9\\udc9b"),
    ],
)
def test_only_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
