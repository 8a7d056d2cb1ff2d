"""The program: its commands, each imported when it is used, and the mapping of exceptions to exit codes."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any, Final

import click

from orbitpkg._version import __version__
from orbitpkg.cli.console import Console
from orbitpkg.cli.exit_codes import BUG, FAILED, INTERRUPTED, USAGE
from orbitpkg.cli.options import CommandGroup, command_name, global_options
from orbitpkg.cli.process import watch_interrupts
from orbitpkg.cli.streams import accept_any_path
from orbitpkg.errors import OrbitError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "LazyGroup", "program", "run"]

COMMANDS: Final = {
    "init": "build",
    "validate": "build",
    "build": "build",
    "publish": "publish",
    "import": "import_packages",
    "install": "install",
    "add": "project",
    "lock": "project",
    "sync": "project",
    "list": "installed",
    "path": "installed",
    "files": "installed",
    "show": "installed",
    "tree": "explain",
    "why": "explain",
    "why-not": "explain",
    "outdated": "compare",
    "diff": "compare",
    "versions": "search",
    "search": "search",
    "remove": "remove",
    "verify": "verify",
    "gc": "gc",
    "yank": "yank",
    "deprecate": "yank",
    "doctor": "repo",
    "repo": "repo",
    "dataset": "dataset",
    "remote": "remote",
    "store": "store",
    "completion": "completion",
}
"""The commands and their modules, in the order in which the help lists them."""

_COMPLETE_VARIABLE = "_ORBITPKG_COMPLETE"
_DEBUG_VARIABLE = "ORBITPKG_DEBUG"
_NEGATIONS = ("un", "no", "no-", "non-", "not-", "dis", "in")


class LazyGroup(CommandGroup):
    """A group that imports only the command that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or return None if the name is unknown."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orbitpkg.cli.{COMMANDS[cmd_name]}")
        found: click.Command = module.EXPORTS[cmd_name]
        return found


def _show_version(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if not value or context.resilient_parsing:
        return
    console: Console = context.obj
    console.lines([f"orbitpkg {__version__}"])
    console.succeed({"version": __version__})
    context.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="For details and examples: orbitpkg COMMAND --help. "
    "Exit codes: 0 success, 1 failure, 2 incorrect usage, 70 bug in orbitpkg, 130 interrupted; "
    "verify adds 16, 32 and 64 for kinds of damage.",
)
@click.option("--version", is_flag=True, expose_value=False, callback=_show_version, help="Print the version.")
@click.pass_context
def program(context: click.Context) -> None:
    """Package manager for versioned models and data.

    Describe a directory of data in a package.json and publish it to a bucket with orbitpkg publish DIR. On other
    machines, run orbitpkg install NAME. Apps open the files with orbitpkg.package("NAME").file_path("model.bin").
    """
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    if not console.as_json:
        console.write_stderr(context.get_help())
        context.exit(USAGE)
    raise UsageError("Missing command.", hint="To list the commands: orbitpkg --help")


program.params += global_options()


def run(words: Sequence[str], *, alone: bool = False) -> int:
    """Run one command.

    Args:
        words: The arguments after the program's name.
        alone: Whether the process runs only this command, so that Ctrl-C may end the process.

    Returns:
        The exit code.
    """
    accept_any_path()
    # click reports an invalid argument before it parses --json, but the report has to be JSON too.
    own = words[: words.index("--")] if "--" in words else words
    console = Console(as_json="--json" in own)
    if alone:
        watch_interrupts(functools.partial(_fail_interrupted, console))
    if _COMPLETE_VARIABLE in os.environ:
        program.main(args=list(words), prog_name="orbitpkg", complete_var=_COMPLETE_VARIABLE, obj=console)
    try:
        try:
            # Not program.main(), which has its own messages and exit codes for Ctrl-C and closed pipes.
            with program.make_context("orbitpkg", list(words), obj=console) as context:
                program.invoke(context)
        except BaseException as error:  # noqa: BLE001 - users get a message instead of a traceback
            return _fail(error, console)
    except OrbitError as error:
        # Writing the output or the error failed, for example because the disk is full.
        console.fail(error)
        return FAILED
    return 0


def _fail(error: BaseException, console: Console) -> int:
    """Report an error and return the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case OrbitError():
            console.fail(error)
            return USAGE if isinstance(error, UsageError) else FAILED
        case click.ClickException():
            return _fail_usage(error, console)
        case KeyboardInterrupt() | click.Abort():
            return _fail_interrupted(console)
        case FileNotFoundError() if _is_nowhere():
            hint = "Change to a directory that exists, or use absolute paths."
            console.fail(StorageError("The working directory was deleted.", hint=hint))
            return FAILED
        case Exception():
            return _fail_bug(error, console)
    raise error


def _is_nowhere() -> bool:
    """Return whether the working directory was deleted."""
    from orbitpkg.files.working import working_folder

    return working_folder() is None


def _fail_usage(error: click.ClickException, console: Console) -> int:
    context: click.Context | None = getattr(error, "ctx", None)
    console.command = command_name(context)
    path = context.command_path if context is not None else "orbitpkg"
    hint = f"For usage: {path} --help"
    # click puts the choices of an argument on lines of their own, without a full stop.
    message = " ".join(error.format_message().split())
    message += "" if message.endswith((".", "?")) else "."
    message = message.replace("a valid float range", "a number").replace("a valid integer range", "an integer")
    if isinstance(error, click.NoSuchOption):
        message = f"Unknown option {error.option_name!r}."
        hint = _suggest_option(error) or hint
    console.fail(UsageError(message, hint=hint))
    return error.exit_code


def _suggest_option(error: click.NoSuchOption) -> str | None:
    from orbitpkg.model.names import nearest

    # Similar spellings can have opposite meanings: --offline for --online, --locked for --unlocked.
    choices = [each for each in error.possibilities or () if not _is_opposite(error.option_name, each)]
    close = nearest(error.option_name, choices, n=1)
    return f"Did you mean {close[0]}?" if close else None


def _is_opposite(one: str, other: str) -> bool:
    words = {one.lstrip("-"), other.lstrip("-")}
    longest = max(words, key=len)
    negated = {f"{prefix}{word}" for prefix in _NEGATIONS for word in words}
    return words == {"online", "offline"} or longest in negated


def _fail_interrupted(console: Console) -> int:
    console.interrupted()
    return INTERRUPTED


def _fail_bug(error: Exception, console: Console) -> int:
    if os.environ.get(_DEBUG_VARIABLE):
        import traceback

        console.write_stderr("".join(traceback.format_exception(error)).rstrip())
    description = "".join([type(error).__name__, f": {error}" if str(error) else ""])
    facts: dict[str, Any] = {"type": type(error).__name__}
    hint = f"Run the command again with {_DEBUG_VARIABLE}=1 and report the bug with the output."
    console.fail(OrbitError(f"This is a bug in orbitpkg: {description}", hint=hint, **facts), code="bug")
    return BUG
