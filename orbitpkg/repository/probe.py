"""Tests of what an object store can do.

A store can report success without doing what was requested: some answer 200 to a create-only write and overwrite the
object, some answer a range with the wrong status. Publishing relies on the former, fast installs on the latter. So the
probe tries both, on temporary objects that it deletes afterwards.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orbitpkg.errors import (
    AccessDenied,
    IntegrityError,
    ObjectExists,
    ObjectNotFound,
    OrbitError,
    ReadOnlyRepository,
    RepositoryError,
    UnsupportedByStore,
)
from orbitpkg.repository.layout import CONFIG_KEY, PROBES

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.objects.protocol import ObjectStore

__all__ = ["EMPTY", "Answer", "Check", "ProbeReport", "probe"]

EMPTY = "yes; there is no repository here yet"
"""The detail of a readable store without a repository."""

_PAYLOAD = bytes(range(256)) * 16
_OTHER = b"overwritten"
# A single wrong reply may be a transmission error.
_READS = 2


class Check(StrEnum):
    """A feature of a store."""

    READABLE = "readable"
    LISTING = "listing"
    WRITABLE = "writable"
    RANGES = "ranged reads"
    CREATE_ONLY = "create-only writes"
    PART_COPIES = "part copies"
    DELETABLE = "deletable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of one check.

    Attributes:
        check: The feature.
        works: Whether it works; None if it was not tried because an earlier check failed.
        detail: The consequence for the user, or the observation.
    """

    check: Check
    works: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """The results of all checks, in order."""

    answers: tuple[Answer, ...]

    def works(self, check: Check) -> bool | None:
        """Return whether a feature works; None if it was not tried."""
        return next((answer.works for answer in self.answers if answer.check is check), None)


def probe(objects: ObjectStore) -> ProbeReport:
    """Test what a store can do. Objects that the test writes are deleted.

    Raises:
        RepositoryError: The store cannot be reached or does not accept the credentials.
    """
    return ProbeReport(answers=tuple(_Probe(objects).run()))


class _Probe:
    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._folder = f"{PROBES}{secrets.token_hex(8)}/"
        self._key = f"{self._folder}object"
        self._writable = False

    def run(self) -> list[Answer]:
        answers = [self._answer(Check.READABLE, self._readable), self._answer(Check.LISTING, self._listing)]
        try:
            answers.append(self._answer(Check.WRITABLE, self._write))
            self._writable = bool(answers[-1].works)
            answers.append(self._if_writable(Check.RANGES, self._ranges))
            answers.append(self._if_writable(Check.CREATE_ONLY, self._create_only))
            answers.append(self._if_writable(Check.PART_COPIES, self._part_copies))
        finally:
            if self._writable:
                answers.append(self._answer(Check.DELETABLE, self._delete))
        return answers

    def _if_writable(self, check: Check, attempt: Callable[[], str]) -> Answer:
        if not self._writable:
            return Answer(check=check, works=None, detail="not tried: it requires writing")
        return self._answer(check, attempt)

    @staticmethod
    def _answer(check: Check, attempt: Callable[[], str]) -> Answer:
        try:
            return Answer(check=check, works=True, detail=attempt())
        except (UnsupportedByStore, AccessDenied, ReadOnlyRepository, IntegrityError, _BrokenError) as error:
            return Answer(check=check, works=False, detail=error.message)

    def _readable(self) -> str:
        try:
            self._objects.head(CONFIG_KEY)
        except ObjectNotFound:
            return EMPTY
        return "yes; there is a repository here"

    def _listing(self) -> str:
        self._objects.list_folders("")
        return "yes"

    def _write(self) -> str:
        self._objects.put(self._key, _PAYLOAD)
        return "yes"

    def _ranges(self) -> str:
        if bytes(self._objects.get_range(self._key, 1000, 500)) != _PAYLOAD[1000:1500]:
            raise _BrokenError("The store answered a ranged read with the wrong bytes.")
        return "yes"

    def _create_only(self) -> str:
        refused = False
        try:
            self._objects.create(self._key, _OTHER)
        except ObjectExists:
            refused = True
        data = self._read(self._key)
        if data == _OTHER and refused:
            raise _BrokenError("The store refused a create-only write of an existing object, but overwrote it.")
        if data == _OTHER:
            raise _BrokenError(
                "The store overwrites existing objects in create-only writes: two publishers could overwrite each "
                "other's release."
            )
        if data != _PAYLOAD or not refused:
            # The result is recorded permanently, so it must not depend on a single wrong reply.
            raise RepositoryError(
                f"{self._objects.url} reports a write inconsistently: its reply differs from what is read afterwards.",
                hint="Run the command again.",
                url=self._objects.url,
            )
        return "yes"

    def _read(self, key: str) -> bytes:
        try:
            data, _ = self._objects.get(key, max_bytes=len(_PAYLOAD))
        except IntegrityError as error:
            raise RepositoryError(error.message, hint="Run the command again.", url=self._objects.url) from error
        return data

    def _part_copies(self) -> str:
        key = f"{self._folder}copy"
        upload = self._objects.start_upload(key)
        try:
            upload.copy_part(1, 0, f"{self._folder}object", 0, 1000)
            upload.complete()
        except (OrbitError, ValueError):
            upload.abort()
            raise
        if all(self._read(key) != self._read(self._key)[:1000] for _ in range(_READS)):
            raise _BrokenError("The store copied the wrong bytes.")
        return "yes"

    def _delete(self) -> str:
        for name in ("copy", "object"):
            self._objects.delete(f"{self._folder}{name}")
        return "yes"


class _BrokenError(RepositoryError):
    """The store did not do what was requested."""
