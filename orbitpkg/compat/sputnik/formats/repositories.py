"""Sputnik repositories: an index server, or a bucket in PyOrbital's layout.

A server lists all idents at ``/models``: ``{IDENT: [URL of its meta.json, the ETag of that file], …}``. The archive is
next to the ``meta.json``. In a bucket, or a directory that is a copy of one, every ``<ident>/meta.json`` is a package,
and there is no index. PyOrbital writes the MD5 of an archive to its metadata, ``x-amz-meta-md5``. It is checked if
present, since copies often lose it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urljoin, urlsplit

from orbitpkg.compat.sputnik.formats.meta import ARCHIVE_NAME, MAX_META_BYTES, META_NAME
from orbitpkg.config.trust import trusted_addresses
from orbitpkg.errors import IntegrityError, ObjectNotFound, RepositoryNotFound, UsageError
from orbitpkg.model.jsontext import parse_json
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import parse_address
from orbitpkg.objects.foreign import ForeignAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from orbitpkg.objects import ObjectStore

__all__ = [
    "SCHEME_PREFIX",
    "BucketRepository",
    "MetaText",
    "ServerRepository",
    "SputnikRepository",
    "is_sputnik_address",
    "open_sputnik_repository",
]

SCHEME_PREFIX = "sputnik+"
_INDEX_KEY = "models"
_FORMS = "sputnik+s3://bucket/prefix, sputnik+https://host or sputnik+file:///directory"
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaText:
    """The text of a ``meta.json``.

    Attributes:
        data: The text.
        tag: A value that changes with the text.
        modified: When it was written, if known.
    """

    data: bytes
    tag: str
    modified: datetime | None


class SputnikRepository(Protocol):
    """A source of Sputnik packages. Thread-safe."""

    @property
    def url(self) -> str:
        """Its address, which begins with ``sputnik+``."""

    def idents(self) -> Mapping[str, str]:
        """List the packages: each ident with the tag of its ``meta.json``.

        Raises:
            RepositoryError: The repository does not exist or cannot be reached.
        """

    def meta(self, ident: str) -> MetaText:
        """Read a ``meta.json``.

        Raises:
            ObjectNotFound: It no longer exists.
            IntegrityError: It does not match the index.
        """

    def archive(self, ident: str, name: str) -> tuple[ObjectStore, str]:
        """Return the store and the key of the archive of this name."""


def is_sputnik_address(url: str) -> bool:
    """Return whether an address is that of a Sputnik repository."""
    return url.lower().startswith(SCHEME_PREFIX)


def open_sputnik_repository(url: str, *, opener: Callable[[str], ObjectStore] = open_store) -> SputnikRepository:
    """Open the repository at ``sputnik+s3://bucket/prefix``, ``sputnik+https://host`` or ``sputnik+file:///directory``.

    Args:
        url: The address.
        opener: Opens the stores that hold the packages.

    Raises:
        UsageError: The address is not valid.
        CredentialsError: The environment refers to credentials that are not available.
    """
    plain = url[len(SCHEME_PREFIX) :]
    try:
        scheme = parse_address(plain).scheme
    except UsageError as error:
        raise UsageError(f"{SCHEME_PREFIX}{error.message}", hint=f"Write {_FORMS}.") from error
    if scheme in {"http", "https"}:
        return ServerRepository(plain, opener=opener)
    return BucketRepository(opener(plain))


class BucketRepository:
    """A repository in PyOrbital's layout.

    Args:
        objects: The store, whose keys begin with the idents.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.url = f"{SCHEME_PREFIX}{objects.url}"

    def idents(self) -> Mapping[str, str]:
        """List the packages; see ``SputnikRepository.idents``."""
        found: dict[str, str] = {}
        for info in self._objects.list(""):
            ident, slash, name = info.key.partition("/")
            if slash and name == META_NAME:
                found[ident] = info.etag or f"{info.size}-{info.modified}"
            elif slash and name == ARCHIVE_NAME:
                # An archive without meta.json is a package with a problem, to be reported.
                found.setdefault(ident, "")
        return found

    def meta(self, ident: str) -> MetaText:
        """Read a ``meta.json``; see ``SputnikRepository.meta``."""
        data, info = self._objects.get(f"{ident}/{META_NAME}", max_bytes=MAX_META_BYTES)
        return MetaText(data=data, tag=info.etag or f"{info.size}-{info.modified}", modified=info.modified)

    def archive(self, ident: str, name: str) -> tuple[ObjectStore, str]:
        """Return the store and the key of an archive; see ``SputnikRepository.archive``."""
        return self._objects, f"{ident}/{name}"


class ServerRepository:
    """A Sputnik index server, or a web server with a copy of its answers.

    Args:
        url: The address of the server, ``https://`` or ``http://``.
        opener: Opens the stores that hold the packages.
    """

    def __init__(self, url: str, *, opener: Callable[[str], ObjectStore] = open_store) -> None:
        self._plain = url
        self._opener = opener
        self._objects = opener(url)
        self.url = f"{SCHEME_PREFIX}{self._objects.url}"
        self._stores: dict[str, ObjectStore] = {self._objects.url: self._objects}
        self._index: dict[str, tuple[str, str]] | None = None

    def idents(self) -> Mapping[str, str]:
        """List the packages; see ``SputnikRepository.idents``."""
        return {ident: etag for ident, (_, etag) in self._read_index().items()}

    def meta(self, ident: str) -> MetaText:
        """Read a ``meta.json``; see ``SputnikRepository.meta``."""
        address, etag = self._entry(ident)
        store, key = self._located(address, ident)
        data, info = store.get(key, max_bytes=MAX_META_BYTES)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        # S3's ETag is the file's MD5. A copy on another server has another ETag but the same MD5.
        if etag not in {digest, _unquoted(info.etag)}:
            raise IntegrityError(
                f"{META_NAME} of {ident} does not match the index of {self.url}: its ETag is "
                f"{_unquoted(info.etag) or digest}, but the index says {etag}.",
                hint="The index is out of date. Wait, or rebuild it on the server.",
            )
        return MetaText(data=data, tag=etag, modified=info.modified)

    def archive(self, ident: str, name: str) -> tuple[ObjectStore, str]:
        """Return the store and the key of an archive; see ``SputnikRepository.archive``."""
        address, _ = self._entry(ident)
        return self._located(urljoin(address, quote(name)), ident)

    def _entry(self, ident: str) -> tuple[str, str]:
        entry = self._read_index().get(ident)
        if entry is None:
            raise ObjectNotFound(f"{ident} is no longer in the index of {self.url}.", key=ident)
        return entry

    def _located(self, address: str, ident: str) -> tuple[ObjectStore, str]:
        """Return the store and the key of an address. The server's password is sent to no other server."""
        parts = urlsplit(address)
        folder, _, name = parts.path.rpartition("/")
        if parts.scheme not in {"http", "https"} or not parts.hostname or not name or parts.query or parts.username:
            raise IntegrityError(f"The index of {self.url} has an invalid address for {ident}: {address!r:.300}.")
        own = urlsplit(self._plain)
        same = (parts.scheme, parts.netloc) == (own.scheme, own.netloc.rpartition("@")[2])
        netloc = own.netloc if same else parts.netloc
        url = f"{parts.scheme}://{netloc}{folder}"
        if url not in self._stores:
            # The user named this server. An index on this machine may name other ports of it.
            place = f"{parts.scheme}://{parts.netloc}"
            trusted = [*trusted_addresses(), *([place] if parts.hostname == own.hostname else [])]
            ForeignAddress(f"{place}{parts.path}", trusted=trusted).check_host()
            self._stores[url] = self._opener(url)
        return self._stores[url], unquote(name)

    def _read_index(self) -> dict[str, tuple[str, str]]:
        if self._index is None:
            what = f"the index of {self.url}"
            try:
                data, _ = self._objects.get(_INDEX_KEY, max_bytes=MAX_META_BYTES)
            except ObjectNotFound as error:
                raise RepositoryNotFound(
                    f"{self.url} is not a Sputnik index server: {_INDEX_KEY} does not exist there.",
                    hint="Check the address.",
                ) from error
            self._index = _parse_index(parse_json(data, what=what, max_bytes=MAX_META_BYTES), what, self._objects.url)
        return self._index


def _parse_index(table: Any, what: str, url: str) -> dict[str, tuple[str, str]]:
    if not isinstance(table, dict):
        raise IntegrityError(f"{what[0].upper()}{what[1:]} is not a JSON object of idents.")
    found = {}
    for ident, entry in table.items():
        match entry:
            case [str(address), str(etag), *_]:
                found[ident] = (urljoin(f"{url}/", address), _unquoted(etag))
            case _:
                raise IntegrityError(
                    f"{what[0].upper()}{what[1:]} has an invalid entry for {ident!r:.200}: {entry!r:.200}."
                )
    return found


def _unquoted(etag: str | None) -> str:
    # A weak ETag has the prefix W/ (RFC 9110, section 8.8.3).
    return (etag or "").removeprefix("W/").strip('"')
