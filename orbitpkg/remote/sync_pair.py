"""What is synced with what: a local folder and the objects below a prefix, or one file and one object."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.config.remote import read_remote_settings
from orbitpkg.errors import ObjectNotFound, OfflineError, StorageError, UsageError
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, local_path_of, split_object_uri, split_uri
from orbitpkg.remote.sync_plan import Direction
from orbitpkg.remote.sync_state import SyncState
from orbitpkg.remote.sync_trees import LocalTree, RemoteTree, remote_tree, scan_file, scan_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.remote.sync_trees import Filter

__all__ = ["Pair", "open_configured", "open_pair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A local folder and what it is synced with; :func:`open_pair` makes it.

    Attributes:
        store: The store.
        direction: Which way.
        root: The local folder.
        prefix: What the keys of all objects begin with: empty, or ending in a slash.
        only: The name of the one file, and the key of the one object, that are meant, if just one is.
        state: What was last in step.
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
        return str(self.root / self.only[0] if self.only else self.root)

    @property
    def uri(self) -> str:
        """The address of the other side."""
        return join_uri(self.store.url, self.only[1] if self.only else self.prefix)

    @property
    def is_up(self) -> bool:
        """Whether the local side is the source."""
        return self.direction is Direction.UP

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def key_of(self, path: str) -> str:
        """Give the key of a path."""
        return self.only[1] if self.only else f"{self.prefix}{path}"

    def scan(self, wanted: Filter) -> LocalTree:
        """Look at the local side; one that is not there is empty.

        Raises:
            StorageError: It cannot be read.
        """
        if self.only:
            return scan_file(self.root, self.only[0])
        return scan_folder(self.root, wanted) if self.root.exists() else LocalTree()

    def list(self, wanted: Filter) -> RemoteTree:
        """Look at the other side.

        Raises:
            RepositoryError: The store did not say.
        """
        if not self.only:
            return remote_tree(_everything(self.store, self.prefix), self.prefix, wanted)
        tree = RemoteTree()
        with suppress(ObjectNotFound):
            tree.files[self.only[0]] = self.store.head(self.only[1])
            tree.seen = 1
        return tree


def _everything(store: ObjectStore, prefix: str) -> Iterable[ObjectInfo]:
    """List objects, also those whose keys only S3 takes."""
    if not store.url.startswith("s3:"):
        return store.list(prefix)
    from orbitpkg.objects.s3 import S3Store

    return store.list_everything(prefix) if isinstance(store, S3Store) else store.list(prefix)


def open_configured(url: str) -> ObjectStore:
    """Open a store with the settings of all remote files: the environment's, and those of s3stasher's file.

    Raises:
        UsageError, StorageError: They cannot be read.
        CredentialsError: They name credentials that cannot be had.
    """
    return open_store(url, env=read_remote_settings().env)


def open_pair(source: PathOrUri, destination: PathOrUri, *, opener: Callable[[str], ObjectStore]) -> Pair:
    """Find out what is to be synced with what.

    Args:
        source: Where from: a local path, or an address.
        destination: Where to: the other of the two.
        opener: Opens the store of an address.

    Raises:
        UsageError: An address cannot be read, or both sides are local, or none is.
        StorageError: There is nothing at the local source, or a file where a folder was to be.
        OfflineError: No network may be used.
        RepositoryError: The store did not say whether one object is meant.
    """
    from orbitpkg.config.repositories import home, is_offline

    here, there = local_path_of(source), local_path_of(destination)
    if here is not None and there is not None:
        # A folder that is named by a URI is a place like others.
        here, there = (None if _is_uri(word) else path for word, path in ((source, here), (destination, there)))
    local, uri = (here, destination) if here is not None else (there, source)
    if local is None or (here is not None and there is not None):
        raise UsageError(
            "One side of a sync is a local folder, the other the address of objects.",
            hint="cp or rsync syncs two folders; orbitpkg remote cp copies between two addresses.",
        )
    url, key = split_uri(uri)
    if is_offline() and not url.startswith(("file:", "memory:")):
        raise OfflineError(f"{url} cannot be reached: offline mode is on.", hint="Unset ORBITPKG_OFFLINE.", url=url)
    _check_key(uri, key)
    store = opener(url)
    try:
        if here is not None:
            root, only = _local_source(local, key)
        else:
            root, only = _local_destination(store, key, local, is_folder=os.fspath(destination).endswith(os.sep))
        prefix = f"{key.rstrip('/')}/" if key else ""
        place = [os.path.realpath(root / only[0] if only else root), join_uri(store.url, only[1] if only else prefix)]
        return Pair(
            store=store,
            direction=Direction.UP if here is not None else Direction.DOWN,
            root=root,
            prefix="" if only else prefix,
            only=only,
            state=SyncState(home() / "cache" / "sync", *place),
        )
    except BaseException:
        store.close()
        raise


def _is_uri(word: PathOrUri) -> bool:
    return os.fspath(word).lower().startswith("file:")


def _check_key(uri: PathOrUri, key: str) -> None:
    if key.rstrip("/"):
        split_object_uri(os.fspath(uri).rstrip("/"))


def _local_source(local: Path, key: str) -> tuple[Path, tuple[str, str] | None]:
    if local.is_dir():
        return local, None
    if not local.exists():
        raise StorageError(f"There is no file or folder {local}.", path=str(local))
    into_folder = key.endswith("/") or not key
    return local.parent, (local.name, f"{key}{local.name}" if into_folder else key)


def _local_destination(
    store: ObjectStore, key: str, local: Path, *, is_folder: bool
) -> tuple[Path, tuple[str, str] | None]:
    if key and not key.endswith("/") and _is_object(store, key):
        path = local / key.rpartition("/")[2] if is_folder or local.is_dir() else local
        return path.parent, (path.name, key)
    if local.exists() and not local.is_dir():
        raise StorageError(f"{local} is a file; a folder was to be there.", path=str(local))
    return local, None


def _is_object(store: ObjectStore, key: str) -> bool:
    try:
        return bool(store.head(key))
    except ObjectNotFound:
        return False
