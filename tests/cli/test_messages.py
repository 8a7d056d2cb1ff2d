"""Every message that a user can meet is well formed: sentences with one full stop, a capital first, no private jargon.

The texts are read from the source, so a message that no test provokes is checked, too. A replacement field of an
f-string counts as the letter X.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import pytest

import orbitpkg
from orbitpkg.cli.program import COMMANDS, program, run
from tests.cli.machine import write_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(orbitpkg.__file__).parent
NOTES = {"note", "hint", "report", "sentence"}

# A full stop after another mark, two marks, a space before a mark, or two spaces between words.
BAD_PUNCTUATION = re.compile(r"(?<!\.)\.\.(?![./])|[?!:;,]\.|\s[.,;](?=\s|$)|\.:|\w  \w|\bX\.\.(?!\.)")
# Words of a private language, which a reader has to decode.
JARGON = re.compile(
    r"\b(?:anew|whoever|nobody (?!else)\w+s\b|is none of|what there is of|waits not|all the same|is to be)\b",
    re.IGNORECASE,
)
HOMEMADE_HELP = re.compile(r"\b(?:May be given again|Said of|Say what|Only tell|Have nobody|Take it back)\b")


class Message(NamedTuple):
    """A text in the source, and where it is."""

    place: str
    text: str
    is_hint: bool


def _text(node: ast.expr) -> str | None:
    """Return the text of a literal, an f-string or a sum of these; None for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) or "X" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_text(left) or 'X'}{_text(right) or 'X'}"
        case ast.IfExp(body=body):
            return _text(body)
    return None


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _messages_of(call: ast.Call, place: str) -> Iterator[Message]:
    name = _called(call)
    is_error = name.endswith(("Error", "NotFound", "NotInstalled", "Unreachable")) and name[0].isupper()
    if (is_error or name in NOTES) and call.args:
        text = _text(call.args[0])
        if text is not None:
            yield Message(place, text, name == "hint")
    for keyword in call.keywords:
        if keyword.arg == "hint":
            text = _text(keyword.value)
            if text is not None:
                yield Message(place, text, is_hint=True)


def messages() -> Iterator[Message]:
    """Return the texts of all errors, hints and notes in the source."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield from _messages_of(node, place)


MESSAGES = list(messages())


def offenders(is_bad: Callable[[Message], object]) -> list[str]:
    return [f"{message.place}: {message.text}" for message in MESSAGES if is_bad(message)]


def test_the_messages_are_found() -> None:
    assert len(MESSAGES) > 300
    assert sum(message.is_hint for message in MESSAGES) > 100


def test_no_message_has_two_marks_in_a_row() -> None:
    assert offenders(lambda message: BAD_PUNCTUATION.search(message.text)) == []


def test_no_message_uses_private_jargon() -> None:
    assert offenders(lambda message: JARGON.search(message.text)) == []


# Help.


def every_option() -> Iterator[tuple[str, str]]:
    context = click.Context(program, info_name="orbitpkg")
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        children = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        for inner, child in children:
            for option in child.params:
                if isinstance(option, click.Option):
                    yield f"{name} {inner} {option.opts[-1]}", option.help or ""


def test_the_help_of_each_option_is_a_sentence() -> None:
    assert [
        (place, text) for place, text in every_option() if not re.fullmatch(r"[A-Z0-9\"'].*[.]", text, re.DOTALL)
    ] == []


def test_no_help_has_two_marks_in_a_row_or_jargon() -> None:
    patterns = (BAD_PUNCTUATION, JARGON, HOMEMADE_HELP)
    assert [place for place, text in every_option() if any(pattern.search(text) for pattern in patterns)] == []


# What is printed: the reasons of the operating system and of libraries end up within these messages.

FAILURES = """\
instal tiny
list --online
install
install tiny==9.0.0
install tinny
install 'tiny>=1,<'
install 'a b'
install tiny --app x==
install tiny -r nowhere
install tiny -r ./nowhere
install tiny -r http:/host/models
install tiny -r ftp://host/models
install tiny -r s3:/bucket
install tiny -r https://user:secret@host/models
install other -r http://127.0.0.1:9/models
install other --offline -r https://example.invalid/models
install tiny-9.9.9.tar.zst
path tiny nope.bin
path tinny
why tinny
show tinny
remove tinny
publish nowhere
publish broken
publish unreadable
validate broken
validate empty
init tiny
lock
sync --locked --frozen
yank tiny
yank tiny --reason x
deprecate tiny==9.0.0 --reason x
verify tinny
gc --older-than soon
gc --max-size big
repo remove nope
repo add 'a b' s3://bucket
repo verify --subset 5%
repo verify ./nowhere
repo gc ./nowhere
repo policy
repo policy ./nowhere --public --read
store share . --group no-such-group
store share . --mode 0777
completion tcsh
import nowhere
import sputnik+http://127.0.0.1:9
dataset info nope
dataset create 'a b'
dataset show nope.h5
remote ls s3:/bucket
remote cat nope.txt
remote cp nope.txt also-nope
remote cp
remote open s3://bucket
remote cache --dry-run
remote sync a b
remote sync a memory://x/y --watch --dry-run
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with packages that cannot be published, and a home with one release."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    write_package(tmp_path / "tiny")
    write_package(tmp_path / "broken", "a b", "1.0", license=3, paths=["*"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "package.json").write_text('{"name": "tiny",')
    assert run(["publish", "tiny", "-q"]) == 0
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_each_failure_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    bad = []
    for line in FAILURES.splitlines():
        capsys.readouterr()
        code = run(shlex.split(line))
        printed = capsys.readouterr()
        first = printed.err.partition("\n")[0]
        if code not in {1, 2} or not first.startswith("error: ") or first == "error: ":
            bad.append(f"{line}: exit code {code}, {printed}")
        elif BAD_PUNCTUATION.search(printed.err) or JARGON.search(printed.err):
            bad.append(f"{line}: {printed.err}")
    assert bad == []
