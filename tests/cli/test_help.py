"""Every command has a help text with an example to paste, and shells can complete commands."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from orbitpkg.cli.options import ExampleCommand
from orbitpkg.cli.program import COMMANDS, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.machine import Machine


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(program, info_name="orbitpkg")
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", child) for inner, child in command.commands.items())
        else:
            yield name, command


COMMAND_LIST = list(every_command())
each_command = pytest.mark.parametrize(("name", "command"), COMMAND_LIST, ids=[name for name, _ in COMMAND_LIST])


@each_command
def test_each_command_has_examples_of_itself(name: str, command: click.Command) -> None:
    assert isinstance(command, ExampleCommand)
    assert command.examples
    for example in command.examples:
        assert f"orbitpkg {name}" in example
        assert shlex.split(example)


@each_command
def test_each_command_takes_json_and_quiet(name: str, command: click.Command) -> None:
    options = {word for option in command.params for word in option.opts}
    assert {"--json", "--quiet", "-q"} <= options, name


@each_command
def test_each_option_has_a_help_text(name: str, command: click.Command) -> None:
    silent = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == [], name


@each_command
def test_each_summary_fits_in_the_list_of_commands(name: str, command: click.Command) -> None:
    assert not command.get_short_help_str(60).endswith("..."), name


def test_help_goes_to_stdout_and_ends_with_the_examples(machine: Machine) -> None:
    done = machine.run("versions", "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(
        "Examples:\n  orbitpkg versions digits\n  orbitpkg versions digits --repository s3://my-bucket/models\n"
    )
    assert machine.run("versions", "-h") == done


def test_the_help_of_the_program_lists_every_command(machine: Machine) -> None:
    done = machine.run("--help")
    listed = [line.split()[0] for line in done.out.split("Commands:\n")[1].splitlines() if line[2:3].strip()]
    assert listed[: len(COMMANDS)] == list(COMMANDS)


@pytest.mark.parametrize(
    ("shell", "says"),
    [
        ("bash", "complete -o nosort -F"),
        ("zsh", "#compdef orbitpkg"),
        ("fish", "complete --no-files --command orbitpkg"),
    ],
)
def test_completion_prints_a_script(shell: str, says: str, machine: Machine) -> None:
    done = machine.run("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert says in done.out


def completed(machine: Machine, words: str) -> list[str]:
    asked = {"_ORBITPKG_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = machine.run(**asked)
    assert (done.code, done.err) == (0, "")
    return [line.partition(",")[2] for line in done.out.splitlines()]


def test_a_shell_completes_commands_options_and_installed_packages(furnished: Machine) -> None:
    assert completed(furnished, "orbitpkg ver") == ["versions", "verify"]
    assert completed(furnished, "orbitpkg install --dry") == ["--dry-run"]
    assert completed(furnished, "orbitpkg path t") == ["tiny"]
    assert completed(furnished, "orbitpkg repo i") == ["init"]


def test_bash_parses_the_script(machine: Machine) -> None:
    script = machine.run("completion", "bash").out
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
