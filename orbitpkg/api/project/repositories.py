"""Adding and removing named repositories in a project's file or the user's configuration."""

from __future__ import annotations

from orbitpkg.files.names import written_path
from orbitpkg.files.tilde import expand_home
from orbitpkg.files.working import absolute_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["add_repository", "has_repository", "remove_repository"]


def add_repository(
    name: str, url: str, *, packages: Iterable[str] = (), mirrors: Iterable[str] = (), user: bool = False
) -> Path:
    """Add a named repository to the project's file, or to the user's configuration with ``user`` or without a project.

    Returns:
        The path of the changed file.

    Raises:
        UsageError: The name, the address or a glob is invalid.
        ProjectError: The file is invalid.
    """
    from orbitpkg.config.editing import edit_lock, put_repository, write_text
    from orbitpkg.config.settings import user_config_path
    from orbitpkg.model.project import RepositorySetting, check_binding, check_repository_name

    path = _settings_path(user=user)
    shared = path != user_config_path()
    setting = RepositorySetting(
        name=check_repository_name(name),
        url=_written(url, path if shared else None),
        mirrors=tuple(_written(mirror, path if shared else None) for mirror in mirrors),
        packages=tuple(check_binding(text) for text in packages),
    )
    with edit_lock(path):
        write_text(path, put_repository(path, setting))
    return path


def has_repository(name: str, *, user: bool = False) -> bool:
    """Return whether the file that :func:`add_repository` would change names a repository already.

    Raises:
        ProjectError: The file is invalid.
    """
    from orbitpkg.config.editing import has_repository

    return has_repository(_settings_path(user=user), name)


def _written(address: str, shared: Path | None) -> str:
    """Return an address as it is written to a file: a path is relative in a shared file, and absolute otherwise.

    Raises:
        UsageError: The address is invalid.
    """
    import os
    from pathlib import Path

    from orbitpkg.config.settings import address_of
    from orbitpkg.objects.schemes import check_address

    check_address(address_of(address))
    if address_of(address) == address:
        return address
    path = absolute_path(expand_home(address))
    if shared is None or not address.startswith("."):
        return written_path(path)
    relative = Path(os.path.relpath(path, shared.parent)).as_posix()
    written = written_path(relative if relative.startswith("..") else f"./{relative}")
    return written_path(path) if written.startswith("file:") else written


def remove_repository(name: str, *, user: bool = False) -> Path:
    """Remove a named repository from the file that :func:`add_repository` would change, and return the file's path.

    Raises:
        UsageError: The file has no repository of this name.
    """
    from orbitpkg.config.editing import edit_lock, write_text
    from orbitpkg.config.editing import remove_repository as text_without

    path = _settings_path(user=user)
    with edit_lock(path):
        write_text(path, text_without(path, name))
    return path


def _settings_path(*, user: bool) -> Path:
    from orbitpkg.config.settings import find_project, user_config_path

    found = None if user else find_project()
    return user_config_path() if found is None else found.path
