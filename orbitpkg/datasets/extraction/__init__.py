"""What a file says of itself: its metadata, read by extractors for each kind of file, and from a JSON file beside it.

An extractor is a function that takes the path of a file and returns an :class:`Extracted`. It is registered in the
entry-point group ``orbitpkg.metadata`` under the suffix of the files it reads, in lower case and without the leading
dot (``h5 = "my_library.readers:read_attributes"``); orbitpkg's own are registered in the same way. Of two for one
suffix, the one that is not orbitpkg's counts. Of ``scan.nii.gz``, ``nii.gz`` is looked for before ``gz``.

A sidecar says more: ``FILE.meta.json``, or where there is none ``FILE.json``, beside ``FILE`` (whose whole name comes
first: ``run-1.h5.meta.json``). It holds a JSON object, whose values count before those in the file.

Promises: nothing is ever raised for what a file holds, and no file takes the process down that registers it. Metadata
that is missing, broken or no JSON is a warning about that file, and what else was found is kept.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint
    from pathlib import Path
    from typing import TypeAlias

    Extractor: TypeAlias = Callable[[Path], "Extracted"]

__all__ = ["GROUP", "Extracted", "extract", "is_sidecar", "reason_of", "sidecar_of"]

GROUP: Final = "orbitpkg.metadata"
"""The entry-point group that extractors are registered in."""

# Of orbitpkg's own, those over HDF5's library.
_CRASHING = {"orbitpkg.datasets.extraction.hdf5", "orbitpkg.datasets.extraction.netcdf"}
_SIDECARS = (".meta.json", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What was found in a file.

    Attributes:
        metadata: Facts by name, as values that JSON can hold (and no NaN, which it cannot).
        warnings: What could not be read, one sentence each.
    """

    metadata: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def extract(path: Path) -> Extracted:
    """Read what a file, and the sidecar beside it, say of the file."""
    found = [_read(path), _read_sidecar(path)]
    metadata = {name: value for part in found for name, value in part.metadata.items()}
    return Extracted(metadata=metadata, warnings=tuple(warning for part in found for warning in part.warnings))


def sidecar_of(path: Path) -> Path | None:
    """Give the JSON file that says more of a file; None when there is none."""
    candidates = (path.with_name(path.name + suffix) for suffix in _SIDECARS)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def is_sidecar(path: Path) -> bool:
    """Tell whether a file is the sidecar of another one."""
    owners = (path.with_name(path.name.removesuffix(suffix)) for suffix in _SIDECARS if path.name.endswith(suffix))
    return any(owner != path and owner.name and sidecar_of(owner) == path for owner in owners if owner.is_file())


def _read(path: Path) -> Extracted:
    entry = _extractor_of(path.name)
    if entry is None:
        return Extracted()
    try:
        return _read_with(entry, path)
    except MissingExtra as error:
        return Extracted(warnings=(f"Its metadata was not read. {error.message} {error.hint}",))
    # Extractors, and the libraries under them, are not ours, and files are broken in more ways than they foresee.
    except Exception as error:  # noqa: BLE001
        return Extracted(warnings=(f"Its metadata could not be read by {entry.value}: {reason_of(error)}.",))


def _read_with(entry: EntryPoint, path: Path) -> Extracted:
    if entry.module not in _CRASHING or not sys.executable:
        extractor: Extractor = entry.load()
        return extractor(path)
    from orbitpkg.datasets.extraction.isolation import ReaderCrashedError, ReaderFailedError, read_apart

    try:
        return read_apart(entry.value, path)
    except ReaderCrashedError:
        return Extracted(warnings=("Its metadata could not be read: the file is broken, and crashed what reads it.",))
    except ReaderFailedError as error:
        return Extracted(warnings=(f"Its metadata could not be read by {entry.value}: {error}.",))


def _read_sidecar(path: Path) -> Extracted:
    from orbitpkg.datasets.extraction.jsonable import parse_object

    sidecar = sidecar_of(path)
    if sidecar is None:
        return Extracted()
    try:
        return parse_object(sidecar.read_bytes(), what=sidecar.name)
    except OSError as error:
        return Extracted(warnings=(f"{sidecar.name} could not be read: {error.strerror}.",))


def reason_of(error: Exception) -> str:
    """Say in a line what was raised."""
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _extractor_of(name: str) -> EntryPoint | None:
    """Find the extractor for a file by its name: of its suffixes, the longest that is registered."""
    parts = name.lower().split(".")[1:]
    suffixes = (".".join(parts[start:]) for start in range(len(parts)))
    return next((entry for suffix in suffixes if (entry := _registered().get(suffix)) is not None), None)


@functools.cache
def _registered() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    # False sorts before True: what is ours is overwritten.
    found = sorted(entry_points(group=GROUP), key=lambda entry: not entry.value.startswith("orbitpkg."))
    return {entry.name.lower(): entry for entry in found}
