"""The program: its commands, loaded when they are called for, and the one map from exceptions to exit codes."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any, Final

import click

from orbitpkg._version import __version__
from orbitpkg.cli import INTERRUPTED
from orbitpkg.cli.console import Console
from orbitpkg.cli.options import CommandGroup, command_name, global_options
from orbitpkg.cli.process import watch_interrupts
from orbitpkg.cli.streams import accept_any_path
from orbitpkg.errors import OrbitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUG", "COMMANDS", "FAILED", "USAGE", "LazyGroup", "program", "run"]

FAILED, USAGE, BUG = 1, 2, 70

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
"""Each command and the module it is in, in the order of a package's life."""

_COMPLETE_VARIABLE = "_ORBITPKG_COMPLETE"
_DEBUG_VARIABLE = "ORBITPKG_DEBUG"


class LazyGroup(CommandGroup):
    """A group whose commands are loaded one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None when there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"orbitpkg.cli.{COMMANDS[cmd_name]}")
        found: click.Command = module.EXPORTS[cmd_name]
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise _unknown_command(args[0])
        return super().resolve_command(ctx, args)


def _unknown_command(word: str) -> UsageError:
    from orbitpkg.model.names import nearest

    close = nearest(word, COMMANDS, n=1)
    hint = f"Did you mean orbitpkg {close[0]}?" if close else "orbitpkg --help lists the commands."
    return UsageError(f"There is no command {word!r}.", hint=hint)


def _show_version(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if not value or context.resilient_parsing:
        return
    console: Console = context.obj
    console.data([f"orbitpkg {__version__}"])
    console.succeed({"version": __version__})
    context.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has examples: orbitpkg COMMAND --help. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 70 a bug in orbitpkg, 130 interrupted.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_show_version, help="Print the version of orbitpkg."
)
@click.pass_context
def program(context: click.Context) -> None:
    """Versioned models and data in packages, with nothing but a bucket behind them.

    A package.json beside some data, then: orbitpkg publish DIR here, orbitpkg install NAME there, and
    orbitpkg.package("NAME").file_path("model.bin") in an app.
    """
    if context.invoked_subcommand is not None:
        return
    console: Console = context.obj
    if not console.as_json:
        console.write_stderr(context.get_help())
        context.exit(USAGE)
    raise UsageError("A command is missing.", hint="orbitpkg --help lists the commands.")


program.params += global_options()


def run(words: Sequence[str], *, alone: bool = False) -> int:
    """Run one command.

    Args:
        words: Those after the program's name.
        alone: Whether this process is there for this command only, so that Ctrl-C may end it from within.

    Returns:
        The exit code.
    """
    accept_any_path()
    # A word that click refuses is reported before click has seen the options.
    own = words[: words.index("--")] if "--" in words else words
    console = Console(as_json="--json" in own)
    if alone:
        watch_interrupts(functools.partial(_fail_interrupted, console))
    if _COMPLETE_VARIABLE in os.environ:
        program.main(args=list(words), prog_name="orbitpkg", complete_var=_COMPLETE_VARIABLE, obj=console)
    try:
        try:
            # Not program.main(): it turns Ctrl-C and a reader who went away into its own words and exit codes.
            with program.make_context("orbitpkg", list(words), obj=console) as context:
                program.invoke(context)
        except BaseException as error:  # noqa: BLE001 - the last place before a traceback that no user can read
            return _fail(error, console)
    except OrbitError as error:
        # The error itself could not be written.
        console.fail(error)
        return FAILED
    return 0


def _fail(error: BaseException, console: Console) -> int:
    """Say what went wrong; returns the exit code."""
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
        case Exception():
            return _fail_bug(error, console)
    raise error


def _fail_usage(error: click.ClickException, console: Console) -> int:
    context: click.Context | None = getattr(error, "ctx", None)
    console.command = command_name(context)
    message = error.format_message()
    where = context.command_path if context is not None else "orbitpkg"
    console.fail(UsageError(message, hint=f"{where} --help shows how it is used."))
    return error.exit_code


def _fail_interrupted(console: Console) -> int:
    console.interrupted()
    return INTERRUPTED


def _fail_bug(error: Exception, console: Console) -> int:
    if os.environ.get(_DEBUG_VARIABLE):
        import traceback

        console.write_stderr("".join(traceback.format_exception(error)).rstrip())
    what = "".join([type(error).__name__, f": {error}" if str(error) else ""])
    facts: dict[str, Any] = {"type": type(error).__name__}
    hint = f"Run it again with {_DEBUG_VARIABLE}=1 to see where, and report it with what that prints."
    console.fail(OrbitError(f"This is a bug in orbitpkg: {what}", hint=hint, **facts), code="bug")
    return BUG
