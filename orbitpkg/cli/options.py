"""What every command has: ``--json``, ``--quiet``, an example in its help, one way to be run; and shared options."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from click.shell_completion import CompletionItem

    from orbitpkg.cli.console import Console

    Body: TypeAlias = Callable[..., Mapping[str, object]]
    Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

__all__ = [
    "ExampleCommand",
    "address",
    "app_options",
    "command",
    "command_name",
    "global_options",
    "installed_names",
    "repository_options",
]


class ExampleCommand(click.Command):
    """A command whose help ends with examples, each on a line of its own that can be pasted."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        del ctx
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(name: str, *examples: str, group: click.Group | None = None) -> Callable[[Body], click.Command]:
    """Make a command of a function that takes the console and the parameters, and returns the envelope's data.

    Args:
        name: Of the command.
        examples: Command lines for its help.
        group: The group it belongs to, when not the program itself.
    """

    def make(body: Body) -> click.Command:
        @functools.wraps(body)
        def run(**parameters: Any) -> None:
            context = click.get_current_context()
            console: Console = context.find_root().obj
            console.command = command_name(context)
            console.finish(body(console, **parameters))

        made = click.command(name, cls=ExampleCommand, examples=examples)(run)
        if group is not None:
            group.add_command(made)
        return made

    return make


def command_name(context: click.Context | None) -> str | None:
    """Give the name of the command that a context is about (``repo init``); None for the program itself."""
    path = context.command_path.partition(" ")[2] if context is not None else ""
    return path or None


def global_options() -> list[click.Parameter]:
    """Make the options that every command has."""
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_json,
            help="Print one JSON object: the result, or the error.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_quiet,
            help="Print nothing but data and errors.",
        ),
    ]


def _set_json(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    context.find_root().obj.as_json |= value


def _set_quiet(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    context.find_root().obj.quiet |= value


def repository_options(*, verb: str) -> Decorator:
    """Add ``--repository`` and ``--offline``; ``verb`` says what the command does there ("install from")."""
    repository = click.option(
        "-r",
        "--repository",
        metavar="URL",
        callback=address,
        help=f"The repository to {verb}: s3://bucket/prefix, https://host/dir, file:///dir, or a directory's path. "
        "Default: $ORBITPKG_REPOSITORY, else the directory 'repository' in $ORBITPKG_HOME.",
    )
    offline = click.option("--offline", is_flag=True, help="Use no network. ORBITPKG_OFFLINE=1 does the same.")

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        return repository(offline(function))

    return add


def app_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--app`` and ``--python``."""
    app = click.option(
        "--app", "apps", metavar="NAME==VERSION", multiple=True, help="An app that will use them. May be given again."
    )
    python = click.option(
        "--python",
        metavar="PATH",
        help="The interpreter, or virtual environment, that other apps are installed beside. Default: orbitpkg's own.",
    )
    return app(python(function))


def address(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Take a word without a scheme for a directory when it is one; any other is read further down.

    What could be a repository's name is left alone: a configured one counts before a directory.
    """
    del context, option
    import os

    from orbitpkg.model.names import is_valid_name

    if value and is_valid_name(value):
        return value
    if value and ":" not in value and os.path.isdir(value):  # noqa: PTH112
        return os.path.abspath(value)  # noqa: PTH100
    return value


def installed_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Offer the names of installed packages to a shell that completes a word."""
    from orbitpkg.api.packages import packages

    del context, parameter
    from click.shell_completion import CompletionItem

    names = dict.fromkeys(package.name for package in packages())
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
