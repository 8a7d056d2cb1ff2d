"""Freeze a selection of data as an ordinary release, which refers to the files or contains them.

The release contains ``data.jsonl``, with a JSON object on each line for each file: its path, address, size, digests,
ETag, tags and metadata. A packed release also contains the files, in ``data/``. Freezing the same selection of the same
data again gives the same bytes, and thus no new release.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.config.environment import environment
from orbitpkg.datasets.datum import Datum, check_datum
from orbitpkg.datasets.fetching import Fetched, Stores, fetch, fetch_one
from orbitpkg.datasets.folders import Journal, local_paths
from orbitpkg.datasets.layout import BLOBS
from orbitpkg.datasets.registration import Failure
from orbitpkg.errors import FileNotInPackage, IntegrityError, PartlyDone, StorageError, UsageError
from orbitpkg.escaping import shell_word
from orbitpkg.files.anchors import READ_SAFELY, open_below
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.model.jsontext import canonical_json, parse_json, pretty_json
from orbitpkg.model.paths import RelativePath, path_problem
from orbitpkg.model.wording import as_subject
from orbitpkg.objects.addresses import join_uri
from orbitpkg.objects.identity import identify_store
from orbitpkg.reporting import SILENT
from orbitpkg.store.condition import file_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.publisher.publish import Published
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.package import Package

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["DATA_FOLDER", "DATA_NAME", "Frozen", "Origin", "freeze", "frozen", "parse_frozen", "refuse_failures"]

DATA_NAME: Final = "data.jsonl"
DATA_FOLDER: Final = "data"
_MAX_LINE: Final = 2**26
_TEXTS: Final = ("id", "name", "uri", "blake3", "sha256", "etag", "version", "supersedes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The dataset and the selection that a frozen release comes from.

    Attributes:
        dataset: The id of the dataset.
        repository: The address of its repository, to which the release is published.
        filters: The conditions of the selection.
    """

    dataset: str
    repository: str
    filters: tuple[str, ...]


def freeze(
    data: Iterable[Datum],
    requirement: str,
    *,
    origin: Origin,
    objects: ObjectStore,
    cache: Path,
    pack: bool = False,
    reporter: Reporter = SILENT,
) -> Published:
    """Publish selected data as a release, in the repository of their dataset.

    Args:
        data: The selected data.
        requirement: The release, ``name==1.2.0``.
        origin: The dataset and the selection.
        objects: The object store of the repository.
        cache: A directory for temporary files.
        pack: Include the files in the release instead of referring to their locations.
        reporter: Receives the progress.

    Raises:
        UsageError: ``requirement`` is not a name with an exact version, or the selection is empty.
        PartlyDone: A file could not be fetched, or its path is not allowed in a package. Nothing was published.
        ReleaseExists: The version exists with different content.
        RepositoryError: The repository could not be written.
    """
    from orbitpkg.api.publish import publish

    name, version = _release(requirement)
    paths, failures = local_paths(data)
    if pack:
        failures += [_unfit(path, problem) for path in paths if (problem := path_problem(f"{DATA_FOLDER}/{path}"))]
    # All files are checked before any is downloaded, because a download can take hours.
    refuse_failures(failures, f"{len(failures):,} files cannot be part of a release.")
    if not paths:
        where = "".join(f" --where {shell_word(each)}" for each in origin.filters)
        raise UsageError(
            "No files match the filter." if where else f"The dataset {origin.dataset} has no files.",
            hint=f"To test it: orbitpkg dataset query {origin.dataset}{where}" if where else None,
        )
    with storage_errors(str(cache)):
        cache.mkdir(parents=True, exist_ok=True)
    # Next to the store, because the system's temporary directory may be small, or in memory.
    with tempfile.TemporaryDirectory(prefix="freeze-", dir=cache) as folder:
        root = Path(folder)
        if pack:
            _fetch_files(paths, root, objects, reporter)
        _write(root, _manifest(name, version, origin, paths, pack=pack), paths)
        return publish(root, origin.repository, reporter=reporter)


def _fetch_files(paths: Mapping[str, Datum], root: Path, objects: ObjectStore, reporter: Reporter) -> None:
    journal = Journal(root / "journal.json")
    result = fetch(paths.values(), root / DATA_FOLDER, stores=Stores(objects), journal=journal, reporter=reporter)
    refuse_failures(result.failures, f"{len(result.failures):,} of {len(paths):,} files could not be fetched.")


def _unfit(path: str, problem: str) -> Failure:
    error = UsageError(f"{path} is not allowed in a package: its path {problem}.", hint="Freeze it without --pack.")
    return Failure(name=path, error=error)


def _release(requirement: str) -> tuple[str, str]:
    from orbitpkg.model.requirements import parse_requirement

    wanted = parse_requirement(requirement)
    if wanted.range.exact is None:
        raise UsageError(f"{requirement!r} has no exact version.", hint=f"Example: {wanted.name}==1.0.0")
    return wanted.name, str(wanted.range.exact)


def _manifest(name: str, version: str, origin: Origin, paths: Mapping[str, Datum], *, pack: bool) -> dict[str, object]:
    return {
        "name": name,
        "version": version,
        "description": f"Snapshot of the dataset {origin.dataset}",
        "include": [DATA_NAME, *([f"{DATA_FOLDER}/**"] if pack else [])],
        "metadata": {
            "dataset": {
                "id": origin.dataset,
                "repository": origin.repository,
                "where": list(origin.filters),
                "files": len(paths),
                "bytes": sum(datum.size for datum in paths.values()),
                "packed": pack,
            }
        },
    }


def _write(root: Path, manifest: Mapping[str, object], paths: Mapping[str, Datum]) -> None:
    with storage_errors(str(root)):
        (root / "package.json").write_text(pretty_json(manifest), encoding="utf-8")
        with (root / DATA_NAME).open("wb") as file:
            for path, datum in paths.items():
                file.write(canonical_json({"path": path, **_facts(datum)}) + b"\n")


def _facts(datum: Datum) -> dict[str, object]:
    return {
        **{name: getattr(datum, name) for name in _TEXTS},
        "size": datum.size,
        "registered": datum.registered.isoformat(),
        "modified": datum.modified.isoformat() if datum.modified else None,
        "tags": dict(datum.tags),
        "metadata": dict(datum.metadata),
        "lineage": list(datum.lineage),
    }


def refuse_failures(failures: Sequence[Failure], summary: str) -> None:
    """Raise an error if there are failures.

    Raises:
        PartlyDone: There are failures.
    """
    if failures:
        shown = [{"name": each.name, "code": each.error.code, "message": each.error.message} for each in failures]
        first = failures[0].error
        raise PartlyDone(f"{summary} The first error: {first.message}", hint=first.hint, failures=shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """An installed release of a frozen selection.

    Attributes:
        package: The release.
        data: The data by path.
        is_packed: Whether the release contains the files.
    """

    package: Package
    data: Mapping[str, Datum]
    is_packed: bool

    def file_path(self, *parts: str) -> Path:
        """Return the local path of a file. A file that the release refers to is fetched on first use.

        Args:
            parts: The path of the file in the dataset, as components or as one string with slashes.

        Raises:
            FileNotInPackage: The release has no such file.
            ObjectChanged, ObjectNotFound: The object that the release refers to was changed or deleted.
            IntegrityError: The content is not what the release describes.
            RepositoryError: The file cannot be fetched.
        """
        from orbitpkg.config.repositories import home
        from orbitpkg.model.names import nearest

        wanted = "/".join(parts)
        if wanted not in self.data:
            close = nearest(wanted, self.data, n=1)
            hint = f"Did you mean {close[0]}?" if close else None
            raise FileNotInPackage(f"{self.package.name} {self.package.version} has no file {wanted}.", hint=hint)
        path = RelativePath(wanted)
        # The files of a packed release were verified by its installation.
        if self.is_packed:
            return self.package.file_path(DATA_FOLDER, path)
        datum = self.data[path]
        folder = ("cache", "datasets", "files", datum.id[:2], _content_id(datum))
        name = disk_path(RelativePath(path.rpartition("/")[2]))
        top = home()
        with storage_errors(str(top)), open_below(str(top), *folder, make=True) as anchor:
            # Another member of a shared home could have replaced one of the folders by a link.
            kept = Path(anchor.path, name)
            if not _is_intact(kept, datum, exposed=anchor.exposed):
                fetch_one(datum, kept, stores=self._stores())
        return top.joinpath(*folder, name)

    def _stores(self) -> Stores:
        """Return the stores of the data. The files of the repository that the user installed from are trusted."""
        try:
            origin = self.package.origin
        except StorageError:
            return Stores(None)
        return Stores(None, trusted=[join_uri(origin, BLOBS)])

    def fetch(self, folder: PathLike, *, force: bool = False, reporter: Reporter | None = None) -> Fetched:
        """Fetch all files into a directory and verify them. Skips files that are current.

        Args:
            folder: The directory, which is created if needed.
            force: Replace existing files that were not fetched by an earlier run.
            reporter: Receives the progress.
        """
        from orbitpkg.config.repositories import home

        place = Path(folder)
        journal = Journal.of(home() / "cache", place, what=f"{self.package.name}=={self.package.version}")
        if self.is_packed:
            return self._copy(place, journal, force=force)
        return fetch(
            self.data.values(), place, stores=self._stores(), journal=journal, force=force, reporter=reporter or SILENT
        )

    def _copy(self, place: Path, journal: Journal, *, force: bool) -> Fetched:
        # Treat the installed files as objects in a store, so they can be fetched like any other data.
        root = self.package.dir_path(DATA_FOLDER).as_uri()
        data = [_at(datum, join_uri(root, path)) for path, datum in self.data.items()]
        return fetch(data, place, stores=Stores(None, trusted=(root,)), journal=journal, force=force)


def _at(datum: Datum, uri: str) -> Datum:
    from dataclasses import replace

    return replace(datum, uri=uri, etag=None, version=None)


def frozen(requirement: str) -> Frozen:
    """Open an installed release of a frozen selection.

    Args:
        requirement: The release, ``name`` or ``name==1.2.0``.

    Raises:
        NotInstalled: No installed release satisfies the requirement.
        UsageError: The release is not a frozen selection.
        IntegrityError: The description of its data is damaged.
    """
    from orbitpkg.api.packages import package

    found = package(requirement)
    try:
        path = found.file_path(DATA_NAME)
    except FileNotInPackage:
        raise UsageError(f"{found.name} {found.version} is not a frozen dataset: it has no {DATA_NAME}.") from None
    origin = found.metadata.get("dataset")
    is_packed = isinstance(origin, dict) and origin.get("packed") is True
    return Frozen(package=found, data=dict(_read(path)), is_packed=is_packed)


def _content_id(datum: Datum) -> str:
    """Name the content of a datum: by its digest, or else by its id and the store that its address refers to here."""
    if datum.blake3 is not None:
        return datum.blake3
    identity = str(identify_store(datum.uri, environment()))
    return f"{datum.id}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _is_intact(path: Path, datum: Datum, *, exposed: bool) -> bool:
    """Return whether a cached file has the content of a datum.

    Args:
        path: The file.
        datum: The datum.
        exposed: Whether other users can write to the cache.
    """
    try:
        with open(os.open(path, READ_SAFELY), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size != datum.size:
                return False
            # It was verified before it became visible, and the name of its directory identifies its content. Only
            # other users could have replaced it, and without a digest there is no telling whether they did.
            if not exposed:
                return True
            if datum.blake3 is not None:
                return file_digest(str(path)) == datum.blake3
            return datum.sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() == datum.sha256
    except OSError:
        return False


def _read(path: Path) -> Iterator[tuple[RelativePath, Datum]]:
    with storage_errors(str(path)), path.open("rb") as file:
        # A line may be as long as the file, so it is read only up to the limit.
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b""), start=1):
            where = f"line {number} of {path}"
            yield parse_frozen(parse_json(line, what=where, max_bytes=_MAX_LINE), where=where)


def parse_frozen(fields: Any, *, where: str = "the line") -> tuple[RelativePath, Datum]:
    """Parse a line of the list of a frozen selection.

    Raises:
        IntegrityError: A field is missing or invalid, or the path leads out of a folder.
    """
    try:
        return _datum(fields)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise IntegrityError(f"{as_subject(where)} is not a valid datum.") from None


def _datum(fields: Any) -> tuple[RelativePath, Datum]:
    datum = Datum(
        **{name: _text(fields[name]) for name in _TEXTS},
        size=fields["size"],
        registered=datetime.fromisoformat(fields["registered"]).astimezone(UTC),
        modified=datetime.fromisoformat(fields["modified"]).astimezone(UTC) if fields["modified"] else None,
        tags=dict(fields["tags"]),
        metadata=dict(fields["metadata"]),
        lineage=tuple(fields["lineage"]),
    )
    return RelativePath(_text(fields["path"])), check_datum(datum)


def _text(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value
