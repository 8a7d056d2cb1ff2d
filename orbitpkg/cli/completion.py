"""The command ``completion``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import ShellComplete, get_completion_class

from orbitpkg.cli.options import command

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "completion"]

_VARIABLE = "_ORBITPKG_COMPLETE"


@command(
    "completion",
    "orbitpkg completion bash > ~/.local/share/bash-completion/completions/orbitpkg",
    "orbitpkg completion zsh > ~/.zfunc/_orbitpkg",
    "orbitpkg completion fish > ~/.config/fish/completions/orbitpkg.fish",
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(console: Console, shell: str) -> dict[str, object]:
    """Print a shell completion script.

    SHELL is bash, zsh or fish. The script completes commands, options and the names of installed packages.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(click.get_current_context().find_root().command, {}, "orbitpkg", _VARIABLE)
    # ShellComplete.source() directly, because BashComplete.source() runs bash to check its version.
    script = ShellComplete.source(made)
    console.laid_out([script.rstrip("\n")])
    return {"shell": shell, "script": script}


EXPORTS = {"completion": completion}
