"""The command group ``store``, which manages the local store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count
from orbitpkg.cli.options import command, command_group
from orbitpkg.escaping import shell_word

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "store", "store_share"]


@command_group("store")
def store() -> None:
    """Manage the local store of installed packages."""


@command(
    "share",
    "orbitpkg store share /srv/models --group ml",
    "orbitpkg store share /srv/models --group ml --mode 0660",
    group=store,
)
@click.argument("folder", metavar="[DIR]", required=False)
@click.option("--group", metavar="GROUP", help="The group to share with. Default: the directory's current group.")
@click.option(
    "--mode",
    metavar="MODE",
    help="File permissions. 0660: the group can install. 0664: others can also read. 0640: the group can only read. "
    "Default: 0664 or 0660, depending on your umask.",
)
def store_share(console: Console, folder: str | None, *, group: str | None, mode: str | None) -> dict[str, object]:
    """Share a store with a group of users.

    DIR is the store's home directory, which is created if needed. Default: ORBITPKG_HOME. The group gets access to
    everything in it, and to everything that any user installs later, regardless of their umask.
    """
    from orbitpkg.config.repositories import home as home_folder
    from orbitpkg.store.sharing import parse_mode, share

    home = os.path.abspath(os.path.expanduser(folder)) if folder else str(home_folder())  # noqa: PTH100, PTH111
    shared = share(home, mode=parse_mode(mode) if mode is not None else 0o660 | 0o004 & ~_umask(), group=group)
    access = "can install and remove packages" if shared.mode & 0o020 else "can read packages"
    others = ", and all other users can read them" if shared.mode & 0o004 else ""
    console.report(
        f"Shared {shared.home}: members of the group {shared.group} {access}{others}",
        f"Each user sets: export ORBITPKG_HOME={shell_word(shared.home)}",
    )
    if shared.left:
        console.warn(
            f"Did not change {count(len(shared.left), 'path')} owned by other users, such as {shared.left[0]}. Ask the "
            "owners or root to run this command too."
        )
    if shared.closed is not None:
        console.warn(
            f"The group cannot reach the store, because {shared.closed} denies access. Allow the group to enter that "
            "directory, or share a directory elsewhere."
        )
    return {
        "home": shared.home,
        "group": shared.group,
        "mode": f"{shared.mode:04o}",
        "left": list(shared.left),
        "closed": shared.closed,
    }


def _umask() -> int:
    # Reading the umask requires setting it. No other thread of this process creates files meanwhile.
    umask = os.umask(0)
    os.umask(umask)
    return umask


EXPORTS = {"store": store}
