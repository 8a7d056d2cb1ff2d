"""Registering files: their bytes into the repository, what they say of themselves into the catalogue.

Files are sent in parallel, and each stands for itself: one that cannot be registered is told, and the others are. A
part of the catalogue is written now and then, so that a run that is stopped leaves what it did; running it again sends
nothing that is there, and registers nothing twice.
"""

from __future__ import annotations

import contextlib
import os
import time
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.datum import Datum, name_problem, new_datum
from orbitpkg.datasets.extraction import extract, is_sidecar
from orbitpkg.datasets.layout import blob_key
from orbitpkg.datasets.parallel import in_order
from orbitpkg.datasets.parts import write_part
from orbitpkg.datasets.sending import Sender
from orbitpkg.errors import (
    AccessDenied,
    CredentialsError,
    NoSpace,
    OrbitError,
    RepositoryUnreachable,
    TreeChanged,
    UsageError,
)
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.model.jsontext import canonical_json
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orbitpkg.datasets.catalogue import Catalogue
    from orbitpkg.datasets.columns import Kind
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = ["Failure", "NamedFile", "Recorder", "Registered", "find_files", "register_files"]

# A part is written when so many rows, or so much metadata, wait for it, or the first of them for so long.
_ROWS: Final = 10_000
_METADATA_BYTES: Final = 32 * 2**20
_SECONDS: Final = 300.0
# So many files in a row that found nobody there: each has waited for it.
_IN_VAIN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file to register.

    Attributes:
        path: Where it is.
        name: What it is called in the dataset.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file, or an object, with which something did not work.

    Attributes:
        name: Which one.
        error: Why.
    """

    name: str
    error: OrbitError


@dataclass(slots=True, kw_only=True)
class Registered:
    """What registering came to.

    Attributes:
        data: The name and the id of what is registered now, in the order in which it was given, whether it was before
            or not.
        new: How many of them were not before.
        sent: How many bytes were sent.
        failures: What could not be registered.
        warnings: What could not be read of a file's metadata: its name, and a sentence.
    """

    data: list[tuple[str, str]] = field(default_factory=list)
    new: int = 0
    sent: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)


def find_files(words: Iterable[str | os.PathLike[str]]) -> list[NamedFile]:
    """Find the files that words name: themselves, by their last part, or all below a folder, by their path below it.

    What is hidden below a folder is passed over, and so are the sidecars of other files.

    Raises:
        UsageError: There is no such file, or nothing at all to register.
    """
    found: dict[tuple[str, str], NamedFile] = {}
    for word in words:
        path = Path(word)
        if not path.exists():
            hint = "Links to nothing are not registered." if path.is_symlink() else None
            raise UsageError(f"There is no file {path}.", hint=hint, path=str(path))
        for each in _below(path) if path.is_dir() else [NamedFile(path=path, name=path.name)]:
            found.setdefault((each.name, str(each.path)), each)
    if not found:
        raise UsageError("There are no files to register there.")
    return list(found.values())


def _below(folder: Path) -> Iterator[NamedFile]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not is_sidecar(path):
                yield NamedFile(path=path, name=path.relative_to(folder).as_posix())


class Recorder:
    """Writes data to a catalogue, so many at a time, and none that is there.

    Args:
        catalogue: Which one.
        dataset: The canonical id of the dataset.
        known: The columns that the catalogue has.
    """

    def __init__(self, catalogue: Catalogue, dataset: str, *, known: Mapping[str, tuple[str, Kind]]) -> None:
        self._catalogue = catalogue
        self._dataset = dataset
        self._known = known
        self._waiting: dict[str, Datum] = {}
        self._bytes = 0
        self._written = time.monotonic()
        self.new = 0

    def add(self, datum: Datum) -> None:
        """Have a datum in the catalogue; :meth:`flush` writes what waits."""
        if datum.id in self._waiting:
            return
        self._waiting[datum.id] = datum
        self._bytes += len(canonical_json(datum.metadata)) if datum.metadata else 0
        is_full = len(self._waiting) >= _ROWS or self._bytes >= _METADATA_BYTES
        if is_full or time.monotonic() - self._written >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            RepositoryError: The repository did not take it.
        """
        if not self._waiting:
            return
        # Asked anew each time: another process may have registered the same meanwhile.
        with self._catalogue.table() as table:
            there = table.present(list(self._waiting))
        # One time for all: those who ask for what is new since a moment see a part when it is there, not before.
        now = datetime.now(UTC)
        data = [replace(datum, registered=now) for datum in self._waiting.values() if datum.id not in there]
        if data:
            self._catalogue.append(write_part(data, dataset=self._dataset, known=self._known))
        self.new += len(data)
        self._waiting.clear()
        self._bytes = 0
        self._written = time.monotonic()


def register_files(
    objects: ObjectStore,
    catalogue: Catalogue,
    dataset: str,
    files: Sequence[NamedFile],
    *,
    tags: Mapping[str, str],
    metadata: Mapping[str, object],
    lineage: Sequence[str],
    reporter: Reporter = SILENT,
) -> Registered:
    """Register files; what is wrong with one keeps no other from it.

    Args:
        objects: The repository's store.
        catalogue: The dataset's catalogue.
        dataset: Its canonical id.
        files: Which.
        tags: Said of all of them.
        metadata: The same; it goes before what the files say of themselves.
        lineage: The ids of the data they were made from.
        reporter: Told how far it is.

    Raises:
        CredentialsError, AccessDenied, NoSpace: Nothing can be written there; what was registered before stays.
        RepositoryUnreachable: Nobody answers there.
        RepositoryError: The catalogue could not be written: what it would have held is not registered.
    """
    result = Registered()
    with catalogue.table(reporter=reporter) as table:
        recorder = Recorder(catalogue, dataset, known=table.kinds())
    with reporter.task(f"Registering {len(files):,} files", sum(_size(file.path) for file in files)) as task:
        sender = Sender(objects, progress=task.advance)

        def register(file: NamedFile) -> tuple[Datum, bool, tuple[str, ...]]:
            return _register_one(file, sender, objects.url, tags=tags, metadata=metadata, lineage=lineage)

        in_vain = 0
        with contextlib.ExitStack() as stack:
            # Whatever goes wrong: what was sent until then is recorded.
            stack.callback(recorder.flush)
            for file, future in stack.enter_context(contextlib.closing(in_order(register, files))):
                try:
                    datum, was_sent, warnings = future.result()
                except (AccessDenied, CredentialsError, NoSpace):
                    raise  # no other file will fare better
                except OrbitError as error:
                    in_vain = in_vain + 1 if isinstance(error, RepositoryUnreachable) else 0
                    if in_vain == _IN_VAIN:
                        raise
                    result.failures.append(Failure(name=str(file.path), error=error))
                    continue
                in_vain = 0
                recorder.add(datum)
                result.data.append((datum.name, datum.id))
                result.sent += datum.size if was_sent else 0
                result.warnings += [(file.name, warning) for warning in warnings]
    result.new = recorder.new
    return result


def _register_one(
    file: NamedFile,
    sender: Sender,
    url: str,
    *,
    tags: Mapping[str, str],
    metadata: Mapping[str, object],
    lineage: Sequence[str],
) -> tuple[Datum, bool, tuple[str, ...]]:
    # A Mac gives names in another form of Unicode than whoever types them.
    name = unicodedata.normalize("NFC", file.name)
    problem = name_problem(name)
    if problem:
        raise UsageError(f"{file.path} cannot be registered: its name {problem}.", hint="Rename it.")
    before = _modified(file.path)
    digests, was_sent = sender.send(file.path)
    found = extract(file.path)
    if _modified(file.path) != before:
        raise TreeChanged(f"{file.path} changed while it was being registered.", hint="Register it again.")
    datum = new_datum(
        name=name,
        size=digests.size,
        uri=f"{url}/{blob_key(digests.blake3)}",
        registered=datetime.now(UTC),
        blake3=digests.blake3,
        sha256=digests.sha256,
        tags=tags,
        metadata={**found.metadata, **metadata},
        lineage=lineage,
    )
    return datum, was_sent, found.warnings


def _modified(path: Path) -> tuple[int, int]:
    with storage_errors(path, READ):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
