"""The group ``store``: commands about the local store itself."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count
from orbitpkg.cli.options import command, global_options

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "store", "store_share"]


@click.group("store", no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def store() -> None:
    """Share the store, where packages are installed, with others."""


store.params += global_options()


@command(
    "share",
    "orbitpkg store share /srv/models --group ml",
    "orbitpkg store share /srv/models --group ml --mode 0660",
    group=store,
)
@click.argument("folder", metavar="[DIR]", required=False)
@click.option("--group", metavar="GROUP", help="Whose store it is to be; default: the folder's own group.")
@click.option(
    "--mode",
    metavar="MODE",
    help="0660: the group installs. 0664: and others read. 0640: the group reads. "
    "Default: 0664 or 0660, as your umask has it.",
)
def store_share(console: Console, folder: str | None, *, group: str | None, mode: str | None) -> dict[str, object]:
    """Give a store to a group.

    DIR is the home folder: it is made if there is none. Default: ORBITPKG_HOME. All that is in it is given to the
    group, and what is installed later, by whomever, is the group's, too, whatever their umask.
    """
    from orbitpkg.config.repositories import home as home_folder
    from orbitpkg.store.sharing import parse_mode, share

    home = os.path.abspath(os.path.expanduser(folder)) if folder else str(home_folder())  # noqa: PTH100, PTH111
    shared = share(home, mode=parse_mode(mode) if mode is not None else 0o660 | 0o004 & ~_umask(), group=group)
    what = "installs and removes" if shared.mode & 0o020 else "reads"
    rest = ", all others read" if shared.mode & 0o004 else ""
    console.account(
        f"{shared.home} belongs to the group {shared.group}: it {what}{rest}",
        f"Each of them sets: export ORBITPKG_HOME={shlex.quote(shared.home)}",
    )
    if shared.left:
        console.note(
            f"{count(len(shared.left), 'path')} in it stayed as before, for they are another user's, like "
            f"{shared.left[0]}: have their owner, or root, run this, too."
        )
    if shared.closed is not None:
        console.note(
            f"{shared.closed} is closed to them, so that they do not come that far: let them enter it, or share a "
            "folder elsewhere."
        )
    return {
        "home": shared.home,
        "group": shared.group,
        "mode": f"{shared.mode:04o}",
        "left": list(shared.left),
        "closed": shared.closed,
    }


def _umask() -> int:
    # It can be read by setting it only; nothing else runs in a command line's process.
    umask = os.umask(0)
    os.umask(umask)
    return umask


EXPORTS = {"store": store}
