"""Extract the metadata of files, with an extractor for each file type and from JSON sidecar files.

An extractor is a function that takes the path of a file and returns an :class:`Extracted`. Extractors are registered in
the entry-point group ``orbitpkg.metadata`` under a file suffix, in lower case and without the leading dot (``h5 =
"my_library.readers:read_attributes"``). Third-party extractors take precedence over those of orbitpkg, which are
registered in the same way. For ``scan.nii.gz``, ``nii.gz`` is tried before ``gz``.

A sidecar of ``FILE`` is ``FILE.meta.json`` or else ``FILE.json`` in the same directory, for instance
``run-1.h5.meta.json``. It contains a JSON object, whose values override those in the file.

The content of a file never raises an error here, and never crashes the process. Missing or broken metadata leads to a
warning about the file, and all other metadata is kept.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.extraction.extracted import Extracted, reason_of
from orbitpkg.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint
    from pathlib import Path
    from typing import TypeAlias

    Extractor: TypeAlias = Callable[[Path], "Extracted"]

__all__ = ["GROUP", "Extracted", "extract", "is_sidecar", "reason_of", "sidecar_of"]

GROUP: Final = "orbitpkg.metadata"
"""The entry-point group of extractors."""

# The extractors that use the HDF5 library, which can crash.
_CRASHING = {"orbitpkg.datasets.extraction.hdf5", "orbitpkg.datasets.extraction.netcdf"}
_SIDECARS = (".meta.json", ".json")


def extract(path: Path) -> Extracted:
    """Extract the metadata of a file and of its sidecar."""
    found = [_read(path), _read_sidecar(path)]
    metadata = {name: value for part in found for name, value in part.metadata.items()}
    return Extracted(metadata=metadata, warnings=tuple(warning for part in found for warning in part.warnings))


def sidecar_of(path: Path) -> Path | None:
    """Return the sidecar of a file, or None."""
    candidates = (path.with_name(path.name + suffix) for suffix in _SIDECARS)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def is_sidecar(path: Path) -> bool:
    """Return whether a file is the sidecar of another file."""
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
    # Third-party extractors and libraries can raise anything for a broken file.
    except Exception as error:  # noqa: BLE001
        return Extracted(warnings=(f"Its metadata could not be read by {entry.value}: {reason_of(error)}.",))


def _read_with(entry: EntryPoint, path: Path) -> Extracted:
    # In a frozen application, sys.executable is the application, not an interpreter.
    if entry.module not in _CRASHING or not sys.executable or getattr(sys, "frozen", False):
        extractor: Extractor = entry.load()
        return extractor(path)
    from orbitpkg.datasets.extraction.isolation import ReaderCrashedError, ReaderFailedError, read_apart

    try:
        return read_apart(entry.value, path)
    except ReaderCrashedError:
        return Extracted(warnings=("Its metadata could not be read: the file is broken and crashed the extractor.",))
    except ReaderFailedError as error:
        return Extracted(warnings=(f"Its metadata could not be read by {entry.value}: {error}.",))


def _read_sidecar(path: Path) -> Extracted:
    from orbitpkg.datasets.extraction.jsonable import parse_object

    sidecar = sidecar_of(path)
    if sidecar is None:
        return Extracted()
    try:
        return parse_object(sidecar.read_bytes(), what=sidecar.name, rejected=f"Ignored {sidecar.name}, which")
    except OSError as error:
        return Extracted(warnings=(f"Ignored {sidecar.name}, which cannot be read: {error.strerror}.",))


def _extractor_of(name: str) -> EntryPoint | None:
    """Return the extractor for the longest registered suffix of a file name, or None."""
    parts = name.lower().split(".")[1:]
    suffixes = (".".join(parts[start:]) for start in range(len(parts)))
    return next((entry for suffix in suffixes if (entry := _registered().get(suffix)) is not None), None)


@functools.cache
def _registered() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    # orbitpkg's extractors sort first, so others overwrite them in the dict.
    found = sorted(entry_points(group=GROUP), key=lambda entry: not entry.value.startswith("orbitpkg."))
    return {entry.name.lower(): entry for entry in found}
