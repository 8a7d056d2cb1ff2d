"""How commands are declared: options that all commands take, examples in the help, and options that some share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from click.shell_completion import CompletionItem

    from orbitpkg.cli.console import Console

    Body: TypeAlias = Callable[..., Mapping[str, object]]
    Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

__all__ = [
    "CommandGroup",
    "ConsoleHelp",
    "ExampleCommand",
    "address",
    "app_options",
    "at_option",
    "command",
    "command_group",
    "command_name",
    "dry_run_option",
    "global_options",
    "installed_names",
    "offline_option",
    "pre_option",
    "recursive_option",
    "repository_options",
    "unsafe_single_writer_option",
]

offline_option = click.option("--offline", is_flag=True, help="Do not use the network [env: ORBITPKG_OFFLINE=1].")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would happen, but change nothing.")
pre_option = click.option("--pre", is_flag=True, help="Allow pre-releases.")
recursive_option = click.option("-R", "--recursive", is_flag=True, help="Include everything below a directory.")
unsafe_single_writer_option = click.option(
    "--unsafe-single-writer",
    is_flag=True,
    help="Write even if the store ignores create-only writes. Only safe without other writers.",
)


class ConsoleHelp(click.Command):
    """A command that prints its help through the console, which handles a closed pipe and a full disk."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option ``--help``."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _print_help
        return option


def _print_help(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if value and not context.resilient_parsing:
        console: Console = context.find_root().obj
        console.write_stdout(f"{context.get_help()}\n")
        context.exit()


# What users of other tools type. Spelling alone would suggest the opposite of some, like install for uninstall.
_SYNONYMS = {
    "check": "verify",
    "clean": "gc",
    "create": "init",
    "delete": "remove",
    "download": "install",
    "info": "show",
    "ls": "list",
    "new": "init",
    "prune": "gc",
    "rm": "remove",
    "undeprecate": "deprecate --undo",
    "uninstall": "remove",
    "unyank": "yank --undo",
    "update": "lock --upgrade",
    "upgrade": "lock --upgrade",
    "upload": "publish",
}


class CommandGroup(ConsoleHelp, click.Group):
    """A group of commands, which suggests a command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments start with.

        Raises:
            UsageError: The group has no such command.
        """
        if not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise self._unknown_command(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _unknown_command(self, context: click.Context, word: str) -> UsageError:
        from orbitpkg.model.names import nearest

        context.find_root().obj.command = command_name(context)
        names = self.list_commands(context)
        synonym = _SYNONYMS.get(word.lower(), "")
        close = [synonym] if synonym.partition(" ")[0] in names else nearest(word, names, n=1)
        path = context.command_path
        hint = f"Did you mean {path} {close[0]}?" if close else f"To list the commands: {path} --help"
        return UsageError(f"Unknown command {word!r}.", hint=hint)


class ExampleCommand(ConsoleHelp):
    """A command whose help ends with examples, one per line and ready to paste."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += global_options()
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples at the end of the help."""
        del ctx
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(name: str, *examples: str, group: click.Group | None = None) -> Callable[[Body], click.Command]:
    """Turn a function into a command. The function takes a console and the options, and returns the JSON data.

    Args:
        name: The command's name.
        examples: Command lines to show in its help.
        group: The group to add the command to. Default: it is a top-level command.
    """

    def make(body: Body) -> click.Command:
        @functools.wraps(body)
        def run(**parameters: Any) -> None:
            context = click.get_current_context()
            console: Console = context.find_root().obj
            console.command = command_name(context)
            console.succeed(body(console, **parameters))

        made = click.command(name, cls=ExampleCommand, examples=examples)(run)
        if group is not None:
            group.add_command(made)
        return made

    return make


def command_group(name: str) -> Callable[[Callable[[], None]], click.Group]:
    """Turn a function into a group of commands; its docstring is the help."""

    def make(body: Callable[[], None]) -> click.Group:
        settings = {"help_option_names": ["-h", "--help"]}
        made = click.group(name, cls=CommandGroup, no_args_is_help=False, context_settings=settings)(body)
        made.params += global_options()
        return made

    return make


def command_name(context: click.Context | None) -> str | None:
    """Return a command's name with its group (``repo init``), or None for the program itself."""
    path = context.command_path.partition(" ")[2] if context is not None else ""
    return path or None


def global_options() -> list[click.Parameter]:
    """Return the options that every command takes."""
    return [
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_json,
            help="Print the result, or the error, as one JSON object.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_quiet,
            help="Print only data and errors.",
        ),
    ]


def _set_json(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    context.find_root().obj.as_json |= value


def _set_quiet(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    context.find_root().obj.quiet |= value


_DEFAULT_REPOSITORY = (
    "the configured repositories, or the directory 'repository' in $ORBITPKG_HOME [env: ORBITPKG_REPOSITORY]"
)


def repository_options(*, verb: str, default: str = _DEFAULT_REPOSITORY) -> Decorator:
    """Add ``--repository`` and ``--offline``.

    Args:
        verb: What the command does with the repository, to complete the help: "The repository to ``install from``".
        default: The default, as the help describes it.
    """
    repository = click.option(
        "-r",
        "--repository",
        metavar="URL",
        callback=address,
        help=f"The repository to {verb}: a configured name, s3://bucket/prefix, https://host/dir, file:///dir, or a "
        f"directory. Default: {default}.",
    )

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        return repository(offline_option(function))

    return add


def at_option(*, verb: str) -> Decorator:
    """Add ``--at``, the name that dataset commands give to ``--repository``. ``verb`` completes the help."""
    return click.option(
        "--at",
        "-r",
        "--repository",
        "repository",
        metavar="URL",
        callback=address,
        help=f"The repository to {verb}: a configured name, s3://bucket/prefix, file:///dir, or a directory. "
        "Default: the default repository.",
    )


def app_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--app`` and ``--python``."""
    app = click.option(
        "--app",
        "apps",
        metavar="NAME==VERSION",
        multiple=True,
        help="Choose releases that work with this app. Can be repeated.",
    )
    python = click.option(
        "--python",
        metavar="PATH",
        help="The interpreter or virtual environment in which other apps are installed. Default: orbitpkg's own.",
    )
    return app(python(function))


def address(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Make the path of an existing directory absolute; pass names and URLs on unchanged.

    A configured repository name takes precedence over a directory of the same name.
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
    """Complete the names of installed packages in the shell."""
    from orbitpkg.api.packages import packages

    del context, parameter
    from click.shell_completion import CompletionItem

    names = dict.fromkeys(package.name for package in packages())
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
