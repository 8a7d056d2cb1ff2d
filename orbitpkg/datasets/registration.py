"""Register files: upload their content to the repository and add their metadata to the catalogue.

Files are uploaded in parallel. A file that cannot be registered is reported and does not stop the others. Parts of the
catalogue are written at intervals, so an interrupted run keeps most of its work. Running it again does not upload or
register anything twice.
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
from orbitpkg.files.names import text_path
from orbitpkg.model.jsontext import canonical_json
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orbitpkg.datasets.catalogue import Catalogue
    from orbitpkg.datasets.columns import Kind
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = ["Failure", "NamedFile", "Recorder", "Registered", "find_files", "register_files"]

# A part is written when this many rows or this much metadata is pending, or after this time.
_ROWS: Final = 10_000
_METADATA_BYTES: Final = 32 * 2**20
_SECONDS: Final = 300.0
# Give up after this many consecutive files fail because the repository does not respond. Each waits for a timeout.
_MAX_UNANSWERED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file to register.

    Attributes:
        path: The path of the file.
        name: Its name in the dataset.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A file or an object that could not be processed.

    Attributes:
        name: Its name.
        error: The reason.
    """

    name: str
    error: OrbitError


@dataclass(slots=True, kw_only=True)
class Registered:
    """The result of registering files.

    Attributes:
        data: The names and IDs of all registered files, in the given order, including those registered before.
        new: The number of files that were not registered before.
        sent: The number of bytes uploaded.
        failures: The files that could not be registered.
        warnings: Metadata that could not be read, as pairs of a file name and a sentence.
    """

    data: list[tuple[str, str]] = field(default_factory=list)
    new: int = 0
    sent: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)


def find_files(words: Iterable[str | os.PathLike[str]]) -> list[NamedFile]:
    """Find files by path. A directory stands for all files in it, named by their relative paths.

    Hidden files in directories and sidecar files are skipped.

    Raises:
        UsageError: A path does not exist, or there are no files to register.
    """
    found: dict[tuple[str, str], NamedFile] = {}
    for word in words:
        path = Path(word)
        if not path.exists():
            hint = "It is a broken symbolic link." if path.is_symlink() else None
            raise UsageError(f"{path} does not exist.", hint=hint, path=str(path))
        for each in _below(path) if path.is_dir() else [NamedFile(path=path, name=text_path(path.name))]:
            found.setdefault((each.name, str(each.path)), each)
    if not found:
        raise UsageError("No files to register were found.")
    return list(found.values())


def _below(folder: Path) -> Iterator[NamedFile]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not is_sidecar(path):
                yield NamedFile(path=path, name=text_path(path.relative_to(folder).as_posix()))


class Recorder:
    """Adds data to a catalogue in batches, and skips data that it already contains.

    Args:
        catalogue: The catalogue.
        dataset: The canonical ID of the dataset.
        known: The columns of the catalogue.
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
        """Add a datum to the next batch."""
        if datum.id in self._waiting:
            return
        self._waiting[datum.id] = datum
        self._bytes += len(canonical_json(datum.metadata)) if datum.metadata else 0
        is_full = len(self._waiting) >= _ROWS or self._bytes >= _METADATA_BYTES
        if is_full or time.monotonic() - self._written >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the pending batch.

        Raises:
            RepositoryError: The repository could not be written.
        """
        if not self._waiting:
            return
        # Check each time, because another process may have registered the same data in the meantime.
        with self._catalogue.table() as table:
            there = table.present(list(self._waiting))
        # Use one time for the whole part. A query for recent data then sees all of the part or nothing of it.
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
    """Register files. A failure of one file does not affect the others.

    Args:
        objects: The object store of the repository.
        catalogue: The catalogue of the dataset.
        dataset: The canonical ID of the dataset.
        files: The files to register.
        tags: Tags for all files.
        metadata: Metadata for all files. It overrides the metadata in the files.
        lineage: The IDs of the data from which the files were derived.
        reporter: Receives the progress.

    Raises:
        CredentialsError, AccessDenied, NoSpace: The repository is not writable. Files registered so far remain.
        RepositoryUnreachable: The repository does not respond.
        RepositoryError: The catalogue could not be written, so the last batch is not registered.
    """
    result = Registered()
    with catalogue.table(reporter=reporter) as table:
        recorder = Recorder(catalogue, dataset, known=table.kinds())
    with reporter.task("Registering files", sum(_size(file.path) for file in files)) as task:
        sender = Sender(objects, progress=task.advance)

        def register(file: NamedFile) -> tuple[Datum, bool, tuple[str, ...]]:
            return _register_one(file, sender, objects.url, tags=tags, metadata=metadata, lineage=lineage)

        unanswered = 0
        with contextlib.ExitStack() as stack:
            # Even after an error, record the files that were uploaded.
            stack.callback(recorder.flush)
            for file, future in stack.enter_context(contextlib.closing(in_order(register, files))):
                try:
                    datum, was_sent, warnings = future.result()
                except (AccessDenied, CredentialsError, NoSpace):
                    raise  # no other file will fare better
                except OrbitError as error:
                    unanswered = unanswered + 1 if isinstance(error, RepositoryUnreachable) else 0
                    if unanswered == _MAX_UNANSWERED:
                        raise
                    result.failures.append(Failure(name=str(file.path), error=error))
                    continue
                unanswered = 0
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
    # macOS returns decomposed Unicode, which differs from what users type.
    name = unicodedata.normalize("NFC", file.name)
    problem = name_problem(name)
    if problem:
        raise UsageError(f"{file.path} cannot be registered: its name {problem}.", hint="Rename it.")
    before = _modified(file.path)
    digests, was_sent = sender.send(file.path)
    found = extract(file.path)
    # The digests and the metadata are read one after the other, and must describe the same content.
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
