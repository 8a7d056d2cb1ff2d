"""The two sides of a sync: a local directory and the objects below a prefix, or one file and one object."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.config.remote import read_remote_settings
from orbitpkg.errors import ObjectNotFound, StorageError, UsageError
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, local_path_of, split_object_uri, split_uri
from orbitpkg.objects.identity import identify_store
from orbitpkg.remote.sync_plan import Direction
from orbitpkg.remote.sync_state import SyncState
from orbitpkg.remote.sync_trees import LocalTree, RemoteTree, remote_tree, scan_file, scan_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.remote.sync_trees import Filter

__all__ = ["Pair", "open_configured", "open_pair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A local directory and the objects that it is synced with. Made by :func:`open_pair`.

    Attributes:
        store: The store of the objects.
        direction: The direction of the sync.
        root: The local directory.
        prefix: The common prefix of all keys: empty, or ending in a slash.
        only: The file's name and the object's key, when the sync is about a single file.
        state: The state after the last sync.
    """

    store: ObjectStore
    direction: Direction
    root: Path
    prefix: str
    only: tuple[str, str] | None
    state: SyncState

    @property
    def local(self) -> str:
        """The local path."""
        return str(self.root / disk_path(self.only[0]) if self.only else self.root)

    @property
    def uri(self) -> str:
        """The address of the objects."""
        return join_uri(self.store.url, self.only[1] if self.only else self.prefix)

    @property
    def is_up(self) -> bool:
        """Whether the local side is the source."""
        return self.direction is Direction.UP

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def key_of(self, path: str) -> str:
        """Return the key of a path."""
        return self.only[1] if self.only else f"{self.prefix}{path}"

    def scan(self, wanted: Filter) -> LocalTree:
        """List the local side. A directory that does not exist is empty.

        Raises:
            StorageError: The directory cannot be read.
        """
        if self.only:
            return scan_file(self.root, self.only[0])
        return scan_folder(self.root, wanted) if self.root.exists() else LocalTree()

    def list(self, wanted: Filter) -> RemoteTree:
        """List the objects.

        Raises:
            RepositoryError: The store cannot be listed.
        """
        if not self.only:
            return remote_tree(self.store.list_everything(self.prefix), self.prefix, wanted)
        tree = RemoteTree()
        with suppress(ObjectNotFound):
            tree.files[self.only[0]] = self.store.head(self.only[1])
            tree.seen = 1
        return tree


def open_configured(url: str) -> ObjectStore:
    """Open a store with the settings of remote files.

    Raises:
        UsageError: The address or a setting is invalid.
        StorageError: A settings file cannot be read.
        CredentialsError: The settings name credentials that cannot be obtained.
    """
    return open_store(url, env=read_remote_settings().env)


def open_pair(source: PathOrUri, destination: PathOrUri, *, opener: Callable[[str], ObjectStore]) -> Pair:
    """Open the two sides of a sync, of which one is local.

    Args:
        source: A local path, or the address of objects.
        destination: The other of the two.
        opener: Opens the store of an address.

    Raises:
        UsageError: An address is invalid, or not exactly one side is local.
        StorageError: The local source does not exist, or the local destination is a file instead of a directory.
        OfflineError: Offline mode is on.
        RepositoryError: The store could not be asked whether the source is a single object.
    """
    from orbitpkg.config.repositories import refuse_offline

    local, uri, direction = _sides(source, destination)
    url, key = split_uri(uri)
    refuse_offline(url)
    _check_key(uri, key)
    store = opener(url)
    try:
        if direction is Direction.UP:
            root, only = _local_source(local, key)
        else:
            root, only = _local_destination(store, key, local, is_folder=os.fspath(destination).endswith(os.sep))
        return _pair(store, direction, root, key, only)
    except BaseException:
        store.close()
        raise


def _sides(source: PathOrUri, destination: PathOrUri) -> tuple[Path, PathOrUri, Direction]:
    """Return the local side, the other side, and the direction."""
    from_path, to_path = local_path_of(source), local_path_of(destination)
    if from_path is not None and to_path is not None:
        # A file: URI names a directory store, as long as the other side is a plain path.
        from_path = None if _is_uri(source) else from_path
        to_path = None if _is_uri(destination) else to_path
    if from_path is not None and to_path is None:
        return from_path, destination, Direction.UP
    if to_path is not None and from_path is None:
        return to_path, source, Direction.DOWN
    raise UsageError(
        "One side of a sync must be a local directory and the other the address of objects.",
        hint="To sync two directories, use cp or rsync. To copy between two addresses, use orbitpkg remote cp.",
    )


def _pair(store: ObjectStore, direction: Direction, root: Path, key: str, only: tuple[str, str] | None) -> Pair:
    from orbitpkg.config.repositories import home

    prefix = f"{key.rstrip('/')}/" if key else ""
    # All paths to a directory share one state, whichever links they pass through.
    local = os.path.realpath(root / disk_path(only[0]) if only else root)
    # The same address refers to other objects at another endpoint or for another account.
    identity = identify_store(store.url, read_remote_settings().env)
    objects = f"{join_uri(store.url, only[1] if only else prefix)} in {identity}"
    state = SyncState(home() / "cache" / "sync", local, objects)
    return Pair(store=store, direction=direction, root=root, prefix="" if only else prefix, only=only, state=state)


def _is_uri(side: PathOrUri) -> bool:
    return os.fspath(side).lower().startswith("file:")


def _check_key(uri: PathOrUri, key: str) -> None:
    if key.rstrip("/"):
        split_object_uri(os.fspath(uri).rstrip("/"))


def _local_source(local: Path, key: str) -> tuple[Path, tuple[str, str] | None]:
    if local.is_dir():
        return local, None
    if not local.exists():
        raise StorageError(f"{local} does not exist.", path=str(local))
    into_folder = key.endswith("/") or not key
    name = text_path(local.name)
    return local.parent, (name, f"{key}{name}" if into_folder else key)


def _local_destination(
    store: ObjectStore, key: str, local: Path, *, is_folder: bool
) -> tuple[Path, tuple[str, str] | None]:
    if key and not key.endswith("/") and _is_object(store, key):
        path = local / disk_path(key.rpartition("/")[2]) if is_folder or local.is_dir() else local
        return path.parent, (text_path(path.name), key)
    if local.exists() and not local.is_dir():
        raise StorageError(f"{local} is a file, but the destination must be a directory.", path=str(local))
    return local, None


def _is_object(store: ObjectStore, key: str) -> bool:
    try:
        return bool(store.head(key))
    except ObjectNotFound:
        return False
